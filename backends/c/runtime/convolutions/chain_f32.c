#define SYMC_DOUBLE 0
#include "chain_typed.h"
