/* The algorithm that a convolution would take. See symc_rt.h. Compiled once per element type. */
#include "conv2d.h"

int FN(symc_conv2d_method)(int pass, const int64_t *p)
{
    conv2d v = FN(symc_read_conv2d)(p);
    v.stored = pass & 4 ? (symc_stored *)&v : NULL; /* not read */
    pass &= 3;
    return pass == 0 ? FN(symc_forward_method)(&v) : pass == 1 ? FN(symc_backward_method)(&v) : FN(symc_weights_method)(&v);
}
