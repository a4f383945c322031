"""The compositions of ``symc.tensor.extra_ops`` against NumPy, with and without known shapes."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

A = np.random.default_rng(0).standard_normal((4, 5)).astype("float32")
B = np.random.default_rng(1).standard_normal((3, 4, 4)).astype("float32")
I = np.array([2, 0, 5, 2, 2], "int32")


def filled(x, value, offset=0):
    """``x`` with ``value`` on a diagonal."""
    x = x.copy()
    x[np.eye(*x.shape, k=offset, dtype=bool)] = value
    return x


CASES = {
    "diagonal": (A, T.diagonal, np.diagonal),
    "diagonal above": (A, lambda x: T.diagonal(x, 2), lambda x: np.diagonal(x, 2)),
    "diagonal below": (A, lambda x: x.diagonal(offset=-3), lambda x: np.diagonal(x, -3)),
    "diagonal outside": (A, lambda x: T.diagonal(x, 7), lambda x: np.diagonal(x, 7)),
    "diagonal of two axes": (B, lambda x: T.diagonal(x, 1, 2, 0), lambda x: np.diagonal(x, 1, 2, 0)),
    "diag of a matrix": (A, T.diag, np.diag),
    "diag of a vector": (A[0], T.diag, np.diag),
    "diag of a vector, below": (A[0], lambda x: T.diag(x, -2), lambda x: np.diag(x, -2)),
    "trace": (A, T.trace, np.trace),
    "trace of others": (B, lambda x: T.trace(x, axis1=1, axis2=2), lambda x: np.trace(x, axis1=1, axis2=2)),
    "fill_diagonal": (A, lambda x: T.fill_diagonal(x, 7), lambda x: filled(x, 7)),
    "fill_diagonal above": (A, lambda x: T.fill_diagonal_offset(x, 7, 1), lambda x: filled(x, 7, 1)),
    "diff": (A, T.diff, np.diff),
    "diff twice": (A, lambda x: T.extra_ops.diff(x, 2, 0), lambda x: np.diff(x, 2, 0)),
    "roll": (A, lambda x: T.roll(x, 3), lambda x: np.roll(x, 3)),
    "roll back": (A, lambda x: T.roll(x, -7, axis=1), lambda x: np.roll(x, -7, axis=1)),
    "roll nothing": (A[:0], lambda x: T.roll(x, 1, axis=0), lambda x: np.roll(x, 1, axis=0)),
    "linspace": (A, lambda x: T.linspace(-1, x[0, 0], 7), lambda x: np.linspace(-1, x[0, 0], 7)),
    "linspace without end": (A, lambda x: T.linspace(0, 1, 4, False) + x[0, 0], lambda x: np.arange(4) / 4 + x[0, 0]),
    "linspace of a symbolic number": (
        A,
        lambda x: T.linspace(x[0, 0], 2, x.shape[0] * 2) * T.linspace(0, 1, x.shape[0] * 2, False),
        lambda x: np.linspace(x[0, 0], 2, len(x) * 2) * np.linspace(0, 1, len(x) * 2, False),
    ),
    "linspace of a single number": (
        A, lambda x: T.linspace(x[0, 0], 2, x.shape[0] // x.shape[0]), lambda x: np.linspace(x[0, 0], 2, 1)
    ),
    "choose": (A, lambda x: T.choose(x > 0, [x, 2 * x]), lambda x: np.where(x > 0, 2 * x, x)),
    "batched_tensordot": (
        B,
        lambda x: T.batched_tensordot(x, x, [[1], [2]]),
        lambda x: np.einsum("bij,bki->bjk", x, x),
    ),
    "batched_tensordot over all": (
        B,
        lambda x: T.batched_tensordot(x, x),
        lambda x: np.einsum("bij,bij->b", x, x),
    ),
    "cov": (A, T.cov, np.cov),
    "cov of columns": (A, lambda x: T.cov(x, rowvar=False, bias=True), lambda x: np.cov(x, rowvar=False, bias=True)),
    "iround": (A, lambda x: T.iround(3 * x), lambda x: np.rint(3 * x).astype("int64")),
    "divmod": (A, lambda x: T.divmod(x, 0.5)[1], lambda x: np.mod(x, 0.5)),
    "isclose": (A, lambda x: T.isclose(x, T.round(x), 0.2), lambda x: np.isclose(x, np.round(x), 0.2)),
    "allclose": (A, lambda x: T.allclose(x, x + 1e-9), lambda x: np.allclose(x, x)),
    "bincount": (I, T.bincount, np.bincount),
    "bincount, longer": (I, lambda x: T.bincount(x, minlength=9), lambda x: np.bincount(x, minlength=9)),
    "bincount of weights": (I, lambda x: T.bincount(x, x * 0.5), lambda x: np.bincount(x, x * 0.5)),
    "bincount of nothing": (I[:0], T.bincount, np.bincount),
    "ceil_intdiv": (I, lambda x: T.ceil_intdiv(x - 3, 2), lambda x: np.ceil((x - 3) / 2).astype("int32")),
    "unravel_index": (
        I,
        lambda x: T.stack(T.unravel_index(x, (3, 4))),
        lambda x: np.stack(np.unravel_index(x, (3, 4))),
    ),
    "unravel_index F": (
        I,
        lambda x: T.stack(T.unravel_index(x, (3, 4), "F")),
        lambda x: np.stack(np.unravel_index(x, (3, 4), "F")),
    ),
    "ravel_multi_index": (
        I,
        lambda x: T.ravel_multi_index((x, x), (6, 7)),
        lambda x: np.ravel_multi_index((x, x), (6, 7)),
    ),
    "ravel_multi_index wrap": (
        I,
        lambda x: T.ravel_multi_index((x, x), (3, 4), "wrap", "F"),
        lambda x: np.ravel_multi_index((x, x), (3, 4), "wrap", "F"),
    ),
    "mgrid": (A, lambda x: T.mgrid[0 : x.shape[0], 1:9:3][1], lambda x: np.mgrid[0:4, 1:9:3][1]),
    "ogrid": (A, lambda x: T.ogrid[0 : x.shape[0], :4][1], lambda x: np.ogrid[0:4, :4][1]),
}  # fmt: skip


@pytest.mark.parametrize("known", [False, True], ids=["symbolic", "known"])
@pytest.mark.parametrize("name", CASES)
def test_against_numpy(name, known):
    value, build, oracle = CASES[name]
    x = T.tensor(value.dtype.name, shape=value.shape if known else (None,) * value.ndim, name="x")
    want = oracle(value)
    have = symc.function([x], build(x), on_unused_input="ignore")(value)
    assert have.dtype.kind == np.asarray(want).dtype.kind
    np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["diagonal", "diag of a vector, below", "fill_diagonal above", "diff twice", "roll", "cov"]
)
def test_gradients(name):
    value, build, _ = CASES[name]
    T.verify_grad(lambda x: T.tanh(build(x)), [value.astype("float64")])


def test_isclose_of_what_is_not_finite():
    x, y = T.vectors("x", "y")
    a, b = np.array([np.inf, np.inf, np.nan, -np.inf, 1]), np.array([np.inf, -np.inf, np.nan, 1, np.inf])
    for equal_nan in (False, True):
        have = symc.function([x, y], T.isclose(x, y, equal_nan=equal_nan))(a, b)
        np.testing.assert_array_equal(have, np.isclose(a, b, equal_nan=equal_nan))


def test_what_is_known_now():
    assert T.get_scalar_constant_value(T.constant(3)) == 3
    three = T.constant(3)
    found = T.extract_constant(three)
    found += 1  # a copy
    assert T.get_scalar_constant_value(three) == 3
    assert T.get_scalar_constant_value(T.shape_padleft(T.constant(2.5))) == 2.5
    assert T.get_vector_length(T.matrix("x").shape) == 2
    with pytest.raises(T.NotScalarConstantError):
        T.get_scalar_constant_value(T.scalar("s"))
    with pytest.raises(ValueError, match="known length"):
        T.get_vector_length(T.vector("v"))


def test_what_they_refuse():
    x = T.ivector("x")
    count = symc.function([x], T.bincount(x))
    with pytest.raises(IndexError):
        count([1, -1])
    for wrong in (lambda: T.diagonal(x), lambda: T.diag(T.tensor3("t")), lambda: T.bincount(T.imatrix("m"))):
        with pytest.raises(ValueError, match="expected"):
            wrong()
    with pytest.raises(ValueError, match="axes other than the first"):
        T.batched_tensordot(T.tensor3("a"), T.tensor3("b"), [[0], [1]])


@pytest.mark.parametrize(
    "call",
    [
        np.exp,
        np.sqrt,
        lambda x: np.maximum(x, 1),
        lambda x: np.arange(4) * x,
        lambda x: A[:, 0] < x,
        lambda x: A.T @ x,
        lambda x: np.float64(2) / x,
        lambda x: np.power(x, 2) - np.int8(1),
    ],
)
def test_numpys_own_functions_on_variables(call):
    x = T.vector("x")
    value = np.array([1, 2, 3, 4], "float32")
    have = symc.function([x], call(x))(value)
    assert have.dtype in ("float32", "bool")
    np.testing.assert_allclose(have, call(value), rtol=1e-6)


def test_arrays_beside_variables_keep_their_ways():
    x = T.vector("x")
    total = np.zeros(2, "float32")
    total += x
    assert total.eval({x: [1, 2]}).tolist() == [1, 2]
    assert (np.ones(2) == x) is False and (np.ones(2) != x) is True


def test_a_type_makes_inputs():
    x = T.TensorType("int64", (True, False))("x")
    assert x.name == "x" and x.dtype == "int64" and x.static_shape == (1, None)
    assert T.TensorType(dtype="int64", broadcastable=(True, np.False_)) == x.type
    m = T.matrix("m")
    twin = m.type("twin")
    f = symc.function([m, twin], [m.sum(), twin.sum()])
    assert f(np.ones((1, 2)), np.ones((3, 4))) == [2, 12]  # it has shapes of its own


@pytest.mark.parametrize("mode", ["FAST_RUN", "FAST_COMPILE"])
def test_repeat_by_counts_known_at_call_time(mode, rng):
    """One count per element, of any integer dtype, with its gradient; empty results and wrong counts."""
    x, w, rows, columns = T.dmatrix(), T.dmatrix(), T.ivector(), T.tensor("uint8", shape=(None,))
    down = T.repeat(x, rows, axis=0)
    outs = [T.repeat(x, columns, axis=1), down, T.grad((down * w).sum(), x), T.repeat(x, T.cast(columns[0], "uint64"))]
    f = symc.function([x, w, rows, columns], outs, mode=mode)
    a, across = rng.normal(size=(3, 4)), np.array([1, 0, 200, 2], "uint8")
    for counts in ([2, 0, 3], [0, 0, 0], [0, 0, 1], [5, 0, 0]):
        weights = rng.normal(size=(sum(counts), 4))
        slope = np.zeros((3, 4))
        np.add.at(slope, np.repeat(np.arange(3), counts), weights)
        found = f(a, weights, counts, across)
        for value, wanted in zip(found, (a.repeat(across, 1), a.repeat(counts, 0), slope, a.ravel())):
            assert value.shape == wanted.shape
            np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for wrong, error in (([1, -1, 1], IndexError), ([1, 1], symc.errors.ShapeError), ([1, 1, 1, 0], Exception)):
        with pytest.raises(error, match="repeat"):
            f(a, np.zeros((1, 4)), wrong, across)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint64"])
def test_lengths_of_any_integer_dtype(dtype):
    """Sums and products of lengths neither overflow in a narrow dtype nor become floats."""
    v, s, t = T.dvector(), T.scalar(dtype=dtype), T.scalar(dtype=dtype)
    n = T.cast(s, "int64")
    made = {
        "split": (T.split(v[: 2 * n], T.stack([s, s]), 2)[1], lambda a, k: a[k : 2 * k]),
        "reshape": (v[: 4 * n].reshape((s, t)), lambda a, k: a[: 4 * k].reshape(k, 4)),
        "tile": (T.tile(v[:3], (t, s)), lambda a, k: np.tile(a[:3], (4, k))),
        "repeat": (T.repeat(v, t), lambda a, k: np.repeat(a, 4)),
        "roll": (T.roll(v, s), lambda a, k: np.roll(a, k)),
        "bincount": (T.bincount(T.stack([t, t]), minlength=s), lambda a, k: np.bincount([4, 4], minlength=k)),
        "alloc": (T.alloc(v[0], s, t).flatten(), lambda a, k: np.full(4 * k, a[0])),
        "linspace": (T.linspace(0, 1, s, dtype="float64"), lambda a, k: np.linspace(0, 1, k)),
        "linspace down": (T.linspace(s, t, 5), lambda a, k: np.linspace(k, 4, 5)),
    }
    a = np.arange(500.0) + 1
    found = symc.function([v, s, t], [out for out, _ in made.values()])(a, 120, 4)
    for (name, (_, expect)), value in zip(made.items(), found):
        wanted = expect(a, 120)
        assert value.shape == wanted.shape, name
        np.testing.assert_allclose(value, wanted, rtol=1e-6, err_msg=name)
