"""Neural networks: activations, cross-entropies, normalisation, convolution. Available as ``T.nnet``."""

from __future__ import annotations

from symc.tensor.nnet import conv3d_cases, conv_cases, neighbours  # noqa: F401 (test cases of the records)
from symc.tensor.nnet import normalization as bn
from symc.tensor.nnet.activations import (
    elu,
    hard_sigmoid,
    leaky_relu,
    logsoftmax,
    logsumexp,
    relu,
    selu,
    sigmoid,
    softmax,
    softmax_graph,
    softplus,
    softsign,
    ultra_fast_sigmoid,
)
from symc.tensor.nnet.conv import (
    conv2d,
    conv2d_grad_wrt_inputs,
    conv2d_grad_wrt_weights,
    conv2d_transpose,
    separable_conv2d,
)
from symc.tensor.nnet.conv3d import conv3d, conv3d_grad_wrt_inputs, conv3d_grad_wrt_weights, separable_conv3d
from symc.tensor.nnet.conv_shapes import (
    get_conv_gradinputs_shape,
    get_conv_gradweights_shape,
    get_conv_output_shape,
    get_conv_shape_1axis,
)
from symc.tensor.nnet.local_response import local_response_normalization
from symc.tensor.nnet.losses import (
    binary_crossentropy,
    categorical_crossentropy,
    confusion_matrix,
    crossentropy_categorical_1hot,
    crossentropy_softmax_1hot,
    sigmoid_binary_crossentropy,
)
from symc.tensor.nnet.normalization import batch_normalization, batch_normalization_test, batch_normalization_train
from symc.tensor.nnet.upsampling import (
    bilinear_kernel_1D,
    bilinear_kernel_2D,
    bilinear_upsampling,
    frac_bilinear_upsampling,
)
from symc.tensor.nnet.with_bias import (
    causal_conv1d,
    crossentropy_softmax_1hot_with_bias,
    crossentropy_softmax_argmax_1hot_with_bias,
    crossentropy_softmax_max_and_argmax_1hot,
    crossentropy_softmax_max_and_argmax_1hot_with_bias,
    h_softmax,
    softmax_with_bias,
)

__all__ = [
    "batch_normalization",
    "batch_normalization_test",
    "batch_normalization_train",
    "bilinear_kernel_1D",
    "bilinear_kernel_2D",
    "bilinear_upsampling",
    "binary_crossentropy",
    "bn",
    "categorical_crossentropy",
    "causal_conv1d",
    "confusion_matrix",
    "conv2d",
    "conv2d_grad_wrt_inputs",
    "conv2d_grad_wrt_weights",
    "conv2d_transpose",
    "conv3d",
    "conv3d_grad_wrt_inputs",
    "conv3d_grad_wrt_weights",
    "crossentropy_categorical_1hot",
    "crossentropy_softmax_1hot",
    "crossentropy_softmax_1hot_with_bias",
    "crossentropy_softmax_argmax_1hot_with_bias",
    "crossentropy_softmax_max_and_argmax_1hot",
    "crossentropy_softmax_max_and_argmax_1hot_with_bias",
    "elu",
    "get_conv_gradinputs_shape",
    "get_conv_gradweights_shape",
    "get_conv_output_shape",
    "get_conv_shape_1axis",
    "h_softmax",
    "frac_bilinear_upsampling",
    "hard_sigmoid",
    "leaky_relu",
    "local_response_normalization",
    "logsoftmax",
    "logsumexp",
    "neighbours",
    "relu",
    "selu",
    "separable_conv2d",
    "separable_conv3d",
    "sigmoid",
    "sigmoid_binary_crossentropy",
    "softmax",
    "softmax_graph",
    "softmax_with_bias",
    "softplus",
    "softsign",
    "ultra_fast_sigmoid",
]
