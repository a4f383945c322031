"""Calls that replace the arrays of shared variables, and other calls that need no Python code."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc_backends.c.launch import available

pytestmark = pytest.mark.skipif(not available(), reason="needs a C compiler and Python.h")
N = 20_000  # a value that is too large to be copied at the end of a call


def fast_calls(f):
    return f.specialisation.fast.call.fast_calls


@pytest.fixture
def turning():
    """A variable that a function turns around, plus one, at each call; its value; the function."""
    u = symc.shared(np.arange(N, dtype="float32"), "u")
    k = T.lscalar("k")
    f = symc.function([k], None, updates={u: u[::-1] + u[k] * 0 + 1})
    assert f.specialisation.swapped
    return u, f


def expected(n):
    value = np.arange(N, dtype="float32")
    for _ in range(n):
        value = value[::-1] + 1
    return value


def test_values_are_replaced_without_python(turning):
    u, f = turning
    total = symc.function([], [u[0], u[-1]])
    for n in range(1, 7):
        assert f(0) is None
        assert [float(v) for v in total()] == [expected(n)[0], expected(n)[-1]]
    assert fast_calls(f) >= 4
    np.testing.assert_array_equal(u.get_value(), expected(6))


def test_an_array_that_somebody_holds_is_not_overwritten(turning):
    u, f = turning
    held = []
    for _ in range(5):
        f(0)
        held.append(u.get_value(borrow=True)[1:])
    for n, array in enumerate(held, 1):
        np.testing.assert_array_equal(array, expected(n)[1:])


def test_a_new_value_and_a_new_length_are_seen(turning):
    u, f = turning
    for _ in range(3):
        f(0)
    u.set_value(np.arange(N, dtype="float32"))
    f(0)
    np.testing.assert_array_equal(u.get_value(), expected(1))
    u.set_value(np.zeros(N + 1, "float32"))
    for _ in range(3):
        f(0)
    np.testing.assert_array_equal(u.get_value(), np.full(N + 1, 3, "float32"))


def test_a_failed_call_changes_nothing(turning):
    u, f = turning
    for n in range(1, 4):
        f(0)
        with pytest.raises(IndexError):
            f(N)
        np.testing.assert_array_equal(u.get_value(), expected(n))
    assert fast_calls(f) >= 2


def test_arguments_of_several_lengths_use_no_outdated_address():
    u, x = symc.shared(np.arange(N, dtype="float32")), T.vector("x", dtype="float32")
    f = symc.function([x], x.sum(), updates={u: u[::-1] + T.ones_like(x).sum()})
    assert f.specialisation.swapped
    value = np.arange(N, dtype="float32")
    for n in [1, 2, 2, 2, 1, 1, 1, 2, 3, 1]:
        f(np.ones(n, "float32"))
        value = value[::-1] + n
        np.testing.assert_array_equal(u.get_value(), value)
    assert fast_calls(f) >= 2


def test_variables_may_exchange_their_values():
    a, b = (symc.shared(np.full(N, v, "float32")) for v in (1, 2))
    f = symc.function([], {"first": a[0]}, updates={a: b, b: a * 2})
    found = [float(f()["first"]) for _ in range(6)]
    assert found == [1, 2, 2, 4, 4, 8]
    assert fast_calls(f) >= 4


def test_a_scalar_may_be_set_before_every_call():
    rate, w = symc.shared(np.float32(0)), symc.shared(np.zeros(3, "float32"))
    f = symc.function([], w.sum(), updates={w: w + rate})
    f()
    for k in range(5):
        rate.set_value(np.float32(k))
        f()
    assert fast_calls(f) >= 3
    np.testing.assert_array_equal(w.get_value(), np.full(3, 10, "float32"))


def test_calls_of_changing_shapes_share_the_replaced_array():
    u = symc.shared(np.arange(N, dtype="float32"), "u")
    x = T.vector("x")
    f = symc.function([x], x.sum(), updates={u: u[::-1] + x.sum() * 0 + 1})
    for n in range(1, 9):
        assert f(np.ones(1 + n % 3, "float32")) == 1 + n % 3
        np.testing.assert_array_equal(u.get_value(), expected(n))


def test_a_new_value_does_not_change_an_array_of_the_user():
    mine, new = np.zeros(3, "float32"), np.ones(3, "float32")
    s = symc.shared(mine, borrow=True)
    s.set_value(new)
    mine2 = np.full(3, 2, "float32")
    s.set_value(mine2, borrow=True)
    s.set_value(new)
    lent = s.get_value(borrow=True)
    s.set_value(np.full(3, 5, "float32"))
    assert mine.tolist() == [0] * 3 and mine2.tolist() == [2] * 3 and lent.tolist() == [1] * 3
    assert s.get_value().tolist() == [5] * 3


def test_lengths_that_are_expressions_of_others():
    """The shape of a target is that of the outputs, which is an expression of other arguments' shapes."""
    x, w, g = T.tensor4("x"), T.tensor4("w"), T.tensor4("g")
    f = symc.function([x, w, g], ((T.nnet.conv2d(x, w) - g) ** 2).sum())

    def given(n, side, taps):
        return [np.ones(s, "float32") for s in [(n, 2, side, side), (3, 2, taps, taps), (n, 3, *[side - taps + 1] * 2)]]

    small, large = given(2, 5, 3), given(3, 6, 2)
    for known, arrays in enumerate([small, large] * 3):
        before = fast_calls(f) if f.specialisation.fast is not None else 0
        taps = arrays[1].shape[2]
        assert f(*arrays) == arrays[2].size * (2 * taps**2 - 1) ** 2
        assert fast_calls(f) == before + (known > 1)
    for wrong in ([*small[:2], large[2]], [small[0], large[1], small[2]], [*small[:2], small[2][:, :, :-1]]):
        with pytest.raises(symc.errors.GuardError, match=r"conv2d|elemwise|sub|shapes|axis"):
            f(*wrong)
    assert f(*small) == small[2].size * 17**2
