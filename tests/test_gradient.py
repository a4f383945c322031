"""``grad`` as documented by Theano: known gradients, constants, integers, disconnected and undefined gradients."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import DisconnectedInputError, NullGradError
from symc.gradient import DisconnectedType, NullType


def value(outputs, given, **options):
    """The outputs where variables have these values."""
    return symc.function(list(given), outputs, on_unused_input="ignore", **options)(*given.values())


# --- known gradients, constants -----------------------------------------------------------------------------------


def test_known_gradients_stand_in_place_of_those_that_would_flow():
    x = T.dvector("x")
    y = x * 2
    cost = (y**2).sum()
    at = {x: [1.0, 2.0]}
    np.testing.assert_allclose(value(symc.grad(cost, x, known_grads={y: T.constant([5.0, 10.0])}), at), [10, 20])
    np.testing.assert_allclose(value(symc.grad(cost, y, known_grads={y: T.constant([5.0, 10.0])}), at), [5, 10])
    np.testing.assert_allclose(value(symc.grad(cost, x, known_grads={cost: T.constant(3.0)}), at), [24, 48])
    np.testing.assert_allclose(
        value(symc.grad(cost + x.sum(), x, known_grads={y: T.constant([5.0, 10.0])}), at), [11, 21]
    )
    np.testing.assert_allclose(
        value(symc.grad(None, x, known_grads={y: T.constant([1.0, 0.0]), x[1]: 7.0}), at), [2, 7]
    )


def test_a_known_gradient_of_something_before_another():
    """What is known of ``x`` is not changed by what is known of ``y``, which depends on it."""
    w = T.dscalar("w")
    x = w**2
    y = x**2
    slopes = symc.grad(y, [w, x], known_grads={x: T.constant(10.0), y: T.constant(2.0)})
    np.testing.assert_allclose(value(slopes, {w: 3.0}), [60, 10])


def test_known_gradients_take_the_dtype_of_floats():
    x, g = T.fvector("x"), T.dvector("g")
    found = symc.grad(None, x, known_grads={x * 2: g})
    assert found.dtype == "float32"
    np.testing.assert_allclose(value(found, {x: [1.0], g: [3.0]}), [6])


def test_constants_block_what_is_behind_them_and_keep_their_own_gradient():
    x, y = T.dvectors("x", "y")
    cost = (x * y).sum() + (x**2).sum()
    at = {x: [1.0, 2.0], y: [3.0, 4.0]}
    by_x, by_y = value(symc.grad(cost, [x, y], consider_constant=[x]), at)
    np.testing.assert_allclose(by_x, [5, 8])
    np.testing.assert_allclose(by_y, [1, 2])
    u = x * y
    cost = (u * x).sum()
    by_x, by_u = value(symc.grad(cost, [x, u], consider_constant=[u]), at)
    np.testing.assert_allclose(by_x, [3, 8])
    np.testing.assert_allclose(by_u, [1, 2])
    with pytest.raises(DisconnectedInputError):
        symc.grad(u.sum(), x, consider_constant=[u])


# --- integers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_the_gradient_by_an_integer_is_a_float(dtype):
    z = T.scalar("z", dtype)
    for build, want in (
        (lambda z: z * 1.5, 1.5),
        (lambda z: T.sqr(T.cast(z, "floatX")), 8),
        (lambda z: z / 2, 0.5),
        (lambda z: T.exp(z) * 0 + z, 1),
        (lambda z: T.mean(T.stack([z, z])) * 3.0, 0),  # the stack is made of integers
        (lambda z: (z + 1) * 1.5, 0),  # so is the sum
        (lambda z: T.switch(z > 0, 1.0 * z, -2.0 * z), 1),
    ):
        slope = symc.grad(build(z), z)
        assert slope.dtype == symc.config.floatX
        assert value(slope, {z: 4}) == pytest.approx(want)


def test_the_gradient_of_an_integer_is_zero():
    x, n = T.matrix("x"), T.lvector("n")
    by_x, by_n = symc.grad(T.cast(x.sum(), "int64") + n.sum(), [x, n])
    assert by_x.dtype == by_n.dtype == symc.config.floatX
    found = value([by_x, by_n], {x: np.ones((2, 3), "float32"), n: [1, 2]})
    np.testing.assert_array_equal(found[0], np.zeros((2, 3)))
    np.testing.assert_array_equal(found[1], np.zeros(2))
    with pytest.raises(DisconnectedInputError):
        symc.grad(n.sum(), x)


def test_positions_and_shapes_are_disconnected():
    x, n = T.vector("x"), T.lscalar("n")
    for cost in (x[n], T.zeros((n,)).sum() + x.sum(), T.sum(T.arange(n) * 1.0), T.zeros_like(n) * 1.0):
        with pytest.raises(DisconnectedInputError):
            symc.grad(cost, n)
    hidden = T.switch(T.zeros_like(x) > 0, 1.0, 2.0).sum()
    with pytest.raises(DisconnectedInputError):
        symc.grad(hidden, x)


def test_the_gradient_of_integer_elements_that_are_moved():
    n = T.lvector("n")
    cost = (n.dimshuffle(0, "x").reshape((-1,))[1:] * 2.0).sum()
    np.testing.assert_array_equal(value(symc.grad(cost, n), {n: [1, 2, 3]}), [0, 0, 0])
    np.testing.assert_array_equal(value(symc.grad((n * 2.0)[1:].sum(), n), {n: [1, 2, 3]}), [0, 2, 2])
    np.testing.assert_array_equal(value(symc.grad((n * T.constant(0.5)).prod(), n), {n: [0, 2, 4]}), [1, 0, 0])


# --- what does not exist ------------------------------------------------------------------------------------------


def streams():
    return T.shared_randomstreams.RandomStreams(3)


UNDEFINED = {
    "multinomial": lambda p: streams().multinomial(pvals=p, dtype="float32").sum(),
    "choice": lambda p: T.cast(streams().choice((4,), 3, p=p), "float32").sum(),
    "binomial": lambda p: streams().binomial((3,), p=p[0], dtype="float32").sum(),
    "undefined_grad": lambda p: symc.gradient.undefined_grad(p).sum(),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_undefined_gradients_say_so(name):
    p = T.vector("p")
    cost = UNDEFINED[name](p)
    with pytest.raises(NullGradError, match=rf"{name}(.|\n)*test_gradient.py"):
        symc.grad(cost, p)
    found = symc.grad(cost, p, null_gradients="return")
    assert isinstance(found.type, NullType) and name in found.type.why_null
    with pytest.raises(NullGradError, match=name):
        found + 1
    assert value(symc.grad(cost + p.sum(), p, consider_constant=[cost]), {p: [0.5, 0.5, 0.0]}).tolist() == [1, 1, 1]


def test_undefined_gradients_are_no_matter_to_others():
    p, w = T.vector("p"), T.vector("w")
    drawn = streams().multinomial(pvals=p, dtype="float32")
    by_w, by_p = symc.grad((drawn * w).sum() + p.sum(), [w, p], null_gradients="return")
    assert isinstance(by_p.type, NullType) and not isinstance(by_w.type, NullType)
    assert value(symc.grad((drawn * w).sum(), w), {p: [1.0, 0.0], w: [2.0, 3.0]}).tolist() == [1, 0]


def test_what_an_op_without_derivative_returns():
    from symc.gradient import grad_not_implemented, grad_undefined
    from symc.graph.op import Op, Record

    def made(grad):
        return Op(Record("blind", infer=lambda op, inputs: inputs[0].type, numpy=lambda op, x, y: x, grad=grad))

    x, y = T.vectors("x", "y")
    half = made(lambda op, inputs, outputs, gs: [gs[0], grad_undefined(op, 1, inputs[1], "it is a seed")])
    assert symc.grad(half(x, y).sum(), x) is not None
    with pytest.raises(NullGradError, match=r"blind has no derivative by its input 1: it is a seed"):
        symc.grad(half(x, y).sum(), y)
    lazy = made(lambda op, inputs, outputs, gs: [grad_not_implemented(op, 0, inputs[0]), None])
    with pytest.raises(NullGradError, match=r"does not say what its derivative by its input 0 is"):
        symc.grad(lazy(x * 2, y).sum(), x)
    with pytest.raises(DisconnectedInputError):
        symc.grad(lazy(x, y).sum(), y)
    none = made(None)(x, y)
    assert [type(g.type) for g in symc.grad(none.sum(), [x, y], null_gradients="return")] == [NullType, NullType]


# --- what does not depend -----------------------------------------------------------------------------------------


def test_policies_for_what_does_not_depend():
    x, y = T.vectors("x", "y")
    cost = (x**2).sum()
    with pytest.raises(DisconnectedInputError, match=r"does not depend(.|\n)*operand 0: y"):
        symc.grad(cost, [x, y])
    with pytest.warns(UserWarning, match="does not depend"):
        found = symc.grad(cost, [x, y], disconnected_inputs="warn")
    np.testing.assert_array_equal(value(found[1], {y: [1.0, 2.0]}), [0, 0])
    kinds = symc.grad(cost, [x, y], disconnected_inputs="ignore", return_disconnected="Disconnected")
    assert isinstance(kinds[1].type, DisconnectedType)
    with pytest.raises(NullGradError, match="disconnected"):
        kinds[1] * 2
    assert symc.grad(cost, y, disconnected_inputs="ignore", return_disconnected="none") is None
    for wrong in ({"disconnected_inputs": "skip"}, {"null_gradients": "zero"}, {"return_disconnected": "null"}):
        with pytest.raises(ValueError, match=f"grad: {next(iter(wrong))} must be"):
            symc.grad(cost, x, **wrong)


def test_products_with_jacobians_of_what_does_not_depend():
    x, y, v = T.vectors("x", "y", "v")
    np.testing.assert_array_equal(value(T.Rop(x * 2, y, v), {x: [1.0, 2.0], y: [1.0], v: [1.0]}), [0, 0])
    np.testing.assert_array_equal(value(T.Rop(T.floor(x), x, v), {x: [1.0, 2.0], v: [1.0, 1.0]}), [0, 0])
    np.testing.assert_array_equal(value(T.Rop(T.cast(x, "int32"), x, v), {x: [1.0, 2.0], v: [1.0, 1.0]}), [0, 0])
    np.testing.assert_array_equal(value(T.Rop(x, x, v), {x: [1.0, 2.0], v: [3.0, 4.0]}), [3, 4])
    by_both = T.Rop([x * y, x], [x, y], [v, None])
    found = value(by_both, {x: [1.0], y: [5.0], v: [2.0]})
    assert [f.tolist() for f in found] == [[10], [2]]
    with pytest.warns(UserWarning, match="does not depend"):
        T.Rop(x * 2, y, v, disconnected_outputs="warn")
    assert T.Rop(x * 2, y, v, return_disconnected="None") is None
    lop = T.Lop(x * 2, [x, y], v, disconnected_inputs="ignore")
    np.testing.assert_array_equal(value(lop, {x: [1.0], y: [5.0], v: [2.0]}), [[4], [0]])


def test_second_derivatives_of_linear_functions():
    x = T.dvector("x")
    slope = symc.grad((3 * x + 1).sum(), x)
    with pytest.raises(DisconnectedInputError):
        symc.grad(slope.sum(), x)
    assert value(symc.grad(slope.sum(), x, disconnected_inputs="ignore"), {x: [1.0, 2.0]}).tolist() == [0, 0]


# --- inputs of which only the type or shape is used ---------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (None,), (3,), (2, None), (2, 2)])
def test_a_gradient_that_is_constant_still_depends_on_its_input(shape):
    x = T.tensor("float32", shape=shape, name="x")
    data = np.full([n or 2 for n in shape], 5, "float32")
    for make, want in (
        (lambda: symc.grad((3 * x + 1).sum(), x), 3),
        (lambda: T.zeros_like(x), 0),
        (lambda: T.ones_like(x), 1),
        (lambda: T.full_like(x, 7), 7),
        (lambda: T.zeros_like(x, dtype="int32"), 0),
        (lambda: symc.grad(T.floor(x).sum(), x), 0),
    ):
        found = symc.function([x], make())(data)
        np.testing.assert_array_equal(found, np.full_like(data, want))


def test_a_gradient_by_one_of_several_inputs_depends_on_all_that_the_cost_does():
    x, y = T.scalars("x", "y")
    assert symc.function([x, y], symc.grad(3 * x + y, x))(1, 2) == 3


# --- deep and wide ------------------------------------------------------------------------------------------------


def test_depth_and_width_cost_no_recursion():
    x, scalars = T.vector("x"), [T.scalar(f"s{k}") for k in range(700)]
    y = x
    for s in scalars:
        y = y * s
    assert len(symc.grad(y.sum(), [x, *scalars])) == 701
    y = T.log(T.nnet.softmax(x))
    w = T.vector("w")
    for _ in range(1500):
        y = y * w
    symc.grad(y.sum(), x)
    p = T.nnet.softmax(x)
    y = p
    for _ in range(60):
        y = y * y  # two ways to each factor: 2**60 paths
    symc.grad(T.log(y).sum(), x)
    y = x
    for _ in range(3000):
        y = T.maximum(T.switch(y > 0, y, -y), 0.5) + x
    symc.grad(y.sum(), x)


# --- gradients by values inside of a graph --------------------------------------------------------------------------

SMOOTH = {
    "power": lambda a: (T.tanh(a) ** 2).mean(),
    "softplus": lambda a: T.log(1 + T.exp(T.sin(a))).sum(),
    "sigmoid": lambda a: -T.log(T.nnet.sigmoid(T.tanh(a * 2))).mean(),
    "softmax": lambda a: -T.log(T.nnet.softmax(a * T.tanh(a)))[:, 0].sum(),
    "sum": lambda a: T.log(T.exp(a * 2 - 1).sum()),
    "product": lambda a: ((T.dot(T.tanh(T.dot(a, a.T)), a) - 1) ** 2).mean(),
}


@pytest.mark.parametrize("first", SMOOTH)
def test_gradients_by_the_result_of_a_step_of_descent(first):
    """A step may be followed by any cost, whose stable forms depend on the step's result itself, and on no copy."""
    z, x = T.dmatrices("zx")
    step = z - 0.3 * symc.grad(SMOOTH[first](z), z)
    a = np.random.default_rng(1).normal(size=(3, 5))
    direction = 1e-6 * np.random.default_rng(2).normal(size=a.shape)
    for second, cost in SMOOTH.items():
        for penalty in (0, 1):
            after, alone = (cost(v) + penalty * (v**2).sum() for v in (step, x))
            f = symc.function([z], [step, after, symc.grad(after, step), symc.grad(after, z)], device="interp")
            moved, _, by_step, by_start = f(a)
            (by_input,) = value([symc.grad(alone, x)], {x: moved}, device="interp")
            np.testing.assert_allclose(by_step, by_input, rtol=1e-12, atol=1e-14, err_msg=second)
            slope = (f(a + direction)[1] - f(a - direction)[1]) / 2
            np.testing.assert_allclose((by_start * direction).sum(), slope, rtol=1e-6, atol=1e-12, err_msg=second)


@pytest.mark.parametrize("columns", [1, 4])
def test_the_axes_of_length_1_of_a_variable_are_those_of_its_gradient(columns, rng):
    """The product requires one entry of the vector; its gradient by the column still broadcasts as a column does."""
    column, vector, other = T.TensorType("float64", (False, True))("column"), T.dvector("v"), T.dmatrix("other")
    slope = symc.grad(T.sqr(T.dot(column, vector)).sum(), column)
    assert slope.broadcastable == column.broadcastable
    f = symc.function([column, vector, other], slope + other)
    x, y, z = rng.standard_normal((3, 1)), np.array([0.5]), rng.standard_normal((3, columns))
    np.testing.assert_allclose(f(x, y, z), 2 * x * y * y + z, rtol=1e-12)
