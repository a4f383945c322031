#define SYMC_DOUBLE 1
#include "conv2d_weights_typed.h"
