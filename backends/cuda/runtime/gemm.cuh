// Matrix products. Blocks: x counts the tiles of all matrices of the batch, y pieces of the summed axis.
#include "tile.cuh"

// C[z] = A[z] B[z] (or += ) for row-major matrices, op(A) of rows x cols by op(B); each piece of `span` elements of the
// summed axis writes its own copy of C, `piece_stride` elements apart.
template <class S, bool TRANS_A, bool TRANS_B>
__device__ __forceinline__ void gemm(typename S::T *shared, typename S::T *c, const typename S::T *a,
                                     const typename S::T *b, int rows, int cols, int depth, int64_t lda, int64_t ldb,
                                     int64_t ldc, int64_t stride_a, int64_t stride_b, int64_t stride_c, bool accumulate,
                                     int span, int64_t piece_stride) {
  typename S::T sums[S::TM][S::TN];
  const int begin = (int)blockIdx.y * span, end = min(depth, begin + span);
  int z, i, j;
  tile_at<S>(rows, cols, z, i, j);
  MatrixLoader<S, S::M, TRANS_A> left(a + z * stride_a, lda, i * S::M, rows, begin);
  MatrixLoader<S, S::N, !TRANS_B> right(b + z * stride_b, ldb, j * S::N, cols, begin);
  multiply<S>(shared, left, right, begin, end, sums);
  write<S>(c + z * stride_c + (int)blockIdx.y * piece_stride, ldc, i * S::M, j * S::N, rows, cols, accumulate, sums);
}

// The second stage: the pieces' results, summed in order. They lie densely; C has rows of `ldc` elements.
template <class T>
__device__ __forceinline__ void combine(T *c, const T *pieces, int rows, int cols, int64_t ldc, int64_t stride_c,
                                        int batch, bool accumulate, int count) {
  const int64_t matrix = (int64_t)rows * cols, total = matrix * batch;
  for (int64_t e = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; e < total; e += gridDim.x * (int64_t)blockDim.x) {
    const int64_t z = e / matrix, row = (e - z * matrix) / cols, col = (e - z * matrix) % cols;
    T *p = c + z * stride_c + row * ldc + col, sum = pieces[e];
    for (int piece = 1; piece < count; ++piece) sum += pieces[piece * total + e];
    *p = accumulate ? *p + sum : sum;
  }
}
