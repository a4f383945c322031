// cuDNN's pooling of images and volumes.
#include <math.h>

#include "dnn.h"

using namespace emulator;

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
