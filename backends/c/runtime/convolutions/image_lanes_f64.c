#define SYMC_DOUBLE 1
#include "image_lanes_typed.h"
