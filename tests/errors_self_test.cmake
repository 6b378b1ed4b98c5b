# Shows that errors_test.cmake can fail: plants sources and a table with one fault of each kind and asks that each is
# named, and no other line.
#   cmake -DWORK=<scratch folder> -P errors_self_test.cmake
cmake_minimum_required(VERSION 3.22)
set(root "${WORK}/errors")
file(REMOVE_RECURSE "${root}")

# Every form in which a number is thrown; what looks like one and is none.
file(WRITE "${root}/io/read.cpp" [=[
constexpr int kFirstReadError = 2300;
void a() { throw Error(2310, "x[0]", "cut; damaged", "copy it"); }
const Fault kFaults[] = {{EFBIG, 5003, "too large"}};
enum class ImageFault { ends_early = 2107, empty = 2108 };
constexpr int kFull = 5001;
constexpr int kBytes = 2048, kPage = 4096;  // Throws Error 2399.
const char* kKind = "a JPEG 2000 image";
]=])
file(WRITE "${root}/apps/main.cpp" [=[
std::fprintf(stderr, "ftrun: error E1002: %s\n", what);
throw DatasetError(
    2209, root, "one class");
throw Error(2330, model, "another model", "the right file");
]=])
set(rows "")
foreach(number 1002 2107 2209 2301 2302 2303 2304 2305 2306 2307 2310 2310 5001 2330 9999)
  string(APPEND rows "| E${number} | what it means [of the system] | what to do; then again |\n")
endforeach()
file(WRITE "${root}/docs/errors.md" "# Errors\n\n| Number | Meaning | Remedy |\n| --- | --- | --- |\n${rows}| E5003 | no remedy | |\n")
set(expected
    "E2108 (io/read.cpp) has no row"
    "E5003 (io/read.cpp) has no row"
    "not a row of number, meaning and remedy"
    "E2310 has two rows"
    "E2330 stands behind E5001"
    "E9999 has a row, but no source throws it")

execute_process(COMMAND "${CMAKE_COMMAND}" "-DROOT=${root}" -P "${CMAKE_CURRENT_LIST_DIR}/errors_test.cmake"
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
string(REGEX MATCHALL "\n +(E[0-9]+ |not a row)" reported "${text}")
list(LENGTH reported reported_count)
list(LENGTH expected expected_count)
if(NOT reported_count EQUAL expected_count)
  message(FATAL_ERROR "${expected_count} faults planted, ${reported_count} reported:\n${text}")
endif()
