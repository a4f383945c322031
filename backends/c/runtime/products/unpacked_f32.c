#define SYMC_DOUBLE 0
#include "unpacked_typed.h"
