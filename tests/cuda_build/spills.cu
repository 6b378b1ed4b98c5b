// Needs more registers than a thread of this kernel has, where REGISTERS_ARE_SCARCE.
#ifdef REGISTERS_ARE_SCARCE
#define BOUNDS __launch_bounds__(1024, 2)
#else
#define BOUNDS
#endif

__global__ void BOUNDS many_values_kernel(const float* x, float* y) {
  float values[96];
#pragma unroll
  for (int i = 0; i < 96; ++i) values[i] = x[i * 1024 + threadIdx.x];
#pragma unroll
  for (int turn = 0; turn < 3; ++turn)
#pragma unroll
    for (int i = 0; i < 96; ++i)
      values[i] = values[i] * values[(i + 41) % 96] + values[(i + 7) % 96];
#pragma unroll
  for (int i = 0; i < 96; ++i) y[i * 1024 + threadIdx.x] = values[i];
}
