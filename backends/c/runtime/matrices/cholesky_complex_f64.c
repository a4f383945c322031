#define SYMC_DOUBLE 1
#define SYMC_COMPLEX 1
#include "cholesky_typed.h"
