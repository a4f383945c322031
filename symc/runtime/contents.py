"""The values that a compiled function holds: defaults and states of its inputs, and its shared variables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from symc.graph import Apply, SharedVariable, Variable, ancestors, toposort
from symc.graph.cells import Cell

__all__ = ["Container", "Contents", "FunctionGraph", "Maker"]


class FunctionGraph:
    """The expressions of a function, to be read."""

    def __init__(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)

    def toposort(self) -> list[Apply]:
        """The applications, producers before consumers, as they were written: before the compiler's rewrites."""
        return toposort(self.outputs)

    @property
    def apply_nodes(self) -> set[Apply]:
        """The applications."""
        return set(self.toposort())

    @property
    def variables(self) -> set[Variable]:
        """The variables."""
        return {*ancestors(self.outputs), *self.inputs}


class Maker:
    """What a function was made of, under Theano's names: ``fgraph``, ``inputs``, ``mode``."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.inputs = function.specs
        self.mode = function.mode

    @property
    def fgraph(self) -> FunctionGraph:
        """The expressions of outputs and updates."""
        function = self.function
        return FunctionGraph(function.inputs, [*function.outputs, *[value for _, value in function.updates]])


class Container(Cell):
    """The value of one input or shared variable of a function, as ``data``, which may be set."""

    def __init__(self, function: Any, key: Any) -> None:
        self._function, self._key = function, key

    @property
    def data(self) -> Any:
        """The value; None for an input without a default."""
        return Contents(self._function)[self._key]

    @data.setter
    def data(self, value: Any) -> None:
        Contents(self._function)[self._key] = value

    value = data

    @property
    def entry(self) -> Any:
        """The input, an ``In``, or the shared variable that has the value."""
        return Contents(self._function)._find(self._key)


class Contents:
    """A mapping from inputs and shared variables of a function, by variable, name or number, to values.

    With ``containers`` it maps to :class:`Container` objects instead, as Theano's ``f.container``.
    """

    def __init__(self, function: Any, containers: bool = False) -> None:
        self._function = function
        self._containers = containers

    def _find(self, key: Any) -> Any:
        """The entry of the function's inputs, or the shared variable, that a key means."""
        specs, shared = self._function.specs, self._function.get_shared()
        if isinstance(key, int) and not isinstance(key, bool):
            if not -len(specs) <= key < len(specs):
                raise IndexError(f"{self._function.name}: there are {len(specs)} inputs, got number {key}")
            return specs[key]
        if isinstance(key, Variable):
            found = [s for s in specs if s.variable is key] + [s for s in shared if s is key]
        else:
            found = [s for s in specs if s.name == key] + [s for s in shared if s.name == key and key is not None]
        if not found:
            raise KeyError(f"{self._function.name} has no input or shared variable {key!r}")
        if len(found) > 1:
            raise KeyError(f"{self._function.name} has several inputs or shared variables {key!r}: give the variable")
        return found[0]

    def __getitem__(self, key: Any) -> Any:
        found = self._find(key)
        if self._containers:
            return Container(self._function, key)
        return found.get_value() if isinstance(found, SharedVariable) else found.value

    def __setitem__(self, key: Any, value: Any) -> None:
        found = self._find(key)
        if isinstance(found, SharedVariable):
            found.set_value(value)
        else:
            found.value = found.convert(value, f"{self._function.name}: input {key!r}", self._function.allow_downcast)

    def __contains__(self, key: Any) -> bool:
        try:
            self._find(key)
        except (KeyError, IndexError):
            return False
        return True

    def __len__(self) -> int:
        return len(self._function.specs)

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))
