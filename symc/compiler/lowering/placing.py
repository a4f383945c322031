"""Results that are joined afterwards are written to their places in the joined tensor at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from symc.compiler.fusion import FusionGroup, Unit, external_reads
from symc.compiler.lowering.sharing import viewed
from symc.graph import Apply, Variable, dims
from symc.graph.op import Loops
from symc.loops.expr import Expr, index
from symc.loops.ir import Accumulate, Alloc, Barrier, Call, For, If, Load, Ref, Statement, Step, Store

__all__ = ["Joins", "joined", "joins_of"]

Joins = dict[int, Apply]
"""Maps the positions of groups to the op that joins nothing but results of the group, which nothing else reads."""


def joins_of(units: Sequence[Unit], stored: set[Variable], outputs: Sequence[Variable]) -> Joins:
    """Find the groups whose results are joined along an axis of known lengths, and read by nothing else."""
    made = {v: k for k, unit in enumerate(units) if isinstance(unit, FusionGroup) for v in unit.stored}
    found: Joins = {}
    candidates = [unit for unit in units if not isinstance(unit, FusionGroup) and _axis(unit) is not None]
    if not candidates:
        return found
    readers: dict[Variable, int] = {viewed(v)[0]: 2 for v in outputs}
    for unit in units:
        for v in external_reads(unit, stored) if isinstance(unit, FusionGroup) else unit.inputs:
            base = viewed(v)[0]
            readers[base] = readers.get(base, 0) + 1
    for node in candidates:
        homes = {made.get(v) for v in node.inputs}
        alone = all(readers.get(v, 0) == 1 for v in node.inputs)
        if len(homes) == 1 and alone and (home := homes.pop()) is not None and home not in found:
            found[home] = node
    return found


def _axis(node: Apply) -> int | None:
    lower = node.op.record.lower
    if not isinstance(lower, Loops) or lower.side_by_side is None:
        return None
    axis = lower.side_by_side(node)
    known = all(type(dims.product(v.type.shape[axis:])) is int for v in (*node.inputs, *node.outputs))
    return axis if axis and known else None


def joined(node: Apply, steps: Sequence[Step], ref_of: Callable[[Variable], Ref]) -> list[Step] | None:
    """The steps that write the inputs of ``node`` to their places in its output; None if they write otherwise."""
    axis = _axis(node)
    assert axis is not None
    width = dims.product(node.outputs[0].type.shape[axis:])
    offset = 0
    found = list(steps)
    for v in node.inputs:
        length = dims.product(v.type.shape[axis:])
        old, moved = ref_of(v), 0
        for k, step in enumerate(found):
            for number, ref in enumerate(step.refs):
                if ref == old:
                    made = _moved(step, number, length, width, offset)
                    if made is None:
                        return None
                    found[k] = step = replace(made, refs=_put(made.refs, number, ref_of(node.outputs[0])))
                    moved += 1
        if moved != 1:
            return None
        offset += length
    return found


def _put(refs: tuple[Ref, ...], k: int, ref: Ref) -> tuple[Ref, ...]:
    return (*refs[:k], ref, *refs[k + 1 :])


def _moved(step: Step, number: int, length: int, width: int, offset: int) -> Step | None:
    """The step with its stores of rows of ``length`` elements into rows of ``width``, from ``offset`` on."""
    name = f"b{number}"
    problems: list[Statement] = []

    def place(at: Expr, simd: Sequence[str]) -> Expr | None:
        if at.op != "add" or at.args[1].op != "var" or at.args[1].value not in simd:
            return None
        row, column = at.args
        if row.op != "mul" or row.args[1].op != "const" or row.args[1].value != length:
            return None
        return row.args[0] * index(width) + (column + index(offset) if offset else column)

    def rewritten(body: Sequence[Statement], simd: tuple[str, ...]) -> tuple[Statement, ...]:
        made: list[Statement] = []
        for s in body:
            if isinstance(s, For):
                whole = s.extent.op == "const" and s.extent.value == length
                s = replace(s, body=rewritten(s.body, (*simd, s.index) if whole else simd))
            elif isinstance(s, If):
                s = replace(s, body=rewritten(s.body, simd))
            elif isinstance(s, Store) and s.buffer == name:
                to = place(s.index, simd)
                if to is None:
                    problems.append(s)
                else:
                    s = replace(s, index=to)
            elif isinstance(s, (Load, Accumulate)) and s.buffer == name or isinstance(s, Call) and name in s.buffers:
                problems.append(s)
            elif isinstance(s, (Alloc, Barrier)):
                pass
            made.append(s)
        return tuple(made)

    body = rewritten(step.kernel.body, ())
    return None if problems else replace(step, kernel=replace(step.kernel, body=body))
