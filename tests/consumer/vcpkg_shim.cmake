# Runs the overlay port without vcpkg: the functions that it calls, in a few lines each, release only. This shows that
# the port's options and paths are right, and not that vcpkg accepts it.
#   cmake -DCURRENT_PORT_DIR=... -DCURRENT_PACKAGES_DIR=... -DBUILD_DIR=... -DLINKAGE=static|shared -P vcpkg_shim.cmake
cmake_minimum_required(VERSION 3.25)
set(PORT tyto)
string(COMPARE EQUAL ${LINKAGE} shared shared)

function(vcpkg_check_features out_keyword out)
  set(options "")
  foreach(feature_and_option ${ARGN})
    if(feature_and_option MATCHES "^TYTO_")
      list(APPEND options -D${feature_and_option}=OFF)
    endif()
  endforeach()
  set(${out} ${options} PARENT_SCOPE)
endfunction()

function(shim_run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(vcpkg_cmake_configure)
  cmake_parse_arguments(arg "" "SOURCE_PATH" "OPTIONS" ${ARGN})
  shim_run(${CMAKE_COMMAND} -G Ninja -S ${arg_SOURCE_PATH} -B ${BUILD_DIR} -DCMAKE_BUILD_TYPE=Release
           -DBUILD_SHARED_LIBS=${shared} -DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR} --log-level=WARNING
           ${SHIM_OPTIONS} ${arg_OPTIONS})
endfunction()

function(vcpkg_cmake_install)
  shim_run(${CMAKE_COMMAND} --build ${BUILD_DIR} --target install)
endfunction()

# vcpkg moves the package's CMake files to share/<port>, and mends their idea of where the prefix is.
function(vcpkg_cmake_config_fixup)
  cmake_parse_arguments(arg "" "CONFIG_PATH" "" ${ARGN})
  file(GLOB files ${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}/*.cmake)
  if(NOT files)
    message(FATAL_ERROR "No CMake package in ${arg_CONFIG_PATH}")
  endif()
  foreach(file ${files})
    file(READ ${file} text)
    string(REPLACE "\${CMAKE_CURRENT_LIST_DIR}/../../../" "\${CMAKE_CURRENT_LIST_DIR}/../../" text "${text}")
    string(REPLACE "get_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\nget_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\nget_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)"
           "get_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\nget_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)" text "${text}")
    cmake_path(GET file FILENAME name)
    file(WRITE ${CURRENT_PACKAGES_DIR}/share/${PORT}/${name} "${text}")
  endforeach()
  file(REMOVE_RECURSE ${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH})
endfunction()

function(vcpkg_fixup_pkgconfig)
  if(NOT EXISTS ${CURRENT_PACKAGES_DIR}/lib/pkgconfig/tyto.pc)
    message(FATAL_ERROR "No pkg-config file")
  endif()
endfunction()

function(vcpkg_copy_pdbs)
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(arg "" "" "FILE_LIST" ${ARGN})
  configure_file(${arg_FILE_LIST} ${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright COPYONLY)
endfunction()

include(${CURRENT_PORT_DIR}/portfile.cmake)
