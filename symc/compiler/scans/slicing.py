"""Slices of elementwise results are taken of the operands, so that the results need no memory.

``(x + h)[:, :n]`` and ``(x + h)[:, n:]`` are sums of slices, which the loops that read them compute.
"""

from __future__ import annotations

from symc.compiler.bodies import uses_of
from symc.compiler.rewrite.ops import EXPAND, SLICE_AT
from symc.compiler.scans.loop import Loop
from symc.graph import Apply, Variable
from symc.graph.op import Op, Pointwise
from symc.tensor.basic import constant
from symc.tensor.broadcasting import expand

__all__ = ["slice_operands"]


def slice_operands(loop: Loop) -> bool:
    """Take slices of the operands of elementwise ops of which nothing but slices is read.

    Returns whether there were any.
    """
    found = False
    while True:
        order = loop.order
        readers = uses_of(order)
        results = set(loop.outputs)
        known: dict[Variable, Variable] = {}
        for node in order:
            (out, *_) = node.outputs
            slices = readers.get(out, [])
            if not isinstance(node.op.record.lower, Pointwise) or out in results or not slices:
                continue
            if all(s.op.record is SLICE_AT and s.inputs[0] is out for s in slices):
                known.update((s.outputs[0], node.op(*(_sliced(v, s) for v in node.inputs))) for s in slices)
        if not known:
            return found
        loop.replace(known)
        found = True


def _sliced(v: Variable, taken: Apply) -> Variable:
    """The same part of another tensor of that shape."""
    shape = taken.outputs[0].type.shape
    if v.owner is None or v.owner.op.record is not EXPAND:
        return taken.op(v, *taken.inputs[1:])
    source = v.owner.inputs[0]
    if not source.ndim:
        return expand(source, shape)
    grown = [a == 1 and not b == 1 for a, b in zip(source.type.shape, v.type.shape)]
    first = constant(0, dtype="int64")
    starts = [first if g else s for g, s in zip(grown, taken.inputs[1:])]
    own = tuple(1 if g else d for g, d in zip(grown, shape))
    steps = tuple(1 if g else s for g, s in zip(grown, taken.op["steps"]))
    return expand(Op(SLICE_AT, steps=steps, shape=own)(source, *starts), shape)
