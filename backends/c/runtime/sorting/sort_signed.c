#include "sort.h"

#define TAG i8
#define TYPE int8_t
#define BITS 32
#define IS_FLOAT 0
#define IS_SIGNED 1
#include "sort_lines.h"

#define TAG i16
#define TYPE int16_t
#define BITS 32
#define IS_FLOAT 0
#define IS_SIGNED 1
#include "sort_lines.h"

#define TAG i32
#define TYPE int32_t
#define BITS 32
#define IS_FLOAT 0
#define IS_SIGNED 1
#include "sort_lines.h"

#define TAG i64
#define TYPE int64_t
#define BITS 64
#define IS_FLOAT 0
#define IS_SIGNED 1
#include "sort_lines.h"
