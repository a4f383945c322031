"""``Body``: an inner graph that an op holds as an attribute, such as the step of a scan or the branch of an ifelse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from symc.graph.dims import Dim
from symc.graph.traversal import toposort
from symc.graph.variables import Constant, Variable

__all__ = ["Body", "Equality", "connections"]


class Equality(NamedTuple):
    """A check of every call: ``left == right`` (with ``least``: ``left >= right``), else the message ``text()``."""

    left: Dim
    right: Dim
    text: Callable[[], str]
    least: bool = False


class Body:
    """A graph with inputs of its own; bodies of the same structure are equal, even with different variables.

    Attributes
    ----------
    inputs : tuple of Variable
        Variables without owners. The graph reads nothing else except constants.
    outputs : tuple of Variable
    symbols : tuple
        Symbols for dims inside the body that equal integers computed inside it.
    values : tuple of Variable
        The integer variables that the symbols stand for.
    equalities : tuple of Equality
        Equalities that a call must check once these values are known.
    """

    __slots__ = ("_hash", "_key", "equalities", "inputs", "outputs", "symbols", "values")

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        symbols: Sequence[Any] = (),
        values: Sequence[Variable] = (),
        equalities: Sequence[Equality] = (),
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.symbols = tuple(symbols)
        self.values = tuple(values)
        self.equalities = tuple(equalities)
        self._key: Any = None
        self._hash = 0

    @property
    def graph(self) -> tuple[Variable, ...]:
        """All variables to compute: outputs, then values of symbols."""
        return (*self.outputs, *self.values)

    def with_graph(self, graph: Sequence[Variable]) -> Body:
        """Return a copy of the body that computes ``graph`` instead, variable by variable."""
        count = len(self.outputs)
        return Body(self.inputs, graph[:count], self.symbols, graph[count:], self.equalities)

    @property
    def key(self) -> Any:
        """The structural key: equal for bodies that compute the same from inputs of the same types."""
        if self._key is None:
            number: dict[Variable, Any] = {v: k for k, v in enumerate(self.inputs)}
            nodes = []

            def known(v: Variable) -> Any:
                if v in number:
                    return number[v]
                if isinstance(v, Constant):
                    return (v.data.dtype.str, v.data.shape, v.data.tobytes())
                return id(v)  # a shared variable is compared by identity

            for node in toposort(self.graph, frozenset(self.inputs)):
                nodes.append((node.op, *map(known, node.inputs)))
                for k, v in enumerate(node.outputs):
                    number[v] = (len(nodes), k)
            types = tuple((v.type.dtype, v.type.shape) for v in self.inputs)
            self._key = (types, tuple(nodes), tuple(map(known, self.graph)), self.symbols)
            self._hash = hash(self._key)
        return self._key

    def __eq__(self, other: object) -> bool:
        return self is other or isinstance(other, Body) and self.key == other.key

    def __hash__(self) -> int:
        _ = self.key
        return self._hash

    def __repr__(self) -> str:
        ins = ", ".join(map(repr, self.inputs))
        return f"<body ({ins}) -> ({', '.join(map(repr, self.outputs))})>"


def connections(body: Body) -> list[list[bool]]:
    """Per input of a body, whether each of its outputs depends on it."""
    none: frozenset[Variable] = frozenset()
    behind: dict[Variable, frozenset[Variable]] = {v: frozenset([v]) for v in body.inputs}
    for node in toposort(body.outputs, frozenset(body.inputs)):
        rule = node.op.record.connections
        inner = None if rule is None else rule(node.op, node.inputs)
        for k, out in enumerate(node.outputs):
            used = [v for j, v in enumerate(node.inputs) if inner is None or inner[j][k]]
            behind[out] = none.union(*[behind.get(v, none) for v in used])
    return [[v in behind.get(out, none) for out in body.outputs] for v in body.inputs]
