#define SYMC_DOUBLE 0
#include "planes_typed.h"
