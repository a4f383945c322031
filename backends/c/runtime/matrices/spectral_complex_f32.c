#define SYMC_DOUBLE 0
#define SYMC_COMPLEX 1
#include "spectral_typed.h"
