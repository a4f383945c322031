"""Indexing against NumPy: every mix of integers, slices, newaxis, Ellipsis, index arrays and constant masks.

Items are drawn at random from a fixed seed; what NumPy accepts must give NumPy's values, for reads, writes and the
gradients of both. Many expressions share one compiled function.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T

SHAPES: dict[int, tuple[int, ...]] = {1: (5,), 2: (4, 5), 3: (3, 4, 5), 4: (3, 2, 4, 3)}

_SCALARS = {"i": ("int64", -2), "j": ("int8", 1), "k": ("int64", 0), "big": ("int64", 100), "low": ("int64", -100)}
_STEPS = {"two": 2, "back": -1, "three_back": -3, "far": 50}
_ARRAYS: dict[str, tuple[tuple[int | None, ...], Any]] = {
    "iv": ((None,), [1, -2]),
    "iw": ((None,), [0, 0]),
    "column": ((None, 1), [[1], [0], [-1]]),
    "pair_row": ((1, None), [[0, -1]]),
    "square": ((None, None), [[1, 0], [0, 1], [-1, -2]]),
    "single": ((1,), [-1]),
}

_MASKS: dict[tuple[int, ...], Any] = {
    (2,): [1, 0], (3,): [0, 1, 1], (4,): [1, 0, 1, 1], (5,): [0, 0, 1, 0, 1],
    (4, 5): np.arange(20).reshape(4, 5) % 3 == 0, (3, 4): np.zeros((3, 4)), (3, 2): [[1, 1], [0, 1], [0, 0]],
    (2, 4): [[0, 1, 1, 0], [1, 0, 0, 0]], (4, 3): np.ones((4, 3)),
}  # fmt: skip

VARIABLES: dict[str, Any] = {}
VALUES: dict[str, np.ndarray] = {}
for _name, (_dtype, _value) in _SCALARS.items():
    VARIABLES[_name], VALUES[_name] = T.scalar(_name, dtype=_dtype), np.asarray(_value, _dtype)
for _name, _value in _STEPS.items():
    VARIABLES[_name], VALUES[_name] = T.lscalar(_name), np.asarray(_value)
for _name, (_pattern, _value) in _ARRAYS.items():
    VARIABLES[_name], VALUES[_name] = T.tensor("int64", shape=_pattern, name=_name), np.asarray(_value)
for _shape, _value in _MASKS.items():
    _name = "mask" + "x".join(map(str, _shape))
    VARIABLES[_name] = T.tensor("bool", shape=(None,) * len(_shape), name=_name)
    VALUES[_name] = np.asarray(_value, bool)
VARIABLES["yes"], VALUES["yes"] = T.scalar("yes", dtype="bool"), np.asarray(True)


class Sym:
    """A named symbolic entry: ``VARIABLES[name]`` in the expression, ``VALUES[name]`` for NumPy."""

    def __init__(self, name: str) -> None:
        self.name = name


def resolve(item: Any, table: dict[str, Any]) -> Any:
    """``item`` with its symbolic entries taken from ``table``."""
    if isinstance(item, Sym):
        found = table[item.name]
        return found[()] if isinstance(found, np.ndarray) and found.ndim == 0 else found
    if isinstance(item, slice):
        return slice(*(resolve(b, table) for b in (item.start, item.stop, item.step)))
    return tuple(resolve(e, table) for e in item) if isinstance(item, tuple) else item


def names_in(item: Any) -> set[str]:
    if isinstance(item, Sym):
        return {item.name}
    parts = item if isinstance(item, tuple) else (item.start, item.stop, item.step) if isinstance(item, slice) else ()
    return set().union(*(names_in(p) for p in parts)) if parts else set()


INTEGERS: list[Any] = [0, -1, 1, np.int64(-2), np.int32(0), Sym("i"), Sym("j"), Sym("k")]
SLICES: list[Any] = [
    slice(None), slice(1, None), slice(None, -1), slice(None, None, -1), slice(-3, -1), slice(None, None, 2),
    slice(3, 0, -2), slice(5, 2), slice(-100, 100), slice(100, -100, -1), slice(-1, None, -2), slice(np.int64(1), 3),
    slice(Sym("i"), None), slice(None, Sym("i")), slice(Sym("k"), Sym("big")), slice(Sym("low"), Sym("j")),
    slice(Sym("big"), Sym("low"), -1), slice(Sym("i"), Sym("low"), -2), slice(None, Sym("j"), -1),
    slice(Sym("j"), 3, 2), slice(None, None, Sym("two")), slice(None, None, Sym("back")),
    slice(Sym("i"), None, Sym("three_back")), slice(-1, Sym("low"), Sym("back")), slice(1, None, Sym("far")),
    slice(Sym("big"), Sym("k"), Sym("back")),
]  # fmt: skip
ARRAYS: list[Any] = [
    *[Sym(name) for name in _ARRAYS], [0, -1], np.array([1, 1, 0]), np.array([[0], [1]], "uint8"), [],
    [[0, 1], [-1, 0]], np.array([-1]), np.zeros((2, 0), int), np.array(1), [1],
]  # fmt: skip


def masks(shape: tuple[int, ...], rng: np.random.Generator) -> list[Any]:
    """Masks over the leading axes of ``shape``."""
    symbolic = [Sym("mask" + "x".join(map(str, shape[:k]))) for k in (1, 2) if len(shape) >= k]
    found: list[Any] = [rng.random(shape[:1]) < 0.5, np.zeros(shape[:1], bool), list(rng.random(shape[:1]) < 0.6)]
    return [*found, *symbolic, *([rng.random(shape[:2]) < 0.4] if len(shape) > 1 else [])]


def draw(rank: int, rng: np.random.Generator) -> Any:
    """A random item for an array of ``rank`` axes; NumPy may refuse it."""
    entries: list[Any] = []
    axis = 0
    count = rng.integers(1, rank + 1)
    array_share = rng.choice([0.0, 0.35, 0.7])
    while axis < count:
        kind = rng.random()
        if kind < array_share:
            if rng.random() < 0.25:
                options = masks(SHAPES[rank][axis:], rng)
                entries.append(options[rng.integers(len(options))])
                axis += np.ndim(resolve(entries[-1], VALUES))
            else:
                entries.append(ARRAYS[rng.integers(len(ARRAYS))])
                axis += 1
        else:
            pool = INTEGERS if rng.random() < 0.4 else SLICES
            entries.append(pool[rng.integers(len(pool))])
            axis += 1
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        entries.insert(int(rng.integers(len(entries) + 1)), None)
    if rng.random() < 0.3:
        entries.insert(int(rng.integers(len(entries) + 1)), Ellipsis)
    return entries[0] if len(entries) == 1 and rng.random() < 0.5 else tuple(entries)


def accepted(rank: int, count: int, seed: int) -> list[Any]:
    """``count`` items that NumPy accepts for an array of ``rank`` axes."""
    rng = np.random.default_rng(seed)
    x = np.zeros(SHAPES[rank])
    found: list[Any] = []
    while len(found) < count:
        item = draw(rank, rng)
        try:
            x[resolve(item, VALUES)]
        except IndexError:
            continue
        found.append(item)
    return found


def source(rank: int, static: bool) -> tuple[Any, np.ndarray]:
    shape = SHAPES[rank]
    x = T.tensor("float32", shape=shape if static else (None,) * rank, name="x")
    return x, np.arange(np.prod(shape), dtype="float32").reshape(shape) + 1


def run(inputs: list[Any], values: list[Any], items: list[Any], outputs: list[Any]) -> list[np.ndarray]:
    used = sorted(set().union(*(names_in(i) for i in items)))
    f = symc.function([*inputs, *(VARIABLES[n] for n in used)], outputs, on_unused_input="ignore")
    return f(*values, *(VALUES[n] for n in used))


def check(found: np.ndarray, wanted: np.ndarray, item: Any) -> None:
    shown = resolve(item, {n: f"<{n}={VALUES[n].tolist()}>" for n in VALUES})
    assert found.shape == np.shape(wanted), f"x[{shown}]: shape {found.shape}, NumPy's is {np.shape(wanted)}"
    assert np.array_equal(found, wanted), f"x[{shown}]: values differ"


def flat_positions(shape: tuple[int, ...], item: Any) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape)[resolve(item, VALUES)]


CASES = [(1, False, 40), (2, False, 60), (3, False, 90), (4, False, 60), (3, True, 60)]


@pytest.mark.parametrize(("rank", "static", "count"), CASES)
def test_reads(rank: int, static: bool, count: int) -> None:
    x, value = source(rank, static)
    items = accepted(rank, count, seed=rank + 10 * static)
    results = run([x], [value], items, [x[resolve(i, VARIABLES)] for i in items])
    for item, found in zip(items, results):
        check(found, value[resolve(item, VALUES)], item)


@pytest.mark.parametrize(("rank", "static", "count"), [(1, False, 15), (2, True, 20), (3, False, 30), (4, False, 20)])
def test_gradients_of_reads(rank: int, static: bool, count: int) -> None:
    x, value = source(rank, static)
    items = accepted(rank, count, seed=100 + rank)
    weights, outputs = [], []
    for item in items:
        part = value[resolve(item, VALUES)]
        weights.append(np.arange(part.size, dtype="float32").reshape(part.shape) + 1)
        outputs.append(symc.grad((x[resolve(item, VARIABLES)] * weights[-1]).sum(), x))
    for item, weight, found in zip(items, weights, run([x], [value], items, outputs)):
        wanted = np.zeros_like(value)
        np.add.at(wanted, resolve(item, VALUES), weight)
        check(found, wanted, item)


def value_shapes(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, ...]:
    """A shape that broadcasts to ``shape``: some leading axes left out, some axes of 1."""
    kept = shape[int(rng.integers(len(shape) + 1)) if rng.random() < 0.4 else 0 :]
    return tuple(1 if rng.random() < 0.25 else n for n in kept)


@pytest.mark.parametrize(
    ("rank", "static", "count"), [(1, False, 20), (2, False, 25), (3, False, 30), (4, False, 20), (3, True, 25)]
)
@pytest.mark.parametrize("replace", [True, False], ids=["set", "inc"])
def test_writes_and_their_gradients(rank: int, static: bool, count: int, replace: bool) -> None:
    """``y`` is an input of unknown lengths: where its length is 1 at run time it broadcasts, as NumPy's."""
    rng = np.random.default_rng(rank)
    x, value = source(rank, static)
    items = accepted(rank, count, seed=200 + rank + 10 * static)
    weight = rng.integers(1, 9, value.shape).astype("float32")
    written, outputs, variables = [], [], []
    write: Callable[..., Any] = T.set_subtensor if replace else T.inc_subtensor
    for number, item in enumerate(items):
        shape = value_shapes(value[resolve(item, VALUES)].shape, rng)
        written.append(-rng.integers(1, 99, shape).astype("float32"))
        variables.append(T.tensor("float32", shape=(None,) * len(shape), name=f"y{number}"))
        out = write(x[resolve(item, VARIABLES)], variables[-1])
        outputs += [out, *symc.grad((out * weight).sum(), [x, variables[-1]])]
    results = iter(run([x, *variables], [value, *written], items, outputs))
    for item, y in zip(items, written):
        out, to_x, to_y = next(results), next(results), next(results)
        at = flat_positions(value.shape, item)
        wanted, reached = value.copy(), weight.copy()
        share = weight.ravel()[at].copy()
        if replace:
            last: dict[int, int] = {}
            for order, (place, v) in enumerate(zip(at.ravel(), np.broadcast_to(y, at.shape).ravel())):
                wanted.ravel()[place] = v
                last[int(place)] = order
            reached.ravel()[at.ravel()] = 0
            stays = np.zeros(at.size, bool)
            stays[list(last.values())] = True
            share = share * stays.reshape(at.shape)
        else:
            np.add.at(wanted, resolve(item, VALUES), y)
        check(out, wanted, item)
        check(to_x, reached, item)
        grown = share.ndim - y.ndim
        share = share.sum(tuple(range(grown)))
        share = share.sum(tuple(k for k, n in enumerate(y.shape) if n == 1), keepdims=True)
        check(to_y, share, item)


REFUSED: list[tuple[int, Any]] = [
    (2, (0, 0, 0)), (2, (Ellipsis, 0, Ellipsis)), (2, 4), (2, (0, -6)), (2, ([0, 1], [0, 1, 2])), (1, [True, False]),
    (2, np.ones((4, 4), bool)), (2, np.array([])), (1, 1.0), (1, [0.5]), (1, "a"), (1, slice(1.5, None)),
    (1, slice(None, None, 0)), (2, ([slice(None), 0],)), (1, [5]), (1, [-6, 0]), (3, np.zeros((3, 4, 5, 1), bool)),
    (1, slice("a", None)), (2, (Sym("big"),)), (1, (Sym("low"),)), (1, {}), (1, slice(None, None, 1.0)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED)))
@pytest.mark.parametrize("static", [False, True])
def test_what_numpy_refuses_is_refused(number: int, static: bool) -> None:
    rank, item = REFUSED[number]
    x, value = source(rank, static)
    with pytest.raises((IndexError, TypeError, ValueError)):
        value[resolve(item, VALUES)]
    with pytest.raises((IndexError, TypeError, ValueError)):
        run([x], [value], [item], [x[resolve(item, VARIABLES)]])


def test_a_step_of_zero_at_run_time_is_refused() -> None:
    v, s = T.vector("v"), T.lscalar("s")
    f = symc.function([v, s], v[::s])
    assert f(np.arange(4), -3).tolist() == [3, 0]
    with pytest.raises((IndexError, ValueError), match="step"):
        f(np.arange(4), 0)


def test_every_slice_of_a_short_vector_with_all_bounds_symbolic() -> None:
    """Start, stop and step of every sign and size, as symbolic scalars and as parts of a shape."""
    v, a, b, s = T.vector("v"), T.lscalar("a"), T.lscalar("b"), T.lscalar("s")
    f = symc.function([v, a, b, s], [v[a:b:s], v[a:b], v[a:b:-2], v[a::s], v[:b:s], v[v.shape[0] - a : b]])
    for n in (0, 1, 4):
        x = np.arange(n, dtype="float32")
        for first, last in itertools.product((-6, -4, -1, 0, 1, 3, 4, 7), repeat=2):
            step = (-3, -1, 1, 2)[(first + last + n) % 4]
            found = f(x, first, last, step)
            wanted = [
                x[first:last:step],
                x[first:last],
                x[first:last:-2],
                x[first::step],
                x[:last:step],
                x[n - first : last],
            ]
            for one, other in zip(found, wanted):
                assert one.tolist() == other.tolist(), (n, first, last, step)


def test_bool_scalars_add_an_axis_as_in_numpy() -> None:
    m, value = T.matrix("m"), np.arange(6, dtype="float32").reshape(2, 3)
    items = [
        True,
        False,
        (True, 0),
        (0, False),
        ([0, 1], True),
        (slice(None), True),
        (Ellipsis, np.True_, [1]),
        (True, None),
    ]
    for item, found in zip(items, symc.function([m], [m[i] for i in items])(value)):
        assert found.shape == value[item].shape and np.array_equal(found, value[item]), item


def test_lists_that_hold_symbolic_scalars() -> None:
    v, i = T.vector("v"), T.lscalar("i")
    assert v[[i, 0, i + 1]].eval({v: [5, 6, 7], i: 1}).tolist() == [6, 5, 7]
    assert v[[]].eval({v: [5, 6, 7]}).shape == (0,)


def test_the_last_write_wins_and_has_the_gradient() -> None:
    v, y, i = T.vector("v"), T.vector("y"), T.lvector("i")
    out = T.set_subtensor(v[i], y)
    f = symc.function([v, y, i], [out, *symc.grad((out * np.array([1, 10, 100], "float32")).sum(), [v, y])])
    out, to_v, to_y = f([1, 2, 3], [4, 5, 6, 7], [1, -2, 1, 0])
    assert out.tolist() == [7, 6, 3]
    assert to_v.tolist() == [0, 0, 100]
    assert to_y.tolist() == [0, 0, 10, 1]
    again = T.set_subtensor(v[np.array([1, 1, 0])], y)  # the same with indices known now
    g = symc.function([v, y], symc.grad((again**2).sum(), y))
    assert g([1, 2, 3], [4, 5, 6]).tolist() == [0, 10, 12]


def test_second_derivatives_of_writes() -> None:
    x, y = (T.tensor("float64", shape=(3,), name=n) for n in "xy")
    i = T.lvector("i")
    out = T.set_subtensor(x[i], y)
    cost = (out**3).sum()
    hessian = symc.function([x, y, i], [T.hessian(cost, y), T.hessian(cost, x)])
    by_y, by_x = hessian([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [2, 0, 2])
    assert np.allclose(by_y, np.diag([0, 30, 36])) and np.allclose(by_x, np.diag([0, 12, 0]))


def test_a_value_of_the_wrong_length_is_refused() -> None:
    v, y, i = T.vector("v"), T.vector("y"), T.lvector("i")
    f = symc.function([v, y, i], [T.set_subtensor(v[i], y), T.inc_subtensor(v[1:], y)])
    f(np.zeros(4), [1, 2, 3], [0, 1, 2])
    f(np.zeros(4), [1], [0, 1, 2])
    f(np.zeros(1), [1], [])  # a length of 1 fits a part of 0
    for length in (2, 4, 0):
        with pytest.raises(ValueError, match="value"):
            f(np.zeros(4), np.ones(length), [0, 1, 2])


def test_writing_floats_into_integers_is_refused() -> None:
    v = T.lvector("v")
    with pytest.raises(TypeError, match="cast"):
        T.set_subtensor(v[1:], 0.5)
    with pytest.raises(TypeError, match="cast"):
        T.inc_subtensor(v[1:], T.vector("y"))
    assert T.set_subtensor(v[1:], 2.0).eval({v: [5, 6]}).tolist() == [5, 2]  # nothing is lost


def test_writes_through_several_indexings() -> None:
    """The tensor that comes back is the one that the last indexing was applied to."""
    m, value = T.matrix("m"), np.arange(12, dtype="float32").reshape(3, 4)
    first, second = np.array([2, 0]), np.array([1, 1, 0])
    outs = [
        T.set_subtensor(m[first][second], -1.0),
        T.set_subtensor(m[1:][first - 2], -1.0),
        T.set_subtensor(m.T[first], -1.0),
        T.inc_subtensor(m[1:].T[second], 1.0),
        T.set_subtensor(m[first].T[1:], -1.0),
        T.inc_subtensor(m[::-1][:, 1], 5.0),
        T.set_subtensor(m[1:3, None, 0], -1.0),
    ]
    wanted: list[np.ndarray] = [
        value[first],
        value[1:].copy(),
        value.T.copy(),
        value[1:].T.copy(),
        value[first].T.copy(),
    ]
    wanted[0][second] = -1
    wanted[1][first - 2] = -1
    wanted[2][first] = -1
    np.add.at(wanted[3], second, 1)
    wanted[4][1:] = -1
    wanted += [value[::-1].copy(), value.copy()]
    wanted[5][:, 1] += 5
    wanted[6][1:3, None, 0] = -1
    for found, want in zip(symc.function([m], outs)(value), wanted):
        assert np.array_equal(found, want)


def test_what_is_known_is_checked_at_once() -> None:
    x = T.tensor("float32", shape=(3, 4))
    for item in (3, (0, -5), [0, 3], (slice(None), np.array([[4]])), np.ones((3, 3), bool)):
        with pytest.raises(IndexError):
            x[item]
    part = x[[0, -1], 1]
    assert part.static_shape == (2,) and "checked_index" not in symc.printing.debugprint(part, file="str")


_TOGETHER = [([1], [1, 2, 3]), ([1, 2, 1], [1]), ([1], []), ([], [1]), ([1, 2], [3, 3]), ([0], [-1])]


@pytest.mark.parametrize("mode", ["fast_run", "no_rewrite"])
@pytest.mark.parametrize("device", ["c", "interp"])
def test_index_arrays_of_one_element_at_call_time_broadcast(device: str, mode: str) -> None:
    # they were read beyond their end
    x, w = T.dmatrix("x"), T.dvector("w")
    i, j = T.lvectors("i", "j")
    part = x[i, j]
    outputs = [part, symc.grad((part**2).sum(), x), T.set_subtensor(part, w), T.inc_subtensor(part, w), x[i, [1, 0, 1]]]
    f = symc.function([x, w, i, j], outputs[:4], device=device, mode=mode)
    g = symc.function([x, i], outputs[4], device=device, mode=mode)
    m, v = np.arange(12.0).reshape(3, 4), np.array([0.5])
    for one, other in _TOGETHER:
        at = (np.array(one, int), np.array(other, int))
        slope, written, added = np.zeros_like(m), m.copy(), m.copy()
        np.add.at(slope, at, 2 * m[at])
        written[at] = v
        np.add.at(added, at, v)
        for got, want in zip(f(m, v, one, other), [m[at], slope, written, added]):
            assert got.shape == want.shape and np.allclose(got, want)
    with pytest.raises(symc.errors.ShapeError, match="index arrays do not go together on axis 0"):
        f(m, v, [0, 1], [0, 1, 2])
    assert np.array_equal(g(m, [2]), m[2, [1, 0, 1]])


def test_masks_and_index_arrays_of_one_element_at_call_time_broadcast() -> None:
    x, i, mask = T.dmatrix("x"), T.lvector("i"), T.tensor("bool", shape=(None,))
    f = symc.function([x, i, mask], [x[i, mask], x[mask[:3], i], T.set_subtensor(x[i, mask], 1)])
    m = np.arange(12.0).reshape(3, 4)
    for at, kept in [([0, -1, 1], [0, 1, 0, 0]), ([2], [1, 1, 0, 0]), ([], [0, 1, 0, 0]), ([0], [0, 0, 0, 0])]:
        where, chosen = np.array(at, int), np.array(kept, bool)
        written = m.copy()
        written[where, chosen] = 1
        for got, want in zip(f(m, where, chosen), [m[where, chosen], m[chosen[:3], where], written]):
            assert got.shape == want.shape and np.array_equal(got, want)


@pytest.mark.parametrize("mode", ["FAST_RUN", "FAST_COMPILE", "interp"])
def test_writes_where_a_known_axis_is_empty(mode):
    """No element is written: the loops over the other axes still have to compile."""
    x, y = T.tensor("float32", shape=(None, None, None, 0)), T.tensor("float32", shape=(1, None))
    k = T.lscalar()
    part = x[k::-1, 1:2, k : k + 1, np.zeros(0, int)]
    outs = [part, T.inc_subtensor(part, y.dimshuffle(1, "x", "x", 0)[:, :, :, :0]), T.grad((part**2).sum(), x)]
    rows = x[k::-1, 1, k, np.zeros(0, int)]
    outs += [T.inc_subtensor(rows, 1.0), T.grad((rows**2).sum(), x), T.inc_subtensor(rows, y[:, :1])]
    options = {"device": "interp"} if mode == "interp" else {"mode": mode}
    f = symc.function([x, y, k], outs, on_unused_input="ignore", **options)
    a = np.zeros((5, 3, 2, 0), "float32")
    shapes = [v.shape for v in f(a, np.ones((1, 2), "float32"), 1)]
    assert shapes == [(2, 1, 1, 0), *[a.shape] * 5]


@pytest.mark.parametrize("index", ["mask", "nonzero", "rows", "columns"])
@pytest.mark.parametrize("write", [T.set_subtensor, T.inc_subtensor])
def test_one_value_at_the_true_elements_is_a_choice(index, write, rng):
    """Nothing is counted where each selected element takes the same value; otherwise the places are."""
    x, v = T.dmatrix("x"), T.dvector("v")
    mask = {"rows": x[:, 0] > 0, "columns": x.sum(0) > 0}.get(index, x > 0)
    at = {"nonzero": mask.nonzero(), "columns": (slice(None), mask)}.get(index, mask)
    value = v if index == "rows" else v[0]
    out = write(x[at], value)
    slope_x, slope_v = symc.grad((out**2).sum(), [x, v])
    f = symc.function([x, v], [out, slope_x, slope_v], device="interp")
    assert "true_places" not in symc.printing.debugprint(f, file="str")
    for shape in [(4, 5), (0, 5), (3, 1)]:
        a, b = rng.standard_normal(shape), rng.standard_normal(shape[1])
        chosen = {"rows": a[:, :1] > 0, "columns": a.sum(0, keepdims=True) > 0}.get(index, a > 0) & np.ones(shape, bool)
        new = np.where(chosen, b if index == "rows" else b[0], 0) + np.where(chosen & (write is T.set_subtensor), 0, a)
        got, got_x, got_v = f(a, b)
        np.testing.assert_array_equal(got, new)
        np.testing.assert_array_equal(got_x, 2 * new * ~(chosen & (write is T.set_subtensor)))
        wanted = (2 * new * chosen).sum(0) if index == "rows" else np.eye(shape[1])[0] * (2 * new * chosen).sum()
        np.testing.assert_allclose(got_v, wanted, rtol=1e-12, atol=1e-12)


def test_values_of_another_number_are_written_at_their_places(rng):
    x, v, m = T.dmatrix("x"), T.dvector("v"), T.matrix("m", dtype="bool")
    out = [T.set_subtensor(x[x > 0], v), T.set_subtensor(x[m], 1.0), T.set_subtensor(x[m.nonzero()], 2.0)]
    f = symc.function([x, v, m], out, device="interp")
    a = rng.standard_normal((4, 5))
    b, mask = rng.standard_normal((a > 0).sum()), rng.random((4, 5)) > 0.5
    wanted = a.copy()
    wanted[a > 0] = b
    for got, want in zip(f(a, b, mask), (wanted, np.where(mask, 1, a), np.where(mask, 2, a))):
        np.testing.assert_array_equal(got, want)
    with pytest.raises((ValueError, IndexError)):
        f(a, b, np.ones((1, 5), bool))


@pytest.mark.parametrize("shape", [(20, 5), (1, 5), (20, 1), (1, 1), (0, 5)])
def test_gradients_of_values_that_a_call_may_broadcast(shape):
    x, rows, c = T.dmatrix("x"), T.lvector("rows"), T.dmatrix("c")
    f = symc.function([x, rows, c], symc.grad((T.inc_subtensor(T.zeros_like(c)[rows], x) * c).sum(), x))
    rng = np.random.default_rng(0)
    weights, places = rng.random((7, 5)), rng.integers(0, 7, 0 if shape[0] == 0 else 20)
    want = weights[places]
    for axis in (0, 1):
        if shape[axis] == 1:
            want = want.sum(axis, keepdims=True)
    np.testing.assert_allclose(f(rng.random(shape), places, weights), want)
