"""The C run-time library against plain NumPy, called as compiled functions call it."""

from __future__ import annotations

import os
import threading
from itertools import product

import numpy as np
import pytest

import symc
from symc_backends.c import library, toolchain

cffi = pytest.importorskip("cffi")

TARGETS = {"native": "", "avx2": "avx2", "baseline": "scalar"}
"""Widths of vectors, as values of ``symc.config.isa``."""
CALLS = (
    "gemm",
    "batched_gemm",
    "conv2d_forward",
    "conv2d_backward_data",
    "conv2d_backward_weights",
    "pool2d_forward",
    "pool2d_backward",
    "pool2d_max_grad_grad",
)
DECLARATIONS = """
    typedef void (*symc_task)(void *arg, int64_t begin, int64_t end);
    int symc_num_threads(void);
    void symc_set_num_threads(int n);
    void symc_parallel(symc_task fn, void *arg, int64_t n, int64_t grain);
    void *symc_scratch(int slot, size_t bytes);
""" + "".join(f"void symc_{c}_{t}(void *const *bufs, const int64_t *p);" for c in CALLS for t in ("f32", "f64"))
TOLERANCE = {np.dtype("float32"): 2e-5, np.dtype("float64"): 1e-13}

ffi = cffi.FFI()
ffi.cdef(DECLARATIONS)


class Library:
    """The run-time library as compiled functions load it: the core of the process, and the parts for one isa."""

    def __init__(self, parts: library.Runtime) -> None:
        self._parts, self._core = parts, ffi.dlopen(None)

    def __getattr__(self, name: str):
        return getattr(self._core if library.part_of(name) == "core" else self._parts, name)


@pytest.fixture(scope="module", params=list(TARGETS))
def lib(request):
    if toolchain.missing() is not None:
        pytest.skip("no C compiler")
    try:
        with symc.config.change(isa=TARGETS[request.param]):
            parts = library.runtime()
            for name in library.PARTS:  # here, since parts are compiled with the flags of the time
                if name.startswith(("products", "convolutions", "pooling")):
                    parts.part(name)
    except symc.errors.CompileError:
        pytest.skip(f"this processor has no {request.param}")
    found = Library(parts)
    before = found.symc_num_threads()
    found.symc_set_num_threads(3)  # uneven on purpose, and more than some machines have
    yield found
    found.symc_set_num_threads(before)


def call(lib, name: str, arrays: list[np.ndarray], parameters) -> None:
    """Make one library call; the arrays' dtype chooses the version."""
    suffix = {"float32": "f32", "float64": "f64"}[arrays[0].dtype.name]
    assert all(a.dtype == arrays[0].dtype and a.flags.c_contiguous for a in arrays)
    bufs = ffi.new("void*[]", [ffi.cast("void *", a.ctypes.data) for a in arrays])
    getattr(lib, f"symc_{name}_{suffix}")(bufs, ffi.new("int64_t[]", [int(v) for v in parameters]))


def sample(seed: int, *shape: int, dtype="float32") -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def assert_close(actual: np.ndarray, expected: np.ndarray, terms: int = 1) -> None:
    """Equal up to the rounding of a sum of ``terms`` products of about unit size; NaN equals nothing."""
    assert actual.shape == expected.shape
    error = np.abs(actual - expected).max(initial=0.0)
    assert error <= TOLERANCE[actual.dtype] * np.sqrt(terms + 1)
    assert not np.isnan(actual).any()


# ---- threads ----


def record_chunks(lib, n: int, grain: int) -> list[tuple[int, int]]:
    chunks = []

    @ffi.callback("symc_task")
    def task(arg, begin, end):
        chunks.append((begin, end))

    lib.symc_parallel(task, ffi.NULL, n, grain)
    return sorted(chunks)


@pytest.mark.parametrize(("n", "grain"), [(1, 1), (2, 1), (7, 2), (1000, 1), (1000, 300), (10, 11), (12, 0)])
def test_parallel_covers_the_range_once_in_chunks_of_the_grain(lib, n, grain):
    chunks = record_chunks(lib, n, grain)
    assert [begin for begin, _ in chunks] == [0] + [end for _, end in chunks[:-1]]
    assert chunks[-1][1] == n
    assert len(chunks) == 1 or min(end - begin for begin, end in chunks) >= grain
    assert chunks == record_chunks(lib, n, grain)
    if n >= 3 * max(grain, 1):
        assert len(chunks) >= 3


@pytest.mark.parametrize("n", [28, 31, 100, 1001])
def test_threads_have_equally_much_to_do(lib, n):
    lengths = [end - begin for begin, end in record_chunks(lib, n, 1)]
    threads = lib.symc_num_threads()
    assert threads > 1 and len(lengths) % threads == 0
    shares = np.reshape(lengths, (threads, -1)).sum(axis=1)
    assert shares.max() - shares.min() <= 1


def test_parallel_over_nothing_calls_nothing(lib):
    assert record_chunks(lib, 0, 1) == [] and record_chunks(lib, -5, 1) == []


def test_nested_loop_runs_inline(lib):
    inner = []

    @ffi.callback("symc_task")
    def task(arg, begin, end):
        inner.append(record_chunks(lib, 100, 1))

    lib.symc_parallel(task, ffi.NULL, 5, 1)
    assert len(inner) == 5 and all(chunks == [(0, 100)] for chunks in inner)


def test_number_of_threads_is_at_least_one(lib):
    try:
        lib.symc_set_num_threads(-2)
        assert lib.symc_num_threads() == 1
        assert record_chunks(lib, 100, 1) == [(0, 100)]
    finally:
        lib.symc_set_num_threads(3)


def gemm_problem(lib, seed: int):
    a, b = sample(seed, 65, 70), sample(seed + 1, 70, 90)
    c = np.empty((65, 90), "float32")

    def run():
        c[:] = np.nan
        call(lib, "gemm", [c, a, b], [0, 0, 65, 90, 70, 70, 90, 90, 0])
        assert_close(c, a.astype("float64") @ b, 70)

    return run


def test_calls_from_several_application_threads(lib):
    errors = []

    def work(seed):
        try:
            run = gemm_problem(lib, seed)
            for _ in range(100):
                run()
        except AssertionError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_pool_works_in_a_forked_child(lib):
    run = gemm_problem(lib, 5)
    run()
    child = os.fork()
    if child == 0:
        try:
            run()
            os._exit(0 if len(record_chunks(lib, 90, 1)) > 1 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    run()


def test_scratch_is_aligned_kept_and_separate(lib):
    a, b = lib.symc_scratch(0, 100), lib.symc_scratch(1, 5 << 20)
    ffi.memmove(a, b"x" * 100, 100)
    ffi.memmove(b, b"y" * 100, 100)
    assert lib.symc_scratch(0, 50) == a and bytes(ffi.buffer(a, 100)) == b"x" * 100
    assert int(ffi.cast("uintptr_t", a)) % 64 == 0 and int(ffi.cast("uintptr_t", b)) % 64 == 0
    elsewhere = []
    other = threading.Thread(target=lambda: elsewhere.append(lib.symc_scratch(0, 100)))
    other.start()
    other.join()
    assert elsewhere[0] != a


# ---- matrix products ----

GEMM_SHAPES = [
    (1, 1, 1),
    (0, 3, 2),
    (3, 0, 2),
    (3, 4, 0),
    (2, 3, 5),
    (14, 32, 7),
    (15, 33, 8),
    (29, 31, 1),
    (1, 77, 300),
    (77, 1, 300),
    (128, 10, 256),
    (10, 128, 65),
    (300, 17, 33),
    (17, 300, 33),
    (64, 47, 1000),
    (131, 517, 30),
    (517, 263, 30),
    (11, 613, 701),
    (613, 3, 701),
    (1031, 1029, 5),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n", "k"), GEMM_SHAPES)
def test_gemm(lib, m, n, k, dtype):
    for trans_a, trans_b, accumulate in product((0, 1), repeat=3):
        a = sample(1, *((k, m + 3) if trans_a else (m, k + 3)), dtype=dtype)
        b = sample(2, *((n, k + 2) if trans_b else (k, n + 2)), dtype=dtype)
        c = sample(3, m, n + 5, dtype=dtype)
        left, right = (a[:, :m].T if trans_a else a[:, :k]), (b[:, :k].T if trans_b else b[:, :n])
        expected = c.astype("float64")
        expected[:, :n] = accumulate * expected[:, :n] + left.astype("float64") @ right
        if not accumulate:
            c[:, :n] = np.nan
        call(lib, "gemm", [c, a, b], [trans_a, trans_b, m, n, k, a.shape[1], b.shape[1], n + 5, accumulate])
        assert_close(c, expected, k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("batch", "m", "n", "k"),
    [
        (0, 2, 2, 2),
        (1, 5, 6, 7),
        (9, 5, 33, 20),
        (2, 70, 80, 90),
        (40, 1, 9, 8),
        (3, 4, 5, 0),
        (7, 6, 1, 5),
        (33, 20, 1, 20),
        (5, 3, 1, 30),
        (6, 1, 40, 3),
    ],
)
@pytest.mark.parametrize("shared", ["", "a", "b"])
def test_batched_gemm(lib, batch, m, n, k, shared, dtype):
    for trans_a, trans_b, accumulate in [(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1)]:
        a = sample(1, 1 if shared == "a" else batch, *((k, m) if trans_a else (m, k)), dtype=dtype)
        b = sample(2, 1 if shared == "b" else batch, *((n, k) if trans_b else (k, n)), dtype=dtype)
        c = sample(3, batch, m, n, dtype=dtype)
        left = (a.swapaxes(1, 2) if trans_a else a).astype("float64")
        expected = accumulate * c.astype("float64") + left @ (b.swapaxes(1, 2) if trans_b else b)
        strides = [0 if shared == "a" else m * k, 0 if shared == "b" else n * k, m * n]
        shape = [batch, trans_a, trans_b, m, n, k, a.shape[2], b.shape[2], n]
        call(lib, "batched_gemm", [c, a, b], [*shape, *strides, accumulate])
        assert_close(c, expected, k)


def test_same_bits_on_every_run(lib):
    a, b = sample(1, 200, 300), sample(2, 300, 400)
    x, dy = sample(3, 5, 6, 20, 20), sample(4, 5, 9, 18, 18)
    results = []
    for _ in range(5):
        c, dw = np.empty((200, 400), "float32"), np.empty((9, 6, 3, 3), "float32")
        call(lib, "gemm", [c, a, b], [0, 0, 200, 400, 300, 300, 400, 400, 0])
        call(lib, "conv2d_backward_weights", [dw, x, dy], [5, 6, 20, 20, 9, 3, 3, 18, 18, 1, 1, 0, 0, 1, 1, 1, 0])
        results.append(c.tobytes() + dw.tobytes())
    assert len(set(results)) == 1


# ---- convolution ----

# N, C, H, W, K, R, S, OH, OW, stride_h, stride_w, pad_top, pad_left, dil_h, dil_w, groups, flip
CONV_CASES = {
    "plain": (2, 3, 8, 9, 4, 3, 3, 6, 7, 1, 1, 0, 0, 1, 1, 1, 0),
    "flipped": (2, 3, 8, 9, 4, 3, 2, 6, 8, 1, 1, 0, 0, 1, 1, 1, 1),
    "vgg": (2, 33, 14, 14, 35, 3, 3, 14, 14, 1, 1, 1, 1, 1, 1, 1, 1),
    "winograd rest": (3, 40, 13, 11, 36, 3, 3, 13, 11, 1, 1, 1, 1, 1, 1, 1, 0),
    "winograd valid": (2, 32, 20, 19, 64, 3, 3, 18, 17, 1, 1, 0, 0, 1, 1, 1, 0),
    "first lenet layer": (5, 1, 28, 28, 20, 5, 5, 24, 24, 1, 1, 0, 0, 1, 1, 1, 1),
    "second lenet layer": (9, 20, 12, 12, 50, 5, 5, 8, 8, 1, 1, 0, 0, 1, 1, 1, 1),
    "stride 2": (2, 5, 15, 14, 6, 3, 3, 8, 7, 2, 2, 1, 1, 1, 1, 1, 0),
    "stride without all remainders": (1, 4, 16, 17, 3, 1, 1, 6, 6, 3, 3, 0, 0, 1, 1, 1, 0),
    "uneven strides and dilations": (2, 4, 19, 33, 5, 2, 3, 9, 10, 2, 3, 1, 2, 2, 1, 1, 1),
    "dilation 2": (2, 3, 17, 12, 4, 3, 3, 13, 8, 1, 1, 0, 0, 2, 2, 1, 0),
    "full": (2, 3, 5, 6, 4, 3, 4, 7, 9, 1, 1, 2, 3, 1, 1, 1, 0),
    "reads past the end": (1, 2, 6, 6, 3, 3, 3, 5, 5, 2, 2, 0, 0, 1, 1, 1, 0),
    "winograd weights": (3, 40, 21, 23, 45, 3, 3, 21, 23, 1, 1, 1, 1, 1, 1, 1, 1),
    "winograd weights, groups": (5, 64, 18, 15, 66, 3, 3, 16, 13, 1, 1, 0, 0, 1, 1, 2, 0),
    "winograd groups": (2, 34, 12, 23, 40, 3, 3, 12, 23, 1, 1, 1, 1, 1, 1, 2, 1),
    "minimal filtering of few tiles": (2, 130, 7, 7, 150, 3, 3, 7, 7, 1, 1, 1, 1, 1, 1, 1, 0),
    "minimal filtering, large filter": (1, 264, 6, 9, 260, 3, 3, 6, 9, 1, 1, 1, 1, 1, 1, 1, 1),
    "minimal filtering of 5x5": (3, 50, 13, 14, 33, 5, 5, 13, 14, 1, 1, 2, 2, 1, 1, 1, 0),
    "minimal filtering of 5x5, groups": (2, 34, 19, 20, 48, 5, 5, 15, 16, 1, 1, 0, 0, 1, 1, 2, 1),
    "minimal filtering, wide padding": (2, 17, 6, 5, 20, 5, 5, 18, 15, 1, 1, 8, 7, 1, 1, 1, 0),
    "minimal filtering of a wide row": (1, 18, 8, 1000, 16, 3, 3, 8, 1000, 1, 1, 1, 1, 1, 1, 1, 0),
    "blocks, strides": (2, 32, 15, 18, 48, 3, 4, 8, 9, 2, 2, 1, 1, 1, 1, 1, 0),
    "blocks, strides and dilation": (2, 16, 20, 17, 32, 3, 3, 6, 13, 3, 1, 2, 2, 2, 2, 1, 1),
    "blocks, 1x7": (1, 32, 5, 17, 31, 1, 7, 5, 17, 1, 1, 0, 3, 1, 1, 1, 0),
    "blocks, 1x1 of small images": (3, 128, 7, 7, 96, 1, 1, 7, 7, 1, 1, 0, 0, 1, 1, 1, 0),
    "blocks, bands of columns": (1, 512, 2, 300, 16, 1, 3, 2, 300, 1, 1, 0, 1, 1, 1, 1, 0),
    "blocks, padding alone": (1, 16, 5, 6, 16, 2, 2, 14, 15, 1, 1, 5, 5, 1, 1, 1, 0),
    "narrow groups": (2, 36, 9, 11, 54, 3, 2, 5, 10, 2, 1, 1, 0, 1, 1, 18, 1),
    "narrow groups, dilation": (2, 32, 9, 30, 16, 3, 3, 9, 28, 1, 1, 2, 1, 2, 2, 16, 0),
    "depthwise of many bands": (1, 17, 150, 61, 17, 7, 7, 50, 31, 3, 2, 3, 3, 1, 1, 17, 0),
    "large taps of single channels": (2, 3, 17, 22, 3, 13, 14, 15, 21, 1, 1, 5, 6, 1, 1, 3, 1),
    "large taps of single channels, strides": (1, 2, 27, 23, 2, 31, 5, 14, 10, 2, 2, 15, 0, 1, 1, 2, 0),
    "groups": (3, 12, 9, 9, 20, 3, 3, 9, 9, 1, 1, 1, 1, 1, 1, 4, 1),
    "depthwise": (3, 7, 12, 40, 7, 3, 3, 12, 40, 1, 1, 1, 1, 1, 1, 7, 0),
    "depthwise, stride and multiplier": (2, 5, 11, 37, 10, 3, 3, 6, 19, 2, 2, 1, 1, 1, 1, 5, 1),
    "1x1": (3, 12, 12, 13, 9, 1, 1, 12, 13, 1, 1, 0, 0, 1, 1, 1, 0),
    "1x1 of small images": (5, 12, 5, 5, 9, 1, 1, 5, 5, 1, 1, 0, 0, 1, 1, 1, 0),
    "1x1 groups": (2, 12, 12, 12, 8, 1, 1, 12, 12, 1, 1, 0, 0, 1, 1, 2, 0),
    "1x1 many groups": (2, 24, 12, 12, 32, 1, 1, 12, 12, 1, 1, 0, 0, 1, 1, 8, 0),
    "1x1 stride 2": (2, 12, 12, 12, 9, 1, 1, 6, 6, 2, 2, 0, 0, 1, 1, 1, 0),
    "one filter": (2, 3, 9, 70, 1, 3, 3, 7, 68, 1, 1, 0, 0, 1, 1, 1, 0),
    "a single pixel": (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0),
    "as large as the image": (4, 8, 7, 7, 30, 7, 7, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0),
    "pixels that all read all": (40, 7, 2, 2, 9, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1),
    "one pixel becomes many": (5, 9, 1, 1, 6, 4, 3, 4, 3, 1, 1, 3, 2, 1, 1, 1, 0),
    "large filter": (1, 2, 40, 30, 3, 25, 20, 16, 11, 1, 1, 0, 0, 1, 1, 1, 1),
    "a wide row": (1, 2, 1, 2000, 3, 1, 5, 1, 1996, 1, 1, 0, 0, 1, 1, 1, 0),
    "many channels": (1, 500, 6, 6, 5, 3, 3, 4, 4, 1, 1, 0, 0, 1, 1, 1, 0),
    "no images": (0, 3, 8, 9, 4, 3, 3, 6, 7, 1, 1, 0, 0, 1, 1, 1, 0),
    "no channels": (2, 0, 8, 9, 4, 3, 3, 6, 7, 1, 1, 0, 0, 1, 1, 1, 0),
    "images in lanes": (20, 1, 12, 12, 4, 3, 3, 10, 10, 1, 1, 0, 0, 1, 1, 1, 1),
    "images in lanes, strides": (37, 3, 9, 11, 11, 3, 2, 4, 14, 2, 1, 1, 2, 2, 1, 1, 0),
    "images in lanes, padding": (9, 5, 7, 6, 2, 5, 5, 7, 6, 1, 1, 2, 2, 1, 1, 1, 1),
    "images in lanes, phases": (19, 40, 8, 8, 24, 3, 3, 4, 4, 2, 2, 1, 1, 1, 1, 1, 0),
    "images in lanes, phases without taps": (16, 6, 9, 10, 5, 4, 2, 3, 4, 3, 3, 2, 1, 2, 1, 1, 1),
    "images of one pixel": (33, 20, 1, 1, 17, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0),
    "no filters": (2, 3, 8, 9, 0, 3, 3, 6, 7, 1, 1, 0, 0, 1, 1, 1, 0),
    "no output": (2, 3, 2, 9, 4, 3, 3, 0, 7, 1, 1, 0, 0, 1, 1, 1, 0),
}


def conv_terms(p):
    """Yield, for each tap, the slices of X, W and Y that it joins: indices into padded X, into W, and rows of Y."""
    _, _, _, _, _, r_size, s_size, out_h, out_w, step_h, step_w, _, _, dil_h, dil_w, _, flip = p
    for r, s in product(range(r_size), range(s_size)):
        top, left = ((r_size - 1 - r) * dil_h, (s_size - 1 - s) * dil_w) if flip else (r * dil_h, s * dil_w)
        rows = slice(top, top + (out_h - 1) * step_h + 1, step_h)
        yield r, s, rows, slice(left, left + (out_w - 1) * step_w + 1, step_w)


def conv_reference(p, x, w, dy):
    """Y, dX and dW in float64, tap by tap."""
    n, c, h, width, k, r_size, s_size, out_h, out_w, step_h, step_w, top, left, dil_h, dil_w, groups, _ = p
    high = max(top + h, (out_h - 1) * step_h + (r_size - 1) * dil_h + 1)
    wide = max(left + width, (out_w - 1) * step_w + (s_size - 1) * dil_w + 1)
    padded = np.zeros((n, groups, c // groups, high, wide))
    padded[..., top : top + h, left : left + width] = x.reshape(n, groups, c // groups, h, width)
    dpadded = np.zeros_like(padded)
    w = w.astype("float64").reshape(groups, k // groups, c // groups, r_size, s_size)
    dy = dy.astype("float64").reshape(n, groups, k // groups, out_h, out_w)
    y, dw = np.zeros(dy.shape), np.zeros(w.shape)
    if out_h and out_w:
        for r, s, rows, cols in conv_terms(p):
            part = padded[..., rows, cols]
            y += np.einsum("gkc,ngcij->ngkij", w[..., r, s], part)
            dpadded[..., rows, cols] += np.einsum("gkc,ngkij->ngcij", w[..., r, s], dy)
            dw[..., r, s] = np.einsum("ngkij,ngcij->gkc", dy, part)
    dx = dpadded[..., top : top + h, left : left + width].reshape(x.shape)
    return y.reshape(n, k, out_h, out_w), dx, dw.reshape(k, c // groups, r_size, s_size)


def check_convolution(lib, p, dtype):
    n, c, h, width, k, r_size, s_size, out_h, out_w = p[:9]
    groups = p[15]
    x = sample(1, n, c, h, width, dtype=dtype)
    w = sample(2, k, c // groups, r_size, s_size, dtype=dtype)
    dy = sample(3, n, k, out_h, out_w, dtype=dtype)
    y, dx, dw = conv_reference(p, x, w, dy)
    for name, inputs, expected, terms in [
        ("forward", [x, w], y, c // groups * r_size * s_size),
        ("backward_data", [dy, w], dx, k // groups * r_size * s_size),
        ("backward_weights", [x, dy], dw, n * out_h * out_w),
    ]:
        actual = np.full(expected.shape, np.nan, dtype)
        call(lib, f"conv2d_{name}", [actual, *inputs], p)
        assert_close(actual, expected, terms)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", list(CONV_CASES))
def test_convolution(lib, case, dtype):
    check_convolution(lib, CONV_CASES[case], dtype)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((actual - expected) ** 2) / np.mean(expected**2)))


@pytest.mark.parametrize(("taps", "limit"), [(3, 2e-6), (5, 3e-6)])
def test_minimal_filtering_is_accurate(lib, taps, limit):
    p = (2, 256, 16, 16, 32, taps, taps, 16, 16, 1, 1, taps // 2, taps // 2, 1, 1, 1, 0)
    x, w, dy = sample(1, 2, 256, 16, 16), sample(2, 32, 256, taps, taps), sample(3, 2, 32, 16, 16)
    y, dx, dw = conv_reference(p, x, w, dy)
    for name, inputs, expected in [
        ("forward", [x, w], y),
        ("backward_data", [dy, w], dx),
        ("backward_weights", [x, dy], dw),
    ]:
        actual = np.empty(expected.shape, "float32")
        call(lib, f"conv2d_{name}", [actual, *inputs], p)
        assert relative_error(actual, expected) < limit


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_minimal_filtering_confines_what_is_not_finite(lib, taps, value):
    p = (2, 32, 20, 20, 32, taps, taps, 20, 20, 1, 1, taps // 2, taps // 2, 1, 1, 1, 0)
    x, w, dy = sample(1, 2, 32, 20, 20), sample(2, 32, 32, taps, taps), sample(3, 2, 32, 20, 20)
    y, dx, _ = conv_reference(p, x, w, dy)
    for name, inputs, expected in [("forward", [x, w], y), ("backward_data", [dy, w], dx)]:
        inputs[0] = inputs[0].copy()
        inputs[0][1, 5, 9, 11] = value
        actual = np.empty(expected.shape, "float32")
        call(lib, f"conv2d_{name}", [actual, *inputs], p)
        near = slice(9 - taps // 2, 10 + taps // 2), slice(11 - taps // 2, 12 + taps // 2)
        assert not np.isfinite(actual[(1, slice(None), *near)]).any()
        actual[1, :, 4:15, 6:17] = expected[1, :, 4:15, 6:17]
        assert_close(actual, expected, 32 * taps * taps)


def random_conv(rng) -> tuple[int, ...] | None:
    """Parameters of a random convolution, or None when the filter does not fit."""
    groups, flip = int(rng.choice([1, 1, 1, 2, 3])), int(rng.integers(2))
    c, k = groups * int(rng.choice([1, 2, 7, 17])), groups * int(rng.choice([1, 2, 3, 20]))
    h, width, n = int(rng.integers(1, 22)), int(rng.choice([1, 5, 8, 14, 17, 40])), int(rng.integers(1, 5))
    r_size, s_size, top, left = (int(v) for v in [*rng.integers(1, 6, 2), *rng.integers(0, 4, 2)])
    step_h, step_w, dil_h, dil_w = (int(v) for v in rng.choice([1, 1, 2, 3], 4))
    out_h = (h + 2 * top - (r_size - 1) * dil_h - 1) // step_h + 1 + int(rng.integers(2))
    out_w = (width + 2 * left - (s_size - 1) * dil_w - 1) // step_w + 1 + int(rng.integers(2))
    if out_h < 1 or out_w < 1:
        return None
    sizes = (n, c, h, width, k, r_size, s_size, out_h, out_w)
    return (*sizes, step_h, step_w, top, left, dil_h, dil_w, groups, flip)


@pytest.mark.parametrize("seed", range(30))
def test_random_convolution(lib, seed):
    rng = np.random.default_rng(seed)
    p = next(p for p in iter(lambda: random_conv(rng), 0) if p)
    check_convolution(lib, p, ["float32", "float64"][seed % 2])


# ---- pooling ----

MAX, AVERAGE_INC_PAD, AVERAGE_EXC_PAD, SUM = range(4)

# N, H, W, OH, OW, win_h, win_w, stride_h, stride_w, pad_h, pad_w
POOL_CASES = {
    "2x2": (3, 8, 10, 4, 5, 2, 2, 2, 2, 0, 0),
    "2x2 wide": (2, 6, 100, 3, 50, 2, 2, 2, 2, 0, 0),
    "2x2 ragged": (3, 7, 9, 4, 5, 2, 2, 2, 2, 0, 0),
    "3x3 stride 2": (2, 13, 81, 6, 40, 3, 3, 2, 2, 0, 0),
    "3x3 stride 2 ragged": (2, 14, 82, 7, 41, 3, 3, 2, 2, 0, 0),
    "3x3 stride 2 padded": (2, 13, 41, 7, 21, 3, 3, 2, 2, 1, 1),
    "3x3 stride 1": (2, 9, 40, 7, 38, 3, 3, 1, 1, 0, 0),
    "3x3 stride 1 padded": (3, 7, 37, 7, 37, 3, 3, 1, 1, 1, 1),
    "3x3 stride 1 padded narrow": (5, 7, 7, 7, 7, 3, 3, 1, 1, 1, 1),
    "7x5 stride 3x4 padded ragged": (2, 15, 36, 6, 10, 7, 5, 3, 4, 2, 1),
    "5x4 stride 2x3": (2, 20, 41, 8, 13, 5, 4, 2, 3, 0, 0),
    "gaps": (2, 12, 50, 4, 13, 2, 2, 3, 4, 0, 0),
    "5x5 stride 2 padded": (2, 11, 45, 6, 23, 5, 5, 2, 2, 2, 2),
    "whole image": (4, 7, 7, 1, 1, 7, 7, 1, 1, 0, 0),
    "a single pixel": (1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0),
    "no images": (0, 4, 4, 2, 2, 2, 2, 2, 2, 0, 0),
    "no output": (2, 1, 4, 0, 2, 2, 2, 2, 2, 0, 0),
}


def windows(p):
    """Yield, for each window, its place, its slices of X and the number of elements of the clipped window."""
    _, h, w, out_h, out_w, win_h, win_w, step_h, step_w, pad_h, pad_w = p
    for i, j in product(range(out_h), range(out_w)):
        top, left = i * step_h - pad_h, j * step_w - pad_w
        bottom, right = min(top + win_h, h + pad_h), min(left + win_w, w + pad_w)
        part = (slice(max(top, 0), max(0, min(bottom, h))), slice(max(left, 0), max(0, min(right, w))))
        yield i, j, part, (bottom - top) * (right - left)


def pool_reference(p, mode, x, dy):
    """Y and dX in float64, window by window."""
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for i, j, (rows, cols), size in windows(p):
        part = x[:, rows, cols].astype("float64")
        count = {AVERAGE_INC_PAD: size, AVERAGE_EXC_PAD: int(np.prod(part.shape[1:]))}.get(mode, 1)
        y[:, i, j] = part.max((1, 2)) if mode == MAX else part.sum((1, 2)) / count
        share = part == y[:, i, j, None, None] if mode == MAX else 1 / count
        dx[:, rows, cols] += share * dy[:, i, j, None, None]
    return y, dx


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", [MAX, AVERAGE_INC_PAD, AVERAGE_EXC_PAD, SUM])
@pytest.mark.parametrize("case", list(POOL_CASES))
def test_pooling(lib, case, mode, dtype):
    p = POOL_CASES[case]
    x = np.round(sample(1, *p[:3], dtype=dtype) * 2) / 2  # coarse, so that windows have ties
    dy = sample(2, p[0], *p[3:5], dtype=dtype)
    expected_y, expected_dx = pool_reference(p, mode, x, dy)
    y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
    call(lib, "pool2d_forward", [y, x], [*p, mode])
    assert_close(y, expected_y, p[5] * p[6])
    call(lib, "pool2d_backward", [dx, x, y, dy], [*p, mode])
    assert_close(dx, expected_dx, p[5] * p[6])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", list(POOL_CASES))
def test_second_derivative_of_max_pooling(lib, case, dtype):
    p = POOL_CASES[case]
    x = np.round(sample(1, *p[:3], dtype=dtype) * 2) / 2
    ddx = sample(2, *p[:3], dtype=dtype)
    y, out = np.full((p[0], *p[3:5]), np.nan, dtype), np.full((p[0], *p[3:5]), np.nan, dtype)
    call(lib, "pool2d_forward", [y, x], [*p, MAX])
    expected = np.zeros(y.shape)
    for i, j, (rows, cols), _ in windows(p):
        expected[:, i, j] = (ddx[:, rows, cols] * (x[:, rows, cols] == y[:, i, j, None, None])).sum((1, 2))
    call(lib, "pool2d_max_grad_grad", [out, x, y, ddx], [*p, MAX])
    assert_close(out, expected, p[5] * p[6])


@pytest.mark.parametrize("case", ["2x2 wide", "3x3 stride 2", "3x3 stride 1 padded", "5x4 stride 2x3"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_maximum_of_a_window_with_nan_is_nan(lib, case, dtype):
    p = POOL_CASES[case]
    x = sample(1, *p[:3], dtype=dtype)
    x[sample(2, *p[:3]) > 1.7] = np.nan
    x[0, 0, :2] = np.inf, np.nan
    y = np.zeros((p[0], *p[3:5]), dtype)
    call(lib, "pool2d_forward", [y, x], [*p, MAX])
    expected = np.zeros(y.shape)
    for i, j, (rows, cols), _ in windows(p):
        expected[:, i, j] = x[:, rows, cols].max((1, 2))
    assert np.isnan(expected).any() and not np.isnan(expected).all()
    np.testing.assert_array_equal(y, expected)
