#define SYMC_DOUBLE 0
#include "grouped_typed.h"
