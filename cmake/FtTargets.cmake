# How the tree becomes targets.
#   ft_folder(NAME [LIBS ...])  one object library ft_NAME a folder (sources: the folder's own .cpp files and SUBDIRS)
#   ft_core_library()           all folders in one shared library: libft (target ft::ft). Plugins and programs link it,
#                               so that types and state exist once in a process.
# Which folder may include which is checked by tests/layering_test.cmake, since one library cannot show it at link time.
set_property(GLOBAL PROPERTY FT_FOLDERS "")
set_property(GLOBAL PROPERTY FT_LIBS "")

function(ft_folder name)
  cmake_parse_arguments(arg "" "" "LIBS;SUBDIRS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "*.cpp")
  foreach(dir IN LISTS arg_SUBDIRS)
    file(GLOB more CONFIGURE_DEPENDS "${dir}/*.cpp")
    list(APPEND sources ${more})
  endforeach()
  if(NOT sources)
    return()
  endif()
  add_library(ft_${name} OBJECT ${sources})
  target_include_directories(ft_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(ft_${name} PUBLIC fmt::fmt Threads::Threads PRIVATE ${arg_LIBS})
  set_property(GLOBAL APPEND PROPERTY FT_FOLDERS ft_${name})
  set_property(GLOBAL APPEND PROPERTY FT_LIBS ${arg_LIBS})
endfunction()

function(ft_core_library)
  get_property(folders GLOBAL PROPERTY FT_FOLDERS)
  get_property(libs GLOBAL PROPERTY FT_LIBS)
  set(objects "")
  foreach(folder IN LISTS folders)
    list(APPEND objects $<TARGET_OBJECTS:${folder}>)
  endforeach()
  add_library(ft SHARED ${objects})
  add_library(ft::ft ALIAS ft)
  target_include_directories(ft PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/ft>)
  target_link_libraries(ft PUBLIC Threads::Threads $<BUILD_INTERFACE:fmt::fmt> PRIVATE ${libs} ${CMAKE_DL_LIBS})
  target_compile_features(ft PUBLIC cxx_std_20)
  set_target_properties(ft PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
endfunction()

# A test program tests/<folder>_tests from all *_test.cpp of a folder; every test case becomes a ctest entry.
# The name of its suite decides when a case runs: `Slow...` (label slow) only where asked for, in CI's last stage;
# `Long...` (label long) in ./check; every other (label quick) also in ./check --quick and under the sanitizers.
function(ft_tests name)
  cmake_parse_arguments(arg "" "" "LIBS;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "*_test.cpp")
  list(APPEND sources ${arg_SOURCES})
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_tests ${sources})
  target_link_libraries(${name}_tests PRIVATE ft::ft ft_test_support GTest::gtest_main ${arg_LIBS})
  ft_discover(${name}_tests quick "-Long*:*/Long*:Slow*:*/Slow*" 300)
  ft_discover(${name}_tests long "Long*:*/Long*" 600)
  ft_discover(${name}_tests slow "Slow*:*/Slow*" 1800)
endfunction()

function(ft_discover target label filter timeout)
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 TEST_FILTER "${filter}"
                       TEST_LIST ${target}_${label} PROPERTIES TIMEOUT ${timeout} LABELS ${label})
endfunction()

# Target header_check: every header of the tree compiles alone (one generated unit a header). Not part of `all`;
# ./check builds it.
function(ft_header_check)
  set(units "")
  foreach(folder tensor layers optim models io apps tests)
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/${folder}/*.h")
    foreach(header IN LISTS headers)
      if(header MATCHES "^tensor/cuda/|^tests/(sim|cuda_plans|tensor/cuda)/" AND NOT FT_CUDA)
        continue()  # needs the CUDA headers
      endif()
      set(unit "${PROJECT_BINARY_DIR}/header_check/${header}.cpp")
      file(CONFIGURE OUTPUT "${unit}" CONTENT "#include \"${header}\"\n")
      list(APPEND units "${unit}")
    endforeach()
  endforeach()
  add_library(header_check OBJECT EXCLUDE_FROM_ALL ${units})
  target_compile_options(header_check PRIVATE -O0 -g0 -Wno-unknown-pragmas)  # OpenMP is a switch of the backend's own target
  target_include_directories(header_check PRIVATE "${PROJECT_SOURCE_DIR}")
  target_include_directories(header_check SYSTEM PRIVATE ${HDF5_INCLUDE_DIRS})
  target_link_libraries(header_check PRIVATE ft::ft fmt::fmt CLI11::CLI11 nlohmann_json::nlohmann_json
                        tomlplusplus::tomlplusplus OneDNN::dnnl Stb::headers OpenSSL::Crypto GTest::gtest)
  if(FT_CUDA)
    target_link_libraries(header_check PRIVATE CUDA::toolkit CUDNN::cudnn)
  endif()
endfunction()
