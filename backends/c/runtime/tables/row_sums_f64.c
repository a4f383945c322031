#define SYMC_DOUBLE 1
#include "row_sums_typed.h"
