#define SYMC_DOUBLE 0
#include "thin_typed.h"
