"""Arguments of public functions: wrong lengths, types and ranges raise errors; no argument is ignored.

Most cases are rows of tables: calls that must raise an error, when the graph is built or when the function is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import SymcError

S, V, M, X3 = T.scalar("s"), T.vector("v"), T.matrix("m"), T.tensor3("x3")
I, J, IV = T.lscalar("i"), T.lscalar("j"), T.lvector("iv")
REFUSED = (SymcError, ValueError, TypeError, IndexError)
RNG = T.shared_randomstreams.RandomStreams(1)

AT_ONCE: dict[str, Callable[[], Any]] = {
    # shapes
    "zeros of a float": lambda: T.zeros(2.5),
    "zeros of floats": lambda: T.zeros((2, 2.5)),
    "zeros of a string": lambda: T.zeros("ab"),
    "zeros of nested tuples": lambda: T.zeros(((2, 3), (4,))),
    "zeros of a matrix": lambda: T.zeros(np.ones((2, 2), int)),
    "zeros of a float scalar": lambda: T.zeros((S,)),
    "zeros of a negative dim": lambda: T.zeros((2, -1)),
    "alloc of a longer value": lambda: T.alloc(M, 3),
    "reshape to another ndim": lambda: M.reshape((2, 3), ndim=3),
    "reshape to floats": lambda: M.reshape((2.0, 3)),
    "flatten with both names": lambda: T.flatten(X3, 2, outdim=3),
    "a negative count of new axes": lambda: T.shape_padleft(M, -1),
    "a negative count of new axes behind": lambda: T.shape_padright(M, -1),
    "patternbroadcast of another length": lambda: T.patternbroadcast(M, (True,)),
    "unbroadcast of no axis": lambda: T.unbroadcast(M, 5),
    "moveaxis of unequal lists": lambda: T.moveaxis(X3, (0, 1), (2,)),
    "moveaxis of one axis twice": lambda: T.moveaxis(X3, (0, 0), (1, 2)),
    "transpose of one axis twice": lambda: T.transpose(M, (0, 0)),
    "specify_shape of another length": lambda: T.specify_shape(M, (2,)),
    "specify_shape of a negative dim": lambda: T.specify_shape(M, (2, -3)),
    "a type with a float dim": lambda: T.TensorType("float32", (2.5,)),
    "a type of a number": lambda: T.TensorType("float32", 3),
    "a type with shape and pattern": lambda: T.TensorType("float32", (2,), broadcastable=(True,)),
    "a pattern of lengths": lambda: T.TensorType("float32", broadcastable=(5,)),
    "shared with shape and pattern": lambda: symc.shared(np.ones((1, 2)), shape=(1, 2), broadcastable=(True, False)),
    # counters
    "arange of vectors": lambda: T.arange(V),
    "arange of infinity": lambda: T.arange(np.inf),
    "arange with step 0": lambda: T.arange(0, 3, 0),
    "eye of a float": lambda: T.eye(2.5),
    "tri of a negative number": lambda: T.tri(-1),
    "tril of a vector": lambda: T.tril(V),
    "identity_like of a vector": lambda: T.identity_like(V),
    "linspace of a float number": lambda: T.linspace(0, 1, 2.5),
    "linspace of a negative number": lambda: T.linspace(0, 1, -1),
    "linspace of vectors": lambda: T.linspace(V, 1),
    # joining
    "split into negative lengths": lambda: T.split(V, [2, -1, 5], 3),
    "split into too few lengths": lambda: T.split(V, [2, 1], 3),
    "split that does not add up": lambda: T.split(T.tensor(shape=(5,)), [2, 1], 2),
    "split into nothing": lambda: T.split(V, [], 0),
    "stack of a list and more": lambda: T.stack([V, V], 0, V),
    "stack of different ndim": lambda: T.stack([S, T.row()]),
    "stack of one tensor": lambda: T.stack(M, 1),
    "vertical_stack of vectors": lambda: T.vertical_stack(V, V),
    "horizontal_stack of vectors": lambda: T.horizontal_stack(M, V),
    "repeat by a negative number": lambda: T.repeat(V, -1),
    "repeat by a float": lambda: T.repeat(V, 1.5),
    "repeat by too few counts": lambda: T.repeat(T.tensor(shape=(3,)), [1, 2]),
    "repeat by a matrix": lambda: T.repeat(V, np.ones((2, 2), int)),
    "tile to less than its axes": lambda: T.tile(X3, (2,), ndim=2),
    "tile by a negative number": lambda: T.tile(V, -2),
    # products
    "tensordot over three sides": lambda: T.tensordot(M, M, (0, 1, 2)),
    "tensordot over one side": lambda: T.tensordot(M, M, [1]),
    "tensordot over too many axes": lambda: T.tensordot(M, M, 3),
    "tensordot over one axis twice": lambda: T.tensordot(M, M, [[0, 0], [0, 1]]),
    "tensordot over unequal sides": lambda: T.tensordot(M, M, [[0], [0, 1]]),
    "tensordot over floats": lambda: T.tensordot(M, M, 1.0),
    "tensordot over nothing": lambda: T.tensordot(M, M, None),
    "batched_tensordot over axis 0": lambda: T.batched_tensordot(X3, X3, [[0], [0]]),
    "batched_tensordot over three sides": lambda: T.batched_tensordot(X3, X3, (1, 2, 1)),
    "batched_tensordot over too many axes": lambda: T.batched_tensordot(M, M, 2),
    # helpers
    "choose by floats": lambda: T.choose(V, [V, V]),
    "choose among nothing": lambda: T.choose(IV, []),
    "choose with an unknown mode": lambda: T.choose(IV, [V, V], mode="first"),
    "fill with more axes": lambda: T.fill(V, M),
    "fill of a known other shape": lambda: T.fill(T.tensor(shape=(3,)), T.tensor(shape=(2,))),
    "full_like with more axes": lambda: T.full_like(V, M),
    "ceil_intdiv of floats": lambda: T.ceil_intdiv(V, 2),
    "round with an unknown mode": lambda: T.round(V, mode="up"),
    "the method round with an unknown mode": lambda: V.round(mode="up"),
    "iround with an unknown mode": lambda: T.iround(V, mode="up"),
    "diff a negative number of times": lambda: T.diff(V, -1),
    "roll by a vector": lambda: T.roll(M, IV),
    "roll by a float": lambda: T.roll(M, 1.5),
    "bincount of floats": lambda: T.bincount(V),
    "bincount with a matrix of weights": lambda: T.bincount(IV, M),
    "bincount with a negative minlength": lambda: T.bincount(IV, minlength=-1),
    "cov of three axes": lambda: T.cov(X3),
    "cov with a float ddof": lambda: T.cov(M, ddof=0.5),
    "a diagonal at a float": lambda: T.diagonal(M, 0.5),
    "unravel_index of floats": lambda: T.unravel_index(V, (2, 3)),
    "unravel_index out of range": lambda: T.unravel_index(6, (2, 3)),
    "ravel_multi_index of too few": lambda: T.ravel_multi_index((IV,), (2, 3)),
    "ravel_multi_index out of range": lambda: T.ravel_multi_index((2, 0), (2, 3)),
    "to_one_hot of floats": lambda: T.extra_ops.to_one_hot(V, 3),
    "take of floats": lambda: T.take(M, V),
    "take with an unknown mode": lambda: T.take(M, IV, mode="first"),
    "advanced_subtensor1 of a scalar": lambda: T.advanced_subtensor1(M, I),
    # random numbers
    "a size of another ndim": lambda: RNG.uniform((2, 3), ndim=1),
    "no size and another ndim": lambda: RNG.uniform(low=V, ndim=2),
    "parameters of more axes than the size": lambda: RNG.uniform((3,), low=M),
    "parameters of another shape": lambda: RNG.normal((3, 1), avg=T.tensor(shape=(3, 4))),
    "a negative size": lambda: RNG.uniform((2, -1)),
    "a size of floats": lambda: RNG.uniform((2.5,)),
    "binomial of a float number": lambda: RNG.binomial((3,), n=2.5),
    "binomial of a negative number": lambda: RNG.binomial((3,), n=-1),
    "integers of an empty range": lambda: RNG.random_integers((3,), 5, 2),
    "integers that do not fit": lambda: RNG.random_integers((3,), 0, 300, dtype="int8"),
    "multinomial of a scalar": lambda: RNG.multinomial(pvals=0.5),
    "multinomial of more axes": lambda: RNG.multinomial((2,), pvals=np.ones((3, 2, 4), "f4")),
    "choice among nothing": lambda: RNG.choice((2,), a=0),
    "choice among a float": lambda: RNG.choice((2,), a=2.5),
    "choice of more than there are": lambda: RNG.choice((5,), a=3, replace=False),
    "choice with too few probabilities": lambda: RNG.choice((5,), a=3, p=[0.2, 0.8]),
}  # fmt: skip


@pytest.mark.parametrize("name", list(AT_ONCE))
def test_refused_while_the_graph_is_built(name: str) -> None:
    with pytest.raises(REFUSED) as caught:
        AT_ONCE[name]()
    assert "not iterable" not in str(caught.value) and "len()" not in str(caught.value)


NUMBERS = np.arange(6, dtype="f4")
WHEN_CALLED: dict[str, tuple[Any, dict[Any, Any], dict[Any, Any]]] = {
    # an expression, values that it takes, and values that it must refuse
    "split": (T.split(V, [2, 1], 2)[0], {V: NUMBERS[:3]}, {V: NUMBERS}),
    "split by scalars": (T.split(V, [I, J], 2)[1], {V: NUMBERS, I: 2, J: 4}, {V: NUMBERS, I: 2, J: 3}),
    "split by a negative scalar": (T.split(V, [I, J], 2)[1], {V: NUMBERS, I: 0, J: 6}, {V: NUMBERS, I: -1, J: 7}),
    "split by a vector": (T.split(V, IV, 2)[0], {V: NUMBERS, IV: [2, 4]}, {V: NUMBERS, IV: [2, 4, 0]}),
    "choose": (T.choose(IV, [V, -V]), {IV: [0, 1, 1], V: NUMBERS[:3]}, {IV: [0, 2, 1], V: NUMBERS[:3]}),
    "choose below 0": (T.choose(IV, [V, -V]), {IV: [0, 1, 1], V: NUMBERS[:3]}, {IV: [0, -1, 1], V: NUMBERS[:3]}),
    "choose the only one": (T.choose(IV, [V]), {IV: [0, 0], V: [1, 2]}, {IV: [0, 1], V: [1, 2]}),
    "tensordot": (
        T.tensordot(M, T.transpose(M), [[0, 1], [0, 1]]), {M: np.ones((3, 3))}, {M: np.ones((2, 3))},
    ),
    "fill": (T.fill(IV, V), {IV: [1, 2], V: [1, 2]}, {IV: [1, 2], V: [1, 2, 3]}),
    "full_like": (T.full_like(M, V), {M: np.ones((2, 3)), V: [1, 2, 3]}, {M: np.ones((2, 3)), V: [1, 2]}),
    "a size": (RNG.uniform(IV, ndim=2), {IV: [2, 3]}, {IV: [2, 3, 4]}),
    "a short size": (RNG.normal(IV, ndim=2), {IV: [2, 3]}, {IV: [2]}),
    "parameters and a size": (RNG.uniform((3,), low=V), {V: [1, 2, 3]}, {V: [1, 2, 3, 4]}),
    "integers": (RNG.random_integers((3,), I, J), {I: 2, J: 5}, {I: 5, J: 2}),
    "choice": (RNG.choice((I,), a=V, replace=False), {I: 2, V: [1, 2]}, {I: 3, V: [1, 2]}),
    "probabilities of a choice": (RNG.choice((4,), a=V, p=[0.2, 0.8]), {V: [1, 2]}, {V: [1, 2, 3]}),
    "a reshape vector": (V.reshape(IV, ndim=2), {V: NUMBERS, IV: [2, 3]}, {V: NUMBERS, IV: [2, 3, 1]}),
    "specify_shape": (T.specify_shape(M, (I, 3)) * 2, {M: np.ones((2, 3)), I: 2}, {M: np.ones((2, 3)), I: 3}),
    "repeat": (T.repeat(V, [1, 2, 0]), {V: [1, 2, 3]}, {V: [1, 2, 3, 4]}),
    "arange with a step of 0": (T.arange(0, 6, I), {I: 2}, {I: 0}),
    "bincount": (T.bincount(IV, V), {IV: [0, 1], V: [1, 2]}, {IV: [0, 1], V: [1]}),
    "fill_diagonal": (T.fill_diagonal(X3, 7), {X3: np.ones((3, 3, 3))}, {X3: np.ones((3, 3, 4))}),
    "unravel_index": (T.unravel_index(IV, (2, 3))[0], {IV: [5]}, {IV: [6]}),
    "ravel_multi_index": (T.ravel_multi_index((IV, I), (2, 3)), {IV: [1], I: 2}, {IV: [1], I: 3}),
    "to_one_hot": (T.extra_ops.to_one_hot(IV, 3), {IV: [0, 2]}, {IV: [0, 3]}),
    "integer products": (
        T.dot(T.tensor("int64", shape=(None, 1), name="a"), T.lmatrix("b")), {"a": [[1], [2]], "b": [[3, 4]]},
        {"a": [[1], [2]], "b": [[3, 4], [5, 6]]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(WHEN_CALLED))
def test_refused_when_called(name: str) -> None:
    expression, good, bad = WHEN_CALLED[name]
    expression.eval(good)
    with pytest.raises(REFUSED):
        expression.eval(bad)


def test_values_of_arguments_that_were_ignored_or_misread() -> None:
    small = T.vector("u", dtype="uint8")
    u = np.array([0, 1, 3, 4, 255], "uint8")
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5], "f4")
    x3 = np.arange(12, dtype="f4").reshape(2, 2, 3)
    expected: list[tuple[Any, np.ndarray]] = [
        (T.fill(IV, 0.5), np.array([0.5, 0.5])),
        (T.ceil_intdiv(small, 3), np.array([0, 1, 1, 2, 85])),
        (T.ceil_intdiv(T.cast(small, "int64") - 5, -2), -((u.astype(int) - 5) // 2)),
        (T.round(V, mode="half_away_from_zero"), np.array([1, 2, 3, -1, -2])),
        (T.round(V, mode="half_to_even"), np.rint(halves)),
        (V.round(), np.rint(halves)),
        (T.choose(IV, [V[:2], -V[:2]], mode="clip"), np.choose([7, -9], [halves[:2], -halves[:2]], mode="clip")),
        (T.tile(V, 2, ndim=2), np.tile(halves, 2)[None]),
        (T.tril(X3), np.tril(x3)),
        (T.triu(X3, 1), np.triu(x3, 1)),
        (T.moveaxis(X3, (0, 1), (1, 0)), np.moveaxis(x3, (0, 1), (1, 0))),
        (T.repeat(V, [2]), np.repeat(halves, 2)),
        (T.take(V, IV, mode="wrap"), np.take(halves, [7, -9], mode="wrap")),
        (T.arange(0, 2.5, dtype="int64"), np.arange(0, 2.5, dtype=int)),
        (T.arange(small[4], small[1]), np.arange(255, 1)),
        (M.norm(-np.inf, axis=0), np.abs(np.array([[1, -2], [-3, 1]])).min(0)),
        (M.trace(), np.array(2.0)),
        (T.cov(M, V[:2], rowvar=False), np.cov([[1, -2], [-3, 1]], [0.5, 1.5], rowvar=False)),
    ]  # fmt: skip
    f = symc.function([IV, small, V, X3, M], [e for e, _ in expected])
    for (_, wanted), found in zip(expected, f([7, -9], u, halves, x3, [[1, -2], [-3, 1]])):
        assert found.shape == wanted.shape and np.allclose(found, wanted)


def test_clip_with_crossed_bounds_follows_numpy_and_its_gradient_the_value() -> None:
    low, high = T.scalars("low", "high")
    out = T.clip(V, low, high)
    f = symc.function([V, low, high], [out, *symc.grad((out * np.array([1, 10, 100], "f4")).sum(), [V, low, high])])
    for a, b in ((3, 1), (1, 3), (2, 2), (-5, -7)):
        value, by_v, by_low, by_high = f([0, 2, 5], a, b)
        assert value.tolist() == np.clip([0, 2, 5], a, b).tolist()
        step = 2.0**-10
        moved = [(f([0, 2, 5], a + da, b + db)[0] - value) / step for da, db in ((step, 0), (0, step))]
        if a != b:  # at a tie the derivative is one-sided
            assert [by_low, by_high] == [float((m * [1, 10, 100]).sum()) for m in moved]
        assert float(by_v.sum() + by_low + by_high) == 111


def test_sums_and_means_in_the_dtype_asked_for() -> None:
    ones = np.ones(1 << 12, "f4") * np.float32(4097)
    outputs = [V.sum(acc_dtype="float64"), V.mean(acc_dtype="float64"), V.prod(acc_dtype="float64")]
    found = symc.function([V], outputs)(ones)
    assert [v.dtype.name for v in found] == ["float32"] * 3
    assert found[0] == np.float32(4097 * (1 << 12)) and found[1] == 4097
    assert T.sum(T.vector(dtype="int8"), dtype="int32", acc_dtype="int64").dtype == "int32"
    for reduce in (T.sum, T.prod, T.mean):
        with pytest.raises(symc.errors.DTypeError, match="less precise"):
            reduce(V, acc_dtype="float16")


def test_a_copy_has_a_name_of_its_own() -> None:
    a = T.vector("a")
    b = a.copy(name="b")
    assert (a.name, b.name) == ("a", "b") and a.copy() is not a
    assert symc.function([a], symc.grad((b**2).sum(), a))([1, 2]).tolist() == [2, 4]
    f = symc.function([a], a * 2, name="f")
    assert (f.copy(name="g").name, f.copy().name) == ("g", "f")


def test_broadcast_patterns_of_numbers_are_bools() -> None:
    assert T.TensorType("float32", broadcastable=[1, 0]).broadcastable == (True, False)
    assert T.tensor("float32", [1, 0]).broadcastable == (True, False)
    assert T.tensor("float32", [1, 0]).static_shape == (1, None)


def test_masked_arrays_are_refused_wherever_a_value_enters() -> None:
    masked = np.ma.array([1, 2, 3], mask=[0, 1, 0], dtype="f4")
    kept = symc.shared(np.ones(3, "f4"))
    f = symc.function([V], V * 2)
    f(np.ones(3, "f4"))  # the launcher knows this shape now
    ways: list[Callable[[], Any]] = [
        lambda: f(masked), lambda: f(v=masked), lambda: V.eval({V: masked}), lambda: f([masked[0], masked[1], 3]),
        lambda: symc.shared(masked), lambda: kept.set_value(masked), lambda: T.constant(masked), lambda: V + masked,
        lambda: masked + V, lambda: T.as_tensor_variable(masked), lambda: T.dot(V, masked), lambda: V[masked],
        lambda: symc.function([], V, givens={V: masked}), lambda: symc.function([], [], updates={kept: masked}),
        lambda: T.set_subtensor(V[:3], masked), lambda: symc.function([symc.In(V, value=masked)], V)(),
        lambda: T.stack([masked, masked]), lambda: symc.grad(None, V, known_grads={V * 2: masked}),
    ]  # fmt: skip
    for way in ways:
        with pytest.raises(TypeError):
            way()


def test_lists_as_inputs_where_nothing_is_lost() -> None:
    f = symc.function([IV], IV * 2)
    assert f([]).tolist() == [] and f([]).dtype == "int64" and f([1.0, 2.0]).tolist() == [2, 4]
    for bad in ([1.5], [np.nan], [1e30], np.array([1.0])):
        with pytest.raises(TypeError):
            f(bad)


def test_a_number_over_its_size_is_its_sign_at_zero_too() -> None:
    x = T.vector("x")
    f = symc.function([x], [4 * x / abs(2 * x), x / abs(x), abs(x) / x, x * x / x])
    for found, wanted in zip(f([0, 3, -2]), ([0, 2, -2], [0, 1, -1], [0, 1, -1], [0, 3, -2])):
        assert found.tolist() == wanted


def test_the_shape_of_a_new_axis() -> None:
    f = symc.function([V], [V.dimshuffle("x", "x", 0).shape[1], V.dimshuffle("x", 0).shape], on_unused_input="ignore")
    one, both = f(np.ones(4, "f4"))
    assert one == 1 and both.tolist() == [1, 4]


def test_shared_variables_that_do_not_fit_yet() -> None:
    """Two values that contradict each other may fit at the call; one that contradicts a declared length never does."""
    a, b = symc.shared(np.ones((2, 3), "f4"), "a"), symc.shared(np.ones((3, 4), "f4"), "b")
    f = symc.function([], T.join(0, a, b))
    with pytest.raises(ValueError, match="join along axis 0"):
        f()
    b.set_value(np.ones((3, 3), "f4"))
    assert f().shape == (5, 3)
    b.set_value(np.ones((1, 2), "f4"))
    with pytest.raises(ValueError, match="join along axis 0"):
        f()
    x = T.tensor("float32", shape=(None, 4))
    for wrong in (T.join(0, x, a), T.dot(x, a)):
        with pytest.raises(ValueError):
            symc.function([x], wrong)


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "a misspelled choice": (lambda: T.searchsorted(V, V, side="rigth"), "searchsorted: side must be 'left' or 'right'"),
    "a choice that is an array": (lambda: T.round(V, mode=np.array([None, 1])), "round: mode must be"),
    "a choice that is a list": (lambda: T.slinalg.solve_triangular(M, V, trans=[1]), "solve_triangular: trans must be"),
    "True for a choice of numbers": (lambda: T.slinalg.solve_triangular(M, V, trans=True), "trans must be"),
    "a text for an integer": (lambda: T.diff(V, n="two"), "diff: n must be an integer, got 'two'"),
    "None for an integer": (lambda: T.nlinalg.matrix_power(M, None), "matrix_power: n must be an integer, got None"),
    "a text for a diagonal": (lambda: T.diag(V, "k"), "diag: k must be an integer, got 'k'"),
    "a text for a number of axes": (lambda: T.as_tensor_variable(V, ndim="2"), "as_tensor_variable: ndim must be"),
    "a negative number": (lambda: T.linspace(0, 1, -3), "linspace: num cannot be negative, got -3"),
    "a tensor for a list": (lambda: T.concatenate(M), "concatenate: expected a list of tensors"),
    "an unknown border": (
        lambda: T.nnet.conv2d(T.tensor4(), T.tensor4(), border_mode="sames"),
        "conv2d: border_mode must be 'valid', 'full', 'half', an integer or a pair, got 'sames'",
    ),
    "a length for a shape": (lambda: T.ivector(shape=3), "ivector: expected a shape of 1 entries, got 3"),
    "an array for a dtype": (lambda: T.cast(V, np.array([object(), None])), "symc has no dtype"),
    "a tensor for a dtype": (lambda: T.arange(3, dtype=M), "symc has no dtype"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_message_names_function_and_line(name: str) -> None:
    call, text = MISTAKES[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert text in message
    assert "no dtype" in text or f"at {__file__}" in message


def test_misspelled_choice_suggests_the_near_one() -> None:
    with pytest.raises(ValueError, match="repair: did you mean 'right'?"):
        T.searchsorted(V, V, side="rigth")
