"""Convolutions and pooling of images in blocks of 32 channels, as bfloat16.

Images ``(n, c, h, w)`` in blocks are ``(n, c / 32, h, w, 32)``, bits of bfloat16 in uint16, as the matrix registers of
AMX multiply them. The compiler introduces these ops where layers hand their maps on to each other; see
``symc.compiler.channel_blocks``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from symc.graph import Apply, Variable, dims
from symc.graph.bfloat16 import bits_of, values_of
from symc.graph.op import LibraryCall, Op, record
from symc.graph.types import TensorType
from symc.tensor.nnet.conv_ops import Geometry, forward_geometry, geometry, geometry_parameters
from symc.tensor.nnet.pooled_convolution import convolution_of, pooling_of
from symc.tensor.signal.pool import POOL, pool_parameters, pooled_shape

__all__ = ["CONV2D_BLOCKS", "CONV2D_TO_BLOCKS", "LANES", "POOL_BLOCKS"]

LANES = 32
"""The channels of a block."""


def _rounded(x: np.ndarray) -> np.ndarray:
    return values_of(bits_of(x.astype("float32")))


def _to_blocks(x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    return np.ascontiguousarray(x.reshape(n, c // LANES, LANES, h, w).transpose(0, 1, 3, 4, 2))


def _from_blocks(x: np.ndarray) -> np.ndarray:
    n, blocks, h, w, lanes = x.shape
    return x.transpose(0, 1, 4, 2, 3).reshape(n, blocks * lanes, h, w)


def _in_blocks(shape: Sequence[dims.Dim]) -> tuple[dims.Dim, ...]:
    n, c, h, w = shape
    return (n, dims.floordiv(c, LANES), h, w, LANES)


def _convolved(op: Op, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    found = convolution_of(op).evaluate([_rounded(x), _rounded(w)])[0]
    return _to_blocks(pooling_of(op).evaluate([found.astype("float32")])[0])


def _convolved_type(op: Op, maps: Sequence[dims.Dim], inputs: Sequence[Variable]) -> TensorType:
    stand_in = Variable(TensorType("float32", tuple(maps)), None, 0, None, inputs[0].location)
    pooled = maps if op["pool"] == (1, 1) else pooled_shape(pooling_of(op), stand_in)
    return TensorType("float32", _in_blocks(pooled))


def _conv_parameters(find: Callable[[Op, Sequence[Variable]], Geometry]) -> Callable[[Apply], list[dims.Dim]]:
    of_maps = geometry_parameters(find)
    return lambda node: [*of_maps(node), *node.op["pool"], node.op["channels"]]


def _images(op: Op, inputs: Sequence[Variable]) -> Geometry:
    """The geometry of a convolution of images in blocks."""
    n, blocks, h, w, lanes = inputs[0].type.shape
    return geometry(op, (n, dims.mul(blocks, lanes), h, w), inputs[1].type.shape, inputs)


CONV2D_BLOCKS = record(
    "conv2d_blocks",
    infer=lambda op, inputs: _convolved_type(op, _images(op, inputs).maps, inputs),
    numpy=lambda op, x, w: _convolved(op, _from_blocks(values_of(x)), w),
    lower=LibraryCall("conv2d_blocks", _conv_parameters(_images)),
)
"""``(images in blocks, filters)``, with the attributes of a convolution; the maps are float32 in blocks.

``pool`` is the number of rows and columns of windows of the maps, of which the result has the maxima: ``(1, 1)`` for
all pixels. Windows do not overlap, and rows and columns that fill none are left out. Filters have zeros for channels
from ``channels`` on, which images have for the sake of whole blocks.
"""

CONV2D_TO_BLOCKS = record(
    "conv2d_to_blocks",
    infer=lambda op, inputs: _convolved_type(op, forward_geometry(op, inputs).maps, inputs),
    numpy=_convolved,
    lower=LibraryCall("conv2d_to_blocks", _conv_parameters(forward_geometry)),
)
"""The same of float32 images that are not in blocks, of a few channels."""


def _blocks_as_planes(op: Op, x: Variable) -> Variable:
    """A stand-in of the shape ``(n, blocks, 32, h, w)``, of which pooling takes the last two axes."""
    n, blocks, h, w, lanes = x.type.shape
    return Variable(TensorType("float32", (n, blocks, lanes, h, w)), None, 0, None, x.location)


def _pooled_type(op: Op, inputs: Sequence[Variable]) -> TensorType:
    n, blocks, lanes, h, w = pooled_shape(op, _blocks_as_planes(op, inputs[0]))
    return TensorType("uint16", (n, blocks, h, w, lanes))


def _pool_parameters(node: Apply) -> list[dims.Dim]:
    found = pool_parameters(node.op, _blocks_as_planes(node.op, node.inputs[0]))
    n, blocks, *_ = node.inputs[0].type.shape
    return [dims.mul(n, blocks), *found[1:]]


def _pool_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    return _to_blocks(bits_of(Op(POOL, **op.attrs).evaluate([_from_blocks(values_of(x))])[0]))


POOL_BLOCKS = record(
    "pool2d_blocks", infer=_pooled_type, numpy=_pool_numpy, lower=LibraryCall("pool2d_blocks", _pool_parameters)
)
"""Pooling, with the attributes of ``pool2d``; the result is in blocks, as bfloat16."""
