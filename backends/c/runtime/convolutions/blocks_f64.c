#define SYMC_DOUBLE 1
#include "blocks_typed.h"
