// The product of two matrices, one tile a block: what matrix products and convolutions share.
//
// A block of THREADS threads makes a tile of M x N results, TM x TN of them a thread. It walks along the summed axis K
// elements at a time: while one piece of both operands is multiplied from shared memory, the next one is on its way from
// global memory into registers. The loader defines where an operand's elements come from:
//     fetch(k, end)  elements k .. k + K of the summed axis into registers, zeros from `end` on; k grows by K each time;
//     place(shared)  from there into shared memory, [k][row or column].
// Every result is one sum in a fixed order: the same input gives the same bits.
#include "base.cuh"

template <class Float, int ROWS, int COLS, int DEPTH, int THREAD_ROWS, int THREAD_COLS> struct Shape {
  typedef Float T;
  static constexpr int M = ROWS, N = COLS, K = DEPTH, TM = THREAD_ROWS, TN = THREAD_COLS;
  static constexpr int X = N / TN, Y = M / TM, THREADS = X * Y;
  static constexpr int V = 16 / (int)sizeof(T);  // elements of the widest load
  static constexpr int VM = TM < V ? TM : V, VN = TN < V ? TN : V;
  static constexpr int LM = M + V, LN = N + V;  // rows in shared memory: padded against conflicts, still aligned
  static constexpr int SHARED = 2 * K * (LM + LN);
};

template <int N> __device__ __forceinline__ void load(const float *p, float *r) {
  if constexpr (N == 4) {
    const float4 v = *(const float4 *)p;
    r[0] = v.x, r[1] = v.y, r[2] = v.z, r[3] = v.w;
  } else if constexpr (N == 2) {
    const float2 v = *(const float2 *)p;
    r[0] = v.x, r[1] = v.y;
  } else {
    r[0] = *p;
  }
}

template <int N> __device__ __forceinline__ void load(const double *p, double *r) {
  if constexpr (N == 2) {
    const double2 v = *(const double2 *)p;
    r[0] = v.x, r[1] = v.y;
  } else {
    r[0] = *p;
  }
}

template <int N> __device__ __forceinline__ void store(float *p, const float *r) {
  if constexpr (N == 4)
    *(float4 *)p = make_float4(r[0], r[1], r[2], r[3]);
  else if constexpr (N == 2)
    *(float2 *)p = make_float2(r[0], r[1]);
  else
    *p = r[0];
}

template <int N> __device__ __forceinline__ void store(double *p, const double *r) {
  if constexpr (N == 2)
    *(double2 *)p = make_double2(r[0], r[1]);
  else
    *p = r[0];
}

// Whether rows that begin at p and lie `lead` elements apart can be read 16 bytes at a time.
template <class T> __device__ __forceinline__ bool aligned(const T *p, int64_t lead) {
  return (((uint64_t)p | (uint64_t)(lead * (int64_t)sizeof(T))) & 15) == 0;
}

// Quotients by a number known only at run time, for dividends below 2^31: a multiplication and a shift.
struct Divisor {
  uint32_t by, factor, shift;
  __device__ __forceinline__ explicit Divisor(int divisor) : by((uint32_t)divisor) {
    shift = by > 1 ? 32 - (uint32_t)__clz((int)(by - 1)) : 0;
    factor = (uint32_t)((((uint64_t)1 << (31 + shift)) + by - 1) / (by ? by : 1));
  }
  __device__ __forceinline__ int quotient(int n) const {
    return (int)((uint32_t)((uint64_t)(2 * (uint32_t)n) * factor >> 32) >> shift);
  }
  __device__ __forceinline__ void split(int n, int &quotient_, int &rest) const {
    quotient_ = quotient(n);
    rest = n - quotient_ * (int)by;
  }
};

// A matrix in memory. ALONG: its rows or columns (x) lie side by side; otherwise the summed axis (k) does.
template <class S, int X, bool ALONG> struct MatrixLoader {
  typedef typename S::T T;
  static constexpr int V = S::V, LX = X + V, TOTAL = X * S::K / V;
  static constexpr int COUNT = (TOTAL + S::THREADS - 1) / S::THREADS, SIDE = (ALONG ? X : S::K) / V;
  static constexpr int STEP = S::THREADS / SIDE;  // between a thread's vectors, along the other axis
  const T *next;
  int64_t lead;
  int across;  // ALONG: elements from this thread's first x to the edge; otherwise its x's
  bool wide;
  T held[COUNT][V];

  __device__ __forceinline__ static int side() { return (int)threadIdx.x % SIDE * V; }
  __device__ __forceinline__ static int other(int i) { return (int)threadIdx.x / SIDE + i * STEP; }
  __device__ __forceinline__ static bool idle(int i) {
    return TOTAL % S::THREADS && (int)threadIdx.x + i * S::THREADS >= TOTAL;
  }

  __device__ __forceinline__ MatrixLoader(const T *origin, int64_t lead, int first, int limit, int begin)
      : next(ALONG ? origin + (begin + other(0)) * lead + first + side()
                   : origin + (first + other(0)) * lead + begin + side()),
        lead(lead), across(limit - first - (ALONG ? side() : other(0))), wide(aligned(origin, lead)) {}

  __device__ __forceinline__ void fetch(int begin, int end) {
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
      if (idle(i)) break;
      const int inside = ALONG ? (begin + other(i) < end ? across : 0) : (i * STEP < across ? end - begin - side() : 0);
      if (wide && inside >= V) {
        load<V>(next + i * STEP * lead, held[i]);
      } else {
#pragma unroll
        for (int j = 0; j < V; ++j) held[i][j] = j < inside ? next[i * STEP * lead + j] : T(0);
      }
    }
    next += ALONG ? S::K * lead : S::K;
  }

  __device__ __forceinline__ void place(T *shared) const {
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
      if (idle(i)) break;
      if (ALONG) {
        store<V>(shared + other(i) * LX + side(), held[i]);
      } else {
#pragma unroll
        for (int j = 0; j < V; ++j) shared[(side() + j) * LX + other(i)] = held[i][j];
      }
    }
  }
};

// sums[i][j] = sum over k in begin .. end of a[i, k] * b[k, j], for the rows and columns of this thread.
template <class S, class A, class B>
__device__ __forceinline__ void multiply(typename S::T *shared, A &a, B &b, int begin, int end,
                                         typename S::T (&sums)[S::TM][S::TN]) {
  typedef typename S::T T;
  const int tx = (int)threadIdx.x % S::X, ty = (int)threadIdx.x / S::X;
  T *left = shared, *right = shared + 2 * S::K * S::LM;
#pragma unroll
  for (int i = 0; i < S::TM; ++i)
#pragma unroll
    for (int j = 0; j < S::TN; ++j) sums[i][j] = T(0);
  if (begin >= end) return;
  a.fetch(begin, end), b.fetch(begin, end);
  a.place(left), b.place(right);
  __syncthreads();
  for (int k = begin, half = 0;; half ^= 1) {
    const T *p = left + half * S::K * S::LM + ty * S::VM, *q = right + half * S::K * S::LN + tx * S::VN;
    k += S::K;
    if (k < end) a.fetch(k, end), b.fetch(k, end);
#pragma unroll
    for (int step = 0; step < S::K; ++step) {
      T x[S::TM], y[S::TN];
#pragma unroll
      for (int i = 0; i < S::TM; i += S::VM) load<S::VM>(p + step * S::LM + i * S::Y, x + i);
#pragma unroll
      for (int j = 0; j < S::TN; j += S::VN) load<S::VN>(q + step * S::LN + j * S::X, y + j);
#pragma unroll
      for (int i = 0; i < S::TM; ++i)
#pragma unroll
        for (int j = 0; j < S::TN; ++j) sums[i][j] += x[i] * y[j];
    }
    if (k >= end) break;
    a.place(left + (half ^ 1) * S::K * S::LM), b.place(right + (half ^ 1) * S::K * S::LN);
    __syncthreads();
  }
}

// The tile's row of this thread's i-th row, and the tile's column of its j-th column.
template <class S> __device__ __forceinline__ int row_of(int i) {
  return i / S::VM * S::VM * S::Y + (int)threadIdx.x / S::X * S::VM + i % S::VM;
}
template <class S> __device__ __forceinline__ int col_of(int j) {
  return j / S::VN * S::VN * S::X + (int)threadIdx.x % S::X * S::VN + j % S::VN;
}

// Writes the tile at (row0, col0) of a matrix of rows x cols, or adds to what is there.
template <class S>
__device__ __forceinline__ void write(typename S::T *c, int64_t lead, int row0, int col0, int rows, int cols,
                                      bool accumulate, typename S::T (&sums)[S::TM][S::TN]) {
  typedef typename S::T T;
  const bool wide = aligned(c, lead);
#pragma unroll
  for (int i = 0; i < S::TM; ++i) {
    const int row = row0 + row_of<S>(i);
    if (row >= rows) continue;
#pragma unroll
    for (int j = 0; j < S::TN; j += S::VN) {
      const int col = col0 + col_of<S>(j);
      T *p = c + row * lead + col;
      if (wide && col + S::VN <= cols) {
        T old[S::VN];
        if (accumulate) {
          load<S::VN>(p, old);
#pragma unroll
          for (int v = 0; v < S::VN; ++v) sums[i][j + v] += old[v];
        }
        store<S::VN>(p, &sums[i][j]);
      } else {
#pragma unroll
        for (int v = 0; v < S::VN; ++v)
          if (col + v < cols) p[v] = accumulate ? p[v] + sums[i][j + v] : sums[i][j + v];
      }
    }
  }
}

// This block's matrix z of many alike, and its tile (i, j). Neighbours in time share operands: within a matrix, eight
// rows of tiles, column by column.
template <class S> __device__ __forceinline__ void tile_at(int rows, int cols, int &z, int &i, int &j) {
  const int down = (rows + S::M - 1) / S::M, across = (cols + S::N - 1) / S::N;
  z = (int)blockIdx.x / (down * across);
  const int tile = (int)blockIdx.x % (down * across), band = tile / (8 * across), rest = tile % (8 * across);
  const int high = min(8, down - 8 * band);
  i = 8 * band + rest % high;
  j = rest / high;
}
