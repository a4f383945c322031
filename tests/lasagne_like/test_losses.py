"""Losses against formulas in NumPy, CTC against the sum over all alignments."""

import itertools

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import objectives
from lasagne_like.nonlinearities import softmax


def probabilities(rng, *shape):
    p = rng.uniform(0.1, 1, shape)
    return p / p.sum(-1, keepdims=True)


def test_label_smoothing(rng, float64):
    one_hot = np.eye(4)[[2, 0, 3]]
    expected = 0.8 * one_hot + 0.05
    np.testing.assert_allclose(objectives.label_smoothing(T.constant([2, 0, 3]), 0.2, 4).eval(), expected)
    x = T.matrix()
    np.testing.assert_allclose(objectives.label_smoothing(x, 0.2).eval({x: one_hot}), expected)
    with pytest.raises(ValueError, match="need num_classes"):
        objectives.label_smoothing(T.ivector())


def test_focal_loss(rng, float64):
    p, labels = probabilities(rng, 5, 3), np.array([0, 2, 1, 1, 0])
    right = p[np.arange(5), labels]
    x, y, t = T.matrix(), T.lvector(), T.matrix()
    found = objectives.focal_loss(x, y, gamma=1.5).eval({x: p, y: labels})
    np.testing.assert_allclose(found, (1 - right) ** 1.5 * -np.log(right))
    binary = (p > 0.4).astype(float)
    q = np.where(binary == 1, p, 1 - p)
    found = objectives.focal_loss(x, t, alpha=0.25).eval({x: p, t: binary})
    np.testing.assert_allclose(found, np.where(binary == 1, 0.25, 0.75) * (1 - q) ** 2 * -np.log(q))
    np.testing.assert_allclose(objectives.focal_loss(x, y, gamma=0).eval({x: p, y: labels}), -np.log(right))
    with pytest.raises(ValueError, match="class labels have none"):
        objectives.focal_loss(x, y, alpha=0.3)


def test_dice_loss(rng, float64):
    p, t = rng.uniform(size=(3, 4, 5)), (rng.uniform(size=(3, 4, 5)) > 0.6).astype(float)
    p[2] = t[2] = 0
    expected = [1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1) for a, b in zip(p, t)]
    x, y = T.tensor3(), T.tensor3()
    found = objectives.dice_loss(x, y).eval({x: p, y: t})
    np.testing.assert_allclose(found, expected)
    assert found[2] == 0


def test_triplet_loss(rng, float64):
    a, p, n = rng.normal(size=(3, 6, 4))
    expected = np.maximum(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 0.5, 0)
    x, y, z = T.matrices(3)
    np.testing.assert_allclose(objectives.triplet_loss(x, y, z, 0.5).eval({x: a, y: p, z: n}), expected)
    assert (expected == 0).any() and (expected > 0).any()


def enumerated(p, labels, blank):
    """Minus the logarithm of the sum over all sequences that are the labels once repetitions and blanks are gone."""
    total = 0.0
    for path in itertools.product(range(p.shape[1]), repeat=len(p)):
        merged = [symbol for symbol, _ in itertools.groupby(path)]
        if [symbol for symbol in merged if symbol != blank] == list(labels):
            total += np.prod(p[np.arange(len(p)), path])
    with np.errstate(divide="ignore"):
        return -np.log(total)


@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_against_all_alignments(blank, rng, float64):
    p = probabilities(rng, 5, 6, 3)
    others = [k for k in range(3) if k != blank]
    labels = np.array([[0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0], [1, 0, 0]])
    labels = np.array(others)[labels]
    lengths, times = np.array([3, 3, 2, 1, 0]), np.array([6, 5, 6, 1, 4])
    x, y, s, t = T.tensor3(), T.lmatrix(), T.lvector(), T.lvector()
    loss = objectives.ctc_loss(x, y, s, t, blank)
    gradient = symc.grad(loss.sum(), x)
    f = symc.function([x, y, s, t], [loss, gradient])
    found, slope = f(p, labels, times, lengths)
    expected = [enumerated(p[k, : times[k]], labels[k, : lengths[k]], blank) for k in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    step = rng.normal(size=p.shape) * 1e-6
    rise = (f(p + step, labels, times, lengths)[0] - f(p - step, labels, times, lengths)[0]).sum() / 2
    np.testing.assert_allclose((slope * step).sum(), rise, rtol=1e-5)


def test_ctc_of_whole_sequences_and_of_what_does_not_fit(rng, float64):
    p, labels = probabilities(rng, 2, 4, 3), np.array([[1, 2], [1, 1]])
    x, y = T.tensor3(), T.lmatrix()
    loss = objectives.ctc_loss(x, y)
    f = symc.function([x, y], [loss, symc.grad(loss[0], x)])
    np.testing.assert_allclose(f(p, labels)[0], [enumerated(a, b, 0) for a, b in zip(p, labels)], rtol=1e-10)
    found, gradient = f(p[:, :2], labels)  # two equal labels need a blank between them: three times
    assert np.isfinite(found[0]) and found[1] == np.inf and np.isfinite(gradient).all()


def test_ctc_of_extreme_scores():
    """The logarithm of the softmax is stable: scores of hundreds, in float32."""
    x, y = T.tensor3(), T.lmatrix()
    loss = objectives.ctc_loss(softmax(x), y)
    scores = np.zeros((1, 3, 3), "float32")
    scores[0, :, 0] = 300
    value, slope = symc.function([x, y], [loss, symc.grad(loss.sum(), x)])(scores, [[1]])
    # One of the three times has the label: log(3) - 300.
    np.testing.assert_allclose(value, 300 - np.log(3), rtol=1e-6)
    np.testing.assert_allclose(slope[0, :, :2].sum(), 0, atol=1e-4)
    assert np.isfinite(slope).all() and abs(slope[0, :, 1].sum() + 1) < 1e-4
