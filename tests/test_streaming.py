"""Large results are stored past the caches, and hold the same values as if they were not."""

import re

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint

c = pytest.importorskip("symc_backends.c.streaming")


@pytest.fixture
def everything(monkeypatch):
    """Every result counts as large, and every row as long."""
    monkeypatch.setattr(c, "LEAST_BYTES", 8)
    monkeypatch.setattr(c, "LEAST_MOVED", 8)
    monkeypatch.setattr(c, "LEAST_ROW_BYTES", 8)


def text_of(f):
    return debugprint(f, stage="c", file="str")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_results_of_any_length_and_alignment(everything, dtype):
    """Heads in front of the first line, whole lines, and remainders; results of one loop differ in alignment."""
    x = T.tensor(dtype, shape=(None, None), name="x")
    outputs = [x[1:] * 2, x * 3, x.T + 1, x[:, 1:] - x[:, :-1], T.concatenate([x, x + x], axis=1)]
    f = symc.function([x], outputs)
    assert "vput_" in text_of(f) and "vstream_fence" in text_of(f)
    for rows, columns in [(1, 1), (3, 5), (2, 16), (7, 33), (5, 64), (9, 131), (130, 300)]:
        a = np.arange(rows * columns).reshape(rows, columns).astype(dtype)
        wanted = [a[1:] * 2, a * 3, a.T + 1, a[:, 1:] - a[:, :-1], np.concatenate([a, a + a], 1)]
        for found, right in zip(f(a), wanted):
            np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("dtype, size", [("float32", 4), ("float64", 8)])
def test_short_rows_that_end_inside_of_a_line_are_stored_as_usual(monkeypatch, dtype, size):
    """A line that two kinds of stores share is moved several times: rows of 28 floats took 20 times as long."""
    monkeypatch.setattr(c, "LEAST_BYTES", 8)
    monkeypatch.setattr(c, "LEAST_MOVED", 8)
    f = symc.function([x := T.tensor(dtype, shape=(None, None, None))], T.repeat(x, 3, axis=1))
    text = text_of(f)
    (condition,) = set(re.findall(r"const int far_b1 = past_b1 && (.+?); \(void\)", text)) or {""}
    condition = re.sub(r"\(int64_t\)sizeof\(\w+\)", str(size), condition.replace("||", "or"))
    large = {end: bool(eval(condition, {"end": end})) for end in (1, 7, 28, 64, 1001, 1024, 40_000, 40_001)}
    assert large == {1: False, 7: False, 28: size == 8, 64: True, 1001: False, 1024: True, 40_000: True, 40_001: True}
    for shape in [(2, 3, 5), (3, 2, 28), (1, 2, 1001), (2, 1, 64)]:
        a = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        np.testing.assert_array_equal(f(a), np.repeat(a, 3, 1))


@pytest.mark.parametrize("make, twice", [(abs, True), (T.sqrt, True), (T.exp, False), (lambda x: x // 3, False)])
def test_cheap_loops_do_not_test_each_vector(make, twice):
    """If no result is large, a cheap loop stores as usual. It is written twice, so others are not."""
    x = T.ivector("x") if make(T.iscalar()).dtype == "int32" else T.vector("x")
    f = symc.function([x], make(x))
    assert ("if (!(far_b1)) {" in text_of(f)) == twice
    a = np.arange(5000).astype(x.dtype)
    np.testing.assert_allclose(f(a), symc.function([x], make(x), mode="fast_compile")(a), rtol=1e-6)


def test_a_sum_beside_a_result(everything):
    x = T.matrix("x")
    y = T.exp(x) + 1
    f = symc.function([x], [y, y.sum(1), (x - x.mean(1, keepdims=True)) * 2])
    a = np.random.default_rng(0).standard_normal((5, 1003), dtype="float32")
    y, total, centred = f(a)
    np.testing.assert_allclose(y, np.exp(a) + 1, rtol=1e-6)
    np.testing.assert_allclose(total, (np.exp(a.astype("float64")) + 1).sum(1), rtol=1e-6)
    np.testing.assert_allclose(centred, (a - a.mean(1, keepdims=True, dtype="float64")) * 2, rtol=1e-5, atol=1e-6)


def test_sums_across_rows_beside_a_result(everything):
    """Elements in front of the first line are added once."""
    x, w = T.matrices("xw")
    f = symc.function([x, w], [T.exp(x) * w, (T.exp(x) * w).sum(0), x.max(1)])
    a, b = np.random.default_rng(1).standard_normal((2, 2051, 203)).astype("float32")
    wanted = np.exp(a.astype("float64")) * b
    product, total, most = f(a, b)
    np.testing.assert_allclose(product, wanted, rtol=1e-5)
    np.testing.assert_allclose(total, wanted.sum(0), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(most, a.max(1))


def test_an_update_in_place_beside_a_result(everything):
    """Elements in front of the first line are updated once, although the state is read and written in the same loop."""
    x = T.vector("x")
    w = symc.shared(np.ones(1003, "float32"))
    new = w * 0.5 + x
    f = symc.function([x], [new[3:] * 2 + 1, new * 3], updates={w: new})
    a, state = np.random.default_rng(2).standard_normal(1003, dtype="float32"), np.ones(1003, "float32")
    for _ in range(3):
        state = state * np.float32(0.5) + a
        part, whole = f(a)
        np.testing.assert_allclose(part, state[3:] * 2 + 1, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(whole, state * 3, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(w.get_value(), state, rtol=1e-6)


def test_what_is_read_again_is_stored_as_usual(everything):
    """Neither a temporary nor a shared variable that is updated in place passes the caches."""
    x = T.matrix("x")
    w = symc.shared(np.ones((50, 50), "float32"))
    f = symc.function([x], T.dot(x * 2, x).sum(), updates={w: w * 0.5})
    f(np.ones((50, 50), "float32"))
    f(np.ones((50, 50), "float32"))
    assert (w.get_value() == 0.25).all()
    assert text_of(f).count("vput_") == 1  # the update, whose code is told at run time that it is in place
