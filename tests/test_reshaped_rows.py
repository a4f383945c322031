"""Products of arrays of several axes: what follows on their rows is computed with the product."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint

RNG = np.random.default_rng(3)
SHAPES = [(3, 5, 17), (1, 1, 1), (2, 1, 50), (1, 7, 3), (0, 4, 3), (2, 3, 4, 5), (4, 3, 0), (33, 2, 65)]


def _programs(lib: Any, x: Any, w: Any, b: Any, c: Any, y: Any) -> list[Any]:
    """Values of rows alone, of the middle axes, of other products, and such as are read twice."""
    product = lib.dot(x, w)
    biased = product + b
    rows = lib.maximum(2 * biased - 1, 0)
    return [
        rows,
        lib.dot(x, w) * c + b,
        lib.tanh(lib.dot(x, w) + lib.dot(y, w) + b),
        (product * product).sum(-1) + product.sum(-1),
        lib.exp(-((lib.dot(y, w) + b) ** 2)).sum(tuple(range(x.ndim - 1))),
        lib.dot(x + y, w) + y.sum(-1, keepdims=True),
    ]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("columns", [1, 6, 40])
def test_values(shape: tuple[int, ...], columns: int, known: bool) -> None:
    arrays = [RNG.standard_normal(s) for s in (shape, (shape[-1], columns), (columns,), (shape[-2], 1), shape)]
    shapes = [a.shape if known else (None,) * a.ndim for a in arrays]
    shapes[3] = (shapes[3][0], 1)
    inputs = [T.tensor("float64", shape=s) for s in shapes]
    found = symc.function(inputs, _programs(T, *inputs))(*arrays)
    for got, expected in zip(found, _programs(np, *arrays), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


def _steps(outputs: Any, inputs: list[Any]) -> int:
    out = io.StringIO()
    debugprint(symc.function(inputs, outputs), stage="loops", file=out)
    return sum("# test_reshaped_rows.py" in line for line in out.getvalue().split("kernel K")[0].splitlines())


def test_biases_are_epilogues() -> None:
    pytest.importorskip("cffi")
    x, w, b = T.ftensor3(), T.fmatrix(), T.fvector()
    assert _steps(T.maximum(T.dot(x, w) + b, 0), [x, w, b]) == 1
    assert _steps(T.maximum(T.dot(x, w) + b.sum(), 0), [x, w, b]) <= 3
    one = T.tensor("float32", shape=(1, None, None))
    assert _steps(T.dot(T.maximum(T.dot(one, w) + b, 0), w), [one, w, b]) == 2  # an axis of 1 is added
    v = T.tensor("float32", shape=(4, 6, None))
    assert _steps(T.tanh(T.dot(v, w) + b).reshape((8, 3, w.shape[1])), [v, w, b]) == 1
    assert _steps(T.dot(x, w) + x.sum(-1, keepdims=True), [x, w]) >= 2  # other values for every row


@pytest.mark.parametrize("shape", SHAPES)
def test_residuals_are_epilogues(shape: tuple[int, ...]) -> None:
    """Arguments are added to rows of a product, and so are the rows of an earlier product with its own residual."""
    pytest.importorskip("cffi")
    arrays = [RNG.standard_normal(s) for s in (shape, (shape[-1], 70), (70, shape[-1]))]
    x, w, u = inputs = [T.tensor("float64", shape=(None,) * a.ndim) for a in arrays]

    def block(lib: Any, x: Any, w: Any, u: Any) -> Any:
        h = x + lib.dot(lib.tanh(lib.dot(x, w)), u)
        return h + lib.dot(lib.tanh(lib.dot(h, w)), u)

    out = block(T, *inputs)
    np.testing.assert_allclose(symc.function(inputs, out)(*arrays), block(np, *arrays), rtol=1e-10, atol=1e-10)
    assert _steps(out, inputs) == 4
    grads = symc.function(inputs, symc.grad((out**2).sum(), inputs))(*arrays)
    assert [g.shape for g in grads] == [a.shape for a in arrays]


def test_gradients() -> None:
    arrays = [RNG.standard_normal(s) for s in ((4, 3, 5), (5, 6), (6,))]
    x, w, b = inputs = [T.tensor("float64", shape=(None,) * a.ndim) for a in arrays]
    loss = (T.tanh(T.dot(x, w) + b) ** 2).sum()
    got = symc.function(inputs, symc.grad(loss, inputs))(*arrays)
    h = np.tanh(arrays[0] @ arrays[1] + arrays[2])
    g = 2 * h * (1 - h * h)
    expected = [g @ arrays[1].T, np.einsum("abk,abn->kn", arrays[0], g), g.sum((0, 1))]
    for a, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-12)
