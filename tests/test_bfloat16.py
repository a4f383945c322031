"""bfloat16: stored as such, computed in float32. Cases of all records against what they expect in float32, rounded."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType

import numpy as np
import pytest
from test_float16 import NAME_FLOAT32, half_cases
from test_ops import as_list, expected, fill

import symc
import symc.tensor as T
from symc.errors import DTypeError

ULP = 2.0**-7
CASES = list(half_cases())
TOGETHER = 12
FREE = NAME_FLOAT32 | {"round_to_bfloat16", "bfloat16", "complex", "eig", "solve_triangular"}
"""Records whose cases ask for float32, or whose results are computed from complex numbers."""
NO_BFLOAT16 = {"python_op", "python_run", "python_take", "c_op"}
"""Records of ops of users, which declare the dtypes of their arrays."""
DEVICES = pytest.mark.parametrize("device", ["interp", "c"])


def rounded(x) -> np.ndarray:
    """The nearest numbers of 8 significant bits, with ties to even; those beyond the largest are infinite."""
    mantissa, exponent = np.frexp(np.asarray(x, "float64"))
    smallest = np.maximum(exponent, -125)  # below, there are fewer bits
    with np.errstate(over="ignore"):
        found = np.ldexp(np.rint(np.ldexp(mantissa, 8 + exponent - smallest)), smallest - 8)
        return np.where(np.abs(found) >= 2.0**128, np.copysign(np.inf, found), found).astype("float32")


def tensor(name: str, ndim: int = 1):
    return T.tensor("bfloat16", shape=(None,) * ndim, name=name)


@pytest.mark.parametrize("start", range(0, len(CASES), TOGETHER), ids=lambda k: CASES[k][0] + " and more")
def test_cases_of_records(start: int) -> None:
    inputs, arrays, outputs, wants = [], [], [], []
    for name, case in CASES[start : start + TOGETHER]:
        record = name.rpartition("-")[0]
        if record in NO_BFLOAT16:
            continue
        values = [rounded(fill(a, "float32", np.random.default_rng(7))) if a.dtype == "float" else
                  fill(a, "float32", np.random.default_rng(7)) for a in case.args]  # fmt: skip
        made = [
            T.tensor("bfloat16" if a.dtype == "float" else v.dtype.name, shape=[1 if n == 1 else None for n in v.shape])
            for a, v in zip(case.args, values)
        ]
        out = as_list(case.build(*made))
        inputs, arrays, outputs = inputs + made, arrays + values, outputs + out
        wants += [(name, record in FREE, o, w) for o, w in zip(out, expected(case, values), strict=True)]
    got = symc.function(inputs, outputs, device="interp", on_unused_input="ignore")(*arrays)
    for g, (name, free, o, w) in zip(got, wants, strict=True):
        assert g.shape == w.shape, name
        assert free or o.dtype == "bfloat16" or w.dtype.kind != "f", name
        if w.dtype.kind == "f":
            with np.errstate(all="ignore"):
                np.testing.assert_allclose(g, rounded(w), rtol=2 * ULP, atol=3e-2, err_msg=name)
        else:
            np.testing.assert_array_equal(g, w, err_msg=name)


@DEVICES
def test_where_values_are_rounded(device: str) -> None:
    """Results are; values between two ops are not, unless they are cast."""
    x, d = tensor("x"), T.dvector("d")
    a = np.random.default_rng(0).normal(size=37).astype("float32") * 100
    q = rounded(a)
    built = [
        (x * 1.5, rounded(q * np.float32(1.5))),
        (x * x / x, q),
        (T.cast(x * 1.5, "float32"), rounded(q * np.float32(1.5))),
        (T.cast(T.cast(x, "float32") * np.float32(1.001), "bfloat16"), rounded(q * np.float32(1.001))),
        (T.cast(x, "float64"), q.astype("float64")),
        (T.cast(x, "int32"), q.astype("int32")),
        (x[::-1], q[::-1]),
        (T.concatenate([x, x]), np.r_[q, q]),
        (T.zeros_like(x), 0 * np.abs(q)),
        (T.ones(3, "bfloat16"), np.ones(3, "float32")),
        (T.set_subtensor(x[1:3], [1.001, 2]), np.r_[q[:1], [1, 2], q[3:]].astype("float32")),
        (symc.grad((x * x).sum(), x), rounded(2 * q)),
        (T.sum(x), rounded(q.sum(dtype="float64"))),
        (x.astype("float16"), q.astype("float16")),
        (
            T.cast(d, "bfloat16"),
            rounded([1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8, 1 + 3 * 2.0**-8 - 2.0**-45, 1 + 3 * 2.0**-8]),
        ),
    ]
    points = np.array([1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8, 1 + 3 * 2.0**-8 - 2.0**-45, 1 + 3 * 2.0**-8])
    f = symc.function([x, d], [v for v, _ in built], device=device)
    for k, (g, w) in enumerate(zip(f(a, points), [w for _, w in built], strict=True)):
        assert g.dtype == w.dtype, k
        np.testing.assert_array_equal(g, w, err_msg=str(k))


@DEVICES
def test_special_values(device: str) -> None:
    x = T.fvector("x")
    a = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3.4e38, -3.4e38, 3.389e38, 1e-40, -1e-40, 1e-45], "float32")
    every = np.arange(65536, dtype="uint32").astype("uint16")
    got = symc.function([x], T.cast(x, "bfloat16"), device=device)(a)
    np.testing.assert_array_equal(got, rounded(a))
    np.testing.assert_array_equal(np.signbit(got[1:]), np.signbit(a[1:]))
    numbers = (every.astype("uint32") << 16).view("float32")
    np.testing.assert_array_equal(symc.function([x], T.cast(x, "bfloat16"), device=device)(numbers), numbers)
    assert rounded(1.00390625) == 1 and rounded(1.01171875) == np.float32(1.015625)


def test_dtypes_meet() -> None:
    x, half, single, double = tensor("x"), T.tensor("float16", shape=(None,)), T.fvector(), T.dvector()
    assert (x * 2).dtype == (x + 1.5).dtype == (x * T.ivector()).dtype == T.exp(x).dtype == x.mean().dtype == "bfloat16"
    assert (x + half).dtype == (x + single).dtype == "float32" and (x + double).dtype == "float64"
    assert (x > 0).dtype == "bool" and T.argmax(x).dtype == "int64" and (x * 1j).dtype == "complex64"
    assert symc.grad(T.sqr(x).sum(), x).dtype == T.var(x).dtype == "bfloat16"
    assert T.constant(1.5, dtype="bfloat16").dtype == T.shape_padleft(x).dtype == "bfloat16"
    assert symc.scalar.upcast("bfloat16", "float16") == "float32"


@DEVICES
def test_shared_variables(device: str) -> None:
    a = np.array([1.001, -300.7, 1e-3], "float32")
    s, x = symc.shared(a, "s", dtype="bfloat16"), tensor("x")
    assert s.dtype == "bfloat16" and s.storage.array.dtype == np.uint16 and s.storage.array.nbytes == 6
    np.testing.assert_array_equal(s.get_value(), rounded(a))
    f = symc.function([x], s * x, updates={s: s + x}, device=device)
    for _ in range(2):
        before = s.get_value()
        np.testing.assert_array_equal(f(a), rounded(before * rounded(a)))
        np.testing.assert_array_equal(s.get_value(), rounded(before + rounded(a)))
    assert f.get_shared() == [s]
    s.set_value([1, 2.001])
    np.testing.assert_array_equal(f([1, 1]), [1, 2])
    g = pickle.loads(pickle.dumps(f))
    np.testing.assert_array_equal(g([1, 1]), f([1, 1]))
    other = symc.shared([5.0, 6.0], dtype="bfloat16")
    np.testing.assert_array_equal(f.copy(swap={s: other})([1, 1]), [5, 6])
    s.zero()
    np.testing.assert_array_equal(s.get_value(), [0, 0])
    y = x * 2
    np.testing.assert_array_equal(symc.function([x], y + 1, givens={y: x})([1, 2]), [2, 3])
    np.testing.assert_array_equal((x + 1).eval({"x": [1, 2]}), [2, 3])
    total = T.tensor("bfloat16", shape=())
    count = symc.function([symc.In(total, value=1, update=total * 2)], total + 0, device=device)
    assert [float(count()) for _ in range(3)] == [1, 2, 4]


@DEVICES
def test_loops_and_branches(device: str) -> None:
    x, i = tensor("x"), T.iscalar("i")
    states, _ = symc.scan(lambda v, h: h * 0.5 + v, x, T.constant(0.0, dtype="bfloat16"))
    op = symc.OpFromGraph([x], [x * 2])
    f = symc.function([x, i], [states, symc.ifelse(i, x, x * 2), op(x), symc.grad(states[-1], x)], device=device)
    a = rounded(np.random.default_rng(1).normal(size=6))
    want, h = [], np.float32(0)
    for v in a:
        h = rounded(h * np.float32(0.5) + v)[()]
        want.append(h)
    found, chosen, doubled, slope = f(a, 0)
    assert states.dtype == "bfloat16"
    np.testing.assert_array_equal(found, want)
    np.testing.assert_array_equal(chosen, 2 * a)
    np.testing.assert_array_equal(doubled, 2 * a)
    np.testing.assert_array_equal(slope, 0.5 ** np.arange(6)[::-1])
    with pytest.raises(DTypeError, match=r"(?s)do not receive bfloat16.*float32"):
        symc.as_op([T.TensorType("bfloat16", (None,))], [T.fvector])(lambda v: v)(x)


def test_arrays_of_ml_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package: its dtype is that of the bits, since NumPy knows no other of 16 bits by that name."""
    x = tensor("x")
    module = ModuleType("ml_dtypes")
    module.bfloat16 = np.dtype("int16")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ml_dtypes", module)
    result = symc.function([x], x * 2)([1, 1.5])
    assert result.dtype == "int16" and result.tolist() == [0x4000, 0x4040]
    assert symc.shared(1.0, dtype="bfloat16").get_value().dtype == "int16"
