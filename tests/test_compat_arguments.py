"""Arguments by position, as Theano ordered them, where symc orders them otherwise; ops that only Theano had."""

from __future__ import annotations

import io
import pickle

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


@pytest.fixture
def theano():
    import theano.gof.op
    import theano.sandbox.rng_mrg
    import theano.scan_module.scan_utils

    return theano


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
    with pytest.raises(AssertionError, match="keys"):
        theano.function([x], {1.0: x})


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
    assert [f(1), f(1), g(1)] == [1, 2, [1]]  # as in Theano, a copy returns a list


# --- Theano's random numbers ------------------------------------------------------------------------------------------


@pytest.fixture
def exact():
    from symc.compat import flags

    flags.config.exact_random = True
    yield
    flags.config.exact_random = False


def test_the_numbers_of_numpys_generator(exact):
    from symc.compat import random_streams

    streams = random_streams.RandomStreams(234)
    seeds = np.random.RandomState(234)
    pvals = np.array([0.2, 0.3, 0.5])
    drawn = {
        streams.uniform((2, 3), -1.0, 2.0): lambda g: g.uniform(-1, 2, (2, 3)),
        streams.normal((5,), avg=np.arange(5.0)): lambda g: g.normal(np.arange(5.0), 1.0, 5),
        streams.binomial((4,), 3, 0.4): lambda g: g.binomial(3, 0.4, 4),
        streams.random_integers((6,), 2, 9): lambda g: [g.randint(2, 10) for _ in range(6)],
        streams.poisson((3,), 4.0): lambda g: g.poisson(4.0, 3),
        streams.choice((3,), 5, False): lambda g: g.choice(5, 3, False),
        streams.permutation((2,), 4): lambda g: [g.permutation(4) for _ in range(2)],
        streams.multinomial((2,), 7, pvals): lambda g: g.multinomial(7, pvals, 2),
    }
    f = symc.function([], list(drawn))
    generators = [np.random.RandomState(int(seeds.randint(2**30))) for _ in drawn]
    for _ in range(2):
        for found, draw, g in zip(f(), drawn.values(), generators):
            assert (found == np.asarray(draw(g))).all()
    first = next(iter(drawn))
    first.rng.get_value(borrow=True).seed(5)
    assert (f()[0] == np.random.RandomState(5).uniform(-1, 2, (2, 3))).all()
    streams.seed(7)
    again = np.random.RandomState(int(np.random.RandomState(7).randint(2**30)))
    assert (f()[0] == again.uniform(-1, 2, (2, 3))).all()


def _reference_mrg(state, count):
    """One stream of MRG31k3p, in integers: the next state and the differences of both recurrences."""
    x, y = list(state[:3]), list(state[3:])
    out = []
    for _ in range(count):
        x = [(2**22 * x[1] + 129 * x[2]) % (2**31 - 1), x[0], x[1]]
        y = [(2**15 * y[0] + 32769 * y[2]) % (2**31 - 21069), y[0], y[1]]
        out.append((x[0] - y[0]) % (2**31 - 1) or 2**31 - 1)
    return x + y, out


def test_the_numbers_of_mrg(exact):
    from symc.compat import mrg, random_streams

    streams = random_streams.MRG_RandomStreams(12345)
    u, v = streams.uniform((4, 5), dtype="float64"), streams.uniform((3,), 1.0, 3.0, dtype="float32")
    assert streams.state_updates[0][0].get_value().shape == (3, 6)  # 20 numbers from 3 streams
    f = symc.function([], [u, v])
    lanes = [np.array([12345] * 6)]
    while len(lanes) < 3:
        lanes.append(mrg.ff_2p72(lanes[-1]))
    expected = np.empty(20, "int64")
    for k, lane in enumerate(lanes):
        expected[k::3] = _reference_mrg([int(n) for n in lane], len(expected[k::3]))[1]
    found = f()
    np.testing.assert_allclose(found[0].ravel(), expected * 2.0**-31, rtol=1e-15)
    second = mrg.ff_2p134([12345] * 6)
    one = _reference_mrg([int(n) for n in second], 1)[1][0] * 2.0**-31
    np.testing.assert_allclose(found[1][0], 1 + 2 * one, rtol=1e-6)
    assert (f()[0] != found[0]).all()
    streams.seed(12345)
    assert (f()[0] == found[0]).all()
    z = symc.function([], streams.normal((50, 21)))()
    assert abs(z.mean()) < 0.1 and abs(z.std() - 1) < 0.07
    t = symc.function([], streams.truncated_normal((501,), 5.0, 2.0))()
    assert abs(t - 5).max() < 2 * 2 / 0.8796 + 1e-6 and abs(t.std() - 2) < 0.2
    ones = symc.function([], streams.binomial((400,), p=0.3))()
    assert set(ones) == {0, 1} and abs(ones.mean() - 0.3) < 0.06
    for bad in (0, [1, 2, 3], 2**31):
        with pytest.raises((TypeError, ValueError)):
            streams.set_rstate(bad)


def test_float16_numbers_of_mrg_lie_between_0_and_1(exact):
    from symc.compat import random_streams

    streams = random_streams.MRG_RandomStreams(12345)
    found = symc.function([], streams.uniform((20_000,), dtype="float16", nstreams=1))()
    low15 = [(n & 0x7FFF) + 1 for n in _reference_mrg([12345] * 6, 50)[1]]
    assert found[:50].tolist() == [float(np.float16(n * float(np.float16(3.0458e-05)))) for n in low15]
    assert found.dtype == "float16" and 0 < found.min() < 0.001 and 0.99 < found.max() < 1


def test_recurrences_skip_ahead():
    """2**k steps at once are as many single steps, for k that can be counted."""
    from symc.compat import mrg

    state = [3, 5, 7, 11, 13, 17]
    matrices = mrg._jump(6)
    ahead = mrg.multMatVect(state, matrices[0], mrg.M1, matrices[1], mrg.M2)
    assert ahead.tolist() == _reference_mrg(state, 64)[0]


def test_exact_random_is_a_choice():
    from symc.compat import random_streams
    from symc.tensor import shared_randomstreams

    assert random_streams.RandomStreams is shared_randomstreams.RandomStreams
    assert issubclass(random_streams.MRG_RandomStreams, shared_randomstreams.MRG_RandomStreams)
    with pytest.raises(AttributeError):
        _ = random_streams.nothing


# --- more ops ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_joins_along_an_axis_of_the_call(axis):
    import theano.tensor as tt

    a, b, k = tt.dmatrix(), tt.dmatrix(), tt.lscalar()
    z = tt.join(k, a, b)
    f = symc.function([k, a, b], [z, *symc.grad((z**2).sum(), [a, b])])
    other = RNG.normal(size=(5, 4) if axis in (0, -2) else (3, 2))
    joined, by_a, by_b = f(axis, M, other)
    assert (joined == np.concatenate([M, other], axis)).all()
    np.testing.assert_allclose(by_a, 2 * M)
    np.testing.assert_allclose(by_b, 2 * other)
    with pytest.raises((ValueError, IndexError)):
        f(2, M, other)
    with pytest.raises(ValueError):
        f(1 if axis in (0, -2) else 0, M, other)


def test_what_outputs_depend_on():
    import theano
    import theano.tensor as tt

    x, y, z = tt.dmatrices("xyz")
    inner = theano.OpFromGraph([x, y, z], [x * y, y * z])
    assert inner.connection_pattern(None) == [[True, False], [True, True], [False, True]]
    m, n, p, q = tt.dmatrices("mnpq")
    o1, o2 = inner(m, n, p)
    outer = theano.OpFromGraph([m, n, p, q], list(inner(o1, q, o2)))
    assert outer.connection_pattern() == [[True, False], [True, True], [False, True], [True, True]]


def test_arguments_that_a_loop_ignores_count_as_used():
    import theano
    import theano.tensor as tt

    x, y = tt.dvector("x"), tt.dmatrix("y")
    out, _ = theano.scan(lambda a, b: a * 2, sequences=x, non_sequences=y)
    assert theano.function([x, y], out)([1, 2], M).tolist() == [2, 4]
    with pytest.raises(ValueError, match="taps"):
        theano.scan(lambda a, b: a + b, outputs_info=[{"initial": x, "taps": [-1, -1]}], n_steps=2)


def test_classes_that_occur():
    from theano.tensor.nnet import confusion_matrix

    a, b = symc.tensor.dvector(), symc.tensor.dvector()
    counts, order = symc.function([a, b], confusion_matrix(a, b))([0, 4, 4], [4, 4, 7])
    assert order.tolist() == [0, 4, 7] and counts.tolist() == [[0, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_numbers_keep_numpys_dtypes():
    import theano.scalar as ts
    import theano.tensor as tt

    assert tt.as_tensor_variable(np.float32(0.5)).dtype == "float32" and ts.constant(2).dtype == "int8"
    assert [v.name for v in ts.floats("ab")] == ["a", "b"]
    with pytest.raises(NotImplementedError):
        tt.nlinalg.norm(np.zeros((2, 2, 2)), None)
    with pytest.raises(ValueError):
        tt.nlinalg.norm(3, None)


def test_gradients_of_correlations_without_a_shape():
    from theano.tensor.nnet.corr import CorrMM, CorrMM_gradInputs, CorrMM_gradWeights

    x, w = symc.tensor.dtensor4(), symc.tensor.dtensor4()
    out = CorrMM((1, 0), (1, 1), (2, 1))(x, w)
    g = symc.tensor.ones_like(out)
    mode = ((1, 0), (1, 1), (2, 1))
    found = [CorrMM_gradInputs(*mode)(w, g), CorrMM_gradWeights(*mode)(x, g)]
    f = symc.function([x, w], [*found, *symc.grad(out.sum(), [x, w])])
    results = f(RNG.normal(size=(2, 3, 7, 6)), RNG.normal(size=(4, 3, 3, 2)))
    for mine, expected in zip(results[:2], results[2:]):
        np.testing.assert_allclose(mine, expected)
    with pytest.raises(ValueError, match="subsample"):
        CorrMM_gradWeights("valid", (2, 1))(x, g)


def test_replacements_of_other_shapes_and_copies(theano, tmp_path):
    T = theano.tensor
    x, y, w = T.vector("x"), T.vector("y"), T.matrix("w")
    formula = T.exp(2 * x + 1) * y
    with pytest.raises(TypeError, match="rebuild_strict"):
        theano.function([w, y], formula, givens={x: w})
    f = theano.function([w, y], formula, givens={x: w}, rebuild_strict=False)
    a, b = np.float32([[1, 2], [0, 1]]), np.float32([3, 4])
    np.testing.assert_allclose(f(a, b), np.exp(2 * a + 1) * b, rtol=1e-6)
    assert isinstance(f.copy()(a, b), list)  # as in Theano, whatever the function returns
    theano.function_dump(str(tmp_path / "f.pkl"), [x], x + 1)
    with open(tmp_path / "f.pkl", "rb") as file:
        np.testing.assert_array_equal(theano.function(**pickle.load(file))(b), b + 1)


def test_replaced_variables_in_steps_and_inner_graphs(theano):
    T = theano.tensor
    x, c, d, factor = T.vector("x"), T.scalar("c"), T.scalar("d"), T.scalar("factor")
    z = factor * (theano.shared(np.float32(1)) + 1)

    def step(x, total):
        after = total + x
        after.tag.replacement = z * (total - x)
        return after

    totals, _ = theano.scan(step, x, [np.float32(0)])
    added = c + d
    added.tag.replacement = z * (c - d)
    applied = theano.OpFromGraph([c, d], [added])(x[0], x[1])
    map_variables = theano.scan_module.scan_utils.map_variables
    mapped = map_variables(lambda v: getattr(v.tag, "replacement", v), [totals, applied])
    found = theano.function([x, factor], [totals, applied, *mapped])(np.float32([1, 2, 3]), 0.5)
    for got, expected in zip(found, ([1, 3, 6], 3, [-1, -3, -6], -1)):
        np.testing.assert_allclose(got, expected)


def test_outputs_that_do_not_depend_on_each_other(theano):
    T = theano.tensor

    class Two(theano.Op):
        __props__ = ()

        def make_node(self, x):
            return theano.Apply(self, [x], [x.type(), T.dscalar()])

        def perform(self, node, inputs, outputs):
            outputs[0][0], outputs[1][0] = 2 * inputs[0], np.array(7.0)

        def connection_pattern(self, node):
            return [[True, False]]

        def grad(self, inputs, gs):
            return [2 * gs[0]]

        def R_op(self, inputs, points):  # noqa: N802 - Theano's name
            return [None, None]

    class Undefined(theano.Op):
        __props__ = ()

        def make_node(self, x, y):
            return theano.Apply(self, [x, y], [T.dscalar()])

        def grad(self, inputs, gs):
            return [gs[0] * T.ones_like(inputs[0]), theano.gradient.grad_undefined(self, 1, inputs[1])]

    x = T.dvector("x")
    first, second = Two()(x)
    slope = T.grad(Undefined()(first, second), x)
    np.testing.assert_array_equal(slope.eval({x: [1.0, 2.0]}), [2, 2])
    with pytest.raises(ValueError, match="Rop"):
        T.Rop(first.sum(), x, x)


def test_calls_of_old_programs(theano):
    T = theano.tensor
    x, z = T.vector("x"), T.dmatrix("z")
    f = theano.function([x], {"a": x + 1, "b": x * 2})
    assert list(f([1, 2], output_subset=["b"])) == ["b"]
    assert [list(v) for v in theano.function([x], [x, x + 1, x + 2])([1], output_subset=[0, 2])] == [[1], [3]]
    a, b = np.ones((2, 2)), np.eye(2)
    g = theano.function([z], T.blas.gemm_inplace(z, 2.0, b, b, 3.0), accept_inplace=True)
    g(a)
    np.testing.assert_array_equal(a, 3 * np.ones((2, 2)) + 2 * b)  # the argument is overwritten
    assert theano.gof.op.get_debug_values(x) == []
    assert theano.function([x], x, mode=theano.Mode(linker=theano.gof.PerformLinker()))([3]) == [3]


def test_order_of_complex_numbers(theano):
    x, y = (theano.tensor.zvector(n) for n in "xy")
    v, w = RNG.integers(-1, 2, (2, 20)) + 1j * RNG.integers(-1, 2, (2, 20))
    found = theano.function([x, y], [x < y, x <= y, x > y, x >= y, x.max(), x.min()])(v, w)
    for got, expected in zip(found, (v < w, v <= w, v > w, v >= w, v.max(), v.min())):
        np.testing.assert_array_equal(got, expected)


def test_numbers_of_truncated_distributions_and_of_float16(theano):
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    drawn = streams.truncated_normal((100, 100), avg=1.0, std=2.0).eval()
    assert abs(drawn.std() - 2) < 0.05 and abs(drawn - 1).max() <= 2 * 2 / 0.8796 + 1e-5
    assert symc.function([], (streams.uniform((300, 1000), dtype="float16") >= 1).sum())() == 0


@pytest.mark.parametrize("kind", ["RandomStreams", "MRG_RandomStreams"])
def test_theanos_numbers_in_steps_of_a_scan(exact, kind):
    """The draws of the steps are those of a function that is called as often; gradients pass by the draws."""
    import theano
    import theano.tensor as tensor

    from symc.compat import random_streams

    streams = getattr(random_streams, kind)
    x, w = tensor.dvector("x"), theano.shared(np.array([0.5, -2.0, 1.5]))

    def step(h, w):
        return h * w + streams_of_scan.uniform(size=h.shape, low=-1.0, high=1.0)

    streams_of_scan = streams(234)
    states, updates = theano.scan(step, outputs_info=x, non_sequences=w, n_steps=4)
    slope = theano.grad((states[-1] ** 2).sum(), w)
    f = theano.function([x], [states, slope], updates=updates)
    draw = theano.function([], streams(234).uniform(size=(3,), low=-1.0, high=1.0))
    for _ in range(2):
        h, s, weights = np.array([1.0, 2.0, 3.0]), np.zeros(3), w.get_value()
        found, found_slope = f(h)
        for k in range(4):
            h, s = h * weights + draw(), h + weights * s
            np.testing.assert_allclose(found[k], h, rtol=1e-12)
        np.testing.assert_allclose(found_slope, 2 * h * s, rtol=1e-10)


def test_shapes_of_theanos_numbers_are_known_before_the_draw(exact):
    import theano.tensor as tensor

    from symc.compat import random_streams

    rng = random_streams.RandomStreams(3)
    n = tensor.lscalar("n")
    for draw, want in [
        (rng.normal((n, 3)), (5, 3)), (rng.permutation((n,), 4), (5, 4)), (rng.permutation((2,), n), (2, 5)),
        (rng.multinomial((n,), 10, [0.2, 0.3, 0.5]), (5, 3)), (rng.binomial((), 1, 0.5), ()),
    ]:  # fmt: skip
        lengths = [tensor.as_tensor_variable(d) for d in draw.shape]
        found = symc.function([n], [draw, *lengths], on_unused_input="ignore")(5)
        assert found[0].shape == want == tuple(int(d) for d in found[1:])
