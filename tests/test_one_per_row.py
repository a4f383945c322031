"""Gradients of one picked element per row are comparisons in the loops that read them, not a stored matrix."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint

SHAPES = [(1, 1), (5, 3), (7, 40), (3, 1000), (70, 17), (1000, 10)]


def stage(f):
    return debugprint(f, stage="form_scatters", file="str")


def probabilities(a):
    e = np.exp(a - a.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("device", ["interp", "cpu"])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_smoothed_labels(isa, device, dtype):
    if device == "interp" and isa or isa and dtype != "int32":
        pytest.skip("one of them suffices")
    x, t = T.dmatrix("x"), T.TensorType(dtype, (False,))("t")
    n = x.shape[0]
    logs = T.nnet.logsoftmax(x)
    loss = -(0.9 * logs[T.arange(n), t] + 0.1 * logs.mean(1)).mean()
    with symc.config.change(isa=isa):
        f = symc.function([x, t], [loss, T.grad(loss, x)], device=device)
        assert "scatter" not in stage(f)
        rng = np.random.default_rng(0)
        for rows, columns in SHAPES if device == "cpu" else SHAPES[:2]:
            a = rng.standard_normal((rows, columns))
            picked = rng.integers(0, columns, rows).astype(dtype)
            p = probabilities(a)
            target = np.full_like(a, 0.1 / columns)
            target[np.arange(rows), picked] += 0.9
            got, slope = f(a, picked)
            np.testing.assert_allclose(got, -(target * np.log(p)).sum(1).mean(), rtol=1e-9)
            np.testing.assert_allclose(slope, (p - target) / rows, rtol=1e-9, atol=1e-12)


def test_positions_from_the_end_and_wrong_ones():
    x, t, v = T.fmatrix("x"), T.lvector("t"), T.fvector("v")
    f = symc.function([x, t, v], T.inc_subtensor(T.zeros_like(x)[T.arange(x.shape[0]), t], v) - x)
    assert "scatter" not in stage(f)
    a = np.arange(12, dtype="float32").reshape(3, 4)
    special = np.array([np.inf, np.nan, -0.0], "float32")
    want = -a
    want[[0, 1, 2], [3, 0, 2]] += special
    np.testing.assert_array_equal(f(a, [-1, 0, -2], special), want)
    for wrong in ([0, 4, 0], [-5, 0, 0]):
        with pytest.raises(IndexError, match="out of range for axis 1"):
            f(a, wrong, special)
    assert f(a[:0], [], []).shape == (0, 4)


def test_what_stays_a_scatter():
    """The matrix is a result, a product reads it, rows are other ones, or they may meet."""
    x, t, v = T.fmatrix("x"), T.lvector("t"), T.fvector("v")
    n = x.shape[0]
    zero = T.zeros_like(x)
    own = T.set_subtensor(zero[T.arange(n), t], v)
    turned = T.inc_subtensor(zero[T.arange(n)[::-1], t], v)
    met = T.inc_subtensor(zero[t, t], v)
    a = np.random.default_rng(1).standard_normal((4, 5)).astype("float32")
    i, values = np.array([3, 1, 1, 0]), np.arange(1, 5, dtype="float32")
    places = [np.zeros_like(a) for _ in range(3)]
    places[0][np.arange(4), i] = values
    places[1][np.arange(4)[::-1], i] = values
    np.add.at(places[2], (i, i), values)
    outputs = [own, T.dot(own, x.T), turned * x, met * x]
    wanted = [places[0], places[0] @ a.T, places[1] * a, places[2] * a]
    for output, want in zip(outputs, wanted, strict=True):
        f = symc.function([x, t, v], output)
        assert "scatter" in stage(f)
        np.testing.assert_allclose(f(a, i, values), want, rtol=1e-5, atol=1e-6)
    both = symc.function([x, t, v], [own * x, own + x])  # two readers: each compares
    for got, want in zip(both(a, i, values), [places[0] * a, places[0] + a], strict=True):
        np.testing.assert_array_equal(got, want)
