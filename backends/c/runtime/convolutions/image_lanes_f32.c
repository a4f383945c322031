#define SYMC_DOUBLE 0
#include "image_lanes_typed.h"
