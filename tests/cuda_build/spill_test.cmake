# Compiles SOURCE with the OPTIONS of the backend's kernels: as it stands, and where it has to spill.
function(compile result output)
  execute_process(COMMAND "${NVCC}" ${OPTIONS} -arch=sm_90 -c "${SOURCE}" -o "${WORK}/spills.o" ${ARGN}
                  RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  set(${result} ${status} PARENT_SCOPE)
  set(${output} "${text}" PARENT_SCOPE)
endfunction()

compile(status text)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "a kernel that spills nothing does not compile:\n${text}")
endif()
compile(status text -DREGISTERS_ARE_SCARCE)
if(status EQUAL 0 OR NOT text MATCHES "[Ss]pill")
  message(FATAL_ERROR "a kernel that spills compiles, or fails for another reason (${status}):\n${text}")
endif()
