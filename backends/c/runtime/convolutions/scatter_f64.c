#define SYMC_DOUBLE 1
#include "scatter_typed.h"
