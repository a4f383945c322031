#define SYMC_DOUBLE 1
#include "thin_typed.h"
