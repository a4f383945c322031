"""Layers, and functions on networks of layers.

>>> from lasagne_like.layers import DenseLayer, InputLayer, dropout, get_output
>>> network = InputLayer((None, 784))
>>> network = DenseLayer(dropout(network, p=0.2), num_units=256)
>>> network.output_shape
(None, 256)
"""

from typing import TYPE_CHECKING, Any

from ..naming import missing_name
from .attention import (
    MultiHeadAttentionLayer,
    PositionalEmbeddingLayer,
)
from .augmentation import (
    RandomAffine,
    RandomBrightness,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomShift,
    RandomZoom,
    RescaleLayer,
)
from .base import (
    Layer,
    MergeLayer,
)
from .composed import (
    ChannelScaleLayer,
    bidirectional,
    depthwise_conv2d,
    separable_conv2d,
    squeeze_excite,
    stochastic_depth,
)
from .conv import (
    BaseConvLayer,
    Conv1DLayer,
    Conv2DLayer,
    DilatedConv2DLayer,
    conv_input_length,
    conv_output_length,
)
from .dense import (
    DenseLayer,
    NINLayer,
)
from .embedding import (
    EmbeddingLayer,
)
from .helper import (
    count_params,
    get_all_layers,
    get_all_param_values,
    get_all_params,
    get_output,
    get_output_shape,
    set_all_param_values,
    summary,
)
from .input import (
    InputLayer,
)
from .local import (
    LocallyConnected1DLayer,
    LocallyConnected2DLayer,
    LocallyConnected3DLayer,
)
from .merge import (
    ConcatLayer,
    ElemwiseMergeLayer,
    ElemwiseSumLayer,
    autocrop,
    autocrop_array_shapes,
    concat,
)
from .noise import (
    DropoutLayer,
    GaussianNoiseLayer,
    dropout,
    dropout_channels,
    dropout_locations,
    spatial_dropout,
)
from .normalization import (
    BatchNormLayer,
    LocalResponseNormalization2DLayer,
    StandardizationLayer,
    batch_norm,
    instance_norm,
    layer_norm,
)
from .norms import (
    GroupNormLayer,
    RMSNormLayer,
    weight_norm,
)
from .pool import (
    FeaturePoolLayer,
    GlobalPoolLayer,
    MaxPool1DLayer,
    MaxPool2DLayer,
    Pool1DLayer,
    Pool2DLayer,
    Upscale1DLayer,
    Upscale2DLayer,
    Upscale3DLayer,
    pool_output_length,
)
from .pyramid import (
    FeatureWTALayer,
    SpatialPyramidPoolingLayer,
)
from .recurrent import (
    BaseRecurrentLayer,
    CustomRecurrentLayer,
    Gate,
    GRULayer,
    LSTMLayer,
    RecurrentLayer,
)
from .shape import (
    DimshuffleLayer,
    FlattenLayer,
    PadLayer,
    ReshapeLayer,
    SliceLayer,
    dimshuffle,
    flatten,
    pad,
    reshape,
)
from .special import (
    BiasLayer,
    ExpressionLayer,
    InverseLayer,
    NonlinearityLayer,
    ParametricRectifierLayer,
    RandomizedRectifierLayer,
    ScaleLayer,
    prelu,
    rrelu,
    standardize,
)
from .transformer import (
    TPSTransformerLayer,
    TransformerLayer,
)
from .transposed import (
    Deconv2DLayer,
    TransposedConv2DLayer,
)
from .volumes import (
    Conv3DLayer,
    Deconv3DLayer,
    MaxPool3DLayer,
    Pool3DLayer,
    TransposedConv3DLayer,
)

__all__ = [
    "ChannelScaleLayer",
    "bidirectional",
    "depthwise_conv2d",
    "separable_conv2d",
    "squeeze_excite",
    "stochastic_depth",
    "MultiHeadAttentionLayer",
    "PositionalEmbeddingLayer",
    "GroupNormLayer",
    "RMSNormLayer",
    "weight_norm",
    "Conv3DLayer",
    "Deconv3DLayer",
    "MaxPool3DLayer",
    "Pool3DLayer",
    "TransposedConv3DLayer",
    "LocallyConnected1DLayer",
    "LocallyConnected2DLayer",
    "LocallyConnected3DLayer",
    "FeatureWTALayer",
    "SpatialPyramidPoolingLayer",
    "TPSTransformerLayer",
    "TransformerLayer",
    "Deconv2DLayer",
    "TransposedConv2DLayer",
    "Upscale3DLayer",
    "BaseConvLayer",
    "BaseRecurrentLayer",
    "BatchNormLayer",
    "BiasLayer",
    "ConcatLayer",
    "Conv1DLayer",
    "Conv2DLayer",
    "CustomRecurrentLayer",
    "DenseLayer",
    "DilatedConv2DLayer",
    "DimshuffleLayer",
    "DropoutLayer",
    "ElemwiseMergeLayer",
    "ElemwiseSumLayer",
    "EmbeddingLayer",
    "ExpressionLayer",
    "FeaturePoolLayer",
    "FlattenLayer",
    "GRULayer",
    "Gate",
    "GaussianNoiseLayer",
    "GlobalPoolLayer",
    "InputLayer",
    "InverseLayer",
    "LSTMLayer",
    "Layer",
    "LocalResponseNormalization2DLayer",
    "MaxPool1DLayer",
    "MaxPool2DLayer",
    "MergeLayer",
    "NINLayer",
    "NonlinearityLayer",
    "PadLayer",
    "ParametricRectifierLayer",
    "Pool1DLayer",
    "Pool2DLayer",
    "RandomAffine",
    "RandomBrightness",
    "RandomContrast",
    "RandomFlip",
    "RandomRotation",
    "RandomShift",
    "RandomZoom",
    "RandomizedRectifierLayer",
    "RecurrentLayer",
    "RescaleLayer",
    "ReshapeLayer",
    "ScaleLayer",
    "SliceLayer",
    "StandardizationLayer",
    "Upscale1DLayer",
    "Upscale2DLayer",
    "autocrop",
    "autocrop_array_shapes",
    "batch_norm",
    "concat",
    "conv_input_length",
    "conv_output_length",
    "count_params",
    "dimshuffle",
    "dropout",
    "dropout_channels",
    "dropout_locations",
    "flatten",
    "get_all_layers",
    "get_all_param_values",
    "get_all_params",
    "get_output",
    "get_output_shape",
    "instance_norm",
    "layer_norm",
    "pad",
    "pool_output_length",
    "prelu",
    "reshape",
    "rrelu",
    "set_all_param_values",
    "spatial_dropout",
    "standardize",
    "summary",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)
