# Writes OUT with one REFUSE(name) for each cu... function of the toolkit's stub driver.
#   cmake -DNM=nm -DSTUB=.../stubs/libcuda.so -DOUT=names.inc -P driver_names.cmake
execute_process(COMMAND "${NM}" -D --defined-only "${STUB}" OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL " T cu[A-Za-z0-9_]+" names "${symbols}")
list(TRANSFORM names REPLACE "^ T " "")
list(REMOVE_ITEM names cuDeviceGetCount cuGetErrorName cuGetErrorString)
list(TRANSFORM names REPLACE "(.+)" "REFUSE(\\1)")
list(LENGTH names count)
if(count LESS 100)
  message(FATAL_ERROR "${STUB} names only ${count} functions")
endif()
list(JOIN names "\n" text)
file(WRITE "${OUT}" "${text}\n")
