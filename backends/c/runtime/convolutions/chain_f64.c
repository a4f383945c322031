#define SYMC_DOUBLE 1
#include "chain_typed.h"
