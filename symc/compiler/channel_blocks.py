"""Maps that convolutions hand on to each other stay in blocks of 32 channels, as bfloat16.

Under ``symc.config.cpu_precision = "bfloat16"``, convolutions round their operands to bfloat16, and matrix registers
multiply blocks of 32 channels. Images that stay in this form between layers need half the memory, and are neither
transposed nor rounded again in each layer. This pass finds the values of a network without gradients that can: the
results of convolutions whose channels and filters nearly fill blocks (``symc.compiler.padded_channels``), of depthwise
ones, of the elementwise ops, pooling and joins of channels that follow them, and of convolutions of a few channels
before them. What anything else reads is transposed back.

A value in blocks is rounded to bfloat16 if a convolution or pooling reads it, or if it has several readers: all of them
read the rounded value from memory. Of several values that an elementwise op reads, one comes from the convolution that
computes the op too; the others are rounded.

Where windows of pooling do not overlap, a convolution stores their maxima alone, as in ``symc.compiler.pooled_maps``;
also where values are rounded, which never decreases either.
"""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.padded_channels import cleared, fills_well, first_channels, whole, with_zeros
from symc.compiler.pooled_maps import maps_behind, readers_of
from symc.compiler.rewrite.failures import may_fail
from symc.compiler.rewrite.ops import DIMSHUFFLE, EXPAND, JOIN
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Graph, Variable, dims
from symc.graph.op import Op, Pointwise
from symc.tensor.axes import dimshuffle
from symc.tensor.bfloat16 import bits, from_bits, packed
from symc.tensor.broadcasting import expand
from symc.tensor.nnet.channel_blocks import CONV2D_BLOCKS, CONV2D_TO_BLOCKS, LANES, POOL_BLOCKS
from symc.tensor.nnet.conv_ops import BACKWARD_DATA, BACKWARD_WEIGHTS, CONV2D
from symc.tensor.reshaping import reshape_to
from symc.tensor.signal.pool import POOL

__all__ = ["in_channel_blocks"]

FEW_TERMS = 256
"""The most terms of a sum over channels and filter positions of a convolution of a few channels."""


def in_channel_blocks(graph: Graph) -> Sequence[Variable]:
    """The graph with values in blocks of channels, or ``graph`` itself if there are none."""
    if any(node.op.record in (BACKWARD_DATA, BACKWARD_WEIGHTS) for node in graph.order):
        return graph
    chosen = _chosen(graph)
    return _Rebuilt(graph, chosen).outputs() if chosen else graph


# --- choice -----------------------------------------------------------------------------------------------------------


def _convolves(node: Apply) -> bool:
    """Whether a convolution reads images in blocks."""
    if not _makes_maps(node):
        return False
    filters, channels = node.inputs[1].type.shape[:2]
    if node.op["groups"] == 1:
        return fills_well(channels, filters)  # type: ignore[arg-type]
    return _is_depthwise(node) and fills_well(filters)  # type: ignore[arg-type]


def _is_depthwise(node: Apply) -> bool:
    """Whether each channel has one filter of its own."""
    filters, channels = node.inputs[1].type.shape[:2]
    return bool(channels == 1 and filters == node.op["groups"] > 1)


def _begins(node: Apply) -> bool:
    """Whether a convolution reads images of a few channels."""
    if not _makes_maps(node) or node.op["groups"] != 1:
        return False
    filters, channels, rows, columns = node.inputs[1].type.shape
    few = channels < LANES // 2 and int(channels * rows * columns) <= FEW_TERMS  # type: ignore[operator]
    return bool(few) and fills_well(filters)  # type: ignore[arg-type]


def _makes_maps(node: Apply) -> bool:
    if node.op.record is not CONV2D or node.outputs[0].dtype != "float32":
        return False
    return all(type(n) is int and n > 0 for n in node.inputs[1].type.shape)


def _chosen(graph: Graph) -> set[Variable]:
    """The values in blocks: convolutions read them, or their operands are in blocks."""
    unlinked: set[Apply] = set()
    while True:
        blocked = _reachable(graph, unlinked)
        wanted = _wanted(graph, blocked)
        more = {
            node
            for node in graph.order
            if node.outputs[0] in blocked and node.op.record is CONV2D
            if node.outputs[0] not in wanted and (_begins(node) or node.inputs[0] not in blocked)
        }
        if not more:
            return blocked
        unlinked |= more


def _reachable(graph: Graph, without: set[Apply]) -> set[Variable]:
    """The values that can be in blocks if no convolution of ``without`` makes any."""
    blocked: set[Variable] = set()
    for node in graph.order:
        out, lower = node.outputs[0], node.op.record.lower
        if node.op.record is CONV2D:
            if node not in without and (_convolves(node) or _begins(node)):
                blocked.add(out)
        elif out.dtype != "float32" or out.ndim != 4:
            continue
        elif node.op.record is POOL:
            if node.inputs[0] in blocked:
                blocked.add(out)
        elif node.op.record is JOIN:
            if node.op["axis"] == 1 and all(v in blocked for v in node.inputs):
                if all(_fills_blocks(v) for v in node.inputs[:-1]):
                    blocked.add(out)
        elif isinstance(lower, Pointwise) and not may_fail(node):
            if any(v in blocked for v in node.inputs) and all(v in blocked or _repeats(v) for v in node.inputs):
                blocked.add(out)
    return blocked


def _fills_blocks(v: Variable) -> bool:
    channels = v.type.shape[1]
    return type(channels) is int and channels % LANES == 0


def _repeats(v: Variable) -> bool:
    """Whether a value is a broadcast one that follows no pixels, or pixels and no channels."""
    if v.owner is None or v.owner.op.record is not EXPAND or v.dtype != "float32":
        return False
    shape = v.owner.inputs[0].type.shape
    return len(shape) in (0, 4) and (not shape or shape[1] == 1 or shape[2:] == (1, 1))


def _wanted(graph: Graph, blocked: set[Variable]) -> set[Variable]:
    """The values in blocks that a convolution reads, directly or through other values in blocks."""
    found: set[Variable] = set()
    for node in reversed(graph.order):
        if node.outputs[0] in blocked and (_convolves(node) or node.op.record is not CONV2D):
            reads = node.inputs[:1] if node.op.record is CONV2D else node.inputs
            if node.op.record is CONV2D or node.outputs[0] in found:
                found.update(v for v in reads if v in blocked)
    return found


# --- the new graph ----------------------------------------------------------------------------------------------------


class _Rebuilt:
    """A graph with ``blocked`` values in blocks.

    ``plain`` maps old values to new ones, ``inside`` those in blocks to float32 in blocks, ``stored`` to their bits.
    """

    def __init__(self, graph: Graph, blocked: set[Variable]) -> None:
        self.graph, self.blocked = graph, blocked
        self.numbering = ValueNumbering()
        self.plain: dict[Variable, Variable] = {}
        self.inside: dict[Variable, Variable] = {}
        self.stored: dict[Variable, Variable] = {}
        self.readers = readers_of(graph)
        self.rounded = self._read_rounded()

    def _read_rounded(self) -> set[Variable]:
        """The values that are rounded."""
        found: set[Variable] = set()
        place = {v: k for k, node in enumerate(self.graph.order) for v in node.outputs}
        for node in self.graph.order:
            if node.outputs[0] not in self.blocked:
                continue
            if node.op.record in (CONV2D, POOL, JOIN):
                found.update(node.inputs)
            else:
                sums = [v for v in dict.fromkeys(node.inputs) if v in self.blocked and v not in found]
                found.update(sorted(sums, key=lambda v: place[v])[:-1])
        return {v for v in self.blocked if v in found or self.readers[v] > 1}

    def outputs(self) -> list[Variable]:
        """The results of the new graph."""
        for node in self.graph.order:
            first = node.outputs[0]
            if first in self.blocked:
                self._build(node)
                continue
            inputs = [self._outside(v) for v in node.inputs]
            made = self.numbering.make(node.op, inputs, first.location, first.name, node)
            self.plain.update(zip(node.outputs, made))
        return [self._outside(v) for v in self.graph]

    def _adopt(self, v: Variable, old: Variable) -> Variable:
        return self.numbering.adopt([v], location=old.location)[0]

    def _outside(self, v: Variable) -> Variable:
        """The new value of one that is not in blocks, or transposed back."""
        found = self.plain.get(v)
        if found is None:
            found = v
            if v in self.blocked:
                n, c, h, w = v.type.shape
                planes = reshape_to(dimshuffle(self._value(v), (0, 1, 4, 2, 3)), (n, whole(c), h, w))  # type: ignore[arg-type]
                found = self._adopt(first_channels(planes, c), v)  # type: ignore[arg-type]
            self.plain[v] = found
        return found

    def _value(self, v: Variable) -> Variable:
        """A value in blocks as float32, rounded if it is stored so."""
        if v in self.rounded or v not in self.inside:
            return self._adopt(from_bits(self._bits(v)), v)
        return self.inside[v]

    def _bits(self, v: Variable) -> Variable:
        """A value in blocks as bfloat16, or one that is not yet."""
        found = self.stored.get(v)
        if found is None:
            if v in self.inside:
                found = cleared(bits(packed(self.inside[v])), v.type.shape[1])  # type: ignore[arg-type]
            else:
                found = bits(packed(_transposed(self._outside(v))))
            found = self.stored[v] = self._adopt(found, v)
        return found

    def _build(self, node: Apply) -> None:
        out = node.outputs[0]
        pooled = self._pooled(node) if node.op.record is POOL else None
        if node.op.record is CONV2D:
            self.inside[out] = self._adopt(self._convolution(node), out)
        elif pooled is not None:
            self.inside[out] = pooled
            self.rounded.add(out)
        elif node.op.record is POOL:
            self.stored[out] = self._adopt(Op(POOL_BLOCKS, **node.op.attrs)(self._bits(node.inputs[0])), out)
        elif node.op.record is JOIN:
            self.stored[out] = self._adopt(Op(JOIN, axis=1)(*map(self._bits, node.inputs)), out)
        else:
            shape = _shape_in_blocks(out)
            operands = [self._value(v) if v in self.blocked else self._repeated(v, shape) for v in node.inputs]
            self.inside[out] = self._adopt(node.op(*operands), out)

    def _convolution(self, node: Apply, pool: tuple[int, int] = (1, 1)) -> Variable:
        images, filters, attrs = node.inputs[0], self._outside(node.inputs[1]), dict(node.op.attrs)
        count, channels = filters.type.shape[:2]
        assert type(count) is int and type(channels) is int
        filters = with_zeros(filters, 0, whole(count))
        begins = _begins(node)
        if attrs["groups"] > 1:
            channels = attrs["groups"] = whole(count)
        elif not begins:
            filters = with_zeros(filters, 1, whole(channels))
        op = Op(CONV2D_TO_BLOCKS if begins else CONV2D_BLOCKS, **attrs, pool=pool, channels=channels)
        return op(self._outside(images) if begins else self._bits(images), filters)

    def _pooled(self, node: Apply) -> Variable | None:
        """The maxima of windows of maps, computed by the convolution itself, with what lies between the two."""
        found = maps_behind(node, self.readers, self.blocked.__contains__)
        if found is None or found.convolution.op["groups"] != 1:
            return None
        return self._after_pooling(found.convolution, found.between, node)

    def _after_pooling(self, convolution: Apply, between: Sequence[Apply], pooling: Apply) -> Variable:
        out = pooling.outputs[0]
        found = self._adopt(self._convolution(convolution, pooling.op["window"]), convolution.outputs[0])
        shape = _shape_in_blocks(out)
        for node in reversed(between):
            operands = [found if v in self.blocked else self._repeated(v, shape) for v in node.inputs]
            found = self._adopt(node.op(*operands), node.outputs[0])
        return found

    def _repeated(self, v: Variable, shape: Sequence[dims.Dim]) -> Variable:
        """A broadcast value for those in blocks."""
        assert v.owner is not None
        x = self._outside(v.owner.inputs[0])
        if x.ndim == 4 and x.type.shape[1] == 1:
            x = dimshuffle(x, (0, 1, 2, 3, "x"))
        elif x.ndim == 4:
            x = _vectors(x)
        return self._adopt(expand(x, shape), v)


def _shape_in_blocks(v: Variable) -> tuple[dims.Dim, ...]:
    n, c, h, w = v.type.shape
    return (n, whole(c) // LANES, h, w, LANES)  # type: ignore[arg-type]


def _vectors(x: Variable) -> Variable:
    """One number per channel, ``(n, c, 1, 1)``, in blocks."""
    n, c = x.type.shape[:2]
    count, node = whole(c), x.owner  # type: ignore[arg-type]
    if node is not None and node.op.record is DIMSHUFFLE and tuple(node.op["order"]) == ("x", 0, "x", "x"):
        vector = with_zeros(node.inputs[0], 0, count)
        return dimshuffle(reshape_to(vector, (count // LANES, LANES)), ("x", 0, "x", "x", 1))
    return reshape_to(with_zeros(x, 1, count), (n, count // LANES, 1, 1, LANES))


def _transposed(x: Variable) -> Variable:
    """Images in blocks, as float32."""
    n, c, h, w = x.type.shape
    count = whole(c)  # type: ignore[arg-type]
    return dimshuffle(reshape_to(with_zeros(x, 1, count), (n, count // LANES, LANES, h, w)), (0, 1, 3, 4, 2))
