# Files compiled with wide instructions must not leave a weak function behind: the linker might take that copy for
# the whole program, which would then stop with an illegal instruction on an older processor.
#   cmake -DNM=nm -DOBJECTS=a.o;b.o -P cpu_kernels_test.cmake
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${NM} cannot read ${object}")
  endif()
  string(REGEX MATCHALL "[^\n]* [WVu] [^\n]*" weak "${symbols}")
  # Data that every object has alike once exceptions can pass through it (builds with sanitizers).
  list(FILTER weak EXCLUDE REGEX " DW\\.ref\\.")
  if(weak)
    message(FATAL_ERROR "${object} defines weak symbols: ${weak}")
  endif()
  if(NOT symbols MATCHES "kKernels")
    message(FATAL_ERROR "${object} has no table of kernels")
  endif()
endforeach()
