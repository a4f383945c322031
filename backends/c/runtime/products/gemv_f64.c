#define SYMC_DOUBLE 1
#include "gemv_typed.h"
