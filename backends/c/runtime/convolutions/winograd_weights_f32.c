#define SYMC_DOUBLE 0
#include "winograd_weights_typed.h"
