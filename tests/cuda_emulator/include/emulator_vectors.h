// float4 and its kind, dim3, and the words CUDA adds to C++.
#pragma once

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

#define __global__
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
#define __maxnreg__(...)
#define __builtin_assume(condition) ((void)0)
#define __builtin_align__(bytes) __align__(bytes)

// One block runs at a time, on one thread of the host, so shared memory may be thread-local: nothing else of a kernel's
// object is, hence its thread-local segment IS the static shared memory, of known place and size, templates included.
// (`extern __shared__` arrays are the dynamic kind; the compiler rewrites them, see translate.cpp.)
#define __shared__ thread_local

#define EMULATOR_VECTOR(type, name, align2, align4)                                                    \
    struct name##1 { type x; };                                                                        \
    struct alignas(align2) name##2 { type x, y; };                                                     \
    struct name##3 { type x, y, z; };                                                                  \
    struct alignas(align4) name##4 { type x, y, z, w; };                                               \
    static inline name##1 make_##name##1(type x) { return {x}; }                                       \
    static inline name##2 make_##name##2(type x, type y) { return {x, y}; }                            \
    static inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                 \
    static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
EMULATOR_VECTOR(signed char, char, 2, 4)
EMULATOR_VECTOR(unsigned char, uchar, 2, 4)
EMULATOR_VECTOR(short, short, 4, 8)
EMULATOR_VECTOR(unsigned short, ushort, 4, 8)
EMULATOR_VECTOR(int, int, 8, 16)
EMULATOR_VECTOR(unsigned int, uint, 8, 16)
EMULATOR_VECTOR(long, long, 16, 16)
EMULATOR_VECTOR(unsigned long, ulong, 16, 16)
EMULATOR_VECTOR(long long, longlong, 16, 16)
EMULATOR_VECTOR(unsigned long long, ulonglong, 16, 16)
EMULATOR_VECTOR(float, float, 8, 16)
EMULATOR_VECTOR(double, double, 16, 16)
#undef EMULATOR_VECTOR

struct dim3 {
    unsigned int x, y, z;
    constexpr dim3(unsigned int x = 1, unsigned int y = 1, unsigned int z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
    constexpr operator uint3() const { return {x, y, z}; }
};
