"""Gathers compute their indices, and read them as the operands that elementwise ops read."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.loops.ir import Step, walk


def kernels(f):
    return [s for s in walk(f.specialisation.program.body) if isinstance(s, Step)]


SHAPES = [(0,), (1,), (7,), (50,), (5, 9), (3, 0), (1, 1, 1), (2, 17, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_computed_indices(shape, known, dtype, rng):
    """A table is read at positions that the loop of the gather computes."""
    table = rng.integers(-100, 100, 37).astype(dtype)
    u = rng.random(shape).astype("float32")
    x = T.vector("x", dtype=dtype)
    v = T.tensor("float32", shape=shape if known else (None,) * len(shape), name="u")
    positions = T.cast(T.floor(v * 36), "int64")
    f = symc.function([x, v], x[positions] + x[positions + 1] * 2)
    at = np.floor(u * np.float32(36)).astype("int64")
    assert np.array_equal(f(table, u), table[at] + table[at + 1] * 2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_indices_of_rows(shape, rng):
    """Rows of a matrix at positions from the end and from the beginning, which are known for each row."""
    x, i = T.matrix("x", dtype="float64"), T.tensor("int32", shape=(None,) * len(shape), name="i")
    f = symc.function([x, i], T.exp(x[i * 2 - 11]) * 3)
    values, at = rng.standard_normal((11, 5)), rng.integers(0, 11, shape).astype("int32")
    np.testing.assert_allclose(f(values, at), np.exp(values[at * 2 - 11]) * 3, rtol=1e-13)


def test_index_arrays_are_merged_with_what_they_select(rng):
    """All axes of index arrays are one loop; positions that a channel shares are read as they are stored."""
    x = rng.standard_normal((2, 3, 6, 7))
    b, r, c = (rng.integers(0, n, (2, 4, 5)) for n in (2, 6, 7))
    v = T.tensor("float64", shape=(None,) * 4, name="x")
    at = [T.tensor("int64", shape=(None,) * 3, name=n) for n in "brc"]
    moved = v.dimshuffle(0, 2, 3, 1)
    f = symc.function([v, *at], (moved[tuple(at)] * 2).dimshuffle(0, 3, 1, 2))
    wanted = (x.transpose(0, 2, 3, 1)[b, r, c] * 2).transpose(0, 3, 1, 2)
    assert np.array_equal(f(x, b, r, c), wanted)


def test_indices_from_a_reduction_of_the_same_rows(rng):
    """The position of the greatest element of each row is found, and then read there, in one kernel or in two."""
    x = rng.standard_normal((33, 20)).astype("float32")
    v = T.matrix("x")
    at = v.argmax(axis=1)
    f = symc.function([v], [v[T.arange(v.shape[0]), at], T.exp(v)[T.arange(v.shape[0]), at]])
    a, b = f(x)
    assert np.array_equal(a, x.max(1))
    np.testing.assert_allclose(b, np.exp(x.max(1)), rtol=1e-6)


def test_a_computed_table_is_stored_before_it_is_read_elsewhere(rng):
    x = rng.standard_normal(40)
    v, i = T.dvector("x"), T.lvector("i")
    y = v * 2
    at = rng.permutation(40)
    np.testing.assert_allclose(symc.function([v, i], y[i] + y)(x, at), x[at] * 2 + x * 2, rtol=1e-15)


def test_an_index_out_of_range_is_an_error_before_anything_is_updated(rng):
    table = symc.shared(rng.standard_normal(8).astype("float32"))
    before = table.get_value()
    i = T.lvector("i")
    f = symc.function([i], table[i + 1], updates=[(table, table * 2)])
    with pytest.raises(IndexError, match="index"):
        f([3, 7])
    assert np.array_equal(table.get_value(), before)


def test_an_empty_result_of_a_computed_length():
    """No loop writes a result without elements; its other lengths are known when the program ends."""
    x, i, far = T.tensor("float32", shape=(None,) * 3), T.lscalar("i"), T.lscalar("far")
    f = symc.function([x, i, far], x[i, 1::far, None, 5:2])
    assert f(np.zeros((3, 4, 5), "float32"), -2, 50).shape == (1, 1, 0)


def test_indices_are_no_kernels_of_their_own(rng):
    """One kernel for the table and its positions, besides the check of their range."""
    x, v = T.fvector("x"), T.fvector("u")
    f = symc.function([x, v], x[T.cast(v * 10, "int64")])
    (gather,) = [s for s in kernels(f) if "gather" in s.name]
    assert "maximum" in gather.name and not any("maximum" in s.name for s in kernels(f) if s is not gather)


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize(
    "pick",
    [
        lambda x, a, b: x[:, :, a][:, :, :, b],
        lambda x, a, b: x[:, :, :, b][:, :, a],
        lambda x, a, b: x[:, a][:, :, :, b],  # an axis between them
        lambda x, a, b: x[a][:, b],
        lambda x, a, b: x[:, a][:, b],  # of what the first one selected
        lambda x, a, b: x[:, :, a, b][:, :, b],
        lambda x, a, b: x.swapaxes(1, 3)[:, a, b] if isinstance(x, np.ndarray) else x.dimshuffle(0, 3, 2, 1)[:, a, b],
    ],
)
def test_gathers_of_gathers(pick, static, rng):
    values = rng.standard_normal((5, 6, 7, 8)).astype("float32")
    a, b = rng.integers(-5, 5, 4), rng.integers(-4, 4, 4)
    x = T.tensor("float32", shape=values.shape if static else (None,) * 4)
    i, j = T.lvector("i"), T.lvector("j")
    assert np.array_equal(symc.function([x, i, j], pick(x, i, j))(values, a, b), pick(values, a, b))


def test_two_gathers_are_one_kernel():
    x, i, j = T.fmatrix(), T.lvector(), T.lvector()
    f = symc.function([x, i, j], x[i][:, j])
    assert sum("gather" in s.name for s in kernels(f)) == 1


INSIDE = {
    "clip": lambda i, n: T.clip(i, 0, n - 1),
    "clip from the end": lambda i, n: T.clip(i, -n, n - 1),
    "modulo": lambda i, n: i % n,
    "maximum": lambda i, n: T.maximum(0, T.minimum(i, n - 1)),
    "half": lambda i, n: T.clip(i, 0, 2 * n - 1) // 2,
    "choice": lambda i, n: T.switch(i > 3, 0, n - 1),
    "from the end": lambda i, n: -1 - T.clip(i, 0, n - 1),
}
NOT_INSIDE = {
    "one too far": lambda i, n: T.clip(i, 0, n),
    "one too low": lambda i, n: T.clip(i, -1 - n, n - 1),
    "any": lambda i, n: i,
    "above": lambda i, n: T.maximum(i, 0),
    "shifted": lambda i, n: T.clip(i, 0, n - 1) + 1,
    "negated": lambda i, n: -T.clip(i, -n, 1),
}


def checks(f):
    """The reductions of indices, which precede a gather."""
    return [s for s in kernels(f) if "min" in s.name.replace("minimum", "").split("+")]


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("static", [True, False], ids=["known", "unknown"])
def test_indices_with_known_bounds_need_no_check(name, static, rng):
    values = rng.standard_normal(9)
    x, i = T.tensor("float64", shape=(9 if static else None,)), T.lvector("i")
    f = symc.function([x, i], x[INSIDE[name](i, x.shape[0])])
    assert not checks(f) and (not static or not any("checked" in s.name for s in kernels(f)))
    at = rng.integers(-30, 30, 50)
    where = symc.function([i], INSIDE[name](i, 9))(at)
    assert np.array_equal(f(values, at), values[where])
    if not static:
        assert f(np.zeros(0), at[:0]).shape == (0,)
        with pytest.raises(IndexError, match="index"):
            f(np.zeros(0), at)


@pytest.mark.parametrize("name", NOT_INSIDE)
@pytest.mark.parametrize("static", [True, False], ids=["known", "unknown"])
def test_indices_without_them_are_checked(name, static, rng):
    x, i = T.tensor("float64", shape=(9 if static else None,)), T.lvector("i")
    f = symc.function([x, i], x[NOT_INSIDE[name](i, x.shape[0])])
    with pytest.raises(IndexError, match="index"):
        f(rng.standard_normal(9), np.array([2, 1000, -1000]))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_bounds_of_narrow_integers(dtype):
    """Sums of narrow integers begin again, so that they have the bounds of their dtype at most."""
    x, i = T.tensor("float64", shape=(128,)), T.tensor(dtype, shape=(None,))
    f = symc.function([x, i], x[T.clip(i, 100, 127) + T.cast(100, dtype)])
    at = (np.clip(np.array([127], dtype), 100, 127) + np.array(100, dtype)).astype("int64")
    if -128 <= at[0] < 128:
        assert f(np.arange(128.0), np.array([127], dtype)) == np.arange(128.0)[at]
    else:
        with pytest.raises(IndexError, match="index"):
            f(np.arange(128.0), np.array([127], dtype))


def test_bytes_are_positions_in_a_table_of_256(rng):
    table, picture = rng.standard_normal(256).astype("float32"), rng.integers(0, 256, (7, 9)).astype("uint8")
    x, i = T.tensor("float32", shape=(256,)), T.tensor("uint8", shape=(None, None))
    f = symc.function([x, i], x[i] * 2)
    assert np.array_equal(f(table, picture), table[picture] * 2) and len(kernels(f)) == 1
