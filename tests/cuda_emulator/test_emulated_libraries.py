"""The emulated cuBLAS and cuDNN compute what NumPy does, refuse what does not fit, and agree with NVIDIA's headers."""

import ctypes
import importlib.util
import itertools
import shutil
import subprocess
from ctypes import byref, c_char_p, c_double, c_float, c_int, c_longlong, c_size_t, c_void_p
from pathlib import Path

import numpy as np
import pytest
from cuda_emulator import emulator
from cuda_emulator.compiling import Gpu
from numpy.lib.stride_tricks import sliding_window_view


@pytest.fixture
def gpu(emulated_device):
    gpu = Gpu()
    gpu.context.push()
    yield gpu
    gpu.context.pop()


class Library:
    """Functions of a library with their common prefix left out; a status other than 0 raises."""

    def __init__(self, gpu, soname, prefix):
        self.gpu, self.prefix = gpu, prefix
        self.library = ctypes.CDLL(str(emulator.libraries() / soname))

    def __getattr__(self, name):
        function = getattr(self.library, self.prefix + name)

        def call(*arguments):
            status = function(*[c_void_p(a) if isinstance(a, np.integer) else a for a in arguments])
            if status:
                raise RuntimeError(f"{name} {status}: {self.gpu.emulated.emulator_last_error().decode()}")

        return call


def address(memory):
    return c_void_p(int(memory))


def ints(*values):
    return (c_int * len(values))(*values)


# --- cuBLAS -----------------------------------------------------------------------------------------------------------

R32, R64, BF16 = 0, 1, 14
FP32, FP64, TF32 = 68, 70, 77


@pytest.fixture
def blas(gpu):
    blas = Library(gpu, "libcublas.so.13", "cublas")
    blas.handle = c_void_p()
    blas.Create_v2(byref(blas.handle))
    yield blas
    blas.Destroy_v2(blas.handle)


def multiply(gpu, blas, a, b, c, *, ta=0, tb=0, alpha=1.0, beta=0.0, kind=R32, compute=FP32, out=None, **change):
    """``c = alpha op(a) op(b) + beta c`` for stacks of matrices that lie column after column."""
    number = c_double if compute == FP64 else c_float
    batch, m, n = c.shape
    k = a.shape[1] if ta else a.shape[2]
    x, y, z = (gpu.array(v.transpose(0, 2, 1)) for v in (a, b, c))
    given = {"lda": a.shape[1], "ldb": b.shape[1], "ldc": m, "stride_c": m * n, **change}
    blas.GemmStridedBatchedEx(
        blas.handle, ta, tb, m, n, k, byref(number(alpha)),
        address(x), kind, given["lda"], c_longlong(a[0].size), address(y), kind, given["ldb"], c_longlong(b[0].size),
        byref(number(beta)), address(z), kind if out is None else out, given["ldc"], c_longlong(given["stride_c"]),
        batch, compute, -1,
    )  # fmt: skip
    return gpu.read(z, (batch, n, m), c.dtype).transpose(0, 2, 1)


@pytest.mark.parametrize("dtype, kind, compute", [("float32", R32, FP32), ("float64", R64, FP64)])
@pytest.mark.parametrize("ta, tb", [*itertools.product((0, 1), (0, 1))])
def test_products(gpu, blas, rng, dtype, kind, compute, ta, tb):
    a = rng.standard_normal((2, 5, 3) if ta else (2, 3, 5)).astype(dtype)
    b = rng.standard_normal((2, 4, 5) if tb else (2, 5, 4)).astype(dtype)
    c = rng.standard_normal((2, 3, 4)).astype(dtype)
    result = multiply(gpu, blas, a, b, c, ta=ta, tb=tb, alpha=2.0, beta=0.5, kind=kind, compute=compute)
    expected = 2 * (a.transpose(0, 2, 1) if ta else a) @ (b.transpose(0, 2, 1) if tb else b) + c / 2
    np.testing.assert_allclose(result, expected, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-6)


def test_beta_0_ignores_what_was_there(gpu, blas):
    one = np.ones((1, 2, 2), "float32")
    assert (multiply(gpu, blas, one, one, np.full_like(one, np.nan)) == 2).all()


def test_reduced_precision_rounds_operands(gpu, blas, rng):
    a, b, c = (rng.standard_normal(s).astype("float32") for s in ((1, 6, 7), (1, 7, 8), (1, 6, 8)))
    exact = a.astype("float64") @ b
    full, tf32 = (multiply(gpu, blas, a, b, c, compute=compute) for compute in (FP32, TF32))
    assert abs(full - exact).max() < 1e-5 < abs(tf32 - exact).max() < 1e-2
    blas.SetMathMode(blas.handle, 3)
    np.testing.assert_array_equal(multiply(gpu, blas, a, b, c), tf32)
    halves = [(v.view("u4") >> 16).astype("u2") for v in (a, b)]
    rounded = [(v.astype("u4") << 16).view("float32").astype("float64") for v in halves]
    result = multiply(gpu, blas, *halves, c, kind=BF16, out=R32)
    np.testing.assert_allclose(result, rounded[0] @ rounded[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"lda": 2}, "7: cuBLAS: a leading dimension"),
        ({"ldc": 400}, "7: cuBLAS: C takes .* bytes of device memory"),
        ({"stride_c": 3}, "7: cuBLAS: the results of a batch overlap"),
        ({"compute": FP64}, "15: cuBLAS: these types"),
    ],
)
def test_products_that_do_not_fit(gpu, blas, change, message):
    a, b, c = (np.ones(s, "float32") for s in ((2, 3, 5), (2, 5, 4), (2, 3, 4)))
    if "ldc" in change:
        change = {**change, "stride_c": 1600}
    with pytest.raises(RuntimeError, match=message):
        multiply(gpu, blas, a, b, c, **change)


def test_a_product_with_a_workspace_is_captured(gpu, blas):
    stream = gpu.driver.Stream()
    handle = c_void_p(stream.handle)
    blas.SetStream_v2(blas.handle, handle)
    workspace = gpu.array(np.zeros(16, "float32"))
    blas.SetWorkspace_v2(blas.handle, address(workspace), c_size_t(64))
    x, y = gpu.array(np.full(1, 3, "float32")), gpu.array(np.zeros(1, "float32"))
    graph, executable = c_void_p(), c_void_p()
    assert not gpu.emulated.cuStreamBeginCapture_v2(handle, 0)
    one, zero = byref(c_float(1)), byref(c_float(0))
    blas.GemmEx(
        blas.handle, 0, 0, 1, 1, 1, one, address(x), R32, 1, address(x), R32, 1, zero, address(y), R32, 1, FP32, -1
    )
    assert not gpu.emulated.cuStreamEndCapture(handle, byref(graph))
    assert not gpu.emulated.cuGraphInstantiateWithFlags(byref(executable), graph, ctypes.c_ulonglong(0))
    assert gpu.read(y, 1) == 0
    assert not gpu.emulated.cuGraphLaunch(executable, handle)
    assert gpu.read(y, 1) == 9
    assert np.isnan(gpu.read(workspace, 16)).all()  # nobody may rely on it


# --- cuDNN ------------------------------------------------------------------------------------------------------------


class Perf(ctypes.Structure):
    _fields_ = [
        ("algorithm", c_int), ("status", c_int), ("time", c_float), ("memory", c_size_t), ("determinism", c_int),
        ("math", c_int), ("reserved", c_int * 3),
    ]  # fmt: skip


class Dnn(Library):
    def __init__(self, gpu):
        super().__init__(gpu, "libcudnn.so.9", "cudnn")
        self.handle = c_void_p()
        self.Create(byref(self.handle))

    def descriptor(self, kind, *arguments):
        made = c_void_p()
        getattr(self, f"Create{kind}Descriptor")(byref(made))
        getattr(self, f"Set{kind}NdDescriptor")(made, *arguments)
        return made

    def tensor(self, shape, kind=0, strides=None):
        strides = strides or [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        return self.descriptor("Tensor", kind, len(shape), ints(*shape), ints(*strides))

    def filters(self, shape, kind=0):
        return self.descriptor("Filter", kind, 0, len(shape), ints(*shape))

    def convolution(self, pads, strides, dilations, *, flip=0, kind=0, groups=1, math=3):
        mode = 0 if flip else 1
        made = self.descriptor("Convolution", len(pads), ints(*pads), ints(*strides), ints(*dilations), mode, kind)
        self.SetConvolutionGroupCount(made, groups)
        self.SetConvolutionMathType(made, math)
        return made

    def algorithms(self, kind, *descriptors):
        found, count = (Perf * 8)(), c_int()
        getattr(self, f"GetConvolution{kind}Algorithm_v7")(self.handle, *descriptors, 8, byref(count), found)
        return found[: count.value]


@pytest.fixture
def dnn(gpu):
    dnn = Dnn(gpu)
    yield dnn
    dnn.Destroy(dnn.handle)


CONVOLUTIONS = {
    "plain": ((2, 3, 5, 6), (4, 3, 3, 2), {}),
    "strided": ((1, 2, 7, 8), (3, 2, 3, 3), {"pads": (1, 2), "strides": (2, 3)}),
    "dilated": ((1, 2, 9, 8), (2, 2, 3, 2), {"pads": (2, 0), "dilations": (3, 2), "flip": 1}),
    "groups": ((2, 4, 5, 5), (6, 2, 2, 3), {"groups": 2, "pads": (1, 1)}),
    "volume": ((1, 2, 4, 5, 6), (3, 2, 2, 3, 2), {"pads": (1, 0, 1), "strides": (1, 2, 2), "flip": 1}),
}


def windows(x, filters, pads, strides, dilations):
    """The parts of x (n, c, ...) under the filters: (n, c, out..., taps...)."""
    space = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in pads]])
    reach = [(r - 1) * d + 1 for r, d in zip(filters, dilations)]
    view = sliding_window_view(x, reach, axis=tuple(range(2, 2 + space)))
    return view[(..., *[slice(None, None, s) for s in strides], *[slice(None, None, d) for d in dilations])]


def convolve(x, w, *, pads, strides, dilations, groups=1, flip=0):
    if flip:
        w = np.flip(w, tuple(range(2, w.ndim)))
    axes = "xyz"[: x.ndim - 2]
    parts = windows(x, w.shape[2:], pads, strides, dilations)
    pieces = [
        np.einsum(f"nc{axes}{axes.upper()},kc{axes.upper()}->nk{axes}", part, piece)
        for part, piece in zip(np.split(parts, groups, 1), np.split(w, groups, 0))
    ]
    return np.concatenate(pieces, 1)


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_convolutions_and_their_gradients(gpu, dnn, rng, name, dtype):
    x_shape, w_shape, given = CONVOLUTIONS[name]
    space, kind, number = len(x_shape) - 2, int(dtype == "float64"), c_double if dtype == "float64" else c_float
    settings = {"pads": (0,) * space, "strides": (1,) * space, "dilations": (1,) * space, **given}
    x, w = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(w_shape).astype(dtype)
    y = convolve(x, w, **settings)
    slope = rng.standard_normal(y.shape).astype(dtype)
    xd, wd, yd = dnn.tensor(x.shape, kind), dnn.filters(w.shape, kind), dnn.tensor(y.shape, kind)
    cd = dnn.convolution(**settings, kind=kind)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}

    def run(which, first, a, second, b, result, old):
        for perf in dnn.algorithms(which, first, second, cd, result):
            out, workspace = gpu.array(old), gpu.driver.mem_alloc(max(perf.memory, 1))
            arguments = [dnn.handle, byref(number(2)), first, address(a), second, address(b), cd, perf.algorithm]
            arguments += [address(workspace), c_size_t(perf.memory), byref(number(1)), result, address(out)]
            getattr(dnn, f"Convolution{which}")(*arguments)
            yield (gpu.read(out, old.shape, dtype) - old) / 2

    gx, gw, gslope = gpu.array(x), gpu.array(w), gpu.array(slope)
    for result in run("Forward", xd, gx, wd, gw, yd, slope):
        np.testing.assert_allclose(result, y, **tolerance)
    # the product of a gradient and a step is the change of <y, slope> that the step makes: y is linear in each operand
    for result in run("BackwardData", wd, gw, yd, gslope, xd, x):
        step = rng.standard_normal(x.shape).astype(dtype)
        np.testing.assert_allclose((result * step).sum(), (convolve(step, w, **settings) * slope).sum(), **tolerance)
    for result in run("BackwardFilter", xd, gx, yd, gslope, wd, w):
        step = rng.standard_normal(w.shape).astype(dtype)
        np.testing.assert_allclose((result * step).sum(), (convolve(x, step, **settings) * slope).sum(), **tolerance)


def test_tensors_with_strides(gpu, dnn, rng):
    x, w = rng.standard_normal((2, 5, 5, 3), "float32"), rng.standard_normal((4, 3, 2, 2), "float32")
    y = gpu.array(np.zeros((2, 4, 4, 4), "float32"))
    xd = dnn.tensor((2, 3, 5, 5), strides=[75, 1, 15, 3])  # channels last
    cd = dnn.convolution((0, 0), (1, 1), (1, 1))
    one, zero = byref(c_float(1)), byref(c_float(0))
    gx, gw, yd = gpu.array(x), gpu.array(w), dnn.tensor((2, 4, 4, 4))
    dnn.ConvolutionForward(
        dnn.handle,
        one,
        xd,
        address(gx),
        dnn.filters(w.shape),
        address(gw),
        cd,
        0,
        None,
        c_size_t(0),
        zero,
        yd,
        address(y),
    )
    expected = convolve(x.transpose(0, 3, 1, 2), w, pads=(0, 0), strides=(1, 1), dilations=(1, 1))
    np.testing.assert_allclose(gpu.read(y, expected.shape), expected, rtol=1e-4, atol=1e-5)


def test_algorithms_differ_in_memory_bits_and_arithmetic(dnn):
    """A caller that takes the first one is found out."""
    xd, wd, yd = dnn.tensor((1, 2, 5, 5)), dnn.filters((3, 2, 3, 3)), dnn.tensor((1, 3, 3, 3))
    fast, exact = (dnn.convolution((0, 0), (1, 1), (1, 1), math=math) for math in (0, 3))
    assert dnn.algorithms("Forward", xd, wd, fast, yd)[0].math == 1
    assert all(perf.math == 3 for perf in dnn.algorithms("Forward", xd, wd, exact, yd))
    assert dnn.algorithms("BackwardFilter", xd, yd, exact, wd)[0].determinism == 0
    assert {perf.memory > 0 for perf in dnn.algorithms("BackwardData", wd, yd, exact, xd)} == {True, False}


def test_tensor_cores_round_operands(gpu, dnn, rng):
    x, w = rng.standard_normal((1, 2, 4, 4), "float32"), rng.standard_normal((1, 2, 4, 4), "float32")
    results = []
    for math in (0, 3):
        cd, y = dnn.convolution((0, 0), (1, 1), (1, 1), math=math), gpu.array(np.zeros(1, "float32"))
        gx, gw, one, zero = gpu.array(x), gpu.array(w), byref(c_float(1)), byref(c_float(0))
        xd, wd, yd = dnn.tensor(x.shape), dnn.filters(w.shape), dnn.tensor((1, 1, 1, 1))
        dnn.ConvolutionForward(
            dnn.handle, one, xd, address(gx), wd, address(gw), cd, 0, None, c_size_t(0), zero, yd, address(y)
        )
        results.append(gpu.read(y, 1)[0])
    exact = (x.astype("float64") * w).sum()
    assert abs(results[1] - exact) < 1e-5 < abs(results[0] - exact) < 1e-2


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"y": (1, 3, 4, 3)},
            r"2008: cuDNN: y is \(1, 3, 4, 3\), but x \(1, 2, 5, 5\) and filters .* make \(1, 3, 3, 3\)",
        ),
        ({"w": (3, 1, 3, 3)}, "2008: cuDNN: 1 groups: x .* does not go with filters"),
        ({"algorithm": 1, "memory": 100}, "2006: cuDNN: algorithm 1 needs 1152 bytes of workspace"),
        ({"algorithm": 3}, "3000: cuDNN: algorithm 3 is not emulated"),
        ({"out": 4}, "2000: cuDNN: y takes 108 bytes of device memory"),
        ({"out": "x"}, "2000: cuDNN: y lies over x"),
        ({"kind": 1}, "2000: cuDNN: the types differ"),
    ],
)
def test_convolutions_that_do_not_fit(gpu, dnn, change, message):
    given = {"y": (1, 3, 3, 3), "w": (3, 2, 3, 3), "algorithm": 0, "memory": 0, "out": 27, "kind": 0, **change}
    x, w = gpu.array(np.ones(50, "float32")), gpu.array(np.ones(54, "float32"))
    y = x if given["out"] == "x" else gpu.array(np.ones(given["out"], "float32"))
    workspace = gpu.array(np.ones(100, "float32"))
    xd, wd, yd = dnn.tensor((1, 2, 5, 5)), dnn.filters(given["w"]), dnn.tensor(given["y"], given["kind"])
    cd = dnn.convolution((0, 0), (1, 1), (1, 1))
    one, zero = byref(c_float(1)), byref(c_float(0))
    with pytest.raises(RuntimeError, match=message):
        dnn.ConvolutionForward(
            dnn.handle, one, xd, address(x), wd, address(w), cd, given["algorithm"], address(workspace),
            c_size_t(given["memory"]), zero, yd, address(y),
        )  # fmt: skip


@pytest.mark.parametrize("mode", ["max", "average_with_pads", "average", "max_deterministic"])
@pytest.mark.parametrize("space", [2, 3])
def test_pooling_and_its_gradient(gpu, dnn, rng, mode, space):
    number = ["max", "average_with_pads", "average", "max_deterministic"].index(mode)
    x = rng.standard_normal((2, 3, 5, 6, 7)[: 2 + space], "float32")
    sizes, pads, strides = (3, 2, 2)[:space], (1, 0, 1)[:space], (2, 2, 1)[:space]
    x_padded = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in pads]], constant_values=np.nan)
    parts = windows(x_padded, sizes, (0,) * space, strides, (1,) * space)
    taps = tuple(range(2 + space, 2 + 2 * space))
    largest = number in (0, 3)
    count = np.prod(sizes) if mode == "average_with_pads" else (~np.isnan(parts)).sum(taps)
    y = np.nanmax(parts, taps) if largest else np.nansum(parts, taps) / count
    slope = rng.standard_normal(y.shape, "float32")
    xd, yd = dnn.tensor(x.shape), dnn.tensor(y.shape)
    pd = dnn.descriptor("Pooling", number, 1, space, ints(*sizes), ints(*pads), ints(*strides))
    gx, gy, gslope, gdx = (gpu.array(v) for v in (x, np.zeros_like(slope), slope, np.zeros_like(x)))
    one, zero = byref(c_float(1)), byref(c_float(0))
    dnn.PoolingForward(dnn.handle, pd, one, xd, address(gx), zero, yd, address(gy))
    np.testing.assert_allclose(gpu.read(gy, y.shape), y, rtol=1e-5)
    dnn.PoolingBackward(
        dnn.handle, pd, one, yd, address(gy), yd, address(gslope), xd, address(gx), zero, xd, address(gdx)
    )
    # pooling is homogeneous: the gradient times x is the slope times y
    np.testing.assert_allclose((gpu.read(gdx, x.shape) * x).sum(), (slope * y).sum(), rtol=1e-4)


def test_what_libraries_say_of_themselves(gpu, blas, dnn):
    value = c_int()
    blas.GetVersion_v2(blas.handle, byref(value))
    assert value.value == 130000
    for function in (blas.library.cublasGetStatusString, dnn.library.cudnnGetErrorString):
        function.restype = c_char_p
    assert blas.library.cublasGetStatusString(7).startswith(b"an unsupported value")
    assert dnn.library.cudnnGetErrorString(2008) == b"CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH"


# --- NVIDIA's headers -------------------------------------------------------------------------------------------------

HEADERS = {
    "copies": "cuda.h", "driver": "cuda.h", "memory": "cuda.h", "modules": "cuda.h", "streams": "cuda.h",
    "nvrtc": "nvrtc.h", "cublas": "cublas_v2.h", "cudnn": "cudnn.h", "cudnn_convolutions": "cudnn.h",
    "cudnn_pooling": "cudnn.h",
}  # fmt: skip
"""What each file of ``src`` with functions of NVIDIA's must agree with."""


def include_folders():
    """Of a toolkit and of NVIDIA's wheels, those that there are."""
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin:/opt/cuda/bin")
    roots = [Path(nvcc).resolve().parent.parent] if nvcc else []
    roots += sorted(Path("/usr/local").glob("cuda-1[3-9]*"))
    spec = importlib.util.find_spec("nvidia")
    for base in spec.submodule_search_locations or () if spec else ():
        roots += sorted(Path(base).iterdir())
    return [root / "include" for root in roots if (root / "include").is_dir()]


@pytest.mark.parametrize("name", HEADERS)
def test_agrees_with_nvidias_headers(emulated_device, name):
    folders = include_folders()
    wanted = sorted({HEADERS[name], "cuda.h"})
    missing = [header for header in wanted if not any((folder / header).exists() for folder in folders)]
    if missing:
        pytest.skip(f"NVIDIA's {' and '.join(missing)} are not here")
    text = next(folder / "cuda.h" for folder in folders if (folder / "cuda.h").exists()).read_text()
    if "#define CUDA_VERSION 13" not in text:
        pytest.skip("NVIDIA's headers here are not those of CUDA 13")
    command = ["g++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations"]
    command += ["-DEMULATOR_NVIDIA_HEADERS", '-DEMULATOR_DIGEST=""', '-DEMULATOR_KERNEL_COMPILER=""']
    command += [word for folder in folders for word in ("-isystem", str(folder))]
    done = subprocess.run([*command, emulator.HERE / "src" / f"{name}.cpp"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
