"""Which inputs count as used: those read for their values, their shapes or their types."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

ones = np.ones((2, 3), "float32")

VARIABLES = {
    "symbolic": lambda: T.matrix("x"),
    "known": lambda: T.tensor("float32", shape=(2, 3), name="x"),
    "partly known": lambda: T.tensor("float32", shape=(None, 3), name="x"),
}

# Expressions that read a matrix for its shape or type alone, with their value for ``ones``.
READINGS = {
    "gradient of an affine function": (lambda x: symc.grad((3 * x + 1).sum(), x), 3 * ones),
    "zeros_like": (T.zeros_like, 0 * ones),
    "ones_like": (T.ones_like, ones),
    "zeros_like of another dtype": (lambda x: T.zeros_like(x, dtype="int32"), 0 * ones),
    "full_like": (lambda x: T.full_like(x, 7), 7 * ones),
    "fill": (lambda x: T.fill(x, 7.0), 7 * ones),
    "fill with a value that has the shape": (lambda x: T.fill(x, np.full((2, 3), 7, "float32")), 7 * ones),
    "shape": (lambda x: x.shape, [2, 3]),
    "part of the shape": (lambda x: x.shape[1], 3),
    "T.shape": (T.shape, [2, 3]),
    "slice of the shape": (lambda x: x.shape[1:], [3]),
    "size": (lambda x: x.size, 6),
    "product of the shape": (lambda x: T.prod(x.shape), 6),
    "alloc": (lambda x: T.alloc(1.0, x.shape[0], x.shape[1]), ones),
    "zeros": (lambda x: T.zeros(x.shape), 0 * ones),
    "ones of a part": (lambda x: T.ones((x.shape[1], 2)), np.ones((3, 2))),
    "arithmetic on lengths": (lambda x: T.zeros((x.shape[0] * 2 + 1,)), np.zeros(5)),
    "arange": (lambda x: T.arange(x.shape[1]), [0, 1, 2]),
    "eye": (lambda x: T.eye(x.shape[1]), np.eye(3)),
    "a length as a float": (lambda x: T.cast(x.shape[0], "float32") / 4, 0.5),
    "identity_like": (lambda x: T.identity_like(x), np.eye(2, 3)),
    "reshape of something else": (lambda x: T.arange(6).reshape(x.shape), np.arange(6).reshape(2, 3)),
    "slice of something else": (lambda x: T.arange(6)[: x.shape[0]], [0, 1]),
    "tile": (lambda x: T.tile(T.arange(2), x.shape[1]), [0, 1] * 3),
    "second of two": (lambda x: T.arange(x.shape[0] - 1), [0]),
}


@pytest.mark.parametrize("kind", VARIABLES)
@pytest.mark.parametrize("case", READINGS)
def test_an_input_read_for_its_shape_is_used(case, kind):
    make, wanted = READINGS[case]
    x = VARIABLES[kind]()
    f = symc.function([x], make(x), device="interp")
    np.testing.assert_allclose(f(ones), wanted)


@pytest.mark.parametrize(
    "make, wanted",
    [
        (lambda s: symc.grad(3 * s + 1, s), 3),
        (lambda s: T.zeros_like(s), 0),
        (lambda s: T.ones_like(s), 1),
        (lambda s: T.fill(s, 4.0), 4),
        (lambda s: s.shape, []),
        (lambda s: s.size, 1),
    ],
    ids=["gradient", "zeros_like", "ones_like", "fill", "shape", "size"],
)
def test_a_scalar_read_for_its_type_is_used(make, wanted):
    s = T.scalar("s")
    np.testing.assert_array_equal(symc.function([s], make(s), device="interp")(5.0), wanted)


def test_the_gradients_of_issue():
    x, y = T.scalars("x", "y")
    gx, gy = symc.grad(3 * x + y, [x, y])
    assert symc.function([x, y], [gx, gy], device="interp")(1, 2) == [3, 1]
    v = T.vector("v")
    np.testing.assert_array_equal(symc.function([v], symc.grad(v.sum(), v), device="interp")([1, 2]), [1, 1])


def test_known_shapes_stay_known():
    x = VARIABLES["known"]()
    assert T.zeros(x.shape).static_shape == (2, 3)
    assert T.zeros((x.shape[0], x.shape[1] * 2)).static_shape == (2, 6)
    assert T.arange(x.shape[1]).static_shape == (3,)
    assert T.zeros_like(x).static_shape == (2, 3) and T.fill(x, 1.0).static_shape == (2, 3)
    assert T.arange(6).reshape(x.shape).static_shape == (2, 3)
    assert T.arange(6).reshape((x.shape[0], -1)).static_shape == (2, 3)
    assert x[: x.shape[0] // 2].static_shape == (1, 3)
    with pytest.raises(ValueError, match="shapes do not go together"):
        T.zeros(x.shape) + T.zeros((2, 4))


@pytest.mark.parametrize("kind", VARIABLES)
def test_what_is_not_read_at_all_is_refused(kind):
    x, y = VARIABLES[kind](), T.vector("y")
    with pytest.raises(symc.errors.UnusedInputError, match="x"):
        symc.function([x, y], y * 2, device="interp")
    _ = x.shape, T.zeros_like(x), x + 1  # expressions that the function does not contain
    with pytest.raises(symc.errors.UnusedInputError, match="x"):
        symc.function([x, y], y * 2, device="interp")
    with pytest.raises(symc.errors.UnusedInputError, match="y"):
        symc.function([x, y], T.zeros_like(x), device="interp")


def test_an_input_behind_another_input_is_not_used():
    x = T.vector("x")
    y = x * 2
    with pytest.raises(symc.errors.UnusedInputError, match="x"):
        symc.function([x, y], y + 1, device="interp")


def test_an_input_that_a_given_replaces_is_not_used():
    x, y = T.vectors("x", "y")
    with pytest.raises(symc.errors.UnusedInputError, match="x"):
        symc.function([x, y], x + y, givens={x: y * 2}, device="interp")


def test_inputs_of_updates_and_default_updates_count():
    x, w = T.vector("x"), symc.shared(0.0, "w")
    symc.function([x], [], updates={w: x.shape[0] * 1.0}, device="interp")(np.ones(4))
    assert w.get_value() == 4
    s, n = T.scalar("s"), T.scalar("n")
    f = symc.function([n, symc.In(s, value=0.0, update=s + n)], s, device="interp")
    assert f(1) == 0 and f(1) == 1


def test_a_known_length_serves_as_a_python_number():
    x = VARIABLES["known"]()
    assert int(x.shape[1]) == 3 and bool(x.shape[0]) and float(x.shape[0]) == 2
    assert [int(n) for n in x.shape] == [2, 3] and np.asarray(x.shape).tolist() == [2, 3]
    assert int(T.scalar("s").size) == 1
