// Pooling over images of rows x cols. Modes: 0 maximum, 1 mean of the padded window, 2 mean of what lies inside, 3 sum.
#include "base.cuh"

struct Pool {
  int64_t N;
  int H, W, OH, OW, win_h, win_w, stride_h, stride_w, pad_h, pad_w, mode;
};

// The window of one output: its part inside the image, and the divisor of a mean.
struct Window {
  int top, left, bottom, right, divisor;
  __device__ __forceinline__ Window(const Pool &p, int oy, int ox) {
    top = oy * p.stride_h - p.pad_h, left = ox * p.stride_w - p.pad_w;
    bottom = min(top + p.win_h, p.H + p.pad_h), right = min(left + p.win_w, p.W + p.pad_w);
    const int padded = (bottom - top) * (right - left);
    top = max(top, 0), left = max(left, 0), bottom = min(bottom, p.H), right = min(right, p.W);
    divisor = p.mode == 1 ? padded : p.mode == 2 ? max(max(bottom - top, 0) * max(right - left, 0), 1) : 1;
  }
};

__device__ __forceinline__ float infinity(float) { return __int_as_float(0x7f800000); }
__device__ __forceinline__ double infinity(double) { return __longlong_as_double(0x7ff0000000000000LL); }

template <class T> __device__ __forceinline__ void pool_forward(T *y, const T *x, const Pool &p) {
  const int64_t total = p.N * p.OH * p.OW;
  for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < total; e += gridDim.x * (int64_t)blockDim.x) {
    const int64_t line = e / p.OW, image = line / p.OH;
    const Window w(p, (int)(line - image * p.OH), (int)(e - line * p.OW));
    const T *from = x + image * p.H * p.W;
    T result = p.mode == 0 ? -infinity(T(0)) : T(0);
    for (int row = w.top; row < w.bottom; ++row)
      for (int col = w.left; col < w.right; ++col) {
        const T v = from[row * p.W + col];
        if (p.mode != 0)
          result += v;
        else if (v > result || v != v)  // a NaN stays
          result = v;
      }
    y[e] = p.mode == 0 || p.mode == 3 ? result : result / T(w.divisor);
  }
}

// One element of dX per thread: the gradients of all windows that contain it. Every element equal to the maximum gets
// it.
template <class T>
__device__ __forceinline__ void pool_backward(T *dx, const T *x, const T *y, const T *dy, const Pool &p) {
  const int64_t total = p.N * p.H * p.W;
  for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < total; e += gridDim.x * (int64_t)blockDim.x) {
    const int64_t line = e / p.W, image = line / p.H;
    const int row = (int)(line - image * p.H) + p.pad_h, col = (int)(e - line * p.W) + p.pad_w;
    const int top = row < p.win_h ? 0 : (row - p.win_h) / p.stride_h + 1;
    const int left = col < p.win_w ? 0 : (col - p.win_w) / p.stride_w + 1;
    const int bottom = min(row / p.stride_h, p.OH - 1), right = min(col / p.stride_w, p.OW - 1);
    const int64_t outputs = image * p.OH * p.OW;
    const T v = p.mode == 0 ? x[e] : T(0);
    T sum = T(0);
    for (int oy = top; oy <= bottom; ++oy)
      for (int ox = left; ox <= right; ++ox) {
        const int64_t at = outputs + oy * p.OW + ox;
        if (p.mode != 0)
          sum += dy[at] / T(Window(p, oy, ox).divisor);
        else if (v == y[at])
          sum += dy[at];
      }
    dx[e] = sum;
  }
}

// For each window the sum of ddX over the elements that equal its maximum.
template <class T>
__device__ __forceinline__ void pool_max_grad_grad(T *ddy, const T *x, const T *y, const T *ddx, const Pool &p) {
  const int64_t total = p.N * p.OH * p.OW;
  for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < total; e += gridDim.x * (int64_t)blockDim.x) {
    const int64_t line = e / p.OW, image = line / p.OH, base = image * p.H * p.W;
    const Window w(p, (int)(line - image * p.OH), (int)(e - line * p.OW));
    const T most = y[e];
    T sum = T(0);
    for (int row = w.top; row < w.bottom; ++row)
      for (int col = w.left; col < w.right; ++col)
        if (x[base + row * p.W + col] == most) sum += ddx[base + row * p.W + col];
    ddy[e] = sum;
  }
}
