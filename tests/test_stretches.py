"""Gathers at positions that follow from a counter: borders, rings, reversed axes; loops that run from turn to turn."""

import numpy as np
import pytest

import symc
import symc.tensor as T

pytest.importorskip("cffi")
from symc_backends.c.emit import emit

WIDTHS = [((1, 2), (2, 3)), ((0, 0), (7, 0)), ((4, 1), (90, 80))]


def text_of(inputs, output):
    from symc.compiler.passes import State, compile_graph

    program = compile_graph(State("f", inputs, [output], [])).program
    assert program is not None
    return emit(program)


MODES = ("reflect", "edge", "wrap", "symmetric")


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_borders(isa, dtype):
    if isa and dtype != "float64":
        pytest.skip("one dtype suffices beside the widest vectors")
    rng = np.random.default_rng(0)
    for shape in (None, (3, 70)):
        ways = [(widths, mode) for widths in WIDTHS for mode in (MODES if shape is None else MODES[::3])]
        x = T.TensorType(dtype, (False, False))() if shape is None else T.tensor(dtype, shape=shape)
        with symc.config.change(isa=isa):
            f = symc.function([x], [np.pad(x, widths, mode=mode) for widths, mode in ways])
        for n, m in [(1, 1), (2, 5), (3, 16), (4, 50), (2, 200)] if shape is None else [shape]:
            a = rng.integers(0, 100, (n, m)).astype(dtype)
            for (widths, mode), got in zip(ways, f(a)):
                np.testing.assert_array_equal(got, np.pad(a, widths, mode=mode))


def test_borders_of_nothing_are_an_error():
    x = T.matrix("x")
    for mode in ("reflect", "wrap"):
        f = symc.function([x], np.pad(x, ((0, 0), (1, 1)), mode=mode))
        assert f(np.zeros((0, 3), "float32")).shape == (0, 5)
        with pytest.raises(IndexError):
            f(np.zeros((3, 0), "float32"))


FORMULAS = {
    "ring": lambda x, r, m, k, lib: x[:, (r + k) % m],
    "ring backwards": lambda x, r, m, k, lib: x[:, (k - r) % m],
    "neighbours": lambda x, r, m, k, lib: x[:, lib.clip(r + 1, 0, m - 1)] + x[:, lib.clip(r - 1, 0, m - 1)] - 2 * x,
    "reversed": lambda x, r, m, k, lib: x[:, m - 1 - r] * 2,
    "every second": lambda x, r, m, k, lib: x[:, lib.minimum(2 * r, m - 1)],
    "mirrored": lambda x, r, m, k, lib: x[:, abs(r - 3) % m],
    "chosen": lambda x, r, m, k, lib: x[:, lib.where(r > k, m - 1 - r, r)],
    "three rounds": lambda x, r, m, k, lib: x[:, (3 * r) % m].max(1, keepdims=True),
    "rows": lambda x, r, m, k, lib: x.T[(r + k) % m],
}


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_positions_of_counters(isa, dtype):
    if isa and dtype != "float32":
        pytest.skip("one dtype suffices beside the widest vectors")
    x, k = T.TensorType(dtype, (False, False))(), T.lscalar("k")
    with symc.config.change(isa=isa):
        made = [make(x, T.arange(x.shape[1]), x.shape[1], k, T) for make in FORMULAS.values()]
        f = symc.function([x, k], made)
    rng = np.random.default_rng(1)
    for shape in ((2, 1), (3, 9), (2, 64), (3, 100), (2, 1000)):
        a = rng.integers(0, 100, shape).astype(dtype)
        for by in (-5, 0, 3, 57, -1000, 2**40):
            for make, got in zip(FORMULAS.values(), f(a, by)):
                want = make(a, np.arange(shape[1]), shape[1], by, np)
                np.testing.assert_array_equal(got, want.astype(dtype))


def test_positions_out_of_range_are_an_error():
    x, k = T.matrix("x"), T.lscalar("k")
    f = symc.function([x, k], x[:, T.arange(x.shape[1]) + k])
    a = np.arange(200, dtype="float32").reshape(2, 100)
    np.testing.assert_array_equal(f(a, 0), a)
    np.testing.assert_array_equal(f(a, -1), a[:, np.arange(100) - 1])
    for by in (1, -101, 2**40):
        with pytest.raises(IndexError):
            f(a, by)


def test_gradients_of_borders():
    x = T.dmatrix("x")
    for mode in MODES:
        padded = np.pad(x, ((2, 1), (5, 3)), mode=mode)
        weights = np.random.default_rng(2).standard_normal((43, 58))
        f = symc.function([x], symc.grad((padded * weights).sum(), x))
        got = f(np.zeros((40, 50)))
        places = np.pad(np.arange(2000).reshape(40, 50), ((2, 1), (5, 3)), mode=mode)
        want = np.bincount(places.ravel(), weights.ravel(), 2000).reshape(40, 50)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_a_border_is_contiguous_for_the_most_part():
    for shape in ((None, None), (64, 100)):
        x = T.tensor("float32", shape=shape)
        text = text_of([x], np.pad(x, ((1, 1), (2, 2)), mode="reflect"))
        assert "vload_f32" in text and "burst" not in text and "vindex" not in text


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "bool"])
def test_reversed_rows(isa, dtype):
    x = T.TensorType(dtype, (False, False))()
    with symc.config.change(isa=isa):
        f = symc.function([x], [x[:, ::-1], x[::-1, ::-1], x[:, :2:-1]])
    rng = np.random.default_rng(3)
    for n in (0, 1, 5, 15, 16, 17, 31, 100, 333):
        a = rng.integers(0, 2 if dtype == "bool" else 100, (3, n)).astype(dtype)
        for got, want in zip(f(a), (a[:, ::-1], a[::-1, ::-1], a[:, :2:-1])):
            np.testing.assert_array_equal(got, want)


def test_reversed_rows_are_contiguous():
    x = T.matrix("x")
    assert "vreversed_f32" in text_of([x], x[:, ::-1] * 2)


def test_indices_of_rows_are_counted():
    """The loop over rows of three axes divides its index once."""
    x = T.tensor4("x")
    text = text_of([x], x[:, :, 1:, 1:] * 2)
    assert "if (++" in text
    f = symc.function([x], x[:, :, 1:, 1:] * 2)
    for shape in ((2, 3, 4, 5), (1, 1, 1, 1), (3, 1, 7, 2), (2, 0, 3, 4), (5, 7, 2, 100), (40, 30, 20, 10)):
        a = np.random.default_rng(4).standard_normal(shape).astype("float32")
        np.testing.assert_array_equal(f(a), a[:, :, 1:, 1:] * 2)


def test_short_periods_have_vectors():
    """Two elements in a row are no stretch, and neither is a ring of a few elements."""
    x = T.matrix("x")
    assert "_stop" not in text_of([x], T.repeat(x, 2, 1))
    ring = text_of([x], T.tile(x, (1, 50)))
    assert "vcycle" in ring and "_stop" in ring
    f = symc.function([x], x[:, T.arange(1000) % x.shape[1]])
    for n in (1, 3, 23, 24, 25, 100, 2000):
        a = np.random.default_rng(5).standard_normal((3, n)).astype("float32")
        np.testing.assert_array_equal(f(a), a[:, np.arange(1000) % n])
