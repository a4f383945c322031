"""Numbers of channels that fill no whole blocks: what the lanes behind the last channel hold.

Maps in blocks (``symc.compiler.channel_blocks``) have whole blocks of 32 channels. Filters get zeros for the lanes that
are no channels. What elementwise ops leave there is replaced by zeros where maps are stored: convolutions read nothing
else, and infinity times a filter of zeros would be NaN.
"""

from __future__ import annotations

import numpy as np

from symc.graph import Constant, Variable
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.broadcasting import expand
from symc.tensor.indices.slices import SLICE_AT
from symc.tensor.joining import JOIN
from symc.tensor.nnet.channel_blocks import LANES

__all__ = ["cleared", "fills_well", "first_channels", "whole", "with_zeros"]

MOST_WASTE = 2
"""The largest ratio of products with lanes that are no channels, or filters, to those without."""


def whole(channels: int) -> int:
    """The channels of as many blocks as hold ``channels``."""
    return -(-channels // LANES) * LANES


def fills_well(*counts: int) -> bool:
    """Whether most products of these numbers of channels and filters are none with lanes behind the last."""
    waste = 1.0
    for n in counts:
        waste *= whole(n) / n
    return waste <= MOST_WASTE


def with_zeros(x: Variable, axis: int, count: int) -> Variable:
    """Float32 values with as many zeros behind them that the axis has ``count`` elements."""
    given = x.type.shape[axis]
    if given == count:
        return x
    assert type(given) is int
    shape = [*x.type.shape[:axis], count - given, *x.type.shape[axis + 1 :]]
    return Op(JOIN, axis=axis)(x, expand(Constant(np.zeros((), "float32")), shape))


def first_channels(planes: Variable, channels: int) -> Variable:
    """Images without the planes behind the first ``channels``."""
    n, have, *rest = planes.type.shape
    if have == channels:
        return planes
    starts = [Constant(np.zeros((), "int64"))] * planes.ndim
    return Op(SLICE_AT, steps=(1,) * planes.ndim, shape=(n, channels, *rest))(planes, *starts)


def cleared(bits: Variable, channels: int) -> Variable:
    """Bits of maps in blocks with zeros in the lanes behind the last channel."""
    if channels % LANES == 0:
        return bits
    ones = np.where(np.arange(whole(channels)) < channels, 0xFFFF, 0).astype("uint16")
    return ew.and_(bits, expand(Constant(ones.reshape(1, -1, 1, 1, LANES)), bits.type.shape))
