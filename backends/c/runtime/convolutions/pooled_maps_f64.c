#define SYMC_DOUBLE 1
#include "pooled_maps_typed.h"
