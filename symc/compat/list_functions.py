"""Functions of lists: operations of lists run in Python, between compiled functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symc.compat.typed_list import SliceVariable, TypedListVariable
from symc.graph import Variable, graph_inputs
from symc.graph.composite import Composite

__all__ = ["ListFunction", "of_lists"]


def _bare(v: Any) -> Any:
    return getattr(v, "variable", v)


def _listed(outputs: Any) -> list[Any]:
    if isinstance(outputs, Mapping):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, (list, tuple)) else [] if outputs is None else [outputs]


def _leaves(expressions: Sequence[Any]) -> list[Any]:
    """The inputs of expressions of tensors, among which are values that come from lists."""
    parts = [p for e in expressions for p in getattr(e, "parts", (e,))]
    found = (v.__dict__.get("_of_list", (v,))[0] for v in graph_inputs(parts))
    return list({id(v): v for v in found}.values())


def of_lists(inputs: Any, outputs: Any) -> bool:
    """Whether a function has lists, or values that come from lists, among its inputs and outputs."""
    named = [_bare(v) for v in [*_listed(inputs), *_listed(outputs)]]
    if any(isinstance(v, (TypedListVariable, SliceVariable)) for v in named):
        return True
    expressions = [v for v in named if isinstance(v, (Variable, Composite))]
    return any("_of_list" in v.__dict__ for v in _leaves(expressions))


class ListFunction:
    """A function of which some arguments or results are lists.

    Parameters
    ----------
    build : callable
        ``build(inputs, outputs)`` compiles a function of tensors.
    inputs, outputs
        As those of ``theano.function``.
    """

    def __init__(self, build: Callable[..., Any], inputs: Any, outputs: Any) -> None:
        self.build = build
        self.inputs = [_bare(v) for v in inputs]
        self.keys = list(outputs) if isinstance(outputs, Mapping) else None
        self.single = not isinstance(outputs, (Mapping, list, tuple))
        self.outputs = [_bare(v) for v in _listed(outputs)]
        self._compiled: dict[int, tuple[list[Any], Any]] = {}
        for v in self.outputs:
            self._prepare(v)

    def _prepare(self, v: Any) -> None:
        """Compile what tensors a value needs, so that errors are found before a call."""
        if isinstance(v, TypedListVariable):
            if v.compute is None and v.elements is None and not any(v is given for given in self.inputs):
                raise TypeError(f"function: the list {v.name or v.type} is not among the inputs")
            for operand in v.operands if v.elements is None else v.elements:
                self._prepare(operand)
        elif isinstance(v, (Variable, Composite)) and not any(v is given for given in self.inputs):
            if "_of_list" in v.__dict__:
                for operand in v.__dict__["_of_list"][2]:
                    self._prepare(operand)
            elif id(v) not in self._compiled:
                leaves = [w for w in _leaves([v]) if self._is_given(w)]
                self._compiled[id(v)] = leaves, self.build(leaves, v)
                for w in leaves:
                    self._prepare(w)

    def _is_given(self, leaf: Any) -> bool:
        return "_of_list" in leaf.__dict__ or any(leaf is v for v in self.inputs)

    def __call__(self, *args: Any) -> Any:
        """Call the function with one argument per input.

        Raises
        ------
        TypeError
            For another number of arguments, or values that are not of an input's type.
        """
        if len(args) != len(self.inputs):
            raise TypeError(f"function: takes {len(self.inputs)} inputs, got {len(args)}")
        values = {id(v): _converted(v, a) for v, a in zip(self.inputs, args)}
        found = [self._value(v, values) for v in self.outputs]
        if self.keys is not None:
            return dict(zip(self.keys, found))
        return (found[0] if found else None) if self.single else found

    def _value(self, v: Any, values: dict[int, Any]) -> Any:
        if id(v) not in values:
            values[id(v)] = self._computed(v, values)
        return values[id(v)]

    def _computed(self, v: Any, values: dict[int, Any]) -> Any:
        if isinstance(v, slice):
            return slice(*(None if e is None else int(self._value(e, values)) for e in (v.start, v.stop, v.step)))
        if isinstance(v, TypedListVariable):
            if v.elements is not None:
                return [self._value(e, values) for e in v.elements]
            return v.compute(*(self._value(o, values) for o in v.operands))  # type: ignore[misc]
        if not isinstance(v, (Variable, Composite)):
            return v
        if "_of_list" in v.__dict__:
            _, function, operands = v.__dict__["_of_list"]
            found = function(*(self._value(o, values) for o in operands))
            return np.asarray(found, "int64") if isinstance(found, int) else found
        leaves, compiled = self._compiled[id(v)]
        return compiled(*(self._value(w, values) for w in leaves))


def _converted(v: Any, value: Any) -> Any:
    """An argument in the type of its input."""
    convert = getattr(getattr(v, "type", None), "filter", None)
    return value if convert is None else convert(value)
