#define SYMC_DOUBLE 0
#include "tile_typed.h"
