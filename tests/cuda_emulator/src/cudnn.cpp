// cuDNN for the emulated device: handles, descriptors, and what all its calls check.
#include <algorithm>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dnn.h"

namespace emulator {

std::set<const void *> known;

static std::string last_problem;

cudnnStatus_t wrong(cudnnStatus_t status, const char *format, ...) {
    char text[500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    last_problem = text;
    failed(CUDA_ERROR_INVALID_VALUE, "cuDNN: %s", text);
    return status;
}

std::string shape(const std::vector<int> &dims) {
    std::string text = "(";
    for (size_t i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
    return text + ")";
}

static CUresult check_memory(const std::vector<Memory> &pieces) {
    for (const Memory &piece : pieces) {
        if (!piece.bytes) continue;
        EMULATOR_NEED(is_device(piece.address, piece.bytes), CUDA_ERROR_INVALID_VALUE,
                      "cuDNN: %s takes %zu bytes of device memory, starting at %s", piece.name, piece.bytes,
                      describe(piece.address));
        EMULATOR_NEED((uintptr_t)piece.address % piece.alignment == 0, CUDA_ERROR_INVALID_VALUE, "cuDNN: %s is misaligned",
                      piece.name);
    }
    // Neither the result nor the workspace, the last two, may lie over anything else.
    for (size_t i = 0; i < pieces.size(); ++i)
        for (size_t j = std::max(i + 1, pieces.size() - 2); j < pieces.size(); ++j) {
            if (!pieces[i].bytes || !pieces[j].bytes) continue;
            const char *a = (const char *)pieces[i].address, *b = (const char *)pieces[j].address;
            bool apart = a + pieces[i].bytes <= b || b + pieces[j].bytes <= a;
            EMULATOR_NEED(apart, CUDA_ERROR_INVALID_VALUE, "cuDNN: %s lies over %s", pieces[j].name, pieces[i].name);
        }
    return CUDA_SUCCESS;
}

cudnnStatus_t submit_checked(cudnnHandle_t handle, const char *what, std::vector<Memory> pieces, std::function<void()> run) {
    Memory workspace = pieces.back();
    if (check_memory(pieces) != CUDA_SUCCESS) {
        const char *text;
        cuGetErrorString(CUDA_ERROR_INVALID_VALUE, &text);
        last_problem = text;
        return CUDNN_STATUS_BAD_PARAM;
    }
    CUresult done = submit(handle->stream, what, [=]() -> CUresult {
        EMULATOR_TRY(check_memory(pieces));
        // Nobody may rely on what is in the workspace; and if it is not free, that shows.
        if (workspace.bytes) memset((void *)workspace.address, 0xff, workspace.bytes);
        run();
        return CUDA_SUCCESS;
    });
    return done == CUDA_SUCCESS ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

}  // namespace emulator

using namespace emulator;

namespace {

template <class T> cudnnStatus_t make(T **made) {
    Locked lock(device_lock);
    NEED(made, CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no place for a descriptor");
    *made = new T;
    known.insert(*made);
    return CUDNN_STATUS_SUCCESS;
}

template <class T> cudnnStatus_t destroy(T *object) {
    Locked lock(device_lock);
    NEED_KNOWN(object, "handle or descriptor");
    known.erase(object);
    delete object;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_type(cudnnDataType_t type) {
    NEED(type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_DOUBLE, CUDNN_STATUS_NOT_SUPPORTED,
         "the emulated cuDNN computes float and double, not type %d", type);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set_tensor(cudnnTensorStruct *t, cudnnDataType_t type, int rank, const int *dims, const int *strides) {
    TRY(check_type(type));
    NEED(dims, CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no dims");
    NEED(rank == 4 || rank == 5, CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN wants 4 or 5 axes, not %d", rank);
    t->type = type;
    t->dims.assign(dims, dims + rank);
    t->strides.assign((size_t)rank, 1);
    for (int i = rank - 2; i >= 0; --i) t->strides[(size_t)i] = t->strides[(size_t)i + 1] * dims[i + 1];
    if (strides) t->strides.assign(strides, strides + rank);
    for (int i = 0; i < rank; ++i)
        NEED(dims[i] > 0 && t->strides[(size_t)i] > 0, CUDNN_STATUS_BAD_PARAM, "shape %s: dims and strides are positive",
             shape(t->dims).c_str());
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace

// --- handles and descriptors -----------------------------------------------------------------------------------------

CUDNN_CALL cudnnCreate(cudnnHandle_t *handle) {
    if (need_context() != CUDA_SUCCESS) return wrong(CUDNN_STATUS_NOT_INITIALIZED, "no context is current");
    return make(handle);
}
CUDNN_CALL cudnnDestroy(cudnnHandle_t handle) { return destroy(handle); }
CUDNN_CALL cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    Locked lock(device_lock);
    NEED_KNOWN(handle, "handle of cuDNN");
    NEED(check_stream(stream) == CUDA_SUCCESS, CUDNN_STATUS_BAD_PARAM, "%p is no stream", (void *)stream);
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}
EMULATOR_API size_t cudnnGetVersion(void) { return 91900; }
EMULATOR_API const char *cudnnGetErrorString(cudnnStatus_t status) {
    switch ((int)status) {
        case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
        case CUDNN_STATUS_NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
        case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
        case CUDNN_STATUS_BAD_PARAM_NULL_POINTER: return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
        case CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT: return "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT";
        case CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH: return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
        case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
        default: return "CUDNN_STATUS_EXECUTION_FAILED";
    }
}
EMULATOR_API void cudnnGetLastErrorString(char *text, size_t bytes) { snprintf(text, bytes, "%s", last_problem.c_str()); }

CUDNN_CALL cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *made) { return make(made); }
CUDNN_CALL cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t t) { return destroy(t); }
CUDNN_CALL cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *made) { return make(made); }
CUDNN_CALL cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t t) { return destroy(t); }
CUDNN_CALL cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *made) { return make(made); }
CUDNN_CALL cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t c) { return destroy(c); }
CUDNN_CALL cudnnCreatePoolingDescriptor(cudnnPoolingDescriptor_t *made) { return make(made); }
CUDNN_CALL cudnnDestroyPoolingDescriptor(cudnnPoolingDescriptor_t p) { return destroy(p); }

CUDNN_CALL cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t t, cudnnDataType_t type, int rank, const int dims[],
                                      const int strides[]) {
    Locked lock(device_lock);
    NEED_KNOWN(t, "descriptor");
    NEED(strides, CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no strides");
    return set_tensor(t, type, rank, dims, strides);
}
CUDNN_CALL cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t, cudnnTensorFormat_t format, cudnnDataType_t type, int n,
                                      int c, int h, int w) {
    Locked lock(device_lock);
    NEED_KNOWN(t, "descriptor");
    NEED(format == CUDNN_TENSOR_NCHW, CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN wants NCHW");
    int dims[] = {n, c, h, w};
    return set_tensor(t, type, 4, dims, nullptr);
}
CUDNN_CALL cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t t, cudnnDataType_t type, cudnnTensorFormat_t format, int rank,
                                      const int dims[]) {
    Locked lock(device_lock);
    NEED_KNOWN(t, "descriptor");
    NEED(format == CUDNN_TENSOR_NCHW, CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN wants NCHW");
    return set_tensor(t, type, rank, dims, nullptr);
}

CUDNN_CALL cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t c, int rank, const int pads[], const int strides[],
                                           const int dilations[], cudnnConvolutionMode_t mode, cudnnDataType_t type) {
    Locked lock(device_lock);
    NEED_KNOWN(c, "descriptor");
    TRY(check_type(type));
    NEED(pads && strides && dilations, CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "pads, strides or dilations are missing");
    NEED(rank == 2 || rank == 3, CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN wants 2 or 3 spatial axes, not %d", rank);
    for (int i = 0; i < rank; ++i)
        NEED(pads[i] >= 0 && strides[i] > 0 && dilations[i] > 0, CUDNN_STATUS_BAD_PARAM,
             "axis %d: pad %d, stride %d, dilation %d", i, pads[i], strides[i], dilations[i]);
    c->pads.assign(pads, pads + rank);
    c->strides.assign(strides, strides + rank);
    c->dilations.assign(dilations, dilations + rank);
    c->mode = mode;
    c->type = type;
    return CUDNN_STATUS_SUCCESS;
}
CUDNN_CALL cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t c, int groups) {
    Locked lock(device_lock);
    NEED_KNOWN(c, "descriptor");
    NEED(groups > 0, CUDNN_STATUS_BAD_PARAM, "%d groups", groups);
    c->groups = groups;
    return CUDNN_STATUS_SUCCESS;
}
CUDNN_CALL cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t c, cudnnMathType_t math) {
    Locked lock(device_lock);
    NEED_KNOWN(c, "descriptor");
    NEED(math >= 0 && math <= CUDNN_FMA_MATH, CUDNN_STATUS_BAD_PARAM, "math type %d", math);
    c->math = math;
    return CUDNN_STATUS_SUCCESS;
}
CUDNN_CALL cudnnSetPoolingNdDescriptor(cudnnPoolingDescriptor_t p, const cudnnPoolingMode_t mode, const cudnnNanPropagation_t,
                                       int rank, const int windows[], const int pads[], const int strides[]) {
    Locked lock(device_lock);
    NEED_KNOWN(p, "descriptor");
    NEED(windows && pads && strides, CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "windows, pads or strides are missing");
    NEED(rank == 2 || rank == 3, CUDNN_STATUS_NOT_SUPPORTED, "the emulated cuDNN wants 2 or 3 spatial axes, not %d", rank);
    for (int i = 0; i < rank; ++i)
        NEED(windows[i] > 0 && pads[i] >= 0 && pads[i] < windows[i] && strides[i] > 0, CUDNN_STATUS_BAD_PARAM,
             "axis %d: window %d, pad %d, stride %d", i, windows[i], pads[i], strides[i]);
    p->windows.assign(windows, windows + rank);
    p->pads.assign(pads, pads + rank);
    p->strides.assign(strides, strides + rank);
    p->mode = mode;
    return CUDNN_STATUS_SUCCESS;
}
