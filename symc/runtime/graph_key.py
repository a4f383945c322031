"""A text for the expressions of a function: two functions with equal texts are compiled to the same program.

The text contains everything that the compiler's passes and their messages depend on: the ops with their attributes, the
types of all variables, constants, names, and the lines that built them. Variables are numbered in the order in which
they are found, and so are the symbols of dims, so that the text is the same in another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import sha256
from types import FunctionType
from typing import Any

import numpy as np
import sympy

from symc.compiler.passes import State
from symc.errors import SourceLocation
from symc.graph import Constant, SharedVariable, Variable, toposort
from symc.graph.body import Body
from symc.graph.op import RECORDS, Op
from symc.graph.types import TensorType

__all__ = ["GraphKey"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_OWN = "symc"
"""The package whose functions and classes are known by their names: what they do changes with its sources alone."""


class _NotDescribable(Exception):
    """Something in the expressions has no text, such as a function of the user's."""


class GraphKey:
    """The text of the expressions that a state of the compiler starts with.

    Attributes
    ----------
    text : str
    leaves : list of Variable
        The inputs and shared variables, by their numbers in the text.
    symbols : dict
        The numbers of the symbols of dims.
    """

    def __init__(self, state: State) -> None:
        self.leaves: list[Variable] = []
        self.symbols: dict[Any, int] = {}
        self._lines: dict[Any, int] = {}
        self._storages: dict[int, int] = {}
        self._ops: dict[int, Any] = {}
        self._constants: dict[int, Any] = {}
        roots = [*state.inputs, *[s for s, _ in state.updates]]
        numbers: dict[Variable, int] = {}
        graph = self._graph(state.outputs, roots, numbers)
        lengths = sorted((self.symbols[s], n) for s, n in state.lengths)
        settings = state.mode, self._value(state.target), state.folds, state.blocks, state.long, lengths
        rest = state.name, settings, [p for _, p in state.updates]
        dims = self._integers(numbers)
        lines = [self._line(line) for line in self._lines]
        self.text = repr((graph, rest, len(state.inputs), dims, lines))

    @classmethod
    def of(cls, state: State) -> GraphKey | None:
        """The text of a state's expressions; None if something in them has none, or they are nested too deeply."""
        try:
            return cls(state)
        except (_NotDescribable, RecursionError):
            return None

    def _graph(self, outputs: Iterable[Variable], roots: Iterable[Variable], numbers: dict[Variable, int]) -> Any:
        """A graph; ``numbers`` receives the number of every variable in it."""
        parts: list[Any] = []

        def number(v: Variable) -> int:
            if v not in numbers:
                numbers[v] = len(numbers)
                parts.append(self._leaf(v))
            return numbers[v]

        first = [number(v) for v in roots]
        outputs = list(outputs)
        for node in toposort(outputs, frozenset(numbers)):
            inputs = [number(v) for v in node.inputs]
            made = []
            for v in node.outputs:
                numbers[v] = len(numbers)
                made.append((self._type(v.type), v.name))
            parts.append((self._op(node.op), inputs, made, self._at(node.outputs[0].location)))
        return first, parts, [number(v) for v in outputs]

    def _leaf(self, v: Variable) -> Any:
        if isinstance(v, Constant):
            return "constant", self._type(v.type), self._data(v), v.weak, v.name, self._at(v.location)
        self.leaves.append(v)
        if isinstance(v, SharedVariable):
            storage = self._storages.setdefault(id(v.storage), len(self._storages))
            return "shared", self._type(v.type), storage, v.storage.shape, v.name, self._at(v.location)
        return "input", self._type(v.type), v.name, self._at(v.location)

    def _data(self, v: Constant) -> Any:
        if id(v.data) not in self._constants:  # equal numbers share their arrays
            self._constants[id(v.data)] = self._value(v.data)
        return self._constants[id(v.data)], None if v.exact is v.data else self._value(v.exact)

    def _integers(self, numbers: Mapping[Variable, int]) -> Any:
        """The integers whose values are dims that occur in the graph."""
        found = []
        for v, k in numbers.items():
            symbol = None if v.type.shape else v.__dict__.get("_dim")
            if symbol is not None and type(symbol) is not int and symbol.free_symbols <= self.symbols.keys():
                found.append((k, self._value(symbol)))
        return found

    def _op(self, op: Op) -> Any:
        found = self._ops.get(id(op))
        if found is None:
            name = op.record.name
            if RECORDS.get(name) is not op.record or not _is_own(op.record.infer):
                raise _NotDescribable(name)
            attrs = {} if op.record.carries_updates else op.attrs  # the function's updates are in the state
            found = self._ops[id(op)] = (name, [(key, self._value(a)) for key, a in attrs.items()])
        return found

    def _type(self, type_: TensorType) -> Any:
        return type_.dtype, [d if type(d) is int else self._value(d) for d in type_.shape]

    def _at(self, location: SourceLocation | None) -> int:
        key = None if location is None else (location, getattr(location, "of", None))
        return self._lines.setdefault(key, len(self._lines))

    def _line(self, key: Any) -> Any:
        """Where a variable was built, with the text of that line, which messages show."""
        return None if key is None else tuple(None if line is None else str(line) for line in key)

    def _value(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind in (tuple, list):
            return kind.__name__, [self._value(v) for v in value]
        if kind is dict:
            return "dict", [(self._value(k), self._value(v)) for k, v in value.items()]
        if isinstance(value, sympy.Basic):
            return self._dim(value)
        if isinstance(value, (np.ndarray, np.generic)):
            if value.dtype.hasobject:
                raise _NotDescribable(kind.__name__)
            data = np.ascontiguousarray(value)
            return (
                "array",
                value.dtype.str,
                value.shape,
                data.tobytes() if data.size <= 4 else sha256(data.data).hexdigest(),
            )
        if isinstance(value, np.dtype):
            return "dtype", value.str
        if isinstance(value, TensorType):
            return "type", self._type(value)
        if isinstance(value, SourceLocation):
            return "line", self._at(value)
        if isinstance(value, Op):
            return "op", self._op(value)
        if isinstance(value, Body):
            return self._body(value)
        return self._named(value)

    def _named(self, value: Any) -> Any:
        """A function of this program, or an object of a class of it whose parts have texts."""
        kind = value if isinstance(value, (type, FunctionType)) else type(value)
        name = kind.__module__, kind.__qualname__
        if not _is_own(kind) or "<locals>" in kind.__qualname__:
            raise _NotDescribable(".".join(name))
        if kind is value:
            return name
        if isinstance(value, Enum):
            return name, value.name
        if isinstance(value, tuple):
            return name, [self._value(v) for v in value]
        if is_dataclass(value):
            return name, [self._value(getattr(value, f.name)) for f in fields(value)]
        raise _NotDescribable(".".join(name))

    def _dim(self, dim: Any) -> Any:
        if dim.is_Symbol:
            return "symbol", self.symbols.setdefault(dim, len(self.symbols)), dim.name, bool(dim.is_nonnegative)
        if dim.is_Number:
            return str(dim)
        return type(dim).__name__, [self._dim(a) for a in dim.args]

    def _body(self, body: Body) -> Any:
        if body.equalities:
            raise _NotDescribable("a body of the compiler's")
        return "body", self._graph(body.graph, body.inputs, {}), self._value(body.symbols), len(body.outputs)


def _is_own(kind: Any) -> bool:
    return getattr(kind, "__module__", "").partition(".")[0] == _OWN
