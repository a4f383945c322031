#define SYMC_DOUBLE 1
#include "gemm_typed.h"
