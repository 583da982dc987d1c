# Compile options of our own code. Nothing here depends on the machine that builds.
function(tyto_strict target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  if(MSVC)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:/W4 /utf-8>)
  else()
    # g++ would contract a * b + c where clang does not: the same source must give the same bits.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -ffp-contract=off>)
  endif()
  # By hand: CMake 3.25 does not know that nvcc 13 speaks C++20.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 -Xcompiler=-Wall,-Wextra>)
endfunction()

# tyto_add_library(name EXPORT name HEADERS files... SOURCES files... [DEPENDS targets...])
# Compiles <name>_objects once, and makes <name>_static and <name>_shared of them, as ${tyto_kinds} says. Either is
# tyto::<EXPORT> to a project that uses it. DEPENDS are private: only static users ever see them.
function(tyto_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "EXPORT" "HEADERS;SOURCES;DEPENDS")
  list(APPEND arg_DEPENDS fmt::fmt Threads::Threads)

  add_library(${name}_objects OBJECT ${arg_SOURCES})
  tyto_strict(${name}_objects)
  target_include_directories(${name}_objects PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name}_objects PRIVATE TYTO_BUILDING)
  target_link_libraries(${name}_objects PRIVATE ${arg_DEPENDS})
  set_target_properties(${name}_objects PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                        VISIBILITY_INLINES_HIDDEN ON CUDA_VISIBILITY_PRESET hidden)

  foreach(kind ${tyto_kinds})
    set(library ${name}_${kind})
    string(TOUPPER ${kind} type)
    string(REPLACE _ - output ${name})
    add_library(${library} ${type} $<TARGET_OBJECTS:${name}_objects>)
    target_compile_features(${library} PUBLIC cxx_std_20)
    target_sources(${library} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/include FILES ${arg_HEADERS})
    target_link_libraries(${library} PRIVATE ${arg_DEPENDS})
    set_target_properties(${library} PROPERTIES EXPORT_NAME ${arg_EXPORT} OUTPUT_NAME ${output} LINKER_LANGUAGE CXX
                          VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
    if(WIN32 AND kind STREQUAL static)
      target_compile_definitions(${library} PUBLIC TYTO_STATIC)
      target_compile_definitions(${name}_objects PRIVATE TYTO_STATIC)
    elseif(kind STREQUAL shared AND CMAKE_EXECUTABLE_FORMAT STREQUAL ELF)
      # A component finds tyto's library beside its own.
      set_target_properties(${library} PROPERTIES INSTALL_RPATH "\$ORIGIN")
      # Templates of the standard library have default visibility whatever the flags say; this hides them too.
      target_link_options(${library} PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/src/build/exports.map
                          LINKER:--no-undefined)
      set_target_properties(${library} PROPERTIES LINK_DEPENDS ${PROJECT_SOURCE_DIR}/src/build/exports.map)
    endif()
  endforeach()
  add_library(tyto::${arg_EXPORT} ALIAS ${name}_${tyto_kind})
endfunction()
