"""Loads at computed positions: positions of 32 bits, loads in bursts, memory that is too large for them."""

import re

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.loops.expr import var
from symc.loops.ir import For, Load, Store
from symc.printing import debugprint

pytest.importorskip("cffi")
from symc_backends.c import bursts, kernel_text, narrow

LENGTHS = (0, 1, 7, 16, 255, 256, 257, 1000)
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
VALUES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool")


@pytest.mark.parametrize("declared", [False, True])
def test_indices_of_every_dtype(isa, declared):
    rng = np.random.default_rng(0)
    with symc.config.change(isa=isa):
        for dtype in INTEGERS:
            if declared:
                x, i = T.tensor("float32", shape=(60, 3)), T.tensor(dtype, shape=(257,))
            else:
                x, i = T.fmatrix(), T.tensor(dtype, shape=(None,))
            f = symc.function([x, i], [x[i, 1] + 1, x[:, 2][i] * x[i, 0]])
            for n in LENGTHS if not declared else (257,):
                a = rng.normal(size=(60, 3)).astype("float32")
                at = rng.integers(0 if dtype.startswith("u") else -60, 60, n).astype(dtype)
                found = f(a, at)
                k = at.astype("int64")
                np.testing.assert_array_equal(found[0], a[k, 1] + np.float32(1))
                np.testing.assert_array_equal(found[1], a[:, 2][k] * a[k, 0])


def test_values_of_every_dtype(isa):
    rng = np.random.default_rng(1)
    with symc.config.change(isa=isa):
        for dtype in VALUES:
            x, i = T.tensor(dtype, shape=(None,)), T.ivector()
            f = symc.function([x, i], [x[i], x[x[i].astype("int32") % 3]])
            for n in LENGTHS:
                a, at = rng.integers(0, 2, 40).astype(dtype), rng.integers(-40, 40, n).astype("int32")
                for got, want in zip(f(a, at), (a[at], a[a[at].astype("int32") % 3]), strict=True):
                    np.testing.assert_array_equal(got, want)


def test_numbers_beyond_32_bits(isa):
    """What is limited to the axis by the program itself may be any number before."""
    far = np.array(
        [0, 5, -1, 2**29, 2**30, -(2**30), 2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**32 + 3, 2**62, -(2**63)]
    )
    with symc.config.change(isa=isa):
        x, i, n = T.fvector(), T.lvector(), T.lscalar()
        low = T.clip(i, 0, x.shape[0] - 1)
        outputs = [x[low], x[T.clip(i + 3, 0, x.shape[0] - 1)], x[T.switch(i > 7, 1, 0)], x[i % 11]]
        outputs += [x[T.minimum(T.maximum(i, n), 10)], x[T.clip(i * 2 - n, 0, 10)], low * 2.5]
        f = symc.function([x, i, n], outputs)
        a, at = np.arange(11, dtype="float32"), np.tile(far, 30)
        for k in (0, 4):
            want = [
                a[np.clip(at, 0, 10)],
                a[np.clip(at + 3, 0, 10)],
                a[np.where(at > 7, 1, 0)],
                a[at % 11],
                a[np.minimum(np.maximum(at, k), 10)],
                a[np.clip(at * 2 - k, 0, 10)],
                (np.clip(at, 0, 10) * np.float32(2.5)).astype("float32"),
            ]
            for got, expected in zip(f(a, at, k), want, strict=True):
                np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_positions_from_floats(isa, dtype):
    values = [0, 0.99, 1, -0.5, -1, 2.0**30, 2.0**31, -(2.0**31), 2.0**40, -(2.0**40), 2.0**62, -(2.0**63)]
    values += [2.0**63, 1e30, -1e30, np.inf, -np.inf, np.nan]
    with symc.config.change(isa=isa):
        x, v = T.fvector(), T.tensor(dtype, shape=(None,))
        f = symc.function([x, v], x[T.clip(T.cast(v, "int64") + 1, 0, x.shape[0] - 1)])
        a, given = np.arange(9, dtype="float32"), np.tile(np.array(values, dtype), 20)
        with np.errstate(invalid="ignore"):
            whole = given.astype("int64")
        whole[~(np.abs(given) < 2.0**63)] = -(2**63)
        np.testing.assert_array_equal(f(a, given), a[np.clip(whole + 1, 0, 8)])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e30, 7.5, -9.0])
def test_an_index_from_a_float_out_of_range_is_an_error(wrong):
    x, v = T.fvector("x"), T.fvector("v")
    f = symc.function([x, v], x[T.cast(v, "int64")])
    given = np.zeros(300, "float32")
    assert (f(np.ones(7, "float32"), given) == 1).all()
    given[280] = wrong
    with pytest.raises(IndexError, match=r"(?s)out of range for axis 0.*test_bursts.py"):
        f(np.ones(7, "float32"), given)


def test_positions_that_depend_on_loaded_values(isa):
    with symc.config.change(isa=isa):
        x, i, y = T.fvector(), T.ivector(), T.ivector()
        out = T.exp(x[y[y[i]]]) * x[i] + T.sqr(x[y[i]])
        f = symc.function([x, i, y], [out, symc.grad(out.sum(), x)])
        rng = np.random.default_rng(2)
        for n in LENGTHS:
            a, at, to = rng.normal(size=50).astype("float32"), rng.integers(-50, 50, n), rng.integers(-50, 50, 50)
            p, q = a[to[to[at]]].astype("float64"), a[at].astype("float64")
            got, slope = f(a, at.astype("int32"), to.astype("int32"))
            np.testing.assert_allclose(got, np.exp(p) * q + a[to[at]].astype("float64") ** 2, rtol=2e-6, atol=1e-6)
            want = np.zeros(50)
            np.add.at(want, to[to[at]], np.exp(p) * q)
            np.add.at(want, at, np.exp(p))
            np.add.at(want, to[at], 2 * a[to[at]])
            np.testing.assert_allclose(slope, want, rtol=1e-4, atol=1e-4)


def interpolated():
    """Bilinear interpolation of images at any place, with all gradients."""
    x, p = T.ftensor3(), T.fmatrix()
    h, w = x.shape[1:]
    u, v = T.clip(p[:, 0], 0, T.cast(h - 1, "float32")), T.clip(p[:, 1], 0, T.cast(w - 1, "float32"))
    a, b = T.cast(T.floor(u), "int64"), T.cast(T.floor(v), "int64")
    c, d, s, t = T.minimum(a + 1, h - 1), T.minimum(b + 1, w - 1), u - T.floor(u), v - T.floor(v)
    top = x[:, a, b] * (1 - t) + x[:, a, d] * t
    out = top * (1 - s) + (x[:, c, b] * (1 - t) + x[:, c, d] * t) * s
    return symc.function([x, p], [out, *symc.grad(T.sqr(out).sum(), [x, p])])


def bilinear(x, p):
    h, w = x.shape[1:]
    u, v = np.clip(p[:, 0], 0, h - 1), np.clip(p[:, 1], 0, w - 1)
    a, b = np.floor(u).astype(int), np.floor(v).astype(int)
    c, d, s, t = np.minimum(a + 1, h - 1), np.minimum(b + 1, w - 1), u - np.floor(u), v - np.floor(v)
    return (x[:, a, b] * (1 - t) + x[:, a, d] * t) * (1 - s) + (x[:, c, b] * (1 - t) + x[:, c, d] * t) * s


def test_interpolation(isa):
    rng = np.random.default_rng(3)
    with symc.config.change(isa=isa):
        f = interpolated()
        for n in (0, 1, 30, 300):
            x, p = rng.normal(size=(3, 9, 7)), rng.uniform(-2, 10, size=(n, 2))
            got, gx, gp = f(x.astype("float32"), p.astype("float32"))
            x, p = (v.astype("float32").astype("float64") for v in (x, p))
            out = bilinear(x, p)
            np.testing.assert_allclose(got, out, atol=2e-5)
            direction, e = rng.normal(size=x.shape), 1e-6
            slope = ((bilinear(x + e * direction, p) ** 2).sum() - (bilinear(x - e * direction, p) ** 2).sum()) / (
                2 * e
            )
            np.testing.assert_allclose((gx * direction).sum(), slope, rtol=2e-4, atol=2e-3)
            direction = rng.normal(size=p.shape)
            slope = ((bilinear(x, p + e * direction) ** 2).sum() - (bilinear(x, p - e * direction) ** 2).sum()) / (
                2 * e
            )
            np.testing.assert_allclose((gp * direction).sum(), slope, rtol=1e-3, atol=2e-2)


@pytest.mark.parametrize("limit", [0, 59, 60])
def test_memory_that_is_too_large_is_read_element_by_element(monkeypatch, limit):
    """The choice is made for each call; a limit of 59 elements stands for 2^31 here."""
    monkeypatch.setattr(narrow, "LARGEST", limit)
    monkeypatch.setattr(kernel_text, "LARGEST", limit)
    x, i = T.fvector(), T.ivector()
    f = symc.function([x, i], T.exp(x[i]) * x[i])
    assert f"<= {limit}" in f.fitting().text
    rng = np.random.default_rng(4)
    for size in (59, 60, 61):
        a, at = rng.normal(size=size).astype("float32"), rng.integers(-size, size, 500).astype("int32")
        np.testing.assert_allclose(f(a, at), np.exp(a[at]) * a[at], rtol=1e-6)
    y = T.tensor("float32", shape=(60,))
    text = symc.function([y, i], T.exp(y[i])).fitting().text
    assert ("vburst_f32" in text) == (limit >= 60) and f"<= {limit}" not in text
    with pytest.raises(IndexError, match="out of range"):
        f(a, np.full(500, 61, "int32"))


def test_numbers_that_are_the_same_for_all_elements_are_checked_to_be_small():
    x, i, n = T.fvector(), T.lvector(), T.lscalar()
    f = symc.function([x, i, n], x[T.clip(i, n, n + 3) - n])
    a = np.arange(4, dtype="float32")
    for k in (0, 5, -5, 2**29 - 4, 2**29, 2**31, -(2**31), 2**40, -(2**60)):
        at = np.arange(-300, 300) + k
        np.testing.assert_array_equal(f(a, at, k), a[np.clip(at, k, k + 3) - k])


def test_values_that_later_rounds_need_are_stored_or_computed_again():
    x, i, v = T.fvector(), T.lvector(), T.fvector()
    f = symc.function([x, i, v], x[i] * T.exp(v) + T.cast(T.clip(i, 0, 3), "float32"))
    text = f.fitting().text
    arrays = re.findall(rf"(\w+) \w+_(at|got|kept)\[{bursts.BLOCK}\]", text)
    assert set(arrays) <= {("int32_t", "at"), ("float", "got"), ("float", "kept")} and ("float", "got") in arrays
    a, at, w = np.arange(5, dtype="float32"), np.arange(-5, 5).repeat(50), np.linspace(-1, 1, 500).astype("float32")
    np.testing.assert_allclose(f(a, at, w), a[at] * np.exp(w) + np.clip(at, 0, 3), rtol=1e-6)


def test_all_operands_of_an_element_are_loaded_before_its_results_are_written():
    """A result may have the memory of an operand of another one."""
    i = var("i")
    body = (
        Load("at", "b0", i, "int64"), Load("got", "b1", var("at"), "float32"), Store("b2", i, var("got", "float32")),
        Load("other", "b3", i, "float32"), Store("b4", i, var("other", "float32")),
    )  # fmt: skip
    loop, sizes, found = For("i", var("n0"), body, "simd"), {"b1": var("n1")}, []

    def block(statements, arrays, variables):
        found.append(statements[0].body)
        return []

    loads = bursts.scattered_loads(loop, sizes)
    assert [s.name for s in loads] == ["got"]
    loads32 = narrow.NarrowLoads(loop, sizes, str)
    assert bursts.emit_bursts(loop, loads, str, str, str, block, loads32) is not None
    kinds = [type(s) for s in found[-1]]
    assert kinds == [Load, Load, Store, Store]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
def test_reductions_of_elements_at_positions(isa, dtype, rng):
    """Rows shorter than a block, of several blocks, and of none; each result has its accumulator."""
    table = (rng.standard_normal(300) * 9).astype(dtype)
    for declared in (False, True):
        for rows, length in ((5, 47), (3, 257)) if declared else ((5, 47), (5, 48), (3, 257), (1, 5000)):
            at = rng.integers(-300, 300, (rows, length))
            w = rng.integers(1, 4, (rows, length)).astype(dtype)
            t, i, x = (T.tensor(str(v.dtype), shape=v.shape if declared else (None,) * v.ndim) for v in (table, at, w))
            found = t[i]
            with symc.config.change(isa=isa):
                results = [(found * x).sum(1), found.max(1), found.min(1), (found > 2).any(1), T.argmax(found, 1)]
                f = symc.function([t, i, x], [*results, (found * x).sum(), found.sum()])
            got = f(table, at, w)
            picked = table[at]
            wide = picked.astype("float64" if "float" in dtype else "int64")
            sums = (picked * w).astype(wide.dtype)
            for one, want in zip(
                got, (sums.sum(1), picked.max(1), picked.min(1), (picked > 2).any(1), picked.argmax(1))
            ):
                np.testing.assert_allclose(one, want, rtol=1e-5, atol=1e-3)
            np.testing.assert_allclose(got[5], sums.sum(), rtol=1e-5, atol=1e-2)
            np.testing.assert_allclose(got[6], wide.sum(), rtol=1e-5, atol=1e-2)


def test_sums_of_many_elements_at_positions_are_accurate(rng):
    t, i = T.vector("t"), T.lvector("i")
    table, at = (1 + rng.random(1000)).astype("float32"), rng.integers(0, 1000, 3_000_000)
    total = symc.function([t, i], t[i].sum())(table, at)
    assert abs(total / table[at].sum(dtype="float64") - 1) < 2e-7


def test_short_reductions_have_no_blocks():
    def text(length):
        t, i = T.vector("t"), T.tensor("int64", shape=(None, length))
        return debugprint(symc.function([t, i], T.exp(t[i]).sum(1)), stage="c", file="str")

    assert "vburst_" not in text(40) and "vburst_" in text(100)
