"""The value-numbering table: builds graphs in which equal applications are one.

All passes from graph to graph make their new nodes here, so that common subexpressions merge as a matter of course.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symc.errors import SourceLocation
from symc.graph import Apply, Constant, Variable, toposort
from symc.graph.op import Op

__all__ = ["ValueNumbering"]

Simplify = Callable[[Apply], "Variable | None"]


class ValueNumbering:
    """A table from (op, inputs) to the application that computes it.

    Parameters
    ----------
    simplify : callable, optional
        Tried on every new single-output application: another variable of the same type and value that should stand in
        its place, or None. It is tried again on what it returned, until it has no more to say.
    """

    def __init__(self, simplify: Simplify | None = None) -> None:
        self._table: dict[Any, tuple[Variable, ...]] = {}
        self._constants: dict[Any, Constant] = {}
        self._home: dict[Variable, Variable] = {}
        self._simplify = simplify

    def constant(self, c: Constant) -> Constant:
        """The one constant with this value (small ones only; large arrays stay themselves)."""
        if c.data.size > 64:
            return c
        key = (c.data.dtype.str, c.data.shape, c.data.tobytes())
        return self._constants.setdefault(key, c)

    def make(
        self,
        op: Op,
        inputs: Sequence[Variable],
        location: SourceLocation | None,
        name: str | None = None,
        original: Apply | None = None,
    ) -> tuple[Variable, ...]:
        """The outputs of ``op`` on ``inputs``, which must be from this table.

        ``original`` is an application of ``op`` that may be taken as it is if it has these very inputs.
        """
        key = (op, *map(id, sorted(inputs, key=lambda v: v.serial) if op.record.commutative else inputs))
        found = self._table.get(key)
        if found is None:
            if original is not None and all(a is b for a, b in zip(inputs, original.inputs)):
                node, found = original, original.outputs
            else:
                node = op.apply(inputs, location)
                found = node.outputs
                found[0].name = name
            self._table[key] = found  # set first: a rule may look at the node while it is being simplified
            if self._simplify is not None and len(found) == 1:
                better = self._simplify(node)
                if better is not None and better is not found[0]:
                    if better.type.dtype != found[0].type.dtype or better.ndim != found[0].ndim:
                        raise TypeError(f"a rewrite of {node!r} changed its type from {found[0].type} to {better.type}")
                    specialised = self.adopt([better], location=location)[0]
                    if specialised.name is None and specialised.owner is not None:
                        specialised.name = name
                    found = self._table[key] = (specialised,)
            for v in found:
                self._home[v] = v
        return found

    def adopt(
        self,
        outputs: Sequence[Variable],
        known: Mapping[Variable, Variable] | None = None,
        location: SourceLocation | None = None,
    ) -> list[Variable]:
        """``outputs`` rebuilt from this table, with the variables in ``known`` replaced."""
        local: dict[Variable, Variable] = dict(known or {})

        def here(v: Variable) -> Variable:
            if v in local:
                return local[v]
            if isinstance(v, Constant):
                return self.constant(v)
            return v

        stop = frozenset(local) if not self._home else _Either(local, self._home)
        for node in toposort(outputs, stop):  # type: ignore[arg-type]
            first = node.outputs[0]
            made = self.make(node.op, [here(v) for v in node.inputs], location or first.location, first.name, node)
            local.update(zip(node.outputs, made))
        return [here(v) for v in outputs]


class _Either:
    """Membership in either of two mappings."""

    def __init__(self, a: Mapping[Any, Any], b: Mapping[Any, Any]) -> None:
        self.a, self.b = a, b

    def __contains__(self, key: object) -> bool:
        return key in self.a or key in self.b
