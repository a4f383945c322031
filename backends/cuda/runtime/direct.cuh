// Convolutions with few channels in a group (depthwise ones above all), where tiles would be mostly empty.
#include "conv.cuh"

// One result per thread.
template <class T> __device__ __forceinline__ void direct_forward(T *y, const T *x, const T *w, const Conv &c) {
  const int kg = c.kg(), cg = c.cg();
  const int64_t total = (int64_t)c.N * c.K * c.OH * c.OW;
  for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < total; e += gridDim.x * (int64_t)blockDim.x) {
    const int ox = (int)(e % c.OW), oy = (int)(e / c.OW % c.OH), filter = (int)(e / c.OW / c.OH % c.K);
    const int n = (int)(e / c.OW / c.OH / c.K), g = filter / kg;
    const int top = oy * c.stride_h - c.pad_top, left = ox * c.stride_w - c.pad_left;
    T sum = T(0);
    for (int channel = 0; channel < cg; ++channel) {
      const T *image = x + ((int64_t)n * c.C + g * cg + channel) * c.H * c.W;
      const T *taps = w + ((int64_t)filter * cg + channel) * c.R * c.S;
      for (int r = 0; r < c.R; ++r) {
        const int row = top + r * c.dil_h;
        if ((unsigned)row >= (unsigned)c.H) continue;
        for (int s = 0; s < c.S; ++s) {
          const int col = left + s * c.dil_w, tap = r * c.S + s;
          if ((unsigned)col < (unsigned)c.W) sum += image[row * c.W + col] * taps[c.flip ? c.R * c.S - 1 - tap : tap];
        }
      }
    }
    y[e] = sum;
  }
}

template <class T> __device__ __forceinline__ void direct_backward_data(T *dx, const T *dy, const T *w, const Conv &c) {
  const int kg = c.kg(), cg = c.cg();
  const int64_t total = (int64_t)c.N * c.C * c.H * c.W;
  for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < total; e += gridDim.x * (int64_t)blockDim.x) {
    const int col = (int)(e % c.W), row = (int)(e / c.W % c.H), channel = (int)(e / c.W / c.H % c.C);
    const int n = (int)(e / c.W / c.H / c.C), g = channel / cg;
    T sum = T(0);
    for (int filter = g * kg; filter < (g + 1) * kg; ++filter) {
      const T *slope = dy + ((int64_t)n * c.K + filter) * c.OH * c.OW;
      const T *taps = w + ((int64_t)filter * cg + channel % cg) * c.R * c.S;
      for (int r = 0; r < c.R; ++r) {
        const int y = row + c.pad_top - r * c.dil_h, oy = y / c.stride_h;
        if (y < 0 || oy >= c.OH || oy * c.stride_h != y) continue;
        for (int s = 0; s < c.S; ++s) {
          const int x = col + c.pad_left - s * c.dil_w, ox = x / c.stride_w, tap = r * c.S + s;
          if (x < 0 || ox >= c.OW || ox * c.stride_w != x) continue;
          sum += slope[oy * c.OW + ox] * taps[c.flip ? c.R * c.S - 1 - tap : tap];
        }
      }
    }
    dx[e] = sum;
  }
}

// One result per block: each thread sums some of the pixels, then halves of the block are added until one sum remains.
template <class T>
__device__ __forceinline__ void direct_backward_weights(T *shared, T *dw, const T *x, const T *dy, const Conv &c) {
  const int kg = c.kg(), cg = c.cg(), plane = c.OH * c.OW, pixels = c.N * plane;
  const int64_t total = (int64_t)c.K * cg * c.R * c.S;
  const Divisor by_plane(plane), by_width(c.OW);
  for (int64_t e = blockIdx.x; e < total; e += gridDim.x) {
    const int s = (int)(e % c.S), r = (int)(e / c.S % c.R), channel = (int)(e / c.S / c.R % cg);
    const int filter = (int)(e / c.S / c.R / cg), g = filter / kg;
    const int down = (c.flip ? c.R - 1 - r : r) * c.dil_h - c.pad_top;
    const int along = (c.flip ? c.S - 1 - s : s) * c.dil_w - c.pad_left;
    T sum = T(0);
    for (int64_t p = threadIdx.x; p < pixels; p += blockDim.x) {
      int n, pixel, oy, ox;
      by_plane.split((int)p, n, pixel);
      by_width.split(pixel, oy, ox);
      const int row = oy * c.stride_h + down, col = ox * c.stride_w + along;
      if ((unsigned)row < (unsigned)c.H && (unsigned)col < (unsigned)c.W)
        sum += dy[((int64_t)n * c.K + filter) * plane + pixel] *
               x[((int64_t)n * c.C + g * cg + channel) * c.H * c.W + row * c.W + col];
    }
    shared[threadIdx.x] = sum;
    __syncthreads();
    for (int half = (int)blockDim.x / 2; half; half /= 2) {
      if ((int)threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
      __syncthreads();
    }
    if (threadIdx.x == 0) dw[e] = shared[0];
    __syncthreads();
  }
}
