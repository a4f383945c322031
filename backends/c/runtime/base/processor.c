/* What the processor is like, where no instruction of its instruction set tells. See symc_rt.h. */
#include "symc_rt.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

enum { ZEN_3_AND_4 = 0x19 };

/* The number of AMD's family, else 0. */
static unsigned amd_family(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != 0x68747541) /* "Auth", of AuthenticAMD */
        return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    const unsigned family = a >> 8 & 0xf;
    return family == 0xf ? family + (a >> 20 & 0xff) : family;
}

static int follows_rows(void) { return amd_family() == ZEN_3_AND_4; }
#else
static int follows_rows(void) { return 0; }
#endif

int symc_follows_rows(void)
{
    static int known = -1; /* threads that find it at the same time find the same; to ask takes microseconds in a virtual machine */
    int found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (found < 0)
        __atomic_store_n(&known, found = follows_rows(), __ATOMIC_RELAXED);
    return found;
}
