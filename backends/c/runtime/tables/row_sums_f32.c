#define SYMC_DOUBLE 0
#include "row_sums_typed.h"
