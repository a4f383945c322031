"""Few elements of a last axis in another order, as of colours: slices, whose vectors take turns in memory."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "bool", "complex64"])
@pytest.mark.parametrize(
    "chosen", [[2, 0, 1], [2, 1, 0], [-1], [0, 0, 1, 2, -3, 1, 2, 0], [1, 2], list(range(3)) * 4, [1] * 17]
)
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 1, 3), (0, 4, 3), (33, 3), (3,)])
def test_colours_in_another_order(shape, chosen, dtype):
    a = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
    x, known = T.tensor(dtype, shape=(None,) * len(shape)), T.tensor(dtype, shape=(*shape[:-1], 3))
    for v in (x, known):
        np.testing.assert_array_equal(symc.function([v], v[..., chosen])(a), a[..., chosen])


def test_many_colours():
    a = np.random.default_rng(0).normal(size=(400, 500, 3)).astype("float32")
    x = T.ftensor3()
    y = x[..., [2, 0, 1]] * np.array([1, 2, 3], "float32")
    found, slope = symc.function([x], [y, symc.grad((y * y).sum(), x)])(a)
    np.testing.assert_allclose(found, a[..., [2, 0, 1]] * np.array([1, 2, 3], "float32"), rtol=1e-6)
    np.testing.assert_allclose(slope, 2 * a * np.array([4, 9, 1], "float32"), rtol=1e-6)


def test_elements_of_longer_rows():
    a = np.random.default_rng(0).normal(size=(700, 257)).astype("float32")
    for length in (17, 64, 256, 257):
        rows = np.ascontiguousarray(a[:, :length])
        x = T.tensor("float32", shape=(None, length))
        chosen = [length - 1, 0, 5, -3]
        y = x[:, chosen]
        results = [y, T.sqr(y).sum(), y.max(1), y.T, symc.grad((y**2).sum(), x)]
        found, total, most, turned, slope = symc.function([x], results)(rows)
        wanted, at = rows[:, chosen], np.zeros_like(rows)
        at[:, chosen] = 2 * wanted
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_allclose(total, (wanted**2).sum(), rtol=1e-5)
        np.testing.assert_array_equal(most, wanted.max(1))
        np.testing.assert_array_equal(turned, wanted.T)
        np.testing.assert_allclose(slope, at, rtol=1e-6)


def test_positions_that_do_not_exist():
    x, known = T.fmatrix(), T.tensor("float32", shape=(None, 3))
    for v in (x, known):
        with pytest.raises(IndexError):
            symc.function([v], v[:, [0, 3]])(np.zeros((400_000, 3), "float32"))


def test_what_is_a_join():
    x = T.tensor("float32", shape=(None, None, 3))
    assert "gather" not in debugprint(symc.function([x], x[..., [2, 0, 1]]), stage="loops", file="str")
    assert "gather" in debugprint(symc.function([x], x[..., [2, 0, 1] * 6]), stage="loops", file="str")
