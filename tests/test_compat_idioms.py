"""Idioms of old programs: what they import from where, and what they rely on."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import symc
import symc.compat
import symc.tensor as T
from symc.errors import DTypeError


@pytest.fixture
def shim(monkeypatch):
    """The old modules, installed for one test, and functions that need no compiler."""
    monkeypatch.delenv("THEANO_FLAGS", raising=False)
    monkeypatch.setenv("THEANORC", "")
    symc.compat.install()
    with symc.config.change(device="interp"):
        yield symc.compat
    symc.compat.uninstall()


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


def test_names_that_layers_import(shim):
    import lasagne
    from lasagne.layers.base import as_tuple
    from lasagne.layers.noise import get_rng
    from theano.sandbox.cuda.blocksparse import sparse_block_dot  # noqa: F401

    assert lasagne.layers.dnn.as_tuple(3, 2) == as_tuple(3, 2) == (3, 3)
    assert get_rng is lasagne.random.get_rng


def test_convolutions_as_ops_of_cudnn(shim):
    import theano
    import theano.tensor as tt
    from theano.gpuarray.basic_ops import gpu_alloc_empty as empty_array
    from theano.sandbox.cuda.basic_ops import HostFromGpu, gpu_alloc_empty, gpu_contiguous
    from theano.sandbox.cuda.dnn import GpuDnnConv, GpuDnnConvDesc, GpuDnnConvGradI, GpuDnnConvGradW

    x, w = tt.tensor4("x"), theano.shared(normal(3, 2, 3, 3), "w")
    for flip in ("conv", "cross"):
        size = (x.shape[0], w.shape[1], x.shape[2] * 2, x.shape[3] * 2)
        desc = GpuDnnConvDesc(border_mode=(1, 1), subsample=(2, 2), conv_mode=flip)(
            gpu_alloc_empty(*size).shape, w.shape
        )
        larger = GpuDnnConvGradI()(gpu_contiguous(w), gpu_contiguous(x), gpu_alloc_empty(*size), desc)
        back = GpuDnnConv()(larger, w, empty_array(None, "float64")(*x.shape), desc, 2.0)
        slope = GpuDnnConvGradW()(larger, x, HostFromGpu()(w), desc, 1.0, 3.0)
        options = {"border_mode": (1, 1), "subsample": (2, 2), "filter_flip": flip == "conv"}
        image = tt.nnet.conv2d_grad_wrt_inputs if hasattr(tt.nnet, "conv2d_grad_wrt_inputs") else None
        image = image or tt.nnet.abstract_conv.conv2d_grad_wrt_inputs
        expected = image(x, w, (None, 2, size[2], size[3]), **options)
        cost = (tt.nnet.conv2d(expected, w, **options) * x).sum()
        expected_slope = tt.grad(cost, w, consider_constant=[expected]) + 3 * w
        f = theano.function(
            [x], [larger, back, slope, expected, 2 * tt.nnet.conv2d(expected, w, **options), expected_slope]
        )
        larger, back, slope, *expected = f(normal(2, 3, 2, 3))
        assert larger.shape == (2, 2, 4, 6)
        for found, right in zip((larger, back, slope), expected, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-10)


def test_an_index_with_none_drops_axes_of_one_entry_behind_it(shim):
    import theano.tensor as tt

    state, mask = tt.matrix(), tt.alloc(1.0, tt.lscalar("n"), 1)
    masked = mask[:, None] * state
    assert masked.ndim == 2 and mask[None].ndim == 3 and mask[:, :, None].ndim == 3 and mask[..., None].ndim == 3
    assert state[:, None].ndim == 3 and tt.col()[::2, None].ndim == 2


@pytest.mark.parametrize("module", ["theano", "symc"])
def test_gradients_assigned_to_an_op(shim, module):
    theano, tt = importlib.import_module(module), importlib.import_module(f"{module}.tensor")
    x = tt.vector()
    op = theano.OpFromGraph([x], [tt.maximum(x, 0)])
    plain = op(x)
    op.grad = lambda inputs, gradients: [gradients[0] * (gradients[0] > 0) * 3]

    class Scaled(theano.OpFromGraph):
        def grad(self, inputs, gradients):
            return [inputs[0] * gradients[0]]

    outputs = [plain, op(x), Scaled([x], [x + 1])(x)]
    f = theano.function([x], [tt.grad((v * [1, -1]).sum(), x) for v in outputs])
    assert [list(g) for g in f([2, 4])] == [[1, -1], [3, 0], [2, -4]]

    z = T.zvector()
    of_complex = theano.OpFromGraph([z], [z * 2])
    with pytest.raises(DTypeError, match="cannot be replaced"):
        of_complex.grad = lambda inputs, gradients: gradients


def test_classes_of_variables(shim):
    import theano
    import theano.tensor as tt
    from theano.tensor.var import TensorVariable

    x = tt.vector()
    assert isinstance(x, TensorVariable) and isinstance(x + 1, tt.TensorVariable) and type(x) == TensorVariable  # noqa: E721
    assert not any(isinstance(v, TensorVariable) for v in (theano.shared(1.0), tt.constant(1.0), np.ones(2)))
    assert isinstance(theano.shared(np.ones(2)), tt.sharedvar.TensorSharedVariable)


def test_layers_that_give_lists(shim):
    import lasagne
    import theano

    class Parts(lasagne.layers.Layer):
        def get_output_shape_for(self, input_shape):
            return input_shape

        def get_output_for(self, input, **kwargs):
            return [input * 2, input.sum(axis=1)]

    class Part(lasagne.layers.Layer):
        def __init__(self, incoming, index, **kwargs):
            super().__init__(incoming, **kwargs)
            self.index = index

        def get_output_for(self, input, **kwargs):
            return input[self.index]

    parts = Parts(lasagne.layers.InputLayer((None, 3)))
    whole, sums = Part(parts, 0), Part(parts, 1)
    top = lasagne.layers.DenseLayer(whole, 2)
    assert parts.output_shape == whole.output_shape == (None, 3) and sums.output_shape == (None,)
    x = parts.input_layer.input_var
    f = theano.function([x], lasagne.layers.get_output([whole, sums, top]))
    found = f(np.arange(6.0).reshape(2, 3))
    assert np.array_equal(found[0], 2 * np.arange(6.0).reshape(2, 3)) and list(found[1]) == [3, 12]


def test_padding_of_the_first_axes(shim):
    import lasagne

    layer = lasagne.layers.pad(lasagne.layers.InputLayer((None, 4, 5, 5)), width=((1, 2),), batch_ndim=1)
    assert layer.output_shape == (None, 7, 5, 5) and lasagne.layers.shape.pad is lasagne.layers.PadLayer
    with pytest.raises(ValueError, match="for each of the 2 axes"):
        lasagne.layers.PadLayer((None, 4, 5, 5), (1, 1, 1))


def test_strict_loops_refuse_shared_variables_alone(shim):
    import theano
    import theano.tensor as tt

    x, y, w = tt.vector(), tt.scalar(), theano.shared(2.0, "w")
    total, _ = theano.scan(lambda e, s, w: s + e * y * w, x, tt.zeros(()), [w], strict=True)
    several = tt.stack([w, w])  # computed from shared variables, given as a whole
    sums, _ = theano.scan(lambda e, s, v: s + e * v + v, x, tt.zeros((2,)), [several], strict=True)
    f = theano.function([x, y], [total[-1], sums[-1]])
    found = f([1, 2], 5)
    assert found[0] == 30 and list(found[1]) == [10, 10]
    with pytest.raises(ValueError, match="not given: w"):
        theano.scan(lambda e, s: s + e * w, x, tt.zeros(()), strict=True)


def test_different_numbers_per_row_of_probabilities(shim):
    import theano
    import theano.tensor as tt
    from theano.sandbox.rng_mrg import MRG_RandomStreams

    p = tt.matrix()
    drawn = MRG_RandomStreams(3).choice(size=2, replace=False, p=p, dtype="int32")
    f = theano.function([p], drawn)
    found = f([[0, 0.9, 0.1, 0], [0.5, 0, 0, 0.5]])
    assert drawn.dtype == "int32" and np.array_equal(np.sort(found, 1), [[1, 2], [0, 3]])


def test_ops_of_gpu_modules(shim):
    import theano
    import theano.tensor as tt
    from theano.sandbox.cuda.blas import GpuCorrMM, GpuCorrMM_gradInputs
    from theano.sandbox.cuda.dnn import (
        GpuDnnPool,
        GpuDnnPoolDesc,
        GpuDnnSoftmax,
        dnn_conv,
        dnn_gradinput,
        dnn_gradweight,
    )
    from theano.sandbox.cuda.rng_curand import CURAND_RandomStreams

    x, w = tt.tensor4("x"), theano.shared(normal(3, 2, 3, 3), "w")
    settings = {"border_mode": (1, 0), "subsample": (2, 1), "conv_mode": "cross"}
    maps = dnn_conv(x, w, **settings)
    slope = maps * 2
    images, filters = tt.grad(tt.sum(maps**2), [x, w], consider_constant=[slope])
    pairs = [
        (GpuCorrMM("valid", (2, 1), pad=(1, 0))(x, w), maps),
        (GpuCorrMM_gradInputs((1, 0), (2, 1), (1, 1))(w, slope, x.shape[2:]), images),
        (dnn_gradinput(w, slope, x.shape, **settings), images),
        (dnn_gradweight(x, slope, w.shape, (1, 0), (2, 1), "cross"), filters),
        (GpuDnnPool()(x, GpuDnnPoolDesc((2, 2), (1, 1), "max")()), GpuDnnPool("max")(x, (2, 2), (1, 1), (0, 0))),
        (GpuDnnSoftmax("bc01", "accurate", "channel")(x), tt.exp(x) / tt.exp(x).sum(axis=1, keepdims=True)),
        (GpuDnnSoftmax("log", "instance")(x), x - tt.log(tt.exp(x).sum(axis=(1, 2, 3), keepdims=True))),
    ]
    found = theano.function([x], [v for pair in pairs for v in pair])(normal(2, 2, 5, 4))
    for a, b in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    assert 0 <= CURAND_RandomStreams(5).uniform((2, 3), 0.0, 1.0, 2, "float32").eval().min() < 1


def test_gradients_of_the_first_conv3d(shim):
    import theano
    import theano.tensor as tt
    from theano.tensor.nnet.ConvGrad3D import convGrad3D
    from theano.tensor.nnet.ConvTransp3D import convTransp3D

    images, filters = theano.shared(normal(2, 5, 4, 3, 2)), theano.shared(normal(3, 2, 2, 1, 2))
    maps = tt.nnet.conv3D(images, filters, np.zeros(3), (2, 1, 1))
    slope = 2 * maps
    by_images, by_filters = tt.grad(tt.sum(maps**2), [images, filters], consider_constant=[slope])
    found = theano.function(
        [],
        [
            convTransp3D(filters, 1.0, (2, 1, 1), slope, images.shape[1:4]) - 1,
            convGrad3D(images, (2, 1, 1), filters.shape, slope),
            by_images,
            by_filters,
            convTransp3D(filters, 0.0, (2, 1, 1), slope).shape,
        ],
    )()
    np.testing.assert_allclose(found[0], found[2], rtol=1e-10)
    np.testing.assert_allclose(found[1], found[3], rtol=1e-10)
    assert list(found[4]) == [2, 4, 4, 3, 2]


def test_settings_of_programs(shim, monkeypatch):
    import theano
    from theano.configparser import AddConfigVar, BoolParam, EnumStr, IntParam

    monkeypatch.setenv("THEANO_FLAGS", "mine.count=7")
    AddConfigVar("mine.count", "a number", IntParam(3, lambda n: n > 0))
    AddConfigVar("mine.verbose", "whether to write more", BoolParam(False))
    assert theano.config.mine.count == 7 and theano.config.mine.verbose is False
    with pytest.raises(ValueError, match="expected one of a, b"):
        EnumStr("a", "b").converted("c")
    with pytest.raises(AttributeError, match="already"):
        AddConfigVar("floatX", "", BoolParam(True))


def test_picklers_and_small_modules(shim):
    import io

    import theano
    from theano.compat.six.moves import cPickle, xrange
    from theano.gof.compilelock import get_lock, release_lock
    from theano.misc.pkl_utils import CompatUnpickler, StripPickler

    get_lock(), release_lock()
    file = io.BytesIO()
    StripPickler(file, protocol=2).dump(theano.tensor.vector("v") + 1)
    file.seek(0)
    assert CompatUnpickler(file).load().ndim == 1
    assert cPickle.loads(cPickle.dumps(list(xrange(2)))) == [0, 1] and theano.version.version == theano.__version__


def test_what_a_star_import_of_layers_gives(shim):
    found = {}
    exec("from lasagne.init import *; from lasagne.nonlinearities import *; from lasagne.utils import *", found)
    assert found["np"] is np and found["theano"].__name__ == "theano" and found["T"].__name__ == "theano.tensor"
    assert {"GlorotUniform", "get_rng", "rectify", "floatX"} <= set(found)


def test_the_shape_of_an_input_layer_is_advice(shim):
    """Batches of another size go through the layer's own variable, as in Lasagne, where it has no lengths."""
    import lasagne
    import theano

    first = lasagne.layers.InputLayer((500, 1, 6, 6))
    layer = lasagne.layers.Conv2DLayer(first, 3, 3, pad="same")
    layer = lasagne.layers.DenseLayer(lasagne.layers.MaxPool2DLayer(layer, 2), 4)
    f = theano.function([first.input_var], lasagne.layers.get_output(layer))
    assert f(normal(7, 1, 6, 6)).shape == (7, 4)
    assert first.input_var.broadcastable == (False, True, False, False)


def test_types_are_equal_as_theanos_are(shim):
    """Known lengths other than 1 are no part of a type there: programs choose by ``x.type == T.dmatrix``."""
    import theano
    import theano.tensor

    whole, row = theano.tensor.ones((2, 3)), theano.tensor.ones((1, 3))
    matrix = theano.tensor.dmatrix
    assert whole.type == matrix == theano.tensor.as_tensor_variable(np.ones((2, 3))).type
    assert row.type == theano.tensor.drow and not row.type == matrix and row.type != matrix
    assert {whole.type: 1}[matrix] == 1 and whole.type in (theano.tensor.dvector, matrix)
    assert whole.type != theano.tensor.fmatrix and whole.type != 3
    with pytest.raises(ValueError, match="shapes"):  # symc itself still sees all lengths
        whole + theano.tensor.ones((2, 4))


def test_profiles_have_theanos_totals(shim):
    import theano
    import theano.tensor

    x = theano.tensor.dvector("x")
    f = theano.function([x], theano.tensor.exp(x), profile=True)
    for _ in range(3):
        f([1.0])
    assert f.profile.fct_callcount == 3 and f.profile.fct_call_time > 0
