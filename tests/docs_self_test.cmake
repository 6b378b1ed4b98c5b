# Shows that docs_test.cmake can fail: plants documents with one fault of each kind and asks that each is named, and no
# other line.
#   cmake -DWORK=<scratch folder> -P docs_self_test.cmake
cmake_minimum_required(VERSION 3.22)
set(root "${WORK}/documents")
file(REMOVE_RECURSE "${root}")
file(WRITE "${root}/layers/conv2d.cpp" "")
file(WRITE "${root}/layers/deep/one.h" "")
file(WRITE "${root}/README.md" [=[
# Title
[read](docs/a.md#how-it-works-really), [web](https://example.org/nothing), `layers/conv2d.cpp`, `layers/NAME.cpp`,
`layers/` and a range `[0, 1); x`.
```
`layers/code.cpp`
```
    `layers/indented.cpp`
[gone](docs/gone.md) [no heading](docs/a.md#nothing) `layers/lost.cpp` `layers/lost/`
]=])
file(WRITE "${root}/docs/a.md" "## How it works, really\n[up](../README.md#title) [here](#how-it-works-really) [wrong](README.md)\n")
file(WRITE "${root}/layers/README.md" "| | |\n| --- | --- |\n| `conv2d` `deep/` `co*` | here |\n| `linear` `lin*` | not |\n")
set(expected
    "README.md: the link (docs/gone.md) leads nowhere"
    "README.md: no heading for the link (docs/a.md#nothing)"
    "README.md: there is no layers/lost.cpp"
    "README.md: there is no layers/lost/"
    "docs/a.md: the link (README.md) leads nowhere"
    "layers/README.md: there is no layers/linear"
    "layers/README.md: there is no layers/lin*")

execute_process(COMMAND "${CMAKE_COMMAND}" "-DROOT=${root}" -P "${CMAKE_CURRENT_LIST_DIR}/docs_test.cmake"
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
string(REGEX MATCHALL "\n +[^ ]+\\.md: " reported "${text}")
list(LENGTH reported reported_count)
list(LENGTH expected expected_count)
if(NOT reported_count EQUAL expected_count)
  message(FATAL_ERROR "${expected_count} faults planted, ${reported_count} reported:\n${text}")
endif()
