#define SYMC_DOUBLE 0
#include "gather_typed.h"
