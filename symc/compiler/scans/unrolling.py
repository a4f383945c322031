"""Loops of a few steps are written out."""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.scans.batching import repeated
from symc.compiler.scans.loop import read
from symc.graph import Apply, Variable, clone_with
from symc.graph.op import Op
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import constant
from symc.tensor.indices.slices import SLICE_AT
from symc.tensor.joining import JOIN

__all__ = ["unrolled"]

FEW = 4
"""The largest number of steps that are written out."""


def unrolled(node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable] | None:
    """The outputs of a loop of a few steps, without the loop; None for others."""
    loop = read(node, inputs)
    if loop is None or type(loop.count) is not int or not 1 <= loop.count <= FEW:
        return None
    current = [s.start for s in loop.states]
    histories = [[v] for v in current]
    made: list[list[Variable]] = [[] for _ in loop.made]
    for t in range(loop.count):
        at = loop.count - 1 - t if loop.backwards else t
        known = dict(loop.constants)
        known |= {inner: _entry(outer, at) for inner, outer in loop.sequences.items()}
        known |= {s.inner: v for s, v in zip(loop.states, current)}
        results = clone_with(loop.outputs, known)
        current = results[: len(current)]
        for history, v in zip((*histories, *made), results):
            history.append(v)
    found = [_stacked(h) if s.keep else h[-1] for s, h in zip(loop.states, histories)]
    return found + [_stacked(h[::-1] if loop.backwards else h) for h in made]


def _entry(x: Variable, at: int) -> Variable:
    shape = x.type.shape
    starts = [constant(s, dtype="int64") for s in (at, *([0] * (x.ndim - 1)))]
    row = Op(SLICE_AT, steps=(1,) * x.ndim, shape=(1, *shape[1:]))(x, *starts)
    return dimshuffle(row, list(range(1, x.ndim)))


def _stacked(values: Sequence[Variable]) -> Variable:
    rows = [repeated(v, 1) if not v.ndim else dimshuffle(v, ["x", *range(v.ndim)]) for v in values]
    return rows[0] if len(rows) == 1 else Op(JOIN, axis=0)(*rows)
