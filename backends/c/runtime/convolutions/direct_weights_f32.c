#define SYMC_DOUBLE 0
#include "direct_weights_typed.h"
