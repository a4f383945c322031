/* The run-time library of the C back end: a thread pool, scratch memory and the numerical library calls.
 *
 * Generated code sees only this header. Library calls share one convention, `call(buffers, parameters)`: `bufs` holds
 * array addresses, outputs first; `p` holds integers. Arrays are C-contiguous and do not overlap unless said otherwise;
 * leading dimensions and strides count elements. Every call accepts empty arrays, and for a fixed number of threads
 * returns the same bits on every run.
 */
#ifndef SYMC_RT_H
#define SYMC_RT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SYMC_API __attribute__((visibility("default")))
#else
#define SYMC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* The body of a parallel loop: does the iterations [begin, end). On an empty range it asks for the scratch memory that
 * any of its iterations may want, and touches no array. */
typedef void (*symc_task)(void *arg, int64_t begin, int64_t end);

/* The number of threads a parallel loop may use, the calling one included. Default: the CPUs open to this process. */
SYMC_API int symc_num_threads(void);

/* Sets that number, for the whole process; values below 1 mean 1. Takes effect from the next parallel loop. */
SYMC_API void symc_set_num_threads(int n);

/* Runs `fn` over [0, n) in chunks of at least `grain` iterations and returns when all are done.
 *
 * The chunks depend on n, grain and the number of threads only; which thread runs which chunk is not defined. Runs as
 * one inline call fn(arg, 0, n) when n <= grain, when there is one thread, when called from inside a parallel loop, or
 * while another application thread has the pool. n <= 0 does nothing. */
SYMC_API void symc_parallel(symc_task fn, void *arg, int64_t n, int64_t grain);

/* Calls `fn(arg, first, last)` for ranges that together are 0 .. rows - 1, at the same time. Each call runs all `steps` of
 * a loop, which takes `work` scalar operations per step for all rows. With one range `fn` may use all threads. */
SYMC_API void symc_rows(symc_task fn, void *arg, int64_t rows, int64_t steps, int64_t work);

/* The number of ranges. */
SYMC_API int64_t symc_row_ranges(int64_t rows, int64_t steps, int64_t work);

/* Calls `fn(arg, first, last)` for blocks of at most `block` rows, at the same time. No block has rows of two matrices of
 * `size` rows each. */
SYMC_API void symc_row_blocks(symc_task fn, void *arg, int64_t rows, int64_t size, int64_t block);

/* The number of rows of a block, for this many matrices. */
SYMC_API int64_t symc_rows_of_block(int64_t matrices, int64_t size, int64_t block);

/* Whether each range of rows multiplies its own rows, by a K x N matrix in each step, or all threads multiply those of all
 * steps before the loop.  bufs = {yes, a byte};  p = {rows, steps, N, K, bytes of an element} */
SYMC_API void symc_product_in_steps_u8(void *const *bufs, const int64_t *p);

/* ---- scratch memory ---------------------------------------------------------------------------------------------- */

enum {
    SYMC_SCRATCH_SLOTS = 32,       /* slots of one thread: 0 .. 31 */
    SYMC_SCRATCH_LIBRARY_SLOT = 16, /* this slot and those above belong to the library calls */
    SYMC_SCRATCH_ROWS_SLOT = 31    /* but for this one: the values that blocks of rows pass on */
};

/* The calling thread's scratch block `slot`, at least `bytes` long, 64-byte aligned, contents undefined.
 *
 * It stays valid until the same thread asks for more in the same slot. Ends the process with a message when the system
 * has no memory left: generated code has no way to go on. */
SYMC_API void *symc_scratch(int slot, size_t bytes);

/* Whether the processor reads rows ahead by itself so well that to ask for them delays a loop that only adds them up. */
SYMC_API int symc_follows_rows(void);

/* Fills all scratch blocks of the calling thread with a pattern, to test what depends on undefined contents: values, or the
 * time of operations on subnormal numbers. */
SYMC_API void symc_scratch_fill(uint32_t pattern);

/* A library call, as declared below. */
typedef void (*symc_call)(void *const *bufs, const int64_t *p);

/* ---- stored operands --------------------------------------------------------------------------------------------- */

/* An operand of more than one call: a shared variable that the call does not change, or a constant. What a library call
 * makes of it (packed panels, transformed filters) is kept for the next call, see stored.h.
 *
 * symc_stored_new() takes the address of a variable's turn (symc/runtime/turns.py), or NULL for a constant; it returns
 * NULL without memory. symc_stored_renew() tells that a constant has another value from now on, while no call reads it: so an
 * operand that stays the same in a loop is a constant for the time of the loop. symc_stored_limit() sets the bytes that all kept forms of the process may take together, and
 * symc_stored_bytes() are those they take now. */
typedef struct symc_stored symc_stored;
SYMC_API symc_stored *symc_stored_new(const int64_t *turn);
SYMC_API void symc_stored_renew(symc_stored *stored);
SYMC_API void symc_stored_free(symc_stored *stored);
SYMC_API void symc_stored_limit(size_t bytes);
SYMC_API size_t symc_stored_bytes(void);

/* A library call `name` with such operands is symc_name_stored(bufs, p, stored): `stored` has an element, or NULL, for each
 * input that is named in its description as one that may be stored. */
typedef void (*symc_stored_call)(void *const *bufs, const int64_t *p, symc_stored *const *stored);

/* How much scratch memory work takes, found out without doing it. From symc_measure_begin() to symc_measure_end(),
 * parallel loops of this thread run their tasks on empty ranges, once for each thread that would take part, and scratch
 * comes from blocks that are set aside for these threads.
 *
 * symc_measure_call() makes a library call, with null pointers for arrays if need be: what it does outside of tasks
 * touches only scratch. symc_measure_scratch() stands for a parallel loop over [0, n) whose iterations ask for `bytes`
 * in `slot`. symc_measure_each() and symc_measure_scratch_of_each() stand for `width` threads that each do so whole
 * inside a parallel loop, symc_measure_each_stored() for calls of which `forms` keep other forms of their operands. symc_measured() is the bytes of all blocks of all threads so far. What returns int returns 0 when there is
 * not even room for measuring. */
SYMC_API int symc_measure_begin(void);
SYMC_API int symc_measure_call(symc_call call, void *const *bufs, const int64_t *p);
SYMC_API int symc_measure_stored_call(symc_stored_call call, void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API int symc_measure_scratch(int slot, size_t bytes, int64_t n, int64_t grain);
SYMC_API int symc_measure_each(symc_call call, void *const *bufs, const int64_t *p, int width);
SYMC_API int symc_measure_each_stored(symc_stored_call call, void *const *bufs, const int64_t *p, symc_stored *const *stored,
                                      int width, int64_t forms);
SYMC_API int symc_measure_scratch_of_each(int slot, size_t bytes, int width);
SYMC_API size_t symc_measured(void);
SYMC_API void symc_measure_end(void);

/* What follows a call element by element. The output of the call is a matrix; `run` processes columns [first, first +
 * count) of `rows` rows from `row` on, after these have been computed. It is called from any thread, once for each
 * element. It reads these elements as those of a matrix that begins at `output`, and nothing else reads them, so that a call
 * may as well store them elsewhere than in its output (base/epilogue.h). Under symc_conv2d_chain() the results that have the
 * memory of the output are stored to `results` in its place, a matrix like it, unless that is NULL.
 * A library call `name` with one is symc_name_epilogue(bufs, p, stored), with its address behind the buffers.
 *
 * A plain one only stores element = min(max(element + terms[row % period], low), high), to the memory of the output: a call may
 * do so itself. `period` is 0 for others, and negative if terms are of columns or of elements, in the order of the output; no
 * bound is a NaN. If columns are vectors of 32 elements, terms and elements of `kept`
 * are vectors too, and (bfloat16 of the element, rounded to nearest even) & kept[row % period] is stored to `bits`; without
 * `kept` all bits are. Then the element of `added`, which are bfloat16 in the order of the output, is added before it is bounded,
 * unless that is NULL. */
enum { SYMC_TERM_OF_COLUMN = -1, SYMC_TERM_OF_ELEMENT = -2 };
typedef struct {
    void (*run)(void *args, void *output, void *results, int64_t row, int64_t rows, int64_t first, int64_t count);
    void *args;
    void *output; /* the memory of the output of the call */
    const void *terms; /* of the type of the elements */
    int64_t period;
    double low, high;
    void *bits;
    const uint16_t *kept, *added;
} symc_epilogue;

/* ---- matrix products --------------------------------------------------------------------------------------------- */

/* C (M, N) = (accumulate ? C : 0) + op(A) (M, K) op(B) (K, N), row-major; op is transposition where the flag is set, so
 * A is stored (K, M) under transA and B is stored (N, K) under transB.
 *
 * bufs = {C, A, B};  p = {transA, transB, M, N, K, lda, ldb, ldc, accumulate};  stored = {A, B} */
SYMC_API void symc_gemm_f32(void *const *bufs, const int64_t *p);
SYMC_API void symc_gemm_f64(void *const *bufs, const int64_t *p);
SYMC_API void symc_gemm_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_gemm_stored_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);

/* The same for `batch` triples, element b of an operand starting b * stride further on; stride 0 shares an input.
 *
 * bufs = {C, A, B};
 * p = {batch, transA, transB, M, N, K, lda, ldb, ldc, strideA, strideB, strideC, accumulate};  stored = {A, B} */
SYMC_API void symc_batched_gemm_f32(void *const *bufs, const int64_t *p);
SYMC_API void symc_batched_gemm_f64(void *const *bufs, const int64_t *p);
SYMC_API void symc_batched_gemm_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_batched_gemm_stored_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);

/* With an epilogue. The rows of C are contiguous: ldc is N, and strideC M * N. */
SYMC_API void symc_gemm_epilogue_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_gemm_epilogue_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_batched_gemm_epilogue_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_batched_gemm_epilogue_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);

/* ---- convolution ------------------------------------------------------------------------------------------------- */

/* Two-dimensional convolution. X is (N, C, H, W), W is (K, C / groups, R, S), Y is (N, K, OH, OW):
 *
 *     Y[n, k, i, j] = sum over c, r, s of
 *         W[k, c, r, s] * X[n, g + c, i * stride_h + r' * dil_h - pad_top, j * stride_w + s' * dil_w - pad_left]
 *
 * where g is the first channel of k's group, elements outside X count as zero, and (r', s') is (r, s), or under `flip`
 * (R - 1 - r, S - 1 - s), which is convolution in the mathematical sense. The padding below and to the right follows
 * from OH and OW. Outputs are overwritten in full.
 *
 * In float32, 3x3 and 5x5 filters at stride 1 may go by minimal filtering, F(4x4, 3x3) and F(2x2, 5x5): its relative error
 * is about 1e-6 rms (of other sums 0.3e-6), and an infinity or NaN makes NaN of the outputs of its tiles, which are
 * less than 6 pixels away.
 *
 * p = {N, C, H, W, K, R, S, OH, OW, stride_h, stride_w, pad_top, pad_left, dil_h, dil_w, groups, flip};
 * stored = {W}, of the first two */
SYMC_API void symc_conv2d_forward_f32(void *const *bufs, const int64_t *p); /* bufs = {Y, X, W} */
SYMC_API void symc_conv2d_forward_f64(void *const *bufs, const int64_t *p);
SYMC_API void symc_conv2d_forward_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_forward_stored_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_backward_data_f32(void *const *bufs, const int64_t *p); /* bufs = {dX, dY, W} */
SYMC_API void symc_conv2d_backward_data_f64(void *const *bufs, const int64_t *p);
SYMC_API void symc_conv2d_backward_data_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_backward_data_stored_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_backward_weights_f32(void *const *bufs, const int64_t *p); /* bufs = {dW, X, dY} */
SYMC_API void symc_conv2d_backward_weights_f64(void *const *bufs, const int64_t *p);

/* With an epilogue: a row of the output is a map of an image, or a channel of dX. */
SYMC_API void symc_conv2d_forward_epilogue_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_forward_epilogue_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_backward_data_epilogue_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_backward_data_epilogue_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);

/* The maxima of windows of pool_h rows and pool_w columns of forward convolutions, which do not overlap: Y is (N, K, OH / pool_h,
 * OW / pool_w), with OH and OW those before pooling, as is a row for the epilogue. p = {as above, pool_h, pool_w}. */
SYMC_API void symc_conv2d_pooled_f32(void *const *bufs, const int64_t *p); /* bufs = {Y, X, W} */
SYMC_API void symc_conv2d_pooled_f64(void *const *bufs, const int64_t *p);
SYMC_API void symc_conv2d_pooled_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_pooled_stored_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_pooled_epilogue_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_pooled_epilogue_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);

/* Up to three forward convolutions, each of which reads the output of the one before, which nothing else reads: only the last
 * output is stored in any case. A pointwise convolution, a depthwise one and another pointwise one may run in bands of rows,
 * so that what is between them stays in the caches.
 *
 * bufs = {Y, X, W, epilogue or NULL} of each;  p = {their number, then p of each};  stored = {W} of each
 *
 * symc_conv2d_chain_part() tells which of them would run so: the first one's number times 4, plus how many; 0 if none. */
SYMC_API void symc_conv2d_chain_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_chain_stored_f64(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API int symc_conv2d_chain_part_f32(int stored, const int64_t *p);
SYMC_API int symc_conv2d_chain_part_f64(int stored, const int64_t *p);

/* The forward convolution of images in blocks of 32 channels, of operands rounded to bfloat16 and summed in float32: for layers
 * that hand their maps on to each other, which are neither turned nor widened between them.
 *
 * X holds bfloat16 (the upper halves of floats), (N, C / 32, H, W, 32); C is a multiple of 32, and so is K. Y is float32, (N,
 * K / 32, OH / pool_h, OW / pool_w, 32): the maxima of windows of pool_h rows and pool_w columns, which do not overlap; OH and
 * OW are before pooling. With an epilogue, a row of the output is a block of maps of an image, a column a pixel of 32 elements;
 * nothing is written to Y. There is one group, or with windows of one pixel as many as channels and filters.
 * Filters have zeros for channels from `channels` on. p = {as above, pool_h, pool_w, channels}; stored = {W}. */
SYMC_API void symc_conv2d_blocks_f32(void *const *bufs, const int64_t *p); /* bufs = {Y, X, W} */
SYMC_API void symc_conv2d_blocks_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_blocks_epilogue_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);

/* The same of float32 images that are not in blocks, (N, C, H, W), of a few channels: sums over C R S terms. */
SYMC_API void symc_conv2d_to_blocks_f32(void *const *bufs, const int64_t *p);
SYMC_API void symc_conv2d_to_blocks_stored_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);
SYMC_API void symc_conv2d_to_blocks_epilogue_f32(void *const *bufs, const int64_t *p, symc_stored *const *stored);

/* Which algorithm convolutions take from now on. preferred: 0 what a cost model finds fastest; 1 minimal filtering
 * wherever it exists; 2 blocks of channels wherever they exist; 3 packed panels always; 4 bands of rows wherever they
 * exist. Under `strict` there is no minimal filtering. The method of a pass (0 forward, 1 images, 2 weights; 4 more with
 * stored filters) is what would be done now, as a number with a name. */
SYMC_API void symc_conv2d_choose(int preferred, int strict);
SYMC_API int symc_conv2d_method_f32(int pass, const int64_t *p);
SYMC_API int symc_conv2d_method_f64(int pass, const int64_t *p);
SYMC_API const char *symc_conv2d_method_name(int method);

/* Whether operands of float32 products and convolutions are rounded to bfloat16 from now on: 0 no, 1 by instructions on
 * vectors, 2 by instructions on matrix registers too. Sums are float32. -1: no, and no operand is divided into parts of bfloat16
 * either (products/pairs.h). Returns what the processor has, which is the most that takes effect: without either, nothing is
 * rounded. Small products, and convolutions of few channels, are never rounded. */
SYMC_API int symc_choose_bfloat16(int most);

/* ---- pooling ----------------------------------------------------------------------------------------------------- */

enum { SYMC_POOL_MAX, SYMC_POOL_AVERAGE_INC_PAD, SYMC_POOL_AVERAGE_EXC_PAD, SYMC_POOL_SUM };

/* Pooling over the last two axes. X is (N, H, W), Y is (N, OH, OW); N gathers all leading axes. Window (i, j) starts at
 * row i * stride_h - pad_h and column j * stride_w - pad_w of X and is clipped to the padded image, which has pad_h
 * more rows above and below, pad_w more columns to each side. `max` and `sum` take the elements of X in the window;
 * AVERAGE_INC_PAD divides their sum by the size of the clipped window, AVERAGE_EXC_PAD by how many of them lie in X.
 * A window with no element of X gives 0 (-inf for max). A NaN in a window makes its maximum NaN.
 *
 * In the gradient of max, every element equal to its window's maximum receives the whole dY: ties all receive.
 *
 * p = {N, H, W, OH, OW, win_h, win_w, stride_h, stride_w, pad_h, pad_w, mode} */
SYMC_API void symc_pool2d_forward_f32(void *const *bufs, const int64_t *p); /* bufs = {Y, X} */
SYMC_API void symc_pool2d_forward_f64(void *const *bufs, const int64_t *p);
SYMC_API void symc_pool2d_backward_f32(void *const *bufs, const int64_t *p); /* bufs = {dX, X, Y, dY} */
SYMC_API void symc_pool2d_backward_f64(void *const *bufs, const int64_t *p);

/* The same of bfloat16 in blocks of 32 channels: X is (N, H, W, 32), Y is (N, OH, OW, 32), sums are float32. */
SYMC_API void symc_pool2d_blocks_u16(void *const *bufs, const int64_t *p); /* bufs = {Y, X} */

/* The derivative of that gradient with respect to dY, in direction ddX (N, H, W): out[n, i, j] is the sum of ddX over
 * the elements of window (i, j) that equal its maximum.  bufs = {out, X, Y, ddX};  p as above, mode ignored. */
SYMC_API void symc_pool2d_max_grad_grad_f32(void *const *bufs, const int64_t *p);
SYMC_API void symc_pool2d_max_grad_grad_f64(void *const *bufs, const int64_t *p);

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* Table (rows, columns) whose row r is the sum of those rows k of X (count, columns) with places[k] = r, int64 and at least
 * 0 and less than rows; in the order of k. There are less than 2^31 rows.  p = {rows, count, columns} */
SYMC_API void symc_row_sums_f32(void *const *bufs, const int64_t *p); /* bufs = {table, X, places} */
SYMC_API void symc_row_sums_f64(void *const *bufs, const int64_t *p);

/* ---- sorting ----------------------------------------------------------------------------------------------------- */

/* Lines of n elements along an axis of an array (outer, n, inner), in ascending order; all sorts are stable. NaN is larger
 * than any number, -0.0 equals 0.0. As with factorisations, the last of bufs is an int64 that is set to 1 on failure.
 *
 * sort      bufs = {Y, X, failed},  p = {outer, n, inner}
 * argsort   bufs = {places, X, failed},  p likewise: int64
 * topk      bufs = {Y, places, X, count, failed},  p = {outer, n, inner, k, largest}: the k largest (or smallest) of every
 *           line, the most extreme first, of equal ones those at lower indices; largest = 2: the end of the sorted line.
 *           Fails unless 0 <= k <= n */
#define SYMC_SORTS(T)                                               \
    SYMC_API void symc_sort_##T(void *const *bufs, const int64_t *p);    \
    SYMC_API void symc_argsort_##T(void *const *bufs, const int64_t *p); \
    SYMC_API void symc_topk_##T(void *const *bufs, const int64_t *p);
SYMC_SORTS(f32)
SYMC_SORTS(f64)
SYMC_SORTS(i8)
SYMC_SORTS(i16)
SYMC_SORTS(i32)
SYMC_SORTS(i64)
SYMC_SORTS(u8)
SYMC_SORTS(u16)
SYMC_SORTS(u32)
SYMC_SORTS(u64)

/* ---- factorisations ---------------------------------------------------------------------------------------------- */

/* These take one buffer more than other library calls, a `const char *` at the end of bufs. They set it to a message if they
 * could not do what was asked: without LAPACK (real matrices of up to 16 rows need none), for empty matrices, and for
 * matrices that have no such factorisation. What the outputs hold is then undefined. Every matrix is n x n unless said
 * otherwise, and a batch of them is one after another. All of them also exist as complex_..., for
 * matrices of pairs of numbers. A' is the transpose; complex factors V' are conjugate transposes.
 *
 * cholesky             bufs = {L, A},  p = {batch, n, lower, nan}: reads one triangle; nan instead of failing
 * lu                   bufs = {LU, pivots, A},  p = {batch, n}: see lu_typed.h; never fails for a matrix
 * lu_solve             bufs = {X, LU, pivots, A, B},  p = {batch, n, k, turned}: A X = B, or A' X = B; X and B are n x k
 * lu_inverse           bufs = {X, LU, pivots, A},  p = {batch, n, nan}: nan instead of failing
 * lu_det               bufs = {d, LU, pivots, A},  p = {batch, n}
 * lu_slogdet           bufs = {sign, log, LU, pivots, A},  p = {batch, n}
 * lu_cofactors         bufs = {X, LU, pivots, A},  p = {batch, n}: det(A) A^-T; fails near singular matrices
 * triangular           bufs = {X, A, B},  p = {batch, n, k, lower, turned}: reads one triangle of A
 * svd                  bufs = {U, s, V', A},  p = {batch, m, n, full}: A is m x n, the factors are thin or square
 * singular_values      bufs = {s, A},  p = {batch, m, n}
 * pinv                 bufs = {X, A, rcond},  p = {batch, m, n}: X is n x m, rcond a double
 * eigh                 bufs = {w, V, A},  p = {batch, n, lower}
 * eigenvalues_symmetric  bufs = {w, A},  p = {batch, n, lower}
 * qr                   bufs = {Q, R, A},  p = {batch, m, n, complete}: A is m x n; Q is m x min(m, n), or m x m
 * eig                  bufs = {w, V, A},  p = {batch, n}: w and V are complex
 * eigenvalues          bufs = {w, A},  p = {batch, n}
 * expm                 bufs = {X, A},  p = {batch, n} */
#define SYMC_FACTORISES(name)                                                                                         \
    SYMC_API void symc_##name##_f32(void *const *bufs, const int64_t *p);                                             \
    SYMC_API void symc_##name##_f64(void *const *bufs, const int64_t *p);                                             \
    SYMC_API void symc_complex_##name##_f32(void *const *bufs, const int64_t *p);                                     \
    SYMC_API void symc_complex_##name##_f64(void *const *bufs, const int64_t *p);
SYMC_FACTORISES(cholesky)
SYMC_FACTORISES(lu)
SYMC_FACTORISES(lu_solve)
SYMC_FACTORISES(lu_inverse)
SYMC_FACTORISES(lu_det)
SYMC_FACTORISES(lu_slogdet)
SYMC_FACTORISES(lu_cofactors)
SYMC_FACTORISES(triangular)
SYMC_FACTORISES(svd)
SYMC_FACTORISES(singular_values)
SYMC_FACTORISES(pinv)
SYMC_FACTORISES(eigh)
SYMC_FACTORISES(eigenvalues_symmetric)
SYMC_FACTORISES(qr)
SYMC_FACTORISES(eig)
SYMC_FACTORISES(eigenvalues)
SYMC_FACTORISES(expm)

/* The library: its routines by name (NULL behind the last), the address of routine k, and the function that sets its number
 * of threads. */
SYMC_API const char *symc_lapack_name(int k);
SYMC_API void symc_lapack_set(int k, void *function);
SYMC_API void symc_lapack_threads(void (*set)(int));

#ifdef __cplusplus
}
#endif
#endif
