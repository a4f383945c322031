#define SYMC_DOUBLE 1
#include "direct_typed.h"
