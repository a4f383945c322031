"""Dtypes that are only storage: float16 arrays lie in memory, and float32 is what is computed.

``computed_wide`` gives every op on float16 operands float32 operands in their place, and converts its float16 results
back. These rules say where values are rounded to float16:

* Between two ops that compute, a value stays float32: it is not rounded, whatever loops the ops end up in. So the
  results of a function depend on its expressions alone, and a sum within a composite does not overflow.
* Rounded are the results of a function and the new values of shared variables; the operands and results of ops with
  bodies (the states of a scan, the value of an ifelse) and of Python's ops; and the operand and the result of a
  ``cast`` that the user wrote.
* Ops that only move elements, such as transposes, gathers and joins, move float16 elements as they are, and those of a
  computed value before it is rounded, so that one conversion serves both sides.

Later passes and the lowering know nothing of float16; back ends convert its elements.
"""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Constant, Variable, toposort
from symc.graph.dtypes import HALF
from symc.graph.op import Axes, Op, Structured, View
from symc.tensor.conversion import CAST, cast

__all__ = ["computed_wide"]

WIDE = "float32"


def computed_wide(graph: Sequence[Variable]) -> list[Variable]:
    """The graph with no arithmetic on float16; the bodies in it are graphs of their own."""
    order = toposort(graph)
    if not any(_is_half(v) for node in order for v in (*node.inputs, *node.outputs)):
        return list(graph)
    values = _Values()
    for node in order:
        values.add(node)
    return [values.stored(v) for v in graph]


def _is_half(v: Variable) -> bool:
    return v.dtype == HALF


class _Values:
    """Each variable of the old graph in the new one: as it is stored, and float16 ones in float32, made when needed."""

    def __init__(self) -> None:
        self.numbering = ValueNumbering()
        self.known: dict[Variable, Variable] = {}
        self.wide: dict[Variable, Variable] = {}

    def stored(self, v: Variable) -> Variable:
        """The variable in its own dtype."""
        if v not in self.known and v in self.wide:
            self.known[v] = self._converted(self.wide[v], HALF, v)
        return self.numbering.constant(v) if isinstance(v, Constant) else self.known.get(v, v)

    def computed(self, v: Variable) -> Variable:
        """The variable in the dtype in which it is computed."""
        if not _is_half(v):
            return self.stored(v)
        if v not in self.wide:
            self.wide[v] = self._converted(self.stored(v), WIDE, v)
        return self.wide[v]

    def _converted(self, v: Variable, dtype: str, original: Variable) -> Variable:
        if isinstance(v, Constant):
            return self.numbering.constant(cast(v, dtype))  # type: ignore[arg-type]
        return self.numbering.make(Op(CAST, dtype=dtype), [v], original.location, original.name)[0]

    def add(self, node: Apply) -> None:
        """The new applications for ``node``."""
        op, record = node.op, node.op.record
        if not any(map(_is_half, (*node.inputs, *node.outputs))):
            self._enter(node, op, [self.stored(v) for v in node.inputs])
        elif record is CAST or record.declared_dtypes or isinstance(record.lower, Structured) or record.bodies:
            self._enter(node, op, [self.stored(v) for v in node.inputs])
        elif (moved := _moved(node)) is not None and not any(v in self.wide for v in moved):
            self._enter(node, op, [self.stored(v) for v in node.inputs])
        else:
            op = Op(record, **{name: WIDE if value == HALF else value for name, value in op.attrs.items()})
            self._enter(node, op, [self.computed(v) for v in node.inputs])

    def _enter(self, node: Apply, op: Op, inputs: Sequence[Variable]) -> None:
        first = node.outputs[0]
        original = node if op is node.op else None
        for old, new in zip(node.outputs, self.numbering.make(op, inputs, first.location, first.name, original)):
            if old.dtype == new.dtype:
                self.known[old] = new
            elif (old.dtype, new.dtype) == (HALF, WIDE):
                self.wide[old] = new
            else:
                raise AssertionError(f"{node!r}: an output of dtype {old.dtype} became {new.dtype}")


def _moved(node: Apply) -> Sequence[Variable] | None:
    """The inputs whose elements an op moves, if it does no more than that."""
    record = node.op.record
    found = record.moves(node.op) if record.moves is not None else None
    if found is None and (record.layout_only or isinstance(record.lower, (Axes, View))):
        found = slice(0, 1)
    return None if found is None else [v for v in node.inputs[found] if _is_half(v)]
