// Finding races on shared memory; see races.cpp.
#pragma once

#include <stddef.h>

namespace emulator {

// Where and when a thread stands. Accesses of two threads are in order if a barrier lies between them, or, in one warp,
// an exchange of values.
struct Moment {
    unsigned thread, warp, barriers, exchanges;
};

// Defined in blocks.cpp, for the thread that runs.
Moment moment();
void report_race(bool dynamic, size_t byte, bool wrote_before, unsigned thread_before, bool writes_now);

// Shared memory of the launch that begins.
void watch(void *static_memory, size_t static_bytes, void *dynamic_memory, size_t dynamic_bytes);
void watch_nothing();

}  // namespace emulator
