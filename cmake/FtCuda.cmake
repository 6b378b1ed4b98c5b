# The CUDA toolkit and cuDNN, for the plugin tensor/cuda and its tests.
set(CMAKE_CUDA_ARCHITECTURES ${FT_CUDA_ARCHS})  # before the compiler is tried: "native" fails without a GPU
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc has C++20
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
# Warnings, register spills and unused device code are errors in device code.
set(FT_CUDA_OPTIONS -Werror=all-warnings -Xcompiler=-Wall,-Wextra -Xptxas=-warn-spills,-Werror)
find_package(CUDAToolkit 12.8 REQUIRED)
find_package(CUDNN 9.8 REQUIRED)
message(STATUS "CUDA ${CUDAToolkit_VERSION}, cuDNN ${CUDNN_VERSION}, architectures ${FT_CUDA_ARCHS}")
