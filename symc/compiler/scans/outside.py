"""What leaves the loop before it: values that are the same in every step, and values of all steps computed at once."""

from __future__ import annotations

from symc.compiler.rewrite.failures import may_fail
from symc.compiler.scans.batching import at_all_steps, repeated
from symc.compiler.scans.budget import fits
from symc.compiler.scans.loop import Loop, is_arrangement, is_costly, is_free, sample_size
from symc.graph import Apply, Constant, Variable

__all__ = ["Outside", "hoist"]

GROWTH = 4
"""How many times larger than the operands and the result a value between them may be, if all steps are computed at
once: a loop stores it for one step only."""
SMALL = 1 << 12
"""The number of elements per step that may always be stored."""


class Outside:
    """Values of variables of a step outside of the loop.

    Attributes
    ----------
    fixed : dict
        Variables that are the same in every step, and their values.
    stacked : dict
        Other variables whose values do not depend on states, and all of their values, in the order of the sequences.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.fixed: dict[Variable, Variable] = dict(loop.constants)
        self.stacked: dict[Variable, Variable] = dict(loop.sequences)
        self.largest: dict[Variable, int] = {}
        order = loop.order
        self.branches = any(node.op.record.lazy for node in order)
        for node in order:
            self.enter(node)

    def enter(self, node: Apply) -> None:
        """Find the values of the outputs of a node whose inputs have been entered, if it may be moved."""
        record = node.op.record
        if may_fail(node) and not self._may_fail_before(node) or record.effect != "none":
            return
        places = [self._place(v) for v in node.inputs]
        if any(p is None for p in places):
            return
        inputs = [p[0] for p in places if p is not None]
        stacked = [p[1] for p in places if p is not None]
        if not any(stacked):
            if record.fallible:
                return  # there may be no steps
            same = all(a is b for a, b in zip(inputs, node.inputs))
            made = node.outputs if same else node.op.apply(inputs, node.outputs[0].location).outputs
            self.fixed.update(zip(node.outputs, made))
            return
        if self.loop.until is not None and not is_arrangement(node):
            return  # most of the steps may not be done
        found = at_all_steps(node, inputs, stacked, self.loop.count)
        if found is not None:
            self.stacked.update(zip(node.outputs, found))
            own = 0 if is_arrangement(node) else max(sample_size(v.type.shape) for v in node.outputs)
            for v in node.outputs:
                self.largest[v] = max(own, *(self.largest.get(u, 0) for u in node.inputs))

    def _may_fail_before(self, node: Apply) -> bool:
        """Whether a node may fail for all steps at once: the check of a number that no branch may do without.

        Index vectors of all steps would be a matrix, and often need no check.
        """
        record = node.op.record
        return record.fallible and record.batch is not None and not node.outputs[0].ndim and not self.branches

    def _place(self, v: Variable) -> tuple[Variable, bool] | None:
        if isinstance(v, Constant):
            return v, False
        if v in self.fixed:
            return self.fixed[v], False
        return (self.stacked[v], True) if v in self.stacked else None

    def whole(self, v: Variable) -> Variable | None:
        """All values of a variable, stacked, even if they are equal; None if they are not known outside."""
        if v in self.stacked:
            return self.stacked[v]
        value = v if isinstance(v, Constant) else self.fixed.get(v)
        return None if value is None else repeated(value, self.loop.count)

    def is_compact(self, v: Variable) -> bool:
        """Whether computing all steps at once stores no values much larger than the operands and the result."""
        largest = max([sample_size(v.type.shape), *(sample_size(u.type.shape) for u in self.loop.sequences)])
        return self.largest.get(v, 0) <= max(GROWTH * largest, SMALL)


def hoist(loop: Loop) -> dict[int, Variable]:
    """Move what does not depend on the states out of the loop.

    Returns
    -------
    dict
        Maps positions among the stacked results, which are removed from the loop, to their values.
    """
    outside = Outside(loop)
    leaving: dict[int, Variable] = {}
    for k, v in enumerate(loop.made):
        value = outside.whole(v)
        if value is not None and outside.is_compact(v):
            leaving[k] = value
    staying = [v for k, v in enumerate(loop.made) if k not in leaving]
    known: dict[Variable, Variable] = {}
    moved: list[Variable] = []
    pending = [*(s.after for s in loop.states), *staying, *([] if loop.until is None else [loop.until])]
    seen = set(pending)
    while pending:
        v = pending.pop()
        node = v.owner
        if node is None:
            continue
        if v in outside.fixed and not is_free(node):
            known[v] = loop.constant(outside.fixed[v], v.name)
            continue
        moves = is_costly(node) or node.op.record.fallible  # a check would keep the steps out of one kernel
        if v in outside.stacked and moves and outside.is_compact(v) and fits(loop, [*moved, v]):
            moved.append(v)
            known[v] = loop.sequence(outside.stacked[v], v.name)
            continue
        for u in node.inputs:
            if u not in seen:
                seen.add(u)
                pending.append(u)
    loop.made = staying
    loop.replace(known)
    return leaving
