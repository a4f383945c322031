#define SYMC_DOUBLE 0
#include "winograd_typed.h"
