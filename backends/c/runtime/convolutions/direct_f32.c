#define SYMC_DOUBLE 0
#include "direct_typed.h"
