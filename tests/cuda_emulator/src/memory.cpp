// Device memory: every allocation between unmapped pages, poisoned, and never handed out again.
#include <map>
#include <string.h>
#include <sys/mman.h>

#include "emulator.h"

namespace emulator {

namespace {

constexpr size_t PAGE = 4096;
constexpr size_t GUARD = 1 << 20;       // unmapped on both sides of an allocation; addresses cost nothing
constexpr size_t ALIGNMENT = 256;       // what real allocations have at least
constexpr unsigned char POISON = 0xff;  // NaN in every float type, -1 in every integer

enum class Kind { device, global, pinned, registered };

// The user's bytes end where the mapping ends, up to alignment: [guard][... user ... padding][guard].
struct Region {
    size_t bytes, padding;
    char *mapping;
    size_t mapped;
    Kind kind;
};

std::map<uintptr_t, Region> regions;
size_t used = 0, limit = (size_t)2 << 30;

size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// The region that holds all of [address, address + bytes), or null.
const Region *region_of(const void *address, size_t bytes) {
    auto next = regions.upper_bound((uintptr_t)address);
    if (next == regions.begin()) return nullptr;
    auto found = std::prev(next);
    uintptr_t offset = (uintptr_t)address - found->first;
    return offset <= found->second.bytes && bytes <= found->second.bytes - offset ? &found->second : nullptr;
}

bool on_device(const Region *region) {
    return region && (region->kind == Kind::device || region->kind == Kind::global);
}

CUresult allocate(void **address, size_t bytes, Kind kind) {
    size_t inside = rounded(bytes, ALIGNMENT), mapped = rounded(inside, PAGE);
    char *mapping = (char *)mmap(nullptr, mapped + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EMULATOR_NEED(mapping != MAP_FAILED, CUDA_ERROR_OUT_OF_MEMORY, "the host has no %zu bytes", bytes);
    if (mprotect(mapping + GUARD, mapped, PROT_READ | PROT_WRITE)) {
        munmap(mapping, mapped + 2 * GUARD);
        return failed(CUDA_ERROR_OUT_OF_MEMORY, "the host has no %zu bytes", bytes);
    }
    char *user = mapping + GUARD + mapped - inside;
    memset(user, POISON, inside);
    regions[(uintptr_t)user] = Region{bytes, inside - bytes, mapping, mapped + 2 * GUARD, kind};
    *address = user;
    return CUDA_SUCCESS;
}

// The pages go back to the host; their addresses stay reserved, so that a late use of them is found.
void release(std::map<uintptr_t, Region>::iterator region) {
    const Region &r = region->second;
    mmap(r.mapping, r.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    regions.erase(region);
}

bool padding_is_whole(uintptr_t start, const Region &region) {
    const unsigned char *padding = (const unsigned char *)start + region.bytes;
    for (size_t i = 0; i < region.padding; ++i)
        if (padding[i] != POISON) return false;
    return true;
}

}  // namespace

bool is_device(const void *address, size_t bytes) { return on_device(region_of(address, bytes)); }

bool is_pinned(const void *address, size_t bytes) {
    const Region *region = region_of(address, bytes);
    return region && !on_device(region);
}

bool is_valid_parameter(const void *address) { return !address || region_of(address, 0); }

const char *describe(const void *address) {
    static char text[200];
    uintptr_t where = (uintptr_t)address;
    auto next = regions.upper_bound(where);
    if (next != regions.begin()) {
        auto before = std::prev(next);
        uintptr_t offset = where - before->first;
        size_t bytes = before->second.bytes;
        if (offset < bytes) {
            snprintf(text, sizeof text, "%p, byte %zu of the %zu bytes at %#zx", address, offset, bytes, before->first);
            return text;
        }
        if (offset - bytes < GUARD) {
            snprintf(text, sizeof text, "%p, %zu bytes past the end of the %zu bytes at %#zx", address, offset - bytes,
                     bytes, before->first);
            return text;
        }
    }
    if (next != regions.end() && next->first - where <= GUARD)
        snprintf(text, sizeof text, "%p, %zu bytes before the %zu bytes at %#zx", address, next->first - where,
                 next->second.bytes, next->first);
    else
        snprintf(text, sizeof text, "%p, which is no memory of the device (any more)", address);
    return text;
}

CUresult check_padding(const char *writer) {
    for (auto &[start, region] : regions)
        if (region.padding && !padding_is_whole(start, region)) {
            memset((char *)start + region.bytes, POISON, region.padding);
            return failed(CUDA_ERROR_ILLEGAL_ADDRESS, "%s wrote past the end of the %zu bytes at %#zx", writer,
                          region.bytes, start);
        }
    return CUDA_SUCCESS;
}

void add_global(const void *address, size_t bytes) {
    regions[(uintptr_t)address] = Region{bytes, 0, nullptr, 0, Kind::global};
}
void remove_global(const void *address) { regions.erase((uintptr_t)address); }

}  // namespace emulator

using namespace emulator;

EMULATOR_CALL cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_TRY(unless_capturing("cuMemAlloc"));
    EMULATOR_NEED(address && bytes, CUDA_ERROR_INVALID_VALUE, "cuMemAlloc of %zu bytes", bytes);
    size_t taken = rounded(bytes, ALIGNMENT);
    EMULATOR_NEED(used + taken <= limit, CUDA_ERROR_OUT_OF_MEMORY,
                  "out of memory: %zu bytes wanted, %zu of %zu in use", bytes, used, limit);
    void *memory;
    EMULATOR_TRY(allocate(&memory, bytes, Kind::device));
    used += taken;
    *address = (CUdeviceptr)memory;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuMemFree_v2(CUdeviceptr address) {
    Locked lock(device_lock);
    if (!address) return CUDA_SUCCESS;
    auto region = regions.find(address);
    EMULATOR_NEED(region != regions.end() && region->second.kind == Kind::device, CUDA_ERROR_INVALID_VALUE,
                  "cuMemFree: no allocation starts at %#llx", address);
    EMULATOR_TRY(unless_capturing("cuMemFree"));
    EMULATOR_TRY(finish_all());
    used -= rounded(region->second.bytes, ALIGNMENT);
    release(region);
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuMemAllocPitch_v2(CUdeviceptr *address, size_t *pitch, size_t width, size_t height, unsigned) {
    *pitch = rounded(width, 512);
    return cuMemAlloc_v2(address, *pitch * height);
}

EMULATOR_CALL cuMemAllocManaged(CUdeviceptr *address, size_t bytes, unsigned) { return cuMemAlloc_v2(address, bytes); }

EMULATOR_CALL cuMemGetInfo_v2(size_t *free, size_t *total) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    *total = limit;
    *free = used < limit ? limit - used : 0;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr address) {
    Locked lock(device_lock);
    auto next = regions.upper_bound(address);
    EMULATOR_NEED(is_device((void *)address, 0), CUDA_ERROR_NOT_FOUND, "%s", describe((void *)address));
    auto found = std::prev(next);
    if (base) *base = found->first;
    if (bytes) *bytes = found->second.bytes;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuMemHostAlloc(void **address, size_t bytes, unsigned) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_TRY(unless_capturing("cuMemHostAlloc"));
    EMULATOR_NEED(bytes, CUDA_ERROR_INVALID_VALUE, "cuMemHostAlloc of 0 bytes");
    return allocate(address, bytes, Kind::pinned);
}

EMULATOR_CALL cuMemFreeHost(void *address) {
    Locked lock(device_lock);
    auto region = regions.find((uintptr_t)address);
    EMULATOR_NEED(region != regions.end() && region->second.kind == Kind::pinned, CUDA_ERROR_INVALID_VALUE,
                  "cuMemFreeHost: no page-locked memory starts at %p", address);
    EMULATOR_TRY(unless_capturing("cuMemFreeHost"));
    EMULATOR_TRY(finish_all());
    release(region);
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuMemHostRegister_v2(void *address, size_t bytes, unsigned) {
    EMULATOR_TRY(need_context());
    Locked lock(device_lock);
    EMULATOR_NEED(!region_of(address, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "%p is page-locked", address);
    regions[(uintptr_t)address] = Region{bytes, 0, nullptr, 0, Kind::registered};
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuMemHostUnregister(void *address) {
    Locked lock(device_lock);
    auto region = regions.find((uintptr_t)address);
    EMULATOR_NEED(region != regions.end() && region->second.kind == Kind::registered,
                  CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "%p was not registered", address);
    EMULATOR_TRY(unless_capturing("cuMemHostUnregister"));
    EMULATOR_TRY(finish_all());
    regions.erase(region);
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuMemHostGetFlags(unsigned *flags, void *) {
    *flags = 0;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuMemHostGetDevicePointer_v2(CUdeviceptr *device, void *address, unsigned) {
    Locked lock(device_lock);
    EMULATOR_NEED(is_pinned(address, 1), CUDA_ERROR_INVALID_VALUE, "%p is not page-locked", address);
    *device = (CUdeviceptr)address;
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuPointerGetAttribute(void *data, CUpointer_attribute which, CUdeviceptr address) {
    Locked lock(device_lock);
    const Region *region = region_of((void *)address, 1);
    EMULATOR_NEED(region, CUDA_ERROR_INVALID_VALUE, "%s", describe((void *)address));
    if (which == CU_POINTER_ATTRIBUTE_MEMORY_TYPE)
        *(unsigned *)data = on_device(region) ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    else if (which == CU_POINTER_ATTRIBUTE_DEVICE_POINTER)
        *(CUdeviceptr *)data = address;
    else
        return failed(CUDA_ERROR_NOT_SUPPORTED, "the emulated device does not know pointer attribute %d", which);
    return CUDA_SUCCESS;
}

// --- for tests -------------------------------------------------------------------------------------------------------

EMULATOR_API size_t emulator_used() { return used; }
EMULATOR_API void emulator_set_memory(size_t bytes) { limit = bytes; }
EMULATOR_API size_t emulator_memory() { return limit; }
