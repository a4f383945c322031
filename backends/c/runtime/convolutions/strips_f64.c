#define SYMC_DOUBLE 1
#include "strips_typed.h"
