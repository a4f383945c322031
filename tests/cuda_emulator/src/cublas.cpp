// cuBLAS for the emulated device: the general matrix product, slowly and exactly, with all its arguments checked.
#include <algorithm>
#include <set>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <utility>
#include <vector>

#include "cublas_declarations.h"
#include "emulator.h"
#include "precision.h"

#define CUBLAS_CALL EMULATOR_API cublasStatus_t

using namespace emulator;

struct cublasContext {
    cudaStream_t stream = nullptr;
    cublasMath_t math = CUBLAS_DEFAULT_MATH;
    void *workspace = nullptr;
    size_t workspace_bytes = 0;
};

namespace {

std::set<cublasHandle_t> handles;

cublasStatus_t wrong(cublasStatus_t status, const char *what) {
    failed(CUDA_ERROR_INVALID_VALUE, "cuBLAS: %s", what);
    return status;
}

#define NEED_HANDLE(handle) \
    if (!handles.count(handle)) return wrong(CUBLAS_STATUS_NOT_INITIALIZED, "no handle of cuBLAS")

enum class Rounding { none, tf32, bfloat16 };

// One operand: `rows` times `columns` as it lies in memory, column after column.
struct Matrix {
    const void *data;
    int type, rows, columns, lead;
    long long stride;
    bool transposed;

    size_t element() const { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }
    size_t extent(int batch) const {  // bytes from the first to behind the last element
        if (!rows || !columns) return 0;
        return element() * ((size_t)(batch - 1) * (size_t)stride + (size_t)(columns - 1) * (size_t)lead + (size_t)rows);
    }
    double at(int b, int row, int column) const {
        if (transposed) std::swap(row, column);
        size_t i = (size_t)b * (size_t)stride + (size_t)column * (size_t)lead + (size_t)row;
        if (type == CUDA_R_64F) return ((const double *)data)[i];
        if (type == CUDA_R_32F) return ((const float *)data)[i];
        uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
        float x;
        memcpy(&x, &bits, sizeof x);
        return x;
    }
};

struct Product {
    int m, n, k, batch;
    double alpha, beta;
    Matrix a, b, c;
    Rounding rounding;
    void *workspace;
    size_t workspace_bytes;
};

double load(const Matrix &matrix, Rounding rounding, int b, int row, int column) {
    double x = matrix.at(b, row, column);
    if (rounding == Rounding::tf32) return to_tf32((float)x);
    if (rounding == Rounding::bfloat16) return to_bfloat16((float)x);
    return x;
}

void multiply(const Product &p, int batch) {
    size_t m = (size_t)p.m, k = (size_t)p.k;
    std::vector<double> left(m * k), column(m);
    for (size_t l = 0; l < k; ++l)
        for (size_t i = 0; i < m; ++i) left[l * m + i] = load(p.a, p.rounding, batch, (int)i, (int)l);
    for (int j = 0; j < p.n; ++j) {
        std::fill(column.begin(), column.end(), 0);
        for (size_t l = 0; l < k; ++l) {
            double factor = load(p.b, p.rounding, batch, (int)l, j);
            for (size_t i = 0; i < m; ++i) column[i] += factor * left[l * m + i];
        }
        size_t start = (size_t)batch * (size_t)p.c.stride + (size_t)j * (size_t)p.c.lead;
        for (size_t i = 0; i < m; ++i) {
            // beta 0 means that what is there does not matter, be it NaN
            double value = p.alpha * column[i] + (p.beta != 0 ? p.beta * p.c.at(batch, (int)i, j) : 0);
            if (p.c.type == CUDA_R_64F) ((double *)p.c.data)[start + i] = value;
            else ((float *)p.c.data)[start + i] = (float)value;
        }
    }
}

CUresult check_memory(const Product &p) {
    const struct { const char *name; const Matrix *matrix; } operands[] = {{"A", &p.a}, {"B", &p.b}, {"C", &p.c}};
    for (auto &operand : operands) {
        size_t bytes = operand.matrix->extent(p.batch);
        EMULATOR_NEED(!bytes || is_device(operand.matrix->data, bytes), CUDA_ERROR_INVALID_VALUE,
                      "cuBLAS: %s takes %zu bytes of device memory, starting at %s", operand.name, bytes,
                      describe(operand.matrix->data));
        EMULATOR_NEED((uintptr_t)operand.matrix->data % operand.matrix->element() == 0, CUDA_ERROR_INVALID_VALUE,
                      "cuBLAS: %s is misaligned", operand.name);
    }
    return CUDA_SUCCESS;
}

CUresult execute(const Product &p) {
    EMULATOR_TRY(check_memory(p));
    // Nobody may rely on what is in the workspace; and if it is not free, that shows.
    if (p.workspace_bytes) {
        EMULATOR_NEED(is_device(p.workspace, p.workspace_bytes), CUDA_ERROR_INVALID_VALUE, "cuBLAS: the workspace is %s",
                      describe(p.workspace));
        memset(p.workspace, 0xff, p.workspace_bytes < 4096 ? p.workspace_bytes : 4096);
    }
    for (int batch = 0; batch < p.batch; ++batch) multiply(p, batch);
    return CUDA_SUCCESS;
}

bool is_transposed(cublasOperation_t operation) { return operation != CUBLAS_OP_N; }

double scalar(const void *value, bool is_double) { return is_double ? *(const double *)value : *(const float *)value; }

}  // namespace

CUBLAS_CALL cublasCreate_v2(cublasHandle_t *handle) {
    if (need_context() != CUDA_SUCCESS) return CUBLAS_STATUS_NOT_INITIALIZED;
    Locked lock(device_lock);
    *handle = new cublasContext;
    handles.insert(*handle);
    return CUBLAS_STATUS_SUCCESS;
}

CUBLAS_CALL cublasDestroy_v2(cublasHandle_t handle) {
    Locked lock(device_lock);
    NEED_HANDLE(handle);
    handles.erase(handle);
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

// As in reality, this also takes the workspace away again.
CUBLAS_CALL cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    Locked lock(device_lock);
    NEED_HANDLE(handle);
    if (check_stream(stream) != CUDA_SUCCESS) return CUBLAS_STATUS_INVALID_VALUE;
    handle->stream = stream;
    handle->workspace = nullptr;
    handle->workspace_bytes = 0;
    return CUBLAS_STATUS_SUCCESS;
}

CUBLAS_CALL cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes) {
    Locked lock(device_lock);
    NEED_HANDLE(handle);
    if (bytes && !is_device(workspace, bytes)) return wrong(CUBLAS_STATUS_INVALID_VALUE, "the workspace is not on the device");
    if ((uintptr_t)workspace % 256) return wrong(CUBLAS_STATUS_INVALID_VALUE, "a workspace starts at a multiple of 256");
    handle->workspace = workspace;
    handle->workspace_bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

CUBLAS_CALL cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    Locked lock(device_lock);
    NEED_HANDLE(handle);
    handle->math = mode;
    return CUBLAS_STATUS_SUCCESS;
}

CUBLAS_CALL cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
    Locked lock(device_lock);
    NEED_HANDLE(handle);
    return mode == CUBLAS_POINTER_MODE_HOST ? CUBLAS_STATUS_SUCCESS
                                            : wrong(CUBLAS_STATUS_NOT_SUPPORTED, "factors on the device are not emulated");
}

CUBLAS_CALL cublasGetVersion_v2(cublasHandle_t, int *version) {
    *version = 130000;
    return CUBLAS_STATUS_SUCCESS;
}

CUBLAS_CALL cublasGetProperty(libraryPropertyType type, int *value) {
    *value = type == MAJOR_VERSION ? 13 : 0;
    return CUBLAS_STATUS_SUCCESS;
}

EMULATOR_API const char *cublasGetStatusString(cublasStatus_t status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS: return "success";
        case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
        case CUBLAS_STATUS_INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
        case CUBLAS_STATUS_NOT_SUPPORTED: return "the functionality requested is not supported";
        default: return "the GPU program failed to execute";
    }
}

CUBLAS_CALL cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b, int m,
                                       int n, int k, const void *alpha, const void *a, cudaDataType type_a, int lda,
                                       long long stride_a, const void *b, cudaDataType type_b, int ldb, long long stride_b,
                                       const void *beta, void *c, cudaDataType type_c, int ldc, long long stride_c,
                                       int batch, cublasComputeType_t compute, cublasGemmAlgo_t) {
    Locked lock(device_lock);
    NEED_HANDLE(handle);
    if (m < 0 || n < 0 || k < 0 || batch < 0) return wrong(CUBLAS_STATUS_INVALID_VALUE, "a negative size");
    if (!alpha || !beta) return wrong(CUBLAS_STATUS_INVALID_VALUE, "a factor is missing");
    if (is_device(alpha, 1) || is_device(beta, 1)) return wrong(CUBLAS_STATUS_INVALID_VALUE, "a factor is not on the host");
    bool ta = is_transposed(trans_a), tb = is_transposed(trans_b);
    Matrix left = {a, type_a, ta ? k : m, ta ? m : k, lda, stride_a, ta};
    Matrix right = {b, type_b, tb ? n : k, tb ? k : n, ldb, stride_b, tb};
    Matrix result = {c, type_c, m, n, ldc, stride_c, false};
    for (const Matrix *matrix : {&left, &right, &result})
        if (matrix->lead < 1 || matrix->lead < matrix->rows)
            return wrong(CUBLAS_STATUS_INVALID_VALUE, "a leading dimension is less than the rows of its matrix");
    if (stride_a < 0 || stride_b < 0 || stride_c < 0) return wrong(CUBLAS_STATUS_INVALID_VALUE, "a negative stride");
    if (batch > 1 && n && m && stride_c < (long long)ldc * (n - 1) + m)
        return wrong(CUBLAS_STATUS_INVALID_VALUE, "the results of a batch overlap");
    bool is_double = compute == CUBLAS_COMPUTE_64F || compute == CUBLAS_COMPUTE_64F_PEDANTIC;
    bool is_float = compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
                    compute == CUBLAS_COMPUTE_32F_FAST_TF32 || compute == CUBLAS_COMPUTE_32F_FAST_16BF;
    bool same = type_a == type_b;
    bool fits = (is_double && same && type_a == CUDA_R_64F && type_c == CUDA_R_64F) ||
                (is_float && same && (type_a == CUDA_R_32F || type_a == CUDA_R_16BF) && type_c == CUDA_R_32F);
    if (!fits) return wrong(CUBLAS_STATUS_NOT_SUPPORTED, "these types are not multiplied in this arithmetic");
    Rounding rounding = Rounding::none;
    bool tf32_mode = handle->math == CUBLAS_TF32_TENSOR_OP_MATH && compute == CUBLAS_COMPUTE_32F;
    if (compute == CUBLAS_COMPUTE_32F_FAST_TF32 || tf32_mode) rounding = Rounding::tf32;
    if (compute == CUBLAS_COMPUTE_32F_FAST_16BF) rounding = Rounding::bfloat16;
    if (!m || !n || !batch) return CUBLAS_STATUS_SUCCESS;
    Product product = {m, n, k, batch, scalar(alpha, is_double), scalar(beta, is_double), left, right, result, rounding,
                       handle->workspace, handle->workspace_bytes};
    if (check_memory(product) != CUDA_SUCCESS) return CUBLAS_STATUS_INVALID_VALUE;
    CUresult done = submit(handle->stream, "cublasGemm", [product] { return execute(product); });
    return done == CUDA_SUCCESS ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

CUBLAS_CALL cublasGemmEx(cublasHandle_t handle, cublasOperation_t trans_a, cublasOperation_t trans_b, int m, int n, int k,
                         const void *alpha, const void *a, cudaDataType type_a, int lda, const void *b, cudaDataType type_b,
                         int ldb, const void *beta, void *c, cudaDataType type_c, int ldc, cublasComputeType_t compute,
                         cublasGemmAlgo_t algorithm) {
    return cublasGemmStridedBatchedEx(handle, trans_a, trans_b, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta,
                                      c, type_c, ldc, 0, 1, compute, algorithm);
}
