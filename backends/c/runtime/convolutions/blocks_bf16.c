#define SYMC_DOUBLE 0
#define SYMC_PAIRS 1
#include "paired.h"
#if SYMC_HAS_PAIRS
#include "blocks_typed.h"
#endif
