"""Convolution: against SciPy and against loops written out, shapes, adjoints, errors. Every geometry's values and
derivatives
are in the generated tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

import symc
import symc.tensor as T
from symc.compiler.passes import State, compile_graph
from symc.errors import GuardError, ShapeError

nnet = T.nnet


def run(build, *arrays, device="c"):
    variables = [T.tensor(a.dtype.name, shape=[None] * a.ndim, name=f"x{k}") for k, a in enumerate(arrays)]
    return symc.function(variables, build(*variables), device=device)(*arrays)


@pytest.mark.parametrize("mode", ["valid", "full"])
@pytest.mark.parametrize("flip", [True, False])
def test_against_scipy(rng, mode: str, flip: bool) -> None:
    x, w = rng.normal(size=(2, 3, 7, 8)), rng.normal(size=(4, 3, 3, 2))
    found = run(lambda x, w: nnet.conv2d(x, w, border_mode=mode, filter_flip=flip), x, w)
    one = convolve2d if flip else correlate2d
    want = np.array([[sum(one(x[n, c], w[k, c], mode) for c in range(3)) for k in range(4)] for n in range(2)])
    np.testing.assert_allclose(found, want, rtol=1e-10, atol=1e-10)


def test_against_loops(rng) -> None:
    """Stride, dilation, groups and uneven padding at once."""
    x, w = rng.normal(size=(2, 4, 9, 8)), rng.normal(size=(6, 2, 3, 2))
    found = run(
        lambda x, w: nnet.conv2d(
            x,
            w,
            border_mode=((1, 2), (0, 3)),
            subsample=(2, 3),
            filter_dilation=(2, 1),
            num_groups=2,
            filter_flip=False,
        ),
        x,
        w,
    )
    padded = np.pad(x, [(0, 0), (0, 0), (1, 2), (0, 3)])
    want = np.zeros((2, 6, (12 - 5) // 2 + 1, (11 - 2) // 3 + 1))
    for n, k, i, j in np.ndindex(want.shape):
        for c, r, s in np.ndindex(2, 3, 2):
            want[n, k, i, j] += w[k, c, r, s] * padded[n, (k // 3) * 2 + c, 2 * i + 2 * r, 3 * j + s]
    np.testing.assert_allclose(found, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "options, rows, columns",
    [
        ({}, 28, 30),
        ({"border_mode": "half"}, 32, 32),
        ({"border_mode": "full"}, 36, 34),
        ({"border_mode": 1}, 30, 32),
        ({"border_mode": (2, 0)}, 32, 30),
        ({"subsample": (2, 3)}, 14, 10),
        ({"filter_dilation": (2, 5), "border_mode": "half"}, 32, 32),
        ({"subsample": 2, "border_mode": ((0, 1), (1, 1))}, 15, 16),
    ],
)
def test_shapes_are_known_when_the_graph_is_built(options, rows: int, columns: int) -> None:
    x, w = T.tensor4("x", shape=(None, 3, 32, 32)), T.tensor4("w", shape=(7, 3, 5, 3))
    assert nnet.conv2d(x, w, **options).static_shape == (None, 7, rows, columns)


def test_declared_shapes_are_checked_at_the_call(rng) -> None:
    x, w = T.tensor4("x"), T.tensor4("w")
    y = nnet.conv2d(x, w, input_shape=(None, 3, 6, None), filter_shape=(2, 3, 3, 3))
    assert y.static_shape == (None, 2, 4, None)
    f = symc.function([x, w], y)
    assert f(np.ones((1, 3, 6, 5), "f4"), np.ones((2, 3, 3, 3), "f4")).shape == (1, 2, 4, 3)
    with pytest.raises(GuardError):
        f(np.ones((1, 3, 7, 5), "f4"), np.ones((2, 3, 3, 3), "f4"))


def test_adjoints(rng) -> None:
    """<conv(x, w), g> = <x, wrt_inputs(g, w)> = <w, wrt_weights(x, g)>, also where the stride leaves rows unused."""
    options = {"subsample": (2, 3), "border_mode": (1, 0), "filter_dilation": (1, 2), "num_groups": 2}
    x, w = rng.normal(size=(3, 4, 8, 10)), rng.normal(size=(2, 2, 3, 2))
    y = run(lambda x, w: nnet.conv2d(x, w, **options), x, w)
    g = rng.normal(size=y.shape)
    dx = run(lambda g, w: nnet.conv2d_grad_wrt_inputs(g, w, (None, None, 8, 10), **options), g, w)
    dw = run(lambda x, g: nnet.conv2d_grad_wrt_weights(x, g, (None, None, 3, 2), **options), x, g)
    assert dx.shape == x.shape and dw.shape == w.shape
    np.testing.assert_allclose([(dx * x).sum(), (dw * w).sum()], (y * g).sum(), rtol=1e-9)


def test_transposed_is_the_gradient(rng) -> None:
    g, w = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(3, 2, 3, 3))
    made = run(
        lambda g, w: nnet.conv2d_transpose(g, w, (None, 2, 8, 10), border_mode="half", input_dilation=(2, 2)), g, w
    )
    by_grad = run(
        lambda g, w: T.grad(
            None,
            x := T.zeros((2, 2, 8, 10), "float64"),
            known_grads={nnet.conv2d(x, w, border_mode="half", subsample=2): g},
        ),
        g,
        w,
    )
    np.testing.assert_allclose(made, by_grad, rtol=1e-12)


def test_separable(rng) -> None:
    x, d, p = rng.normal(size=(2, 3, 5, 5)), rng.normal(size=(6, 1, 3, 3)), rng.normal(size=(4, 6, 1, 1))
    found = run(lambda x, d, p: nnet.separable_conv2d(x, d, p, 3), x, d, p)
    full = np.zeros((4, 3, 3, 3))
    for k, m in np.ndindex(4, 6):
        full[k, m // 2] += p[k, m, 0, 0] * d[m, 0]
    np.testing.assert_allclose(found, run(nnet.conv2d, x, full), rtol=1e-9, atol=1e-12)


def test_backward_does_not_keep_what_is_read_for_its_shape(rng) -> None:
    """The filters' gradient needs images and maps alone: the filters' array is no operand of its step."""
    x, w = T.tensor4("x"), T.tensor4("w")
    y = nnet.conv2d(x, w)
    f = symc.function([x, w], T.grad(T.sum(y * y), w), device="interp")
    for step in f.specialisation.program.steps:
        if "backward_weights" in step.kernel.name:
            assert len(step.buffers) == 3
            break
    else:
        pytest.fail("no backward_weights step")


@pytest.mark.parametrize(
    "x, w, options, words",
    [
        ((2, 3, 8, 8), (4, 2, 3, 3), {}, "images have 3 channels, the filters expect 2"),
        ((2, 4, 8, 8), (4, 4, 3, 3), {"num_groups": 2}, "expect 8"),
        ((2, 4, 8, 8), (5, 2, 3, 3), {"num_groups": 2}, "5 filters cannot be divided into 2 groups"),
        ((2, 3, 8, 8), (4, 1, 3, 3), {"num_groups": 2}, "3 channels"),
        ((2, 3, 4, 8), (4, 3, 5, 3), {}, "covers 5 rows, but the padded images have only 4"),
        ((2, 3, 8, 4), (4, 3, 3, 3), {"filter_dilation": 2}, "covers 5 columns"),
    ],
)
def test_mismatches_are_named(x, w, options, words: str) -> None:
    with pytest.raises(ShapeError, match=words) as caught:
        nnet.conv2d(T.tensor4("pictures", shape=x), T.tensor4("W", shape=w), **options)
    assert "pictures" in str(caught.value) and "W" in str(caught.value)


def test_mismatches_only_a_call_can_see() -> None:
    x, w = T.tensor4("x"), T.tensor4("w")
    f = symc.function([x, w], nnet.conv2d(x, w))
    with pytest.raises(GuardError, match="channels"):
        f(np.ones((1, 3, 5, 5), "f4"), np.ones((2, 2, 3, 3), "f4"))
    with pytest.raises(GuardError, match="covers"):
        f(np.ones((1, 3, 2, 5), "f4"), np.ones((2, 3, 3, 3), "f4"))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"border_mode": "same"}, "half"),
        ({"border_mode": "vald"}, "'vald'"),
        ({"border_mode": -1}, "-1"),
        ({"border_mode": (1, 2, 3)}, "border_mode"),
        ({"subsample": 0}, "subsample"),
        ({"subsample": 1.5}, "1.5"),
        ({"filter_dilation": (1,)}, "pair"),
        ({"num_groups": 0}, "num_groups"),
        ({"image_shape": (1, 1, 5, 5), "input_shape": (1, 1, 5, 5)}, "old name"),
        ({"input_shape": (1, 1)}, "4 entries"),
    ],
)
def test_bad_options(options, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        nnet.conv2d(T.tensor4(), T.tensor4(), **options)


def test_operands_need_four_axes_and_gradients_their_size() -> None:
    with pytest.raises(ShapeError, match="4 axes, got 3"):
        nnet.conv2d(T.tensor3(), T.tensor4())
    with pytest.raises(ValueError, match="rows and columns"):
        nnet.conv2d_grad_wrt_inputs(T.tensor4(), T.tensor4(), (1, 1, None, 5))
    with pytest.raises(ShapeError, match="number of rows"):
        nnet.conv2d_grad_wrt_inputs(T.tensor4(shape=(1, 2, 3, 3)), T.tensor4(shape=(2, 1, 3, 3)), (1, 1, 9, 5))


def test_whole_numbers_become_floats() -> None:
    y = nnet.conv2d(T.itensor4(), T.tensor4())
    assert y.dtype == "float32"


def test_axes_of_length_one_are_not_copied() -> None:
    """A convolution along one axis reads its operand and its filters where they are."""
    x, w = T.ftensor3("x"), T.ftensor3("w")
    y = T.nnet.conv2d(x.dimshuffle(0, 1, "x", 2), w.dimshuffle(0, 1, "x", 2), border_mode=(0, 1), filter_flip=False)
    program = compile_graph(State("f", [x, w], [y], [])).program
    assert program is not None and len(program.steps) == 1
