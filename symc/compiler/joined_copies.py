"""Operands of joins that are stored elsewhere are copied by the loop that computes the other operands.

The elements of ``stack([x, x * y], -1)`` take turns in memory. One loop stores all of them if it computes all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from symc.compiler.bodies import with_ops
from symc.compiler.fusion.groups import is_one, joined_axis, unarranged
from symc.compiler.rewrite.ops import CAST
from symc.graph import Apply, Constant, Graph, Variable
from symc.graph.op import Indexed, Op, Pointwise

__all__ = ["copies_of_operands"]


def copies_of_operands(graph: Graph) -> Sequence[Variable]:
    """Copy operands of joins whose elements take turns, if another operand is computed by a loop for the join alone."""
    joins = [node for node in graph.order if _take_turns(node)]
    if not joins:
        return graph
    readers = Counter(v for node in graph.order for v in node.inputs)
    readers.update(graph)

    def is_computed(v: Variable) -> bool:
        source = unarranged(v)
        alone = readers[v] == 1 and readers[source] == 1
        return alone and source.owner is not None and isinstance(source.owner.op.record.lower, (Pointwise, Indexed))

    def copied(node: Apply) -> tuple[Op, Sequence[Variable]]:
        if node not in mixed:
            return node.op, node.inputs
        kept = [is_computed(v) or isinstance(v, Constant) for v in node.inputs]
        return node.op, [v if keep else Op(CAST, dtype=v.dtype)(v) for v, keep in zip(node.inputs, kept)]

    mixed = {node for node in joins if any(map(is_computed, node.inputs))}
    return with_ops(graph, copied) if mixed else graph


def _take_turns(node: Apply) -> bool:
    """Whether an op joins elements of many tensors one by one."""
    axis = joined_axis(node)
    return axis is not None and all(is_one(d) for v in node.inputs for d in v.type.shape[axis:])
