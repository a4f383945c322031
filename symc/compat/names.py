"""What becomes of Theano's and Lasagne's names: the facts behind the shim, ``check`` and the migration page.

Where a name stands here follows from ``symc.compat.modules.MODULES``. ``RENAMED`` adds names that are called
differently, ``MISSING`` those that have no counterpart, and ``NOTES`` remarks on others.
"""

from __future__ import annotations

__all__ = ["MISSING", "NAMES", "NOTES", "RENAMED", "advice"]

NAMES = """
theano.function theano.shared theano.grad theano.clone theano.scan theano.dot theano.pp theano.config theano.In
theano.Out theano.OpFromGraph theano.ifelse.ifelse
theano.config.floatX theano.config.device theano.config.compute_test_value theano.config.exception_verbosity
theano.config.on_unused_input theano.config.profile theano.config.mode
theano.printing.Print theano.printing.pydotprint theano.d3viz.d3viz theano.compile.MonitorMode
theano.compile.nanguardmode.NanGuardMode theano.compile.debugmode.DebugMode theano.gof.op.get_test_value
theano.printing.debugprint theano.printing.pp theano.printing.pprint
theano.gradient.grad theano.gradient.jacobian theano.gradient.hessian theano.gradient.Rop theano.gradient.Lop
theano.gradient.verify_grad theano.gradient.disconnected_grad theano.gradient.zero_grad theano.gradient.grad_clip
theano.gradient.grad_scale theano.gradient.consider_constant theano.gradient.subgraph_grad
theano.tensor.scalar theano.tensor.vector theano.tensor.row theano.tensor.col theano.tensor.matrix
theano.tensor.tensor3 theano.tensor.tensor4 theano.tensor.iscalar theano.tensor.ivector theano.tensor.imatrix
theano.tensor.lscalar theano.tensor.lvector theano.tensor.fmatrix theano.tensor.dmatrix theano.tensor.dvector
theano.tensor.dscalar theano.tensor.vectors theano.tensor.matrices theano.tensor.scalars theano.tensor.TensorType
theano.tensor.as_tensor_variable theano.tensor.constant theano.tensor.cast theano.tensor.zeros theano.tensor.ones
theano.tensor.zeros_like theano.tensor.ones_like theano.tensor.fill theano.tensor.alloc theano.tensor.eye
theano.tensor.identity_like theano.tensor.arange theano.tensor.tri theano.tensor.tril theano.tensor.triu
theano.tensor.mgrid theano.tensor.ogrid theano.tensor.shape theano.tensor.reshape theano.tensor.dimshuffle
theano.tensor.flatten theano.tensor.shape_padleft theano.tensor.shape_padright theano.tensor.shape_padaxis
theano.tensor.unbroadcast theano.tensor.addbroadcast theano.tensor.patternbroadcast theano.tensor.specify_shape
theano.tensor.squeeze theano.tensor.transpose theano.tensor.swapaxes theano.tensor.stack theano.tensor.stacklists
theano.tensor.concatenate theano.tensor.join theano.tensor.split theano.tensor.horizontal_stack
theano.tensor.vertical_stack theano.tensor.tile theano.tensor.repeat theano.tensor.roll theano.tensor.diag
theano.tensor.diagonal theano.tensor.fill_diagonal theano.tensor.fill_diagonal_offset theano.tensor.max
theano.tensor.min theano.tensor.argmax theano.tensor.argmin theano.tensor.max_and_argmax theano.tensor.sum
theano.tensor.prod theano.tensor.mean theano.tensor.var theano.tensor.std theano.tensor.all theano.tensor.any
theano.tensor.ptp theano.tensor.cumsum theano.tensor.cumprod theano.tensor.lt theano.tensor.gt theano.tensor.le
theano.tensor.ge theano.tensor.eq theano.tensor.neq theano.tensor.isnan theano.tensor.isinf theano.tensor.isclose
theano.tensor.allclose theano.tensor.switch theano.tensor.where theano.tensor.clip theano.tensor.set_subtensor
theano.tensor.inc_subtensor theano.tensor.and_ theano.tensor.or_ theano.tensor.xor theano.tensor.invert
theano.tensor.bitwise_and theano.tensor.bitwise_or theano.tensor.abs_ theano.tensor.exp theano.tensor.exp2
theano.tensor.expm1 theano.tensor.log theano.tensor.log2 theano.tensor.log10 theano.tensor.log1p theano.tensor.sqrt
theano.tensor.sqr theano.tensor.inv theano.tensor.neg theano.tensor.sgn theano.tensor.ceil theano.tensor.floor
theano.tensor.trunc theano.tensor.round theano.tensor.iround theano.tensor.maximum theano.tensor.minimum
theano.tensor.sin theano.tensor.cos theano.tensor.tan theano.tensor.arcsin theano.tensor.arccos theano.tensor.arctan
theano.tensor.arctan2 theano.tensor.sinh theano.tensor.cosh theano.tensor.tanh theano.tensor.arcsinh
theano.tensor.arccosh theano.tensor.arctanh theano.tensor.erf theano.tensor.erfc theano.tensor.erfinv
theano.tensor.gamma theano.tensor.gammaln theano.tensor.psi theano.tensor.deg2rad theano.tensor.rad2deg
theano.tensor.dot theano.tensor.outer theano.tensor.tensordot theano.tensor.batched_dot
theano.tensor.batched_tensordot theano.tensor.nonzero theano.tensor.flatnonzero theano.tensor.nonzero_values
theano.tensor.sort theano.tensor.argsort theano.tensor.topk theano.tensor.argtopk theano.tensor.grad
theano.tensor.jacobian theano.tensor.hessian theano.tensor.Rop theano.tensor.Lop theano.tensor.choose
theano.tensor.take theano.tensor.bincount theano.tensor.to_one_hot theano.tensor.ravel_multi_index
theano.tensor.unravel_index theano.tensor.cov theano.tensor.real theano.tensor.imag theano.tensor.fft.rfft
theano.tensor.fft.irfft
theano.tensor.shared_randomstreams.RandomStreams
theano.tensor.signal.pool.pool_2d theano.tensor.signal.pool.pool_3d theano.tensor.signal.pool.max_pool_2d_same_size
theano.tensor.nnet.sigmoid theano.tensor.nnet.ultra_fast_sigmoid theano.tensor.nnet.hard_sigmoid
theano.tensor.nnet.softplus theano.tensor.nnet.softsign theano.tensor.nnet.softmax theano.tensor.nnet.logsoftmax
theano.tensor.nnet.relu theano.tensor.nnet.elu theano.tensor.nnet.selu theano.tensor.nnet.binary_crossentropy
theano.tensor.nnet.sigmoid_binary_crossentropy theano.tensor.nnet.categorical_crossentropy
theano.tensor.nnet.crossentropy_softmax_1hot theano.tensor.nnet.confusion_matrix theano.tensor.nnet.conv2d
theano.tensor.nnet.neighbours.images2neibs theano.tensor.nnet.neighbours.neibs2images
theano.tensor.nnet.conv3d theano.tensor.nnet.conv2d_transpose theano.tensor.nnet.separable_conv2d
theano.tensor.nnet.batch_normalization theano.tensor.nnet.h_softmax theano.tensor.nnet.softmax_with_bias
theano.tensor.nnet.crossentropy_softmax_argmax_1hot_with_bias theano.tensor.nnet.abstract_conv.get_conv_output_shape
theano.tensor.nnet.abstract_conv.causal_conv1d theano.tensor.nnet.conv.conv2d
theano.tensor.signal.downsample.max_pool_2d
theano.tensor.nnet.abstract_conv.AbstractConv2d_gradInputs theano.tensor.signal.conv.conv2d theano.Param theano.Op
theano.sandbox.cuda.cuda_enabled theano.sandbox.rng_mrg.MRG_RandomStreams theano.gof.graph.inputs theano.Mode
theano.tensor.inplace.exp_inplace theano.typed_list.make_list theano.typed_list.getitem
theano.tensor.nnet.bn.batch_normalization_train theano.tensor.nnet.bn.batch_normalization_test
lasagne.layers.Layer lasagne.layers.MergeLayer lasagne.layers.InputLayer lasagne.layers.DenseLayer
lasagne.layers.NINLayer lasagne.layers.Conv1DLayer lasagne.layers.Conv2DLayer lasagne.layers.Conv3DLayer
lasagne.layers.DilatedConv2DLayer lasagne.layers.TransposedConv2DLayer lasagne.layers.Deconv2DLayer
lasagne.layers.LocallyConnected2DLayer lasagne.layers.MaxPool1DLayer lasagne.layers.MaxPool2DLayer
lasagne.layers.MaxPool3DLayer lasagne.layers.Pool1DLayer lasagne.layers.Pool2DLayer lasagne.layers.Pool3DLayer
lasagne.layers.GlobalPoolLayer lasagne.layers.FeaturePoolLayer lasagne.layers.FeatureWTALayer
lasagne.layers.SpatialPyramidPoolingLayer lasagne.layers.Upscale1DLayer lasagne.layers.Upscale2DLayer
lasagne.layers.Upscale3DLayer lasagne.layers.PadLayer lasagne.layers.FlattenLayer lasagne.layers.ReshapeLayer
lasagne.layers.DimshuffleLayer lasagne.layers.SliceLayer lasagne.layers.ConcatLayer lasagne.layers.ElemwiseSumLayer
lasagne.layers.ElemwiseMergeLayer lasagne.layers.DropoutLayer lasagne.layers.GaussianNoiseLayer
lasagne.layers.BatchNormLayer lasagne.layers.StandardizationLayer lasagne.layers.LocalResponseNormalization2DLayer
lasagne.layers.EmbeddingLayer lasagne.layers.NonlinearityLayer lasagne.layers.BiasLayer lasagne.layers.ScaleLayer
lasagne.layers.ExpressionLayer lasagne.layers.InverseLayer lasagne.layers.TransformerLayer
lasagne.layers.TPSTransformerLayer lasagne.layers.ParametricRectifierLayer lasagne.layers.RandomizedRectifierLayer
lasagne.layers.RecurrentLayer lasagne.layers.LSTMLayer lasagne.layers.GRULayer lasagne.layers.CustomRecurrentLayer
lasagne.layers.Gate lasagne.layers.dropout lasagne.layers.dropout_channels lasagne.layers.dropout_locations
lasagne.layers.batch_norm lasagne.layers.instance_norm lasagne.layers.layer_norm lasagne.layers.prelu
lasagne.layers.rrelu lasagne.layers.standardize lasagne.layers.get_output lasagne.layers.get_output_shape
lasagne.layers.get_all_layers lasagne.layers.get_all_params lasagne.layers.get_all_param_values
lasagne.layers.set_all_param_values lasagne.layers.count_params
lasagne.init.Constant lasagne.init.Normal lasagne.init.Uniform lasagne.init.Glorot lasagne.init.GlorotNormal
lasagne.init.GlorotUniform lasagne.init.He lasagne.init.HeNormal lasagne.init.HeUniform lasagne.init.Orthogonal
lasagne.init.Sparse
lasagne.nonlinearities.sigmoid lasagne.nonlinearities.softmax lasagne.nonlinearities.tanh
lasagne.nonlinearities.ScaledTanH lasagne.nonlinearities.rectify lasagne.nonlinearities.LeakyRectify
lasagne.nonlinearities.leaky_rectify lasagne.nonlinearities.very_leaky_rectify lasagne.nonlinearities.elu
lasagne.nonlinearities.SELU lasagne.nonlinearities.selu lasagne.nonlinearities.softplus lasagne.nonlinearities.linear
lasagne.nonlinearities.identity
lasagne.objectives.binary_crossentropy lasagne.objectives.categorical_crossentropy lasagne.objectives.squared_error
lasagne.objectives.binary_hinge_loss lasagne.objectives.multiclass_hinge_loss lasagne.objectives.huber_loss
lasagne.objectives.aggregate lasagne.objectives.binary_accuracy lasagne.objectives.categorical_accuracy
lasagne.updates.sgd lasagne.updates.momentum lasagne.updates.nesterov_momentum lasagne.updates.adagrad
lasagne.updates.rmsprop lasagne.updates.adadelta lasagne.updates.adam lasagne.updates.adamax lasagne.updates.amsgrad
lasagne.updates.apply_momentum lasagne.updates.apply_nesterov_momentum lasagne.updates.norm_constraint
lasagne.updates.total_norm_constraint lasagne.updates.get_or_compute_grads
lasagne.regularization.l1 lasagne.regularization.l2 lasagne.regularization.apply_penalty
lasagne.regularization.regularize_layer_params lasagne.regularization.regularize_layer_params_weighted
lasagne.regularization.regularize_network_params
lasagne.random.get_rng lasagne.random.set_rng
lasagne.utils.floatX lasagne.utils.as_tuple lasagne.utils.collect_shared_vars lasagne.utils.one_hot
lasagne.utils.unique lasagne.utils.create_param lasagne.utils.as_theano_expression lasagne.utils.unroll_scan
lasagne.layers.dnn.Conv2DDNNLayer lasagne.layers.dnn.Pool2DDNNLayer lasagne.layers.dnn.batch_norm_dnn
lasagne.layers.corrmm.Conv2DMMLayer lasagne.layers.cuda_convnet.Conv2DCCLayer
lasagne.theano_extensions.conv.conv1d_mc0 lasagne.theano_extensions.padding.pad
"""
"""The names that the migration page lists."""

RENAMED: dict[str, tuple[str, str]] = {
    "theano.Op": ("symc.Op", ""),
    "theano.clone": ("symc.clone", ""),
    "theano.gof.Op": ("symc.Op", ""),
    "theano.gof.op.Op": ("symc.Op", ""),
    "theano.tensor.Op": ("symc.Op", ""),
    "theano.tensor.basic.Op": ("symc.Op", ""),
    "theano.tensor.Apply": ("symc.Apply", ""),
    "theano.as_op": ("symc.as_op", ""),
    "theano.scan_module.scan_utils.clone": ("symc.clone", ""),
    "theano.tensor.nnet.abstract_conv.conv2d": ("symc.compat.convolution.abstract_conv2d", ""),
    "theano.tensor.nnet.abstract_conv.conv3d": ("symc.tensor.nnet.conv3d", ""),
    "theano.compile.as_op": ("symc.as_op", ""),
    "theano.compile.rebuild_collect_shared": ("symc.compat.loops.rebuild_collect_shared", ""),
    "theano.compile.ops.as_op": ("symc.as_op", "takes `grad=` as well"),
    "theano.compile.specify_shape": ("symc.tensor.specify_shape", ""),
    "theano.compile.shape": ("symc.tensor.shape", ""),
    "theano.compile.ops.specify_shape": ("symc.tensor.specify_shape", ""),
    "theano.compile.ops.shape": ("symc.tensor.shape", ""),
    "theano.compile.SharedVariable": ("symc.SharedVariable", ""),
    "theano.compile.sharedvalue.SharedVariable": ("symc.SharedVariable", ""),
    "theano.tensor.sharedvar.TensorSharedVariable": ("symc.SharedVariable", ""),
    "theano.tensor.sharedvar.SharedVariable": ("symc.SharedVariable", ""),
    "theano.sparse.sharedvar.sparse_constructor": ("symc.compat.sparse.sparse_constructor", ""),
    "theano.tensor.TensorConstant": ("symc.Constant", ""),
    "theano.tensor.basic._tensor_py_operators": ("symc.Variable", ""),
    "theano.tensor.var._tensor_py_operators": ("symc.Variable", ""),
    "theano.tensor.var.TensorConstant": ("symc.Constant", ""),
    "theano.Updates": ("symc.OrderedUpdates", ""),
    "theano.updates.Updates": ("symc.OrderedUpdates", ""),
    "theano.get_scalar_constant_value": ("symc.compat.basic.get_scalar_constant_value", ""),
    "theano._asarray": ("symc.compat.python2._asarray", ""),
    "theano.gof.op.utils": ("symc.compat.gof_utils", ""),
    "theano.tensor._shared": ("symc.compat.function._shared", ""),
    "theano.tensor.sharedvar.tensor_constructor": ("symc.compat.function._shared", ""),
    "theano.tensor.sharedvar.scalar_constructor": ("symc.compat.function._shared", ""),
    "theano.tensor.numeric_grad": ("symc.gradient.numeric_grad", ""),
    "theano.tensor.TensorSharedVariable": ("symc.SharedVariable", ""),
    "theano.tensor.SharedVariable": ("symc.SharedVariable", ""),
    "theano.gradient.DisconnectedInputError": ("symc.errors.DisconnectedInputError", ""),
    "theano.gradient.NullTypeGradError": ("symc.errors.NullGradError", ""),
    "theano.gradient.GradientError": ("symc.errors.GradientError", ""),
    "theano.gof.MissingInputError": ("symc.errors.MissingInputError", ""),
    "theano.gof.fg.MissingInputError": ("symc.errors.MissingInputError", ""),
    "theano.compile.UnusedInputError": ("symc.errors.UnusedInputError", ""),
    "theano.compile.function_module.UnusedInputError": ("symc.errors.UnusedInputError", ""),
    "lasagne.layers.pad": ("lasagne_like.layers.PadLayer", ""),
    "lasagne.layers.shape.pad": ("lasagne_like.layers.PadLayer", ""),
    "theano.gpuarray.basic_ops.gpu_alloc_empty": ("symc.compat.devices.gpu_array_empty", ""),
    "theano.gpuarray.dnn.dnn_conv": ("symc.tensor.nnet.conv2d", "cuDNN is used where it is installed"),
}
"""Names that differ: the name here, and a note."""

MISSING: dict[str, str] = {
    "theano.tensor.opt": "rules belong to `symc.compiler.rewrite`",
    "theano.gof.opt": "rules belong to `symc.compiler.rewrite`",
    "theano.gof.toolbox": "graphs are never changed in place, so they have no features",
    "theano.gof.destroyhandler": "no op overwrites its inputs: the compiler plans memory itself",
    "theano.tensor.io": "`numpy.load`, and `shared` for the arrays",
    "theano.tensor.load": "`numpy.load`, and `shared` for the arrays",
    "theano.scan_module.scan_op": "`symc.scan` is the only way to make a loop",
    "theano.tests": "the tests of symc are in its repository",
    "theano.gpuarray": "there are no GPU variables: `device=cuda` compiles the same graph for the GPU",
    "theano.sandbox.cuda": "there are no GPU variables: `device=cuda` compiles the same graph for the GPU",
}
"""Advice for names, and for all names below a module, that have no counterpart. It is ignored once they exist."""

NOTES: dict[str, str] = {
    "theano.typed_list.make_list": "a Python list of variables",
    "theano.typed_list.getitem": "indexing of a Python list of variables",
    "theano.tensor.TensorType": "`symc.tensor.TensorType(dtype, shape)`: a length per axis, None for any",
    "theano.tensor.nnet.conv.conv2d": "`symc.tensor.nnet.conv2d`",
    "theano.tensor.signal.downsample.max_pool_2d": "`symc.tensor.signal.pool.pool_2d`",
    "theano.tensor.nnet.abstract_conv.AbstractConv2d_gradInputs": "`symc.tensor.nnet.conv2d_grad_wrt_inputs`",
    "theano.tensor.signal.conv.conv2d": "`symc.tensor.nnet.conv2d` with an axis of one channel",
    "theano.Param": "`symc.In(variable, value=default)`",
    "theano.sandbox.cuda.cuda_enabled": "`symc.config.device`",
    "theano.gof.graph.inputs": "`symc.graph.graph_inputs`, in another order",
    "theano.tensor.inplace.exp_inplace": "`symc.tensor.exp`: the compiler decides where values are stored",
    "lasagne.layers.dnn.Conv2DDNNLayer": "`Conv2DLayer(..., flip_filters=False)`",
    "lasagne.layers.dnn.Pool2DDNNLayer": "`Pool2DLayer`",
    "lasagne.layers.dnn.batch_norm_dnn": "`batch_norm`",
    "lasagne.layers.corrmm.Conv2DMMLayer": "`Conv2DLayer(..., flip_filters=False)`",
    "lasagne.layers.cuda_convnet.Conv2DCCLayer": "`Conv2DLayer(..., flip_filters=False)`",
    "lasagne.theano_extensions.conv.conv1d_mc0": "`Conv1DLayer`, or `symc.tensor.nnet.conv2d` with an axis of one row",
    "lasagne.theano_extensions.padding.pad": "`PadLayer`, or `symc.tensor.set_subtensor` into zeros",
    "theano.tensor.opt.register_canonicalize": "accepted, has no effect: symc has rules of its own",
    "theano.gof.local_optimizer": "accepted, has no effect: symc has rules of its own",
    "theano.compile.ViewOp": "`symc.OpFromGraph(..., grad_overrides=...)`",
    "theano.config.optimizer": "`symc.config.mode`: `fast_run`, `fast_compile` or `no_rewrite`",
}
"""Remarks on names that are served under their old names alone: what to write instead."""


def advice(name: str) -> str:
    """The advice for a dotted name, its own or that of the module it is in; empty if there is none."""
    while name:
        found = MISSING.get(name)
        if found is not None:
            return found
        name = name.rpartition(".")[0]
    return ""
