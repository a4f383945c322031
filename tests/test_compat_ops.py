"""Theano's ops as classes, its lower modules, and conventions of shapes and states that old programs rely on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import symc
import symc.compat
import symc.tensor as T
from symc.compat import fates
from symc.compat.names import NAMES
from symc.graph.types import TensorType

RNG = np.random.default_rng(7)
M = RNG.normal(size=(3, 4))
S = M[:, :3]
V = RNG.normal(size=5)
K = np.array([2, 0, 1, 1])


@pytest.fixture(scope="module", autouse=True)
def shim():
    """The old modules, in this file; programs run statement by statement, which needs no compiler."""
    symc.compat.install()
    with symc.config.change(device="interp"):
        yield
    symc.compat.uninstall()


def computed(build, *arrays):
    inputs = [TensorType(np.asarray(a).dtype.name, [None] * np.ndim(a))() for a in arrays]
    outputs = build(*inputs)
    return symc.function(inputs, outputs, on_unused_input="ignore")(*arrays)


def lookup(path):
    import importlib

    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"theano.{module}"), name)


def test_no_listed_name_is_missing():
    assert [fate.old for fate in map(fates.fate, NAMES.split()) if fate.kind == "missing"] == []


def test_functions_beside_modules_of_their_name():
    import theano
    from theano.compile.pfunc import pfunc
    from theano.ifelse import IfElse, ifelse

    x = theano.tensor.dvector("x")
    assert theano.clone(x * 2, {x: x + 1}).eval({x: [1.0]}) == [4]
    assert pfunc([x], x.sum())([1, 2]) == 3
    assert ifelse(x[0] > 0, x[0], x[1]).eval({x: [-1, 5]}) == 5
    assert IfElse(1)(x[0] > 0, x[0], x[1]).eval({x: [2, 5]}) == 2


APPLIED = {
    "tensor.elemwise.Sum": (lambda op: op(axis=[1]), [M], M.sum(1)),
    "tensor.elemwise.Prod": (lambda op: op(0), [M], M.prod(0)),
    "tensor.elemwise.ProdWithoutZeros": (lambda op: op(), [np.array([2.0, 0, 3])], 6),
    "tensor.elemwise.All": (lambda op: op(0), [M > 0], (M > 0).all(0)),
    "tensor.elemwise.Any": (lambda op: op(), [M > 0], True),
    "tensor.basic.MaxAndArgmax": (lambda op: op([1]), [M], (M.max(1), M.argmax(1))),
    "tensor.basic.Mean": (lambda op: op(1), [M], M.mean(1)),
    "tensor.basic.AllocDiag": (lambda op: op(-1), [V], np.diag(V, -1)),
    "tensor.basic.ExtractDiag": (lambda op: op(1), [M], np.diag(M, 1)),
    "tensor.basic.Nonzero": (lambda op: op(), [(M > 0) * 1], np.nonzero(M > 0)),
    "tensor.basic.Tri": (lambda op: lambda n: op("float64")(n, n, 1), [np.int64(3)], np.tri(3, 3, 1)),
    "tensor.basic.Flatten": (lambda op: op(1), [M], M.ravel()),
    "tensor.extra_ops.CumOp": (lambda op: op(1, mode="mul"), [M], M.cumprod(1)),
    "tensor.extra_ops.CumsumOp": (lambda op: op(), [M], M.cumsum()),
    "tensor.extra_ops.DiffOp": (lambda op: op(2, 0), [M], np.diff(M, 2, 0)),
    "tensor.extra_ops.RepeatOp": (lambda op: op(1), [M, K], M.repeat(K, 1)),
    "tensor.extra_ops.SearchsortedOp": (lambda op: op("right"), [np.sort(V), M], np.searchsorted(np.sort(V), M)),
    "tensor.extra_ops.Bartlett": (lambda op: op(), [np.int64(6)], np.bartlett(6)),
    "tensor.extra_ops.UnravelIndex": (lambda op: op(2), [np.array([5, 2]), np.array([2, 3])], ([1, 0], [2, 2])),
    "tensor.extra_ops.RavelMultiIndex": (
        lambda op: lambda i, j: op()(i, j, [2, 3]), [np.array([1, 0]), np.array([2, 1])], [5, 1],
    ),
    "tensor.sort.SortOp": (lambda op: op("quicksort", None), [M], np.sort(M)),
    "tensor.sort.ArgSortOp": (lambda op: lambda x: op()(x, 0), [M], np.argsort(M, 0)),
    "tensor.sort.TopKOp": (lambda op: lambda x: op(return_indices=False)(x, 1), [V], [V.max()]),
    "tensor.subtensor.AdvancedSubtensor1": (lambda op: op(), [M, K], M[K]),
    "tensor.subtensor.AdvancedSubtensor": (lambda op: op(), [M, K % 3, K], M[K % 3, K]),
    "tensor.subtensor.AdvancedIncSubtensor1": (
        lambda op: lambda x, k: op(set_instead_of_inc=True)(x, 7, k), [V, K], [7, 7, 7, *V[3:]],
    ),
    "tensor.blas.Gemm": (lambda op: lambda z: op()(z, 2.0, z, z, 3.0), [S], 3 * S + 2 * S @ S),
    "tensor.nnet.nnet.Prepend_scalar_to_each_row": (lambda op: lambda x: op()(5.0, x), [M], np.c_[[5] * 3, M]),
    "tensor.nnet.conv3d2d.DiagonalSubtensor": (lambda op: lambda x: op()(x, 1, 0), [M[:2]], [M[0, 1:], M[1, :3]]),
    "compile.ops.Shape_i": (lambda op: op(1), [M], 4),
    "gradient.GradScale": (lambda op: op(3.0), [M], M),
}  # fmt: skip


@pytest.mark.parametrize("path", APPLIED)
def test_op_of_theano(path):
    make, arrays, expected = APPLIED[path]
    found = computed(make(lookup(path)), *arrays)
    many = isinstance(found, list)
    for have, want in zip(found if many else [found], expected if many else [expected], strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-12)


def test_ops_are_compared_by_their_parameters():
    cum, total = lookup("tensor.extra_ops.CumOp"), lookup("tensor.elemwise.Sum")
    assert (
        cum(1) == cum(axis=1) and hash(cum(1)) == hash(cum(axis=1)) and cum(1) != cum(1, "mul") and cum(1) != total(1)
    )
    with pytest.raises(TypeError, match="CumOp: unexpected 'axes'"):
        cum(axes=1)


def test_graphs_are_read_by_classes_of_ops():
    import theano

    x, k = theano.tensor.dmatrix("x"), theano.tensor.lvector("k")
    kinds = {
        "tensor.elemwise.Sum": x.sum(),
        "tensor.elemwise.DimShuffle": x.T,
        "tensor.elemwise.Elemwise": T.exp(x),
        "tensor.subtensor.Subtensor": x[1:],
        "tensor.subtensor.AdvancedSubtensor1": x[k],
        "tensor.basic.Dot": T.dot(x, x),
        "tensor.sort.TopKOp": T.topk(x, 1),
        "tensor.extra_ops.CumOp": T.cumsum(x, 0),
        "tensor.basic.Join": T.join(0, x, x),
    }
    for path, expression in kinds.items():
        f = theano.function([x, k], expression, on_unused_input="ignore")
        nodes = f.maker.fgraph.toposort()
        assert any(isinstance(node.op, lookup(path)) for node in nodes), path
        assert nodes[-1].outputs[0] is f.maker.fgraph.outputs[0]
        assert not any(isinstance(node.op, lookup("tensor.basic.Eye")) for node in nodes)
    loop, _ = theano.scan(lambda u: u * 2, sequences=k)
    assert isinstance(loop.owner.op, lookup("scan_module.scan_op.Scan"))


def test_reductions_by_a_scalar_op():
    import theano

    reduce = lookup("tensor.elemwise.CAReduce")
    bits = np.array([[6, 3], [5, 9], [4, 1]], "int8")
    for name, combine in (("and_", np.bitwise_and), ("or_", np.bitwise_or), ("xor", np.bitwise_xor)):
        found = computed(reduce(getattr(theano.scalar, name), [0]), bits)
        assert found.tolist() == combine.reduce(bits, 0).tolist() and found.dtype == "int8"
    np.testing.assert_allclose(computed(reduce(theano.scalar.maximum, [1]), M), M.max(1))
    with pytest.raises(TypeError, match="associative"):
        reduce(theano.scalar.sub)(theano.tensor.vector())


def test_scalar_op_of_a_program():
    import theano

    class Cube(theano.scalar.UnaryScalarOp):
        def impl(self, x):
            return x**3

        def grad(self, inputs, output_gradients):
            return [3 * inputs[0] ** 2 * output_gradients[0]]

    class Scaled(theano.scalar.BinaryScalarOp):
        def impl(self, x, y):
            return x * y + 1

    cube = theano.tensor.Elemwise(Cube(theano.scalar.upgrade_to_float, name="cube"))
    x = theano.tensor.dmatrix("x")
    value, slope = theano.function([x], [cube(x), theano.grad(cube(x).sum(), x)])(M)
    np.testing.assert_allclose(value, M**3)
    np.testing.assert_allclose(slope, 3 * M**2)
    assert cube(theano.tensor.bvector()).dtype == "float32"  # of int8
    scaled = computed(Scaled(theano.scalar.upcast_out), M, K.astype("int32"))
    np.testing.assert_allclose(scaled, M * K + 1)


def slices():
    for start, stop in itertools.product([None, -7, -2, 0, 1, 4, 9], repeat=2):
        for step in (None, 1, 2, -1, -3):
            yield slice(start, stop, step)


def test_canonical_slices():
    canonical = lookup("tensor.subtensor.get_canonical_form_slice")
    row, n, cases = list(range(5)), T.lscalar("n"), list(slices())
    known = [canonical(case, n) for case in cases]
    bounds = [T.as_tensor_variable(v) for part, _ in known for v in (part.start, part.stop, part.step)]
    values = np.reshape(symc.function([n], bounds)(5), (-1, 3))
    found = [(*map(int, value), sign) for value, (_, sign) in zip(values, known)]
    entries = [T.lscalar(name) for name in "abc"]  # and with entries that are known only at call time
    part, sign = canonical(slice(*entries), n)
    f = symc.function([*entries, n], [part.start, part.stop, part.step, sign])
    later = [case for case in cases if None not in (case.start, case.stop, case.step)]
    found += [tuple(map(int, f(case.start, case.stop, case.step, 5))) for case in later]
    for case, (start, stop, step, sign) in zip([*cases, *later], found, strict=True):
        assert 0 <= start <= 5 and 0 <= stop <= 5 and step > 0
        assert row[start:stop:step][::sign] == row[case]


# --- gradients as ops, blocks, losses ---------------------------------------------------------------------------------


def test_gradients_of_ops_as_ops():
    logits = M - M.max(1, keepdims=True)
    sm = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    dy = RNG.normal(size=M.shape)
    jacobians = [np.diag(p) - np.outer(p, p) for p in sm]
    found = computed(lookup("tensor.nnet.nnet.SoftmaxGrad")(), dy, sm)
    np.testing.assert_allclose(found, [j @ g for j, g in zip(jacobians, dy)], rtol=1e-10)
    y, g = np.array([3, 0, 1]), np.array([1.0, 2, 3])
    found = computed(lookup("tensor.nnet.nnet.crossentropy_softmax_1hot_with_bias_dx"), g, sm, y)
    np.testing.assert_allclose(found, g[:, None] * (sm - np.eye(4)[y]), rtol=1e-12)
    x = np.array([[[[1.0, 2, 0, 5], [4, 3, 6, 1]]]])
    gz = np.array([[[[10.0, 20]]]])
    pooled = lookup("tensor.signal.pool.MaxPoolGrad")(ignore_border=True)
    found = computed(lambda x, z, g: pooled(x, z, g, (2, 2)), x, np.array([[[[4.0, 6]]]]), gz)
    assert found.tolist() == [[[[0, 0, 0, 0], [10, 0, 20, 0]]]]
    chosen = lookup("tensor.signal.pool.DownsampleFactorMaxGradGrad")(ignore_border=True)
    direction = np.arange(8.0).reshape(1, 1, 2, 4)
    found = computed(lambda x, z, d: chosen(x, z, d, (2, 2)), x, np.array([[[[4.0, 6]]]]), direction)
    assert found.tolist() == [[[[4, 6]]]]


def test_the_shape_of_pooled_images():
    pool = lookup("tensor.signal.pool.Pool")
    image = np.zeros((2, 1, 7, 9))
    n = T.lscalar("n")
    for window, stride, border in itertools.product([(2, 3), (3, 2)], [None, (1, 4), (3, 3)], [True, False]):
        shape = pool.out_shape(image.shape, window, border, stride)
        found = computed(lambda x: T.signal.pool.pool_2d(x, window, border, stride), image)  # noqa: B023
        assert tuple(shape) == found.shape
        last = pool.out_shape((2, 1, 7, n), window, border, stride)[-1]
        assert last.eval({n: 9}) == shape[-1]


def test_products_of_blocks():
    weights, h, b = RNG.normal(size=(3, 4, 2, 5)), RNG.normal(size=(2, 2, 2)), RNG.normal(size=(4, 5))
    rows, columns = np.array([[0, 2], [1, 1]]), np.array([[3, 0, 1], [2, 2, 0]])
    want = np.array([
        [b[c] + sum(h[n, i] @ weights[r, c] for i, r in enumerate(rows[n])) for c in columns[n]] for n in range(2)
    ])  # fmt: skip
    found = computed(lookup("tensor.nnet.blocksparse.sparse_block_dot"), weights, h, rows, b, columns)
    np.testing.assert_allclose(found, want, rtol=1e-10)
    x, y, o = h, RNG.normal(size=(2, 3, 5)), np.zeros((3, 4, 2, 5))
    for n in range(2):
        for i, j in itertools.product(range(2), range(3)):
            o[rows[n, i], columns[n, j]] += np.outer(x[n, i], y[n, j])
    outer = lookup("tensor.nnet.blocksparse.sparse_block_outer")
    np.testing.assert_allclose(computed(outer, np.zeros_like(o), x, y, rows, columns), o, rtol=1e-10)


def test_ctc_sums_over_all_paths():
    activations = RNG.normal(size=(3, 1, 3))
    p = np.exp(activations) / np.exp(activations).sum(2, keepdims=True)

    def label(path):
        merged = [k for k, _ in itertools.groupby(path)]
        return [k for k in merged if k != 0]

    total = sum(
        np.prod([p[t, 0, k] for t, k in enumerate(path)])
        for path in itertools.product(range(3), repeat=3)
        if label(path) == [1, 2]
    )
    labels, lengths = np.array([[1, 2, -1]], "int32"), np.array([3], "int32")
    found = computed(lookup("tensor.nnet.ctc.ctc"), activations, labels, lengths)
    np.testing.assert_allclose(found, [-np.log(total)], rtol=1e-6)


def test_assertions():
    import theano
    from theano.tensor.opt import Assert, assert_op

    x = theano.tensor.dvector("x")
    small = Assert("too many elements")(x, x.size < 3)
    f = theano.function([x], [small * 2, theano.grad((small**2).sum(), x)])
    assert [v.tolist() for v in f([1, 2])] == [[2, 4], [2, 4]]
    with pytest.raises(AssertionError, match="too many elements"):
        f([1, 2, 3])
    with pytest.raises(AssertionError):
        assert_op(x, theano.tensor.constant(0))


# --- random states ----------------------------------------------------------------------------------------------------


def test_draws_from_a_given_state():
    import theano
    from theano.tensor import raw_random

    state = raw_random.random_state_type()

    def stream(seed):
        following, drawn = raw_random.uniform(state, (2, 50), -1.0, 1.0)
        first = theano.In(state, value=np.random.RandomState(seed), update=following, mutable=True)
        return theano.function([first], drawn)

    a, b = stream(3), stream(3)
    first, second = a(), a()
    assert (first == b()).all() and (second == b()).all() and not (first == second).any()
    assert not (stream(4)() == first).any() and first.min() < -0.8 and first.max() > 0.8
    assert raw_random.RandomFunction("normal", theano.tensor.dmatrix)(state, [2, 3])[1].ndim == 2


def test_streams_draw_by_functions_of_a_state():
    import theano
    from theano.tensor import raw_random
    from theano.tensor.shared_randomstreams import RandomStreams

    streams = RandomStreams(5)
    drawn = streams.gen(raw_random.normal, (20,))
    f = theano.function([], drawn)
    before = f()
    assert not (f() == before).any()
    streams.seed(5)
    assert (f() == before).all()
    streams[drawn] = np.random.RandomState(1)
    other = f()
    streams[drawn] = np.random.RandomState(1)
    assert (f() == other).all() and not (other == before).any()


# --- shapes, states, types --------------------------------------------------------------------------------------------


def test_shapes_are_checked_when_they_are_used():
    import theano

    x = theano.tensor.dvector("x")
    absent = theano.function([x], x.shape[1])  # as in branches that old programs build and never use
    with pytest.raises(IndexError, match="index 1 is out of range"):
        absent([1, 2])
    a, b = theano.shared(np.zeros((2, 3))), theano.shared(np.zeros((1, 1)))
    f = theano.function([], theano.tensor.dot(a, b) + 1)
    with pytest.raises(ValueError, match="dot"):
        f()
    b.set_value(np.ones((3, 4)))
    assert f().shape == (2, 4)


def test_a_new_program_hears_of_them_at_once():
    symc.compat.uninstall()
    try:
        with pytest.raises(IndexError):
            T.vector().shape[1]
        with pytest.raises(ValueError):
            symc.function([], symc.shared(np.zeros((2, 3))) + symc.shared(np.zeros((3, 2))))
        assert not hasattr(TensorType, "filter")
    finally:
        symc.compat.install()


def test_types_convert_and_compare():
    import theano
    from theano.tensor.type import values_eq_approx_remove_nan

    t = theano.tensor.dvector().type
    assert t.filter([1, 2]).dtype == "float64" and t.is_valid_value(np.zeros(2)) and not t.is_valid_value([1.0])
    for wrong in ([[1.0]], [1j]):
        with pytest.raises(TypeError):
            t.filter(wrong)
    a = np.array([1.0, np.nan])
    assert t.values_eq(a, a) and not t.values_eq(a, a[:1]) and not t.values_eq_approx(a, np.array([1.0, 2]))
    assert t.values_eq_approx(np.array([1.0]), np.array([1 + 1e-9])) and values_eq_approx_remove_nan(a, np.ones(2))
    assert t.value_zeros((2,)).tolist() == [0, 0] and t.dtype_specs()[0] is np.float64
    assert [str(s) for s in theano.scalar.float_types] == ["float16", "float32", "float64"]


def test_two_functions_have_one_state():
    x, s = T.scalar("x"), T.scalar("s")
    add = symc.function([x, symc.In(s, value=0.0, update=s + x)], s + x)
    subtract = symc.function([x, symc.In(s, value=add.container[s], update=s - x)], s - x)
    assert (add(5), subtract(2), add(1)) == (5, 3, 4) and add.value[s] == subtract.value[s] == 4
    copy = add.copy()
    assert copy(6) == [10] and add.value[s] == 4  # a copy has a state of its own
    add.container[s].storage[0] = 9
    assert add(0) == 9


def test_container_of_a_shared_variable():
    w = symc.shared(np.array([1.0, 2]))
    w.container.value = w.container.value * 3
    w.container.data[0] = 7
    assert w.get_value().tolist() == [7, 6] and w.container.storage[0].tolist() == [7, 6]
    w.container.storage[0] = [0, 1]
    assert w.get_value().tolist() == [0, 1]


def test_graphs_with_other_variables():
    a, b, c = T.dscalars("a", "b", "c")
    product = a + b
    product.tag.other = a * b
    (found,) = lookup("scan_module.scan_utils.map_variables")(lambda v: getattr(v.tag, "other", v), [product + c])
    assert found.eval({a: 3, b: 4, c: 1}) == 13
    graph = lookup("gof.FunctionGraph")([a, b], [T.stack([a, b])], clone=False)
    shapes = lookup("tensor.utils.shape_of_variables")(graph, {a: (), b: ()})
    assert shapes[graph.outputs[0]] == (2,) and shapes[a] == ()


def test_linkers_compile_graphs_as_they_are():
    from theano import gof

    x, y = T.dmatrices("x", "y")
    graph = gof.FunctionGraph([x, y], [x + y])
    f = gof.DualLinker().accept(graph).make_function()
    np.testing.assert_allclose(f(M, M), 2 * M)
    assert isinstance(gof.CLinker().accept(graph).make_function(unpack_single=False)(M, M), list)


def test_debug_mode_with_theanos_arguments():
    import theano

    x = theano.tensor.dvector("x")
    f = theano.function([x], x * 2, mode=theano.compile.DebugMode(check_py_code=False, stability_patience=3))
    assert f([1, 2]).tolist() == [2, 4]
    with pytest.raises(ValueError, match="at least one"):
        theano.compile.DebugMode(check_c_code=False, check_py_code=False)


def test_old_numpy_names():
    assert np.find_common_type([np.int64], [np.float16]) == np.float64
    assert np.find_common_type([np.float32], [np.float64]) == np.float32
    assert np.find_common_type([np.float32, np.int64], []) == np.float64
    assert np.MachAr().eps == 2.0**-52 and np.MachAr().xmin == 2.0**-1022


def test_parts_of_a_compiled_function():
    import theano

    x, y = theano.tensor.dvector("x"), theano.tensor.dscalar("y")
    w = theano.shared(np.float64(2))
    f = theano.function([x, theano.In(y, value=3.0)], [x.sum() * y, x[0]], updates=[(w, w + y)])
    assert f.defaults[0][0] and f.defaults[1] == (False, True, 3)
    f.input_storage[0].storage[0] = np.array([1.0, 4.0])
    f.input_storage[1].data = 5.0
    assert f.fn() is None
    assert [s.value for s in f.output_storage] == [25, 1]
    assert w.get_value() == 7 and f.fn.storage_map[w][0] == 7 and f.fn.storage_map[x][0][1] == 4
    f.fn.allow_gc = False
    assert f.fn.allow_gc is False
    assert len(f.maker.outputs) == 2 and f.maker.expanded_inputs == f.maker.inputs and f.maker.refeed == [True, True]


@pytest.mark.parametrize("ndim", [2, 3])
def test_windows_that_do_not_fit_fail_at_call_time(ndim):
    import theano

    conv = [theano.tensor.nnet.conv2d, theano.tensor.nnet.conv3d][ndim - 2]
    x, w = (TensorType("float64", [None] * (ndim + 2))() for _ in range(2))
    maps = conv(x, w, (1, 2, *[3] * ndim), (4, 2, *[5] * ndim))
    f = theano.function([x, w], [maps, theano.grad(maps.sum(), w)])
    with pytest.raises(ValueError, match="a filter covers .* have only"):
        f(np.ones((1, 2, *[3] * ndim)), np.ones((4, 2, *[5] * ndim)))


def test_rectifier_has_theanos_gradient_at_zero():
    import theano

    x = theano.tensor.dvector()
    build = theano.tensor.nnet.relu
    parts = [build(x), theano.grad(build(x).sum(), x), theano.grad(build(x, 0.2).sum(), x)]
    value, plain, leaky = theano.function([x], parts)([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(value, [0, 0, 3])
    np.testing.assert_array_equal(plain, [0, 0.5, 1])
    np.testing.assert_allclose(leaky, [0.2, 0.6, 1])


@pytest.mark.parametrize("shape", [(4, 3), (2, 3)])
def test_householder_form_of_qr(shape):
    import theano

    a, value = theano.tensor.dmatrix(), RNG.normal(size=shape)
    h, tau = theano.tensor.nlinalg.qr(a, mode="raw")
    found = theano.function([a], [h, tau, h.shape, tau.shape])(value)
    for have, want in zip(found, np.linalg.qr(value, "raw")):
        np.testing.assert_allclose(have, want)
    assert tuple(found[2]) == shape[::-1] and tuple(found[3]) == (min(shape),)
    with pytest.raises(TypeError, match="mode 'raw' expects a matrix"):
        theano.tensor.nlinalg.qr(theano.tensor.imatrix(), mode="raw")


def test_zeros_for_gradients_of_outputs_that_do_not_matter(shim):
    import theano
    from theano.tensor.nlinalg import _zero_disconnected

    x = theano.tensor.dvector("x")
    absent = theano.gradient.DisconnectedType()()
    zeros, kept = _zero_disconnected([x, x], [absent, 2 * x])
    assert not zeros.eval({x: [1.0, 2.0]}).any() and list(kept.eval({x: [1.0, 2.0]})) == [2, 4]


def test_lists_of_variables():
    import theano
    from theano import typed_list

    x, y, i = theano.tensor.dmatrix("x"), theano.tensor.dmatrix("y"), theano.tensor.iscalar()
    pair = typed_list.make_list([x, y])
    assert pair.type == typed_list.TypedListType(theano.tensor.dmatrix) and pair.type.get_depth() == 0
    longer = typed_list.insert(typed_list.extend(pair.append(x), [y]), 1, y)
    order = [x, y, y, x, y]
    assert len(longer) == 5 and all(a is b for a, b in zip(longer, order))
    assert all(a is b for a, b in zip(typed_list.reverse(longer)[1:], order[-2::-1]))
    assert [v is x for v in typed_list.remove(longer, y)] == [True, False, True, False]
    nested = typed_list.make_list([pair, pair])
    assert nested.type.get_depth() == 1 and typed_list.getitem(nested[1], 0) is x
    found = [typed_list.count(longer, y), typed_list.index_(longer, y), typed_list.length(longer)]
    f = theano.function([x, y], found)
    assert f(np.ones((2, 3)), np.ones((3, 3))) == [3, 1, 5]
    assert f(np.ones((2, 3)), np.ones((2, 3))) == [5, 0, 5]
    with pytest.raises(TypeError, match="append: expected an element of type"):
        pair.append(theano.tensor.fmatrix())
    with pytest.raises(TypeError, match="integer or a slice"):
        pair[x]
    assert theano.function([x, y, i], pair[i] * 2)([[1]], [[3]], 1) == 6
    absent = theano.function([x, y, i], typed_list.index_(pair, x + i))
    with pytest.raises(ValueError, match="not in the list"):
        absent(np.ones((1, 2)), np.ones((1, 2)), 1)


@pytest.mark.parametrize("mode", ["max", "sum", "average_inc_pad", "average_exc_pad"])
def test_pooling_over_four_axes(mode):
    from theano.tensor.signal.pool import Pool

    value = np.abs(RNG.normal(size=(2, 4, 2, 3, 5)))
    x = TensorType("float64", [None] * 5)()
    pool = Pool(ignore_border=True, mode=mode, ndim=4)
    found = symc.function([x], pool(x, (2, 1, 3, 2), (1, 1, 1, 2), (0, 0, 1, 1)))(value)
    reduce = {"max": np.nanmax, "average_exc_pad": np.nanmean}.get(mode, np.sum if mode == "sum" else np.mean)
    fill = np.nan if mode in ("max", "average_exc_pad") else 0
    padded = np.pad(value, [(0, 0), (0, 0), (0, 0), (1, 1), (1, 1)], constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 1, 3, 2), (1, 2, 3, 4))[:, :, :, :, ::2]
    np.testing.assert_allclose(found, reduce(windows, axis=(5, 6, 7, 8)))
    with pytest.raises(ValueError, match="Pool: ws must have 4 integers"):
        pool(x, (2, 2))


def test_generators_as_arguments():
    import theano
    from theano.tensor import raw_random

    state = raw_random.random_state_type()
    following, drawn = raw_random.uniform(state, (3,))
    f = theano.function([state], [following, drawn])
    after, first = f(np.random.RandomState(3))
    np.testing.assert_array_equal(f(np.random.RandomState(3))[1], first)
    assert not np.array_equal(f(np.random.RandomState(4))[1], first)
    held = theano.function([theano.In(state, value=np.random.RandomState(3), update=following)], drawn)
    np.testing.assert_array_equal(held(), first)
    np.testing.assert_array_equal(held(), f(after)[1])


def test_tensor_functions_with_theanos_rules():
    import theano.tensor as tensor
    from theano.tensor import np as numpy_of_tensor
    from theano.tensor import theano as theano_of_tensor

    assert numpy_of_tensor is np and theano_of_tensor.tensor is tensor
    for a, b in [((3,), (3, 5)), ((3, 5), (3,)), ((3,), (3,)), ((3, 2, 4, 5), (3, 5, 2)), ((3, 5), (3, 5))]:
        x, y = RNG.normal(size=a), RNG.normal(size=b)
        wanted = [p * q if not p.ndim or not q.ndim else np.dot(p, q) for p, q in zip(x, y)]
        assert np.allclose(computed(tensor.batched_dot, x, y), wanted)
    with pytest.raises(TypeError, match="axis of entries"):
        tensor.batched_dot(tensor.scalar(), tensor.vector())
    low, high = np.array(1.0), np.array(-1.0)
    assert np.array_equal(computed(tensor.clip, V, low, high), np.where(V < 1, 1, -1))
    z, w = np.array([1 + 2j, 3, -1j, complex(np.nan, 1)]), np.array([1 + 1j, 4, 0, 1])
    assert np.array_equal(computed(tensor.maximum, z, w), np.maximum(z, w), equal_nan=True)
    assert np.array_equal(computed(tensor.minimum, w, z), np.minimum(w, z), equal_nan=True)
    assert np.array_equal(computed(tensor.second, V[:3], M.T), np.broadcast_to(M.T, (4, 3)))
    with pytest.raises(ValueError, match="nonzero"):
        tensor.nonzero(tensor.scalar())
    assert tensor.conj(tensor.dvector("v")).owner is not None
    assert tensor.jv(tensor.bvector(), tensor.bvector()).dtype == "float32"


def test_numbers_have_the_smallest_dtype_that_holds_them():
    import theano
    import theano.tensor as tensor

    n, v, b = tensor.lscalar("n"), tensor.fvector("v"), tensor.bvector("b")
    for value, dtype in [(0, "int8"), (-128, "int8"), (128, "int16"), (2**40, "int64"), (0.5, "float32"), (0.1, None)]:
        dtype = dtype or theano.config.floatX
        for made in (tensor.constant(value), tensor.as_tensor_variable(value), tensor.alloc(value, n)):
            assert made.dtype == dtype
        assert tensor.fill(v, value).dtype == v.fill(value).dtype == tensor.second(v, value).dtype == dtype
    assert (v + tensor.alloc(0, n)).dtype == "float32" and (b * tensor.constant(2)).dtype == "int8"
    assert tensor.Alloc()(1, n).dtype == "int8" and tensor.constant(np.int64(3)).dtype == "int64"
    assert tensor.constant(0, dtype="int32").dtype == "int32"
    assert b.ceil().dtype == b.floor().dtype == b.trunc().dtype == "float32"
    assert np.array_equal(computed(lambda v: v + tensor.alloc(3, v.shape[0]), V), V + 3)
    assert np.array_equal(computed(lambda v: tensor.fill(v, 200), V), np.full(5, 200))
    # a constant adapts to a value that is replaced, or to a state, as a number does
    assert theano.function([v], theano.tensor.switch(v > 0, tensor.constant(1.5), 0))([1]) == 1.5


@pytest.mark.parametrize("mode", ["raise", "wrap", "clip"])
def test_choices_are_broadcast_at_call_time(mode):
    import theano.tensor as tensor

    def check(build, *arrays):
        out = computed(build, *arrays)
        wanted = np.choose(arrays[0], arrays[1] if len(arrays) == 2 else arrays[1:], mode=mode)
        assert out.shape == wanted.shape and np.array_equal(out, wanted)

    shapes = [(), (1,), (3,), (4, 1), (1, 3), (4, 3)]
    for trial, (at, b, c) in enumerate(itertools.product(shapes, repeat=3)):
        a = RNG.integers(*((0, 2) if mode == "raise" else (-5, 5)), at)
        if trial % 3 == 0:
            choices = RNG.normal(size=b), RNG.normal(size=c)
            check(lambda a, *choices: tensor.choose(a, choices, mode=mode), a, *choices)
            check(lambda a, *choices: a.choose(choices, mode=mode), a, *choices)
            check(lambda a, choices: tensor.Choose(mode)(a, choices), a, RNG.normal(size=(2, *b)))
    a, b, c = tensor.lvector("a"), tensor.dvector("b"), tensor.dvector("c")
    chosen = tensor.choose(a, [b, c], mode=mode)
    slopes = symc.function([a, b, c], symc.grad(chosen.sum(), [b, c]))([0, 1, 0], [5.0], [1.0, 2, 3])
    assert [list(g) for g in slopes] == [[2], [0, 1, 0]]
    with pytest.raises(symc.errors.SymcError, match="choose"):
        symc.function([a, b, c], chosen)([0, 1], [1.0, 2, 3], [1.0, 2, 3])


def test_applications_stand_for_their_output():
    import theano.tensor as tensor

    x = tensor.TensorType("float64", (True, True, False, False))("x")
    assert tensor.as_tensor_variable(x, ndim=2).ndim == 2
    with pytest.raises(ValueError, match="only axes of length 1"):
        tensor.as_tensor_variable(x, ndim=1)
    node = (x * 2).owner
    assert tensor.as_tensor_variable(node) is node.outputs[0] and tensor.as_tensor_variable([node, node]).ndim == 5
    with pytest.raises(ValueError, match="choose one"):
        tensor.as_tensor_variable(tensor.nlinalg.svd(tensor.dmatrix())[0].owner)


def test_tolerances_that_a_program_sets():
    import theano.tensor as tensor
    from theano.tests import unittest_tools

    with pytest.raises(unittest_tools.WrongValue):
        unittest_tools.assert_allclose(np.ones(2), np.ones(2) + 1e-3)
    before = tensor.basic.float64_atol
    tensor.basic.float64_atol = 1e-2
    try:
        unittest_tools.assert_allclose(np.ones(2), np.ones(2) + 1e-3)
    finally:
        tensor.basic.float64_atol = before


def test_tools_that_test_files_import():
    from theano.tests.unittest_tools import (
        SkipTest,
        WrongValue,
        assert_allclose,
        assertFailure_fast,
        attr,
        custom_name_func,
    )

    assert issubclass(SkipTest, Exception)

    @attr("slow", speed="low")
    @assertFailure_fast
    def test_sum(n):
        return n + 1

    assert test_sum(2) == 3
    case = type("Case", (), {"args": (3, (2, "same"))})()
    assert custom_name_func(test_sum, 0, case) == "test_sum_3__2_same_"
    assert_allclose(np.ones((1, 3)), np.ones(3))  # broadcast, as in Theano
    with pytest.raises(WrongValue):
        assert_allclose(np.ones((2, 3)), np.ones(2))


def test_sparse_functions_with_theanos_rules():
    import scipy.sparse
    import theano
    import theano.sparse as sparse

    m = scipy.sparse.csr_matrix(np.diag([1 + 1j, 2]))
    x, d = sparse.csr_matrix("x", "complex128"), theano.tensor.dmatrix()
    f = theano.function([x], [x.astype("float32"), sparse.hstack([x, x], dtype="float64"), x.shape])
    cast, joined, shape = f(m)
    assert np.array_equal(cast.toarray(), np.diag([1, 2])) and joined.dtype == "float64"
    assert shape.tolist() == [2, 2]
    y = sparse.csc_matrix("y", "float64")
    product = sparse.true_dot(y, d).eval({y: scipy.sparse.csc_matrix(S), d: np.eye(3)})
    assert product.format == "csc" and np.allclose(product.toarray(), S)
    one = sparse.csr_from_dense(theano.tensor.dvector("v"))
    assert theano.function([one.dense.owner.inputs[0]], one)([0, 3]).toarray().tolist() == [[0, 3]]
    with pytest.raises(TypeError, match="two axes"):
        sparse.csc_from_dense(theano.tensor.dtensor3())
    i, v, p, s = theano.tensor.ivector(), theano.tensor.dvector(), theano.tensor.ivector(), theano.tensor.ivector()
    rows = theano.function([v, i, p, s], sparse.CSR(v, i, p, s).shape)  # unused inputs are no error
    assert rows([1], [0], [0, 1, 1], [2, 5]).tolist() == [2, 5]
    assert sparse.structured_dot(sparse.csr_matrix(dtype="float32"), theano.tensor.lmatrix()).dtype == "float64"
    assert sparse.sin.__name__ == "sin"


def test_lists_as_arguments_and_results():
    import scipy.sparse
    import theano
    from theano import typed_list
    from theano.tensor.type_other import SliceType

    kind = typed_list.TypedListType(theano.tensor.dmatrix)
    a, b, x, i, part = kind("a"), kind("b"), theano.tensor.dmatrix("x"), theano.tensor.lscalar("i"), SliceType()()
    p, q, r = np.ones((2, 3)), np.zeros((1, 2)), np.full((2, 3), 4.0)
    changed = [a.append(x), a.extend(b), typed_list.insert(a, i, x * 2), a.reverse(), a[part], a.remove(x)]
    numbers = [a[i] + x, typed_list.length(a), a.count(x), typed_list.index_(a, x)]
    f = theano.function([a, b, x, i, part], [*changed, *numbers])
    found = f([q, p, r], [q], p, 1, slice(0, 3, 2))
    wanted = [[q, p, r, p], [q, p, r, q], [q, p * 2, p, r], [r, p, q], [q, r], [q, r]]
    for result, lists in zip(found, wanted):
        assert len(result) == len(lists) and all(map(np.array_equal, result, lists))
    assert np.array_equal(found[6], p + p) and found[7:] == [3, 1, 1]
    assert f([p], [], p, 0, slice(1))[7] == 1  # another length
    with pytest.raises(ValueError, match="not in the list"):
        f([q, p], [], r, 1, slice(1))
    with pytest.raises(TypeError):
        f([np.ones(2)], [], p, 0, slice(1))
    nested = typed_list.TypedListType(kind)("nested")
    g = theano.function([nested, a], [nested.ind(a), nested[1][0].sum()])
    assert g([[p, q], [r]], [r]) == [1, 24]
    s = theano.sparse.csr_matrix("s", "float64")
    matrices = typed_list.TypedListType(s.type)("matrices")
    m = scipy.sparse.csr_matrix(p)
    h = theano.function([matrices, s], [matrices.count(s), theano.sparse.dense_from_sparse(matrices[0])])
    counted, dense = h([m, 2 * m, m], m)
    assert counted == 2 and np.array_equal(dense, p)
    named = theano.function([a], {"first": a[0], "all": a})([p])
    assert np.array_equal(named["first"], p) and len(named["all"]) == 1
    with pytest.raises(TypeError, match="not among the inputs"):
        theano.function([a], b.reverse())


def test_shapes_of_draws_without_a_size():
    from theano.tensor import raw_random

    state = raw_random.RandomStateType()()
    assert raw_random.uniform(state, size=None, ndim=2)[1].broadcastable == (True, True)
    low = T.tensor("float64", shape=(None, 1, 1))
    assert raw_random.normal(state, None, low, ndim=2)[1].ndim == 3
    rows = T.tensor("float64", shape=(None, 3, 2))
    assert raw_random.multinomial(state, (1, -1), 9, rows)[1].ndim == 3
    assert raw_random.permutation(state, n=4, ndim=1)[1].ndim == 1
    with pytest.raises(TypeError, match="one permutation"):
        raw_random.permutation(state, n=4, ndim=2)


def test_updates_that_meet():
    import theano

    a, b = theano.shared(1.0), theano.shared(2.0)
    first, second = theano.OrderedUpdates({a: a + 1}), theano.OrderedUpdates({b: b + 1})
    assert len(first + second + first) == 2
    with pytest.raises(KeyError, match="already"):
        first + {a: a + 2}
    assert list(theano.function([], {"b": a, "a": b})()) == ["a", "b"]


def test_kinds_of_errors_of_calls():
    import theano
    from theano.tensor.nnet.neighbours import images2neibs, neibs2images

    x, m, shape = theano.tensor.dtensor4(), theano.tensor.dmatrix(), theano.tensor.ivector()
    for mode in ("valid", "half", "full"):
        with pytest.raises(TypeError, match="do not cover"):
            theano.function([x], images2neibs(x, (2, 2), mode=mode))(np.ones((1, 1, 3 + (mode != "valid"), 5)))
    with pytest.raises(TypeError, match="do not cover"):
        images2neibs(np.ones((1, 1, 3, 4)), (2, 2))
    with pytest.raises(ValueError, match="no multiple"):
        theano.function([m, shape], neibs2images(m, (2, 2), shape))(np.ones((4, 4)), [1, 1, 3, 4])
    with pytest.raises(TypeError, match="declared to be 1"):
        row = theano.tensor.drow()
        theano.function([row], row * 2)(np.ones((2, 2)))
    symc.compat.uninstall()
    try:
        with pytest.raises(IndexError) as caught:
            symc.function([x], images2neibs(x, (2, 2)))(np.ones((1, 1, 3, 4)))
        assert not isinstance(caught.value, TypeError)
    finally:
        symc.compat.install()


def test_known_gradients_of_the_cost():
    import theano
    from theano.gof.null_type import NullType
    from theano.gradient import DisconnectedType, NullTypeGradError

    x = theano.tensor.dscalar()
    cost = x * 2
    with pytest.raises(symc.errors.DisconnectedInputError):
        theano.grad(cost, x, known_grads={cost: DisconnectedType()()})
    with pytest.raises(NullTypeGradError):
        theano.grad(cost, x, known_grads={cost: NullType()()})


def test_an_op_uses_all_its_operands():
    import theano

    x, b, y = theano.tensor.dmatrix(), theano.tensor.dvector(), theano.tensor.ivector()
    softmax = theano.tensor.nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, y)[1]
    assert np.allclose(theano.function([x, b, y], softmax)(np.zeros((1, 2)), np.zeros(2), [0]), 0.5)


def test_functions_that_accept_results_in_their_arguments():
    import theano
    from theano.tensor import inplace

    x, y = theano.tensor.dmatrix(), theano.tensor.dmatrix()
    f = theano.function([x, y], inplace.add_inplace(x, y) * 2, accept_inplace=True)
    a, b = M.copy(), np.ones_like(M)
    assert np.allclose(f(a, b), (M + 1) * 2) and np.allclose(a, M + 1) and np.array_equal(b, np.ones_like(M))
    a = M.copy()
    assert np.allclose(theano.function([x], inplace.exp_inplace(x))(a), np.exp(M)) and np.array_equal(a, M)
    whole = theano.tensor.lvector()
    g = theano.function([whole], [inplace.true_div_inplace(whole, 2.0)], accept_inplace=True)
    n = np.arange(4)
    assert g(n)[0].tolist() == n.tolist() == [0, 0, 1, 1]
    assert theano.tensor.ceil_intdiv(np.array([5.0, 4.0]), 2.0).eval().tolist() == [3, 2]


def test_memory_of_sparse_matrices():
    import scipy.sparse
    from theano.misc.may_share_memory import may_share_memory

    m = scipy.sparse.csr_matrix(np.eye(3))
    assert may_share_memory(m, m.data) and may_share_memory(m.T, m) and not may_share_memory(m, m.copy())
    with pytest.raises(TypeError):
        may_share_memory(m, 1)


def test_a_strict_loop_names_missing_variables():
    import theano
    from theano.gof.fg import MissingInputError

    w = theano.shared(np.ones(2), "w")
    with pytest.raises(MissingInputError, match="non_sequences"):
        theano.scan(lambda x: x * w, outputs_info=[np.ones(2)], n_steps=2, strict=True)


def test_reductions_bit_by_bit_of_nothing():
    from theano import scalar
    from theano.tensor.elemwise import CAReduce

    x = np.array([[6, 3, 12], [5, 7, 4]])
    assert computed(CAReduce(scalar.and_, axis=0), x).tolist() == [4, 3, 4]
    assert computed(CAReduce(scalar.xor, axis=1), x).tolist() == [9, 6]
    assert computed(CAReduce(scalar.and_, axis=0), x[:0]).tolist() == [-1, -1, -1]
    assert computed(CAReduce(scalar.or_, axis=0), x[:0]).tolist() == [0, 0, 0]
    assert computed(CAReduce(scalar.add, axis=1), x > 5).tolist() == [True, True]


@pytest.mark.parametrize("name", ["ceil", "floor", "trunc"])
def test_roundings_of_integers_are_floats(name):
    import theano.tensor as tensor

    function, values = getattr(tensor, name), np.array([-3, 0, 7])
    for dtype, wanted in (("int8", "float32"), ("int64", "float64"), ("bool", "float32"), ("float32", "float32")):
        given = values.astype(dtype)
        found = computed(function, given)
        assert found.dtype == wanted and np.array_equal(found, given)
    x = tensor.dvector("x")
    assert function(x).owner.op == function
    assert np.array_equal(computed(function, values / 2), getattr(np, name)(values / 2))


def test_arange_has_the_dtype_of_its_arguments_together():
    import theano.tensor as tensor

    n, f, d = tensor.iscalar("n"), tensor.fscalar("f"), tensor.dscalar("d")
    small = tensor.bscalar("small")
    for arguments, wanted in [
        ((n,), "int64"), ((f,), "float32"), ((small, f), "float32"), ((n, f), "float64"), ((f, d), "float64"),
        ((0.5, f), "float32"), ((0.1, f), "float64"), ((0, n, 0.25), "float64"),
    ]:  # fmt: skip
        assert tensor.arange(*arguments).dtype == wanted
    assert tensor.arange(n, f, dtype="float32").dtype == "float32"
    assert np.array_equal(tensor.arange(n, f).eval({n: 1, f: 3.5}), [1, 2, 3])


def test_dtypes_of_numbers_in_a_block():
    import theano.tensor as tensor
    from theano.scalar import autocast_float_as

    x, y = tensor.fvector("x"), tensor.dvector("y")
    with autocast_float_as("float32"):
        assert (x * 1.1).dtype == "float32" and (y * 1.1).dtype == "float64"
        with autocast_float_as("float64"):
            assert (x * 1.5).dtype == "float64"
        assert (1.1 - x).dtype == "float32"
    assert (x * 1.1).dtype == "float64" and (x * 1.5).dtype == "float32"


def test_numbers_that_are_stacked_adapt():
    import theano.tensor as tensor

    f, n = tensor.fscalar("f"), tensor.bscalar("n")
    for entries, wanted in (([1, f], "float32"), ([0.5, f], "float32"), ([0.1, f], "float64"), ([300, n], "int16")):
        assert tensor.stack(entries).dtype == wanted
    assert np.array_equal(tensor.stack([300, n]).eval({n: -3}), [300, -3])
    assert tensor.as_tensor_variable([1, f]).dtype == "float32"


def test_same_graphs_with_replacements_in_both():
    import theano.tensor as tensor
    from theano.gof.graph import is_same_graph

    x, y, z = tensor.vectors("xyz")
    t = x * y
    for a, b, givens, wanted in [
        (x, t, {}, False), (x, t, {t: x}, True), (x * x, x * y, {y: x}, True), (x * 2, y * 2, [(x, y)], True),
        (x * x + z, x * y + t, {y: x}, False), (x * x + z, x * y + t, {y: x, t: z}, True),
    ]:  # fmt: skip
        assert is_same_graph(a, b, givens) is wanted and is_same_graph(b, a, givens) is wanted


def test_ops_of_loops_show_their_steps():
    """Frameworks walk into the steps of loops, for variables that they have tagged."""
    import theano
    import theano.tensor as tensor
    from theano.gof import graph
    from theano.scan_module.scan_op import Scan

    x, w = tensor.dvector("x"), theano.shared(2.0)

    def step(a, state, factor):
        hidden = state * a * factor
        hidden.tag.roles = ["hidden"]
        return hidden + 1

    out, _ = theano.scan(step, sequences=x, outputs_info=tensor.ones(()), non_sequences=w)
    nodes = graph.io_toposort(graph.inputs([out]), [out])
    (op,) = [node.op for node in nodes if isinstance(node.op, Scan)]
    inside = graph.ancestors(op.outputs)
    assert [v.tag.roles for v in inside if hasattr(v.tag, "roles")] == [["hidden"]]
    assert len(op.inputs) == 3 and {*op.inputs} <= {*inside}
    assert not any(hasattr(node.op, "outputs") or hasattr(node.op, "inputs") for node in nodes if node.op is not op)


def test_parameters_of_ops_by_name():
    import theano.tensor as tensor

    b, i, n = tensor.bscalar(), tensor.iscalar(), tensor.lscalar()
    assert tensor.opt.MakeVector(dtype="float64")(b, i).dtype == "float64"
    assert tensor.opt.MakeVector(dtype="int16")().eval().shape == (0,)
    assert tensor.basic.ARange(dtype="float32")(n, 5, 1).dtype == "float32"
    assert tensor.Eye(dtype="int8")(3, 3, 0).dtype == "int8"
    assert tensor.Reshape(ndim=2)(tensor.vector(), [2, -1]).ndim == 2
    assert tensor.AllocEmpty(dtype="int32")(n).dtype == "int32"
    found = computed(lambda v: tensor.Split(len_splits=2)(v, 0, [2, 3]), V)
    assert [list(part) for part in found] == [list(V[:2]), list(V[2:])]


def test_floats_are_truncated_where_they_are_written_into_integers():
    import theano.tensor as tensor

    x, v = np.arange(12, dtype="int8").reshape(3, 4), np.array([1.7, -2.9, 3.0, 100.5])
    wanted = x.copy()
    wanted[1] = v
    ops = tensor.subtensor
    assert np.array_equal(computed(lambda x, v: tensor.set_subtensor(x[1], v), x, v), wanted)
    assert np.array_equal(computed(lambda x, v: ops.inc_subtensor(x[1], v, set_instead_of_inc=True), x, v), wanted)
    assert np.array_equal(computed(lambda x, v: ops.advanced_set_subtensor1(x, v[None], [1]), x, v), wanted)
    assert computed(lambda x: tensor.set_subtensor(x[0, 0], 2.5), x)[0, 0] == 2
    with pytest.raises(TypeError, match="without a loss"):
        tensor.inc_subtensor(tensor.bmatrix()[0], tensor.dvector())


def test_entries_that_an_index_passes_over_are_used():
    import theano
    import theano.tensor as tensor

    x, y, z = tensor.lscalars("xyz")
    stacked = tensor.stack([x, y * 2, z])
    f = theano.function([x, y, z], [stacked[0], stacked[:2], stacked[-1]])
    assert [np.asarray(v).tolist() for v in f(1, 2, 3)] == [1, [1, 4], 3]
    assert theano.function([x, y, z], stacked[0])(1, 2, 3) == 1
    v, unused = tensor.dvector("v"), tensor.dvector("unused")
    with pytest.raises(ValueError, match="not used"):
        theano.function([v, unused], v.shape[0])


def test_integers_of_numpy_keep_their_dtype():
    import theano.tensor as tensor

    b, i, f = np.array([127, -128], "int8"), np.array([5, 6], "int32"), np.array([1.5], "float32")
    for number in (np.int64(1), np.array(1), np.int32(2), np.uint8(200), np.int8(1)):
        typed = np.asarray(number).reshape(1)
        for x in (b, i, f):
            for symbolic, plain in [(symc.tensor.add, np.add), (tensor.mul, np.multiply), (tensor.maximum, np.maximum)]:
                found, wanted = computed(lambda v: symbolic(v, number), x), plain(x, typed)  # noqa: B023
                assert found.dtype == wanted.dtype and np.array_equal(found, wanted)
    assert computed(lambda x: x + np.int64(1), b).tolist() == [128, -127]
    assert computed(lambda x: np.int64(1) + x, b).tolist() == [128, -127]
    assert (np.int64(2) * tensor.bvector()).dtype == "int64" and np.exp(tensor.bvector()).dtype == "float32"
    assert (
        np.allclose(computed(lambda x: np.array([1, 2]) * x, i), [5, 12])
        and np.cbrt(tensor.fvector()).dtype == "float32"
    )
    assert (tensor.bvector() + 1).dtype == "int8" and tensor.bvector()[np.int64(0)].dtype == "int8"


def test_a_mask_of_another_length_is_an_error_of_the_index():
    import theano
    import theano.tensor as tensor

    x, k = tensor.dmatrix("x"), tensor.bvector("k")
    of_array = theano.function([x], x[np.array([True, False, True])])
    of_variable = theano.function([x, k], x[tensor.neq(k, 0)])
    for call in (lambda: of_array(np.ones((2, 3))), lambda: of_variable(np.ones((2, 3)), [1, 0, 1])):
        with pytest.raises(IndexError, match="indexing: (a|the) mask"):
            call()
