# Read after project() where the preset aarch64 cross-compiles.

# The {fmt} library that this machine has is not for the other one. Its headers can do without, but then every file that
# includes them takes three times as long: so one file makes a library of them.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/fmt.cpp CONTENT "#include <fmt/format.h>\n")
add_library(fmt STATIC ${PROJECT_BINARY_DIR}/fmt.cpp)
add_library(fmt::fmt ALIAS fmt)
target_compile_features(fmt PRIVATE cxx_std_20)
target_compile_definitions(fmt PRIVATE FMT_HEADER_ONLY)
target_compile_options(fmt PRIVATE -fkeep-inline-functions)

# The preset optimizes a little, which compiles faster; the kernels are what is tested, and are as in a release.
function(tyto_optimize_kernels)
  get_target_property(kernels tyto_objects SOURCES)
  list(FILTER kernels INCLUDE REGEX "/(linear|rows)_[a-z0-9_]*\\.cpp$")
  set_source_files_properties(${kernels} PROPERTIES COMPILE_OPTIONS -O3)
endfunction()
cmake_language(DEFER CALL tyto_optimize_kernels)
