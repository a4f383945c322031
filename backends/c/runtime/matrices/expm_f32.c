#define SYMC_DOUBLE 0
#include "expm_typed.h"
