#define SYMC_DOUBLE 1
#include "band_typed.h"
