#define SYMC_DOUBLE 1
#define SYMC_COMPLEX 1
#include "triangular_typed.h"
