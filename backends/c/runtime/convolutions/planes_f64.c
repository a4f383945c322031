#define SYMC_DOUBLE 1
#include "planes_typed.h"
