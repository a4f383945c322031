#define SYMC_DOUBLE 0
#include "pooled_maps_typed.h"
