/* Convolutions of blocks of channels, any taps and strides, forward and with respect to the images. Compiled once per
 * element type, and once more for operands rounded to bfloat16, see pairs.h.
 *
 * A band of the images is turned to blocks of VL channels in the second level cache. Neighbouring pixels of an output row,
 * times a block of filters, are then a product over (block of channels, tap): nothing is packed for it but the filters.
 * With respect to the images the pixels with the same remainders modulo the strides, a phase, read through the same
 * taps; all phases of a band share its turned part of dY and fill the same rows of results, which are turned back.
 *
 * Where all images fit in the cache and have few pixels, the filters are the larger operand. Then all images are turned
 * first, and each unit takes some channels of one block of filters, which stay in the first level cache while they are
 * multiplied by all pixels: filters are read from memory once. Unless they are stored, they are packed there. Operands in
 * bfloat16 are divided into bands as always, but several images share a pass over many filters.
 */
#include "direct_plan.h"

/* ---- few pixels ---- */

INLINE part whole_image(const direct *z) { return (part){0, z->out_h, 0, z->out_w}; }
INLINE int64_t image_size(const direct *z) { return z->steps * z->high * z->wide * VL; }

/* Blocks of channels packed at a time. */
INLINE int64_t chunk_steps(const direct *z) { return smaller(z->steps, larger(1, chunk(z) / z->taps)); }

/* Tasks (image, group, block of channels). */
static void turn_images(void *arg, int64_t begin, int64_t end)
{
    const direct *z = arg;
    part b = whole_image(z);
    for (int64_t task = begin; task < end; task++) {
        int64_t place = task / z->steps, step = task % z->steps;
        turn_window(z, place, &b, step, step + 1, z->turned + place * image_size(z));
    }
}

/* Tasks (group, block of filters), for all images. */
static void run_blocks(void *arg, int64_t begin, int64_t end)
{
    const direct *z = arg;
    int64_t most = chunk_steps(z);
    real *turned = NULL, *filters = NULL;
    if (!z->packed) {
        turned = symc_scratch(SLOT_ROW, turned_filters_bytes(z, most));
        filters = symc_scratch(SLOT_BLOCK, turned_filters_bytes(z, most) / VL * TILE_COLS);
    }
    real *pixels = symc_scratch(SLOT_BLOCK_2, z->v->images * z->pixels * TILE_COLS * sizeof(real));
    part all = whole_image(z);
    int64_t top = window_start(&z->rows, 0), left = window_start(&z->cols, 0);
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / blocks(z), block = task % blocks(z), cols = block_cols(z, block);
        for (int64_t step = 0; step < z->steps; step += most) {
            int64_t count = smaller(most, z->steps - step);
            const real *b = filters;
            if (z->packed)
                b = packed_block(z, group, block) + step * packed_rows(z) * cols;
            else
                pack_block(z, group, block, step, step + count, turned, filters);
            multiply_band(z, &all, top, left, z->turned + group * image_size(z) + step * z->high * z->wide * VL,
                          z->v->groups * image_size(z), z->v->images, NULL, b, count, cols, pixels, step > 0, (sink){NULL, NULL, NULL});
        }
        for (int64_t image = 0; image < z->v->images; image++)
            put_block(z, image * z->v->groups + group, block, &all, pixels + image * z->pixels * cols);
    }
}

/* Whether the filters are the larger operand, and can be divided among the threads. */
static int has_few_pixels(const direct *z)
{
    int64_t tasks = z->v->groups * blocks(z), threads = symc_num_threads();
    int64_t bytes = z->v->images * z->v->groups * z->steps * VL * window_size(&z->rows, 0, z->out_h) *
                    window_size(&z->cols, 0, z->out_w) * (int64_t)sizeof(real);
    int64_t filter_bytes = z->v->groups * z->filters * z->channels * z->taps * (int64_t)sizeof(real);
    return z->steps > 0 && z->v->images * z->out_h * z->out_w <= MOST_PIXELS && bytes <= filter_bytes &&
           (bytes <= IMAGES_BYTES || (bytes <= 2 * IMAGES_BYTES && 2 * bytes <= filter_bytes)) &&
           (tasks % threads == 0 || tasks >= 4 * threads);
}

/* ---- all ---- */

/* Packs all filters, if they are stored or there is a slot for them. */
static void keep_filters(direct *z, int slot)
{
    int64_t tasks = z->v->groups * blocks(z), size = tasks * z->steps * packed_rows(z) * TILE_COLS;
    symc_form_key key = {z->weights, SYMC_PAIRS ? FORM_PAIRED_BLOCKS : FORM_BLOCKS,
                         {VL, sizeof(real), z->v->groups, z->channels, z->filters, z->taps, z->weight_filter,
                          z->weight_channel, z->parts.count, z->blocked}};
    symc_form packed = symc_form_of(z->v->stored, &key, size * sizeof(real) + tasks * z->steps * sizeof(extremes), slot);
    z->packed = packed.memory;
    if (!packed.memory)
        return;
    z->found = (extremes *)(z->packed + size);
    if (!packed.ready) {
        symc_parallel(pack_filters, z, tasks * z->steps, larger(1, 16384 / (z->taps * VL * TILE_COLS)));
        symc_form_made(&packed);
    }
}

static void run(direct *z)
{
    z->taps = z->rows.taps * z->cols.taps;
    z->pool_h = larger(1, z->pool_h), z->pool_w = larger(1, z->pool_w);
    z->parts = (pair_parts){1, 0, VL};
#if SYMC_PAIRS
    if (!z->blocked)
        z->parts.count = chosen_parts();
#endif
    z->steps = ceil_div(z->channels, BLOCK);
    if (z->present % BLOCK)
        z->parts.few = (int)ceil_div(z->present % BLOCK, 2), z->parts.gap = 1, z->parts.last = (z->steps - 1) * z->taps * VL;
    z->by_vectors = SYMC_PAIRS && symc_pairs != PAIRS_BY_TILES && z->parts.count == 1;
    z->apart = z->cols.up;
    const int wide = z->by_vectors && z->out_w >= LEAST_TILE; /* rows of results fill tiles, without pixels beside the image */
    if (SYMC_PAIRS ? z->blocked && !wide && z->rows.up * z->cols.up > 1 : z->cols.up > MOST_APART) {
        z->planes_h = smaller(z->rows.up, window_size(&z->rows, 0, 1));
        z->planes_w = smaller(z->cols.up, window_size(&z->cols, 0, 1));
        z->apart = 1;
    }
    z->flat = divides_window(z) ||
              (z->rows.up == 1 && z->cols.up == 1 && z->rows.down == 1 && z->cols.down == 1 &&
               ((SYMC_PAIRS && !wide) || (z->cols.taps == 1 && z->cols.base == 0 && z->in_w == z->out_w)));
    int few = !SYMC_PAIRS && !divides_window(z) && has_few_pixels(z);
    if (few) {
        z->high = window_size(&z->rows, 0, z->out_h), z->wide = window_size(&z->cols, 0, z->out_w);
        z->pixels = z->out_h * z->out_w;
    } else
        plan(z);
    int64_t phases = z->rows.down * z->cols.down, longest = z->steps * z->taps;
    z->counts = symc_scratch(SLOT_TABLE, phases * (sizeof(int64_t) + longest * sizeof(block_step)));
    z->lists = (block_step *)(z->counts + phases);
    for (int64_t i = 0; i < phases; i++)
        z->counts[i] = list_steps(z, i / z->cols.down, i % z->cols.down, z->lists + i * longest) / larger(1, z->steps);
    if (few) {
        int64_t places = z->v->images * z->v->groups;
        keep_filters(z, -1);
        z->turned = symc_scratch(SLOT_SHARED, places * image_size(z) * sizeof(real));
        symc_parallel(turn_images, z, places * z->steps, larger(1, 16384 / (z->high * z->wide * VL)));
        symc_parallel(run_blocks, z, z->v->groups * blocks(z), 1);
        return;
    }
#if SYMC_PAIRS
    z->finishes = finishes_pixels(z);
#endif
    keep_filters(z, SLOT_SHARED);
    symc_parallel(run_bands, z, z->v->groups * z->pieces * z->bands * z->splits, 1);
}

INLINE int fills(int64_t count, int64_t step) { return 7 * ceil_div(count, step) * step <= 8 * count; }

/* Whether what a row of results reads, with all that lies between the rows of far apart taps, is too large to be turned again for
 * every band. */
static int taps_lie_far_apart(const conv2d *v, int64_t channels, int64_t width)
{
    int64_t high = (v->taps_h - 1) * v->dil_h + 1, wide = width + (v->taps_w - 1) * v->dil_w;
    return v->dil_h > 1 && high * wide * channels * (int64_t)sizeof(real) > WINDOW_BYTES;
}

/* Whether sums of narrow rows, which wait for one another, take less time than filters do that are packed into panels at each call;
 * with respect to the images these are turned, too. */
static int waits_little(const conv2d *v, int64_t width, int backward)
{
    return v->images * v->out_h * (LEAST_TILE - width) <= (backward ? MOST_WAITING_BACK : MOST_WAITING);
}

int DIRECT(suits)(const conv2d *v, int backward)
{
    int64_t channels = v->channels / v->groups, filters = v->filters / v->groups, width = v->out_w;
    if (v->images * v->groups * v->out_h * v->out_w * v->in_h * v->in_w <= 0 || v->taps_h * v->taps_w <= 0 ||
        v->step_h * v->step_w > MOST_PHASES)
        return 0;
    if (v->taps_w == 1 && v->step_h == 1 && v->step_w == 1)
        width *= v->out_h;
    if (SYMC_PAIRS)
        return smaller(channels, filters) >= VL;
    if (symc_conv2d_preferred == PREFER_BLOCKS)
        return 1;
    return fills(channels, VL) && fills(filters, VL) && (width >= LEAST_TILE || v->stored || waits_little(v, width, backward)) &&
           !taps_lie_far_apart(v, backward ? filters : channels, v->out_w);
}

#if SYMC_PAIRS
/* Nanoseconds on one processor, measured there: of one multiplication, of an image's element that is turned or turned
 * back, and of a filter's element, which takes six bytes of memory, and is packed unless it is stored. Pixels beside the
 * image, and incomplete tiles, are multiplied too; with strides, each row of pixels has tiles of its own. */
double symc_paired_time(const conv2d *v, int backward)
{
    const int strided = v->step_h > 1 || v->step_w > 1;
    const double multiply = strided ? 0.0085 : 0.0052, turn = 0.4, turn_back = 0.5, filter = v->stored ? 0.6 : 0.9;
    int64_t channels = backward ? v->filters : v->channels, filters = backward ? v->channels : v->filters;
    double in = (double)v->images * (backward ? v->out_h * v->out_w : v->in_h * v->in_w);
    double out = (double)v->images * (backward ? v->in_h * v->in_w : v->out_h * v->out_w);
    double width = (double)v->out_w, weights = (double)v->filters * (double)(v->channels / v->groups * v->taps_h * v->taps_w);
    double wide = strided ? (double)(ceil_div(v->out_w, VL) * VL) : width + (double)((v->taps_w - 1) * v->dil_w);
    double whole = (double)(ceil_div(channels / v->groups, BLOCK) * BLOCK) * (double)(ceil_div(filters / v->groups, VL) * VL) *
                   (double)(v->groups * v->taps_h * v->taps_w);
    return multiply * (double)(v->images * v->out_h) * wide * whole + turn * in * (double)channels +
           turn_back * out * (double)filters + filter * weights;
}
#endif

static direct forward_of(const conv2d *v, real *y, const real *x, const real *weights)
{
    direct z = {.v = v, .in = x, .weights = weights, .out = y, .channels = v->channels / v->groups,
                .filters = v->filters / v->groups, .in_h = v->in_h, .in_w = v->in_w, .out_h = v->out_h,
                .out_w = v->out_w, .rows = forward_axis(v, 0), .cols = forward_axis(v, 1)};
    z.weight_channel = v->taps_h * v->taps_w, z.weight_filter = z.channels * z.weight_channel;
    return z;
}

static const axis one_tap = {.up = 1, .down = 1, .taps = 1, .dil = 1};

#if SYMC_PAIRS
void symc_paired_blocks(const conv2d *v, const int64_t *pool, real *y, const void *x, const real *weights)
{
    direct z = forward_of(v, y, x, weights);
    z.blocked = 1, z.pool_h = pool[0], z.pool_w = pool[1], z.present = pool[2];
    run(&z);
}

/* One tap at stride 1 of patches. */
void symc_paired_to_blocks(const conv2d *v, const int64_t *pool, real *y, const real *x, const real *weights)
{
    direct z = forward_of(v, y, NULL, weights);
    z.blocked = 1, z.pool_h = pool[0], z.pool_w = pool[1], z.few = x, z.rows = z.cols = one_tap;
    z.in_h = z.out_h, z.in_w = z.out_w, z.channels = z.present = z.weight_filter, z.weight_channel = 1;
    run(&z);
}
#endif

void DIRECT(forward)(const conv2d *v, real *y, const real *x, const real *weights)
{
#if SYMC_PAIRS && SYMC_HAS_TILES
    if (symc_pair_planes_suits(v)) {
        symc_pair_planes_forward(v, y, x, weights);
        return;
    }
#endif
    direct z = forward_of(v, y, x, weights);
    if (!SYMC_PAIRS && v->taps_h * v->taps_w == 1 && v->step_h * v->step_w > 1) {
        z.under_tap = 1, z.rows = z.cols = one_tap;
        z.in_h = v->out_h, z.in_w = v->out_w;
    }
    run(&z);
}

void DIRECT(backward_data)(const conv2d *v, real *dx, const real *dy, const real *weights)
{
#if SYMC_PAIRS && SYMC_HAS_TILES
    if (symc_pair_planes_suits(v)) {
        symc_pair_planes_backward_data(v, dx, dy, weights);
        return;
    }
#endif
    direct z = {.v = v, .in = dy, .weights = weights, .out = dx, .channels = v->filters / v->groups,
                .filters = v->channels / v->groups, .in_h = v->out_h, .in_w = v->out_w, .out_h = v->in_h,
                .out_w = v->in_w, .rows = backward_axis(v, 0), .cols = backward_axis(v, 1)};
    z.weight_filter = v->taps_h * v->taps_w, z.weight_channel = z.filters * z.weight_filter;
    run(&z);
}
