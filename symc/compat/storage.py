"""The parts of a compiled function that Theano exposes: storage of inputs and results, the program, the maker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.graph import SharedVariable, Variable
from symc.graph.cells import Cell
from symc.runtime.contents import Container, Maker
from symc.runtime.function import Function

__all__ = ["PARTS", "Program", "Result"]


class Result(Cell):
    """The value of one output after ``f.fn()``: ``data``, ``value`` or ``storage[0]``; None before."""

    data: Any = None

    @property
    def value(self) -> Any:
        """The value."""
        return self.data


class Program:
    """``f.fn``: ``f.fn()`` computes with the values in ``f.input_storage`` and writes those of ``f.output_storage``."""

    allow_gc = True
    """Set by old programs; the memory plan of the function does not depend on it."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self.results = [Result() for _ in function.outputs]

    def __call__(self, n_calls: int | None = None) -> None:
        for _ in range((n_calls or 1) - 1):
            self._function()
        found = self._function()
        values = list(found.values()) if isinstance(found, dict) else found
        values = values if isinstance(values, (list, tuple)) else [] if values is None else [values]
        for result, value in zip(self.results, values):
            result.data = value

    @property
    def storage_map(self) -> dict[Variable, Cell]:
        """The storage of inputs, outputs and shared variables by variable: ``storage_map[x][0]`` is a value."""
        function = self._function
        cells: dict[Variable, Cell] = {s: Container(function, s) for s in function.get_shared()}
        cells.update(zip(function.outputs, self.results))
        cells.update(zip(function.inputs, _inputs(function)))
        return cells

    @property
    def updated_vars(self) -> dict[SharedVariable, Variable]:
        """The shared variables that the function updates, with their next values."""
        return dict(self._function.updates)


def _inputs(self: Function) -> list[Container]:
    """The storage of each input, in order; to set it declares a default value."""
    return [Container(self, k) for k in range(len(self.specs))]


def _outputs(self: Function) -> list[Result]:
    """The storage of each output, which ``f.fn()`` writes."""
    return _program(self).results


def _program(self: Function) -> Program:
    """The program of the function, one object per function."""
    return self.__dict__.setdefault("_program_of_theano", Program(self))


def _defaults(self: Function) -> list[tuple[bool, bool, Any]]:
    """For each input: whether it is required, whether its default is restored after a call, and the default."""
    return [(s.value is None, s.value is not None and s.update is None, s.value) for s in self.specs]


def _copy(self: Function, *args: Any, **named: Any) -> Function:
    """``Function.copy`` with its arguments; as in Theano, the copy returns a list in any case."""
    made = _own_copy(self, *args, **named)
    if made.pattern is not None:
        made.pattern = (
            len(self.pattern) if isinstance(self.pattern, list) else 1 if self.pattern == "single" else self.pattern
        )
    return made


_own_copy: Any = Function.copy


def _made(name: str) -> property:
    return property(lambda self: getattr(self.function, name), doc=f"The function's ``{name}``.")


def _keys(self: Maker) -> Sequence[str] | None:
    """The names of the results of a function that returns a dict."""
    return self.function.pattern if isinstance(self.function.pattern, list) else None


PARTS: tuple[tuple[type, str, Any], ...] = (
    (Function, "fn", property(_program)),
    (Function, "copy", _copy),
    (Function, "input_storage", property(_inputs)),
    (Function, "output_storage", property(_outputs)),
    (Function, "defaults", property(_defaults)),
    (Function, "unpack_single", property(lambda self: self.pattern == "single")),
    (Function, "return_none", property(lambda self: self.pattern is None)),
    (Function, "output_keys", property(lambda self: _keys(self.maker))),
    (Variable, "variable", property(lambda self: self, doc="The variable: what Theano's ``f.outputs`` holds has it.")),
    (Maker, "outputs", _made("outputs")),
    (Maker, "expanded_inputs", _made("specs")),
    (Maker, "name", _made("name")),
    (Maker, "profile", _made("profile")),
    (Maker, "output_keys", property(_keys)),
    (Maker, "refeed", property(lambda self: [refed for _, refed, _ in _defaults(self.function)])),
    (Maker, "required", property(lambda self: [required for required, _, _ in _defaults(self.function)])),
)
"""Attributes of compiled functions, and of what they were made of, that Theano alone has: class, name, property."""
