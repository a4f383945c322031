// cuDNN's convolutions and pooling for the emulated device, of images and volumes: plain loops in double precision over
// dense copies, and every argument checked.
#include <algorithm>
#include <functional>
#include <math.h>
#include <set>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <string>
#include <vector>

#include "cudnn_declarations.h"
#include "emulator.h"
#include "precision.h"

#define CUDNN_CALL EMULATOR_API cudnnStatus_t

using namespace emulator;

// Spatial axes are always three: those that an image lacks have length 1 in front.
constexpr int SPACE = 3;

struct cudnnContext {
    cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct {
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    std::vector<int> dims, strides;
};
struct cudnnFilterStruct : cudnnTensorStruct {};
struct cudnnConvolutionStruct {
    std::vector<int> pads, strides, dilations;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnMathType_t math = CUDNN_DEFAULT_MATH;
    int groups = 1;
};
struct cudnnPoolingStruct {
    std::vector<int> windows, pads, strides;
    cudnnPoolingMode_t mode = CUDNN_POOLING_MAX;
};

namespace {

std::set<const void *> known;  // handles and descriptors
std::string last_problem;

__attribute__((format(printf, 2, 3))) cudnnStatus_t wrong(cudnnStatus_t status, const char *format, ...) {
    char text[500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    last_problem = text;
    failed(CUDA_ERROR_INVALID_VALUE, "cuDNN: %s", text);
    return status;
}

#define NEED(condition, status, ...) \
    if (!(condition)) return wrong(status, __VA_ARGS__)
#define NEED_KNOWN(object, what) NEED(known.count(object), CUDNN_STATUS_BAD_PARAM, "%p is no %s", (const void *)object, what)
#define TRY(expression)                                                          \
    do {                                                                         \
        cudnnStatus_t status_of_try = (expression);                              \
        if (status_of_try != CUDNN_STATUS_SUCCESS) return status_of_try;         \
    } while (0)

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

// --- tensors -----------------------------------------------------------------------------------------------------------

size_t width(cudnnDataType_t type) { return type == CUDNN_DATA_DOUBLE ? 8 : 4; }

std::string shape(const std::vector<int> &dims) {
    std::string text = "(";
    for (size_t i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
    return text + ")";
}

// A tensor, seen as five axes.
struct View {
    cudnnDataType_t type;
    long dims[2 + SPACE], strides[2 + SPACE];

    explicit View(const cudnnTensorStruct &t) : type(t.type) {
        int missing = 2 + SPACE - (int)t.dims.size();
        for (int i = 0; i < 2 + SPACE; ++i) {
            int from = i < 2 ? i : i - missing;
            bool present = i < 2 || from >= 2;
            dims[i] = present ? t.dims[(size_t)from] : 1;
            strides[i] = present ? t.strides[(size_t)from] : 0;
        }
    }
    size_t count() const {
        size_t n = 1;
        for (long dim : dims) n *= (size_t)dim;
        return n;
    }
    size_t bytes() const {
        size_t last = 0;
        for (int i = 0; i < 2 + SPACE; ++i) last += (size_t)((dims[i] - 1) * strides[i]);
        return (last + 1) * width(type);
    }
    // Calls visit(element of memory, element of a dense copy).
    template <class F> void each(F visit) const {
        size_t dense = 0;
        for (long a = 0; a < dims[0]; ++a)
            for (long b = 0; b < dims[1]; ++b)
                for (long c = 0; c < dims[2]; ++c)
                    for (long d = 0; d < dims[3]; ++d)
                        for (long e = 0; e < dims[4]; ++e)
                            visit((size_t)(a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3] + e * strides[4]),
                                  dense++);
    }
    std::vector<double> read(const void *data, bool tf32 = false) const {
        std::vector<double> values(count());
        each([&](size_t i, size_t dense) {
            double x = type == CUDNN_DATA_DOUBLE ? ((const double *)data)[i] : ((const float *)data)[i];
            values[dense] = tf32 ? to_tf32((float)x) : x;
        });
        return values;
    }
    // data = alpha * values + beta * data; with beta 0 what was there does not matter.
    void write(void *data, const std::vector<double> &values, double alpha, double beta) const {
        each([&](size_t i, size_t dense) {
            double old = beta == 0 ? 0 : type == CUDNN_DATA_DOUBLE ? ((double *)data)[i] : ((float *)data)[i];
            double value = alpha * values[dense] + (beta == 0 ? 0 : beta * old);
            if (type == CUDNN_DATA_DOUBLE) ((double *)data)[i] = value;
            else ((float *)data)[i] = (float)value;
        });
    }
};

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

// What a call may touch; checked when it is made and again when it runs, which may be later, and often.
struct Memory {
    const char *name;
    const void *address;
    size_t bytes, alignment;
};

CUresult check_memory(const std::vector<Memory> &pieces) {
    for (const Memory &piece : pieces) {
        if (!piece.bytes) continue;
        EMULATOR_NEED(is_device(piece.address, piece.bytes), CUDA_ERROR_INVALID_VALUE,
                      "cuDNN: %s takes %zu bytes of device memory, starting at %s", piece.name, piece.bytes,
                      describe(piece.address));
        EMULATOR_NEED((uintptr_t)piece.address % piece.alignment == 0, CUDA_ERROR_INVALID_VALUE, "cuDNN: %s is misaligned",
                      piece.name);
    }
    // The last but one is the result, the last the workspace: neither may lie over anything else.
    for (size_t i = 0; i < pieces.size(); ++i)
        for (size_t j = std::max(i + 1, pieces.size() - 2); j < pieces.size(); ++j) {
            if (!pieces[i].bytes || !pieces[j].bytes) continue;
            const char *a = (const char *)pieces[i].address, *b = (const char *)pieces[j].address;
            bool apart = a + pieces[i].bytes <= b || b + pieces[j].bytes <= a;
            EMULATOR_NEED(apart, CUDA_ERROR_INVALID_VALUE, "cuDNN: %s lies over %s", pieces[j].name, pieces[i].name);
        }
    return CUDA_SUCCESS;
}

Memory memory_of(const char *name, const View &view, const void *data) {
    return {name, data, view.bytes(), width(view.type)};
}

Memory workspace_of(void *workspace, size_t bytes) { return {"the workspace", workspace, workspace ? bytes : 0, 16}; }

double scalar(const void *value, cudnnDataType_t type) {
    return type == CUDNN_DATA_DOUBLE ? *(const double *)value : *(const float *)value;
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

// --- convolutions ------------------------------------------------------------------------------------------------------

struct Convolution {
    View x, w, y;
    long pads[SPACE], strides[SPACE], dilations[SPACE];
    int groups;
    bool flipped, tf32;

    Convolution(const cudnnTensorStruct &x, const cudnnTensorStruct &w, const cudnnConvolutionStruct &c,
                const cudnnTensorStruct &y)
        : x(x), w(w), y(y), groups(c.groups), flipped(c.mode == CUDNN_CONVOLUTION),
          tf32(x.type == CUDNN_DATA_FLOAT && c.math != CUDNN_FMA_MATH) {
        int missing = SPACE - (int)c.pads.size();
        for (int i = 0; i < SPACE; ++i) {
            size_t from = (size_t)(i - missing);
            pads[i] = i < missing ? 0 : c.pads[from];
            strides[i] = i < missing ? 1 : c.strides[from];
            dilations[i] = i < missing ? 1 : c.dilations[from];
        }
    }

    // Calls row(x, w, y, step, n) for each run of n products x[step * i] * w[0] that belong to y[i], over dense copies.
    template <class F> void each(F row) const {
        const long *xd = x.dims, *wd = w.dims, *yd = y.dims;
        long filters = wd[0] / groups, channels = wd[1], taps = wd[2] * wd[3] * wd[4];
        for (long n = 0; n < yd[0]; ++n)
            for (long k = 0; k < wd[0]; ++k)
                for (long c = 0; c < channels; ++c)
                    for (long tap = 0; tap < taps; ++tap) {
                        long t[SPACE] = {tap / (wd[3] * wd[4]), tap / wd[4] % wd[3], tap % wd[4]};
                        long weight = (k * channels + c) * taps + (flipped ? taps - 1 - tap : tap);
                        long channel = n * xd[1] + k / filters * channels + c;
                        plane(t, channel, weight, n * yd[1] + k, row);
                    }
    }

  private:
    template <class F> void plane(const long *t, long channel, long weight, long filter, F row) const {
        const long *xd = x.dims, *yd = y.dims;
        long first = -pads[2] + t[2] * dilations[2], low = 0, high = yd[4];
        while (low < high && first + low * strides[2] < 0) ++low;
        while (high > low && first + (high - 1) * strides[2] >= xd[4]) --high;
        if (low == high) return;
        for (long d = 0; d < yd[2]; ++d)
            for (long h = 0; h < yd[3]; ++h) {
                long z = d * strides[0] - pads[0] + t[0] * dilations[0], v = h * strides[1] - pads[1] + t[1] * dilations[1];
                if (z < 0 || v < 0 || z >= xd[2] || v >= xd[3]) continue;
                long from = ((channel * xd[2] + z) * xd[3] + v) * xd[4] + first + low * strides[2];
                long to = ((filter * yd[2] + d) * yd[3] + h) * yd[4] + low;
                row((size_t)from, (size_t)weight, (size_t)to, (size_t)strides[2], (size_t)(high - low));
            }
    }
};

cudnnStatus_t check_convolution(cudnnHandle_t handle, cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w,
                                cudnnConvolutionDescriptor_t c, cudnnTensorDescriptor_t y) {
    NEED_KNOWN(handle, "handle of cuDNN");
    NEED_KNOWN(x, "descriptor");
    NEED_KNOWN(w, "descriptor");
    NEED_KNOWN(c, "descriptor");
    NEED_KNOWN(y, "descriptor");
    NEED(!x->dims.empty() && !w->dims.empty() && !y->dims.empty() && !c->pads.empty(), CUDNN_STATUS_BAD_PARAM,
         "a descriptor was never set");
    NEED(x->type == w->type && x->type == y->type && x->type == c->type, CUDNN_STATUS_BAD_PARAM,
         "the types differ: x %d, w %d, y %d, computed in %d", x->type, w->type, y->type, c->type);
    size_t rank = x->dims.size();
    NEED(w->dims.size() == rank && y->dims.size() == rank && c->pads.size() + 2 == rank, CUDNN_STATUS_BAD_PARAM,
         "the ranks differ: x %zu, w %zu, y %zu, %zu spatial axes", rank, w->dims.size(), y->dims.size(), c->pads.size());
    NEED(x->dims[1] == w->dims[1] * c->groups && w->dims[0] % c->groups == 0, CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH,
         "%d groups: x %s does not go with filters %s", c->groups, shape(x->dims).c_str(), shape(w->dims).c_str());
    std::vector<int> expected = {x->dims[0], w->dims[0]};
    for (size_t i = 0; i + 2 < rank; ++i) {
        int reach = (w->dims[i + 2] - 1) * c->dilations[i] + 1, room = x->dims[i + 2] + 2 * c->pads[i] - reach;
        NEED(room >= 0, CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "filters %s do not fit into x %s", shape(w->dims).c_str(),
             shape(x->dims).c_str());
        expected.push_back(room / c->strides[i] + 1);
    }
    NEED(y->dims == expected, CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "y is %s, but x %s and filters %s make %s",
         shape(y->dims).c_str(), shape(x->dims).c_str(), shape(w->dims).c_str(), shape(expected).c_str());
    return CUDNN_STATUS_SUCCESS;
}

// The algorithms on offer, by their numbers in each direction. They differ in what a caller must look at: memory,
// whether the same bits come out every time, and arithmetic.
struct Offer {
    int forward, data, filter;  // -1: not in this direction
    bool workspace, deterministic, tensor_cores;
};
const Offer OFFERS[] = {
    {1, 1, 3, true, true, true},
    {-1, 0, 0, false, false, false},
    {1, 1, 1, true, true, false},
    {0, -1, -1, false, true, false},
    {-1, 4, -1, false, true, false},
};

enum class Direction { forward, data, filter };

int number(const Offer &offer, Direction direction) {
    return direction == Direction::forward ? offer.forward : direction == Direction::data ? offer.data : offer.filter;
}

size_t workspace_bytes(const cudnnTensorStruct &x) { return 1024 + 64 * (size_t)x.dims[1]; }

cudnnStatus_t workspace_needed(int algorithm, Direction direction, const cudnnTensorStruct &x, size_t *bytes) {
    for (const Offer &offer : OFFERS)
        if (number(offer, direction) == algorithm) {
            *bytes = offer.workspace ? workspace_bytes(x) : 0;
            return CUDNN_STATUS_SUCCESS;
        }
    return wrong(CUDNN_STATUS_NOT_SUPPORTED, "algorithm %d is not emulated", algorithm);
}

template <class Performance>
cudnnStatus_t list_algorithms(Direction direction, const cudnnTensorStruct &x, cudnnMathType_t math, int wanted, int *count,
                              Performance *found) {
    NEED(wanted > 0 && count && found, CUDNN_STATUS_BAD_PARAM, "no room for algorithms");
    *count = 0;
    for (const Offer &offer : OFFERS) {
        bool allowed = !offer.tensor_cores || (x.type == CUDNN_DATA_FLOAT && math != CUDNN_FMA_MATH);
        if (number(offer, direction) < 0 || !allowed || *count == wanted) continue;
        Performance &p = found[(*count)++];
        p = Performance();
        p.algo = (decltype(p.algo))number(offer, direction);
        p.status = CUDNN_STATUS_SUCCESS;
        p.time = -1;  // guessed, not measured
        p.memory = offer.workspace ? workspace_bytes(x) : 0;
        p.determinism = offer.deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
        p.mathType = offer.tensor_cores ? CUDNN_TENSOR_OP_MATH : math == CUDNN_FMA_MATH ? CUDNN_FMA_MATH : CUDNN_DEFAULT_MATH;
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_call(int algorithm, Direction direction, const cudnnTensorStruct &x, const void *workspace, size_t bytes,
                         const void *alpha, const void *beta) {
    size_t needed = 0;
    TRY(workspace_needed(algorithm, direction, x, &needed));
    NEED(bytes >= needed && (workspace || !needed), CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT,
         "algorithm %d needs %zu bytes of workspace, and has %zu", algorithm, needed, workspace ? bytes : 0);
    NEED(alpha && beta, CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a factor is missing");
    NEED(!is_device(alpha, 1) && !is_device(beta, 1), CUDNN_STATUS_BAD_PARAM, "a factor is not on the host");
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace

// --- handles and descriptors -------------------------------------------------------------------------------------------

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

// --- convolutions --------------------------------------------------------------------------------------------------------

CUDNN_CALL cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                  const cudnnFilterDescriptor_t w, const cudnnConvolutionDescriptor_t c,
                                                  const cudnnTensorDescriptor_t y, const int wanted, int *count,
                                                  cudnnConvolutionFwdAlgoPerf_t *found) {
    Locked lock(device_lock);
    TRY(check_convolution(handle, x, w, c, y));
    return list_algorithms(Direction::forward, *x, c->math, wanted, count, found);
}
CUDNN_CALL cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t handle, const cudnnFilterDescriptor_t w,
                                                       const cudnnTensorDescriptor_t y, const cudnnConvolutionDescriptor_t c,
                                                       const cudnnTensorDescriptor_t x, const int wanted, int *count,
                                                       cudnnConvolutionBwdDataAlgoPerf_t *found) {
    Locked lock(device_lock);
    TRY(check_convolution(handle, x, w, c, y));
    return list_algorithms(Direction::data, *x, c->math, wanted, count, found);
}
CUDNN_CALL cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                         const cudnnTensorDescriptor_t y,
                                                         const cudnnConvolutionDescriptor_t c,
                                                         const cudnnFilterDescriptor_t w, const int wanted, int *count,
                                                         cudnnConvolutionBwdFilterAlgoPerf_t *found) {
    Locked lock(device_lock);
    TRY(check_convolution(handle, x, w, c, y));
    return list_algorithms(Direction::filter, *x, c->math, wanted, count, found);
}

CUDNN_CALL cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                   const cudnnFilterDescriptor_t w, const cudnnConvolutionDescriptor_t c,
                                                   const cudnnTensorDescriptor_t y, cudnnConvolutionFwdAlgo_t algorithm,
                                                   size_t *bytes) {
    Locked lock(device_lock);
    TRY(check_convolution(handle, x, w, c, y));
    return workspace_needed(algorithm, Direction::forward, *x, bytes);
}
CUDNN_CALL cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t handle, const cudnnFilterDescriptor_t w,
                                                        const cudnnTensorDescriptor_t y, const cudnnConvolutionDescriptor_t c,
                                                        const cudnnTensorDescriptor_t x,
                                                        cudnnConvolutionBwdDataAlgo_t algorithm, size_t *bytes) {
    Locked lock(device_lock);
    TRY(check_convolution(handle, x, w, c, y));
    return workspace_needed(algorithm, Direction::data, *x, bytes);
}
CUDNN_CALL cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                          const cudnnTensorDescriptor_t y,
                                                          const cudnnConvolutionDescriptor_t c,
                                                          const cudnnFilterDescriptor_t w,
                                                          cudnnConvolutionBwdFilterAlgo_t algorithm, size_t *bytes) {
    Locked lock(device_lock);
    TRY(check_convolution(handle, x, w, c, y));
    return workspace_needed(algorithm, Direction::filter, *x, bytes);
}

CUDNN_CALL cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x, const void *x_data,
                                   const cudnnFilterDescriptor_t w, const void *w_data, const cudnnConvolutionDescriptor_t c,
                                   cudnnConvolutionFwdAlgo_t algorithm, void *workspace, size_t bytes, const void *beta,
                                   const cudnnTensorDescriptor_t y, void *y_data) {
    Locked lock(device_lock);
    TRY(check_convolution(handle, x, w, c, y));
    TRY(check_call(algorithm, Direction::forward, *x, workspace, bytes, alpha, beta));
    Convolution conv(*x, *w, *c, *y);
    double a = scalar(alpha, x->type), b = scalar(beta, x->type);
    std::vector<Memory> pieces = {memory_of("x", conv.x, x_data), memory_of("w", conv.w, w_data),
                                  memory_of("y", conv.y, y_data), workspace_of(workspace, bytes)};
    return submit_checked(handle, "cudnnConvolutionForward", pieces, [=] {
        std::vector<double> in = conv.x.read(x_data, conv.tf32), weights = conv.w.read(w_data, conv.tf32);
        std::vector<double> out(conv.y.count());
        conv.each([&](size_t i, size_t k, size_t o, size_t step, size_t n) {
            for (size_t r = 0; r < n; ++r) out[o + r] += weights[k] * in[i + r * step];
        });
        conv.y.write(y_data, out, a, b);
    });
}

CUDNN_CALL cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, const cudnnFilterDescriptor_t w,
                                        const void *w_data, const cudnnTensorDescriptor_t y, const void *dy,
                                        const cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdDataAlgo_t algorithm,
                                        void *workspace, size_t bytes, const void *beta, const cudnnTensorDescriptor_t x,
                                        void *dx) {
    Locked lock(device_lock);
    TRY(check_convolution(handle, x, w, c, y));
    TRY(check_call(algorithm, Direction::data, *x, workspace, bytes, alpha, beta));
    Convolution conv(*x, *w, *c, *y);
    double a = scalar(alpha, x->type), b = scalar(beta, x->type);
    std::vector<Memory> pieces = {memory_of("w", conv.w, w_data), memory_of("dy", conv.y, dy), memory_of("dx", conv.x, dx),
                                  workspace_of(workspace, bytes)};
    return submit_checked(handle, "cudnnConvolutionBackwardData", pieces, [=] {
        std::vector<double> weights = conv.w.read(w_data, conv.tf32), slope = conv.y.read(dy, conv.tf32);
        std::vector<double> out(conv.x.count());
        conv.each([&](size_t i, size_t k, size_t o, size_t step, size_t n) {
            for (size_t r = 0; r < n; ++r) out[i + r * step] += weights[k] * slope[o + r];
        });
        conv.x.write(dx, out, a, b);
    });
}

CUDNN_CALL cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x,
                                          const void *x_data, const cudnnTensorDescriptor_t y, const void *dy,
                                          const cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdFilterAlgo_t algorithm,
                                          void *workspace, size_t bytes, const void *beta, const cudnnFilterDescriptor_t w,
                                          void *dw) {
    Locked lock(device_lock);
    TRY(check_convolution(handle, x, w, c, y));
    TRY(check_call(algorithm, Direction::filter, *x, workspace, bytes, alpha, beta));
    Convolution conv(*x, *w, *c, *y);
    double a = scalar(alpha, x->type), b = scalar(beta, x->type);
    std::vector<Memory> pieces = {memory_of("x", conv.x, x_data), memory_of("dy", conv.y, dy), memory_of("dw", conv.w, dw),
                                  workspace_of(workspace, bytes)};
    return submit_checked(handle, "cudnnConvolutionBackwardFilter", pieces, [=] {
        std::vector<double> in = conv.x.read(x_data, conv.tf32), slope = conv.y.read(dy, conv.tf32);
        std::vector<double> out(conv.w.count());
        conv.each([&](size_t i, size_t k, size_t o, size_t step, size_t n) {
            double sum = 0;
            for (size_t r = 0; r < n; ++r) sum += slope[o + r] * in[i + r * step];
            out[k] += sum;
        });
        conv.w.write(dw, out, a, b);
    });
}

// --- pooling -------------------------------------------------------------------------------------------------------------

namespace {

struct Pooling {
    View x, y;
    long windows[SPACE], pads[SPACE], strides[SPACE];
    bool average, padding_counts;

    Pooling(const cudnnTensorStruct &x, const cudnnPoolingStruct &p, const cudnnTensorStruct &y)
        : x(x), y(y), average(p.mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING ||
                              p.mode == CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING),
          padding_counts(p.mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING) {
        int missing = SPACE - (int)p.pads.size();
        for (int i = 0; i < SPACE; ++i) {
            size_t from = (size_t)(i - missing);
            windows[i] = i < missing ? 1 : p.windows[from];
            pads[i] = i < missing ? 0 : p.pads[from];
            strides[i] = i < missing ? 1 : p.strides[from];
        }
    }

    // Calls window(element of y, elements of x in its window) over dense copies.
    template <class F> void each(F window) const {
        std::vector<size_t> members;
        const long *xd = x.dims, *yd = y.dims;
        long planes = yd[0] * yd[1];
        size_t o = 0;
        for (long plane = 0; plane < planes; ++plane)
            for (long d = 0; d < yd[2]; ++d)
                for (long h = 0; h < yd[3]; ++h)
                    for (long v = 0; v < yd[4]; ++v) {
                        members.clear();
                        long taps = windows[0] * windows[1] * windows[2];
                        for (long t = 0; t < taps; ++t) {
                            long a = d * strides[0] - pads[0] + t / (windows[1] * windows[2]);
                            long b = h * strides[1] - pads[1] + t / windows[2] % windows[1];
                            long c = v * strides[2] - pads[2] + t % windows[2];
                            if (a >= 0 && b >= 0 && c >= 0 && a < xd[2] && b < xd[3] && c < xd[4])
                                members.push_back((size_t)(((plane * xd[2] + a) * xd[3] + b) * xd[4] + c));
                        }
                        window(o++, members);
                    }
    }
    double divisor(const std::vector<size_t> &members) const {
        return padding_counts ? (double)(windows[0] * windows[1] * windows[2]) : (double)members.size();
    }
};

size_t largest(const std::vector<double> &values, const std::vector<size_t> &members) {
    size_t best = members[0];
    for (size_t i : members)
        if (values[i] > values[best] || (isnan(values[i]) && !isnan(values[best]))) best = i;
    return best;
}

cudnnStatus_t check_pooling(cudnnHandle_t handle, cudnnPoolingDescriptor_t p, cudnnTensorDescriptor_t x,
                            cudnnTensorDescriptor_t y, const void *alpha, const void *beta) {
    NEED_KNOWN(handle, "handle of cuDNN");
    NEED_KNOWN(p, "descriptor");
    NEED_KNOWN(x, "descriptor");
    NEED_KNOWN(y, "descriptor");
    NEED(!x->dims.empty() && !y->dims.empty() && !p->pads.empty(), CUDNN_STATUS_BAD_PARAM, "a descriptor was never set");
    NEED(alpha && beta, CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a factor is missing");
    NEED(x->type == y->type && x->dims.size() == y->dims.size() && x->dims.size() == p->pads.size() + 2,
         CUDNN_STATUS_BAD_PARAM, "types or ranks differ: x %s, y %s", shape(x->dims).c_str(), shape(y->dims).c_str());
    std::vector<int> expected = {x->dims[0], x->dims[1]};
    for (size_t i = 0; i < p->pads.size(); ++i)
        expected.push_back((x->dims[i + 2] + 2 * p->pads[i] - p->windows[i]) / p->strides[i] + 1);
    NEED(y->dims == expected, CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "y is %s, but x %s pools to %s", shape(y->dims).c_str(),
         shape(x->dims).c_str(), shape(expected).c_str());
    return CUDNN_STATUS_SUCCESS;
}

}  // namespace

CUDNN_CALL cudnnPoolingForward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t p, const void *alpha,
                               const cudnnTensorDescriptor_t x, const void *x_data, const void *beta,
                               const cudnnTensorDescriptor_t y, void *y_data) {
    Locked lock(device_lock);
    TRY(check_pooling(handle, p, x, y, alpha, beta));
    Pooling pool(*x, *p, *y);
    double a = scalar(alpha, x->type), b = scalar(beta, x->type);
    std::vector<Memory> pieces = {memory_of("x", pool.x, x_data), memory_of("y", pool.y, y_data), workspace_of(nullptr, 0)};
    return submit_checked(handle, "cudnnPoolingForward", pieces, [=] {
        std::vector<double> in = pool.x.read(x_data), out(pool.y.count());
        pool.each([&](size_t o, const std::vector<size_t> &members) {
            if (!pool.average) {
                out[o] = in[largest(in, members)];
                return;
            }
            for (size_t i : members) out[o] += in[i] / pool.divisor(members);
        });
        pool.y.write(y_data, out, a, b);
    });
}

CUDNN_CALL cudnnPoolingBackward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t p, const void *alpha,
                                const cudnnTensorDescriptor_t y, const void *y_data, const cudnnTensorDescriptor_t dy,
                                const void *dy_data, const cudnnTensorDescriptor_t x, const void *x_data, const void *beta,
                                const cudnnTensorDescriptor_t dx, void *dx_data) {
    Locked lock(device_lock);
    TRY(check_pooling(handle, p, x, y, alpha, beta));
    TRY(check_pooling(handle, p, dx, dy, alpha, beta));
    Pooling pool(*x, *p, *y);
    View slope_view(*dy), result(*dx);
    double a = scalar(alpha, x->type), b = scalar(beta, x->type);
    std::vector<Memory> pieces = {memory_of("y", pool.y, y_data), memory_of("dy", slope_view, dy_data),
                                  memory_of("x", pool.x, x_data), memory_of("dx", result, dx_data), workspace_of(nullptr, 0)};
    return submit_checked(handle, "cudnnPoolingBackward", pieces, [=] {
        std::vector<double> in = pool.x.read(x_data), slope = slope_view.read(dy_data), out(result.count());
        pool.each([&](size_t o, const std::vector<size_t> &members) {
            if (!pool.average) {
                out[largest(in, members)] += slope[o];
                return;
            }
            for (size_t i : members) out[i] += slope[o] / pool.divisor(members);
        });
        result.write(dx_data, out, a, b);
    });
}
