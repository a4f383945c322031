#define SYMC_DOUBLE 1
#include "pool2d_typed.h"
