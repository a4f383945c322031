"""``subgraph_grad``, replaced derivatives of ``OpFromGraph``, directional derivatives of ops with their own, and
derivatives by differences."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import NullGradError
from symc.gradient import (
    DisconnectedInputError,
    DisconnectedType,
    GradientError,
    NullTypeGradError,
    Rop,
    grad_not_implemented,
    numeric_grad,
    subgraph_grad,
    verify_grad,
)

RNG = np.random.default_rng(5)


def two_layers():
    x, t = T.dmatrices("x", "t")
    w1, w2 = (symc.shared(RNG.standard_normal(shape), name) for name, shape in (("w1", (3, 4)), ("w2", (4, 2))))
    a1 = T.tanh(T.dot(x, w1))
    a2 = T.tanh(T.dot(a1, w2))
    return x, t, w1, w2, a1, T.sqr(a2 - t).sum() + 0.1 * (w2**2).sum(), 0.2 * (w1**2).sum()


def test_a_gradient_in_parts():
    """Two parts, each with a penalty, against the derivatives by hand."""
    x, t, w1, w2, a1, cost, penalty = two_layers()
    (of_w2,), (of_a1,) = subgraph_grad([w2], [a1], cost=cost)
    (of_w1,), (of_x,), (started,), (added,) = subgraph_grad([w1], [x], start={a1: of_a1}, cost=penalty, details=True)
    f = symc.function([x, t], [of_w2, of_a1, of_w1, of_x, started, added])
    xv, tv = RNG.standard_normal((5, 3)), RNG.standard_normal((5, 2))
    u, v = w1.get_value(), w2.get_value()
    a = np.tanh(xv @ u)
    b = np.tanh(a @ v)
    back = 2 * (b - tv) * (1 - b**2)
    inner = (back @ v.T) * (1 - a**2)
    want = [a.T @ back + 0.2 * v, back @ v.T, xv.T @ inner + 0.4 * u, inner @ u.T, xv.T @ inner, 0.4 * u]
    for have, w in zip(f(xv, tv), want):
        np.testing.assert_allclose(have, w, rtol=1e-10)


def test_the_summands_of_a_part():
    x, _, w1, w2, a1, cost, _ = two_layers()
    assert len(subgraph_grad([w2], [a1], cost=cost)) == 2
    _, _, started, added = subgraph_grad([w2], [a1], cost=cost, details=True)
    assert started is None and len(added) == 1
    with pytest.raises(ValueError, match="give start, cost, or both"):
        subgraph_grad([w1], [x])
    with pytest.raises(TypeError, match="end must be a list"):
        subgraph_grad([w1], x, cost=cost)


# --- OpFromGraph ------------------------------------------------------------------------------------------------------


def product_op(**facts):
    x, y = T.dvectors("x", "y")
    return symc.OpFromGraph([x, y], [x * y, x + y], **facts)


def slopes_of(op):
    a, b = T.dvectors("a", "b")
    p, s = op(a, b)
    found = symc.grad((p * 3 + s).sum(), [a, b], disconnected_inputs="ignore")
    return symc.function([a, b], found, on_unused_input="ignore")([2.0], [5.0])


def test_gradients_without_overrides():
    np.testing.assert_allclose(np.ravel(slopes_of(product_op())), [16, 7])


@pytest.mark.parametrize(
    "facts, want",
    [
        ({"lop_overrides": lambda inputs, outputs, gs: [outputs[0], gs[0] + gs[1]]}, [10, 4]),
        ({"grad_overrides": lambda inputs, gs: [inputs[1] * 100, gs[0]]}, [500, 3]),
        ({"grad_overrides": [lambda inputs, gs: gs[1] * 7, "default"]}, [7, 7]),
        ({"lop_overrides": ["default", lambda inputs, outputs, gs: outputs[1]]}, [16, 7]),
        ({"lop_overrides": "default", "grad_overrides": "default", "rop_overrides": "default"}, [16, 7]),
        ({"grad_overrides": [DisconnectedType()(), "default"]}, [0, 7]),
        ({"connection_pattern": [[True, True], [False, False]]}, [16, 0]),
    ],
)
def test_replaced_gradients(facts, want):
    np.testing.assert_allclose(np.ravel(slopes_of(product_op(**facts))), want)


def test_a_gradient_replaced_by_a_graph():
    x, g = T.dvectors("x", "g")
    slope = symc.OpFromGraph([x, g], [x * g * 10])
    op = symc.OpFromGraph([x], [x**2], grad_overrides=slope)
    v = T.dvector("v")
    np.testing.assert_allclose(symc.function([v], symc.grad(op(v).sum(), v))([3.0]), [30])


def test_the_gradient_of_a_replaced_gradient():
    x = T.dvector("x")
    op = symc.OpFromGraph([x], [T.exp(x)], lop_overrides=lambda inputs, outputs, gs: [gs[0] * inputs[0] ** 3])
    v = T.dvector("v")
    second = symc.grad(symc.grad(op(v).sum(), v).sum(), v)
    np.testing.assert_allclose(symc.function([v], second)([2.0]), [12])


def test_overrides_that_do_not_fit():
    with pytest.raises(ValueError, match="not both"):
        product_op(lop_overrides=lambda *a: [], grad_overrides=lambda *a: [])
    with pytest.raises(ValueError, match="1 gradients are overridden, of 2 inputs"):
        product_op(grad_overrides=["default"])
    with pytest.raises(ValueError, match="gives 1 terms, expected 2"):
        slopes_of(product_op(grad_overrides=lambda inputs, gs: [gs[0]]))


def test_shared_variables_inside():
    w = symc.shared(np.array([1.0, 2]), "w")
    x = T.dvector("x")
    op = symc.OpFromGraph([x], [(x * w).sum()])
    v = T.dvector("v")
    value, by_v, by_w = symc.function([v], [op(v), *symc.grad(op(v), [v, w])])([3.0, 4])
    assert value == 11
    np.testing.assert_array_equal(by_v, [1, 2])
    np.testing.assert_array_equal(by_w, [3, 4])
    with pytest.raises(ValueError, match="not among the inputs"):
        symc.OpFromGraph([x], [x * v])


def test_an_input_that_is_computed():
    """As in Theano, an input may be any variable of the expression."""
    x = T.dvector("x")
    middle = x * 2
    op = symc.OpFromGraph([middle], [middle + 1])
    np.testing.assert_array_equal(symc.function([x], op(x))([5.0]), [6])


# --- directional derivatives ------------------------------------------------------------------------------------------


def test_rop_overrides():
    x = T.dvector("x")
    op = symc.OpFromGraph([x], [x**2], rop_overrides=lambda inputs, points: [inputs[0] * points[0] * 100])
    v, p = T.dvectors("v", "p")
    found = symc.function([v, p], Rop(T.sin(op(v)), v, p))([2.0], [3.0])
    np.testing.assert_allclose(found, [np.cos(4) * 600])


def test_rop_overrides_per_output_and_by_a_graph():
    x, y, p, q = T.dvectors("x", "y", "p", "q")
    pushed = symc.OpFromGraph([x, y, p, q], [x * q * 10 + p])
    of_first = [lambda inputs, points: inputs[0] * points[0] * 100, "default"]
    two = symc.OpFromGraph([x, y], [x * y, x + y], rop_overrides=of_first)
    one = symc.OpFromGraph([x, y], [x * y], rop_overrides=pushed)
    results = [*Rop(two(x, y), [x, y], [p, q]), Rop(one(x, y), [x, y], [p, q]), Rop(one(x, y), y, q)]
    found = symc.function([x, y, p, q], results)([2.0], [3.0], [5.0], [7.0])
    np.testing.assert_array_equal(np.ravel(found), [2 * 5 * 100, 12, 2 * 7 * 10 + 5, 2 * 7 * 10])
    with pytest.raises(ValueError, match="1 derivatives are given for 2 outputs"):
        symc.OpFromGraph([x, y], [x * y, x + y], rop_overrides=["default"])


def test_an_op_with_nothing_but_a_directional_derivative():
    class Cube(symc.Op):
        __props__ = ()
        itypes, otypes = [T.dvector, T.dvector], [T.dvector]

        def perform(self, node, inputs, output_storage):
            output_storage[0][0] = inputs[0] ** 3 + inputs[1]

        def infer_shape(self, node, shapes):
            return [shapes[0]]

        def R_op(self, inputs, eval_points):  # noqa: N802
            along = [3 * inputs[0] ** 2 * eval_points[0] if eval_points[0] is not None else 0]
            return [along[0] + (eval_points[1] if eval_points[1] is not None else 0)]

    x, y, p = T.dvectors("x", "y", "p")
    out = Cube()(T.exp(x), y) * x
    one, both = symc.function([x, y, p], [Rop(out, x, p), Rop(out, [x, y], [p, p])])([0.5], [2.0], [3.0])
    value, slope = np.exp(1.5) + 2, 3 * np.exp(1.5)
    np.testing.assert_allclose(one, [3 * (slope * 0.5 + value)])
    np.testing.assert_allclose(both, [3 * (slope * 0.5 + value) + 3 * 0.5])
    with pytest.raises(NullTypeGradError):
        symc.grad(out.sum(), x)


@pytest.mark.parametrize("kind", [list, tuple])
def test_results_come_as_the_variables_were_given(kind):
    x, y = T.dvectors("x", "y")
    cost = (x * y).sum()
    assert type(symc.grad(cost, kind([x, y]))) is kind
    assert type(symc.gradient.Lop(kind([x * y]), kind([x, y]), kind([x]))) is kind
    assert type(Rop(kind([x * y, x]), kind([x]), kind([y]))) is kind
    assert isinstance(Rop(x * y, x, y), symc.Variable)


def test_a_hessian_vector_product_for_several_variables():
    x, y = T.dvectors("x", "y")
    cost = (x**3 * y).sum()
    points = T.dvectors("p", "q")
    forward = Rop(symc.grad(cost, [x, y]), [x, y], points)
    a, b, p, q = (RNG.standard_normal(3) for _ in range(4))
    found = symc.function([x, y, *points], forward)(a, b, p, q)
    np.testing.assert_allclose(found[0], 6 * a * b * p + 3 * a**2 * q)
    np.testing.assert_allclose(found[1], 3 * a**2 * p)


# --- differences ------------------------------------------------------------------------------------------------------


def test_numeric_grad():
    a, b = RNG.standard_normal((2, 3)), RNG.standard_normal(3)
    found = numeric_grad(lambda x, y: (np.sin(x) @ y).sum(), [a, b])
    right = [np.cos(a) * b, np.sin(a).sum(0)]
    for have, want in zip(found.gf, right):
        np.testing.assert_allclose(have, want, atol=1e-8)
    assert found.max_err(right, 1e-6, 1e-6)[2] < 1e-6
    wrong = [right[0], right[1] + [0, 0.5, 0]]
    argument, position, absolute, _ = found.max_err(wrong, 1e-6, 1e-6)
    assert (argument, position) == (1, 1) and abs(absolute - 0.5) < 1e-6
    alone = numeric_grad(lambda x: float(x**2), np.float64(3))
    np.testing.assert_allclose(alone.gf, 6, rtol=1e-6)
    with pytest.raises(TypeError, match="float arrays"):
        numeric_grad(lambda x: x, np.array(3))
    with pytest.raises(ValueError, match="expected 2 gradients"):
        found.max_err([a], 1, 1)


def test_verify_grad_takes_the_arguments_of_theano():
    point = np.array([0.5, 1.5])
    rng = np.random.RandomState(3)
    verify_grad(T.exp, [point], 1, rng, 1e-6, "float64", 1e-5, 1e-5, mode="fast_compile", cast_to_output_type=True)
    verify_grad(lambda x: x**2, point, no_debug_ref=False)
    with pytest.raises(GradientError, match="input 0, entry"):
        verify_grad(lambda x: x * symc.gradient.zero_grad(x), [point])
    np.testing.assert_array_equal(point, [0.5, 1.5])


def test_the_kinds_of_errors():
    x, y = T.dvectors("x", "y")
    assert NullTypeGradError is NullGradError
    with pytest.raises(DisconnectedInputError):
        symc.grad(x.sum(), y)
    with pytest.raises(NullTypeGradError, match="not differentiated yet"):
        symc.grad(symc.gradient.undefined_grad(x, "not differentiated yet").sum(), x)
    assert "no such rule" in grad_not_implemented(T.exp(x).owner.op, 0, x, "no such rule").reason
