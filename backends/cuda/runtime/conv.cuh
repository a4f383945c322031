// Convolutions as matrix products whose operands are gathered on the way (NCHW, groups, dilation, flipped filters).
// Blocks: x counts the tiles of all groups (and phases of the stride), y pieces of the summed axis.
//
// With flip, tap r of the window belongs to row R - 1 - r of the filter.
#include "tile.cuh"

struct Conv {
  int N, C, H, W, K, R, S, OH, OW, stride_h, stride_w, pad_top, pad_left, dil_h, dil_w, groups, flip;
  __device__ __forceinline__ int cg() const { return C / groups; }
  __device__ __forceinline__ int kg() const { return K / groups; }
};

// Pixels of images under a walking window: columns are pixels (image, row, col), the summed axis is (channel, tap).
template <class S> struct PixelLoader {
  typedef typename S::T T;
  static constexpr int COUNT = S::N * S::K / S::THREADS, STEP = S::THREADS / S::N;
  const T *image;  // of this thread's pixel, first channel
  int rows, cols, row0, col0, row_step, col_step, mirror;
  Divisor taps, across;
  T held[COUNT];

  // Tap (r, s) lies at (row0 + r * row_step, col0 + s * col_step) of a plane of rows x cols.
  __device__ __forceinline__ PixelLoader(const T *image, int rows, int cols, int row0, int col0, int row_step,
                                         int col_step, int R, int S_, bool flip)
      : image(image), rows(rows), cols(cols), row0(row0), col0(col0), row_step(row_step), col_step(col_step),
        mirror(flip ? R * S_ - 1 : -1), taps(R * S_), across(S_) {}

  __device__ __forceinline__ void fetch(int begin, int end) {
    begin += (int)threadIdx.x / S::N;
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
      const int k = begin + i * STEP;
      int channel, tap, r, s;
      taps.split(k, channel, tap);
      across.split(mirror < 0 ? tap : mirror - tap, r, s);
      const int row = row0 + r * row_step, col = col0 + s * col_step;
      const bool inside = image && k < end && (unsigned)row < (unsigned)rows && (unsigned)col < (unsigned)cols;
      held[i] = inside ? image[(int64_t)channel * rows * cols + row * cols + col] : T(0);
    }
  }

  __device__ __forceinline__ void place(T *shared) const {
    shared += (int)threadIdx.x / S::N * S::LN + (int)threadIdx.x % S::N;
#pragma unroll
    for (int i = 0; i < COUNT; ++i) shared[i * STEP * S::LN] = held[i];
  }
};

// Elements gathered along the summed axis: COUNT rows (or columns) per thread, one k.
template <class S, int X> struct Gathered {
  typedef typename S::T T;
  static constexpr int COUNT = X * S::K / S::THREADS, STEP = S::THREADS / S::K;
  T held[COUNT];
  __device__ __forceinline__ static int k() { return (int)threadIdx.x % S::K; }
  __device__ __forceinline__ static int x(int i) { return (int)threadIdx.x / S::K + i * STEP; }
  __device__ __forceinline__ void place(T *shared) const {
#pragma unroll
    for (int i = 0; i < COUNT; ++i) shared[k() * (X + S::V) + x(i)] = held[i];
  }
};

// Y = W X: rows are filters, columns are pixels of Y.
template <class S>
__device__ __forceinline__ void conv_forward(typename S::T *shared, typename S::T *y, const typename S::T *x,
                                             const typename S::T *w, const Conv &c) {
  typedef typename S::T T;
  T sums[S::TM][S::TN];
  const int kg = c.kg(), cg = c.cg(), depth = cg * c.R * c.S, plane = c.OH * c.OW, pixels = c.N * plane;
  const Divisor by_plane(plane), by_width(c.OW);
  int g, i, j, n, pixel, oy, ox;
  tile_at<S>(kg, pixels, g, i, j);
  const int mine = j * S::N + (int)threadIdx.x % S::N;
  by_plane.split(mine < pixels ? mine : 0, n, pixel);
  by_width.split(pixel, oy, ox);
  const T *image = x + ((int64_t)n * c.C + (int64_t)g * cg) * c.H * c.W;
  MatrixLoader<S, S::M, false> left(w + (int64_t)g * kg * depth, depth, i * S::M, kg, 0);
  PixelLoader<S> right(mine < pixels ? image : nullptr, c.H, c.W, oy * c.stride_h - c.pad_top,
                       ox * c.stride_w - c.pad_left, c.dil_h, c.dil_w, c.R, c.S, c.flip);
  multiply<S>(shared, left, right, 0, depth, sums);
#pragma unroll
  for (int b = 0; b < S::TN; ++b) {
    const int column = j * S::N + col_of<S>(b);
    if (column >= pixels) continue;
    by_plane.split(column, n, pixel);
    T *out = y + ((int64_t)n * c.K + (int64_t)g * kg) * plane + pixel;
#pragma unroll
    for (int a = 0; a < S::TM; ++a) {
      const int row = i * S::M + row_of<S>(a);
      if (row < kg) out[(int64_t)row * plane] = sums[a][b];
    }
  }
}

// Of the taps along one axis, those that reach positions p with p % stride == phase: first + j * step, j < count.
// Position phase + stride * a is reached from output a + from - j * back.
struct Phase {
  int first, step, count, from, back;
  __device__ __forceinline__ Phase(int phase, int taps, int stride, int dilation, int pad) {
    int x = stride, y = dilation;
    while (y) {
      const int rest = x % y;
      x = y, y = rest;
    }
    step = stride / x;
    for (first = 0; first < step && (phase + pad - first * dilation) % stride; ++first) {}
    count = first < step && first < taps ? (taps - 1 - first) / step + 1 : 0;
    from = (phase + pad - first * dilation) / stride;
    back = step * dilation / stride;
  }
};

// Filters as seen from the images: rows are input channels, the summed axis is (filter, tap of the phase).
template <class S> struct FilterLoader : Gathered<S, S::M> {
  typedef typename S::T T;
  const T *origin;
  int limit, filter_step, area, row_step, col_step;
  Divisor taps, across;
  __device__ __forceinline__ FilterLoader(const T *w, const Conv &c, const Phase &down, const Phase &along, int first)
      : limit(c.cg() - first - this->x(0)), filter_step(c.cg() * c.R * c.S), area(c.R * c.S),
        row_step(c.flip ? -down.step * c.S : down.step * c.S), col_step(c.flip ? -along.step : along.step),
        taps(down.count * along.count), across(along.count) {
    const int tap = down.first * c.S + along.first;
    origin = w + (int64_t)(first + this->x(0)) * area + (c.flip ? area - 1 - tap : tap);
  }

  __device__ __forceinline__ void fetch(int begin, int end) {
    const int k = begin + this->k();
    int filter, tap, r, s;
    taps.split(k, filter, tap);
    across.split(tap, r, s);
    const T *p = origin + (int64_t)filter * filter_step + r * row_step + s * col_step;
#pragma unroll
    for (int i = 0; i < this->COUNT; ++i)
      this->held[i] = k < end && i * this->STEP < limit ? p[(int64_t)(i * this->STEP) * area] : T(0);
  }
};

// dX = W^T dY: rows are input channels, columns are the pixels of X that one phase of the stride reaches.
template <class S>
__device__ __forceinline__ void conv_backward_data(typename S::T *shared, typename S::T *dx, const typename S::T *dy,
                                                   const typename S::T *w, const Conv &c) {
  typedef typename S::T T;
  T sums[S::TM][S::TN];
  const int kg = c.kg(), cg = c.cg(), phases = c.stride_h * c.stride_w;
  const int most = c.N * ((c.H - 1) / c.stride_h + 1) * ((c.W - 1) / c.stride_w + 1);  // pixels of the largest phase
  int job, i, j, n, pixel, a, b;
  tile_at<S>(cg, most, job, i, j);
  const int g = job / phases, ph = job % phases / c.stride_w, pw = job % phases % c.stride_w;
  if (ph >= c.H || pw >= c.W) return;
  const int height = (c.H - 1 - ph) / c.stride_h + 1, width = (c.W - 1 - pw) / c.stride_w + 1;
  const int pixels = c.N * height * width, mine = j * S::N + (int)threadIdx.x % S::N;
  if (j * S::N >= pixels) return;
  const Phase down(ph, c.R, c.stride_h, c.dil_h, c.pad_top), along(pw, c.S, c.stride_w, c.dil_w, c.pad_left);
  const Divisor by_plane(height * width), by_width(width);
  by_plane.split(mine < pixels ? mine : 0, n, pixel);
  by_width.split(pixel, a, b);
  const T *image = dy + ((int64_t)n * c.K + (int64_t)g * kg) * c.OH * c.OW;
  FilterLoader<S> left(w + (int64_t)g * kg * cg * c.R * c.S, c, down, along, i * S::M);
  PixelLoader<S> right(mine < pixels ? image : nullptr, c.OH, c.OW, a + down.from, b + along.from, -down.back,
                       -along.back, down.count, along.count, false);
  multiply<S>(shared, left, right, 0, kg * down.count * along.count, sums);
#pragma unroll
  for (int v = 0; v < S::TN; ++v) {
    const int column = j * S::N + col_of<S>(v);
    if (column >= pixels) continue;
    by_plane.split(column, n, pixel);
    by_width.split(pixel, a, b);
    T *out = dx + ((int64_t)n * c.C + (int64_t)g * cg) * c.H * c.W + (int64_t)(ph + a * c.stride_h) * c.W + pw +
             b * c.stride_w;
#pragma unroll
    for (int u = 0; u < S::TM; ++u) {
      const int row = i * S::M + row_of<S>(u);
      if (row < cg) out[(int64_t)row * c.H * c.W] = sums[u][v];
    }
  }
}

// dY with its pixels (image, row, col) as the summed axis: rows are filters.
template <class S> struct SlopeLoader : Gathered<S, S::M> {
  typedef typename S::T T;
  const T *origin;
  int limit, filters, plane;
  Divisor by_plane;
  __device__ __forceinline__ SlopeLoader(const T *dy, const Conv &c, const Divisor &by_plane, int first)
      : origin(dy + (int64_t)(first + this->x(0)) * (c.OH * c.OW)), limit(c.kg() - first - this->x(0)), filters(c.K),
        plane(c.OH * c.OW), by_plane(by_plane) {}

  __device__ __forceinline__ void fetch(int begin, int end) {
    const int k = begin + this->k();
    int n, pixel;
    by_plane.split(k, n, pixel);
    const T *p = origin + (int64_t)n * filters * plane + pixel;
#pragma unroll
    for (int i = 0; i < this->COUNT; ++i)
      this->held[i] = k < end && i * this->STEP < limit ? p[(int64_t)(i * this->STEP) * plane] : T(0);
  }
};

// X with the pixels of Y as the summed axis: columns are (channel, tap).
template <class S> struct WindowLoader : Gathered<S, S::N> {
  typedef typename S::T T;
  const T *images;
  const Conv &c;
  int offset[Gathered<S, S::N>::COUNT], shift[Gathered<S, S::N>::COUNT];  // of the window: channel; row << 16 | col
  Divisor by_plane, by_width;
  __device__ __forceinline__ WindowLoader(const T *images, const Conv &c, const Divisor &by_plane, int first)
      : images(images), c(c), by_plane(by_plane), by_width(c.OW) {
    const Divisor taps(c.R * c.S), across(c.S);
#pragma unroll
    for (int i = 0; i < this->COUNT; ++i) {
      const int column = first + this->x(i);
      int channel, tap, r, s;
      taps.split(column, channel, tap);
      across.split(c.flip ? c.R * c.S - 1 - tap : tap, r, s);
      offset[i] = channel < c.cg() ? channel * c.H * c.W : -1;
      shift[i] = r << 16 | s;
    }
  }

  __device__ __forceinline__ void fetch(int begin, int end) {
    const int k = begin + this->k();
    int n, pixel, oy, ox;
    by_plane.split(k, n, pixel);
    by_width.split(pixel, oy, ox);
    const T *image = images + (int64_t)n * c.C * c.H * c.W;
    const int top = oy * c.stride_h - c.pad_top, left = ox * c.stride_w - c.pad_left;
#pragma unroll
    for (int i = 0; i < this->COUNT; ++i) {
      const int row = top + (shift[i] >> 16) * c.dil_h, col = left + (shift[i] & 65535) * c.dil_w;
      const bool inside = k < end && offset[i] >= 0 && (unsigned)row < (unsigned)c.H && (unsigned)col < (unsigned)c.W;
      this->held[i] = inside ? image[offset[i] + row * c.W + col] : T(0);
    }
  }
};

// dW = dY X^T: rows are filters, columns are (channel, tap); each piece of the pixels writes its own copy of dW.
template <class S>
__device__ __forceinline__ void conv_backward_weights(typename S::T *shared, typename S::T *dw, const typename S::T *x,
                                                      const typename S::T *dy, const Conv &c, int span) {
  typedef typename S::T T;
  T sums[S::TM][S::TN];
  const int kg = c.kg(), cg = c.cg(), cols = cg * c.R * c.S, pixels = c.N * c.OH * c.OW;
  const int begin = (int)blockIdx.y * span, end = min(pixels, begin + span);
  const Divisor by_plane(c.OH * c.OW);
  int g, i, j;
  tile_at<S>(kg, cols, g, i, j);
  SlopeLoader<S> left(dy + (int64_t)g * kg * c.OH * c.OW, c, by_plane, i * S::M);
  WindowLoader<S> right(x + (int64_t)g * cg * c.H * c.W, c, by_plane, j * S::N);
  multiply<S>(shared, left, right, begin, end, sums);
  write<S>(dw + ((int64_t)blockIdx.y * c.K + (int64_t)g * kg) * cols, cols, i * S::M, j * S::N, kg, cols, false, sums);
}
