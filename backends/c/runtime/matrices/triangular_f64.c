#define SYMC_DOUBLE 1
#include "triangular_typed.h"
