// Copies and fills: all take the range they touch from one allocation, or fail.
#include <memory>
#include <stdint.h>
#include <string.h>
#include <vector>

#include "emulator.h"

using namespace emulator;

namespace {

enum class Side { host, device, either };

struct Range {
    char *address;
    size_t bytes;
    Side side;
};

CUresult check(const Range &range, const char *what) {
    if (!range.bytes) return CUDA_SUCCESS;
    if (range.side == Side::device)
        EMULATOR_NEED(is_device(range.address, range.bytes) || is_pinned(range.address, range.bytes),
                      CUDA_ERROR_INVALID_VALUE, "%s: %zu bytes of device memory wanted, starting at %s", what, range.bytes,
                      describe(range.address));
    if (range.side == Side::host)
        EMULATOR_NEED(range.address && !is_device(range.address, 0), CUDA_ERROR_INVALID_VALUE,
                      "%s: host memory wanted, got %s", what, describe(range.address));
    return CUDA_SUCCESS;
}

CUresult copy_now(const Range &to, const Range &from, const char *what) {
    EMULATOR_TRY(check(to, what));
    EMULATOR_TRY(check(from, what));
    if (to.bytes) memmove(to.address, from.address, to.bytes);
    return CUDA_SUCCESS;
}

// A copy that returns when it is done; it waits for the work before it.
CUresult copy(const Range &to, const Range &from, const char *what) {
    EMULATOR_TRY(need_context());
    return submit(nullptr, what, [=] { return copy_now(to, from, what); });
}

bool is_pageable(const Range &range) { return range.side == Side::host && !is_pinned(range.address, range.bytes); }

// A copy that may be done later. Of pageable host memory the driver takes what is there at the call, and to such memory
// it has copied on return; only page-locked memory must be left alone by the caller.
CUresult copy_later(const Range &to, const Range &from, CUstream stream, const char *what) {
    Locked lock(device_lock);
    EMULATOR_TRY(need_context());
    EMULATOR_TRY(check(to, what));
    EMULATOR_TRY(check(from, what));
    bool capturing = is_capturing(stream);
    if (is_pageable(from) && !capturing) {
        auto staged = std::make_shared<std::vector<char>>(from.address, from.address + from.bytes);
        return submit(stream, what, [=] { return copy_now(to, {staged->data(), to.bytes, Side::either}, what); });
    }
    EMULATOR_TRY(submit(stream, what, [=] { return copy_now(to, from, what); }));
    return is_pageable(to) && !capturing ? cuStreamSynchronize(stream) : CUDA_SUCCESS;
}

Range host(const void *address, size_t bytes) { return {(char *)address, bytes, Side::host}; }
Range device(CUdeviceptr address, size_t bytes) { return {(char *)address, bytes, Side::device}; }
Range either(CUdeviceptr address, size_t bytes) { return {(char *)address, bytes, Side::either}; }

}  // namespace

EMULATOR_CALL cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t n) {
    return copy(device(to, n), host(from, n), "cuMemcpyHtoD");
}
EMULATOR_CALL cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t n) {
    return copy(host(to, n), device(from, n), "cuMemcpyDtoH");
}
EMULATOR_CALL cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t n) {
    return copy(device(to, n), device(from, n), "cuMemcpyDtoD");
}
EMULATOR_CALL cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t n) { return copy(either(to, n), either(from, n), "cuMemcpy"); }
EMULATOR_CALL cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, CUstream stream) {
    return copy_later(device(to, n), host(from, n), stream, "cuMemcpyHtoDAsync");
}
EMULATOR_CALL cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, CUstream stream) {
    return copy_later(host(to, n), device(from, n), stream, "cuMemcpyDtoHAsync");
}
EMULATOR_CALL cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream) {
    return copy_later(device(to, n), device(from, n), stream, "cuMemcpyDtoDAsync");
}
EMULATOR_CALL cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream) {
    return copy_later(either(to, n), either(from, n), stream, "cuMemcpyAsync");
}
EMULATOR_CALL cuMemcpyPeer(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t n) {
    return cuMemcpyDtoD_v2(to, from, n);
}
EMULATOR_CALL cuMemcpyPeerAsync(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t n, CUstream stream) {
    return cuMemcpyDtoDAsync_v2(to, from, n, stream);
}

// --- copies of boxes: each row on its own ------------------------------------------------------------------------------

static CUresult copy_box(const CUDA_MEMCPY3D &c) {
    const char *what = "a copy of a box";
    EMULATOR_NEED(c.srcMemoryType != CU_MEMORYTYPE_ARRAY && c.dstMemoryType != CU_MEMORYTYPE_ARRAY,
                  CUDA_ERROR_NOT_SUPPORTED, "the emulated device has no arrays");
    bool from_host = c.srcMemoryType == CU_MEMORYTYPE_HOST, to_host = c.dstMemoryType == CU_MEMORYTYPE_HOST;
    size_t from_pitch = c.srcPitch ? c.srcPitch : c.WidthInBytes, to_pitch = c.dstPitch ? c.dstPitch : c.WidthInBytes;
    size_t from_height = c.srcHeight ? c.srcHeight : c.Height, to_height = c.dstHeight ? c.dstHeight : c.Height;
    for (size_t z = 0; z < c.Depth; ++z)
        for (size_t y = 0; y < c.Height; ++y) {
            size_t source = ((z + c.srcZ) * from_height + y + c.srcY) * from_pitch + c.srcXInBytes;
            size_t target = ((z + c.dstZ) * to_height + y + c.dstY) * to_pitch + c.dstXInBytes;
            Range from = from_host ? host((const char *)c.srcHost + source, c.WidthInBytes)
                                   : device(c.srcDevice + source, c.WidthInBytes);
            Range to = to_host ? host((char *)c.dstHost + target, c.WidthInBytes)
                               : device(c.dstDevice + target, c.WidthInBytes);
            EMULATOR_TRY(copy_now(to, from, what));
        }
    return CUDA_SUCCESS;
}

static CUDA_MEMCPY3D one_layer(const CUDA_MEMCPY2D &c) {
    CUDA_MEMCPY3D box = {};
    box.srcXInBytes = c.srcXInBytes, box.srcY = c.srcY, box.srcMemoryType = c.srcMemoryType;
    box.srcHost = c.srcHost, box.srcDevice = c.srcDevice, box.srcPitch = c.srcPitch;
    box.dstXInBytes = c.dstXInBytes, box.dstY = c.dstY, box.dstMemoryType = c.dstMemoryType;
    box.dstHost = c.dstHost, box.dstDevice = c.dstDevice, box.dstPitch = c.dstPitch;
    box.WidthInBytes = c.WidthInBytes, box.Height = c.Height, box.Depth = 1;
    return box;
}

EMULATOR_CALL cuMemcpy3D_v2(const CUDA_MEMCPY3D *copy) {
    return submit(nullptr, "cuMemcpy3D", [box = *copy] { return copy_box(box); });
}
EMULATOR_CALL cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy, CUstream stream) {
    return submit(stream, "cuMemcpy3DAsync", [box = *copy] { return copy_box(box); });
}
EMULATOR_CALL cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy) {
    return submit(nullptr, "cuMemcpy2D", [box = one_layer(*copy)] { return copy_box(box); });
}
EMULATOR_CALL cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy) { return cuMemcpy2D_v2(copy); }
EMULATOR_CALL cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream) {
    return submit(stream, "cuMemcpy2DAsync", [box = one_layer(*copy)] { return copy_box(box); });
}

// --- fills -----------------------------------------------------------------------------------------------------------

template <class T>
static CUresult fill(CUdeviceptr to, size_t pitch, T value, size_t width, size_t height, CUstream stream) {
    return submit(stream, "a fill of memory", [=]() -> CUresult {
        EMULATOR_NEED(to % sizeof(T) == 0, CUDA_ERROR_INVALID_VALUE, "a fill of memory: %#llx is misaligned", to);
        for (size_t y = 0; y < height; ++y) {
            Range row = device(to + y * pitch, width * sizeof(T));
            EMULATOR_TRY(check(row, "a fill of memory"));
            for (size_t x = 0; x < width; ++x) ((T *)row.address)[x] = value;
        }
        return CUDA_SUCCESS;
    });
}

#define FILLS(bits, type)                                                                                             \
    EMULATOR_CALL cuMemsetD##bits##_v2(CUdeviceptr to, type value, size_t n) {                                        \
        return fill(to, 0, value, n, 1, nullptr);                                                                     \
    }                                                                                                                 \
    EMULATOR_CALL cuMemsetD##bits##Async(CUdeviceptr to, type value, size_t n, CUstream stream) {                     \
        return fill(to, 0, value, n, 1, stream);                                                                      \
    }                                                                                                                 \
    EMULATOR_CALL cuMemsetD2D##bits##_v2(CUdeviceptr to, size_t pitch, type value, size_t width, size_t height) {     \
        return fill(to, pitch, value, width, height, nullptr);                                                        \
    }                                                                                                                 \
    EMULATOR_CALL cuMemsetD2D##bits##Async(CUdeviceptr to, size_t pitch, type value, size_t width, size_t height,     \
                                           CUstream stream) {                                                         \
        return fill(to, pitch, value, width, height, stream);                                                         \
    }
FILLS(8, unsigned char)
FILLS(16, unsigned short)
FILLS(32, unsigned int)
