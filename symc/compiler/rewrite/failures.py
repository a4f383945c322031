"""What may end a call with an error: no replacement drops it.

An index that is out of range, a matrix that has no factorisation or a function of the user's that raises ends a call
in every mode, whether or not a rule knows the result without them, as in ``x[k] ** 0``.
"""

from __future__ import annotations

from collections.abc import Iterable

from symc.compiler.bodies import applications_inside
from symc.graph import Apply, Variable
from symc.graph.op import HostCall, Record

__all__ = ["Failures", "may_fail"]


class Failures:
    """What is known for the length of one run.

    ``records`` are those of all ops of the graph, if the caller knows them: where none of these may fail, no
    replacement drops anything.
    """

    def __init__(self, records: Iterable[Record] | None = None) -> None:
        self._behind: dict[Variable, bool] = {}
        self._possible = records is None or any(_fails(record) or record.bodies for record in records)

    def behind(self, v: Variable) -> bool:
        """May a call end with an error on the way to ``v``?"""
        pending = [v]
        while pending:
            top = pending[-1]
            if top in self._behind:
                pending.pop()
                continue
            node = top.owner
            if node is None or may_fail(node):
                self._behind[top] = node is not None
                continue
            missing = [u for u in node.inputs if u not in self._behind]
            if missing:
                pending += missing
            else:
                self._behind[top] = any(self._behind[u] for u in node.inputs)
        return self._behind[v]

    def lost(self, node: Apply, found: Variable) -> bool:
        """Would ``found``, put in the place of ``node``, drop anything on the way to it that may fail?"""
        if not self._possible or not any(self.behind(v) for v in node.inputs):
            return False
        kept: set[Variable] = set()
        pending = [found]
        while pending:  # what a rule makes is younger than the application that it replaces
            v = pending.pop()
            if v in kept:
                continue
            kept.add(v)
            if v.owner is not None and v.serial > node.outputs[0].serial:
                pending += v.owner.inputs
        causes = {_cause(v.owner) for v in kept if v.owner is not None}
        seen: set[Variable] = set()
        pending = list(node.inputs)
        while pending:
            v = pending.pop()
            if v in kept or v in seen or v.owner is None or not self.behind(v):
                continue
            if may_fail(v.owner) and (not v.owner.op.record.failure or _cause(v.owner) not in causes):
                return True
            seen.add(v)
            pending += v.owner.inputs
        return False


def _cause(node: Apply) -> tuple[str, Variable | None]:
    """The cause of the failure of an application, and the variable on which it depends."""
    return node.op.record.failure, node.inputs[0] if node.inputs else None


def may_fail(node: Apply) -> bool:
    """May a call end with an error in this application, its bodies included?"""
    record = node.op.record
    if _fails(record) or not record.bodies:
        return _fails(record)
    return any(_fails(inner.op.record) for inner in applications_inside(node.op))


def _fails(record: Record) -> bool:
    return record.fallible or isinstance(record.lower, HostCall)
