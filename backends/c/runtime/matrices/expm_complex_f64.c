#define SYMC_DOUBLE 1
#define SYMC_COMPLEX 1
#include "expm_typed.h"
