"""The table of layers: signatures, and the shapes that example layers infer."""

from __future__ import annotations

import inspect
from typing import Any

from lasagne_like import layers

from .markdown import code, first_line, signature, table

__all__ = ["EXAMPLES", "layer_classes", "page"]

SEQUENCES = (None, 8, 50)
PICTURES = (None, 3, 32, 32)
VOLUMES = (None, 3, 8, 16, 16)
TIMES = (None, 50, 8)
ROWS = (None, 10)
EXAMPLES: dict[str, tuple[Any, dict[str, Any]]] = {
    "BatchNormLayer": (PICTURES, {}),
    "BiasLayer": (PICTURES, {}),
    "ChannelScaleLayer": ([PICTURES, (None, 3)], {}),
    "ConcatLayer": ([ROWS, (None, 5)], {}),
    "Conv1DLayer": (SEQUENCES, {"num_filters": 16, "filter_size": 5, "stride": 2}),
    "Conv2DLayer": (PICTURES, {"num_filters": 16, "filter_size": 3, "pad": "same"}),
    "Conv3DLayer": (VOLUMES, {"num_filters": 16, "filter_size": 3, "pad": "same"}),
    "DenseLayer": (PICTURES, {"num_units": 10}),
    "DilatedConv2DLayer": (PICTURES, {"num_filters": 16, "filter_size": 3, "dilation": 2}),
    "DimshuffleLayer": (PICTURES, {"pattern": (0, 2, 3, 1)}),
    "DropoutLayer": (PICTURES, {"p": 0.5}),
    "ElemwiseSumLayer": ([ROWS, ROWS], {}),
    "EmbeddingLayer": (ROWS, {"input_size": 1000, "output_size": 64}),
    "FeaturePoolLayer": (ROWS, {"pool_size": 2}),
    "FeatureWTALayer": (PICTURES, {"pool_size": 3}),
    "FlattenLayer": (PICTURES, {}),
    "GaussianNoiseLayer": (ROWS, {"sigma": 0.1}),
    "GRULayer": (TIMES, {"num_units": 32}),
    "GlobalPoolLayer": (PICTURES, {}),
    "GroupNormLayer": ((None, 64, 8, 8), {"num_groups": 8}),
    "LSTMLayer": (TIMES, {"num_units": 32, "only_return_final": True}),
    "LocalResponseNormalization2DLayer": (PICTURES, {}),
    "LocallyConnected1DLayer": (SEQUENCES, {"num_filters": 16, "filter_size": 3}),
    "LocallyConnected2DLayer": (PICTURES, {"num_filters": 16, "filter_size": 3}),
    "LocallyConnected3DLayer": (VOLUMES, {"num_filters": 16, "filter_size": 3}),
    "MaxPool1DLayer": (SEQUENCES, {"pool_size": 2}),
    "MaxPool2DLayer": (PICTURES, {"pool_size": 2}),
    "MaxPool3DLayer": (VOLUMES, {"pool_size": 2}),
    "MultiHeadAttentionLayer": (TIMES, {"num_heads": 4}),
    "NINLayer": (PICTURES, {"num_units": 16}),
    "NonlinearityLayer": (ROWS, {}),
    "PadLayer": (PICTURES, {"width": 2}),
    "ParametricRectifierLayer": (PICTURES, {}),
    "Pool1DLayer": (SEQUENCES, {"pool_size": 3, "stride": 2}),
    "Pool2DLayer": (PICTURES, {"pool_size": 3, "stride": 2, "mode": "average_inc_pad"}),
    "Pool3DLayer": (VOLUMES, {"pool_size": 2, "mode": "average_inc_pad"}),
    "PositionalEmbeddingLayer": (TIMES, {}),
    "RMSNormLayer": (TIMES, {}),
    "RandomizedRectifierLayer": (ROWS, {}),
    "RecurrentLayer": (TIMES, {"num_units": 32}),
    "ReshapeLayer": (PICTURES, {"shape": ([0], 3, -1)}),
    "ScaleLayer": (PICTURES, {}),
    "SliceLayer": (SEQUENCES, {"indices": -1, "axis": 2}),
    "SpatialPyramidPoolingLayer": (PICTURES, {"pool_dims": [4, 2, 1]}),
    "StandardizationLayer": (PICTURES, {}),
    "TPSTransformerLayer": ([PICTURES, (None, 32)], {"downsample_factor": 2}),
    "TransformerLayer": ([PICTURES, (None, 6)], {"downsample_factor": 2}),
    "TransposedConv2DLayer": (PICTURES, {"num_filters": 16, "filter_size": 4, "stride": 2, "crop": 1}),
    "TransposedConv3DLayer": (VOLUMES, {"num_filters": 8, "filter_size": 2, "stride": 2}),
    "Upscale1DLayer": (SEQUENCES, {"scale_factor": 2}),
    "Upscale2DLayer": (PICTURES, {"scale_factor": 2}),
    "Upscale3DLayer": (VOLUMES, {"scale_factor": 2}),
}
"""For each layer, an input shape (or a list of them) and arguments. Others are tried on pictures without arguments."""

NO_EXAMPLE = {
    "BaseConvLayer",
    "ElemwiseMergeLayer",
    "ExpressionLayer",
    "BaseRecurrentLayer",
    "CustomRecurrentLayer",
    "InputLayer",
    "InverseLayer",
    "Layer",
    "MergeLayer",
}
"""Base classes, and layers whose shape is what their function, or another layer, makes of it."""


def layer_classes() -> dict[str, type]:
    """The public layers by their names, without aliases."""
    found = {}
    for name in layers.__all__:
        value = getattr(layers, name)
        if inspect.isclass(value) and issubclass(value, layers.Layer) and value.__name__ == name:
            found[name] = value
    return found


def example(name: str) -> tuple[str, str, str]:
    """Input shape, arguments and inferred output shape of an example."""
    if name in NO_EXAMPLE:
        return "", "", ""
    shape, arguments = EXAMPLES.get(name, (PICTURES, {}))
    incoming = [layers.InputLayer(s) for s in shape] if isinstance(shape, list) else layers.InputLayer(shape)
    cls = getattr(layers, name)
    several = isinstance(shape, list) and "incomings" not in inspect.signature(cls.__init__).parameters
    made = cls(*incoming, **arguments) if several else cls(incoming, **arguments)
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    shapes = ", ".join(map(str, shape)) if isinstance(shape, list) else str(shape)
    return code(shapes), code(given), code(str(made.output_shape))


def page() -> str:
    """The page of layers."""
    classes = layer_classes()
    rows = []
    for name, value in classes.items():
        shape, given, result = example(name)
        rows.append((code(name), first_line(value), shape, given, result))
    shapes = table(["layer", "", "input shape", "arguments", "output shape"], rows)
    left_out = ("self", "kwargs", "unknown")
    signatures = table(
        ["layer", "arguments"], [(code(name), code(signature(value, left_out))) for name, value in classes.items()]
    )
    functions = table(
        ["function", "result"],
        [
            (code(f"{name}({signature(getattr(layers, name), left_out)})"), first_line(getattr(layers, name)))
            for name in layers.__all__
            if name not in classes
        ],
    )
    return f"""# Table of layers

Generated from `lasagne_like.layers`. The docstrings of the layers specify their formulas and arguments: see the
[API reference](api/lasagne_like.layers.md). [Neural networks](../layers.md) is the guide.

## Shapes

The output shape is what the layer infers for the input shape and the arguments of the example. None is a size known
only at call time.

{shapes}
## Arguments

Every layer also takes `name`.

{signatures}
## Functions

{functions}"""
