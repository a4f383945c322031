"""Storage dtypes: float16 arrays are stored in memory, and computations use float32.

``computed_wide`` converts the float16 operands of every op to float32, and its results back to float16. These rules
define where values are rounded to float16:

* Between two ops that compute, a value stays float32: it is not rounded, whatever loops the ops end up in. The
*   results of a function therefore depend only on its expressions, and a sum within a composite does not overflow.
* The following are rounded: the results of a function and the new values of shared variables; the operands and results
* of ops with bodies (the states of a scan, the value of an ifelse) and of ops in Python; and the operand and the result
*   of a ``cast`` written by the user.
* Ops that only move elements, such as transposes, gathers and joins, move float16 elements unchanged; elements of a
*   computed value are moved before it is rounded, so that a single conversion suffices.

Later passes and the lowering do not handle float16; back ends convert its elements.
"""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Constant, Graph, Variable
from symc.graph.dtypes import HALF
from symc.graph.op import Axes, Op, Structured, View
from symc.tensor.conversion import CAST, cast

__all__ = ["computed_wide"]

WIDE = "float32"


def computed_wide(graph: Graph) -> Sequence[Variable]:
    """Rebuild the graph without arithmetic on float16; bodies inside it are processed separately."""
    if not any(v.type.dtype == HALF for node in graph.order for v in node.outputs) and not any(
        v.owner is None and v.type.dtype == HALF for node in graph.order for v in node.inputs
    ):
        return graph
    values = _Values()
    for node in graph.order:
        values.add(node)
    return [values.stored(v) for v in graph]


def _is_half(v: Variable) -> bool:
    return v.dtype == HALF


class _Values:
    """Maps variables of the old graph to the new one: in their own dtype, and float16 variables also in float32."""

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
        """Add the new applications for ``node``."""
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
    """The float16 inputs whose elements an op moves, if it only moves elements; else None."""
    record = node.op.record
    found = record.moves(node.op) if record.moves is not None else None
    if found is None and (record.layout_only or isinstance(record.lower, (Axes, View))):
        found = slice(0, 1)
    return None if found is None else [v for v in node.inputs[found] if _is_half(v)]
