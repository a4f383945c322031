"""Values that are compared with their own maximum or minimum, and that compilers might round in two ways.

The position of a maximum, and the gradient of one, compare each element with the maximum: the element is computed once
for the maximum and again for the comparison. Compilers contract a product and a sum to one operation that rounds once,
unless something else reads the product as well. Where that is so in one of the two loops only, no element equals the
maximum. Such elements are stored, so that both loops read the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.fusion.groups import body_of, source_of
from symc.graph import Apply, Variable
from symc.graph.dtypes import is_float
from symc.graph.op import Pointwise, Reduction

__all__ = ["compared_again"]

_COMPARISONS = frozenset({"eq", "ne", "ge", "gt", "le", "lt"})


def compared_again(order: Sequence[Apply], outputs: Sequence[Variable]) -> list[Variable]:
    """The values of a graph, in topological order, that must be stored for this reason."""
    values = [v for node in order if (v := _compared_with_extreme(node)) is not None]
    if not values:
        return []
    readers: dict[Variable, int] = dict.fromkeys(outputs, 1)
    for node in order:
        for v in {source_of(v, set()) for v in node.inputs}:
            readers[v] = readers.get(v, 0) + 1
    summands = {source_of(v, set()) for node in order if _operation(node) in ("add", "sub") for v in node.inputs}
    products = {v for v in summands if readers[v] > 1 and v.owner is not None and _operation(v.owner) == "mul"}
    return [v for v in dict.fromkeys(values) if _depends(v, products)]


def _operation(node: Apply) -> str:
    """The operation of an elementwise op on floats, as loops name it; "" of other ops."""
    if not isinstance(node.op.record.lower, Pointwise) or not node.inputs or not is_float(node.inputs[0].dtype):
        return ""
    return body_of(node.op, tuple(v.dtype for v in node.inputs)).op


def _compared_with_extreme(node: Apply) -> Variable | None:
    """The value that an op compares with its own maximum or minimum."""
    if len(node.inputs) != 2 or _operation(node) not in _COMPARISONS:
        return None
    a, b = (source_of(v, set()) for v in node.inputs)
    for value, other in ((a, b), (b, a)):
        owner = other.owner
        lower = None if owner is None else owner.op.record.lower
        if owner is not None and isinstance(lower, Reduction) and lower.combine in ("max", "min"):
            if source_of(owner.inputs[0], set()) is value:
                return value
    return None


def _depends(v: Variable, products: set[Variable]) -> bool:
    """Whether elementwise ops compute a value from one of these products."""
    stack, seen = [v], set[Variable]()
    while stack and products:
        u = source_of(stack.pop(), set())
        if u in products:
            return True
        if u not in seen and u.owner is not None and isinstance(u.owner.op.record.lower, Pointwise):
            seen.add(u)
            stack.extend(u.owner.inputs)
    return False
