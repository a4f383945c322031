#define SYMC_DOUBLE 0
#include "strips_typed.h"
