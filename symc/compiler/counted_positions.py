"""Gathers at positions that follow from a counter by a few jumps and turns compute these positions themselves.

Such are the indices of a border that repeats or mirrors what is inside, of neighbours in a ring, of a reversed axis.
A back end then knows where they are regular, and reads contiguous memory there. Stored indices tell nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.bodies import with_ops
from symc.compiler.fusion.groups import unarranged
from symc.compiler.rewrite.algebra import record_of
from symc.compiler.rewrite.engine import constant_value
from symc.compiler.rewrite.ops import (
    ADD,
    ARANGE_OF,
    DIM_VALUE,
    GATHER,
    IOTA_AT,
    MAXIMUM,
    MINIMUM,
    MUL,
    NEG,
    RELU,
    SUB,
    SWITCH,
)
from symc.graph import Apply, Constant, Graph, Variable, clone_with, dims
from symc.graph.body import Body
from symc.graph.op import Axes, Op, Record
from symc.tensor import elementwise as ew
from symc.tensor.indices.counted import GATHER_COUNTED

__all__ = ["counted_gathers"]

MOST = 16
"""The largest number of ops by which the positions along one axis follow from a counter."""
LARGEST = 1 << 40
"""The largest number by which a counter is multiplied."""
SHORTEST = 24
"""The length from which on an axis is read in pieces."""
ROW = 8
"""The number of contiguous elements at each position, from which on these are rows."""
LINES: frozenset[Record] = frozenset(
    [ADD, SUB, NEG, MUL, MINIMUM, MAXIMUM, RELU, SWITCH, ew.clip.record, ew.mod.record]
)
COMPARISONS: frozenset[Record] = frozenset(f.record for f in (ew.lt.op, ew.le.op, ew.gt.op, ew.ge.op))


def counted_gathers(graph: Graph) -> Sequence[Variable]:
    """Let gathers compute positions that are pieces of lines."""
    if GATHER not in graph.records:
        return graph
    return with_ops(graph, lambda node: _counted(node) if node.op.record is GATHER else (node.op, node.inputs))


def _counted(node: Apply) -> tuple[Op, list[Variable]]:
    """The gather that computes its positions, and its inputs; the gather itself if these are anything else."""
    x, *indices = node.inputs
    numbers: dict[Variable, None] = {}
    if not _is_worthwhile(node) or not all(_is_counted(i, numbers) for i in indices):
        return node.op, list(node.inputs)
    own = {v: Variable(v.type) for v in numbers}
    made = Body(list(own.values()), clone_with(indices, own))
    attrs = {name: node.op[name] for name in ("axes", "place")}
    return Op(GATHER_COUNTED, made=made, shape=node.outputs[0].type.shape, **attrs), [x, *numbers]


def _is_worthwhile(node: Apply) -> bool:
    """Whether the elements at neighbouring positions, or at one position, are long rows."""
    x, out = node.inputs[0], node.outputs[0]
    behind = dims.product(x.type.shape[max(node.op["axes"]) + 1 :])
    last = out.type.shape[-1] if out.ndim else 1
    if type(behind) is int and behind == 1:
        return not (type(last) is int and last < SHORTEST)
    return not (type(behind) is int and behind < ROW)


def _is_counted(index: Variable, numbers: dict[Variable, None]) -> bool:
    """Whether an index follows from counters and from numbers, which are noted, by pieces of lines."""
    if index.dtype != "int64" or not index.ndim:
        return False
    left = MOST
    counts = False
    pending, met = [index], set()
    while pending:
        v = pending.pop()
        if v in met:
            continue
        met.add(v)
        record, node = record_of(v), v.owner
        if isinstance(v, Constant) and v.data.size == 1 or record is DIM_VALUE:
            continue
        if not v.ndim:
            numbers[v] = None
        elif record is IOTA_AT or record is ARANGE_OF:
            counts = True
            pending += node.inputs  # type: ignore[union-attr]
        elif node is not None and isinstance(node.op.record.lower, Axes):
            pending += node.inputs
        else:
            left -= 1
            if node is None or left < 0 or v.dtype not in ("int64", "bool") or not _is_line(node):
                return False
            pending += node.inputs
    return counts


def _is_line(node: Apply) -> bool:
    """Whether an op makes pieces of lines of such pieces."""
    record, operands = node.op.record, node.inputs
    if record is MUL:
        return any(constant_value(v) is not None and abs(constant_value(v)) < LARGEST for v in operands)
    if record is ew.mod.record:
        period = constant_value(operands[1])
        return _is_uniform(operands[1]) and not (period is not None and period < SHORTEST)
    if record in COMPARISONS:
        return all(v.dtype == "int64" for v in operands)
    return record in LINES


def _is_uniform(v: Variable) -> bool:
    """Whether all elements are one number."""
    source = unarranged(v)
    return not source.ndim or isinstance(source, Constant) and source.data.size == 1
