"""Joined tensors: operands that are computed in their places, ops and slices that move before the join."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint


def _pieces(random: np.random.Generator, axis: int, known: bool) -> tuple[list[Any], list[np.ndarray]]:
    """A few tensors that differ in length along ``axis``, and values of them; one may be empty."""
    shape = [int(n) for n in random.integers(1, 5, 3)]
    arrays = []
    for _ in range(int(random.integers(2, 5))):
        shape[axis] = int(random.integers(0, 6))
        arrays.append(random.standard_normal(shape).astype("float32"))
    return [T.tensor("float32", shape=a.shape if known else (None,) * 3) for a in arrays], arrays


def _computed(lib: Any, kind: int, x: Any, y: Any) -> Any:
    if kind == 0:
        return x * 2 + 1
    if kind == 1:
        return lib.maximum(x, -x) * y.sum(2, keepdims=True)
    if kind == 2:
        return lib.tanh(x) / (1 + lib.exp(x).sum(2, keepdims=True))
    return x


def _then(lib: Any, kind: int, joined: Any, other: Any, low: int, high: int, axis: int) -> Any:
    """What is done with the joined tensor."""
    cut = (slice(None),) * axis + (slice(low, high),)
    if kind == 0:
        return lib.maximum(joined, 0)[cut] * 3
    if kind == 1:
        return (joined * other + lib.exp(other))[cut]
    if kind == 2:
        return (joined[cut] - 1).sum(axis)
    if kind == 3:
        return lib.concatenate([joined[cut] * 2, joined], axis)
    return lib.tanh(joined - joined[:, :, :1] * 0).transpose(2, 0, 1) if joined.shape[2] != 0 else joined


def check(seed: int, device: str) -> None:
    random = np.random.default_rng(seed)
    axis, known = int(random.integers(0, 3)), bool(random.random() < 0.5)
    variables, arrays = _pieces(random, axis, known)
    kinds = [int(k) for k in random.integers(0, 4, len(arrays))]
    kind = int(random.integers(0, 4))
    total = sum(a.shape[axis] for a in arrays)
    low, high = (int(n) for n in np.sort(random.integers(-total - 1, total + 2, 2)))
    shape = list(arrays[0].shape)
    shape[axis] = total
    other = random.standard_normal(shape).astype("float32")
    second = T.tensor("float32", shape=other.shape if known else (None,) * 3)

    def whole(lib: Any, pieces: list[Any], other: Any) -> Any:
        joined = lib.concatenate([_computed(lib, k, x, x) for k, x in zip(kinds, pieces)], axis)
        return _then(lib, kind, joined, other, low, high, axis)

    f = symc.function([*variables, second], whole(T, variables, second), device=device, on_unused_input="ignore")
    want = whole(np, arrays, other)
    for _ in range(2):
        np.testing.assert_allclose(f(*arrays, other), want, 2e-5, 2e-5, err_msg=f"seed {seed}")


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_random_joins(first: int) -> None:
    for seed in range(first, first + 40):
        check(seed, "interp")


@pytest.mark.parametrize("seed", range(200, 206))
def test_random_joins_compiled(seed: int) -> None:
    check(seed, "c")


def test_what_is_cut_away_is_not_computed() -> None:
    a, b, c = (T.tensor("float32", shape=(4, n)) for n in (3, 5, 2))
    f = symc.function([a, b, c], T.exp(T.concatenate([T.tanh(a), b, T.sin(c)], axis=1)[:, 2:8]), device="interp")
    text = debugprint(f, stage="loops", file="str")
    assert "tanh(" in text and "sin(" not in text and "for i < 3" not in text
    assert len(f.specialisation.program.steps) == 2


def test_operands_of_a_join_are_computed_in_their_places() -> None:
    x, y, w = T.matrices("x", "y", "w")
    soft = T.nnet.softmax(x)
    f = symc.function([x, y, w], T.dot(T.concatenate([soft, y * 2], axis=1), w), device="interp")
    assert len(f.specialisation.program.steps) == 3
    g = symc.function([x, w], T.concatenate([T.dot(x, w), x], axis=0), device="interp")
    assert len(g.specialisation.program.steps) == 2
    values = [
        np.random.default_rng(k).standard_normal(s).astype("float32") for k, s in enumerate([(3, 2), (3, 4), (6, 5)])
    ]
    e = np.exp(values[0])
    want = np.concatenate([e / e.sum(1, keepdims=True), values[1] * 2], 1) @ values[2]
    np.testing.assert_allclose(f(*values), want, 1e-5, 1e-5)
    square = values[2][:2, :2]
    np.testing.assert_allclose(g(values[0], square), np.concatenate([values[0] @ square, values[0]]), 1e-5, 1e-5)


def test_a_result_that_is_read_elsewhere_keeps_its_memory() -> None:
    x = T.matrix("x")
    y = T.exp(x)
    f = symc.function([x], [T.concatenate([y, x], axis=1), y.sum(0), T.dot(y, y.T)], device="interp")
    v = np.random.default_rng(0).standard_normal((3, 2)).astype("float32")
    e = np.exp(v)
    for have, want in zip(f(v), [np.concatenate([e, v], 1), e.sum(0), e @ e.T]):
        np.testing.assert_allclose(have, want, 1e-5)


def test_an_update_by_a_join_reads_old_values() -> None:
    """Neither half may be written before the other one is computed."""
    s = symc.shared(np.arange(6, dtype="float32"))
    f = symc.function([], s.sum(), updates={s: T.concatenate([s[3:] * 2, s[:3] + 1])})
    value = np.arange(6, dtype="float32")
    for _ in range(3):
        assert f() == value.sum()
        value = np.concatenate([value[3:] * 2, value[:3] + 1])
        np.testing.assert_array_equal(s.get_value(), value)


def test_what_is_repeated_is_cut_before() -> None:
    """A scale per channel of joined maps stays a vector, and no channel is split into parts."""
    x, y, scale = T.tensor("float32", shape=(None, 9, 40)), T.tensor("float32", shape=(None, 3, 40)), T.vector("scale")
    by_channel = T.specify_shape(scale, (12,)).dimshuffle("x", 0, "x")
    joined = (T.concatenate([x, y], axis=1) - by_channel) * (by_channel / T.sqrt(by_channel + 1))
    f = symc.function([x, y, scale], T.nnet.relu(joined), device="interp")
    text = io.StringIO()
    debugprint(f, stage="loops", file=text)
    assert "expand" not in text.getvalue() and "(combine)" not in text.getvalue()
    a, b, c = (np.random.default_rng(5).random(shape, "float32") for shape in ((2, 9, 40), (2, 3, 40), (12,)))
    c = c[:, None]
    expected = np.maximum((np.concatenate([a, b], axis=1) - c) * (c / np.sqrt(c + 1)), 0)
    np.testing.assert_allclose(f(a, b, c[:, 0]), expected, rtol=1e-5, atol=1e-6)


def test_stacked_numbers_adapt_to_the_others():
    f, n = T.fscalar("f"), T.bscalar("n")
    for floatX in ("float32", "float64"):
        with symc.config.change(floatX=floatX):
            assert T.stack([0.5, f]).dtype == T.stack([f, 1]).dtype == (f + 0.5).dtype == "float32"
            assert T.stack([1, n]).dtype == "int8" and T.stack([300, n]).dtype == "int16"
            assert T.stack([1, 0.5]).dtype == floatX and T.stack([1, 2]).dtype == "int64"
    assert np.array_equal(symc.function([n], T.stack([300, n], axis=0))(-7), [300, -7])


def test_only_an_operand_without_elements_is_left_to_copy() -> None:
    """Its rows have no elements: the loop over them would be empty."""
    x, rng = T.dmatrix("x"), np.random.default_rng(8)
    weights, a = rng.standard_normal((3, 3)), rng.standard_normal((4, 3))
    slope = symc.function([x], symc.grad((abs(T.nlinalg.qr(x)[1]) * weights).sum(), x))(a)
    for at in np.ndindex(4, 3):
        step = np.zeros((4, 3))
        step[at] = 1e-6
        after, before = (np.sum(np.abs(np.linalg.qr(a + h)[1]) * weights) for h in (step, -step))
        np.testing.assert_allclose(slope[at], (after - before) / 2e-6, rtol=1e-6, atol=1e-6)
