#define SYMC_DOUBLE 0
#include "dense_typed.h"
