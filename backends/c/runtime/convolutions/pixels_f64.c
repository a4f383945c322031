#define SYMC_DOUBLE 1
#include "pixels_typed.h"
