#define SYMC_DOUBLE 0
#include "scatter_typed.h"
