/* A libcuda.so.1 for machines without a GPU or driver: it reports zero devices and refuses everything else.
 *
 * cuDNN offers its runtime-compiled engines only where a libcuda with the expected entry points is loaded. When
 * cuDeviceGetCount then answers zero, cuDNN compiles the kernels and does not try to load them. It must never come
 * before a real driver: tests open it by its full path, in a child process, where there is none.
 *
 * names.inc lists the entry points of the toolkit's stub library, one REFUSE(name) a line (see CMakeLists.txt). */
#define EXPORT __attribute__((visibility("default")))
enum { NO_DEVICE = 100 }; /* CUDA_ERROR_NO_DEVICE */

EXPORT int cuDeviceGetCount(int* count) {
  *count = 0;
  return NO_DEVICE;
}
EXPORT int cuGetErrorName(int error, const char** text) {
  (void)error;
  *text = "refused by the null driver";
  return 0;
}
EXPORT int cuGetErrorString(int error, const char** text) { return cuGetErrorName(error, text); }

#define REFUSE(name) \
  EXPORT int name(void) { return NO_DEVICE; }
#include "names.inc"
