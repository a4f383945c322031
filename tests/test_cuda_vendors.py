"""cuBLAS and cuDNN: supported calls, arithmetic, and behaviour without them; on the emulated GPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from cuda_calls import CONVOLUTIONS, PLAIN, Buffers, check, convolve, draw, filled, launch, meaning, product

import symc
from symc.loops.calls import CALLS
from symc_backends.cuda import blas, dnn, libraries, library_calls
from symc_backends.cuda import device as devices
from symc_backends.cuda.graphs import Recording
from symc_backends.cuda.pooling import Pool


@pytest.fixture
def gpu(emulated_device):
    return devices.current()


@pytest.fixture
def reopened():
    """Handles are opened anew, during the test and after it."""
    blas._open.cache_clear()
    dnn._open.cache_clear()
    yield
    blas._open.cache_clear()
    dnn._open.cache_clear()


def bind(gpu: Any, which: str, dtype: str, params: dict[str, int]) -> library_calls.Bound:
    return library_calls.bind(f"{which}_{dtype}", [params[key] for key in CALLS[which].params], gpu)


# --- who serves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_libraries_serve_what_they_can(gpu, dtype):
    params, arrays = product(np.random.default_rng(0), dtype, 3, 4, 5)
    assert check(gpu, "gemm", dtype, params, arrays, libraries=True).by == "cublas"
    assert check(gpu, "gemm", dtype, params, arrays, libraries=False).by == "own"
    for which in CONVOLUTIONS:
        assert convolve(gpu, which, dtype, PLAIN, libraries=True).by == "cudnn"
        assert convolve(gpu, which, dtype, PLAIN, libraries=False).by == "own"


@pytest.mark.parametrize(
    "other",
    [{"K": 0}, {"lda": 2}, {"ldb": 2}, {"ldc": 3}, {"batch": 2, "strideC": 4, "ldc": 8}, {"ldb": 2**31}],
)
def test_what_cublas_cannot_count_is_ours(gpu, other):
    params, _ = product(np.random.default_rng(0), "f32", 3, 4, 5)
    params |= {"batch": 1, "strideA": 15, "strideB": 20, "strideC": 12}
    assert bind(gpu, "batched_gemm", "f32", params).by == "cublas"
    assert bind(gpu, "batched_gemm", "f32", params | other).by == "own"


@pytest.mark.parametrize("which", CONVOLUTIONS)
@pytest.mark.parametrize("after, pads", [((1, 0), (0, 0)), ((0, 0), (1, 0)), ((0, 0), (-1, 0)), ((0, 2), (1, 1))])
def test_pads_that_differ_are_ours(gpu, which, after, pads):
    c = filled(PLAIN._replace(pad_top=pads[0], pad_left=pads[1]), after)
    assert convolve(gpu, which, "f32", c, libraries=True).by == "own"


@pytest.mark.parametrize("which", CONVOLUTIONS)
@pytest.mark.parametrize("flip", [0, 1])
def test_pads_whose_last_rows_nobody_reads_are_alike(gpu, which, flip):
    """With stride 2 the window never comes to the last row: one pad less at the bottom is the same convolution."""
    c = filled(PLAIN._replace(H=8, stride_h=2, pad_top=1, flip=flip), (0, 0))
    assert c == filled(c, (1, 0))
    assert convolve(gpu, which, "f32", c, libraries=True).by == "cudnn"


def test_pooling_is_ours(gpu):
    assert bind(gpu, "pool2d_forward", "f32", Pool(1, 4, 4, 2, 2, 2, 2, 2, 2, 0, 0, 1)._asdict()).by == "own"


@pytest.mark.parametrize("which", CONVOLUTIONS)
def test_convolutions_keep_to_the_workspace(gpu, which):
    """Either a slower algorithm is chosen, or our own kernels serve."""
    with symc.config.change(cuda_workspace=0):
        assert convolve(gpu, which, "f32", PLAIN, libraries=True).workspace == 0


# --- arithmetic -------------------------------------------------------------------------------------------------------


def rounded(x: np.ndarray, dropped: int) -> np.ndarray:
    """float32 with ``dropped`` bits less, to nearest and ties to even; infinities and NaN stay."""
    bits = x.view("uint32")
    kept = (bits + np.uint32((1 << dropped - 1) - 1) + (bits >> np.uint32(dropped) & 1)) >> dropped << dropped
    return np.where(np.isfinite(x), kept.astype("uint32").view("float32"), x)


@pytest.mark.parametrize("precision, dropped", [("tf32", 13), ("bfloat16", 16)])
@pytest.mark.parametrize("trans", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_operands_are_rounded_as_the_user_says(gpu, precision, dropped, trans):
    rng = np.random.default_rng(0)
    params, arrays = product(rng, "f32", 9, 10, 11, trans, accumulate=1, wider=3)
    with symc.config.change(cuda_precision=precision):
        bound = bind(gpu, "gemm", "f32", params)
    assert (bound.workspace > 0) == (precision == "bfloat16")
    found, exact = launch(gpu, bound, arrays), meaning("gemm", params, arrays)
    expected = meaning("gemm", params, [arrays[0], *(rounded(a, dropped) for a in arrays[1:])])
    np.testing.assert_allclose(found, expected, 1e-6, 1e-5)
    assert np.abs(found - exact).max() > 1e-4


def test_batches_in_bfloat16(gpu):
    rng = np.random.default_rng(0)
    params, _ = product(rng, "f32", 5, 6, 7, (0, 1))
    params |= {"batch": 3, "strideA": 0, "strideB": 44, "strideC": 30}
    arrays = draw(rng, "f32", 90, 35, 3 * 44)
    with symc.config.change(cuda_precision="bfloat16"):
        bound = bind(gpu, "batched_gemm", "f32", params)
    expected = meaning("batched_gemm", params, [arrays[0], *(rounded(a, 16) for a in arrays[1:])])
    np.testing.assert_allclose(launch(gpu, bound, arrays), expected, 1e-6, 1e-5)


def test_bfloat16_keeps_special_values(gpu):
    params, arrays = product(np.random.default_rng(0), "f32", 6, 1, 1)
    special = np.uint32([0x7F800001, 0x7FFFFFFF, 0xFF800000, 0x7F7FFFFF, 0x00000001, 0x3F808000]).view("float32")
    arrays[1][:], arrays[2][:] = special, 1
    with symc.config.change(cuda_precision="bfloat16"):
        found = launch(gpu, bind(gpu, "gemm", "f32", params), arrays)
    np.testing.assert_array_equal(found, np.float32([np.nan, np.nan, -np.inf, np.inf, 0, 1]))


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_convolutions_are_rounded_to_tf32_at_most(gpu, precision):
    c, rng = PLAIN, np.random.default_rng(0)
    arrays = draw(rng, "f32", c.N * c.K * c.OH * c.OW, c.N * c.C * c.H * c.W, c.K * c.C * c.taps)
    with symc.config.change(cuda_precision=precision):
        found = launch(gpu, bind(gpu, "conv2d_forward", "f32", c._asdict()), arrays)
    expected = meaning("conv2d_forward", c._asdict(), [arrays[0], *(rounded(a, 13) for a in arrays[1:])])
    np.testing.assert_allclose(found, expected, 1e-6, 1e-5)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_float64_stays_exact(gpu, precision):
    with symc.config.change(cuda_precision=precision):
        params, arrays = product(np.random.default_rng(0), "f64", 3, 4, 5)
        check(gpu, "gemm", "f64", params, arrays, libraries=True)
        for which in CONVOLUTIONS:
            convolve(gpu, which, "f64", PLAIN, libraries=True)


# --- recording --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
def test_calls_can_be_recorded(gpu, own):
    """Nothing is allocated or waited for: a recorded call does its work when it is replayed, and only then."""
    rng = np.random.default_rng(0)
    params, arrays = product(rng, "f32", 5, 6, 1100)
    c = PLAIN
    images = draw(rng, "f32", c.N * c.K * c.OH * c.OW, c.N * c.C * c.H * c.W, c.K * c.C * c.taps)
    for which, named, buffers in (("gemm", params, arrays), ("conv2d_forward", c._asdict(), images)):
        words = [named[key] for key in CALLS[which].params]
        bound = library_calls.bind(f"{which}_f32", words, gpu, libraries=not own)
        assert (bound.by == "own") == own
        with gpu:
            memory, space = Buffers(gpu, buffers), gpu.empty(bound.workspace)
            recording = Recording.of(gpu, partial(bound, memory.pointers, int(space)))
            np.testing.assert_array_equal(memory.fetch(0), buffers[0])
            recording.replay(gpu)
            found = memory.fetch(0)
            del memory, space, recording
        np.testing.assert_allclose(found, meaning(which, named, buffers), 1e-4, 1e-4)


# --- without them -----------------------------------------------------------------------------------------------------


def test_versions(gpu):
    assert blas.problem() is None and dnn.problem() is None
    assert [len(version.split(".")) for version in (blas.version(), dnn.version())] == [3, 3]


@pytest.mark.parametrize("module, package", [(blas, "nvidia-cublas"), (dnn, "nvidia-cudnn-cu13")])
def test_one_sentence_says_what_to_install(monkeypatch, module, package):
    monkeypatch.setattr(libraries, "find", lambda *names, **_: libraries.Found(None, "", f"{names[0]} was not found"))
    assert "was not found" in module.problem() and module.problem().endswith(f"pip install {package}")
    assert module.version() is None and module.current(None) is None


def test_a_library_that_does_not_start_is_reported_once(gpu, monkeypatch, reopened):
    def refuse(*_: Any) -> None:
        raise blas.BlasError("cublasCreate returned 1")

    monkeypatch.setattr(blas.Blas, "__init__", refuse)
    params, arrays = product(np.random.default_rng(0), "f32", 3, 4, 5)
    with pytest.warns(UserWarning, match=r"cuBLAS does not start \(cublasCreate returned 1\)"):
        assert check(gpu, "gemm", "f32", params, arrays, libraries=True).by == "own"
    assert check(gpu, "gemm", "f32", params, arrays, libraries=True).by == "own"
