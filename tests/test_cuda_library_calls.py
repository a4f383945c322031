"""The library calls of the CUDA back end compared with their NumPy implementations, on the emulated GPU."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from cuda_calls import (
    CONVOLUTIONS,
    DTYPES,
    PLAIN,
    check,
    convolve,
    draw,
    filled,
    kernel_names,
    launch,
    meaning,
    product,
)

from symc_backends.cuda import device as devices
from symc_backends.cuda import kernels, library_calls, tiling
from symc_backends.cuda.convolutions import Conv
from symc_backends.cuda.pooling import Pool

ROUNDS = range(6)


@pytest.fixture
def gpu(emulated_device):
    return devices.current()


def one_shape(monkeypatch, dtype: str, shape: kernels.Shape, pieces: bool = False) -> None:
    """Let nothing but ``shape`` be chosen, and sums be divided as often as possible or not at all."""
    monkeypatch.setitem(kernels.SHAPES, dtype, (shape,))
    monkeypatch.setattr(tiling, "_cost", lambda plan, *rest: -plan.pieces if pieces else plan.pieces)


# --- matrix products --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("libraries", [False, True])
@pytest.mark.parametrize("number", ROUNDS)
def test_products(gpu, number, libraries):
    rng, choose = np.random.default_rng(number), random.Random(number)
    for dtype in DTYPES:
        for trans in ((0, 0), (0, 1), (1, 0), (1, 1)):
            sizes = [choose.choice([1, 2, 7, 16, 31, 50]) for _ in range(3)]
            params, arrays = product(rng, dtype, *sizes, trans, choose.randint(0, 1), choose.choice([0, 3, 4]))
            check(gpu, "gemm", dtype, params, arrays, libraries)


SHAPES = [(dtype, shape) for dtype, shapes in kernels.SHAPES.items() for shape in shapes]


@pytest.mark.parametrize("dtype, shape", SHAPES, ids=lambda value: getattr(value, "label", value))
def test_every_shape_of_tiles(gpu, monkeypatch, dtype, shape):
    """Three tiles and a bit each way, in bands; aligned rows and others; with and without what is there."""
    one_shape(monkeypatch, dtype, shape)
    rng = np.random.default_rng(0)
    trans = (SHAPES.index((dtype, shape)) % 2, SHAPES.index((dtype, shape)) // 2 % 2)
    for wider, accumulate in ((0, 0), (1, 1)):
        sizes = 2 * shape.rows + 4, 2 * shape.cols + 4, 2 * shape.depth + 4
        params, arrays = product(rng, dtype, *sizes, trans, accumulate, wider)
        bound = check(gpu, "gemm", dtype, params, arrays)
        assert f"_{shape.label}_" in kernel_names(bound)[0] and bound.workspace == 0


def test_more_than_eight_rows_of_tiles(gpu, monkeypatch):
    one_shape(monkeypatch, "f32", next(s for s in kernels.SHAPES["f32"] if s.label == "32x32"))
    params, arrays = product(np.random.default_rng(0), "f32", 10 * 32 + 5, 3 * 32 + 1, 9)
    check(gpu, "gemm", "f32", params, arrays)


@pytest.mark.parametrize("accumulate", [0, 1])
def test_divided_sums(gpu, monkeypatch, accumulate):
    small = kernels.SHAPES["f32"][4]
    one_shape(monkeypatch, "f32", small, pieces=True)
    rng = np.random.default_rng(0)
    params, arrays = product(rng, "f32", 9, 11, 1030, (0, 1), accumulate, wider=2)
    bound = check(gpu, "gemm", "f32", params, arrays)
    assert bound.workspace > 0 and kernel_names(bound)[1] == "symc_combine_f32"
    assert launch(gpu, bound, arrays).tobytes() == launch(gpu, bound, arrays).tobytes()


def test_a_small_workspace_divides_less(gpu, monkeypatch):
    import symc

    one_shape(monkeypatch, "f32", kernels.SHAPES["f32"][4], pieces=True)
    params, arrays = product(np.random.default_rng(0), "f32", 9, 11, 1030)
    with symc.config.change(cuda_workspace=2 * 9 * 11 * 4):
        assert check(gpu, "gemm", "f32", params, arrays).workspace == 2 * 9 * 11 * 4
    with symc.config.change(cuda_workspace=0):
        assert check(gpu, "gemm", "f32", params, arrays).workspace == 0


@pytest.mark.parametrize("libraries", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_batches(gpu, dtype, libraries):
    """Matrices one after the other, one matrix for all, and rows of the results in turns."""
    rng = np.random.default_rng(0)
    m, n, k, batch = 5, 6, 7, 3
    for trans in ((0, 0), (1, 1)):
        single, _ = product(rng, dtype, m, n, k, trans)
        for strides, ldc in (((m * k, k * n, m * n), n), ((0, k * n + 1, m * n), n), ((m * k + 2, 0, n), batch * n)):
            params = single | dict(zip(("strideA", "strideB", "strideC"), strides)) | {"batch": batch, "ldc": ldc}
            arrays = draw(rng, dtype, batch * m * n, batch * m * k + 4, batch * k * n + 2)
            check(gpu, "batched_gemm", dtype, params, arrays, libraries)


def test_a_divided_batch_adds_to_what_is_there(gpu, monkeypatch):
    one_shape(monkeypatch, "f64", kernels.SHAPES["f64"][1], pieces=True)
    rng = np.random.default_rng(0)
    params, _ = product(rng, "f64", 3, 4, 600, accumulate=1)
    params |= dict(batch=2, strideA=3 * 600, strideB=0, strideC=4, ldc=9)
    bound = check(gpu, "batched_gemm", "f64", params, draw(rng, "f64", 3 * 9, 2 * 3 * 600, 600 * 4))
    assert len(kernel_names(bound)) == 2


@pytest.mark.parametrize("libraries", [False, True])
@pytest.mark.parametrize("accumulate", [0, 1])
@pytest.mark.parametrize("empty", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 0, 0)])
def test_empty_products(gpu, empty, accumulate, libraries):
    params, arrays = product(np.random.default_rng(0), "f32", *empty, accumulate=accumulate, wider=1)
    bound = check(gpu, "gemm", "f32", params, arrays, libraries)
    assert (bound.by == "nothing") == (0 in empty[:2] or bool(accumulate))
    check(gpu, "batched_gemm", "f32", params | dict(batch=0, strideA=1, strideB=1, strideC=1), arrays, libraries)


def test_not_a_number_spreads_to_its_row_alone(gpu):
    params, arrays = product(np.random.default_rng(0), "f32", 5, 6, 20)
    arrays[0][:] = np.nan  # what was there does not matter
    arrays[1][20 + 3] = np.nan
    check(gpu, "gemm", "f32", params, arrays)


# --- convolutions -----------------------------------------------------------------------------------------------------


def any_convolution(number: int) -> Conv:
    choose = random.Random(number)
    one, many = (lambda *values: choose.choice(values)), choose.randint
    groups = one(1, 1, 2, 3)
    c = Conv(
        many(1, 3), groups * one(1, 2, 5, 6), many(1, 11), many(1, 11), groups * one(1, 2, 5, 7), many(1, 4),
        many(1, 4), 0, 0, many(1, 3), many(1, 3), many(0, 2), many(0, 2), many(1, 3), many(1, 3), groups, many(0, 1),
    )  # fmt: skip
    return filled(c, (many(0, 2), many(0, 2)))


@pytest.mark.parametrize("libraries", [False, True])
@pytest.mark.parametrize("which", CONVOLUTIONS)
@pytest.mark.parametrize("number", range(5))
def test_convolutions(gpu, which, number, libraries):
    for k in range(8):
        convolve(gpu, which, ("f32", "f64")[k % 2], any_convolution(8 * number + k), libraries)


@pytest.mark.parametrize("which", CONVOLUTIONS)
@pytest.mark.parametrize("dtype, shape", [SHAPES[0], SHAPES[5], SHAPES[-1]], ids=lambda v: getattr(v, "label", v))
def test_convolutions_in_tiles_of_every_kind(gpu, monkeypatch, which, dtype, shape):
    one_shape(monkeypatch, dtype, shape)
    c = filled(Conv(3, 12, 9, 8, 14, 3, 2, 0, 0, 2, 1, 1, 1, 1, 2, 2, 1), (2, 1))
    bound = convolve(gpu, which, dtype, c)
    assert shape.label in kernel_names(bound)[0]


@pytest.mark.parametrize("which", CONVOLUTIONS)
@pytest.mark.parametrize("channels, filters", [(8, 8), (8, 16), (16, 8)])
def test_groups_of_few_channels(gpu, which, channels, filters):
    c = filled(Conv(2, channels, 6, 5, filters, 3, 3, 0, 0, 2, 1, 1, 1, 1, 1, 8, 1), (1, 1))
    assert "direct" in kernel_names(convolve(gpu, which, "f32", c))[0]


def test_divided_weights(gpu, monkeypatch):
    one_shape(monkeypatch, "f32", kernels.SHAPES["f32"][4], pieces=True)
    bound = convolve(gpu, "conv2d_backward_weights", "f32", filled(PLAIN._replace(N=12, C=6, groups=2, K=10)))
    assert kernel_names(bound)[1] == "symc_combine_f32" and bound.workspace % (10 * 3 * 6 * 4) == 0


@pytest.mark.parametrize("libraries", [False, True])
@pytest.mark.parametrize("which", CONVOLUTIONS)
def test_filters_of_one_tap_multiply_matrices(gpu, which, libraries):
    bound = convolve(gpu, which, "f32", filled(PLAIN._replace(H=16, W=17, R=1, S=1)), libraries)
    if which != "conv2d_backward_weights" and not libraries:
        assert "gemm" in kernel_names(bound)[0]


@pytest.mark.parametrize("libraries", [False, True])
@pytest.mark.parametrize("which", CONVOLUTIONS)
@pytest.mark.parametrize("empty", ["N=0", "C=0", "K=0", "R=0", "H=1 OH=0", "H=0 OH=1 pad_top=2"])
def test_empty_convolutions(gpu, which, empty, libraries):
    sizes = {key: int(value) for key, value in (item.split("=") for item in empty.split())}
    convolve(gpu, which, "f32", PLAIN._replace(**sizes), libraries)


def test_strides_beyond_the_image(gpu):
    convolve(gpu, "conv2d_backward_data", "f32", filled(PLAIN._replace(stride_h=9, stride_w=4)))


# --- pooling ----------------------------------------------------------------------------------------------------------

POOLINGS = ("pool2d_forward", "pool2d_backward", "pool2d_max_grad_grad")


def any_pool(number: int, mode: int) -> Pool:
    choose = random.Random(number)
    h, w, win_h, win_w = choose.randint(1, 9), choose.randint(1, 9), choose.randint(1, 4), choose.randint(1, 4)
    stride_h, stride_w, pad_h, pad_w = choose.randint(1, 4), choose.randint(1, 4), choose.randrange(win_h), 0
    up = choose.randint(0, 1)  # windows that begin inside and reach over the edge count, or do not
    out_h = max((h + 2 * pad_h - win_h + up * (stride_h - 1)) // stride_h + 1, 0)
    out_w = max((w + 2 * pad_w - win_w + up * (stride_w - 1)) // stride_w + 1, 0)
    return Pool(choose.randint(1, 4), h, w, out_h, out_w, win_h, win_w, stride_h, stride_w, pad_h, pad_w, mode)


def pool(gpu: Any, which: str, dtype: str, p: Pool, special: float | None = None) -> library_calls.Bound:
    """Small whole numbers, so that maxima come more than once."""
    rng = np.random.default_rng(0)
    images, outputs = p.N * p.H * p.W, p.N * p.OH * p.OW
    x, dy, ddx = (rng.integers(-2, 2, n).astype(DTYPES[dtype]) for n in (images, outputs, images))
    if special is not None:
        x[::5] = special
    y = meaning("pool2d_forward", p._asdict(), [np.zeros(outputs, DTYPES[dtype]), x])
    arrays = {
        "pool2d_forward": [np.ones_like(y), x],
        "pool2d_backward": [np.ones_like(x), x, y, dy],
        "pool2d_max_grad_grad": [np.ones_like(y), x, y, ddx],
    }[which]
    return check(gpu, which, dtype, p._asdict(), arrays)


@pytest.mark.parametrize("which, mode", [*((w, mode) for w in POOLINGS[:2] for mode in range(4)), (POOLINGS[2], 0)])
def test_pooling(gpu, which, mode):
    for number in range(20):
        pool(gpu, which, ("f32", "f64")[number % 2], any_pool(number, mode))


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", POOLINGS)
def test_maxima_of_special_values(gpu, which, special):
    pool(gpu, which, "f32", Pool(3, 6, 5, 3, 2, 2, 2, 2, 2, 0, 0, 0), special)


@pytest.mark.parametrize("which", POOLINGS)
def test_empty_poolings(gpu, which):
    assert pool(gpu, which, "f32", Pool(0, 6, 5, 3, 2, 2, 2, 2, 2, 0, 0, 0)).by == "nothing"
    pool(gpu, which, "f32", Pool(2, 6, 5, 0, 2, 2, 2, 2, 2, 0, 0, 0))


# --- all of them ------------------------------------------------------------------------------------------------------


def test_threads_in_the_other_order(gpu):
    """What depends on who comes first is a race."""
    from cuda_emulator import emulator

    with emulator.settings(reverse=True):
        params, arrays = product(np.random.default_rng(0), "f32", 70, 40, 50)
        check(gpu, "gemm", "f32", params, arrays)
        for which in CONVOLUTIONS:
            convolve(gpu, which, "f32", filled(PLAIN._replace(stride_h=2)))
            convolve(gpu, which, "f32", filled(PLAIN._replace(C=6, K=6, groups=6)))


@pytest.mark.parametrize("name, params", [("gemm_f16", [0] * 9), ("sort_f32", []), ("gemm_f32", [1, 2])])
def test_unknown_calls_are_refused(gpu, name, params):
    with pytest.raises(ValueError, match=name):
        library_calls.bind(name, params, gpu)


def test_sizes_beyond_counting_are_refused(gpu):
    with pytest.raises(ValueError, match="exceed the kernels' 32-bit sizes"):
        library_calls.bind("gemm_f32", [0, 0, 2**32, 1, 1, 1, 1, 1, 0], gpu, libraries=False)
    with pytest.raises(ValueError, match="32-bit sizes of symc"):
        library_calls.bind("conv2d_forward_f32", PLAIN._replace(N=2**31, OH=7, OW=6), gpu, libraries=False)
    with pytest.raises(ValueError, match="32-bit sizes of symc"):
        library_calls.bind("pool2d_forward_f32", Pool(1, 2**16, 2**16, 1, 1, 2, 2, 1, 1, 0, 0, 0), gpu)
