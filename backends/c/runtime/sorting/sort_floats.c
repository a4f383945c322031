#include "sort.h"

#define TAG f32
#define TYPE float
#define BITS 32
#define IS_FLOAT 1
#define IS_SIGNED 0
#include "sort_lines.h"

#define TAG f64
#define TYPE double
#define BITS 64
#define IS_FLOAT 1
#define IS_SIGNED 0
#include "sort_lines.h"
