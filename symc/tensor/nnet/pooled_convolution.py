"""Convolutions of which only the maxima of windows are wanted.

The compiler introduces this op where a pooling alone reads the maps of a convolution; see
``symc.compiler.pooled_maps``.
"""

from __future__ import annotations

from symc.graph import Apply, Variable, dims
from symc.graph.op import LibraryCall, Op, record
from symc.graph.types import TensorType
from symc.tensor.nnet.conv_ops import CONV2D, forward_geometry, geometry_parameters
from symc.tensor.signal.pool import POOL, pooled_shape

__all__ = ["CONV2D_POOLED", "convolution_of", "pooling_of"]


def convolution_of(op: Op) -> Op:
    """The convolution of an op that has windows of maps as the attribute ``pool``."""
    return Op(CONV2D, **{k: v for k, v in op.attrs.items() if k not in ("pool", "channels")})


def pooling_of(op: Op) -> Op:
    """The pooling of its maps: the maxima of windows that do not overlap."""
    return Op(POOL, window=op["pool"], stride=op["pool"], pad=(0, 0), ignore_border=True, mode="max")


def _infer(op: Op, inputs: list[Variable]) -> TensorType:
    x = inputs[0]
    maps = Variable(TensorType(x.dtype, forward_geometry(op, inputs).maps), None, 0, None, x.location)
    return TensorType(x.dtype, pooled_shape(pooling_of(op), maps))


def _parameters(node: Apply) -> list[dims.Dim]:
    return [*geometry_parameters(forward_geometry)(node), *node.op["pool"]]


CONV2D_POOLED = record(
    "conv2d_pooled",
    infer=_infer,
    numpy=lambda op, x, w: pooling_of(op).evaluate([convolution_of(op).evaluate([x, w])[0]])[0],
    lower=LibraryCall("conv2d_pooled", _parameters),
)
"""``(images, filters)``, with the attributes of a convolution and ``pool``, the rows and columns of windows of maps.

The result has the maxima of windows. They do not overlap, and rows and columns that fill none are left out.
"""
