// What the parts of the emulated cuDNN share: descriptors, checks, tensors as plain arrays of double.
#pragma once

#include <functional>
#include <set>
#include <stdint.h>
#include <string>
#include <vector>

#include "cudnn_declarations.h"
#include "emulator.h"
#include "precision.h"

#define CUDNN_CALL EMULATOR_API cudnnStatus_t

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

namespace emulator {

// --- mistakes: cudnn.cpp ---------------------------------------------------------------------------------------------

extern std::set<const void *> known;  // handles and descriptors

cudnnStatus_t wrong(cudnnStatus_t status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define NEED(condition, status, ...) \
    if (!(condition)) return wrong(status, __VA_ARGS__)
#define NEED_KNOWN(object, what) NEED(known.count(object), CUDNN_STATUS_BAD_PARAM, "%p is no %s", (const void *)object, what)
#define TRY(expression)                                                          \
    do {                                                                         \
        cudnnStatus_t status_of_try = (expression);                              \
        if (status_of_try != CUDNN_STATUS_SUCCESS) return status_of_try;         \
    } while (0)

// --- tensors ---------------------------------------------------------------------------------------------------------

std::string shape(const std::vector<int> &dims);

inline size_t width(cudnnDataType_t type) { return type == CUDNN_DATA_DOUBLE ? 8 : 4; }

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

// --- memory ----------------------------------------------------------------------------------------------------------

// What a call may touch; checked when it is made and again when it runs, which may be later, and often.
struct Memory {
    const char *name;
    const void *address;
    size_t bytes, alignment;
};

inline Memory memory_of(const char *name, const View &view, const void *data) {
    return {name, data, view.bytes(), width(view.type)};
}

inline Memory workspace_of(void *workspace, size_t bytes) { return {"the workspace", workspace, workspace ? bytes : 0, 16}; }

inline double scalar(const void *value, cudnnDataType_t type) {
    return type == CUDNN_DATA_DOUBLE ? *(const double *)value : *(const float *)value;
}

// Checks `pieces`, of which the last but one is the result and the last the workspace, and does `run` in its turn.
cudnnStatus_t submit_checked(cudnnHandle_t handle, const char *what, std::vector<Memory> pieces, std::function<void()> run);

}  // namespace emulator
