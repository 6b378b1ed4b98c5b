# Switches and compiler settings of the whole tree.
option(FT_CUDA "build the CUDA backend (plugin libft_cuda.so; needs CUDA 12.8 or newer and cuDNN 9)" OFF)
option(FT_TESTS "build the tests" ON)
option(FT_BENCH "build the benchmarks" ON)
option(FT_CARRY "binaries that find all libraries beside themselves, to run where none is installed (target bundle)" OFF)
option(FT_WERROR "treat warnings as errors" OFF)
set(FT_SANITIZE "" CACHE STRING "sanitizers for host code, for example address,undefined or thread")
set(FT_CUDA_ARCHS "90" CACHE STRING "GPU architectures of the CUDA backend")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")  # plugins are searched beside the program
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)  # a copied bin folder uses its own libft, not that of the tree it came from
if(FT_CARRY)  # DT_RPATH, not RUNPATH: it serves what those libraries need in turn as well
  set(CMAKE_BUILD_RPATH "$ORIGIN")
  add_link_options(-Wl,--disable-new-dtags)
endif()
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

find_program(FT_CCACHE ccache)
if(FT_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${FT_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${FT_CCACHE})
endif()

add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra>)
if(FT_WERROR)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
# Results must not depend on whether the compiler fuses a multiply with an add.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
if(FT_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${FT_SANITIZE}> $<$<COMPILE_LANGUAGE:CXX>:-O1>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)
  # g++ 12 sees uninitialised reads in std::optional once it is instrumented; the plain build keeps the warning.
  add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
  if(FT_SANITIZE MATCHES "undefined")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=undefined>)
    # Its check opens a pipe, so a test that runs out of file descriptors would be reported as a bad object.
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize=vptr>)
  endif()
  add_link_options(-fsanitize=${FT_SANITIZE})
endif()
