#define SYMC_DOUBLE 1
#include "gather_typed.h"
