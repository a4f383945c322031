#define SYMC_DOUBLE 0
#include "band_typed.h"
