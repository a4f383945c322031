#define SYMC_DOUBLE 0
#include "cholesky_typed.h"
