#define SYMC_DOUBLE 1
#include "grouped_weights_typed.h"
