#define SYMC_DOUBLE 0
#include "pixels_typed.h"
