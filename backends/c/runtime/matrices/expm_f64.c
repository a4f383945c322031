#define SYMC_DOUBLE 1
#include "expm_typed.h"
