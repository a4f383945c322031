"""Theano's and Lasagne's module names: installation, names, settings, conventions, and the report on a project."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

import symc
import symc.compat
import symc.tensor as T
from symc.compat import fates, flags, serving
from symc.compat.modules import MODULES


@pytest.fixture
def shim(monkeypatch):
    """The old modules, installed for one test."""
    monkeypatch.delenv("THEANO_FLAGS", raising=False)
    monkeypatch.setenv("THEANORC", "")
    assert not symc.compat.installed()
    symc.compat.install()
    yield symc.compat
    symc.compat.uninstall()
    assert symc.config.floatX == "float32" and "theano" not in sys.modules


def run(tmp_path, source, *arguments, flags="", script="program.py"):
    """Run a program through ``python -m symc.compat`` in a process of its own."""
    (tmp_path / script).write_text(textwrap.dedent(source))
    given = {**os.environ, "THEANO_FLAGS": flags, "THEANORC": ""}
    command = [sys.executable, "-m", "symc.compat", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=given)


# --- installation ----------------------------------------------------------------------------------------------------


def test_modules_are_served_and_removed(shim):
    import lasagne
    import theano
    import theano.tensor as tt
    from theano.tensor.nnet import conv2d, sigmoid  # noqa: F401
    from theano.tensor.shared_randomstreams import RandomStreams

    assert tt.exp is T.exp and sigmoid is T.nnet.sigmoid
    assert theano.shared(1.0).dtype == "float64" and theano.config.floatX == "float64"
    assert RandomStreams is T.shared_randomstreams.RandomStreams
    import lasagne_like

    assert lasagne.layers.DenseLayer is lasagne_like.layers.DenseLayer
    assert theano.__version__ == "1.0.5" and lasagne.__version__.startswith("0.2")
    shim.uninstall()
    assert not any(serving.is_legacy(name) for name in sys.modules)
    with pytest.raises(ImportError):
        import theano  # noqa: F401, F811
    shim.install()


def test_nothing_leaks_into_symc(shim):
    import theano.tensor  # noqa: F401

    assert not hasattr(symc, "sandbox") and "theano" not in dir(symc) and not hasattr(T, "DimShuffle")


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported(shim, name):
    import importlib

    module = importlib.import_module(name)
    assert module.__name__ == name and isinstance(dir(module), list)
    for exported in module.__all__:
        assert getattr(module, exported, module) is not module


def test_a_missing_name_says_so(shim):
    import theano
    import theano.tensor as tt

    with pytest.raises(AttributeError, match="theano.tensor.softmx is not available"):
        tt.softmx  # noqa: B018
    with pytest.raises(ImportError, match="did you mean 'logsoftmax'"):
        from theano.tensor.nnet import logsoftmx  # noqa: F401
    with pytest.raises(ImportError, match="numpy.load"):
        from theano.tensor.io import load  # noqa: F401
    with pytest.raises(ImportError, match="theano.nonsense is not available"):
        import theano.nonsense  # noqa: F401
    assert not hasattr(theano, "nonsense")
    assert getattr(tt, "softmx", 3) == 3


def test_programs_may_assign_to_modules(shim):
    import theano.tensor as tt

    tt.my_own = 5
    assert tt.my_own == 5 and not hasattr(T, "my_own")


def test_a_name_that_appears_later_is_found(shim, monkeypatch):
    import theano.tensor as tt

    assert not hasattr(tt, "brand_new")
    monkeypatch.setattr(T, "brand_new", 7, raising=False)
    assert tt.brand_new == 7


def test_the_real_library_is_not_replaced(monkeypatch):
    import types

    monkeypatch.setitem(sys.modules, "theano", types.ModuleType("theano"))
    with pytest.raises(RuntimeError, match="theano is already imported"):
        symc.compat.install()
    assert not symc.compat.installed()


# --- settings --------------------------------------------------------------------------------------------------------


def test_settings_from_files_and_flags(tmp_path, monkeypatch):
    rc = tmp_path / "rc"
    rc.write_text("[global]\nfloatX = float32\non_unused_input = warn\n[gcc]\ncxxflags = -O3\n")
    monkeypatch.setenv("THEANORC", str(rc))
    monkeypatch.setenv("THEANO_FLAGS", "on_unused_input=ignore,lib.cnmem=0.5")
    symc.compat.install()
    try:
        import theano

        assert theano.config.floatX == "float32" and theano.config.on_unused_input == "ignore"
        assert theano.config.gcc.cxxflags == "-O3" and theano.config.lib.cnmem == 0.5
        theano.config.optimizer = "None"
        assert symc.config.mode == "no_rewrite"
        with theano.config.change_flags(floatX="float64", mode="FAST_COMPILE"):
            assert T.matrix().dtype == "float64" and symc.config.mode == "fast_compile"
        assert T.matrix().dtype == "float32"
        symc.compat.install("floatX=float64")
        assert symc.config.floatX == "float64"
    finally:
        symc.compat.uninstall()
    assert symc.config.on_unused_input == "raise" and symc.config.mode == "fast_run"
    assert flags.config.lib.cnmem == 0.0


def test_unknown_settings_get_one_warning(monkeypatch):
    monkeypatch.setenv("THEANORC", "")
    monkeypatch.setenv("THEANO_FLAGS", "floatX=float32,abc=1,d.e=2")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        symc.compat.install()
    symc.compat.uninstall()
    assert [str(w.message) for w in caught] == ["settings that symc does not know are kept without effect: abc, d.e"]


def test_a_gpu_that_is_not_there(shim, monkeypatch):
    import theano
    import theano.sandbox.cuda

    monkeypatch.setattr(flags, "gpu_works", lambda: False)
    assert not theano.sandbox.cuda.cuda_enabled and not theano.sandbox.cuda.dnn.dnn_available()
    with pytest.warns(UserWarning, match="no GPU is usable"):
        theano.config.device = "gpu0"
    assert theano.config.device == "cpu"
    theano.config.force_device = True
    with pytest.raises(RuntimeError, match="force_device"):
        theano.sandbox.cuda.use("gpu0")


# --- conventions -----------------------------------------------------------------------------------------------------


def test_dtypes_by_theanos_rule(shim):
    import theano
    import theano.tensor as tt

    i, f, b = tt.ivector("i"), tt.fvector("f"), tt.bvector("b")
    assert (i * f).dtype == "float64" and (b * f).dtype == "float32"
    assert tt.exp(b).dtype == "float32" and tt.exp(i).dtype == "float64"
    with theano.config.change_flags(floatX="float32"):
        assert (i / 2).dtype == "float32" and (f * 0.1).dtype == "float32"
        assert tt.mean(f).dtype == "float32"  # inside symc, its own rule holds
    shim.uninstall()
    assert (i * f).dtype == "float32" and T.exp(i).dtype == "float32"
    shim.install()


def test_variables_are_true(shim):
    import theano.tensor as tt

    w, x = tt.matrix("w"), None
    assert w and (x or w) is w and bool(tt.constant(0)) and not (not w)
    with pytest.raises(TypeError, match="truth value"):
        bool(w < 1)
    with pytest.raises(TypeError, match="truth value"):
        assert 0 < tt.scalar() < 1
    shim.uninstall()
    with pytest.raises(TypeError, match="truth value"):
        bool(w)
    shim.install()


def test_order_of_the_arguments_of_function(shim):
    import theano
    import theano.tensor as tt

    x, y = tt.dscalars("xy")
    total = theano.shared(0.0, target="cpu")
    f = theano.function([x, theano.Param(y, default=2.0)], x * y, "FAST_COMPILE", [[total, total + x]])
    assert f(3) == 6 and f(3, 5) == 15 and total.get_value() == 6
    assert f.mode.rewriting == "fast_compile"
    assert theano.function([x], x, theano.Mode(optimizer=None)).mode.rewriting == "no_rewrite"
    assert theano.function([(x, 4.0)], x + 1)() == 5


def test_inputs_of_a_graph_in_theanos_order(shim):
    import theano.tensor as tt
    from theano.gof.graph import ancestors, inputs, is_same_graph

    a, b, c, d = (tt.scalar(n) for n in "abcd")
    first, second = tt.exp(a) * tt.sin(b), c - d
    assert inputs([first]) == [a, b]
    assert inputs([first, second]) == [c, d, a, b]
    assert ancestors([second])[0] is second and inputs([first, second], blockers=[second]) == [a, b]
    assert is_same_graph(tt.exp(a) + 1, tt.exp(a) + 1) and not is_same_graph(tt.exp(a) + 1, tt.exp(b) + 1)
    assert is_same_graph(tt.exp(a) + 1, tt.exp(b) + 1, givens={a: b})


def test_old_convolution_and_pooling(shim):
    import theano.tensor as tt
    from theano.tensor.nnet import conv
    from theano.tensor.nnet.abstract_conv import AbstractConv2d_gradInputs
    from theano.tensor.signal import downsample
    from theano.tensor.signal.conv import conv2d as plain

    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 6, 5)), rng.normal(size=(4, 3, 2, 2))
    wanted = np.zeros((2, 4, 5, 4))
    for i, j in np.ndindex(5, 4):
        wanted[:, :, i, j] = np.einsum("nchw,kchw->nk", x[:, :, i : i + 2, j : j + 2], w[:, :, ::-1, ::-1])
    maps = conv.conv2d(x, w, image_shape=(2, 3, 6, 5), filter_shape=w.shape, unroll_batch=2)
    np.testing.assert_allclose(maps.eval(), wanted, rtol=1e-6)
    pooled = downsample.max_pool_2d(tt.as_tensor_variable(wanted), (2, 2))
    assert pooled.eval().shape == (2, 4, 3, 2)
    np.testing.assert_allclose(pooled.eval()[:, :, 0, 0], wanted[:, :, :2, :2].max((2, 3)))
    one = plain(x[0, 0], w[0, 0]).eval()
    np.testing.assert_allclose(one[0, 0], (x[0, 0, :2, :2] * w[0, 0, ::-1, ::-1]).sum())
    back = AbstractConv2d_gradInputs(imshp=x.shape, kshp=w.shape)(w, maps, x.shape[2:])
    np.testing.assert_allclose((back.eval() * x).sum(), (wanted**2).sum(), rtol=1e-6)


# --- the report on a project -----------------------------------------------------------------------------------------


def test_check(tmp_path):
    (tmp_path / "new.py").write_text(
        "import theano.tensor as T, lasagne\n"
        "from theano.tensor.nnet.abstract_conv import conv2d_grad_wrt_inputs as back\n"
        "L = lasagne.layers\n"
        "def f(x):\n"
        "    return T.softmx(back(T.exp(x).sum())), L.DenseLayer, x.T.exp\n"
    )
    (tmp_path / "old.py").write_text("import theano\n\nprint 'hello', theano.__version__\n")
    report = symc.compat.check(tmp_path)
    found = {(use.line, use.fate.old): use.fate.kind for use in report.uses}
    assert found[5, "theano.tensor.exp"] == "same" and found[5, "theano.tensor.softmx"] == "missing"
    assert found[5, "lasagne.layers.DenseLayer"] == "same"
    assert found[2, "theano.tensor.nnet.abstract_conv.conv2d_grad_wrt_inputs"] == "renamed"
    assert [(p.line, "Python 2" in p.message) for p in report.problems] == [(3, True)]
    assert not report.ok and [use.fate.old for use in report.missing] == ["theano.tensor.softmx"]
    assert "cannot be read" in str(report) and f"{tmp_path / 'new.py'}:5: theano.tensor.softmx: missing" in str(report)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        symc.compat.check(tmp_path / "nowhere")


def test_check_leaves_names_of_the_program_alone(tmp_path):
    (tmp_path / "layers.py").write_text(
        "from lasagne.layers import *\n"
        "class Doubled(Layer):\n"
        "    def get_output_for(self, input, **kwargs):\n"
        "        noise = input.shape[0]\n"
        "        return noise.real * input\n"
        "pool = 3\n"
        "print(pool.bit_length(), (lambda conv: conv.x)(dense.DenseLayer))\n"
    )
    report = symc.compat.check(tmp_path)
    assert not report.missing
    expected = ["lasagne.layers", "lasagne.layers.Layer", "lasagne.layers.dense.DenseLayer"]
    assert [use.fate.old for use in report.uses] == expected


def test_fates():
    assert fates.fate("theano.config.floatX") == ("theano.config.floatX", "same", "symc.config.floatX", "")
    assert fates.fate("theano.config.gcc.cxxflags").kind == "served"
    assert fates.fate("theano.tensor.DimShuffle").kind == "served"
    assert fates.fate("theano.tensor.opt.register_canonicalize").kind == "served"
    assert fates.fate("theano.tensor.opt.local_fill_to_alloc").kind == "missing"
    assert "symc.compiler.rewrite" in fates.fate("theano.tensor.opt.local_fill_to_alloc").note
    assert fates.fate("theano.sandbox.rng_mrg.MRG_RandomStreams").new.endswith("shared_randomstreams.MRG_RandomStreams")


# --- the command -----------------------------------------------------------------------------------------------------


def test_a_script_with_arguments(tmp_path):
    source = """
        import sys, os
        import theano, lasagne
        import helper
        print(sys.argv[1:], __name__, os.path.basename(__file__), theano.config.floatX, helper.name)
        print(theano.function([], theano.tensor.constant(2) * 3)())
    """
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "helper.py").write_text("import theano\nname = theano.__name__\n")
    done = run(tmp_path, source, "sub/program.py", "a", "--b", flags="floatX=float32", script="sub/program.py")
    assert done.stdout.splitlines() == ["['a', '--b'] __main__ program.py float32 theano", "6"], done.stderr
    assert "symc.compat" not in done.stderr


def test_modules_commands_and_mistakes(tmp_path):
    module = run(tmp_path, "import theano, sys\nprint(sys.argv[1:], theano.config.floatX)", "-m", "program", "x")
    assert module.stdout == "['x'] float64\n", module.stderr
    report = run(tmp_path, "from theano.tensor import nothing", "--check", "program.py")
    assert report.returncode == 1 and "program.py:1: theano.tensor.nothing: missing" in report.stdout
    assert run(tmp_path, "", "absent.py").returncode == 2
    assert "usage" in run(tmp_path, "", "--help").stdout


def test_names_that_numpy_has_dropped(shim):
    np.testing.assert_array_equal(np.cast["int32"]([1.5, 2]), [1, 2])
    assert np.float is float and np.int(2.7) == 2 and np.product([2, 3]) == 6 and np.asscalar(np.ones(1)) == 1
    kept = np.prod
    shim.uninstall()
    assert not hasattr(np, "cast") and not hasattr(np, "float") and np.prod is kept
    shim.install()


def test_names_that_python_has_dropped(shim):
    import collections
    import inspect
    import pickle
    import time

    import cPickle

    assert issubclass(dict, collections.Mapping) and cPickle is pickle and time.clock() <= time.clock()
    spec = inspect.getargspec(lambda a, b=2, *c, **d: 0)
    assert spec == (["a", "b"], "c", "d", (2,)) and spec.keywords == "d"
    shim.uninstall()
    assert not hasattr(collections, "Mapping") and not hasattr(inspect, "getargspec") and "cPickle" not in sys.modules


def test_the_graph_of_a_function(shim):
    import theano
    import theano.tensor as tt

    x = tt.vector("x")
    f = theano.function([x], tt.exp(x).sum())
    nodes = f.maker.fgraph.toposort()
    assert [isinstance(node.op, tt.Elemwise) for node in nodes] == [True, False]
    assert f.maker.fgraph.inputs == [x] and f.maker.fgraph.outputs[0] in f.maker.fgraph.variables


# --- what is symc's own, too ----------------------------------------------------------------------------------------


def test_types_of_inputs_are_types():
    assert symc.shared(7).type == T.lscalar and symc.shared(np.zeros((2, 3), "float32")).type == T.fmatrix
    assert T.dcol("c").broadcastable == (False, True) and T.lscalar("n").name == "n"
    assert T.TensorType("int64", ()) == T.lscalar and T.lscalar is not T.lscalar()


def test_plurals_give_one_variable_per_letter():
    assert [v.name for v in T.scalars("xs")] == ["x", "s"] and [v.name for v in T.matrices("p", "qr")] == ["p", "qr"]
    assert T.vectors("x").name == "x" and len(T.dvectors(3)) == 3 and [v.dtype for v in T.ivectors(["a", "b"])]


def test_clones_of_shared_variables_have_their_own_updates():
    total = symc.shared(1.0, "total")
    twin = symc.clone(total, share_inputs=False)
    assert twin is not total and symc.clone(total) is total
    twin.default_update = twin + 1
    assert total.default_update is None
    f, g = symc.function([], total * 2), symc.function([], symc.clone(total * 3, share_inputs=False))
    assert f() == 2 and f() == 2
    symc.function([], twin)()
    assert total.get_value() == 2 and g() == 6  # the value is shared


def test_copies_of_the_graph_of_a_function(shim):
    import theano
    import theano.tensor as T

    x, s = T.dvector("x"), theano.shared(np.ones(2), "s")
    given, out, (_, updates, _, shared) = theano.compile.rebuild_collect_shared(
        x * s, inputs=[x], updates=[(s, s + 1)], copy_inputs_over=False
    )
    assert given[0] is not x and list(updates) == shared == [s]
    np.testing.assert_array_equal(theano.function(given, out)([2.0, 3.0]), [2, 3])


def test_values_that_a_function_holds():
    x, k, s = T.scalar("x"), T.scalar("k"), symc.shared(3.0, "s")
    f = symc.function([x, symc.In(k, value=2.0, update=k + x)], x * k * s)
    assert f[k] == 2 and f["k"] == 2 and f[1] == 2 and f[x] is None and f["s"] == 3 and f[s] == 3
    assert f(5) == 30 and f[k] == 7
    f[k], f["s"] = 1.0, 10.0
    assert f(5) == 50 and f.container[k].data == 6 and f.value["k"] == 6
    f.container["k"].data = 4
    assert f(1) == 40 and "k" in f and "z" not in f
    with pytest.raises(KeyError, match="no input or shared variable 'z'"):
        f["z"]  # noqa: B018


def test_constants_that_are_computed():
    x = T.tensor("float32", shape=(4, None))
    assert T.get_scalar_constant_value(T.constant(2) * 3 + 1) == 7
    assert T.get_scalar_constant_value(x.shape[0] * 2) == 8
    assert T.get_scalar_constant_value(T.ones((3, 2)) * 2) == 2
    for unknown in (x.shape[1], T.arange(3), T.scalar()):
        with pytest.raises(T.NotScalarConstantError):
            T.get_scalar_constant_value(unknown)


def test_shapes_at_a_call_are_assertions():
    a, b = T.vectors("ab")
    with pytest.raises(AssertionError):
        symc.function([a, b], a + b)([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="twice"):
        symc.function([a, a], a)


def test_functions_that_are_called_like_their_modules(shim):
    import theano.tensor
    import theano.tensor.sort
    import theano.tensor.subtensor
    from theano.ifelse import ifelse
    from theano.scan_module import scan
    from theano.tensor.sort import argsort

    assert theano.tensor.sort is T.sort and argsort is T.argsort and callable(scan)
    assert float(ifelse(T.constant(1), T.constant(2.0), T.constant(3.0)).eval()) == 2.0
    assert theano.tensor.subtensor.Subtensor is theano.tensor.Subtensor


def test_modules_that_theanos_modules_import(shim):
    import theano
    import theano.tensor
    from theano import theano as itself

    assert itself is theano
    assert theano.tensor.np is theano.np is np
    assert theano.tensor.theano.gof is theano.gof
    assert "np" in theano.tensor.__all__ and "os" not in theano.tensor.__all__  # as in Theano


def test_updates_may_be_the_items_of_a_dictionary():
    count = symc.shared(1.0)
    symc.function([], updates={count: count + 1}.items())()
    assert count.get_value() == 2


def test_the_type_of_a_sparse_matrix():
    pytest.importorskip("scipy")
    from symc import sparse

    x = sparse.csc_matrix("x", dtype="float64")
    assert isinstance(x.type, sparse.SparseType) and x.type == sparse.SparseType("csc", "float64")
    assert x.type("y").format == "csc" and x.type("y").type == x.type != sparse.csr_matrix("z", "float64").type


def test_truncated_normal_numbers_by_keyword():
    stream = T.shared_randomstreams.RandomStreams(5)
    drawn = stream.normal((200, 200), avg=1, std=3, truncate=True).eval()
    assert np.abs(drawn - 1).max() <= 6
    np.testing.assert_allclose(drawn.std() / 3, 0.8796, rtol=0.02)  # the normal distribution cut at 2 deviations


def test_values_of_any_shape_for_results_of_expressions(shim):
    import theano

    x = T.matrix("x")
    product = T.dot(x, symc.shared(np.ones((3, 2)), shape=(3, 2)))
    total = product.sum(1)
    given = np.arange(8.0).reshape(2, 4)  # the product has two columns
    np.testing.assert_array_equal(total.eval({product: given}), [6, 22])
    found = theano.function([product], [total, product * 2])(given)
    np.testing.assert_array_equal(found[0], [6, 22])
    np.testing.assert_array_equal(found[1], 2 * given)


def test_modules_with_the_name_of_a_function_are_called(shim):
    import theano
    import theano.tensor as tt
    import theano.tensor.sort
    import theano.tensor.var
    from theano.ifelse import ifelse

    x = tt.vector()
    f = theano.function([x], [tt.var(x), tt.sort(x), ifelse(x[0] > 0, x, -x), theano.ifelse.ifelse(x[0] > 0, x, -x)])
    found = f([-1, 3, 1])
    for got, want in zip(found, (8 / 3, [-1, 1, 3], [1, -3, -1], [1, -3, -1])):
        np.testing.assert_allclose(got, want)


def test_ops_that_change_gradients_alone(shim):
    import theano
    import theano.tensor as tt

    class Clip(theano.compile.ViewOp):
        def __init__(self, bound):
            super().__init__()
            self.bound = bound

        def grad(self, inputs, output_gradients):
            return [tt.clip(g, -self.bound, self.bound) for g in output_gradients]

    clip = Clip(10)
    with pytest.warns(UserWarning, match="the rule clipper is accepted and has no effect"):
        tt.opt.register_canonicalize(theano.gof.OpRemove(clip), name="clipper")
    x = tt.vector("x")
    value, slope = theano.function([x], [clip(x), tt.grad((clip(x) ** 3).sum(), x)])([1, -3, 2])
    assert value.tolist() == [1, -3, 2] and slope.tolist() == [3, 10, 10]


def test_rules_of_users_are_accepted(shim):
    import theano
    import theano.tensor as tt

    with pytest.warns(UserWarning, match="the rule no_exp"):

        @tt.opt.register_specialize
        @theano.gof.local_optimizer([tt.exp])
        def no_exp(node):
            raise AssertionError

    with pytest.warns(UserWarning, match="the rule mine"):
        theano.compile.optdb["canonicalize"].register("mine", no_exp, "fast_run")
    x = tt.vector()
    assert theano.function([x], tt.exp(x))([0]) == [1]
    assert theano.gof.hashtype(x) == tt.hashtype(tt.vector())


@pytest.mark.parametrize("device", ["interp", "c"])
def test_asserts(shim, device):
    import theano
    import theano.tensor as tt

    x, n = tt.vector("x"), tt.lscalar("n")
    checked = tt.opt.Assert("x is too short")(x, tt.ge(x.shape[0], n), tt.gt(n, 0))
    f = symc.function([x, n], [2 * checked, tt.grad((checked**2).sum(), x)], device=device)
    assert [v.tolist() for v in f([1, 2], 2)] == [[2, 4], [2, 4]]
    for length in (3, 0):
        with pytest.raises(AssertionError, match="x is too short"):
            f([1, 2], length)
    assert tt.opt.assert_op(x) is x
    with pytest.raises(AssertionError):
        tt.opt.assert_op(x, False)
    with pytest.raises(symc.errors.ShapeError, match="must be a scalar"):
        tt.opt.assert_op(x, x > 0)
    with pytest.raises(AssertionError):  # a condition on each entry is checked on all of them
        symc.function([x], symc.vectorize(lambda v: tt.opt.assert_op(v, v > 0))(x))([1, -1])
    assert theano.tensor.opt.Assert() == tt.opt.assert_op


def test_classes_for_isinstance(shim):
    import theano
    import theano.tensor as tt

    assert isinstance(tt.constant(1), tt.Constant) and isinstance(tt.vector(), tt.basic._tensor_py_operators)
    assert isinstance(tt._shared(1.0), tt.sharedvar.ScalarSharedVariable)
    assert not isinstance(theano.shared(np.ones(2)), tt.sharedvar.ScalarSharedVariable)
    assert tt.config is theano.config


def test_the_report_ends_names_of_settings(tmp_path):
    (tmp_path / "a.py").write_text("import theano\nprint(theano.config.device.startswith('gpu'), theano.config.none)\n")
    report = symc.compat.check(tmp_path)
    assert [(use.fate.old, use.fate.kind) for use in report.uses if use.fate.old.startswith("theano.config.")] == [
        ("theano.config.device", "same"), ("theano.config.none", "missing"),
    ]  # fmt: skip


def test_bounds_of_integers_are_truncated(shim):
    from theano.tensor.shared_randomstreams import RandomStreams

    length = T.fscalar()
    draw = symc.function([length], RandomStreams(3).random_integers(low=0.9, high=length - 1, size=(200,)))
    assert set(draw(np.float32(4.7)).tolist()) == {0, 1, 2, 3}


def test_draws_with_a_target(shim):
    from theano.sandbox.rng_mrg import MRG_RandomStreams

    streams = MRG_RandomStreams(3)
    drawn = [streams.uniform((4,), target="dev0"), streams.choice(size=(4,), a=9, target=None), streams.normal((4,))]
    u, c, n = symc.function([], drawn)()
    assert ((u >= 0) & (u < 1)).all() and ((c >= 0) & (c < 9)).all() and n.shape == (4,)


def test_parts_of_the_generator(shim):
    import theano.tensor as tt
    from theano.sandbox.rng_mrg import M1, M2, DotModulo, matVecModM, multMatVect
    from theano.tensor.type_other import SliceType, slicetype

    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2**31 - 1, (3, 3)) for _ in range(2))
    state = rng.integers(0, 2**31 - 21069, 6).astype("int32")
    wanted = multMatVect(state, a, M1, b, M2)
    made = DotModulo()(tt.constant(a), tt.constant(state[:3]), M1, tt.constant(b), tt.constant(state[3:]), M2)
    found = made.eval()
    assert found.dtype == wanted.dtype == "int32"
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(matVecModM(a, state[:3].astype("int64"), M1), wanted[:3])
    assert isinstance(slicetype, SliceType)
    with pytest.raises(AttributeError, match=r"numpy.load"):
        tt.load  # noqa: B018


def test_parents_of_nodes(shim):
    import theano.tensor as tt

    x, y = tt.vectors("x", "y")
    z = x + y
    assert z.get_parents() == [z.owner] and z.owner.get_parents() == [x, y] and x.get_parents() == []
    shim.uninstall()
    assert not hasattr(symc.Variable, "get_parents")


def test_products_and_joins_promote_as_in_theano(shim):
    import theano.tensor as tt

    def mixed(a, b):
        x, y = tt.matrix(dtype=a), tt.matrix(dtype=b)
        v, w = tt.vector(dtype=a), tt.vector(dtype=b)
        return {
            made.dtype
            for made in (tt.dot(x, y), tt.dot(v, w), tt.outer(v, w), tt.concatenate([x, y]), tt.stack([v, w]), x**y)
        }

    assert mixed("int32", "float32") == {"float64"} and mixed("int16", "float32") == {"float32"}
    assert mixed("uint8", "int8") == {"int16"}
    pixels, single = tt.matrix(dtype="uint8"), tt.fvector()
    assert (pixels - 128).dtype == "int16" and (pixels + 2).dtype == "int16"
    assert (pixels - 128).eval({pixels: np.array([[3]], "uint8")}).item() == -125
    assert (single * 2.5).dtype == "float32" and (single * 0.1).dtype == "float64"
    assert tt.deg2rad(single).dtype == "float32"
    with symc.config.change(floatX="float32"):
        assert (single * 0.1).dtype == "float32"


def test_outside_the_shim_numbers_adapt():
    pixels, single = T.matrix(dtype="uint8"), T.vector(dtype="float32")
    assert (pixels - 128).dtype == "uint8" and (single * 0.1).dtype == "float32"
    assert T.dot(T.matrix(dtype="int32"), T.matrix(dtype="float32")).dtype == "float32"


def test_what_theanos_ops_refuse_is_refused(shim):
    import theano
    import theano.tensor as tt

    x, y = tt.matrix(), tt.lvector()
    with symc.config.change(device="interp"):
        loss = theano.function([x, y], tt.nnet.crossentropy_softmax_1hot(x, y)[0])
        count = theano.function([y], tt.bincount(y, assert_nonneg=True))
        flat = theano.function([y], tt.ravel_multi_index((y, y), theano.shared(np.array([3, 4]))))
        axis = tt.lscalar()
        ordered = theano.function([x, axis], [tt.sort(x, axis), tt.grad(tt.sqr(tt.sort(x, axis)[0]).sum(), x)])
    scores = np.array([[3.0, 1, 2], [0, 5, 4]])
    assert loss(scores, [0, 2]).shape == (2,)
    for label in (-1, 3):
        with pytest.raises(ValueError, match="y_idx"):
            loss(scores, [0, label])
    assert list(count([1, 1, 3])) == [0, 2, 0, 1] and list(flat([1, 2])) == [5, 10]
    with pytest.raises(AssertionError, match="bincount"):
        count([1, -1])
    for k in (0, 1, -1):
        value, slope = ordered(scores, k)
        assert np.array_equal(value, np.sort(scores, k)) and slope.sum() == 2 * value[0].sum()
    with pytest.raises(IndexError, match="sort: there is no such axis"):
        ordered(scores, 2)


def test_flags_of_types_and_tools_for_tests_of_ops(shim):
    import theano.tensor as tt
    from theano import sparse
    from theano.tests import unittest_tools as utt

    x = sparse.csr_matrix("x")
    total, square = sparse.SpSum(0)(x), sparse.DenseFromSparse()(sparse.Dot()(x, sparse.Transpose()(x)))
    assert total.ndim == 1 and square.ndim == 2 and sparse.enable_sparse and sparse.SpSum(0) == sparse.SpSum(axis=0)
    flagged = tt.TensorType("float32", [0, 1])
    assert flagged.broadcastable == (False, True) and isinstance(tt.matrix().type, tt.TensorType)

    class Product(utt.InferShapeTester):
        def runTest(self):  # noqa: N802
            x, y = tt.matrix(), tt.matrix()
            self._compile_and_check([x, y], [tt.dot(x, y)], [np.ones((2, 3)), np.ones((3, 4))], tt.Dot)

    with symc.config.change(device="interp"):
        result = Product().run()
    assert result.wasSuccessful()
    utt.assert_allclose(1.0, np.float64(1 + 1e-9))
    with pytest.raises(utt.WrongValue, match="largest difference"):
        utt.assert_allclose(np.zeros(2), np.ones(2))


def test_variables_of_classes_that_programs_derive(shim):
    import theano

    class Random(theano.tensor.TensorVariable):
        def __init__(self, type=None, owner=None, index=None, name=None, density=None):
            super().__init__(type, owner, index, name)
            self.density = density

    class Source(theano.Op):
        __props__ = ()

        def make_node(self):
            return theano.Apply(self, [], [Random(T.dvector().type, name="s", density=3)])

        def perform(self, node, inputs, outputs):
            outputs[0][0] = np.arange(2.0)

    free, x = Random(T.dvector().type, name="f", density=1), T.dvector("x")
    observed = Random(T.dvector().type, name="o", density=2)
    node = theano.gof.Apply(theano.compile.view_op, inputs=[x], outputs=[observed])
    drawn = Source()()
    assert isinstance(free, theano.tensor.TensorVariable) and not isinstance(x, Random)
    assert isinstance(node, theano.gof.Apply) and observed.owner is node and node.outputs == (observed,)
    assert (type(drawn), drawn.density) == (Random, 3)
    total = (free * observed + drawn).sum()
    slopes = symc.function([free, x], [total, *symc.grad(total, [free, x])], mode="FAST_COMPILE")
    total, by_free, by_x = slopes([1.0, 2.0], [3.0, 4.0])
    assert total == 12 and by_free.tolist() == [3, 4] and by_x.tolist() == [1, 2]


def test_clones_need_no_test_values(shim):
    import theano

    x, new = T.dvector("x"), theano.tensor.TensorType("float64", False)("new")
    x.tag.test_value = np.ones(2)
    with symc.config.change(compute_test_value="raise"):
        y = x[1:].sum() * 2
        assert (theano.clone(y, {x: new}) - y).eval({x: [1.0, 2.0], new: [3.0, 4.0]}) == 4


def test_the_list_of_settings(shim):
    import theano

    found = {s.fullname: s for s in theano.configparser._config_var_list}
    assert found["compute_test_value"].__get__(True, None) == theano.config.compute_test_value
    found["gcc.cxxflags"].__set__(None, "-O1")
    assert theano.config.gcc.cxxflags == "-O1"


def test_texts_and_parts_of_equal_graphs(shim):
    import theano

    def built():
        return T.exp(T.dscalar("x")) + 1

    first = theano.printing.debugprint(built(), file="str")
    second = theano.printing.debugprint(T.exp(T.dscalar("x")) + 1, file="str")
    assert first == second and built().owner.op == T.add and T.sub != built().owner.op
    f = theano.function([x := T.dscalar("x")], [x + 1])
    assert [o.variable.ndim for o in f.outputs] == [0]
    graph = theano.gof.FunctionGraph([x], [x + 1])
    assert graph.clone().inputs != graph.inputs


def test_operators_leave_other_objects_to_their_own_class(shim):
    from theano.sandbox.rng_mrg import MRG_RandomStreams

    class Kernel:
        def __radd__(self, other):
            return "kernel"

    x = T.dvector("x")
    assert x + Kernel() == "kernel"
    for other in (Kernel(), object()):
        with pytest.raises(TypeError, match=r"mul|\*"):
            x * other
    assert x.dimshuffle("x", 0).sum(axis=range(1, 2)).eval({x: [1.0, 2.0]}).tolist() == [3]
    draws = [symc.function([], MRG_RandomStreams(seed).uniform((3,)))().tolist() for seed in (-1, -1, -2)]
    assert draws[0] == draws[1] != draws[2]


def test_old_forms_of_stack_and_of_convolutions_in_time(shim):
    import theano.tensor
    from theano.tensor.nnet import conv3d2d

    x = T.dscalar()
    assert T.stack(2, x, 3).eval({x: 1.0}).tolist() == [2, 1, 3]
    assert T.stack(x, 3).eval({x: 1.0}).tolist() == [1, 3]
    assert theano.tensor.stack(T.constant([1.0, 2.0])).eval().tolist() == [[1, 2]]
    assert theano.tensor.stack([x, x], axis=1).eval({x: 1.0}).tolist() == [1, 1]
    assert T.add(x) is x and list(np.atleast_1d(x)) == [x]
    v, k = np.random.default_rng(0).normal(size=(2, 1, 4, 2, 5, 5)), np.ones((3, 2, 2, 3, 3))
    valid = conv3d2d.conv3d(v[0], k, border_mode=("valid",) * 3).eval()
    mixed = conv3d2d.conv3d(v[0], k, filters_shape=k.shape, border_mode=("full", "valid", "valid")).eval()
    assert mixed.shape == (1, 5, 3, 3, 3)
    np.testing.assert_allclose(mixed[:, 1:4], valid, rtol=1e-6)
