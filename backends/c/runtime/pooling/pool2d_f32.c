#define SYMC_DOUBLE 0
#include "pool2d_typed.h"
