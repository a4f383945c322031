"""Conditions of lazy branches under which applications are needed, and the checks that are made only then.

``ifelse(n > 0, x.max(), 0)`` must accept an empty ``x``: what an op in a branch requires of shapes is required only if
that branch is taken. Almost every call meets such requirements all the same, so code is first made as if they were
unconditional: axes that must be equal are one then. A call that does not meet them takes code that checks each of them
together with its conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from symc.compiler.bodies import applications_inside
from symc.graph import Apply, Variable, dims, toposort
from symc.graph.guards import Guard
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.symbolic_dims import as_dim

__all__ = ["Checks", "Conditional", "Conditions", "conditions_of", "has_branches"]

Conditions = tuple[tuple[Variable, bool], ...]
"""Conditions of branches, the outermost first, each with whether it must hold or must not."""


class Conditional(NamedTuple):
    """A guard of an op that only branches need."""

    guard: Guard
    conditions: Conditions


def has_branches(outputs: Iterable[Variable]) -> bool:
    """Whether a graph has lazy branches, also in the bodies of its ops."""
    order = toposort(outputs)
    return any(n.op.record.lazy for node in order for n in (node, *applications_inside(node.op)))


def conditions_of(outputs: Iterable[Variable], order: Sequence[Apply]) -> dict[Apply, Conditions]:
    """The conditions under which applications of a graph are needed, of those that are not always needed."""
    if not any(node.op.record.lazy for node in order):
        return {}
    wanted: dict[Variable, Conditions] = dict.fromkeys(outputs, ())
    found: dict[Apply, Conditions] = {}
    for node in reversed(order):
        uses = [wanted[v] for v in node.outputs if v in wanted]
        here = uses[0] if uses else ()
        for use in uses:
            here = _common(here, use)
        if here:
            found[node] = here
        chooses, count = node.op.record.lazy or node.op.record.chooses, len(node.outputs)
        for k, v in enumerate(node.inputs):
            use = (*here, (node.inputs[0], k <= count)) if chooses and k else here
            wanted[v] = _common(wanted[v], use) if v in wanted else use
    return found


def _common(a: Conditions, b: Conditions) -> Conditions:
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return a[:count]


class Checks:
    """The checks of what branches of one graph require.

    Attributes
    ----------
    found : list of Conditional
    flags : dict
        For a condition and whether it must hold, an integer that is 1 where that is so and else 0.
    """

    def __init__(self) -> None:
        self.found: list[Conditional] = []
        self.flags: dict[tuple[Variable, bool], Variable] = {}

    def before(self, op: Op, condition: Variable, value: Variable) -> Op:
        """The op of a lazy choice, with the symbols that must be known, and so checked, before its branches.

        ``value`` is what replaces its ``condition``.
        """
        keys = [(condition, holds) for holds in (True, False)]
        wanted = [key for key in keys if any(key in c.conditions for c in self.found)]
        for key in wanted:
            if key not in self.flags:
                self.flags[key] = ew.cast((ew.neq if key[1] else ew.eq)(value, 0), "int64")
        symbols = tuple(as_dim(self.flags[key]) for key in wanted)
        return Op(op.record, **{**op.attrs, "requires": symbols}) if symbols else op

    def guards(self) -> list[Guard]:
        """The guards, of dims that are 0 where the conditions do not hold."""
        made = []
        for guard, conditions in self.found:
            factor = dims.product(as_dim(self.flags[key]) for key in conditions)
            made.append(guard._replace(left=dims.mul(factor, guard.left), right=dims.mul(factor, guard.right)))
        return made
