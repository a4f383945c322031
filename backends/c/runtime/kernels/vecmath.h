/* Vectors of sixteen lanes and the elementary functions on them, for generated kernels.
 *
 *   vecmath_types.h    v_T, and what a register holds of it
 *   vecmath_memory.h   load and store
 *   vecmath_select.h   select, compare, minimum and maximum
 *   vecmath_lanes.h    rare cases, functions of numbers for each lane
 *   vecmath_reduce.h   accumulators, one value of all lanes
 *   vecmath_casts.h    convert
 *   vecmath_wide.h     loops over narrow elements alone
 *   vecmath_base.h     signs, rounding, square root, scaling by powers of two
 *   vecmath_f64.h      exp, log, tanh, sin ... of doubles
 *   vecmath_f32.h      the same of floats, and their inverses
 *   vecmath_angles.h   tan, hyperbolic functions and inverses of doubles
 *   vecmath_erf.h      erf, erfc
 *   vecmath_pow.h      powers of doubles
 *   vecmath_doubles.h  powers and hyperbolic functions of floats, by way of doubles
 *   vecmath_special.h  rarely used functions, and the scalar forms
 *
 * Every function has a vector form `vm_<name>_<type>` and a scalar form `sm_<name>_<type>` with the same bits.
 * -ffast-math would undo the special values and the careful sums; contracting a * b + c does no harm.
 * Link with -lm.
 */
#ifndef SYMC_VECMATH_H
#define SYMC_VECMATH_H
#include "vecmath_special.h"
#include "vecmath_wide.h"
#endif
