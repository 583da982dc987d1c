# Read after project() where the preset aarch64 cross-compiles.

# {fmt} as headers, since the library that this machine has is not for the other one.
add_library(fmt::fmt INTERFACE IMPORTED)
target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY)

# The preset optimizes a little, which compiles in half the time; the kernels are what is tested, and are as in a release.
function(tyto_optimize_kernels)
  get_target_property(kernels tyto_objects SOURCES)
  list(FILTER kernels INCLUDE REGEX "/(linear|rows)_[a-z0-9_]*\\.cpp$")
  set_source_files_properties(${kernels} PROPERTIES COMPILE_OPTIONS -O3)
endfunction()
cmake_language(DEFER CALL tyto_optimize_kernels)
