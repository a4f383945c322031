#define SYMC_DOUBLE 1
#include "dense_typed.h"
