"""Values that inputs accept: by default, with each value of ``allow_downcast``, and with ``strict``."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

WIDE, WHOLE = np.array([1.5, 2.5]), np.array([1, 2])


def asked(dtype, **policy):
    """A function of one input under a policy."""
    x = T.vector("x", dtype=dtype)
    return symc.function([symc.In(x, **policy)], x * 1)


@pytest.mark.parametrize("dtype, value", [("float32", WIDE), ("int32", WHOLE), ("float64", WHOLE)])
def test_what_loses_little_is_taken_by_default(dtype, value):
    found = asked(dtype)(value)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("policy", [{}, {"allow_downcast": False}])
def test_fractions_are_not_dropped_unasked(policy):
    with pytest.raises(TypeError, match="input 0"):
        asked("int32", **policy)(WIDE)
    np.testing.assert_array_equal(asked("int32", allow_downcast=True)(WIDE), [1, 2])


@pytest.mark.parametrize("policy", [{}, {"allow_downcast": True}])
def test_strict_inputs_take_their_own_dtype_alone(policy):
    f = asked("float32", strict=True, **policy)
    np.testing.assert_array_equal(f(WIDE.astype("float32")), WIDE)
    for other in (WIDE, WHOLE):
        with pytest.raises(TypeError, match="input 0"):
            f(other)


@pytest.mark.parametrize(
    "dtype, value", [("int64", [2**63]), ("int64", [2**64 - 1]), ("uint64", [-1]), ("int32", [2**31])]
)
@pytest.mark.parametrize("policy", [{}, {"allow_downcast": False}])
def test_integers_of_the_same_bits_and_another_sign_are_refused(dtype, value, policy):
    x = T.tensor(dtype, shape=(None,))
    f = symc.function([symc.In(x, **policy)], x)
    for given in [value, np.array(value)]:
        with pytest.raises(symc.errors.DTypeError, match="do not fit|lose information"):
            f(given)


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_masks_of_zeros_and_ones(dtype):
    """Nothing is lost when 0 and 1 become a bool; any other number would be."""
    f = asked("bool")
    assert f(np.array([0, 1, 1], dtype)).tolist() == [False, True, True]
    with pytest.raises(symc.errors.DTypeError, match="do not fit bool(.|\n)*!= 0"):
        f(np.array([0, 2], dtype))
    with pytest.raises(symc.errors.DTypeError):
        asked("bool", allow_downcast=False)(np.array([0, 1], dtype))
    assert asked("bool", allow_downcast=True)(np.array([0, 2], dtype)).tolist() == [False, True]
