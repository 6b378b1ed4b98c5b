# Shows that layering_test.cmake can fail: plants a tree with one fault of each kind and asks that each is named, and no
# other line.
#   cmake -DWORK=<scratch folder> -P layering_self_test.cmake
cmake_minimum_required(VERSION 3.22)
set(root "${WORK}/layering")
file(REMOVE_RECURSE "${root}")

function(plant file)
  list(JOIN ARGN "\n" text)
  file(WRITE "${root}/${file}" "${text}\n")
endfunction()

# Allowed.
plant(tensor/tensor.h "#pragma once" "#include <vector>")
plant(tensor/ops/conv2d.h "#pragma once" "#include \"tensor/tensor.h\"")
plant(tensor/ref/ref.h "#pragma once" "#include \"tensor/ops/conv2d.h\"")
plant(tensor/cpu/cpu.h "#pragma once" "#include \"tensor/ref/ref.h\"" "#include <oneapi/dnnl/dnnl.hpp>")
plant(layers/parameter.h "#pragma once" "#include \"tensor/tensor.h\"")
plant(layers/layer.h "#pragma once" "#include \"layers/parameter.h\"")
plant(models/net.cpp "#include \"layers/layer.h\"")
plant(optim/sgd.cpp "#include \"layers/parameter.h\"")
plant(io/store.h "#pragma once" "#include \"tensor/tensor.h\"" "#include <hdf5.h>")
plant(apps/main.cpp "#include \"io/store.h\"" "#include \"tensor/ref/ref.h\"" "#include <CLI/CLI.hpp>")
plant(tensor/cuda/sizes.h "#pragma once" "#include \"tensor/ops/conv2d.h\"")
plant(apps/plan/engines.h "#pragma once" "#include \"tensor/cuda/sizes.h\"")
plant(apps/ftrun/plan.cpp "#include \"apps/plan/engines.h\"")
plant(tests/any_test.cpp "#include \"tensor/cpu/cpu.h\"")

# Faults: file, include line, what the test must say.
plant(tensor/up.cpp "#include \"layers/layer.h\"")
plant(tensor/vendor.cpp "#include \"tensor/cpu/cpu.h\"")
plant(tensor/direct.cpp "  #  include <oneapi/dnnl/dnnl.hpp>")
plant(layers/knows.cpp "#include \"tensor/ref/ref.h\"")
plant(optim/wide.cpp "#include \"layers/layer.h\"")
plant(models/file.cpp "#include \"io/store.h\"")
plant(io/net.cpp "#include \"layers/parameter.h\"")
plant(apps/backend.cpp "#include \"tensor/cpu/cpu.h\"")
plant(apps/ftrun/sizes.cpp "#include \"tensor/cuda/sizes.h\"")
plant(apps/plan/step.cpp "#include \"layers/parameter.h\"")
plant(apps/store.cpp "#include <hdf5.h>")
plant(io/relative.cpp "#include \"store.h\"")
plant(layers/naked.h "#include \"tensor/tensor.h\"")
set(expected
    "tensor/up.cpp: may not include \"layers/layer.h\""
    "tensor/vendor.cpp: may not include \"tensor/cpu/cpu.h\""
    "tensor/direct.cpp: may not include <oneapi/dnnl/dnnl.hpp>"
    "layers/knows.cpp: may not include \"tensor/ref/ref.h\""
    "optim/wide.cpp: may not include \"layers/layer.h\""
    "models/file.cpp: may not include \"io/store.h\""
    "io/net.cpp: may not include \"layers/parameter.h\""
    "apps/backend.cpp: may not include \"tensor/cpu/cpu.h\""
    "apps/ftrun/sizes.cpp: may not include \"tensor/cuda/sizes.h\""
    "apps/plan/step.cpp: may not include \"layers/parameter.h\""
    "apps/store.cpp: may not include <hdf5.h>"
    "io/relative.cpp: \"store.h\" is no file of the tree"
    "layers/naked.h: no #pragma once")

execute_process(COMMAND "${CMAKE_COMMAND}" "-DROOT=${root}" -P "${CMAKE_CURRENT_LIST_DIR}/layering_test.cmake"
                RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(status EQUAL 0)
  message(FATAL_ERROR "the planted faults were not refused:\n${text}")
endif()
foreach(line IN LISTS expected)
  string(FIND "${text}" "${line}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "not found: ${line}\nin:\n${text}")
  endif()
endforeach()
string(REGEX MATCHALL "\n +(tensor|layers|optim|models|io|apps|tests)/" reported "${text}")
list(LENGTH reported reported_count)
list(LENGTH expected expected_count)
if(NOT reported_count EQUAL expected_count)
  message(FATAL_ERROR "${expected_count} faults planted, ${reported_count} reported:\n${text}")
endif()
