// Finds races on shared memory: two threads of a block touch the same byte, one of them writes, and nothing orders them.
//
// Threads are fibers, so that a race never happens here in a harmful way; it has to be deduced. Kernels are compiled with
// -fsanitize=thread, for its calls before each access of memory. Instead of its library, these functions answer them:
// for each byte of shared memory they keep who wrote it last and who read it since, and when. Atomics are not recorded.
#include <stdint.h>
#include <vector>

#include "emulator.h"
#include "races.h"

namespace emulator {

namespace {

constexpr uint16_t SEVERAL_IN_WARP = 0xfffe, SEVERAL = 0xffff;

// The last accesses of one kind. `thread` may stand for several, since the last barrier or the last exchange.
struct Access {
    uint32_t barriers = 0, exchanges = 0;
    uint16_t thread = 0, warp = 0;

    // Whether another thread than the one at `now` is among them, with nothing to put the two in order.
    bool unordered(const Moment &now) const {
        if (barriers != now.barriers || thread == now.thread) return false;
        return thread == SEVERAL || warp != now.warp || exchanges == now.exchanges;
    }
    void set(const Moment &now) { *this = {now.barriers, now.exchanges, (uint16_t)now.thread, (uint16_t)now.warp}; }
    void add(const Moment &now) {
        bool fresh = barriers == now.barriers && thread != now.thread;
        if (!fresh) set(now);
        else if (thread == SEVERAL || warp != now.warp) thread = SEVERAL;
        else if (exchanges == now.exchanges) thread = SEVERAL_IN_WARP;
        else set(now);  // earlier readers of this warp are in order with it; for other warps this one stands for all
    }
};

struct Byte {
    Access written, read;
};

bool on = true;
const char *regions[2] = {};
size_t sizes[2] = {};
std::vector<Byte> bytes;  // of the static memory, then of the dynamic

void touch(const void *address, size_t count, bool writes) {
    for (int region = 0; region < 2; ++region) {
        size_t offset = (size_t)((const char *)address - regions[region]);
        if (offset >= sizes[region]) continue;
        Moment now = moment();
        Byte *byte = &bytes[(region ? sizes[0] : 0) + offset];
        // Of words the first byte stands for all four: this is what most of the time goes to.
        size_t step = count < 4 ? 1 : 4;
        for (size_t i = 0; i < count && offset + i < sizes[region]; i += step, byte += step) {
            if (byte->written.unordered(now)) report_race(region, offset + i, true, byte->written.thread, writes);
            if (writes && byte->read.unordered(now)) report_race(region, offset + i, false, byte->read.thread, true);
            if (writes) byte->written.set(now);
            else byte->read.add(now);
        }
        return;
    }
}

}  // namespace

void watch(void *static_memory, size_t static_bytes, void *dynamic_memory, size_t dynamic_bytes) {
    regions[0] = (const char *)static_memory, sizes[0] = on ? static_bytes : 0;
    regions[1] = (const char *)dynamic_memory, sizes[1] = on ? dynamic_bytes : 0;
    if (bytes.size() < sizes[0] + sizes[1]) bytes.resize(sizes[0] + sizes[1]);
}

void watch_nothing() { sizes[0] = sizes[1] = 0; }

}  // namespace emulator

EMULATOR_API void emulator_set_races(int wanted) { emulator::on = wanted; }

// --- what the compiler calls -----------------------------------------------------------------------------------------

#define ACCESS(name, count)                                                                        \
    EMULATOR_API void __tsan_read##name(void *address) { emulator::touch(address, count, false); } \
    EMULATOR_API void __tsan_write##name(void *address) { emulator::touch(address, count, true); }
ACCESS(1, 1)
ACCESS(2, 2)
ACCESS(4, 4)
ACCESS(8, 8)
ACCESS(16, 16)
#define UNALIGNED(count)                                                                                              \
    EMULATOR_API void __tsan_unaligned_read##count(void *address) { emulator::touch(address, count, false); }         \
    EMULATOR_API void __tsan_unaligned_write##count(void *address) { emulator::touch(address, count, true); }
UNALIGNED(2)
UNALIGNED(4)
UNALIGNED(8)
UNALIGNED(16)
EMULATOR_API void __tsan_read_range(void *address, size_t count) { emulator::touch(address, count, false); }
EMULATOR_API void __tsan_write_range(void *address, size_t count) { emulator::touch(address, count, true); }
EMULATOR_API void __tsan_init() {}
EMULATOR_API void __tsan_func_entry(void *) {}
EMULATOR_API void __tsan_func_exit() {}
