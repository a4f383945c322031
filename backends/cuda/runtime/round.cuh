// float32 matrices rounded to bfloat16, to nearest and ties to even; output rows are `lead_to` elements apart.
#include "base.cuh"

__device__ __forceinline__ uint16_t bfloat16(float v) {
  const uint32_t bits = (uint32_t)__float_as_int(v);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 64);  // NaN stays NaN
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

__device__ __forceinline__ void round_to_bfloat16(uint16_t *to, const float *from, int64_t rows, int64_t cols,
                                                  int64_t lead_from, int64_t lead_to, int64_t batch,
                                                  int64_t stride_from) {
  const int64_t total = batch * rows * cols;
  for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < total; e += gridDim.x * (int64_t)blockDim.x) {
    const int64_t line = e / cols, col = e - line * cols, z = line / rows, row = line - z * rows;
    to[line * lead_to + col] = bfloat16(from[z * stride_from + row * lead_from + col]);
  }
}
