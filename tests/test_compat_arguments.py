"""Arguments by position, as Theano ordered them, where symc orders them otherwise; ops that only Theano had."""

from __future__ import annotations

import io

import numpy as np
import pytest

import symc
import symc.compat

RNG = np.random.default_rng(3)
M = RNG.normal(size=(3, 4))
W = np.array([0.1, 0.4, 0.2, 0.9])
N = np.array([1, 2, 3, 1])
P = RNG.dirichlet(np.ones(5), size=3)


@pytest.fixture(scope="module", autouse=True)
def shim():
    symc.compat.install()
    with symc.config.change(device="interp"):
        yield
    symc.compat.uninstall()


def _lookup(path):
    import importlib

    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"theano.{module}"), name)


def _spd():
    return M.T @ M + np.eye(4)


BY_POSITION = {
    "tensor.mean": (lambda f, x: f(x, 1, None, False, True), M, M.mean(1, keepdims=True)),
    "tensor.inc_subtensor": (lambda f, x: f(x[0], 7.0, False, True), M, np.vstack([np.full(4, 7.0), M[1:]])),
    "tensor.set_subtensor": (lambda f, x: f(x[0], 7.0, False, True), M, np.vstack([np.full(4, 7.0), M[1:]])),
    "tensor.slinalg.Cholesky": (lambda f, x: f(False, "nan")(x), _spd(), np.linalg.cholesky(_spd()).T),
    "tensor.cov": (lambda f, x: f(x, None, True, False, 0, N, W), M, np.cov(M, ddof=0, fweights=N, aweights=W)),
    "tensor.get_scalar_constant_value": (lambda f, x: x * f(np.float64(2.0), False, True, 3), M, 2 * M),
    "gradient.Rop": (lambda f, x: f(x.sum(1), x, x, "raise", "zero"), M, M.sum(1)),
}


@pytest.mark.parametrize("path", BY_POSITION)
def test_by_position(path):
    build, array, expected = BY_POSITION[path]
    x = symc.tensor.dmatrix()
    np.testing.assert_allclose(build(_lookup(path), x).eval({x: array}), expected)


@pytest.mark.parametrize("weights", [{"fweights": N}, {"aweights": W}, {"fweights": N, "aweights": W, "bias": True}])
def test_covariance_of_weighted_observations(weights):
    x = symc.tensor.dmatrix()
    np.testing.assert_allclose(symc.tensor.cov(x, **weights).eval({x: M}), np.cov(M, **weights))


def test_a_constant_value_of_constants_alone():
    import theano.tensor as tt

    assert tt.get_scalar_constant_value(tt.constant(2) + 1) == 3
    for v in (tt.constant(2) + 1, tt.dscalar() * 1):
        with pytest.raises(tt.NotScalarConstantError):
            tt.get_scalar_constant_value(v, only_process_constants=True)
    assert tt.extract_constant(tt.constant(2)) == 2


def test_printing_graphs():
    import theano

    x = theano.tensor.dmatrix("x")
    text = theano.printing.debugprint(x * 2, -1, False, "str", "", False, {}, False, False, {})
    assert "x" in text and "float64" not in text
    out = io.StringIO()
    theano.printing.debugprint(x * 2, print_type=True, file=out)
    assert "float64" in out.getvalue()


def test_draws_with_the_arguments_of_mrg():
    from theano.sandbox.rng_mrg import MRG_RandomStreams

    streams = MRG_RandomStreams(5)
    assert streams.binomial((2, 3), 1, 0.5, 2, "int8", 4).eval().shape == (2, 3)
    drawn = streams.choice(2, None, False, P).eval()
    assert drawn.shape == (3, 2) and (drawn[:, 0] != drawn[:, 1]).all()
    assert streams.choice(a=3).eval().shape == (1,)
    assert (streams.multinomial(None, 4, P).eval().sum(1) == 4).all()
    with pytest.raises(TypeError, match="pvals"):
        streams.multinomial()
    with pytest.raises(ValueError, match="size"):
        streams.multinomial((2,), 1, P)


def test_shared_variables_and_constants_from_types():
    import theano
    from theano.compile import SharedVariable
    from theano.tensor import TensorConstant, TensorType

    kind = TensorType("float64", (False,))
    v = SharedVariable(name="v", type=kind, value=[1, 2], strict=False)
    assert isinstance(theano.shared(1.0), SharedVariable) and v.name == "v"
    v.set_value([3, 4])
    assert (v + 1).eval().tolist() == [4, 5]
    assert SharedVariable("w", kind, None, False, container=v.container).get_value().tolist() == [3, 4]
    with pytest.raises(TypeError):
        SharedVariable("u", kind, {}, False)
    assert TensorConstant(kind, np.ones(2), name="c").data.tolist() == [1, 1]
    given = theano.compile.SymbolicInput(theano.tensor.dscalar("s"), "other", None, None, True)
    assert given.name == "other" and given.strict and isinstance(given, theano.compile.SymbolicInput)


def test_outcomes_from_uniform_numbers():
    from theano.sandbox.multinomial import ChoiceFromUniform, MultinomialFromUniform

    u = RNG.random(3 * 4)
    p, n, unis = symc.tensor.dmatrix(), symc.tensor.lscalar(), symc.tensor.dvector()
    f = symc.function([p, unis, n], [op("auto")(p, unis, n) for op in (MultinomialFromUniform, ChoiceFromUniform)])
    counts, order = np.zeros((3, 5)), np.zeros((3, 4))
    left = P.copy()
    for (t, row), number in np.ndenumerate(u.reshape(4, 3)):
        counts[row, np.argmax(np.cumsum(P[row]) > number)] += 1
        order[row, t] = k = np.argmax(np.cumsum(left[row]) > number)
        left[row, k] = 0
        left[row] /= left[row].sum()
    found = f(P, u, 4)
    assert (found[0] == counts).all() and (found[1] == order).all()
    for many in (np.zeros(18), np.zeros(7)):  # six of five; not a multiple of the rows
        with pytest.raises(ValueError):
            f(P, many, 6)


def test_an_expression_that_raises():
    import theano
    from theano.raise_op import Raise

    x = theano.tensor.dscalar()
    f = theano.function([x], Raise("not today", KeyError)(x))
    with pytest.raises(KeyError, match="not today"):
        f(1.0)


def test_keys_in_the_order_of_their_prerequisites():
    from theano.gof.utils import toposort

    assert toposort({"a": ["b"], "b": ["c"], "c": []}) == ["c", "b", "a"]
    with pytest.raises(ValueError, match="cycle"):
        toposort({"a": ["b"], "b": ["a"]})


# --- functions and shared variables -----------------------------------------------------------------------------------


def test_what_a_call_may_round():
    import theano
    import theano.tensor as tt

    f = theano.function([tt.fvector("x"), tt.dscalar("y"), tt.bscalar("b")], [], on_unused_input="ignore")
    f([0.5], 0.1, 3)
    for bad in (([0.1], 0.1, 3), (np.ones(1), 0.1, 3), ([0.5], 0.1, 300), (np.ones(1, "f4"), 0.1, np.ones((), "i2"))):
        with pytest.raises(TypeError):
            f(*bad)
    s = theano.shared(np.float32(1))
    s.set_value(np.float32(2))
    with pytest.raises(TypeError):
        s.set_value(np.float64(2.1))
    assert theano.function([tt.fscalar("x")], [], allow_input_downcast=True, on_unused_input="ignore")(0.1) == []


def test_replacements_that_depend_on_what_they_replace():
    import theano
    import theano.tensor as tt

    a = theano.shared(1.0, "a")
    a.default_update = a + 3
    f = theano.function([], a + 10, givens={a: a + 10})
    assert [f(), f()] == [21, 34]
    x = tt.dscalar("x")
    h = x * 2
    assert theano.function([x], h + 1, givens={h: h * 3})(2) == 13
    with pytest.raises(RuntimeError, match="is an input"):
        theano.function([x], h, givens={x: x + 1})


def test_inputs_that_are_refused():
    import theano
    import theano.tensor as tt

    x = tt.dscalar("x")
    with pytest.raises(theano.compile.UnusedInputError, match="listed twice"):
        theano.function([x, x], x)
    with pytest.raises(TypeError, match="axes"):
        theano.In(x, update=tt.dvector())
    with pytest.raises(TypeError, match="name"):
        theano.In(x, name=[])


def test_sparse_inputs_with_properties():
    import theano
    import theano.sparse

    scipy_sparse = pytest.importorskip("scipy.sparse")
    x = theano.sparse.csr_matrix("x")
    f = theano.function([theano.In(x, mutable=True)], theano.sparse.dense_from_sparse(x))
    m = scipy_sparse.csr_matrix(np.diag([1.0, 2]))
    assert (f(m) == m.toarray()).all()
    kind = type(x.type)
    assert kind.may_share_memory(m, m.data) and not kind.may_share_memory(m, m.copy())
    assert kind.values_eq(m, m.copy()) and not kind.values_eq(m, 2 * m) and kind.values_eq_approx(m, m * (1 + 1e-9))
    held = theano.shared(m)
    held.container.value = 3 * m
    assert held.get_value(return_internal_type=True)[1, 1] == 6
    assert "float16" not in theano.sparse.all_dtypes and "float64" in theano.sparse.float_dtypes


def test_shared_variables_of_any_object():
    import theano

    v = theano.shared({"a": 1}, "v")
    assert v.type == theano.compile.sharedvalue.generic and theano.shared([]).type == v.type
    v.get_value()["a"] = 2
    assert v.get_value() == {"a": 1}
    v.set_value("text")
    assert v.get_value() == "text" and theano.shared([[1, 2]]).get_value().shape == (1, 2)


def test_gradients_have_names_and_known_ones_may_be_numbers():
    import theano
    import theano.tensor as tt

    x = tt.dvector("x")
    f = (x**2).sum()
    f.name = "f"
    assert theano.grad(f, x).name == "(df/dx)"
    y = x * 3
    assert theano.grad(None, x, known_grads={y: 2.0}).eval({x: [1.0, 1]}).tolist() == [6, 6]
    with pytest.raises(theano.gradient.DisconnectedInputError):
        theano.grad(None, x, known_grads={y: theano.gradient.DisconnectedType()()})


def test_copies_of_functions_have_their_own_states():
    import copy

    import theano
    import theano.tensor as tt

    s, x = tt.dscalars("s", "x")
    f = theano.function([x, theano.In(s, value=0.0, update=s + x)], s + x)
    g = copy.copy(f)
    assert [f(1), f(1), g(1)] == [1, 2, 1]
