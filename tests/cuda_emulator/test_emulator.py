"""The emulated GPU runs kernels as a GPU does, and names the mistakes that a GPU would leave unnamed."""

import ctypes
import gc
import threading

import numpy as np
import pytest
from cuda_emulator import emulator
from cuda_emulator.compiling import Gpu, Refused, cubin

KERNELS = r"""
extern "C" __global__ void scale(float *y, const float *x, long long n) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) y[i] = 2 * x[i];
}

template <class T> __device__ T warp_sum(T v) {
    for (int step = 16; step; step /= 2) v += __shfl_down_sync(0xffffffffu, v, step);
    return v;
}

extern "C" __global__ void __launch_bounds__(256, 2) block_sum(float *y, const float *x, long long n) {
    __shared__ float part[8];
    float v = 0;
    for (long long i = blockIdx.x * 256LL + threadIdx.x; i < n; i += gridDim.x * 256LL) v += x[i];
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x < 32) {
        v = warp_sum(threadIdx.x < 8 ? part[threadIdx.x] : 0.0f);
        if (threadIdx.x == 0) y[blockIdx.x] = v;
    }
}

extern "C" __global__ void reversed(float *y, const float *x, long long bytes) {
    extern __shared__ __align__(16) float buffer[];
    buffer[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = buffer[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void tally(int *counts, double *total, unsigned long long *largest) {
    atomicAdd(&counts[threadIdx.x % 4], 1);
    atomicAdd(total, 0.5);
    atomicMax(largest, (unsigned long long)threadIdx.x + blockIdx.x);
    int old = counts[4], seen;  // a lock-free product
    do { seen = old; old = atomicCAS(&counts[4], seen, seen + 2); } while (old != seen);
}

extern "C" __global__ void votes(int *y) {
    int lane = threadIdx.x % 32, odd = threadIdx.x & 1;
    y[threadIdx.x] = __ballot_sync(~0u, odd) == 0xaaaaaaaau && __any_sync(~0u, odd) && !__all_sync(~0u, odd)
        && __shfl_xor_sync(~0u, lane, 1) == (lane ^ 1)
        && __shfl_up_sync(~0u, lane, 2, 8) == (lane % 8 < 2 ? lane : lane - 2)
        && __shfl_sync(~0u, lane, 3, 4) == (lane & ~3) + 3 && __syncthreads_count(odd) == 32 && __syncthreads_or(odd)
        && !__syncthreads_and(odd) && __reduce_add_sync(~0u, lane) == 496;
}

extern "C" __global__ void ends_early(float *y) {
    if (threadIdx.x >= 40) return;
    __syncthreads();
    y[threadIdx.x] = threadIdx.x;
}

extern "C" __global__ void fresh(float *y) {
    __shared__ float s[32];
    if (blockIdx.x == 0) s[threadIdx.x] = 1;
    y[blockIdx.x * 32 + threadIdx.x] = s[threadIdx.x];
}

// Works in the order of threads only: a barrier is missing.
extern "C" __global__ void racy(float *y) {
    __shared__ float s[64];
    s[threadIdx.x] = threadIdx.x;
    y[threadIdx.x] = threadIdx.x ? s[threadIdx.x - 1] : 0;
}

extern "C" __global__ void four(float4 *y, const float4 *x) {
    float4 v = x[threadIdx.x];
    y[threadIdx.x] = make_float4(v.w, v.z, v.y, v.x);
}

__device__ float offset = 3;
extern "C" __global__ void add_offset(float *y) { y[threadIdx.x] += offset; }
"""

MISTAKES = r"""
extern "C" __global__ void past_the_end(float *y, long long i) { if (threadIdx.x == 5) y[i] = 1; }
extern "C" __global__ void deadlock(float *y) {
    if (threadIdx.x < 16)
        __syncwarp();
    else
        __syncthreads();
}
extern "C" __global__ void diverge(float *y) {
    if (threadIdx.x < 16)
        __syncthreads();
    else
        __syncthreads();
}
extern "C" __global__ void foreign_mask(float *y) { __syncwarp(0xff); }
extern "C" __global__ void dead_lanes(float *y) { if (threadIdx.x < 16) __syncwarp(); }
extern "C" __global__ void outside(float *y, long long i) { __shared__ float s[4]; if (!threadIdx.x) y[0] = s[i] = 1; }
extern "C" __global__ void misaligned(float *y) { *(float2 *)(y + 1) = make_float2(1, 2); }
extern "C" __global__ void by_zero(int *y, long long z) { y[0] = 7 / (int)z; }
extern "C" __global__ void asserting(float *y, long long n) { assert(n > 3); }
extern "C" __global__ void dynamic_end(float *y) { extern __shared__ float s[]; y[threadIdx.x] = s[threadIdx.x] = 1; }
extern "C" __global__ void deep(float *y) { volatile char big[1 << 20]; big[threadIdx.x] = 1; y[0] = big[1]; }
"""


@pytest.fixture
def gpu(emulated_device):
    gpu = Gpu()
    gpu.context.push()
    yield gpu
    gpu.context.pop()


@pytest.fixture(scope="module")
def codes(emulated_device):
    return {"kernels": cubin(KERNELS, "--std=c++17", "-default-device"), "mistakes": cubin(MISTAKES)}


@pytest.fixture
def kernels(gpu, codes):
    return gpu.driver.module_from_buffer(codes["kernels"])


@pytest.fixture
def mistakes(gpu, codes):
    return gpu.driver.module_from_buffer(codes["mistakes"])


@pytest.fixture(params=[False, True], ids=["forward", "reverse"])
def either_order(request, emulated_device):
    with emulator.settings(reverse=request.param):
        yield


# --- kernels ----------------------------------------------------------------------------------------------------------


def test_elementwise(gpu, kernels, rng, either_order):
    x = rng.standard_normal(1000, "float32")
    y = gpu.array(np.zeros_like(x))
    gpu.launch(kernels, "scale", y, gpu.array(x), 1000, grid=4, block=256)
    np.testing.assert_array_equal(gpu.read(y, 1000), 2 * x)


def test_reduction_with_barriers_and_shuffles(gpu, kernels, rng, either_order):
    x = rng.random(10_000, "float32")
    y = gpu.array(np.zeros(5, "float32"))
    gpu.launch(kernels, "block_sum", y, gpu.array(x), 10_000, grid=5, block=256)
    np.testing.assert_allclose(gpu.read(y, 5).sum(), x.sum(), rtol=1e-5)


def test_dynamic_shared_memory(gpu, kernels, either_order):
    x = np.arange(128, dtype="float32")
    y = gpu.array(np.zeros_like(x))
    gpu.launch(kernels, "reversed", y, gpu.array(x), 0, block=128, shared=512)
    np.testing.assert_array_equal(gpu.read(y, 128), x[::-1])


def test_atomics(gpu, kernels, either_order):
    counts, total, largest = gpu.array(np.zeros(5, "i4")), gpu.array(np.zeros(1)), gpu.array(np.zeros(1, "u8"))
    gpu.launch(kernels, "tally", counts, total, largest, grid=3, block=64)
    assert gpu.read(counts, 5, "i4").tolist() == [48, 48, 48, 48, 384]
    assert gpu.read(total, 1, "f8") == 96
    assert gpu.read(largest, 1, "u8") == 65


def test_votes_and_shuffles(gpu, kernels, either_order):
    y = gpu.array(np.zeros(64, "i4"))
    gpu.launch(kernels, "votes", y, block=64)
    assert gpu.read(y, 64, "i4").all()


def test_threads_that_ended_are_not_waited_for(gpu, kernels, either_order):
    y = gpu.array(np.zeros(64, "float32"))
    gpu.launch(kernels, "ends_early", y, block=64)
    np.testing.assert_array_equal(gpu.read(y, 40), np.arange(40))


def test_blocks_in_three_dimensions(gpu):
    module = gpu.load("""
        extern "C" __global__ void where(int *y) {
            int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
            int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
            y[block * blockDim.x * blockDim.y * blockDim.z + thread] = 100 * block + thread;
        }""")
    y = gpu.array(np.zeros(24 * 60, "i4"))
    gpu.launch(module, "where", y, grid=(2, 3, 4), block=(3, 4, 5))
    assert gpu.read(y, (24, 60), "i4").tolist() == [[100 * b + t for t in range(60)] for b in range(24)]


def test_vectors_and_variables_of_the_device(gpu, kernels):
    x = np.arange(8, dtype="float32")
    y = gpu.array(np.zeros(8, "float32"))
    gpu.launch(kernels, "four", y, gpu.array(x), block=2)
    assert gpu.read(y, 8).tolist() == [3, 2, 1, 0, 7, 6, 5, 4]
    address, size = kernels.get_global("offset")
    assert size == 4
    gpu.driver.memcpy_htod(address, np.float32(5))
    gpu.launch(kernels, "add_offset", y, block=8)
    assert gpu.read(y, 8).tolist() == [8, 7, 6, 5, 12, 11, 10, 9]


def test_functions_of_numbers(gpu):
    special = pytest.importorskip("scipy.special")
    formulas = {
        "erfcx(x)": special.erfcx, "erfinv(x / 4)": lambda x: special.erfinv(x / 4), "normcdf(x)": special.ndtr,
        "normcdfinv(x / 8 + 0.5)": lambda x: special.ndtri(x / 8 + 0.5), "lgamma(x)": special.gammaln,
        "cyl_bessel_i1(x)": special.i1, "sinpi(x)": lambda x: np.sin(np.pi * x),
        "rsqrt(fabs(x))": lambda x: abs(x) ** -0.5,
        "erfcinv(1 + x / 4)": lambda x: special.erfcinv(1 + x / 4), "fma(x, x, 1.0)": lambda x: x * x + 1,
        "(double)__float2int_rn(1e30f * (float)x)": lambda x: np.where(x > 0, 2**31 - 1, -(2**31)),
        "(double)__umulhi(0xdeadbeefu, 0x80000001u)": lambda x: np.full_like(x, 0xDEADBEEF * 0x80000001 >> 32),
        "cospi(x) + exp10(x)": lambda x: np.cos(np.pi * x) + 10**x,
    }  # fmt: skip
    rows = "".join(f"y[{i} * n + threadIdx.x] = {formula};\n" for i, formula in enumerate(formulas))
    module = gpu.load(f'extern "C" __global__ void f(double *y, const double *in, long long n) '
                      f'{{ double x = in[threadIdx.x]; {rows} }}')  # fmt: skip
    x = np.linspace(-3.9, 3.9, 32)
    y = gpu.array(np.zeros((len(formulas), 32)))
    gpu.launch(module, "f", y, gpu.array(x), 32)
    for formula, row in zip(formulas, gpu.read(y, (len(formulas), 32), "f8"), strict=True):
        np.testing.assert_allclose(row, formulas[formula](x), rtol=1e-12, atol=1e-14, err_msg=formula)


def test_half_and_bfloat16(gpu, rng):
    module = gpu.load("""
        #include <cuda_fp16.h>
        #include <cuda_bf16.h>
        extern "C" __global__ void f(__half *h, __nv_bfloat16 *b, const float *x) {
            h[threadIdx.x] = __float2half(x[threadIdx.x]);
            b[threadIdx.x] = __float2bfloat16(x[threadIdx.x]);
        }""")
    x = rng.standard_normal(32, "float32")
    h, b = gpu.array(np.zeros(32, "float16")), gpu.array(np.zeros(32, "u2"))
    gpu.launch(module, "f", h, b, gpu.array(x))
    np.testing.assert_array_equal(gpu.read(h, 32, "float16"), x.astype("float16"))
    as_float = (gpu.read(b, 32, "u2").astype("u4") << 16).view("float32")
    np.testing.assert_allclose(as_float, x, rtol=2**-8)


# --- NVRTC ------------------------------------------------------------------------------------------------------------


def test_errors_of_the_compiler_name_the_users_line(emulated_device):
    with pytest.raises(Refused, match=r"user\.cu\(3\): error: .*nonsense"):
        cubin('\nextern "C" __global__ void f(float *y) {\n    y[0] = nonsense;\n}')
    with pytest.raises(Refused, match=r"deep/header\.cuh\(1\): error: .*wrong"):
        cubin('#include "deep/header.cuh"\n', headers={"deep/header.cuh": "wrong here;"})
    with pytest.raises(Refused, match=r"stdint\.h"):
        cubin("#include <stdint.h>\n")
    with pytest.raises(Refused, match="INFINITY"):
        cubin('extern "C" __global__ void f(float *y) { y[0] = INFINITY; }')


def test_headers_options_and_comments(gpu):
    text = """
        #include "answer.cuh"
        /* __global__ void not_this( */  // extern __shared__ float nor_this[];
        const char *text = "__global__ void nor_that(";
        static __device__ float twice(float x) { return 2 * x; }
        extern "C" __global__ void __launch_bounds__(MOST)
        f(float *y,
          int unused) {
            extern
                __shared__ float buffer[];
            y[0] = twice(ANSWER) + __LINE__;
        }
        __global__ void not_c(float *y) {}
        """
    module = gpu.load(text, "-DMOST=64", "--define-macro=UNUSED", headers={"answer.cuh": "#define ANSWER 21\n"})
    y = gpu.array(np.zeros(1, "float32"))
    gpu.launch(module, "f", y, 0, block=64)
    assert gpu.read(y, 1) == 42 + 11
    with pytest.raises(gpu.driver.Error, match="allows 64"):
        gpu.launch(module, "f", y, 0, block=65)
    with pytest.raises(gpu.driver.Error, match='not extern "C"'):
        module.get_function("not_c")


def test_options_are_checked(emulated_device):
    with pytest.raises(Refused, match="unrecognized option: fast"):
        cubin("", "--fast")
    with pytest.raises(Refused, match="gpu-architecture"):
        cubin("", arch="sm_1")
    assert cubin("", arch="compute_90") == b""  # that would be PTX


def test_a_module_for_another_device(gpu):
    with pytest.raises(gpu.driver.Error, match="another architecture"):
        gpu.load('extern "C" __global__ void f() {}', arch="sm_80")
    with pytest.raises(gpu.driver.Error, match="no PTX"):
        gpu.driver.module_from_buffer(b".version 8.0")


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("past_the_end", [4000], r"past_the_end, block \(0,0,0\): thread \(5,0,0\) touches .* past the end of the 200"),
        ("past_the_end", [-5000], r"thread \(5,0,0\) touches .* before the 200 bytes"),
        ("past_the_end", [50], "past_the_end wrote past the end of the 200 bytes"),
        ("deadlock", [], r"deadlock, 32 of 32 .* thread \(0,0,0\) in __syncwarp .* at line 5, thread \(16,0,0\) in "
                         r"__syncthreads at line 7"),
        ("diverge", [], r"diverge: thread \(0,0,0\) is in __syncthreads at line 11, .*16,0,0\) in .* at line 13"),
        ("foreign_mask", [], r"thread \(8,0,0\) is not in its own mask 0xff"),
        ("dead_lanes", [], "deadlock, 16 of 32"),
        ("outside", [4], "uses an index outside its array"),
        ("misaligned", [], "misaligned address"),
        ("by_zero", [0], "divides an integer by zero"),
        ("asserting", [3], r"line 20: assert\(n > 3\)"),
        ("dynamic_end", [], r"thread \(16,0,0\) is 0 bytes past the end of the 64 bytes of dynamic shared memory"),
        ("deep", [], "bytes of stack"),
    ],
)  # fmt: skip
def test_mistakes_of_kernels_are_named(gpu, mistakes, name, arguments, message):
    y = gpu.array(np.zeros(50, "float32"))
    with pytest.raises(gpu.driver.Error, match=message):
        gpu.launch(mistakes, name, y, *arguments, shared=64)
    gpu.launch(mistakes, "outside", y, 0)  # and the device goes on
    assert gpu.read(y, 1) == 1


def test_lanes_that_have_ended(gpu, mistakes):
    y = gpu.array(np.zeros(1, "float32"))
    with emulator.settings(reverse=True), pytest.raises(gpu.driver.Error, match="names lanes that have ended"):
        gpu.launch(mistakes, "dead_lanes", y)


@pytest.mark.parametrize(
    "how, message",
    [
        ({"block": 1025}, "block of .1025,1,1. threads cannot be"),
        ({"block": (1, 1, 65)}, "cannot be"),
        ({"block": 512}, "block of 512 threads, but __launch_bounds__ allows 256"),
        ({"grid": (1, 65536, 1)}, "grid of .1,65536,1. blocks cannot be"),
        ({"shared": 49 << 10}, "50176 bytes of dynamic shared memory, but 49120 are allowed"),
    ],
)
def test_launches_that_cannot_be(gpu, kernels, how, message):
    y = gpu.array(np.zeros(1, "float32"))
    with pytest.raises(gpu.driver.Error, match=message):
        gpu.launch(kernels, "block_sum", y, y, 0, **how)


def test_more_shared_memory_on_demand(gpu, kernels):
    function = kernels.get_function("reversed")
    attribute = gpu.driver.function_attribute.MAX_DYNAMIC_SHARED_SIZE_BYTES
    function.set_attribute(attribute, 100 << 10)
    y = gpu.array(np.ones(64, "float32"))
    function._launch_kernel((1, 1, 1), (64, 1, 1), np.array([int(y), int(y), 0], "i8"), 100 << 10, None)
    with pytest.raises(gpu.driver.Error, match="at most"):
        function.set_attribute(attribute, 228 << 10)


def test_parameters_are_counted_and_looked_at(gpu, kernels):
    x = np.zeros(4, "float32")
    y = gpu.array(x)
    with pytest.raises(gpu.driver.Error, match="16 bytes of parameters, but it takes 24 in 3"):
        gpu.launch(kernels, "scale", y, y)
    with pytest.raises(gpu.driver.Error, match="parameter 1 is .* no memory of the device"):
        gpu.launch(kernels, "scale", y, x.ctypes.data, 4)
    freed = int(y)
    y.free()
    with pytest.raises(gpu.driver.Error, match="parameter 0 is"):
        gpu.launch(kernels, "scale", freed, freed, 4)


def test_missing_kernels_and_modules_that_are_gone(gpu, codes):
    module = gpu.driver.module_from_buffer(codes["kernels"])
    with pytest.raises(gpu.driver.Error, match="no kernel nothing"):
        module.get_function("nothing")


def test_copies_stay_inside_allocations(gpu):
    memory = gpu.driver.mem_alloc(64)
    with pytest.raises(gpu.driver.Error, match="cuMemcpyDtoH: 68 bytes of device memory wanted"):
        gpu.read(memory, 17)
    with pytest.raises(gpu.driver.Error, match="cuMemcpyHtoD"):
        gpu.driver.memcpy_htod(int(memory) + 4, np.zeros(16, "float32"))
    with pytest.raises(gpu.driver.Error, match="host memory wanted"):
        emulated = gpu.emulated.cuMemcpyDtoH_v2
        if emulated(ctypes.c_void_p(int(memory)), ctypes.c_void_p(int(memory)), ctypes.c_size_t(8)):
            raise gpu.driver.Error(gpu.emulated.emulator_last_error().decode())


def test_fresh_memory_is_nan(gpu, kernels):
    y = gpu.driver.mem_alloc(256)
    assert np.isnan(gpu.read(y, 64)).all()
    gpu.launch(kernels, "fresh", y, grid=2)
    values = gpu.read(y, 64)
    assert (values[:32] == 1).all() and np.isnan(values[32:]).all()


def test_memory_runs_out(gpu):
    gc.collect()  # PyCUDA does so, too, before it gives up
    used = gpu.emulated.emulator_used()
    with emulator.settings(memory=used + 4096):
        first = gpu.driver.mem_alloc(4000)
        assert gpu.driver.mem_get_info() == (0, used + 4096)
        with pytest.raises(gpu.driver.MemoryError, match="out of memory"):
            gpu.driver.mem_alloc(1)
        first.free()
        gpu.driver.mem_alloc(4096).free()
    assert gpu.emulated.emulator_used() == used


def test_the_other_order_shows_a_race(gpu, kernels):
    y = gpu.array(np.zeros(64, "float32"))
    expected = [0, *range(63)]
    with emulator.settings(races=False):
        gpu.launch(kernels, "racy", y, block=64)
    assert gpu.read(y, 64).tolist() == expected
    with emulator.settings(races=False, reverse=True):
        gpu.launch(kernels, "racy", y, block=64)
    assert np.isnan(gpu.read(y, 64)[1:]).all()


@pytest.mark.parametrize(
    "body, message",
    [
        ("s[t] = t; y[t] = s[t ^ 1];", r"f::s, byte 4: thread .0,0,0. read it, thread .1,0,0. writes it"),
        ("s[t] = t; y[t] = s[t ^ 32];", "byte 128: thread .0,0,0. read it, thread .32,0,0. writes it"),
        ("s[t] = t; __syncwarp(); y[t] = s[t ^ 1];", None),
        ("s[t] = t; __syncwarp(); y[t] = s[t ^ 32];", "byte 252: thread .31,0,0. read it, thread .63,0,0. writes it"),
        ("s[t] = t; __syncthreads(); y[t] = s[t ^ 32];", None),
        ("s[t] = t; __syncthreads(); y[t] = s[t ^ 32]; s[t] = 1; y[t] += s[t];", "thread .31,0,0. reads it"),
        ("s[t] = t; __syncthreads(); y[t] = s[0]; if (t == 63) y[t] += s[0] = 1;", "thread .63,0,0. wrote it"),
        ("if (t < 63) y[t] = s[0]; else y[t] = s[0] = 1;", "several threads read it, thread .63,0,0. writes"),
        ("s[t / 2] = 1; __syncthreads(); y[t] = s[t];", "byte 0: thread .0,0,0. wrote it, thread .1,0,0. writes it"),
        ("if (t == 0) s[0] = 0; __syncthreads(); atomicAdd(&s[0], 1.0f); __syncthreads(); y[t] = s[0];", None),
        ("char *c = (char *)s; c[t] = t; __syncthreads(); y[t] = c[63 - t];", None),
        ("extern __shared__ float4 d[]; d[t] = make_float4(t, t, t, t); y[t] = d[t ^ 1].x;", "dynamic shared memory"),
    ],
)
def test_races_on_shared_memory(gpu, body, message):
    module = gpu.load(f"""extern "C" __global__ void f(float *y) {{
        __shared__ float s[64];
        int t = threadIdx.x;
        {body}
    }}""")
    y = gpu.array(np.zeros(64, "float32"))
    if message is None:
        gpu.launch(module, "f", y, grid=3, block=64, shared=1024)
        return
    with pytest.raises(gpu.driver.Error, match="race on .*" + message):
        gpu.launch(module, "f", y, grid=3, block=64, shared=1024)


# --- streams, events, pinned memory -----------------------------------------------------------------------------------


def test_a_lazy_device_works_when_someone_waits(gpu, kernels):
    stream, n = gpu.driver.Stream(), 32
    x = gpu.driver.pagelocked_empty(n, "float32")
    result = gpu.driver.pagelocked_empty(n, "float32")
    x[:], result[:] = 1, 0
    y, z = gpu.driver.mem_alloc(4 * n), gpu.driver.mem_alloc(4 * n)
    with emulator.settings(lazy=True) as device:
        before = device.emulator_launches()
        gpu.driver.memcpy_htod_async(y, x, stream)
        gpu.launch(kernels, "scale", z, y, n, stream=stream)
        gpu.driver.memcpy_dtoh_async(result, z, stream)
        assert device.emulator_launches() == before and not result.any()
        x[:] = 3  # too early: the copy has not been made
        stream.synchronize()
        assert device.emulator_launches() == before + 1
    assert (result == 6).all()


def test_events(gpu, kernels):
    stream, start, end = gpu.driver.Stream(), gpu.driver.Event(), gpu.driver.Event()
    y = gpu.array(np.zeros(4, "float32"))
    with emulator.settings(lazy=True):
        start.record(stream)
        gpu.launch(kernels, "scale", y, y, 4, stream=stream)
        end.record(stream)
        with pytest.raises(gpu.driver.Error, match="not been waited for"):
            end.time_since(start)
        end.synchronize()
    assert end.time_since(start) >= 0


def test_fills_and_boxes(gpu):
    y = gpu.array(np.zeros(12, "float32"))
    gpu.driver.memset_d32(int(y) + 16, int(np.float32(1.5).view("i4")), 4)
    assert gpu.read(y, 12).tolist() == [0] * 4 + [1.5] * 4 + [0] * 4
    copy = gpu.driver.Memcpy2D()
    target = np.zeros((3, 2), "float32")
    copy.set_src_device(y)
    copy.set_dst_host(target)
    copy.src_pitch, copy.dst_pitch, copy.width_in_bytes, copy.height = 16, 8, 8, 3
    copy(aligned=False)
    assert target.tolist() == [[0, 0], [1.5, 1.5], [0, 0]]


def test_threads_of_the_host_take_turns(gpu, kernels):
    x = gpu.array(np.ones(256, "float32"))
    results = [gpu.array(np.zeros(1, "float32")) for _ in range(4)]

    def work(y):
        gpu.context.push()
        for _ in range(20):
            gpu.launch(kernels, "block_sum", y, x, 256, block=256)
        gpu.context.pop()

    workers = [threading.Thread(target=work, args=(y,)) for y in results]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [gpu.read(y, 1)[0] for y in results] == [256] * 4


# --- graphs -----------------------------------------------------------------------------------------------------------


class Capture:
    """A stream under capture, and the driver's functions for it."""

    THREAD_LOCAL, RELAXED = 1, 2

    def __init__(self, gpu, mode=0):
        self.driver, self.stream = gpu.emulated, gpu.driver.Stream()
        self.handle = ctypes.c_void_p(self.stream.handle)
        self.executable = ctypes.c_void_p()
        assert not self.driver.cuStreamBeginCapture_v2(self.handle, mode)

    def end(self):
        graph = ctypes.c_void_p()
        status = self.driver.cuStreamEndCapture(self.handle, ctypes.byref(graph))
        if not status:
            assert not self.driver.cuGraphInstantiateWithFlags(
                ctypes.byref(self.executable), graph, ctypes.c_ulonglong(0)
            )
            assert not self.driver.cuGraphDestroy(graph)
        return status

    def replay(self):
        return self.driver.cuGraphLaunch(self.executable, self.handle)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_graph_does_again_what_was_captured(gpu, kernels, lazy):
    x, y = gpu.array(np.ones(8, "float32")), gpu.array(np.zeros(8, "float32"))
    result = gpu.driver.pagelocked_empty(8, "float32")
    with emulator.settings(lazy=lazy) as device:
        before = device.emulator_launches()
        capture = Capture(gpu)
        gpu.driver.memset_d32_async(y, 0, 8, capture.stream)
        gpu.launch(kernels, "scale", y, x, 8, stream=capture.stream)
        gpu.launch(kernels, "add_offset", y, block=8, stream=capture.stream)
        gpu.driver.memcpy_dtoh_async(result, y, capture.stream)
        assert not capture.end()
        assert device.emulator_launches() == before
        assert gpu.read(y, 8).tolist() == [0] * 8
        for value in (1, 2):
            gpu.driver.memcpy_htod(x, np.full(8, value, "float32"))
            assert not capture.replay()
            capture.stream.synchronize()
            assert result.tolist() == [2 * value + 3] * 8
        assert device.emulator_launches() == before + 4
    assert not device.cuGraphExecDestroy(capture.executable)
    assert capture.replay()  # no longer


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda gpu, y, stream: stream.synchronize(), "cuStreamSynchronize while"),
        (lambda gpu, y, stream: gpu.context.synchronize(), "cuCtxSynchronize while"),
        (lambda gpu, y, stream: gpu.read(y, 4), "cuMemcpyDtoH while"),
        (lambda gpu, y, stream: gpu.driver.mem_alloc(4), "cuMemAlloc while"),
        (lambda gpu, y, stream: gpu.driver.memset_d8(y, 0, 4), "a fill of memory while"),
    ],
)
def test_what_a_capture_forbids(gpu, call, message):
    y = gpu.array(np.zeros(4, "float32"))
    capture = Capture(gpu)
    with pytest.raises(gpu.driver.Error, match=message):
        call(gpu, y, capture.stream)
    assert capture.end() == 901  # the capture was spoiled


def test_captures_of_a_thread_leave_others_alone(gpu):
    capture = Capture(gpu, Capture.THREAD_LOCAL)

    def allocate():
        gpu.context.push()
        gpu.driver.mem_alloc(4)
        gpu.context.pop()

    worker = threading.Thread(target=allocate)
    worker.start()
    worker.join()
    status = ctypes.c_int()
    assert not gpu.emulated.cuStreamIsCapturing(capture.handle, ctypes.byref(status)) and status.value == 1
    assert not capture.end()


def test_a_graph_over_freed_memory(gpu, kernels):
    y = gpu.array(np.zeros(8, "float32"))
    capture = Capture(gpu)
    gpu.launch(kernels, "scale", y, y, 8, stream=capture.stream)
    assert not capture.end()
    y.free()
    assert capture.replay()
    assert b"scale: parameter 0" in gpu.emulated.emulator_last_error()
