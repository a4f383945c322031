"""Sums of elements that a mask selects, and writes to their places, without a list of them."""

import warnings

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint


def listed(f):
    return "true_places" in debugprint(f, stage="loops", file="str")


@pytest.mark.parametrize("device", ["interp", "cpu"])
def test_what_is_summed_is_not_listed(device):
    x, y, v = T.dmatrix("x"), T.dmatrix("y"), T.dvector("v")
    both, rows = T.and_(x > 0, y < 1), v > 0
    chosen = T.sqr(x[both]) - y[both.nonzero()]
    cost = chosen.mean()
    outputs = [cost, T.grad(cost, x), x[rows].sum(axis=0), T.set_subtensor(x[both], y[both] * 2), chosen.max()]
    f = symc.function([x, y, v], outputs, device=device)
    assert not listed(f)
    rng = np.random.default_rng(0)
    for rows, columns in ((3, 5), (40, 33)):
        a, b, c = rng.normal(size=(rows, columns)), rng.normal(size=(rows, columns)), rng.normal(size=rows)
        a[0, 0], b[0, 0] = np.nan, np.inf  # not selected
        where = (a > 0) & (b < 1)
        terms = a[where] ** 2 - b[where]
        slope, written = np.zeros_like(a), a.copy()
        slope[where], written[where] = 2 * a[where] / len(terms), b[where] * 2
        want = [terms.mean(), slope, a[c > 0].sum(0), written, terms.max()]
        for found, expected in zip(f(a, b, c), want, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_nothing_selected():
    x = T.dvector("x")
    f = symc.function([x], [x[x > 0].sum(), x[x > 0].mean(), T.all(x[x > 0] > 5)], device="interp")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in ([], [-1.0, -2.0]):
            total, mean, every = f(values)
            assert total == 0 and np.isnan(mean) and every
    largest = symc.function([x], x[x > 0].max(), device="interp")
    with pytest.raises(ValueError, match="max"):
        largest([-1.0])
    assert largest([-1.0, 2.0]) == 2


def test_what_is_read_elsewhere_is_listed():
    x = T.dvector("x")
    chosen = x[x > 0]
    for outputs in ([chosen, chosen.sum()], [T.cumsum(chosen).sum()], [(chosen * T.arange(chosen.shape[0])).sum()]):
        f = symc.function([x], outputs, device="interp")
        assert listed(f)
        f([-1.0, 2.0, 3.0])


def test_a_number_that_is_repeated_along_another_axis_as_well():
    """Only the first axis may be that of the selected elements: the sum over another one has other terms."""
    x = T.dvector("x")
    n = x[x > 0].shape[0]
    made = [
        T.full((2, n), x.max()).prod(axis=0).sum(),
        T.full((n, 2), x.max()).prod(axis=0).sum(),
        (T.full((n, n), x.max()) * T.arange(1, 3).dimshuffle(0, "x", "x")).max(axis=1).sum(),
        T.full((2 * n,), x.max()).prod(),
    ]
    found = [symc.function([x], y)(np.array([-1.0, 2, 3, -4, 5])) for y in made]
    np.testing.assert_allclose(found, [3 * 25, 2 * 125, 3 * 15, 5.0**6])
