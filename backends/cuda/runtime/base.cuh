// The beginning of every generated file. NVRTC has no <stdint.h>; nvcc has.
#ifdef __CUDACC_RTC__
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#else
#include <stdint.h>
#endif

static_assert(sizeof(int64_t) == 8, "int64_t has 8 bytes");
