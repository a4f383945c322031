// Errors, the one device, contexts.
#include <dlfcn.h>
#include <initializer_list>
#include <map>
#include <set>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <string>
#include <vector>

#include "emulator.h"

struct CUctx_st {
    int references = 0;
    bool primary = false;
};

namespace emulator {

namespace {

bool initialised = false;
CUctx_st primary;
std::set<CUcontext> contexts;
thread_local std::vector<CUcontext> current;

thread_local CUresult detailed = CUDA_SUCCESS;
thread_local char detail[1000];

// An H100, as far as programs ask. Sizes matter: programs choose their launches by them.
const std::map<int, int> ATTRIBUTES = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 48 << 10},
    {CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 64 << 10},
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
    {CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
    {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1980000},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1},
    {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 4},  // few: grids are sized by it, and a host is slow
    {CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
    {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 2619000},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 5120},
    {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 50 << 20},
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
    {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 3},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
    {CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 228 << 10},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 227 << 10},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, 32},
    {CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, 1 << 10},
};

const std::map<int, const char *> NAMES = {
    {CUDA_SUCCESS, "CUDA_SUCCESS"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
    {CUDA_ERROR_INVALID_PTX, "CUDA_ERROR_INVALID_PTX"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
    {CUDA_ERROR_ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
    {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
    {CUDA_ERROR_LAUNCH_TIMEOUT, "CUDA_ERROR_LAUNCH_TIMEOUT"},
    {CUDA_ERROR_ASSERT, "CUDA_ERROR_ASSERT"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
    {CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT"},
    {CUDA_ERROR_CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT"},
};

CUresult check_device(CUdevice device) {
    EMULATOR_NEED(initialised, CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called");
    EMULATOR_NEED(device == 0, CUDA_ERROR_INVALID_DEVICE, "there is no device %d, the one device is 0", device);
    return CUDA_SUCCESS;
}

}  // namespace

CUresult failed(CUresult code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    detailed = code;
    return code;
}

CUresult need_context() {
    EMULATOR_NEED(initialised, CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called");
    EMULATOR_NEED(!current.empty(), CUDA_ERROR_INVALID_CONTEXT, "no context is current in this thread");
    return CUDA_SUCCESS;
}

int attribute(CUdevice_attribute which) {
    auto found = ATTRIBUTES.find(which);
    return found == ATTRIBUTES.end() ? 0 : found->second;
}

}  // namespace emulator

using namespace emulator;

// --- errors ----------------------------------------------------------------------------------------------------------

EMULATOR_CALL cuGetErrorName(CUresult code, const char **name) {
    auto found = NAMES.find(code);
    *name = found == NAMES.end() ? "CUDA_ERROR_UNKNOWN" : found->second;
    return CUDA_SUCCESS;
}

// The driver's own texts are general ("invalid argument"); ours say what was wrong with the last call that failed.
EMULATOR_CALL cuGetErrorString(CUresult code, const char **text) {
    if (code != CUDA_SUCCESS && code == detailed) {
        *text = detail;
        return CUDA_SUCCESS;
    }
    return cuGetErrorName(code, text);
}

// --- the device ------------------------------------------------------------------------------------------------------

EMULATOR_CALL cuInit(unsigned) {
    initialised = true;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDriverGetVersion(int *version) {
    *version = 13000;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDeviceGetCount(int *count) {
    EMULATOR_TRY(check_device(0));
    *count = 1;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDeviceGet(CUdevice *device, int ordinal) {
    EMULATOR_TRY(check_device(ordinal));
    *device = ordinal;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDeviceGetName(char *name, int bytes, CUdevice device) {
    EMULATOR_TRY(check_device(device));
    snprintf(name, (size_t)bytes, "emulated on the host");
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDeviceComputeCapability(int *major, int *minor, CUdevice device) {
    EMULATOR_TRY(check_device(device));
    *major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    *minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    return CUDA_SUCCESS;
}
EMULATOR_API size_t emulator_memory();
EMULATOR_CALL cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    EMULATOR_TRY(check_device(device));
    *bytes = emulator_memory();
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device) {
    EMULATOR_TRY(check_device(device));
    EMULATOR_NEED(which > 0 && which < 200, CUDA_ERROR_INVALID_VALUE, "there is no device attribute %d", which);
    *value = attribute(which);
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDeviceGetPCIBusId(char *id, int bytes, CUdevice device) {
    EMULATOR_TRY(check_device(device));
    snprintf(id, (size_t)bytes, "0000:00:00.0");
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDeviceGetByPCIBusId(CUdevice *device, const char *id) {
    EMULATOR_NEED(!strcmp(id, "0000:00:00.0"), CUDA_ERROR_INVALID_DEVICE, "there is no device %s", id);
    *device = 0;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDeviceGetUuid_v2(CUuuid *id, CUdevice device) {
    EMULATOR_TRY(check_device(device));
    memset(id, 1, sizeof *id);
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDeviceCanAccessPeer(int *can, CUdevice, CUdevice) {
    *can = 0;
    return CUDA_SUCCESS;
}

// --- contexts --------------------------------------------------------------------------------------------------------

static CUresult check_context(CUcontext context) {
    EMULATOR_NEED(context == &primary || contexts.count(context), CUDA_ERROR_INVALID_CONTEXT, "%p is no context",
                  (void *)context);
    return CUDA_SUCCESS;
}

EMULATOR_CALL cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    EMULATOR_TRY(check_device(device));
    Locked lock(device_lock);
    primary.primary = true;
    ++primary.references;
    *context = &primary;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    EMULATOR_TRY(check_device(device));
    Locked lock(device_lock);
    EMULATOR_NEED(primary.references > 0, CUDA_ERROR_INVALID_CONTEXT, "the primary context was released too often");
    --primary.references;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
    EMULATOR_TRY(check_device(device));
    *flags = 0;
    *active = primary.references > 0;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned) { return check_device(device); }

EMULATOR_CALL cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *, unsigned, CUdevice device) {
    EMULATOR_TRY(check_device(device));
    Locked lock(device_lock);
    *context = new CUctx_st;
    (*context)->references = 1;
    contexts.insert(*context);
    current.push_back(*context);
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device) {
    return cuCtxCreate_v4(context, nullptr, flags, device);
}
EMULATOR_CALL cuCtxDestroy_v2(CUcontext context) {
    Locked lock(device_lock);
    EMULATOR_NEED(contexts.erase(context), CUDA_ERROR_INVALID_CONTEXT, "%p is no context to destroy", (void *)context);
    if (!current.empty() && current.back() == context) current.pop_back();
    delete context;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxAttach(CUcontext *context, unsigned) {
    EMULATOR_TRY(need_context());
    *context = current.back();
    ++(*context)->references;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxDetach(CUcontext context) {
    EMULATOR_TRY(check_context(context));
    if (!context->primary && --context->references == 0) return cuCtxDestroy_v2(context);
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxPushCurrent_v2(CUcontext context) {
    Locked lock(device_lock);
    EMULATOR_TRY(check_context(context));
    current.push_back(context);
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxPopCurrent_v2(CUcontext *context) {
    EMULATOR_TRY(need_context());
    if (context) *context = current.back();
    current.pop_back();
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxGetCurrent(CUcontext *context) {
    *context = current.empty() ? nullptr : current.back();
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxSetCurrent(CUcontext context) {
    if (!current.empty()) current.pop_back();
    if (context) current.push_back(context);
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxGetDevice(CUdevice *device) {
    EMULATOR_TRY(need_context());
    *device = 0;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxGetApiVersion(CUcontext, unsigned *version) {
    *version = 13000;
    return CUDA_SUCCESS;
}
EMULATOR_CALL cuCtxGetLimit(size_t *value, CUlimit) {
    *value = 1024;
    return need_context();
}
EMULATOR_CALL cuCtxSetLimit(CUlimit, size_t) { return need_context(); }
EMULATOR_CALL cuCtxGetCacheConfig(CUfunc_cache *config) {
    *config = CU_FUNC_CACHE_PREFER_NONE;
    return need_context();
}
EMULATOR_CALL cuCtxSetCacheConfig(CUfunc_cache) { return need_context(); }
EMULATOR_CALL cuCtxGetSharedMemConfig(CUsharedconfig *config) {
    *config = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    return need_context();
}
EMULATOR_CALL cuCtxSetSharedMemConfig(CUsharedconfig) { return need_context(); }
EMULATOR_CALL cuProfilerStart(void) { return CUDA_SUCCESS; }
EMULATOR_CALL cuProfilerStop(void) { return CUDA_SUCCESS; }

EMULATOR_CALL cuGetProcAddress_v2(const char *name, void **function, int, cuuint64_t,
                                  CUdriverProcAddressQueryResult *status) {
    *function = nullptr;
    for (const char *version : {"_v4", "_v3", "_v2", ""}) {
        if (!*function) *function = dlsym(RTLD_DEFAULT, (std::string(name) + version).c_str());
    }
    if (status) *status = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    EMULATOR_NEED(*function, CUDA_ERROR_NOT_FOUND, "the emulated driver has no %s", name);
    return CUDA_SUCCESS;
}

// --- for tests -------------------------------------------------------------------------------------------------------

EMULATOR_API const char *emulator_last_error() { return detail; }
