#define SYMC_DOUBLE 0
#include "blocks_typed.h"
