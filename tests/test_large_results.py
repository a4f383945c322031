"""Products and convolutions whose results are so large that tiles store them past the caches."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

pytestmark = pytest.mark.skipif(
    symc.config.device != "c", reason="how results are stored is a matter of the C back end"
)


@pytest.mark.parametrize(
    ("rows", "terms", "columns"), [(2110, 40, 2048), (3001, 33, 1424), (1100, 26, 4099), (2048, 530, 2080)]
)
@pytest.mark.parametrize("kind", ["plain", "rectified", "squared"])
def test_products(rows, terms, columns, kind):
    """Aligned rows and others, tiles beside the last column, sums in two parts, results finished at once or later."""
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((rows, terms), "float32"), rng.standard_normal((terms, columns), "float32")
    bias = rng.standard_normal(columns, "float32")
    x, y, z = T.matrix("x", dtype="float32"), T.matrix("y", dtype="float32"), T.vector("z", dtype="float32")
    finish = {
        "plain": lambda p, c: p,
        "rectified": lambda p, c: T.maximum(p + c, 0),
        "squared": lambda p, c: T.sqr(p) - c,
    }
    f = symc.function([x, y, z], finish[kind](T.dot(x, y), z), on_unused_input="ignore")
    wanted = a.astype("float64") @ b
    wanted = {"plain": wanted, "rectified": np.maximum(wanted + bias, 0), "squared": wanted**2 - bias}[kind]
    for threads in (1, 2):
        with symc.config.change(threads=threads):
            actual = f(a, b, bias)
        assert np.abs(actual - wanted).max() < 2e-6 * np.abs(wanted).max() * np.sqrt(terms)


@pytest.mark.parametrize("width", [224, 219])
@pytest.mark.parametrize("rectified", [False, True])
def test_first_layers(width, rectified):
    rng = np.random.default_rng(4)
    a, w = rng.standard_normal((2, 3, 224, width), "float32"), rng.standard_normal((48, 3, 3, 3), "float32")
    x, v = T.tensor4("x", dtype="float32"), T.tensor4("v", dtype="float32")
    y = T.nnet.conv2d(x, v, border_mode=1, filter_flip=False)
    f = symc.function([x, v], T.maximum(y - 0.5, 0) if rectified else y)
    padded = np.pad(a, [(0, 0), (0, 0), (1, 1), (1, 1)])
    patches = np.stack([padded[:, :, r : r + 224, s : s + width] for r in range(3) for s in range(3)], axis=2)
    wanted = np.tensordot(w.reshape(48, 27).astype("float64"), patches.reshape(2, 27, 224, width), ((1,), (1,)))
    wanted = wanted.swapaxes(0, 1)
    np.testing.assert_allclose(f(a, w), np.maximum(wanted - 0.5, 0) if rectified else wanted, atol=5e-5)
