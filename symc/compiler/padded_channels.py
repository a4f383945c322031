"""Numbers of channels that fill no whole blocks: what the lanes behind the last channel hold.

Maps in blocks (``symc.compiler.channel_blocks``) have whole blocks of 32 channels. Filters get zeros for the lanes that
are no channels, and what convolutions leave there is replaced by zero, for infinity times zero is NaN. Elementwise ops
make of zeros one number that is the same for all those lanes. Only if it is finite may a convolution read it: times its
zero filters it is zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from symc.graph import Apply, Constant, Variable
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.broadcasting import expand
from symc.tensor.indices.subtensor import SLICE_AT
from symc.tensor.joining import JOIN
from symc.tensor.nnet.channel_blocks import LANES

__all__ = ["cleared", "fills_well", "first_channels", "number_behind", "whole", "with_zeros"]

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


def cleared(maps: Variable, channels: int) -> Variable:
    """Maps in blocks with zeros in the lanes behind the last channel."""
    if channels % LANES == 0:
        return maps
    present = np.arange(whole(channels)).reshape(1, -1, 1, 1, LANES) < channels
    shape = maps.type.shape
    return ew.switch(expand(Constant(present), shape), maps, expand(Constant(np.zeros((), "float32")), shape))


def number_behind(node: Apply, known: Mapping[Variable, float]) -> float | None:
    """What an elementwise op makes of the lanes behind the last channel, if that is a finite number.

    ``known`` has those of operands in blocks. Operands that are broadcast follow channels, or are a number.
    """
    operands: list[np.ndarray] = []
    for v in node.inputs:
        number = known[v] if v in known else _broadcast_number(v)
        if number is None:
            return None
        operands.append(np.asarray(number, v.dtype))
    with np.errstate(all="ignore"):
        found = float(node.op.evaluate(operands)[0])
    return found if np.isfinite(found) else None


def _broadcast_number(v: Variable) -> float | None:
    """What a broadcast operand is behind the last channel: zeros are put behind one that follows channels."""
    assert v.owner is not None
    base = v.owner.inputs[0]
    if isinstance(base, Constant) and base.data.size == 1:
        return float(base.data.reshape(()))
    shape: Sequence[object] = base.type.shape
    return 0.0 if len(shape) == 4 and shape[1] == v.type.shape[1] and shape[2:] == (1, 1) else None
