"""Functions of values that consist of several tensors: ``symc.graph.composite.Composite``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from symc.errors import located
from symc.graph.composite import Composite
from symc.runtime.arguments import In, Out

__all__ = ["CompositeFunction", "compiled", "present"]


def _bare(v: Any) -> Any:
    return v.variable if isinstance(v, (In, Out)) else v


def _items(pairs: Any) -> list[tuple[Any, Any]]:
    return list(pairs.items()) if isinstance(pairs, Mapping) else [tuple(p) for p in pairs or ()]


def present(inputs: Any, outputs: Any, updates: Any, givens: Any) -> bool:
    """Whether any of a function's arguments is a composite value."""
    listed: list[Any] = list(inputs) if isinstance(inputs, (list, tuple)) else []
    listed += _pattern(outputs)[1]
    if any(isinstance(_bare(v), Composite) for v in listed):
        return True
    return any(
        isinstance(side, Composite)
        for pairs in (updates, givens)
        if isinstance(pairs, (Mapping, list, tuple))
        for pair in (pairs.items() if isinstance(pairs, Mapping) else pairs)
        if isinstance(pair, (list, tuple))
        for side in pair
    )


def compiled(build: Callable[..., Any], inputs: Any, outputs: Any, updates: Any, givens: Any, **options: Any) -> Any:
    """Compile a function of the parts, and wrap it as a function of the values."""
    listed = [_bare(v) if isinstance(_bare(v), Composite) else v for v in inputs]
    flat_inputs = [part for v in listed for part in (v.parts if isinstance(v, Composite) else [v])]
    given = {p: p for v in listed if isinstance(v, Composite) for p in v.parts}
    pattern, values = _pattern(outputs)
    values = [_bare(v) if isinstance(_bare(v), Composite) else v for v in values]
    flat = [part for v in values for part in (v.parts if isinstance(v, Composite) else [v])]
    unused = options.pop("on_unused_input", None)
    inner = build(
        flat_inputs, flat, _expanded(updates, "updates"), _expanded(givens, "givens"),
        on_unused_input="ignore" if given else unused, **options,
    )  # fmt: skip
    return CompositeFunction(inner, listed, values, pattern)


def _pattern(outputs: Any) -> tuple[Any, list[Any]]:
    if outputs is None:
        return None, []
    if isinstance(outputs, Mapping):
        return list(outputs), list(outputs.values())
    return ("list", list(outputs)) if isinstance(outputs, (list, tuple)) else ("single", [outputs])


def _expanded(pairs: Any, what: str) -> Any:
    """Pairs of parts in place of pairs of composite values."""
    if not pairs:
        return pairs
    found: list[tuple[Any, Any]] = []
    for target, value in _items(pairs):
        if not isinstance(target, Composite):
            found.append((target, value))
            continue
        if not isinstance(value, Composite):
            raise TypeError(located(f"function: {what} of {target!r}: expected such a value, got {value!r}"))
        found += zip(target.parts, target.conform(value) if hasattr(target, "conform") else value.parts)
    return found


class CompositeFunction:
    """A compiled function, some of whose arguments and results consist of several arrays.

    Attributes
    ----------
    inner : Function
        The function of the parts.
    """

    def __init__(self, inner: Any, inputs: Sequence[Any], outputs: Sequence[Any], pattern: Any) -> None:
        self.inner = inner
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.pattern = pattern

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the function with one argument per input."""
        if len(args) > len(self.inputs):
            raise TypeError(located(f"{self.inner.name}(): takes {len(self.inputs)} inputs, got {len(args)}"))
        flat: list[Any] = []
        for k, (spec, value) in enumerate(zip(self.inputs, args)):
            flat += spec.split(value, self._what(k, spec)) if isinstance(spec, Composite) else [value]
        for k, spec in enumerate(self.inputs[len(args) :], len(args)):
            if isinstance(spec, Composite):
                if spec.name not in named:
                    raise TypeError(located(f"{self._what(k, spec)} is missing"))
                arrays = spec.split(named.pop(spec.name), self._what(k, spec))
                named |= {str(p.name): a for p, a in zip(spec.parts, arrays)}
        results = iter(self.inner(*flat, **named))
        made = [
            v.join([next(results) for _ in v.parts]) if isinstance(v, Composite) else next(results)
            for v in self.outputs
        ]
        if self.pattern is None:
            return None
        if self.pattern == "single":
            return made[0]
        return made if self.pattern == "list" else dict(zip(self.pattern, made))

    def _what(self, k: int, spec: Any) -> str:
        return f"{self.inner.name}(): input {k} ({spec.name or 'unnamed'})"

    def __repr__(self) -> str:
        return f"<function of {self.inputs} and {len(self.outputs)} results>"


def _collected(v: Any, results: Iterator[Any]) -> Any:
    """One result, from the next arrays."""
    return v.join([next(results) for _ in v.parts]) if isinstance(v, Composite) else next(results)
