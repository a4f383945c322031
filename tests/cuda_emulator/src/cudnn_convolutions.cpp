// cuDNN's convolutions of images and volumes: plain loops in double precision over dense copies.
#include "dnn.h"

using namespace emulator;

namespace {

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

// --- algorithms ------------------------------------------------------------------------------------------------------

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

// --- convolutions ----------------------------------------------------------------------------------------------------

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
