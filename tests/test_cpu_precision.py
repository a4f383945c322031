"""The setting ``cpu_precision``: operands rounded to bfloat16, by every kind of instruction that the processor has."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

pytestmark = pytest.mark.skipif(symc.config.device != "c", reason="the setting is that of the C back end")


@pytest.fixture(params=[1, 2], ids=["vectors", "tiles"])
def rounding(request):
    """bfloat16 by at most this kind of instructions, see symc_choose_bfloat16."""
    from symc_backends.c.library import choose_precision, runtime

    library = runtime()
    if library.bfloat16_instructions() < request.param:
        pytest.skip("this processor has no such instructions")
    library.choose_bfloat16(request.param)
    with symc.config.change(conv_accuracy="strict"):  # minimal filtering is preferred to vectors
        yield
    choose_precision(library)


def rounded(x: np.ndarray) -> np.ndarray:
    """To the nearest bfloat16, ties to even, as float64."""
    bits = x.view("uint32").astype("uint64")
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return bits.astype("uint32").view("float32").astype("float64")


def samples(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype("float32") for shape in shapes]


def check(actual: np.ndarray, expected: np.ndarray) -> None:
    """Only the order of the sums in float32 may differ."""
    scale = np.sqrt(np.mean(expected**2))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * scale)


def taps(x: np.ndarray, w: np.ndarray, groups: int, pad: int, step: int, dilation: int) -> np.ndarray:
    """The correlation in float64, tap by tap."""
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    high, wide = ((n - (k - 1) * dilation - 1) // step + 1 for n, k in zip(x.shape[2:], w.shape[2:]))
    x = x.reshape(len(x), groups, -1, *x.shape[2:])
    w = w.reshape(groups, -1, *w.shape[1:])
    y = sum(
        np.einsum(
            "ngcyx,gkc->ngkyx",
            x[..., r * dilation :, s * dilation :][..., : (high - 1) * step + 1 : step, : (wide - 1) * step + 1 : step],
            w[..., r, s],
        )
        for r, s in np.ndindex(*w.shape[3:])
    )
    return y.reshape(len(x), -1, high, wide)


CASES = [  # images, channels, filters, taps, image, groups, pad, step, dilation
    (2, 16, 16, (3, 3), (13, 17), 1, 1, 1, 1),
    (1, 33, 50, (1, 1), (20, 20), 1, 0, 1, 1),
    (5, 64, 64, (1, 1), (13, 11), 2, 0, 1, 1),
    (1, 16, 19, (1, 1), (70, 300), 1, 1, 1, 1),
    (3, 40, 24, (2, 4), (15, 31), 1, 2, 1, 2),
    (2, 34, 36, (3, 3), (21, 12), 2, 1, 2, 1),
    (1, 17, 19, (5, 3), (1, 40), 1, 2, 3, 1),
    (2, 64, 32, (3, 1), (37, 6), 1, 0, 1, 1),
]


@pytest.fixture(scope="module")
def convolutions():
    compiled = {}

    def build(groups: int, pad: int, step: int, dilation: int):
        key = groups, pad, step, dilation
        if key not in compiled:
            x, w, g = T.tensor4s("x", "w", "g")
            y = T.nnet.conv2d(
                x, w, border_mode=pad, subsample=(step, step), filter_flip=False, filter_dilation=(dilation, dilation),
                num_groups=groups,
            )  # fmt: skip
            compiled[key] = symc.function([x, w, g], [y, *symc.grad(None, [x, w], known_grads={y: g})])
        return compiled[key]

    return build


@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolutions(rounding, convolutions, case):
    n, c, k, window, image, groups, pad, step, dilation = case
    x, w = samples(0, (n, c, *image), (k, c // groups, *window))
    y = taps(rounded(x), rounded(w), groups, pad, step, dilation)
    (g,) = samples(1, y.shape)
    actual, dx, dw = convolutions(groups, pad, step, dilation)(x, w, g)
    check(actual, y)
    # The derivatives in random directions: y is linear in each operand.
    vx, vw = samples(2, x.shape, w.shape)
    by_images = np.sum(rounded(g) * taps(vx.astype("float64"), rounded(w), groups, pad, step, dilation))
    assert abs(np.sum(dx.astype("float64") * vx) - by_images) < 1e-4 * np.sqrt(np.sum(dx.astype("float64") ** 2))
    by_weights = np.sum(rounded(g) * taps(rounded(x), vw.astype("float64"), groups, pad, step, dilation))
    exact = np.sum(g * taps(x.astype("float64"), vw.astype("float64"), groups, pad, step, dilation))
    actual = np.sum(dw.astype("float64") * vw)
    size = np.sqrt(np.sum(dw.astype("float64") ** 2))
    assert min(abs(actual - by_weights), abs(actual - exact)) < 1e-4 * size  # some weights' gradients are not rounded


@pytest.mark.parametrize("turned", ["nn", "tn", "nt", "tt"])
def test_products(rounding, turned):
    a, b = T.matrices("ab")
    f = symc.function([a, b], T.dot(a.T if turned[0] == "t" else a, b.T if turned[1] == "t" else b))
    for m, n, k in [(48, 16, 32), (130, 33, 70), (61, 95, 1100), (300, 257, 33)]:
        A, B = samples(m, (k, m) if turned[0] == "t" else (m, k), (n, k) if turned[1] == "t" else (k, n))
        A_ = rounded(A).T if turned[0] == "t" else rounded(A)
        check(f(A, B), A_ @ (rounded(B).T if turned[1] == "t" else rounded(B)))


@pytest.mark.parametrize("turned", [False, True])
def test_few_rows_times_a_stored_matrix(rounding, turned):
    b = symc.shared(np.zeros((0, 0), "float32"))
    a = T.matrix("a")
    f = symc.function([a], T.dot(a, b.T if turned else b))
    for m, n, k in [(1, 16, 32), (3, 33, 70), (17, 95, 1100), (47, 40, 33)]:
        A, B = samples(m, (m, k), (n, k) if turned else (k, n))
        b.set_value(B)
        for _ in range(2):
            check(f(A), rounded(A) @ (rounded(B).T if turned else rounded(B)))
    with symc.config.change(cpu_precision="float32"):
        check(f(A), A.astype("float64") @ (B.T if turned else B))  # a form of its own


def test_what_follows_a_product_or_convolution(rounding):
    x, w, b = T.tensor4("x"), symc.shared(np.zeros((0, 0, 0, 0), "float32")), T.vector("b")
    y = T.nnet.conv2d(x, w)
    plain, both = symc.function([x], y), symc.function([x, b], 2 * y + b.dimshuffle("x", 0, "x", "x"))
    for shape, filters in [((3, 34, 13, 12), (50, 1, 1)), ((2, 64, 16, 12), (96, 1, 1)), ((1, 16, 9, 20), (33, 3, 3))]:
        images, weights, bias = samples(0, shape, (filters[0], shape[1], *filters[1:]), filters[:1])
        w.set_value(weights)
        np.testing.assert_array_equal(both(images, bias), 2 * plain(images) + bias[:, None, None])
    a, m = T.matrix("a"), symc.shared(samples(1, (40, 50))[0])
    f, g = symc.function([a], T.dot(a, m)), symc.function([a, b], 2 * T.dot(a, m) + b)
    for rows in (1, 5, 60):
        A, bias = samples(rows, (rows, 40), (50,))
        np.testing.assert_array_equal(g(A, bias), 2 * f(A) + bias)


def test_special_values(rounding):
    a, b = T.matrices("ab")
    f = symc.function([a, b], T.dot(a, b))
    A, B = samples(0, (64, 64), (64, 64))
    A[3, 5], A[7, 0], A[9, 63] = np.nan, np.inf, 3.4e38
    y = f(A, B)
    assert np.isnan(y[3]).all()
    np.testing.assert_array_equal(y[7], np.sign(B[0]) * np.inf)
    np.testing.assert_array_equal(y[9], np.sign(B[63]) * np.inf)  # above the largest bfloat16
    assert np.isfinite(np.delete(y, [3, 7, 9], axis=0)).all()


def test_small_products_are_exact():
    a, b = T.matrices("ab")
    f = symc.function([a, b], T.dot(a, b))
    A, B = samples(0, (8, 40), (40, 40))
    before = f(A, B)
    with symc.config.change(cpu_precision="bfloat16"):
        np.testing.assert_array_equal(f(A, B), before)
    with pytest.raises(ValueError, match="'float32', 'ieee', 'bfloat16'"):
        symc.config.cpu_precision = "float16"
