/* See chain.h. Compiled once per element type.
 *
 * A task is a band of rows of an image. It goes through the channels of the depthwise convolution in blocks: the pointwise
 * one in front makes the rows that are read of them, the one behind adds its products with them to its output. Rows at the
 * border of two bands are made twice.
 */
#include "chain.h"

#include "base/stored.h"
#include "products/unpacked.h"

enum {
    BLOCK_BYTES = 192 << 10, /* of the depthwise sums that are held: with the rows that they read in the second level cache */
    CACHE_BYTES = 1 << 20,   /* of a thread, in which values stay until they are read */
    PACKED = 1 << 14,        /* elements for which another thread is used */
    FINISHED = 512,          /* columns of a panel that are finished together, in the first level cache */
};

typedef struct {
    const conv2d *v;
    const real *weights, *in;
    real *out;
    const real *packed; /* the weights of a pointwise convolution, panel after panel */
} member;

typedef struct {
    member before, depth, after; /* v is NULL where there is none */
    planes z;
    int64_t panels, blocks;      /* the channels of the depthwise convolution in panels; blocks of these */
} chain;

/* Rows [first, first + count) of the output of an image, and what they read. */
typedef struct {
    int64_t image, first, count;
    window_rows rows;
} part;

INLINE int64_t panels_of(int64_t rows) { return ceil_div(rows, TILE_ROWS); }
INLINE int64_t panel_start(int64_t rows, int64_t panel) { return panel * rows / panels_of(rows); }
INLINE int64_t padded(int64_t columns) { return ceil_div(columns, TILE_COLS) * TILE_COLS; }
INLINE int64_t pixels_read(const chain *c, int64_t rows) { return rows * c->depth.v->in_w; }
INLINE int64_t pixels_made(const chain *c, int64_t rows) { return rows * c->depth.v->out_w; }

/* If it is not plain: columns [first, first + count) of `rows` rows from `row` on of an output with rows of `width` columns. They are at
 * `held`, where a row follows `step` elements behind the one before. */
static void finish_held(const member *m, int64_t row, int64_t rows, int64_t width, int64_t first, int64_t count,
                        const real *held, int64_t step)
{
    const symc_epilogue *e = m->v->epilogue;
    if (!e || is_plain_epilogue(e) || count <= 0)
        return;
    for (int64_t last = row + rows; row < last; row++, held += step) {
        void *matrix = (void *)((uintptr_t)held - (uintptr_t)(row * width + first) * sizeof(real));
        e->run(e->args, matrix, matrix, row, 1, first, count);
    }
}

/* A panel of channels, which begins with channel `from`, of the rows that a band reads. */
static void run_before(const chain *c, const part *b, int64_t from, int64_t channels, real *held, int64_t step)
{
    const member *m = &c->before;
    int64_t all = m->v->in_h * m->v->in_w, k = m->v->channels, first = pixels_read(c, b->rows.top);
    int64_t count = pixels_read(c, b->rows.behind - b->rows.before), whole = count / VL * VL;
    const real *in = m->in + b->image * k * all + first, *weights = m->packed + from * k;
    for (int64_t j = 0; j < count; j += FINISHED) {
        int64_t columns = smaller(FINISHED, count - j);
        for (int64_t i = j; i < smaller(j + columns, whole); i += TILE_COLS)
            FN(symc_tile)(channels, smaller(TILE_COLS, whole - i), k, weights, channels, in + i, all, held + i, step, 0,
                          NULL, in_order(weights + channels * k));
        if (j + columns > whole) /* nothing may be read behind the images */
            FN(symc_unpacked_product)(channels, count - whole, k, m->weights + from * k, k, 1, in + whole, all, held + whole,
                                      step, 0);
        finish_held(m, b->image * m->v->filters + from, channels, all, first + j, columns, held + j, step);
    }
}

/* The last vectors of rows of `count` sums to come: a tile multiplies whole vectors, and undefined memory may be subnormal
 * numbers, which take many times as long. */
static void clear_ends(real *sums, int64_t rows, int64_t count, int64_t apart)
{
    for (int64_t row = 0; row < rows && count % VL; row++)
        store(sums + row * apart + count / VL * VL, (vec){0});
}

/* What a channel of a band reads, which is finished on the way if it is not yet. */
static void read_window(const chain *c, const part *b, int64_t channel, const real *from, real *window)
{
    const conv2d *v = c->before.v;
    plain_rows own;
    const plain_rows *p = v ? plain_rows_of(v->epilogue, b->image * v->filters + channel, 1, &own) : NULL;
    FN(symc_copy_window)(&c->z, from, b->rows, 0, p, window);
}

/* The depthwise sums of channels, which read `read` or memory, to `held` or to memory. */
static void run_depth(const chain *c, const part *b, int64_t from, int64_t channels, const real *read, int64_t step, real *held,
                      real *window)
{
    const conv2d *v = c->depth.v;
    int64_t all = pixels_made(c, v->out_h), first = pixels_made(c, b->first), count = pixels_made(c, b->count);
    int64_t filters = c->z.filters, apart = c->after.v ? padded(count) : all, row = b->image * v->filters + from * filters;
    real *next = window + window_size_of(&c->z), *sums = c->after.v ? held : c->depth.out + row * all + first;
    read_window(c, b, from, read, window);
    for (int64_t i = 0; i < channels; i++, sums += filters * apart, row += filters) {
        if (i + 1 < channels) /* before this one is summed: what was just written is slow to read across stores */
            read_window(c, b, from + i + 1, read + (i + 1) * step, next);
        if (c->after.v)
            clear_ends(sums, filters, count, apart);
        FN(symc_sum_window)(&c->z, from + i, b->count, row, window, sums, apart);
        finish_held(&c->depth, row, filters, all, first, count, sums, apart);
        real *other = window;
        window = next, next = other;
    }
}

/* Adds the products with the depthwise sums of channels [from, to). */
static void run_after(const chain *c, const part *b, int64_t from, int64_t to, const real *held)
{
    const member *m = &c->after;
    int64_t all = m->v->in_h * m->v->in_w, first = pixels_made(c, b->first), count = pixels_made(c, b->count);
    int64_t filters = m->v->filters, k = (to - from) * c->z.filters, skipped = from * c->z.filters;
    real *out = m->out + b->image * filters * all + first;
    const int last = to == c->depth.v->channels;
    plain_rows own;
    const plain_rows *end = last ? plain_rows_of(m->v->epilogue, b->image * filters, filters, &own) : NULL;
    for (int64_t j = 0; j < count; j += TILE_COLS)
        for (int64_t p = 0; p < panels_of(filters); p++) {
            int64_t row = panel_start(filters, p), rows = panel_start(filters, p + 1) - row;
            plain_rows rest;
            FN(symc_tile)(rows, smaller(TILE_COLS, count - j), k, m->packed + row * m->v->channels + skipped * rows, rows,
                          held + j, padded(count), out + row * all + j, all, from > 0, rows_from(end, row, &rest),
                          in_order(m->packed + (row + rows) * m->v->channels));
        }
    if (last && !end)
        finish_columns(m->v->epilogue, b->image * filters, filters, first, count);
}

static void run_band(const chain *c, const part *b, real *read, real *held, real *window)
{
    const conv2d *v = c->depth.v;
    int64_t step = c->before.v ? padded(pixels_read(c, c->z.high)) : v->in_h * v->in_w;
    int64_t apart = padded(pixels_made(c, b->count)) * c->z.filters;
    for (int64_t k = 0; k < c->blocks; k++) {
        int64_t first = k * c->panels / c->blocks, last = (k + 1) * c->panels / c->blocks;
        int64_t start = panel_start(v->channels, first);
        for (int64_t p = first; p < last; p++) {
            int64_t from = panel_start(v->channels, p), channels = panel_start(v->channels, p + 1) - from;
            const real *rows = read;
            if (c->before.v)
                run_before(c, b, from, channels, read, step);
            else
                rows = c->depth.in + (b->image * v->channels + from) * step + pixels_read(c, b->rows.top);
            run_depth(c, b, from, channels, rows, step, held + (from - start) * apart, window);
        }
        if (c->after.v)
            run_after(c, b, start, panel_start(v->channels, last), held);
    }
}

/* The elements of a block of depthwise sums, and of the panel of rows that they read. */
static int64_t held_elements(const chain *c)
{
    int64_t panel = ceil_div(c->depth.v->channels, c->panels), rows = ceil_div(c->depth.v->out_h, c->z.bands);
    return c->after.v ? ceil_div(c->panels, c->blocks) * panel * c->z.filters * padded(pixels_made(c, rows)) : 0;
}

static int64_t read_elements(const chain *c)
{
    return c->before.v ? TILE_ROWS * padded(pixels_read(c, c->z.high)) : 0;
}

static void run_bands(void *arg, int64_t begin, int64_t end)
{
    const chain *c = arg;
    size_t bytes = 2 * window_size_of(&c->z) * sizeof(real);
    real *window = symc_scratch(SLOT_BAND, bytes);
    real *read = symc_scratch(SLOT_BAND_2, read_elements(c) * sizeof(real));
    real *held = symc_scratch(SLOT_BLOCK, held_elements(c) * sizeof(real));
    if (begin < end)
        memset(window, 0, bytes);
    for (int64_t task = begin; task < end; task++) {
        int64_t i = task % c->z.bands, first = band_start(&c->z, i), last = band_start(&c->z, i + 1);
        part b = {task / c->z.bands, first, last - first, FN(symc_rows_behind)(&c->z, first, last)};
        run_band(c, &b, read, held, window);
    }
}

/* ---- the plan ---- */

static int is_pointwise(const conv2d *v)
{
    return v->taps_h == 1 && v->taps_w == 1 && v->step_h == 1 && v->step_w == 1 && v->pad_h == 0 && v->pad_w == 0 &&
           v->groups == 1 && v->out_h == v->in_h && v->out_w == v->in_w && v->channels > 0 && v->filters > 0;
}

/* Which of the convolutions is the depthwise one; -1 if they are no chain. */
static int64_t place_of_depthwise(const conv2d *v, int64_t count)
{
    int64_t at = is_pointwise(&v[0]) ? 1 : 0;
    if (count < 2 || at + 2 < count || at >= count || !FN(symc_planes_suit)(&v[at]))
        return -1;
    return at + 1 == count || is_pointwise(&v[at + 1]) ? at : -1;
}

static chain chain_of(const conv2d *v, int64_t count, const real *weights)
{
    int64_t at = place_of_depthwise(v, count);
    return (chain){.before.v = at ? v : NULL, .depth.v = v + at, .after.v = at + 1 < count ? v + at + 1 : NULL,
                   .z = FN(symc_planes_of)(v + at, weights)};
}

/* As few bands as fit the caches and occupy all threads. */
static void plan(chain *c)
{
    const conv2d *v = c->depth.v;
    int64_t threads = symc_num_threads(), bands = FN(symc_least_bands)(&c->z);
    while (v->images * bands % threads && bands < v->out_h && v->images * bands < 4 * threads)
        bands++;
    FN(symc_divide_planes)(&c->z, bands);
    c->panels = c->blocks = panels_of(v->channels);
    int64_t most = BLOCK_BYTES / (int64_t)sizeof(real) / larger(1, held_elements(c));
    c->blocks = ceil_div(c->panels, larger(1, most));
}

/* The time that a chain saves, in nanoseconds of one thread of one processor: of elements that neither go to memory nor to
 * another core, and of parallel loops in which threads wait for one another, without what is computed twice, products in
 * smaller pieces, sums that every block of channels reads and writes again, and the overhead of a channel and of weights. */
static double time_saved(const conv2d *v, int64_t count)
{
    const double of_product = 0.12 / VL, of_piece = 0.05 / VL, of_channel = 40, of_weight = 0.05, of_element = 0.35, in_cache = 0.05;
    const double of_sum = 0.1, of_loop = 5000; /* and thread */
    chain c = chain_of(v, count, NULL);
    plan(&c);
    const conv2d *d = c.depth.v;
    double tasks = (double)(d->images * c.z.bands), saved = -of_channel * tasks * (double)d->filters;
    if (symc_num_threads() > 1)
        saved += (double)((count - 1) * symc_num_threads()) * of_loop;
    if (c.before.v) {
        double made = (double)(d->images * d->channels) * (double)(d->in_h * d->in_w), k = (double)c.before.v->channels;
        double twice = (double)(c.z.bands * c.z.high) / (double)d->in_h - 1;
        int large = made * sizeof(real) > CACHE_BYTES * (double)symc_num_threads();
        saved += made * (large ? of_element : in_cache) - of_product * k * made * (twice > 0 ? twice : 0) -
                 of_weight * tasks * k * (double)d->channels;
    }
    if (c.after.v) {
        double made = (double)(d->images * d->filters) * (double)(d->out_h * d->out_w), rows = (double)c.after.v->filters;
        saved += made * of_element - of_piece * rows * made - of_weight * tasks * rows * (double)d->filters;
        saved -= of_sum * (double)((c.blocks - 1) * d->images * d->out_h * d->out_w) * rows;
    }
    return saved;
}

chain_part FN(symc_chain_part)(const conv2d *v, int64_t count, const double *gains, int always)
{
    chain_part best = {0, 0};
    double most = 0;
    for (int64_t first = 0; first + 2 <= count; first++)
        for (int64_t members = 2; first + members <= count; members++) {
            int exists = place_of_depthwise(v + first, members) >= 0;
            double saved = !exists ? 0 : always ? (double)members : time_saved(v + first, members);
            for (int64_t i = first; exists && !always && i < first + members; i++)
                saved -= gains[i];
            if (saved > most)
                most = saved, best = (chain_part){first, members};
        }
    return best;
}

/* The filters of a pointwise convolution, packed; those of another one are not. */
static symc_form packed(const conv2d *v, const real *weights, int slot)
{
    symc_form_key key = {weights, v->channels <= BLOCK_K ? FORM_PANELS : FORM_LONG_PANELS,
                         {VL, sizeof(real), 1, v->filters, v->channels, 0, v->channels}};
    return symc_form_of(v->stored, &key, v->filters * v->channels * sizeof(real), slot);
}

static void pack(void *arg, int64_t begin, int64_t end)
{
    const member *m = arg;
    int64_t k = m->v->channels;
    for (int64_t p = begin; p < end; p++) {
        int64_t row = panel_start(m->v->filters, p), rows = panel_start(m->v->filters, p + 1) - row;
        FN(symc_transpose)((real *)m->packed + row * k, rows, m->weights + row * k, k, rows, k);
    }
}

static void pack_member(member *m, int slot)
{
    if (!m->v)
        return;
    symc_form form = packed(m->v, m->weights, slot);
    m->packed = form.memory;
    if (!form.ready) {
        symc_parallel(pack, m, panels_of(m->v->filters), larger(1, PACKED / (TILE_ROWS * m->v->channels)));
        symc_form_made(&form);
    }
}

void FN(symc_chain_forward)(const conv2d *v, int64_t count, void *const *bufs)
{
    int64_t at = place_of_depthwise(v, count);
    chain c = chain_of(v, count, bufs[4 * at + 2]);
    member *const m[3] = {&c.before, &c.depth, &c.after};
    for (int64_t i = 0; i < count; i++, bufs += 4)
        *m[i + 1 - at] = (member){&v[i], bufs[2], bufs[1], bufs[0], NULL};
    plan(&c);
    pack_member(&c.before, SLOT_SHARED);
    pack_member(&c.after, SLOT_SHARED_2);
    symc_parallel(run_bands, &c, v[at].images * c.z.bands, 1);
}
