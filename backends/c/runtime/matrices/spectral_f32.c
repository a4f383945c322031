#define SYMC_DOUBLE 0
#include "spectral_typed.h"
