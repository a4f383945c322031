#define SYMC_DOUBLE 1
#include "unpacked_typed.h"
