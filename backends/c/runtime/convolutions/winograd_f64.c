#define SYMC_DOUBLE 1
#include "winograd_typed.h"
