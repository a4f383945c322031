#define SYMC_DOUBLE 0
#include "grouped_weights_typed.h"
