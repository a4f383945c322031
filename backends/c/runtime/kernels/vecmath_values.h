/* Vectors for every storage type: load, store, select, compare, convert, reduce. */
#ifndef SYMC_VECMATH_VALUES_H
#define SYMC_VECMATH_VALUES_H

#include "vecmath_casts.h"
#include "vecmath_memory.h"
#include "vecmath_reduce.h"
#include "vecmath_select.h"
#include "vecmath_types.h"

#endif
