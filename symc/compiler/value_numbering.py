"""The value-numbering table: builds graphs in which equal applications are merged.

All graph passes create nodes here, so that common subexpressions are always merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_
from typing import Any

from symc.errors import SourceLocation
from symc.graph import Apply, Constant, Variable
from symc.graph.op import Op

__all__ = ["ValueNumbering"]

Simplify = Callable[[Apply], "Variable | None"]


class ValueNumbering:
    """A table from (op, inputs) to the application that computes it.

    Parameters
    ----------
    simplify : callable, optional
        Called with every new single-output application; returns a replacement of the same type and value, or None. It
        is applied again to its result until it returns None.

    Notes
    -----
    Nothing here recurses: nested replacements use an explicit stack.
    """

    def __init__(self, simplify: Simplify | None = None) -> None:
        self._table: dict[Any, tuple[Variable, ...]] = {}
        self._constants: dict[Any, Constant] = {}
        self._home: set[Variable] = set()
        self._simplify = simplify

    def constant(self, c: Constant) -> Constant:
        """The unique constant with this value (only for small constants; large arrays are not merged)."""
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

        ``original`` is an application of ``op`` that is reused if it has exactly these inputs.
        """
        key, found, better = self._look_up(op, inputs, location, name, original)
        if better is None:
            return found
        result = self.bring(better, {found[0]: found[0]}, location)
        return self._replaced(key, result, name)

    def rebuild(
        self,
        outputs: Sequence[Variable],
        order: Iterable[Apply],
        make: Callable[[Apply, Sequence[Variable]], Sequence[Variable]] | None = None,
    ) -> list[Variable]:
        """Rebuild a whole graph in this table: ``order`` are its applications, producers before consumers.

        ``make(node, inputs)`` returns the new outputs of an application; by default, the op applied to the new inputs.
        """
        known: dict[Variable, Variable] = {}
        find = known.get
        for node in order:
            inputs: list[Variable] = []
            for v in node.inputs:
                here = find(v)
                if here is None:
                    here = v
                    if v.owner is None:
                        here = known[v] = self.constant(v) if isinstance(v, Constant) else v
                inputs.append(here)
            first = node.outputs[0]
            if make is None:
                made: Sequence[Variable] = self.make(node.op, inputs, first.location, first.name, node)
            else:
                made = make(node, inputs)
            if made is not node.outputs:
                known.update(zip(node.outputs, made))
        return [self._here(v, known) for v in outputs]

    def adopt(
        self,
        outputs: Sequence[Variable],
        known: Mapping[Variable, Variable] | None = None,
        location: SourceLocation | None = None,
    ) -> list[Variable]:
        """Rebuild ``outputs`` in this table, with the variables in ``known`` replaced."""
        local: dict[Variable, Variable] = dict(known or {})
        return [self.bring(v, local, location) for v in outputs]

    def adopt_as_it_is(self, v: Variable) -> None:
        """Take a variable for one of this table: what is brought here reads it, and nothing below it is rebuilt."""
        self._home.add(v)

    def _look_up(
        self,
        op: Op,
        inputs: Sequence[Variable],
        location: SourceLocation | None,
        name: str | None,
        original: Apply | None,
    ) -> tuple[Any, tuple[Variable, ...], Variable | None]:
        """Look up an application: returns its key, its current entry, and a replacement, if any."""
        record = op.record
        numbers = sorted(map(id, inputs)) if record.commutative else map(id, inputs)
        key: Any = (op, *numbers)
        if record.effect == "ordered":  # ordered effects are never merged
            key = (key, object() if original is None else id(original))
        found = self._table.get(key)
        if found is not None:
            return key, found, None
        if original is not None and all(map(is_, inputs, original.inputs)):
            node, found = original, original.outputs
        else:
            node = op.apply(inputs, location)
            found = node.outputs
            found[0].name = name
        self._table[key] = found  # set first: a rule may examine the node while it is being simplified
        if self._simplify is not None and len(found) == 1:
            better = self._simplify(node)
            if better is not None and better is not found[0]:
                if better.type.dtype != found[0].type.dtype or better.ndim != found[0].ndim:
                    raise TypeError(f"a rewrite of {node!r} changed its type from {found[0].type} to {better.type}")
                return key, found, better
        self._home.update(found)
        return key, found, None

    def _replaced(self, key: Any, result: Variable, name: str | None) -> tuple[Variable, ...]:
        """Enter the final replacement of an application."""
        if result.name is None and result.owner is not None:
            result.name = name
        made = self._table[key] = (result,)
        self._home.add(result)
        return made

    def _here(self, v: Variable, local: Mapping[Variable, Variable]) -> Variable:
        found = local.get(v)
        if found is not None:
            return found
        return self.constant(v) if isinstance(v, Constant) else v

    def bring(
        self, output: Variable, known: dict[Variable, Variable], location: SourceLocation | None = None
    ) -> Variable:
        """Rebuild ``output`` in this table, after its dependencies; replacements use the same stack.

        What is rebuilt is added to ``known``, so that of graphs that are brought one after another, what they have in
        common is rebuilt once.
        """
        home = self._home
        stack: list[_Frame] = []

        def missing(v: Variable, local: Mapping[Variable, Variable]) -> bool:
            return v.owner is not None and v not in local and v not in home

        if missing(output, known):
            stack.append(_Frame(output.owner, known, location))  # type: ignore[arg-type]
        while stack:
            frame = stack[-1]
            node, local = frame.node, frame.known
            first = node.outputs[0]
            if frame.better is not None:  # it was rebuilt in the meantime
                made = self._replaced(frame.key, self._here(frame.better, frame.scope), first.name)
                local[first] = made[0]
                stack.pop()
                continue
            inputs, k = node.inputs, frame.position
            while k < len(inputs) and not missing(inputs[k], local):
                k += 1
            frame.position = k + 1
            if k < len(inputs):
                stack.append(_Frame(inputs[k].owner, local, frame.location))  # type: ignore[arg-type]
                continue
            here = [self._here(v, local) for v in inputs]
            where = frame.location or first.location
            frame.key, found, frame.better = self._look_up(node.op, here, where, first.name, node)
            if frame.better is None:
                local.update(zip(node.outputs, found))
                stack.pop()
                continue
            frame.scope = {found[0]: found[0]}
            if missing(frame.better, frame.scope):
                stack.append(_Frame(frame.better.owner, frame.scope, where))  # type: ignore[arg-type]
        return self._here(output, known)


class _Frame:
    """An application that is being added to the table.

    ``known`` maps the variables of its graph to those of the table, ``position`` is the next input to examine;
    ``better``, ``key`` and ``scope`` are set while a replacement is rebuilt.
    """

    __slots__ = ("better", "key", "known", "location", "node", "position", "scope")

    def __init__(self, node: Apply, known: dict[Variable, Variable], location: SourceLocation | None) -> None:
        self.node = node
        self.known = known
        self.location = location
        self.position = 0
        self.key: Any = None
        self.better: Variable | None = None
        self.scope: dict[Variable, Variable] = {}
