#define SYMC_DOUBLE 1
#include "winograd_weights_typed.h"
