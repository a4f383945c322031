"""``x.eval()``: the value of an expression, compiled behind the scenes."""

from __future__ import annotations

from typing import Any

from symc.errors import located
from symc.graph import Variable, graph_inputs, is_input
from symc.graph.composite import Composite
from symc.runtime.function import function

__all__ = ["attach", "compile_with"]

_compile: Any = function


def compile_with(compile: Any) -> None:
    """Let ``x.eval()`` compile by another function than ``symc.function``; None restores it."""
    global _compile
    _compile = compile or function


def _evaluate(self: Variable, inputs_to_values: dict[Any, Any] | None = None) -> Any:
    """Evaluate the variable for inputs given by variable or name; compiled once per set of inputs."""
    given = inputs_to_values or {}
    if not isinstance(given, dict):
        raise TypeError(f"eval: expected a dict from inputs to values, got {given!r}")
    by_name = {v.name: v.__dict__.get("_whole", v) for v in graph_inputs([self]) if is_input(v) and v.name}
    resolved = {}
    for key, value in given.items():
        v = by_name.get(key) if isinstance(key, str) else key
        if v is None:
            raise KeyError(f"eval: no input is called {key!r}; inputs are {sorted(by_name)}")
        if not isinstance(v, (Variable, Composite)):
            raise TypeError(located(f"eval: keys are inputs or their names, got {key!r}", [self]))
        resolved[v] = value
    inputs = sorted(resolved, key=_serials)
    key = tuple(map(_serials, inputs))
    cache = self.__dict__.setdefault("_compiled", {})
    if key not in cache:
        cache[key] = _compile(inputs, self, name="eval", on_unused_input="ignore")
    return cache[key](*[resolved[v] for v in inputs])


def _serials(v: Any) -> tuple[int, ...]:
    """What tells an input from others, and orders them: sparse matrices consist of several variables."""
    return tuple(part.serial for part in (v.parts if isinstance(v, Composite) else [v]))


def attach() -> None:
    """Give variables the method ``eval``."""
    Variable.eval = _evaluate  # type: ignore[attr-defined]
