# install(): libraries, headers, the CMake package and the pkg-config files.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(tyto_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tyto)

# One export file per library and kind; tyto-config.cmake picks among those that were installed.
function(tyto_install name)
  foreach(kind ${tyto_kinds})
    string(REPLACE _ - file ${name}-${kind}-targets)
    install(TARGETS ${name}_${kind} EXPORT ${file} FILE_SET HEADERS)
    install(EXPORT ${file} NAMESPACE tyto:: FILE ${file}.cmake DESTINATION ${tyto_package_dir})
  endforeach()
endfunction()

# A relocatable pkg-config file: its prefix is found from where it lies.
function(tyto_install_pkg_config name)
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig OUTPUT_VARIABLE up)
  set(prefix "\${prefix}")
  cmake_path(APPEND prefix ${CMAKE_INSTALL_LIBDIR} OUTPUT_VARIABLE libdir)
  set(prefix "\${prefix}")
  cmake_path(APPEND prefix ${CMAKE_INSTALL_INCLUDEDIR} OUTPUT_VARIABLE includedir)
  configure_file(${PROJECT_SOURCE_DIR}/src/build/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

tyto_install(tyto)
tyto_install_pkg_config(tyto)
if(cuda IN_LIST tyto_components)
  tyto_install(tyto_cuda)
  tyto_install_pkg_config(tyto-cuda)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/src/build/tyto-config.cmake.in
                              ${PROJECT_BINARY_DIR}/tyto-config.cmake INSTALL_DESTINATION ${tyto_package_dir}
                              NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tyto-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tyto-config.cmake ${PROJECT_BINARY_DIR}/tyto-config-version.cmake
        DESTINATION ${tyto_package_dir})
