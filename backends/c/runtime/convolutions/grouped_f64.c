#define SYMC_DOUBLE 1
#include "grouped_typed.h"
