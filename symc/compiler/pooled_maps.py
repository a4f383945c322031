"""Convolutions store the maxima of windows where nothing else is read of their maps.

The windows of a network's pooling often do not overlap. Minimal filtering computes whole tiles of results, whose maxima
can be taken before they reach memory; then a quarter of the maps is written and nothing is read back. What lies between
the two, such as a bias and a rectifier, follows the pooling then: the maximum of a function that never decreases is
that of the maximum. (An infinite bias is the exception: in its channel a sum that is infinite with the other sign makes
its window NaN only if it is the maximum.)

Networks that are trained read the maps again for their gradients, and stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from symc.compiler.rewrite.ops import ADD, EXPAND, MAXIMUM, MINIMUM
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Graph, Variable
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.broadcasting import expand
from symc.tensor.nnet.conv_ops import CONV2D
from symc.tensor.nnet.pooled_convolution import CONV2D_POOLED
from symc.tensor.signal.pool import POOL

__all__ = ["NEVER_DECREASING", "PooledMaps", "follows_channels", "maps_behind", "readers_of", "with_pooled_maps"]

NEVER_DECREASING = frozenset({ADD, MAXIMUM, MINIMUM, ew.relu.record})
"""Ops that never decrease with any operand."""

FILTERS = ((3, 3), (5, 5))
"""Rows and columns of filters whose minimal filtering makes tiles of whole windows."""
WINDOWS = ((2, 2), (1, 2), (2, 1), (4, 4))
LEAST_CHANNELS = 16
"""Of a group, and filters: minimal filtering takes no fewer."""


class PooledMaps(NamedTuple):
    """A convolution whose maps one pooling alone reads, through the elementwise ops ``between``, the last first."""

    convolution: Apply
    between: list[Apply]


def readers_of(graph: Graph) -> Counter[Variable]:
    """How many applications and results read each value."""
    return Counter([*(v for node in graph.order for v in dict.fromkeys(node.inputs)), *graph])


def follows_channels(v: Variable) -> bool:
    """Whether a value is a broadcast one, the same for all pixels of a channel."""
    if v.owner is None or v.owner.op.record is not EXPAND:
        return False
    shape = v.owner.inputs[0].type.shape
    return len(shape) == 0 or (len(shape) == 4 and shape[2:] == (1, 1))


def maps_behind(pooling: Apply, readers: Counter[Variable], changes: Callable[[Variable], bool]) -> PooledMaps | None:
    """What the windows of a pooling consist of, if they do not overlap and nothing else reads it.

    Of the operands of each elementwise op, ``changes`` holds for the one that follows the maps.
    """
    op = pooling.op
    if op["mode"] != "max" or op["window"] != op["stride"] or any(op["pad"]) or not op["ignore_border"]:
        return None
    between: list[Apply] = []
    v = pooling.inputs[0]
    while v.owner is not None and readers[v] == 1 and changes(v):
        if v.owner.op.record is CONV2D:
            return PooledMaps(v.owner, between)
        inner = [u for u in v.owner.inputs if changes(u)]
        others = [u for u in v.owner.inputs if not changes(u)]
        if len(inner) != 1 or v.owner.op.record not in NEVER_DECREASING or not all(map(follows_channels, others)):
            return None
        between.append(v.owner)
        v = inner[0]
    return None


def with_pooled_maps(graph: Graph) -> Sequence[Variable]:
    """The graph with such convolutions, or ``graph`` itself if there are none."""
    if POOL not in graph.records or CONV2D not in graph.records:
        return graph
    readers = readers_of(graph)
    windows: dict[Apply, tuple[int, int]] = {}  # of convolutions, what follows them, and the poolings
    poolings: set[Apply] = set()
    for node in graph.order:
        if node.op.record is not POOL or node.op["window"] not in WINDOWS:
            continue
        found = maps_behind(node, readers, lambda v: not follows_channels(v))
        if found is not None and _gains(found.convolution):
            poolings.add(node)
            windows.update(dict.fromkeys((found.convolution, *found.between), node.op["window"]))
    return _rebuilt(graph, windows, poolings) if poolings else graph


def _gains(convolution: Apply) -> bool:
    op, shape = convolution.op, convolution.inputs[1].type.shape
    if convolution.outputs[0].dtype != "float32" or op["stride"] != (1, 1) or op["dilation"] != (1, 1):
        return False
    return shape[2:] in FILTERS and all(type(n) is int and n >= LEAST_CHANNELS for n in shape[:2])


def _rebuilt(graph: Graph, windows: dict[Apply, tuple[int, int]], poolings: set[Apply]) -> Sequence[Variable]:
    numbering = ValueNumbering()

    def made(node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable]:
        first = node.outputs[0]
        if node in poolings:
            return numbering.adopt([inputs[0]], location=first.location)
        if node not in windows:
            return numbering.make(node.op, inputs, first.location, first.name, node)
        if node.op.record is CONV2D:
            return numbering.make(Op(CONV2D_POOLED, **node.op.attrs, pool=windows[node]), inputs, first.location)
        shape = next(v for v in inputs if not follows_channels(v)).type.shape
        whole = [expand(v.owner.inputs[0], shape) if v.owner and follows_channels(v) else v for v in inputs]
        return numbering.adopt([node.op(*whole)], location=first.location)

    return numbering.rebuild(graph, graph.order, made)
