#define SYMC_DOUBLE 0
#include "gemm_typed.h"
