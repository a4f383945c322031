/* Stores past the caches, for large results that nothing reads soon. */
#ifndef SYMC_STREAM_H
#define SYMC_STREAM_H

#include "real.h"

enum { STREAM_BYTES = 16 << 20 }; /* the least result that is not kept in the caches */

/* p is a multiple of VEC_BYTES. */
INLINE void store_past(real *p, vec v)
{
#if defined(__clang__)
    __builtin_nontemporal_store(v, (vec *)p);
#elif defined(__AVX512F__)
    __builtin_ia32_movntps512((float *)p, (float __attribute__((vector_size(64))))v);
#elif defined(__AVX__)
    __builtin_ia32_movntps256((float *)p, (float __attribute__((vector_size(32))))v);
#elif defined(__SSE2__)
    __builtin_ia32_movntps((float *)p, (float __attribute__((vector_size(16))))v);
#else
    store(p, v);
#endif
}

/* Before another thread may read what was stored. */
INLINE void finish_stream(void)
{
#if defined(__SSE2__)
    __builtin_ia32_sfence();
#endif
}

/* Whether rows of `bytes` bytes in all, `ld` elements apart, may be stored so. */
INLINE int may_stream(const real *p, int64_t ld, int64_t bytes)
{
    return bytes >= STREAM_BYTES && (uintptr_t)p % VEC_BYTES == 0 && ld % VL == 0;
}

#endif
