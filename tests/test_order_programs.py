"""Programs that sort, count and select: k-means, ranks, medians, histograms."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T


def _lloyd(points: np.ndarray, centres: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """k-means by hand: an empty cluster keeps its centre."""
    for _ in range(steps):
        nearest = np.array([np.argmin([((p - c) ** 2).sum() for c in centres]) for p in points])
        centres = np.array([points[nearest == k].mean(0) if (nearest == k).any() else c for k, c in enumerate(centres)])
    return centres, nearest


@pytest.mark.parametrize("counting", ["bincount", "one-hot", "scatter"])
def test_k_means(counting: str) -> None:
    """Lloyd's algorithm with its centres in a shared variable; one centre is far away and stays empty."""
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.normal(m, 0.3, (40, 2)) for m in ((0, 0), (3, 0), (0, 3))])
    start = np.concatenate([points[[0, 1, 50]], [[90.0, 90.0]]])
    x, centres = T.dmatrix("x"), symc.shared(start.copy(), "centres")
    k = centres.shape[0]
    distances = T.sqr(x[:, None] - centres[None]).sum(2)
    nearest = T.argmin(distances, axis=1)
    if counting == "bincount":
        count = T.bincount(nearest, minlength=k)
        sums = T.stack([T.bincount(nearest, x[:, c], minlength=k) for c in range(2)], axis=1)
    elif counting == "one-hot":
        member = T.extra_ops.to_one_hot(nearest, k, "float64")
        count, sums = member.sum(0), T.dot(member.T, x)
    else:
        count = T.inc_subtensor(T.zeros((k,), "int64")[nearest], 1)
        sums = T.inc_subtensor(T.zeros((k, 2), "float64")[nearest], x)
    moved = T.where(T.gt(count, 0)[:, None], sums / T.maximum(count, 1)[:, None], centres)
    inertia = T.min(distances, axis=1).sum()
    step = symc.function([x], [nearest, inertia], updates={centres: moved})
    costs = [float(step(points)[1]) for _ in range(8)]
    wanted, labels = _lloyd(points, start, 8)
    np.testing.assert_allclose(centres.get_value(), wanted, rtol=1e-12)
    np.testing.assert_array_equal(step(points)[0], labels)
    assert all(b <= a + 1e-9 for a, b in zip(costs, costs[1:]))


def test_ranks_and_a_loss_on_them() -> None:
    """Ranks with ties by unique; the gradient of a sum weighted by ranks is the weights."""
    x = T.dvector("x")
    values, inverse, counts = T.unique(x, return_inverse=True, return_counts=True)
    below = T.cumsum(counts) - counts
    ranks = T.cast(below, "float64")[inverse] + (T.cast(counts, "float64")[inverse] + 1) / 2
    f = symc.function([x], [ranks, values, symc.grad((x * ranks).sum(), x)])
    given = np.array([3.0, 1.0, 3.0, 2.0, 1.0, 7.0])
    wanted = [(given < g).sum() + ((given == g).sum() + 1) / 2 for g in given]
    found, distinct, slope = f(given)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(distinct, [1, 2, 3, 7])
    np.testing.assert_array_equal(slope, wanted)


def test_a_histogram_and_a_quantile_on_both_back_ends() -> None:
    x, edges = T.dvector("x"), T.dvector("edges")
    counts = T.bincount(T.digitize(x, edges), minlength=edges.shape[0] + 1)
    ordered = T.sort(x)
    at = 0.3 * T.cast(x.shape[0] - 1, "float64")
    low = T.cast(T.floor(at), "int64")
    quantile = ordered[low] + (at - T.floor(at)) * (ordered[low + 1] - ordered[low])
    given, limits = np.random.default_rng(0).normal(size=101), np.array([-1.0, 0.0, 0.5])
    for device in ("c", "interp"):
        found, q = symc.function([x, edges], [counts, quantile], device=device)(given, limits)
        np.testing.assert_array_equal(found, np.histogram(given, [-np.inf, *limits, np.inf])[0])
        np.testing.assert_allclose(q, np.quantile(given, 0.3), rtol=1e-14)


def test_the_interpreter_sorts_to_the_same_bits() -> None:
    """The interpreter calls NumPy where the C back end calls its routines: every bit is the same."""
    x = T.fmatrix("x")
    outputs = [T.sort(x, 0), T.argsort(x), *T.topk_and_argtopk(x, 2), *T.unique(x, True, True, True)]
    given = np.array([[0.0, np.nan, -0.0, 2.0], [-0.0, 1.0, np.nan, 0.0], [2.0, -np.inf, np.inf, 0.0]], "float32")
    runs = [symc.function([x], outputs, device=device)(given) for device in ("c", "interp")]
    for a, b in zip(*runs):
        assert a.tobytes() == b.tobytes() and a.dtype == b.dtype
