#include "sort.h"

#define TAG u8
#define TYPE uint8_t
#define BITS 32
#define IS_FLOAT 0
#define IS_SIGNED 0
#include "sort_lines.h"

#define TAG u16
#define TYPE uint16_t
#define BITS 32
#define IS_FLOAT 0
#define IS_SIGNED 0
#include "sort_lines.h"

#define TAG u32
#define TYPE uint32_t
#define BITS 32
#define IS_FLOAT 0
#define IS_SIGNED 0
#include "sort_lines.h"

#define TAG u64
#define TYPE uint64_t
#define BITS 64
#define IS_FLOAT 0
#define IS_SIGNED 0
#include "sort_lines.h"
