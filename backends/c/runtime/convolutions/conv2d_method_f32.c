#define SYMC_DOUBLE 0
#include "conv2d_method_typed.h"
