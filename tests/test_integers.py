"""Integers of all widths against NumPy: overflow, division by zero, signs of remainders, sums, casts, comparisons."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph.dtypes import ALL, INTEGERS

WIDTHS = ("bool", *INTEGERS)
UNARY = {
    "neg": np.negative,
    "abs_": np.abs,
    "sgn": np.sign,
    "sqr": np.square,
    "floor": np.positive,
    "round": np.positive,
}
BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "floor_div": np.floor_divide, "mod": np.mod,
    "maximum": np.maximum, "minimum": np.minimum, "and_": np.bitwise_and, "or_": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip
COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "neq": np.not_equal,
}  # fmt: skip
REDUCTIONS = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "argmax": np.argmax, "argmin": np.argmin,
    "any": np.any, "all": np.all, "cumsum": np.cumsum, "cumprod": np.cumprod, "sort": np.sort,
    "argsort": lambda x: np.argsort(x, kind="stable"),
}  # fmt: skip
NUMBERS = {"sub", "floor_div", "mod", *UNARY}
"""Functions that compute with bools as with int8."""


def extremes(dtype: str) -> np.ndarray:
    if dtype == "bool":
        return np.array([False, True])
    info = np.iinfo(dtype)
    found = [info.min, info.max, info.max - 1, info.min + 1, info.max // 2, 0, 1, 2, 3, 7, 100]
    return np.array(list(dict.fromkeys(found + [-1, -2, -7] if info.min < 0 else found)), dtype)


def pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(a, b)
    return x.ravel(), y.ravel()


def check(got, want, names) -> None:
    for g, w, name in zip(got, want, names, strict=True):
        assert g.dtype == np.asarray(w).dtype, name
        np.testing.assert_array_equal(g, w, err_msg=str(name))


@pytest.mark.parametrize("device", ["interp", "c"])
@pytest.mark.parametrize("dtype", WIDTHS)
@np.errstate(all="ignore")
def test_functions(dtype: str, device: str) -> None:
    a, b = pairs(extremes(dtype), extremes(dtype))
    x, y, v = (T.tensor(dtype, shape=(None,), name=name) for name in "xyv")
    narrow = [m.astype("int8") if dtype == "bool" else m for m in (a, b)]
    built = {f"{name}": (getattr(T, name)(x), f(narrow[0])) for name, f in UNARY.items()}
    for name, f in {**BINARY, **COMPARISONS}.items():
        built[name] = getattr(T, name)(x, y), f(*(narrow if name in NUMBERS else (a, b)))
    for to in ALL:
        if to != "float16":
            built[f"cast to {to}"] = T.cast(x, to), a.astype(to)
    built["invert"] = T.invert(x), np.invert(a)
    built["clip"] = T.clip(x, y, y), np.minimum(np.maximum(a, b), b)
    built["switch"] = T.switch(x > 0, x, y), np.where(a > 0, a, b)
    built["dot"] = T.dot(x, y), np.dot(a, b)
    if dtype != "bool":
        built |= {f"power {n}": (x**n, a ** np.array(n, dtype)) for n in (0, 2, 3)}
    short = extremes(dtype)
    built |= {name: (getattr(T, name)(v), f(short)) for name, f in REDUCTIONS.items()}
    if dtype != "bool":
        built["sum in its own dtype"] = T.sum(v, dtype=dtype), short.sum(dtype=dtype)
    f = symc.function([x, y, v], [made for made, _ in built.values()], device=device)
    check(f(a, b, short), [w for _, w in built.values()], built)


@pytest.mark.parametrize("left", WIDTHS)
@np.errstate(all="ignore")
def test_operands_of_two_widths(left: str) -> None:
    inputs, arrays, outputs, want, names = [], [], [], [], []
    for right in WIDTHS:
        a, b = pairs(extremes(left), extremes(right))
        x, y = T.tensor(left, shape=(None,)), T.tensor(right, shape=(None,))
        inputs, arrays = [*inputs, x, y], [*arrays, a, b]
        exact = np.promote_types(left, right).kind != "f" and right != left
        for name, f in {**(BINARY if exact else {}), **COMPARISONS}.items():
            outputs.append(getattr(T, name)(x, y))
            want.append(f(a, b))
            names.append((right, name))
    check(symc.function(inputs, outputs, device="interp")(*arrays), want, names)


def test_uint64_beside_negative_numbers() -> None:
    x, big = T.tensor("uint64", shape=(None,)), extremes("uint64")
    f = symc.function([x], [x > -1, x < -1, T.eq(x, -1), T.neq(-1, x), x >= 2**63, T.lt(-5, x)], device="c")
    check(f(big), [big > -1, big < -1, big == -1, big != -1, big >= 2**63, -5 < big], range(6))


def test_upcast() -> None:
    for a in ALL:
        for b in ALL:
            found = symc.scalar.upcast(a, b)
            assert found == symc.scalar.upcast(b, a) == (T.tensor(a, shape=()) + T.tensor(b, shape=())).dtype
            assert "float64" in (a, b) or found != "float64"
    assert symc.scalar.upcast("int8") == "int8" and symc.scalar.upcast("uint8", "int8", "int16") == "int16"
    assert symc.scalar.upcast("complex64", "float64") == "complex128"
    assert symc.scalar.float32.dtype == "float32" and symc.scalar.int8("i").name == "i"


@pytest.mark.parametrize("device", ["interp", "c"])
@pytest.mark.parametrize("by", ["int8", "int64", "uint8", "uint32", "bool"])
@pytest.mark.parametrize("dtype", WIDTHS)
def test_shifts(dtype: str, by: str, device: str) -> None:
    """By fewer than no bits and by more than there are, too, as NumPy has it."""
    far = [-128, -3, -1] if by.startswith("int") else []
    bits = np.array([0, 1] if by == "bool" else [*far, 0, 1, 7, 8, 15, 16, 31, 32, 63, 64, 100], by)
    a, b = pairs(extremes(dtype), bits)
    x, n = T.vector(dtype=dtype), T.vector(dtype=by)
    if "uint64" in (dtype, by) and "int" in (dtype[:3], by[:3]):
        for shift in (operator.lshift, operator.rshift):
            with pytest.raises(TypeError, match="works on bools and integers, got float"):
                shift(x, n)
        return
    f = symc.function([x, n], [x << n, x >> n, x << 3, 1 >> n], device=device)
    check(f(a, b), [a << b, a >> b, a << 3, 1 >> b], ["left", "right", "three", "of one"])
    for nothing in f(a[:0], b[:0]):
        assert nothing.shape == (0,)


@pytest.mark.parametrize("isa", ["scalar", "sse", "avx2"])
def test_shifts_in_vectors_of_any_width(isa: str) -> None:
    x, n = T.lvector(), T.lvector()
    with symc.config.change(isa=isa):
        f = symc.function([x, n], [x << n, x >> n], device="c")
    a, b = pairs(extremes("int64"), np.arange(-3, 70))
    check(f(a, b), [a << b, a >> b], ["left", "right"])
