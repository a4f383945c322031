// The contract between a compiled kernel and the emulated driver (libcuda), which runs it.
#pragma once

#ifdef EMULATOR_DRIVER  // the driver has <stdint.h> and no CUDA words; a kernel's source has the opposite
struct uint3 {
    unsigned int x, y, z;
};
#endif

extern "C" {

// Where the running thread stands. The driver changes `thread` whenever it switches fibers.
struct emulator_position {
    uint3 thread, block, block_size, grid_size;
};
extern emulator_position emulator_here;

// The start of this launch's dynamic shared memory.
extern char *emulator_dynamic_shared;

struct emulator_parameter {
    unsigned offset, bytes;
    bool pointer;
};

// Exported by a kernel's object as `emulator_kernel_<name>`.
struct emulator_kernel {
    void (*call)(const char *parameters);  // runs one thread
    const emulator_parameter *parameters;
    unsigned count, bytes;
    unsigned most_threads;  // as __launch_bounds__ says, else 0
};

// Wait for the other threads of the block, or for the lanes of `mask`. `line` is the source line of the call: it names
// the place in messages, and shows threads that wait for each other in different places.
void emulator_barrier(const char *what, int line);
unsigned emulator_vote(const char *what, int line, bool yes, int which);
const unsigned long long *emulator_exchange(const char *what, int line, unsigned mask, unsigned long long value);
unsigned emulator_lane();
unsigned emulator_active_lanes();
[[noreturn]] void emulator_fail(int code, const char *what, int line);
}

#ifndef EMULATOR_DRIVER

#define threadIdx (static_cast<const uint3 &>(emulator_here.thread))
#define blockIdx (static_cast<const uint3 &>(emulator_here.block))
#define blockDim (static_cast<const uint3 &>(emulator_here.block_size))
#define gridDim (static_cast<const uint3 &>(emulator_here.grid_size))
static const int warpSize = 32;

namespace emulator {

// What launching must know of a kernel's parameters, from its type.
template <class T> struct is_pointer { static constexpr bool value = false; };
template <class T> struct is_pointer<T *> { static constexpr bool value = true; };
template <class T> struct is_pointer<T *const> { static constexpr bool value = true; };
template <class T> struct is_pointer<T *__restrict__> { static constexpr bool value = true; };

template <class... A> struct Layout {
    emulator_parameter parameters[sizeof...(A) + 1] = {};  // one more, since an array cannot be empty
    unsigned bytes = 0;
    constexpr Layout() {
        unsigned i = 0;
        ((parameters[i].offset = (bytes + alignof(A) - 1) / alignof(A) * alignof(A),
          parameters[i].bytes = sizeof(A), parameters[i].pointer = is_pointer<A>::value,
          bytes = parameters[i].offset + sizeof(A), ++i),
         ...);
    }
};

template <unsigned... I> struct Numbers {};
template <unsigned N, unsigned... I> struct Count : Count<N - 1, N - 1, I...> {};
template <unsigned... I> struct Count<0, I...> { typedef Numbers<I...> type; };

template <class T> inline T parameter(const char *bytes) {
    T value;
    __builtin_memcpy(&value, bytes, sizeof value);
    return value;
}

template <auto K> struct Kernel;
template <class... A, void (*K)(A...)> struct Kernel<K> {
    static constexpr Layout<A...> layout{};
    template <unsigned... I> static void call(const char *bytes, Numbers<I...>) {
        K(parameter<A>(bytes + layout.parameters[I].offset)...);
    }
    static void call(const char *bytes) { call(bytes, typename Count<sizeof...(A)>::type{}); }
};

constexpr unsigned first(unsigned value = 0, ...) { return value; }

}  // namespace emulator

// The compiler adds one of these for each kernel; what follows the name are the arguments of __launch_bounds__.
#define EMULATOR_KERNEL(name, ...)                                                                              \
    extern "C" __attribute__((visibility("default"))) const emulator_kernel emulator_kernel_##name = {          \
        &emulator::Kernel<&name>::call, emulator::Kernel<&name>::layout.parameters,                             \
        sizeof(emulator::Kernel<&name>::layout.parameters) / sizeof(emulator_parameter) - 1,                    \
        emulator::Kernel<&name>::layout.bytes, emulator::first(__VA_ARGS__)};

#define EMULATOR_DYNAMIC_SHARED(type, name) static type *const &name = (type *const &)emulator_dynamic_shared

#endif
