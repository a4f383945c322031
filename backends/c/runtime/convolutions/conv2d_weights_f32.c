#define SYMC_DOUBLE 0
#include "conv2d_weights_typed.h"
