"""State: applied and rejected updates, givens, and conversions of inputs."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc import In

f32 = np.float32


def compiled(*args, **options):
    return symc.function(*args, **{"device": "interp", **options})


def ones(*shape, dtype=f32):
    return np.ones(shape, dtype)


def counter(name="a", start=1.0):
    made = symc.shared(start, name)
    made.default_update = made + 1
    return made


# --- default updates ----------------------------------------------------------------------------------------------


def test_default_updates_behind_an_explicit_input_do_not_run():
    a = counter()
    b = 2 * a
    f = compiled([b], b)
    assert f(5.0) == 5 and a.get_value() == 1
    g = compiled([b], b + a)  # read beside the input too: then it is a part of the function
    assert g(5.0) == 6 and a.get_value() == 2


def test_default_updates_behind_an_input_that_only_an_update_reads():
    a, w = counter(), symc.shared(0.0, "w")
    b = a * 3
    compiled([b], [], updates={w: w + b})(2.0)
    assert (w.get_value(), a.get_value()) == (2, 1)
    s = T.scalar("s")
    f = compiled([b, In(s, value=0.0, update=s + b)], s)
    assert [f(2.0), f(2.0)] == [0, 2] and a.get_value() == 1


def test_default_updates_behind_a_default_update():
    """`c` is updated from `b`, an input: what lies behind `b` is left alone there too."""
    a = counter()
    b = a * 3
    c = symc.shared(0.0, "c")
    c.default_update = c + b
    f = compiled([b], c + b)
    assert f(2.0) == 2 and c.get_value() == 2 and a.get_value() == 1


def test_default_updates_of_what_a_given_replaces_do_not_run():
    a, c = counter("a"), counter("c", 10.0)
    b = 2 * a
    assert compiled([], b + 1, givens={b: c})() == 11
    assert (a.get_value(), c.get_value()) == (1, 11)
    assert compiled([], b, givens={a: T.constant(f32(4))})() == 8 and a.get_value() == 1


def test_a_default_update_sees_the_givens():
    a, step = symc.shared(0.0, "a"), T.scalar("step")
    a.default_update = a + step
    compiled([], a, givens={step: T.constant(f32(5))})()
    assert a.get_value() == 5


@pytest.mark.parametrize(
    "make", [lambda s: s.uniform((2,)), lambda s: s.normal((2,)), lambda s: s.binomial((2,), p=0.5)]
)
def test_random_states_behind_an_input_stay(make):
    streams = T.shared_randomstreams.RandomStreams(1)
    noise = make(streams)
    (state,) = compiled([], noise).get_shared()
    before = state.get_value()
    f = compiled([noise], noise + 1)
    np.testing.assert_array_equal(f(ones(2).astype(noise.dtype)), [2, 2])
    np.testing.assert_array_equal(state.get_value(), before)
    compiled([], noise)()
    assert (state.get_value() != before).any()


def test_running_averages_behind_an_input_stay():
    x, average = T.vector("x"), symc.shared(0.0, "average")
    normal = T.carry_updates(x - x.mean(), {average: average + x.mean()})
    f = compiled([normal], normal * 2)
    np.testing.assert_array_equal(f(ones(2)), [2, 2])
    assert average.get_value() == 0
    compiled([x], normal * 2)(ones(2))
    assert average.get_value() == 1


def test_no_default_updates_of_some():
    a, b = counter("a"), counter("b")
    compiled([], a + b, no_default_updates=[a])()
    assert (a.get_value(), b.get_value()) == (1, 2)
    with pytest.raises(TypeError, match="no_default_updates"):
        compiled([], a, no_default_updates=a)
    with pytest.raises(TypeError, match="no_default_updates"):
        compiled([], a, no_default_updates=["a"])


# --- updates that contradict their variable -----------------------------------------------------------------------

CONTRADICTIONS = {
    "dtype": (lambda: symc.shared(np.ones(3, "int32"), "w"), lambda w: w * 0.5),
    "an integer too wide": (lambda: symc.shared(np.ones(3, "int8"), "w"), lambda w: T.cast(w, "int64")),
    "a number as a flag": (lambda: symc.shared(np.ones(3, "bool"), "w"), lambda w: T.cast(w, "int8")),
    "fewer axes": (lambda: symc.shared(ones(3, 3), "w"), lambda w: w.sum(axis=0)),
    "more axes": (lambda: symc.shared(ones(3), "w"), lambda w: w.dimshuffle(0, "x")),
    "a declared dim": (lambda: symc.shared(ones(3, 3), "w", shape=(3, 3)), lambda w: T.ones((2, 3))),
    "one declared dim of two": (lambda: symc.shared(ones(3, 4), "w", shape=(None, 4)), lambda w: T.ones((7, 5))),
    "declared (3, 3) to (1, 1)": (
        lambda: symc.shared(ones(3, 3), "w", shape=(3, 3)),
        lambda w: w.sum(axis=(0, 1), keepdims=True),
    ),
    "(3, 3) to (1, 1)": (lambda: symc.shared(ones(3, 3), "w"), lambda w: w.sum(axis=(0, 1), keepdims=True)),
    "(3, 3) to (3, 1)": (lambda: symc.shared(ones(3, 3), "w"), lambda w: w.max(axis=1, keepdims=True)),
    "(1, 1) declared to broadcast": (
        lambda: symc.shared(ones(1, 1), "w", broadcastable=(True, True)),
        lambda w: T.ones((3, 3)) * w,
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_an_update_that_contradicts_its_variable_is_refused_at_build(case):
    make, new = CONTRADICTIONS[case]
    w = make()
    before = w.get_value()
    with pytest.raises((TypeError, ValueError), match="update.*w") as caught:
        compiled([], [], updates={w: new(w)})
    assert "test_state.py" in str(caught.value), "the message points to the user's line"
    np.testing.assert_array_equal(w.get_value(), before)
    w.default_update = new(w)
    with pytest.raises((TypeError, ValueError), match="update.*w"):
        compiled([], w)


def test_an_update_of_a_carried_average_is_checked_too():
    x, average = T.vector("x"), symc.shared(ones(3), "average")
    with pytest.raises((TypeError, ValueError), match="update.*average"):
        compiled([x], T.carry_updates(x, {average: x.mean(keepdims=True)}))


@pytest.mark.parametrize("device", ["interp", "c"])
def test_an_update_that_turns_out_to_contradict_is_refused_before_anything_changes(device):
    m = T.matrix("m")
    steps = symc.shared(0, "steps")
    w = symc.shared(ones(3, 3), "w", shape=(3, 3))
    b = symc.shared(ones(1, 4), "b", broadcastable=(True, False))
    f = symc.function([m], m.sum(), updates=[(steps, steps + 1), (w, m)], device=device)
    g = symc.function([m], m.sum(), updates=[(steps, steps + 1), (b, m)], device=device)
    for _ in range(2):
        for call in (lambda: f(ones(1, 1)), lambda: f(ones(3, 1)), lambda: g(ones(3, 4))):
            with pytest.raises(ValueError, match="update"):
                call()
            assert steps.get_value() == 0
            assert (w.get_value().shape, b.get_value().shape) == ((3, 3), (1, 4))
    f(ones(3, 3) * 2)
    g(ones(1, 7))  # the open axis may change its length
    assert steps.get_value() == 2 and w.get_value()[0, 0] == 2 and b.get_value().shape == (1, 7)


def test_updates_that_agree_are_taken():
    w = symc.shared(ones(1, 3), "w")
    compiled([], [], updates={w: w.sum(axis=0, keepdims=True) * 2})()
    np.testing.assert_array_equal(w.get_value(), [[2, 2, 2]])
    empty = symc.shared(np.zeros((1, 1), f32), "empty")
    compiled([], [], updates={empty: T.ones((2, 5))})()
    assert empty.get_value().shape == (2, 5)
    one = symc.shared(ones(1, 1), "one", broadcastable=(True, True))
    compiled([], [], updates={one: one + one.sum()})()
    assert one.get_value().shape == (1, 1)
    fixed = symc.shared(ones(2, 3), "fixed", shape=(2, 3))
    compiled([], [], updates={fixed: T.zeros_like(fixed)})()
    np.testing.assert_array_equal(fixed.get_value(), np.zeros((2, 3)))


def test_updates_are_pairs_of_shared_variables_and_values():
    x, w = T.vector("x"), symc.shared(0.0, "w")
    with pytest.raises(TypeError, match="updates must be of shared variables"):
        compiled([x], x, updates={x: x + 1})
    with pytest.raises(ValueError, match="updated twice"):
        compiled([], [], updates=[(w, w + 1), (w, w + 2)])
    with pytest.raises(ValueError, match="updated twice"):
        compiled([], [], updates=[(w, w + 1), (w.clone(), w + 2)])
    with pytest.raises(TypeError, match="pair"):
        compiled([], [], updates=[w, w + 1])


# --- givens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y, z: {x: x + 1},
        lambda x, y, z: {x: T.exp(2 * x[::-1])},
        lambda x, y, z: {x: y, y: x},
        lambda x, y, z: {x: y, y: x + 1},
        lambda x, y, z: [(x, y), (y, z), (z, x)],
        lambda x, y, z: [(z, x + 1), (x, y)],
    ],
    ids=["itself", "deep in itself", "exchanged", "cycle of two", "cycle of three", "replaced after it was used"],
)
def test_a_given_that_depends_on_what_is_replaced_is_refused(make):
    x, y, z = T.vectors("x", "y", "z")
    with pytest.raises(ValueError, match="givens.*depend") as caught:
        compiled([x, y, z], x + y + z, givens=make(x, y, z), on_unused_input="ignore")
    assert "x" in str(caught.value) or "y" in str(caught.value)


def test_chains_of_givens_follow_one_another():
    x, y, z = T.vectors("x", "y", "z")
    f = compiled([y], [x, z], givens=[(x, y * 2), (z, x + 1)])
    np.testing.assert_array_equal(f([1, 2]), [[2, 4], [3, 5]])
    w = symc.shared(ones(2), "w")
    g = compiled([], z, givens=[(y, w), (x, y + 1), (z, x * y)])
    np.testing.assert_array_equal(g(), [2, 2])


def test_a_shared_variable_may_be_given_in_terms_of_others_and_of_itself():
    """As in Theano: the variable inside its replacement is the variable."""
    w, v = symc.shared(ones(2), "w"), symc.shared(ones(2) * 3, "v")
    np.testing.assert_array_equal(compiled([], w * 2, givens={w: v + 1})(), [8, 8])
    np.testing.assert_array_equal(compiled([], w * 2, givens={w: w + 1})(), [4, 4])
    np.testing.assert_array_equal(compiled([], w * 2, givens={w: w.clone() + 1})(), [4, 4])


def test_an_inner_variable_may_be_given():
    x = T.vector("x")
    middle = T.exp(x)
    np.testing.assert_array_equal(compiled([x], middle * 2 + x, givens={middle: x + 1})([1, 2]), [5, 8])


def test_givens_must_fit():
    x, n = T.vector("x"), T.ivector("n")
    with pytest.raises(TypeError, match="axes"):
        compiled([], x, givens={x: T.ones((2, 2))})
    with pytest.raises(TypeError, match="given.*float32.*int32|dtype"):
        compiled([], n, givens={n: T.ones((2,)) * 0.5})
    declared = T.tensor("float32", shape=(3,), name="declared")
    with pytest.raises(ValueError, match="given"):
        compiled([], declared * 2, givens={declared: T.ones((4,))})
    f = compiled([x], declared * 2, givens={declared: x})
    np.testing.assert_array_equal(f(ones(3)), [2, 2, 2])
    with pytest.raises(ValueError, match="given|declared"):
        f(ones(4))
    with pytest.raises(ValueError, match="twice"):
        compiled([], x, givens=[(x, T.ones((2,))), (x, T.zeros((2,)))])
    with pytest.raises(TypeError, match="symbolic"):
        compiled([], x, givens={"x": T.ones((2,))})


# --- what inputs may lose -----------------------------------------------------------------------------------------

LOSSY = {
    "float64 array": ("float32", np.array([0.5, 1.0])),
    "a fraction in a float64 array": ("float32", np.array([0.1])),
    "int64 array to float32": ("float32", np.arange(3)),
    "int32 array to float32": ("float32", np.arange(3, dtype="int32")),
    "a Python number that float32 rounds": ("float32", [0.1]),
    "a whole number that float32 rounds": ("float32", [2**24 + 1]),
    "int64 array to int32": ("int32", np.arange(3)),
    "float array to int": ("int64", np.array([1.0])),
    "a fraction to int": ("int64", [1.5]),
    "a negative number to unsigned": ("uint8", [-1]),
    "a number too large": ("int8", [300]),
    "a number to bool": ("bool", np.array([2])),
}
LOSSLESS = {
    "float32 array": ("float32", np.array([0.5, 1.0], f32)),
    "float32 to float64": ("float64", np.array([0.1], f32)),
    "int16 to float32": ("float32", np.array([7], "int16")),
    "int32 to float64": ("float64", np.array([2**30 + 1], "int32")),
    "bool to int": ("int32", np.array([True, False])),
    "uint8 to int16": ("int16", np.array([255], "uint8")),
    "Python numbers that fit": ("float32", [0.5, 1, 2**24]),
    "whole numbers": ("int8", [1, -128]),
    "not a number": ("float32", [float("nan"), float("inf")]),
    "nothing": ("float32", []),
}
OFF = {
    "function": lambda v: compiled([v], v, allow_input_downcast=False),
    "In": lambda v: compiled([In(v, allow_downcast=False)], v, allow_input_downcast=True),
}


@pytest.mark.parametrize("way", OFF)
@pytest.mark.parametrize("case", LOSSY)
def test_allow_downcast_false_refuses(case, way):
    dtype, value = LOSSY[case]
    f = OFF[way](T.tensor(dtype, shape=(None,), name="v"))
    with pytest.raises(TypeError, match=r"input 0 \(v\).*"):
        f(value)
    if isinstance(value, list):
        with pytest.raises(TypeError):
            symc.function([s := T.tensor(dtype, shape=(), name="s")], s, allow_input_downcast=False)(value[0])


@pytest.mark.parametrize("case", LOSSLESS)
def test_allow_downcast_false_takes_what_loses_nothing(case):
    dtype, value = LOSSLESS[case]
    got = OFF["function"](T.tensor(dtype, shape=(None,), name="v"))(value)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.asarray(value, dtype))


def test_allow_downcast_none_and_true():
    x, n = T.vector("x"), T.ivector("n")
    np.testing.assert_array_equal(compiled([x], x)(np.array([0.1])), np.array([0.1], f32))
    np.testing.assert_array_equal(compiled([n], n)(np.arange(3)), [0, 1, 2])
    with pytest.raises(TypeError):
        compiled([n], n)(np.array([1.5]))
    np.testing.assert_array_equal(compiled([n], n, allow_input_downcast=True)(np.array([1.5, -1.5])), [1, -1])
    both = compiled([In(n, allow_downcast=True), x], [n, x], allow_input_downcast=False)
    both([1.5], [0.5])
    with pytest.raises(TypeError):
        both([1.5], [0.1])


def test_set_value_has_the_same_policies():
    w = symc.shared(ones(2), "w", allow_downcast=False)
    with pytest.raises(TypeError, match="set_value of w"):
        w.set_value(np.array([0.1, 0.2]))
    with pytest.raises(TypeError):
        w.set_value([0.1, 0.2])
    w.set_value([0.5, 2])
    np.testing.assert_array_equal(w.get_value(), [0.5, 2])
    with pytest.raises(TypeError):
        w.clone().set_value([0.1, 0.2])
    n = symc.shared(np.zeros(2, "int32"), "n", allow_downcast=True)
    n.set_value([1.5, 2.5])
    np.testing.assert_array_equal(n.get_value(), [1, 2])
    usual = symc.shared(ones(2), "usual")
    usual.set_value(np.array([0.1, 0.2]))
    assert usual.get_value().dtype == f32
    with pytest.raises(TypeError, match="strict"):
        symc.shared(ones(2), "s", strict=True).set_value(np.ones(2))


# --- In -----------------------------------------------------------------------------------------------------------


def test_a_default_is_taken_as_it_was_and_comes_back():
    x, s = T.vector("x"), T.vector("s")
    given = ones(2)
    f = compiled([x, In(s, value=given)], x + s)
    given[:] = 100
    np.testing.assert_array_equal(f(ones(2)), [2, 2])
    np.testing.assert_array_equal(f(ones(2), ones(2) * 5), [6, 6])
    np.testing.assert_array_equal(f(ones(2)), [2, 2])
    kept = ones(2)
    g = compiled([x, In(s, value=kept, borrow=True)], x + s)
    kept[:] = 7  # borrowed: the function reads the array itself
    np.testing.assert_array_equal(g(ones(2)), [8, 8])


def test_an_input_is_never_overwritten_nor_handed_out_whatever_it_allows():
    x = T.vector("x")
    for options in ({}, {"borrow": True}, {"mutable": True}, {"mutable": True, "borrow": True}):
        f = symc.function([In(x, **options)], [x, x + 1], device="c")
        given = ones(3)
        for _ in range(2):
            same, more = f(given)
            more += 50
            same += 50
            np.testing.assert_array_equal(given, [1, 1, 1])
    with pytest.raises(ValueError, match="mutable.*borrow"):
        In(x, mutable=True, borrow=False)


def test_a_default_that_does_not_fit_is_refused_at_build():
    x, n = T.vector("x"), T.ivector("n")
    for bad in (np.ones((2, 2)), 3.0, "text"):
        with pytest.raises((TypeError, ValueError), match="default value of input 0"):
            compiled([In(x, value=bad)], x)
    with pytest.raises(TypeError, match="lose"):
        compiled([In(n, value=[1.5])], n)
    assert compiled([In(n, value=[1.5], allow_downcast=True)], n)() == 1
    with pytest.raises(TypeError, match="strict"):
        compiled([In(n, value=np.arange(3), strict=True)], n)
    with pytest.raises(TypeError, match="lose"):
        compiled([In(x, value=np.array([0.1]))], x, allow_input_downcast=False)
    declared = T.tensor("float32", shape=(3,), name="declared")
    with pytest.raises(ValueError, match="default value"):
        compiled([In(declared, value=[1.0, 2.0])], declared)
    with pytest.raises(TypeError, match="givens"):
        In(x, value=symc.shared(ones(2)))
    with pytest.raises(TypeError, match="symbolic variable"):
        In(ones(3))
    with pytest.raises(TypeError, match="shared variable"):
        In(symc.shared(0.0))


def test_an_implicit_input_is_given_by_name_only():
    x, s, y = T.scalars("x", "s", "y")
    f = compiled([x, In(s, value=10.0, implicit=True), y], x + s + y)
    assert f(1, 2) == 13 and f(1, 2, s=0) == 3
    with pytest.raises(TypeError, match="takes 2 inputs"):
        f(1, 2, 3)
    with pytest.raises(ValueError, match="implicit"):
        In(s, implicit=True)
    unnamed = compiled([In(x, autoname=False)], x)
    with pytest.raises(TypeError, match="no input named"):
        unnamed(x=1)


def test_strict_refuses_even_what_loses_nothing():
    x = T.dvector("x")
    f = compiled([In(x, strict=True)], x)
    f(np.ones(2))
    for value in (ones(2), [1, 2], np.arange(2)):
        with pytest.raises(TypeError, match="strict"):
            f(value)


def test_an_updated_input_that_contradicts_itself():
    s = T.vector("s")
    with pytest.raises((TypeError, ValueError), match="update"):
        In(s, value=[0.0], update=T.ones((2, 2)))
    declared = T.tensor("float32", shape=(3,), name="declared")
    with pytest.raises((TypeError, ValueError), match="update"):
        In(declared, value=ones(3), update=T.ones((4,)))
    x = T.vector("x")
    f = compiled([x, In(declared, value=ones(3), update=x)], declared.sum())
    with pytest.raises(ValueError):
        f(ones(4))
    assert f(ones(3) * 2) == 3 and f(ones(3)) == 6
    n = T.iscalar("n")
    with pytest.raises(TypeError, match="update"):
        In(n, value=0, update=n * 0.5)


def test_updated_inputs_and_shared_variables_see_the_old_values():
    x, s, w = T.scalar("x"), T.scalar("s"), symc.shared(0.0, "w")
    f = compiled([x, In(s, value=1.0, update=s + x)], s * 10, updates={w: s})
    assert [f(2.0), float(w.get_value()), f(2.0), float(w.get_value())] == [10, 1, 30, 3]


def test_a_failed_call_leaves_an_updated_input_as_it_was():
    x, i, s = T.vector("x"), T.lscalar("i"), T.scalar("s")
    f = compiled([x, i, In(s, value=0.0, update=s + 1)], x[i] + s)
    with pytest.raises(IndexError):
        f(ones(2), 5)
    assert f(ones(2), 0) == 1 and f(ones(2), 0) == 2


# --- Function.copy ------------------------------------------------------------------------------------------------


def test_copies_swap_a_variable_wherever_its_value_is_used():
    w, other, step = symc.shared(1.0, "w"), symc.shared(10.0, "other"), T.scalar("step")
    f = compiled([step], w * 2 + w.clone(), updates=[(w, w.clone() + step)], name="f")
    g = f.copy(swap={w: other})
    assert g.name == "f" and g(5) == 30 and other.get_value() == 15 and w.get_value() == 1
    assert f.copy(name="g").name == "g" and f.name == "f"
    with pytest.raises(ValueError, match="swap.*does not use"):
        f.copy(swap={symc.shared(0.0, "stranger"): other})
    with pytest.raises(TypeError, match="shared"):
        f.copy(swap={w: 3.0})
    with pytest.raises((TypeError, ValueError), match="dtype"):
        f.copy(swap={w: symc.shared(0, "n")})


def test_a_swap_must_fit_the_update():
    w = symc.shared(ones(2), "w")
    f = compiled([], [], updates={w: w + T.ones((2,))})
    with pytest.raises(ValueError):
        f.copy(swap={w: symc.shared(ones(3), "v", shape=(3,))})
    a, b = symc.shared(0.0, "a"), symc.shared(0.0, "b")
    g = compiled([], a + b, updates=[(a, a + 1), (b, b + 2)])
    with pytest.raises(ValueError, match="twice"):
        g.copy(swap={a: b})
    swapped = g.copy(swap={a: b, b: a})
    swapped()
    assert (a.get_value(), b.get_value()) == (2, 1)


def test_copies_without_updates_keep_their_inputs_state():
    x, s, w = T.scalar("x"), T.scalar("s"), symc.shared(0.0, "w")
    f = compiled([x, In(s, value=1.0, update=s + x)], [s, w], updates={w: w + 1})
    g = f.copy(delete_updates=True)
    assert [float(v) for v in g(2)] == [1, 0] == [float(v) for v in g(2)]
    assert [float(v) for v in f(2)] == [1, 0] and [float(v) for v in f(2)] == [3, 1]
    h = f.copy()
    assert [float(v) for v in h(1)] == [5, 2] and [float(v) for v in f(1)] == [5, 3]


def test_a_copy_keeps_the_policy_of_its_inputs():
    x = T.vector("x")
    f = compiled([In(x, name="data", value=[0.5])], x * 2, allow_input_downcast=False)
    g = f.copy()
    assert g() == 1 and g(data=[2.0]) == 4
    with pytest.raises(TypeError):
        g(np.array([0.1]))
