#define SYMC_DOUBLE 1
#include "lu_typed.h"
