/* Convolutions at stride 1 with few filters: strips of neighbouring pixels times all filters. */
#ifndef SYMC_STRIPS_H
#define SYMC_STRIPS_H

#include "gather.h"

/* Whether it is of that kind, and faster so than by panels and blocks of channels. */
HIDDEN int FN(symc_strips_suit)(const gather *g);

HIDDEN void FN(symc_strips_conv)(const gather *g);

#endif
