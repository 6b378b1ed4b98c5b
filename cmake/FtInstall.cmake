# `cmake --install`: the program, the shared core, its plugins and the headers, and a CMake package, so that
#   find_package(ft REQUIRED)  target_link_libraries(mine PRIVATE ft::ft)
# builds another program on it (apps/example). Everything is found relative to where it lies: a moved prefix works.
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/ft")

install(TARGETS ft EXPORT ftTargets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS ftrun RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
foreach(plugin ft_cpu ft_cuda ft_plan ft_null_driver ft_gpu_tools)
  if(TARGET ${plugin})
    install(TARGETS ${plugin} LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/ft")
    set_target_properties(${plugin} PROPERTIES INSTALL_RPATH "$ORIGIN/..")
  endif()
endforeach()

# The insides of the backends and what needs other libraries' headers stay out.
foreach(folder tensor layers optim models io)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/${folder}" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ft"
          FILES_MATCHING PATTERN "*.h" PATTERN "cpu" EXCLUDE PATTERN "cuda" EXCLUDE PATTERN "ref" EXCLUDE
          PATTERN "hdf5_*.h" EXCLUDE)
endforeach()

install(EXPORT ftTargets NAMESPACE ft:: DESTINATION "${package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/ftConfig.cmake.in" "${PROJECT_BINARY_DIR}/ftConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/ftConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/ftConfig.cmake" "${PROJECT_BINARY_DIR}/ftConfigVersion.cmake"
        DESTINATION "${package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
