"""Scatters that add many values to few places, in parts with tables of their own."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.compiler.lowering import scatter_parts
from symc.printing import debugprint

LEAST, SHARE = scatter_parts.LEAST, scatter_parts.SHARE


def scattered(x, i, y):
    want = x.astype("float64" if x.dtype.kind == "f" else x.dtype)
    np.add.at(want, i, y)
    return want


@pytest.mark.parametrize("device", ["interp", "cpu"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16", "float16"])
def test_numbers_of_every_dtype(device, dtype, monkeypatch):
    monkeypatch.setattr(scatter_parts, "LEAST", 16)
    x, i, y = T.tensor(dtype, shape=(None,)), T.lvector(), T.tensor(dtype, shape=(None,))
    f = symc.function([x, i, y], T.inc_subtensor(x[i], y), device=device)
    rng = np.random.default_rng(0)
    for places in (1, 3, 300):
        for count in (0, 1, 31, 32, 33, 700, 2 * SHARE * places, 5000):
            start, at = rng.integers(0, 5, places).astype(dtype), rng.integers(-places, places, count)
            terms = rng.integers(0, 4, count).astype(dtype)
            if dtype == "float16":
                terms = terms / 64
            want = scattered(start, at, terms).astype(dtype)
            np.testing.assert_allclose(f(start, at, terms.astype(dtype)), want, rtol=2e-3 if dtype == "float16" else 0)


@pytest.mark.parametrize("declared", [False, True])
def test_rows_and_several_index_arrays(isa, declared, monkeypatch):
    monkeypatch.setattr(scatter_parts, "LEAST", 64)
    rng = np.random.default_rng(1)
    shapes = [((4, 3), (700, 3)), ((5, 40), (200, 40)), ((6,), (30, 50)), ((2, 3), (900,)), ((3, 0), (500, 0))]
    with symc.config.change(isa=isa):
        for (table, value), two in zip(shapes, (False, False, False, True, False)):
            indices = value[:2] if table == (6,) else value[:1]
            x = T.tensor("float32", shape=table if declared else (None,) * len(table))
            y = T.tensor("float32", shape=value if declared else (None,) * len(value))
            i, j = (T.tensor("int32", shape=indices if declared else (None,) * len(indices)) for _ in range(2))
            part = x[i, j] if two else x[i]
            out = T.inc_subtensor(part, T.sqr(y))
            f = symc.function([x, i, j, y], [out, *symc.grad(T.sqr(out).sum(), [x, y])], on_unused_input="ignore")
            a, b = rng.normal(size=table).astype("float32"), rng.normal(size=value).astype("float32")
            at = rng.integers(-table[0], table[0], indices).astype("int32")
            to = rng.integers(0, table[-1] or 1, indices).astype("int32")
            place = (at, to) if two else at
            got, gx, gy = f(a, at, to, b)
            want = scattered(a, place, b.astype("float64") ** 2)
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-5)
            np.testing.assert_allclose(gx, 2 * want, rtol=2e-5, atol=2e-5)
            np.testing.assert_allclose(gy, 2 * want[place] * 2 * b, rtol=2e-5, atol=2e-4)


def test_long_sums_at_one_place_are_accurate():
    i, y = T.lvector(), T.fvector()
    f = symc.function([i, y], T.inc_subtensor(T.zeros(3)[i], y))
    terms = np.random.default_rng(2).uniform(0.5, 1, 1_000_000).astype("float32")
    at = np.ones(len(terms), "int64")
    np.testing.assert_allclose(f(at, terms)[1], terms.sum(dtype="float64"), rtol=2e-6)


def test_results_do_not_depend_on_the_number_of_threads():
    i, y = T.lvector(), T.fmatrix()
    rng = np.random.default_rng(3)
    at, terms = rng.integers(0, 7, 50_000), rng.normal(size=(50_000, 5)).astype("float32")
    found = []
    for threads in (1, 2):
        with symc.config.change(threads=threads):
            found.append(symc.function([i, y], T.inc_subtensor(T.zeros((7, 5))[i], y))(at, terms))
    np.testing.assert_array_equal(*found)


def test_where_parts_begin():
    i, y = T.lvector(), T.fvector()
    f = symc.function([i, y], T.inc_subtensor(T.zeros(5)[i], y))
    for count in (2 * LEAST - 1, 2 * LEAST, 2 * LEAST + 1, 5 * LEAST + 3):
        at, terms = np.arange(count) % 5, np.ones(count, "float32")
        np.testing.assert_array_equal(f(at, terms), np.bincount(at))
    assert symc.memory_estimate(f, [(2 * LEAST - 1,), (2 * LEAST - 1,)]).parts.keys()


def test_a_table_in_a_loop_and_one_of_a_length_known_in_a_call():
    i, y = T.lmatrix(), T.fmatrix()
    steps, _ = symc.scan(lambda k, v, s: T.inc_subtensor(s[k], v), sequences=[i, y], outputs_info=[T.zeros(4)])
    f = symc.function([i, y], [steps, T.bincount(i[0], y[0])])
    rng = np.random.default_rng(4)
    at, terms = rng.integers(0, 4, (3, 20_000)), rng.normal(size=(3, 20_000)).astype("float32")
    got, counts = f(at, terms)
    want = np.cumsum([np.bincount(k, v, 4) for k, v in zip(at, terms.astype("float64"))], 0)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(counts, want[0], rtol=1e-4, atol=1e-3)


def test_a_shared_variable_is_updated_in_parts():
    table = symc.shared(np.zeros(3, "float32"))
    i = T.lvector()
    f = symc.function([i], [], updates=[(table, T.inc_subtensor(table[i], 1))])
    at = np.arange(30_000) % 3
    f(at)
    assert table.get_value().tolist() == [10_000] * 3
    at[29_999] = 3
    with pytest.raises(IndexError, match="out of range"):
        f(at)
    assert table.get_value().tolist() == [10_000] * 3


@pytest.mark.parametrize("device", ["interp", "cpu"])
@pytest.mark.parametrize("columns", [(), (3,), (20,)])
def test_index_arrays_that_count_along_an_axis(device, columns):
    """What is added or written at different numbers of an axis is independent, and each thread has some of them."""
    x, i, j = T.tensor("float32", (None,) * (3 + len(columns))), T.itensor3(), T.itensor3()
    y = T.tensor("float32", (None,) * (3 + len(columns)))
    counts = T.arange(y.shape[0])[:, None, None]
    part, other = x[counts, i, j], x[i, counts[::-1], j]
    outputs = [T.inc_subtensor(part, y), T.set_subtensor(part, y), T.inc_subtensor(other, y * 2)]
    outputs.append(symc.grad((T.exp(part) * y).sum(), x))
    f = symc.function([x, i, j, y], outputs, device=device)
    rng = np.random.default_rng(5)
    for shape in ((4, 5, 6), (1, 3, 2), (4, 0, 3), (3, 7, 1)):
        a = rng.normal(size=(5, 5, 6, *columns)).astype("float32")
        b = rng.normal(size=(*shape, *columns)).astype("float32")
        p, q = (rng.integers(-5, 5, shape).astype("int32") for _ in range(2))
        n = np.arange(shape[0])[:, None, None]
        added, again, slope, written = (v.astype("float64") for v in (a, a, np.zeros_like(a), a))
        np.add.at(added, (n, p, q), b)
        np.add.at(again, (p, n[::-1], q), 2 * b)
        np.add.at(slope, (n, p, q), np.exp(a[n, p, q]) * b)
        for place in np.ndindex(*shape):
            written[place[0], p[place], q[place]] = b[place]
        for got, want in zip(f(a, p, q, b), (added, written, again, slope), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_counters_are_not_stored_and_threads_have_planes():
    x, i, y = T.ftensor3(), T.lmatrix(), T.ftensor3()
    counts = T.arange(y.shape[0])[:, None]
    f = symc.function([x, i, y], T.inc_subtensor(x[counts, i], y))
    text = debugprint(f, stage="loops", file="str")
    scatter = text[text.index("kernel", text.index("scatter_of")) :]
    assert "arange" not in text and "unordered" in scatter[scatter.index("parallel") :]
