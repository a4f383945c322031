"""Error messages: each names the op, the operands, the rule, a repair, and the user's own lines."""

from __future__ import annotations

import functools
import os
import re
import warnings

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import (
    DisconnectedInputError,
    DTypeError,
    GuardError,
    MissingInputError,
    NullGradError,
    ShapeError,
    SymcError,
    UnusedInputError,
)

f32 = np.float32
BACKENDS = ("interp", "c")


def place(marker: str) -> str:
    """Where this file has ``# marker``, as messages write it."""
    with open(__file__, encoding="utf-8") as f:
        lines = [k for k, line in enumerate(f, 1) if line.rstrip().endswith(f"# {marker}")]
    assert len(lines) == 1, marker
    return f"{__file__}:{lines[0]}:"


def message(kind: type[BaseException], act) -> str:
    """What the error says, which must be of this kind and blame none of symc's own files."""
    with pytest.raises(kind) as caught:
        act()
    text = str(caught.value)
    own = os.path.dirname(symc.__file__) + os.sep
    assert own not in text, f"blames symc's own file:\n{text}"
    return text


# --- the messages that the interface promises ---------------------------------------------------------------------


def test_shape_mismatch_known_when_built():
    a = T.tensor("float32", (3, 4), name="a")  # shape a
    b = T.tensor("float32", (5, 4), name="b")  # shape b
    text = message(ShapeError, lambda: a + b)  # shape add
    assert text.startswith("add: shapes do not go together")
    assert "3" in text.splitlines()[0] and "5" in text.splitlines()[0]
    assert re.search(r"operand 0: a: float32\(3, 4\), made at ", text) and place("shape a") in text
    assert re.search(r"operand 1: b: float32\(5, 4\), made at ", text) and place("shape b") in text
    assert "repair: " in text
    assert f"at {place('shape add')} text = " in text.splitlines()[-1]


def test_inner_dims_of_a_product():
    a = T.tensor("float32", (3, 4), name="a")
    b = T.tensor("float64", (5, 2), name="b")
    text = message(ShapeError, lambda: T.dot(T.tanh(a), b))
    assert text.startswith("dot: the inner dims must be equal, got 4 and 5")
    # the product is computed in float64; the operand is named by what the user wrote, not by the conversion
    assert "operand 0: result of tanh: float64(3, 4) (from float32(3, 4))" in text
    assert "repair: " in text and "transpose" in text


@pytest.mark.parametrize("device", BACKENDS)
def test_shape_mismatch_known_when_called(device):
    x, y = T.matrices("x", "y")
    v = T.vector("v")
    z = T.dot(x, y) + v  # guard op
    f = symc.function([x, y, v], T.exp(z), name="net", device=device)
    assert f(np.ones((2, 3), f32), np.ones((3, 4), f32), np.ones(4, f32)).shape == (2, 4)
    for _ in range(2):  # the same whether or not the function has met the shapes before
        text = message(GuardError, lambda: f(np.ones((2, 3), f32), np.ones((3, 4), f32), np.ones(5, f32)))  # guard call
        assert text.startswith("net(): add: shapes do not go together on axis 1")
        assert "operand 0: result of dot: float32(x0, y1)" in text
        assert "operand 1: v: float32(x0, v0) (from float32(v0,))" in text
        assert f"  at {place('guard op')} z = T.dot(x, y) + v" in text
        assert "in this call: 4 and 5" in text
        assert "given: x: float32(2, 3), y: float32(3, 4), v: float32(5,)" in text
        assert f"called at {place('guard call')}" in text
        assert "repair: " in text


@pytest.mark.parametrize("device", BACKENDS)
def test_a_rule_about_more_than_one_dim_shows_each(device):
    images, filters = T.tensor4s("a", "b")
    f = symc.function([images, filters], T.nnet.conv2d(images, filters), device=device)
    text = message(GuardError, lambda: f(np.ones((1, 3, 2, 4), f32), np.ones((4, 3, 3, 3), f32)))
    assert (
        "a filter covers b2 rows, but the padded images have only a2" in text and "in this call: a2 = 2, b2 = 3" in text
    )


def test_known_shape_of_a_shared_variable_is_checked_when_compiled_at_the_ops_line():
    x = T.matrix("x")
    w = symc.shared(np.ones((3, 4), f32), "w")
    y = T.dot(w, x)  # shared op
    z = y + symc.shared(np.ones((7, 4), f32), "c")  # shared add
    text = message(ShapeError, lambda: symc.function([x], z))
    assert text.startswith("add: shapes do not go together") and "c: float32(7, 4)" in text
    assert f"  at {place('shared add')}" in text and place("shared op") in text


def test_wrong_dtype_when_built():
    x = T.matrix("x")
    text = message(DTypeError, lambda: x & x)  # dtype and
    assert text.startswith("and: works on bools and integers, got float32")
    assert "operand 0: x: float32(x0, x1)" in text and "repair: compare first" in text
    assert f"at {place('dtype and')}" in text


def test_wrong_dtype_when_called():
    x = T.imatrix("x")  # dtype x
    f = symc.function([x], x * 2, name="twice")
    text = message(DTypeError, lambda: f(np.ones((2, 2)) * 1.5))  # dtype call
    assert text.startswith("twice(): input 0 (x): expected dtype int32, got float64")
    assert "repair: convert it yourself, with .astype('int32')" in text
    assert f"operand 0: x: int32(x0, x1), made at {place('dtype x')}" in text
    assert f"at {place('dtype call')}" in text


@pytest.mark.parametrize(
    "value, shown",
    [
        ("text", "'text'"),
        (None, "None"),
        (np.array([[None]]), "objects of type NoneType"),
        (np.ones((2, 2), complex), "x.real"),
        ([[1, 2], [3]], "lists of different lengths"),
        (object(), "objects of type object"),
        (np.zeros((1, 1), "m8[s]"), "divide by a unit"),
    ],
)
def test_what_is_no_array_of_numbers(value, shown):
    x = T.matrix("x")
    f = symc.function([x], x * 2, name="twice")
    for downcast in (False, True):
        g = symc.function([x], x * 2, name="twice", allow_input_downcast=downcast)
        said = message((TypeError, ValueError), lambda g=g: g(value))
        assert "twice(): input 0 (x)" in said and shown in said
    assert f([[1, 2], [3, 4]]).tolist() == [[2, 4], [6, 8]]


def test_disconnected_gradient():
    x, y = T.matrices("x", "y")  # far x
    cost = T.sum(T.sqr(y))
    cost.name = "cost"
    text = message(DisconnectedInputError, lambda: symc.grad(cost, x))  # far grad
    assert text.startswith("grad: the cost (operand 1) does not depend on operand 0")
    assert f"operand 0: x: float32(x0, x1), made at {place('far x')}" in text
    assert "operand 1: cost: float32()" in text
    assert "disconnected_inputs='ignore'" in text and f"at {place('far grad')}" in text
    assert symc.grad(cost, x, disconnected_inputs="ignore").ndim == 2


def test_disconnected_gradient_of_what_has_a_known_gradient():
    """Such as the rows of a Jacobian that a loop computes."""
    x, y = T.vectors("x", "y")
    z = y**2
    for act in (lambda: symc.grad(None, x, known_grads={z: y}), lambda: T.jacobian(z, x)):
        text = message(DisconnectedInputError, act)
        assert text.startswith("grad: nothing that has a known gradient depends on operand 0")
        assert "operand 0: x: float32(x0,)" in text and "operand 1: result of pow: float32(y0,)" in text


def test_unused_input():
    x, y = T.vectors("x", "y")  # idle y
    text = message(UnusedInputError, lambda: symc.function([x, y], x + 1))  # idle function
    assert "operand 0: y: float32(y0,)" in text and place("idle y") in text
    assert "on_unused_input='ignore'" in text and f"at {place('idle function')}" in text


def test_missing_input():
    x, bias = T.vectors("x", "bias")  # lost bias
    text = message(MissingInputError, lambda: symc.function([x], x + bias))  # lost function
    assert "operand 0: bias: float32(bias0,)" in text and place("lost bias") in text
    assert "givens=" in text and f"at {place('lost function')}" in text


def test_missing_input_names_the_near_one():
    x, wrong = T.vector("learning_rate"), T.vector("learning_rat")
    assert "an input is called 'learning_rate'" in message(MissingInputError, lambda: symc.function([x], x + wrong))


# --- whose line it is ---------------------------------------------------------------------------------------------


def helper(a, b):
    return T.concatenate([a, b])  # inside helper


def test_a_users_helper_is_blamed_at_its_own_line():
    x, v = T.matrix("x"), T.vector("v")
    assert f"at {place('inside helper')}" in message(ShapeError, lambda: helper(x, v))


def test_calls_through_the_library_are_the_users():
    x, y = T.tensor("float32", (2,), name="x"), T.tensor("float32", (3,), name="y")
    text = message(ShapeError, lambda: functools.reduce(T.add, [x, y]))  # through reduce
    assert f"at {place('through reduce')}" in text
    import lasagne_like.objectives as objectives

    text = message(ShapeError, lambda: objectives.squared_error(x, y))  # through layers
    assert (
        f"at {place('through layers')}" in text
        and "lasagne_like" + os.sep not in text.split(place("through layers"))[0]
    )


def test_warnings_point_to_the_users_line():
    x, y = T.vectors("x", "y")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        symc.function([x, y], x + 1, on_unused_input="warn")
        symc.grad(x.sum(), y, disconnected_inputs="warn")
    assert [w.filename for w in caught] == [__file__, __file__]


# --- wrong use in general -----------------------------------------------------------------------------------------

x, y = T.matrices("x", "y")
v, s, k, iv = T.vector("v"), T.scalar("s"), T.iscalar("k"), T.ivector("iv")
A, B = T.tensor("float32", (3, 4), name="A"), T.tensor("float32", (5, 4), name="B")
w = symc.shared(np.zeros((2, 3), f32), "w")


def loop():
    for row in x:
        print(row)


def assign():
    x[0] = 1


WRONG = [
    (TypeError, lambda: x[1.5], "index must be an integer"),
    (TypeError, lambda: x["a"], "expected a symbolic variable or numbers, got str: 'a'"),
    (IndexError, lambda: x[1, 2, 3], "3 indices for 2 axes"),
    (IndexError, lambda: A[7], "index 7 is out of range for axis 0 of 3"),
    (IndexError, lambda: A[:, -5], "index -5 is out of range for axis 1 of 4"),
    (TypeError, lambda: T.dot([["a"]], x), "dot: expected a symbolic variable or numbers"),
    (TypeError, lambda: x + "a", "add: expected a symbolic variable or numbers, got str: 'a'"),
    (TypeError, lambda: T.nnet.softmax(None), "softmax: expected a symbolic variable or numbers, got NoneType: None"),
    (TypeError, lambda: bool(s > 0), "switch(condition, a, b)"),
    (TypeError, lambda: 1 if s > 0 else 2, "no truth value"),
    (TypeError, loop, "cannot be iterated over"),
    (TypeError, lambda: len(v), "x.shape[0]"),
    (TypeError, lambda: 3 in v, "any(eq(x, item))"),
    (TypeError, assign, "set_subtensor"),
    (TypeError, lambda: float(s), ".eval("),
    (TypeError, lambda: int(k), ".eval("),
    (TypeError, lambda: np.asarray(v), ".eval("),
    (TypeError, lambda: np.spacing(x), "numpy.spacing does not work"),
    (TypeError, lambda: np.subtract.reduce(v), "numpy.subtract.reduce does not work"),
    (TypeError, lambda: np.add(v, 1, out=np.ones(3)), "with out="),
    (
        ValueError,
        lambda: T.grad(s, v, return_disconnected="zeros"),
        "must be 'zero', 'none' or 'disconnected', got 'zeros'",
    ),
    (AttributeError, lambda: T.sotfmax, "symc.tensor has no 'sotfmax'"),
    (AttributeError, lambda: T.zeroes, "did you mean 'zeros'?"),
    (AttributeError, lambda: symc.shred, "did you mean 'shared'?"),
    (TypeError, lambda: symc.function(x, x), "write [x]"),
    (TypeError, lambda: symc.function([np.ones(3)], x), "must be a symbolic variable"),
    (TypeError, lambda: symc.function([w], w * 2), "givens="),
    (TypeError, lambda: symc.function([x], "x"), "an output must be an expression or numbers, got 'x'"),
    (ValueError, lambda: symc.function([x, x], x), "listed twice"),
    (ValueError, lambda: symc.function([x], x, device="tpu"), "installed are"),
    (ValueError, lambda: symc.function([x], x, mode="quick"), "fast_compile"),
    (ValueError, lambda: symc.function([x], x, mode="FASTRUN"), "repair: write 'fast_run'"),
    (TypeError, lambda: symc.function([x], x, updates=[w, x]), "updates must be a mapping or a list of pairs"),
    (TypeError, lambda: symc.shared([1, "a"]), "shared: expected an array of numbers, got strings"),
    (ValueError, lambda: symc.shared([[1], [1, 2]]), "shared: expected an array of numbers"),
    (TypeError, lambda: symc.scan(lambda a: a, [x], [v]), "does not take the 2 arguments"),
    (TypeError, lambda: symc.function([x], [], updates={x: x}), "symc.runtime.shared"),
    (ValueError, lambda: symc.function([], [], updates=[(w, w), (w, w)]), "updated twice"),
    (TypeError, lambda: symc.function([], [], updates={w: w.sum()}), "as many axes"),
    (TypeError, lambda: symc.function([], [], updates={symc.shared(np.zeros(2, "int32")): v}), "cast it"),
    (TypeError, lambda: symc.function([x], x + v, givens={v: x}), "number of axes"),
    (ShapeError, lambda: symc.grad(v * 2, v), "must be a scalar"),
    (TypeError, lambda: symc.grad(T.sum(v), "v"), "symbolic variables"),
    (ValueError, lambda: symc.grad(T.sum(v), v, disconnected_inputs="no"), "'raise', 'warn' or 'ignore'"),
    (TypeError, lambda: symc.scan(3, sequences=v), "scan: fn must be a function, got 3"),
    (ShapeError, lambda: T.split(v, [2, 3], 3), "split: n_splits=3 pieces wanted, 2 lengths given in splits_size"),
    (ShapeError, lambda: T.sum(x, axis=-3), "axis -3 is out of range for 2 axes"),
    (ShapeError, lambda: x.max(axis=(0, 2)), "axis 2 is out of range"),
    (TypeError, lambda: T.sum(x, axis=1.5), "integer as axis, got 1.5"),
    (TypeError, lambda: T.sum(x, axis="rows"), "integer as axis, got 'rows'"),
    (ShapeError, lambda: A.reshape((5, 5)), "holds 12 elements"),
    (ShapeError, lambda: x.reshape((-1, -1)), "at most one entry may be -1"),
    (ShapeError, lambda: T.concatenate([A, B], axis=1), "operands differ on axis 0"),
    (ShapeError, lambda: T.concatenate([x, v]), "as many axes"),
    (ShapeError, lambda: T.concatenate([x, y], axis=2), "axis 2 is out of range"),
    (ValueError, lambda: T.concatenate([]), "nothing to join"),
    (ShapeError, lambda: x.dimshuffle(0, 5), "axis 5 is out of range"),
    (ValueError, lambda: x.dimshuffle(0, 0), "used twice"),
    (TypeError, lambda: T.cast(x, "float33"), "no dtype 'float33'"),
    (TypeError, lambda: T.matrix("x", dtype="float33"), "no dtype 'float33'"),
    (ValueError, lambda: T.zeros((-3,)), "cannot be negative"),
    (ValueError, lambda: w.set_value(np.zeros(3, f32)), "set_value of w: expected 2 axes"),
    (TypeError, lambda: w.set_value("hello"), "set_value of w: expected numbers"),
    (TypeError, lambda: w.set_value(x), "the symbolic variable x"),
    (TypeError, lambda: symc.shared(x), ".eval()"),
    (AttributeError, lambda: setattr(symc.config, "floatx", "float64"), "did you mean 'floatX'?"),
    (ValueError, lambda: setattr(symc.config, "floatX", "float16"), "'float32', 'float64'"),
]


@pytest.mark.parametrize("kind, act, part", WRONG, ids=[f"{k}-{part[:30]}" for k, (_, _, part) in enumerate(WRONG)])
def test_wrong_use(kind, act, part):
    assert part in message(kind, act)


def test_a_refused_value_leaves_the_old_one():
    kept = symc.shared(np.arange(3, dtype=f32), "kept")
    with pytest.raises(ValueError):
        kept.set_value(np.zeros((2, 2), f32))
    np.testing.assert_array_equal(kept.get_value(), [0, 1, 2])


def test_no_derivative():
    from symc.graph.op import Op, Record
    from symc.graph.types import TensorType

    blind = Record(
        "blind", infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape), numpy=lambda op, a: a
    )
    text = message(NullGradError, lambda: symc.grad(T.sum(Op(blind)(v)), v))
    assert text.startswith("grad: blind has no derivative") and "operand 0: v: float32(v0,)" in text
    assert "consider_constant=" in text


# --- wrong calls --------------------------------------------------------------------------------------------------


def call(inputs, outputs, *args, device="c", **named):
    return lambda: symc.function(inputs, outputs, name="f", device=device)(*args, **named)


WRONG_CALLS = [
    (TypeError, [x], x * 2, (1, 2, 3), {}, "f() takes 1 inputs (x), got 3"),
    (TypeError, [x, y], x + y, (np.ones((2, 2), f32),), {}, "f() misses its input 1; it takes (x, y)"),
    (TypeError, [x], x * 2, (), {"z": 1}, "no input named 'z'"),
    (TypeError, [x], x * 2, (np.ones((2, 2)),), {"x": 1}, "two values for its input 'x'"),
    (
        ValueError,
        [x],
        x * 2,
        (np.ones(3, f32),),
        {},
        "expected 2 axes (float32(x0, x1)), got an array of 1 axes with shape (3,)",
    ),
    (ValueError, [A], A * 2, (np.ones((3, 5), f32),), {}, "declared to be 4"),
    (TypeError, [iv], iv * 2, (np.array([2**40]),), {}, "do not fit int32"),
    (ValueError, [x], x.reshape((3, 5)), (np.ones((2, 3), f32),), {}, "x0*x1 elements"),
    (ValueError, [x], x.reshape((-1, 5)), (np.ones((2, 3), f32),), {}, "holds x0*x1 elements"),
    (
        ValueError,
        [x, y],
        T.concatenate([x, y]),
        (np.ones((2, 3), f32), np.ones((2, 4), f32)),
        {},
        "operands differ on axis 1",
    ),
    (ValueError, [x], x.dimshuffle(0), (np.ones((2, 3), f32),), {}, "needs a dim of 1"),
    (ValueError, [k], T.zeros((k,)), (-3,), {}, "cannot be negative"),
    (IndexError, [v], v[5], (np.ones(3, f32),), {}, "out of range for axis 0"),
    (IndexError, [v, iv], v[iv], (np.ones(3, f32), np.array([0, 7], "int32")), {}, "operand 0: iv"),
]


@pytest.mark.parametrize("device", BACKENDS)
@pytest.mark.parametrize(
    "kind, inputs, outputs, args, named, part",
    WRONG_CALLS,
    ids=[f"{k}-{c[-1][:30]}" for k, c in enumerate(WRONG_CALLS)],
)
def test_wrong_call(kind, inputs, outputs, args, named, part, device):
    text = message(kind, call(inputs, outputs, *args, device=device, **named))
    assert part in text


@pytest.mark.parametrize("device", BACKENDS)
def test_a_wrong_index_after_right_ones(device):
    f = symc.function([v, iv], v[iv] * 2, device=device)
    for _ in range(3):
        np.testing.assert_array_equal(f(np.arange(3, dtype=f32), np.array([2, -1], "int32")), [4, 4])
    for bad in ([3, 0], [0, -4]):
        with pytest.raises(IndexError, match="out of range"):
            f(np.arange(3, dtype=f32), np.array(bad, "int32"))
    np.testing.assert_array_equal(f(np.arange(3, dtype=f32), np.array([0, 1], "int32")), [0, 2])


@pytest.mark.parametrize("device", BACKENDS)
def test_whole_division_by_zero_does_not_crash(device):
    f = symc.function([iv], [iv // 0, iv % 0, 5 // iv, 5 % iv], device=device)
    got = f(np.array([0, 3, -(2**31)], "int32"))
    for r in got[:2]:
        np.testing.assert_array_equal(r, [0, 0, 0])
    np.testing.assert_array_equal(got[2][:2], [0, 1])
    smallest = symc.function([iv], iv // -1, device=device)(np.array([-(2**31), 4], "int32"))
    assert smallest[1] == -4


def test_errors_belong_to_symc_and_to_pythons_own_kinds():
    assert (
        issubclass(ShapeError, (ValueError,))
        and issubclass(DTypeError, TypeError)
        and issubclass(GuardError, ShapeError)
    )
    for kind in (ShapeError, DTypeError, GuardError, DisconnectedInputError, MissingInputError, UnusedInputError):
        assert issubclass(kind, SymcError)


def test_a_variable_is_no_int_for_pythons_own_range():
    n = T.iscalar("n")
    with pytest.raises(TypeError, match=r"no int while the graph is built(.|\n)*n: int32(.|\n)*use arange\(n\)"):
        range(n)


@pytest.mark.parametrize("build", [T.vector, T.lmatrix, lambda n: T.tensor("float32", (False,), n)])
def test_names_that_are_no_text(build) -> None:
    with pytest.raises(TypeError, match=r"a name is text, got 3\n  repair: declare lengths with shape="):
        build(3)
