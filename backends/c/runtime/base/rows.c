/* Loops over steps whose rows are independent: each thread runs all steps on rows of its own. */
#include "scratch.h"

enum {
    LEAST_ROWS = 4,        /* of a range: products of fewer rows read the other operand too often */
    LEAST_WORK = 1 << 17,  /* scalar operations of all steps that are worth waking another thread */
    SHARED_WORK = 1 << 26, /* of a step, by thread, from which on all threads share each product: every thread then
                            * reads a part of what each of them would otherwise have to read whole */
    LEAST_SUNK_ROWS = 24,       /* of a range that multiplies its own rows: fewer take longer than many at once */
    LEAST_SUNK_BYTES = 4 << 20, /* of the products of all steps: fewer stay in the caches */
};

int64_t symc_row_ranges(int64_t rows, int64_t steps, int64_t work)
{
    int64_t ranges = symc_num_threads();
    if (ranges > rows / LEAST_ROWS)
        ranges = rows / LEAST_ROWS;
    if (ranges < 2 || work / ranges > SHARED_WORK || work * steps < LEAST_WORK)
        return 1;
    return ranges;
}

typedef struct {
    symc_task fn;
    void *arg;
    int64_t rows, ranges;
} loop;

static void run_ranges(void *arg, int64_t begin, int64_t end)
{
    const loop *l = arg;
    for (int64_t r = begin; r < end; r++)
        l->fn(l->arg, l->rows * r / l->ranges, l->rows * (r + 1) / l->ranges);
}

void symc_rows(symc_task fn, void *arg, int64_t rows, int64_t steps, int64_t work)
{
    loop l = {fn, arg, rows, symc_row_ranges(rows, steps, work)};
    if (l.ranges == 1)
        fn(arg, 0, rows); /* not inside a parallel loop: kernels may use all threads */
    else
        symc_parallel(run_ranges, &l, l.ranges, 1);
}

/* In the steps are two products, then: of the rows, and of the state. */
void symc_product_in_steps_u8(void *const *bufs, const int64_t *p)
{
    const int64_t rows = p[0], steps = p[1], cols = p[2], threads = symc_num_threads();
    *(uint8_t *)bufs[0] = rows >= threads * LEAST_SUNK_ROWS && rows * steps * cols * p[4] >= LEAST_SUNK_BYTES &&
                          symc_row_ranges(rows, steps, 4 * rows * cols * p[3]) == threads;
}
