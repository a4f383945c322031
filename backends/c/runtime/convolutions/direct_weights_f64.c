#define SYMC_DOUBLE 1
#include "direct_weights_typed.h"
