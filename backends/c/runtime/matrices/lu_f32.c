#define SYMC_DOUBLE 0
#include "lu_typed.h"
