#define SYMC_DOUBLE 1
#include "cholesky_typed.h"
