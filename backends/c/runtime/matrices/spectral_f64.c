#define SYMC_DOUBLE 1
#include "spectral_typed.h"
