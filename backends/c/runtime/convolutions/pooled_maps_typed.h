/* See pooled_maps.h. Compiled once per element type. */
#include "pooled_maps.h"

#include "pooling/pool2d_forward_typed.h"

static void pool_rows(void *arg, int64_t begin, int64_t end) { forward_rows(arg, 1, begin, end); }

void FN(symc_pool_maps)(const maps *m, const real *from, real *to)
{
    pool v = read_pool((const int64_t[]){m->planes, m->out_h, m->out_w, m->out_h / m->pool_h, m->out_w / m->pool_w, m->pool_h,
                                         m->pool_w, m->pool_h, m->pool_w, 0, 0, SYMC_POOL_MAX});
    v.x = from, v.out = to;
    run_by_row(pool_rows, &v);
}
