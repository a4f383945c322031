#define SYMC_DOUBLE 0
#define SYMC_COMPLEX 1
#include "triangular_typed.h"
