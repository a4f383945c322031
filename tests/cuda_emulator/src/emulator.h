// What the parts of the emulated driver, and the libraries on top of it, know of each other.
#pragma once

#include <functional>
#include <mutex>

#include "cuda_declarations.h"

#define EMULATOR_API extern "C" __attribute__((visibility("default")))
#define EMULATOR_CALL EMULATOR_API CUresult

EMULATOR_CALL cuStreamSynchronize(CUstream stream);
EMULATOR_CALL cuGetErrorString(CUresult code, const char **text);

namespace emulator {

// One lock for the whole device: it does one thing at a time.
extern std::recursive_mutex device_lock;
typedef std::lock_guard<std::recursive_mutex> Locked;

// --- errors --------------------------------------------------------------------------------------------------------

// Notes what exactly is wrong, for cuGetErrorString to tell, and returns the code.
CUresult failed(CUresult code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// --- memory: memory.cpp ----------------------------------------------------------------------------------------------

bool is_device(const void *address, size_t bytes);  // inside one allocation of the device
bool is_pinned(const void *address, size_t bytes);  // inside one piece of page-locked host memory
bool is_valid_parameter(const void *address);       // device or pinned memory, its end, or null
const char *describe(const void *address);          // "16 bytes past the end of ...", in a static buffer
CUresult check_padding(const char *writer);         // whether something was written past the end of an allocation
void add_global(const void *address, size_t bytes); // a __device__ variable of a module
void remove_global(const void *address);

// --- streams: streams.cpp --------------------------------------------------------------------------------------------

typedef std::function<CUresult()> Work;

// Does `work` in its turn on `stream`: at once, or at the next synchronisation (if the device is lazy), or at each
// replay (if the stream is being captured).
CUresult submit(CUstream stream, const char *what, Work work);
// For calls that wait for all work: an error during a capture.
CUresult synchronise(const char *what);
// Does what streams outside of captures have queued.
CUresult finish_all();
// For calls that a capture in global mode forbids, such as allocations.
CUresult unless_capturing(const char *what);
CUresult check_stream(CUstream stream);
bool is_capturing(CUstream stream);

// --- contexts: driver.cpp --------------------------------------------------------------------------------------------

CUresult need_context();
int attribute(CUdevice_attribute which);

// --- blocks: blocks.cpp ----------------------------------------------------------------------------------------------

struct Launch {
    const char *name;
    void (*call)(const char *parameters);
    const char *parameters;
    unsigned grid[3], block[3];
    size_t dynamic_bytes;
    void *static_memory;
    size_t static_bytes;
    std::function<const char *(size_t)> shared_name;  // of the static variable that has a given byte
};
CUresult run(const Launch &launch);
extern bool reverse;

}  // namespace emulator

// Leave the calling function with a result that is no success.
#define EMULATOR_TRY(expression)                                           \
    do {                                                                   \
        CUresult result_of_try = (expression);                             \
        if (result_of_try != CUDA_SUCCESS) return result_of_try;           \
    } while (0)
#define EMULATOR_NEED(condition, code, ...)                                        \
    do {                                                                           \
        if (!(condition)) return emulator::failed(code, __VA_ARGS__);              \
    } while (0)
