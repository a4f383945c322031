#define SYMC_DOUBLE 1
#include "tile_typed.h"
