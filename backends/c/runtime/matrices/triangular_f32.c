#define SYMC_DOUBLE 0
#include "triangular_typed.h"
