/* Which algorithm a convolution takes: the user's settings, and the names of the algorithms. See symc_rt.h. */
#define SYMC_DOUBLE 0
#include "conv2d.h"

int symc_conv2d_preferred, symc_conv2d_strict;

void symc_conv2d_choose(int preferred, int strict)
{
    symc_conv2d_preferred = preferred;
    symc_conv2d_strict = strict;
}

const char *symc_conv2d_method_name(int method)
{
    static const char *const names[] = {"blocks of channels in bfloat16", "blocks of channels in parts of bfloat16", "matrix products", "groups in lanes", "scattered sums", "Winograd",
                                        "blocks of channels", "packed panels", "dot products", "planes",
                                        "images in lanes", "Winograd in parts of bfloat16",
                                        "matrix products in parts of bfloat16", "strips of pixels",
                                        "one product of all pixels"};
    return names[method];
}
