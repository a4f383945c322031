#define SYMC_DOUBLE 0
#include "gemv_typed.h"
