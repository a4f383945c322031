"""Patterns: graphs over wildcards, compiled to straight-line checks.

Wildcards are scalars, so a pattern of elementwise ops matches the same expression of tensors of any shape and dtype; a
constant in a pattern matches a constant of that value, broadcast or not.

A pattern with commutative ops is compiled to one list of checks per order of their operands, so matching needs no
search: every variant is run once, up to the first check that fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from itertools import product
from typing import Any

import numpy as np

from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import Op, Pointwise, Record
from symc.graph.types import TensorType
from symc.tensor.broadcasting import broadcast_like, expand

__all__ = [
    "Bindings",
    "Pattern",
    "Wildcard",
    "constant_value",
    "filled",
    "filled_like",
    "instantiate",
    "is_constant",
    "wildcards",
]

Bindings = dict[str, Variable]
"""The variable bound to each wildcard, by name."""


class Wildcard(Variable):
    """A placeholder that matches any variable, the same one at all occurrences; with ``constant`` only constants.

    The dtype is that in which the pattern is built, and is not matched: float64 keeps all digits of a pattern's
    numbers.
    """

    def __init__(self, name: str, dtype: str = "float64", constant: bool = False) -> None:
        super().__init__(TensorType(dtype, ()), None, 0, name)
        self.constant = constant


_SMALL = 64


def constant_value(v: Variable) -> Any:
    """The NumPy scalar that is known to equal every element of ``v``, or None."""
    while v.owner is not None:
        if not v.owner.op.record.layout_only:
            return None
        v = v.owner.inputs[0]
    if isinstance(v, Constant) and 1 <= v.data.size <= _SMALL:
        first = v.data.flat[0]
        if v.data.size == 1 or (v.data == first).all():
            return first
    return None


def is_constant(v: Variable, value: float) -> bool:
    """Whether every element of ``v`` is known to be ``value``."""
    found = constant_value(v)
    return found is not None and bool(found == value)


def filled(value: Any, dtype: str, shape: Sequence[dims.Dim]) -> Variable:
    """A constant of this dtype, broadcast to ``shape``."""
    one = Constant(np.asarray(value).astype(dtype), dtype)
    return expand(one, shape) if len(shape) else one


def filled_like(value: Any, like: Variable) -> Variable:
    """A constant of the dtype and shape of ``like``; unlike ``filled``, also in graphs with unknown shapes."""
    return broadcast_like(Constant(np.asarray(value).astype(like.dtype), like.dtype), like)


def wildcards(pattern: Variable) -> list[Wildcard]:
    """The wildcards of a pattern, each once."""
    found: dict[Variable, None] = {}
    stack = [pattern]
    while stack:
        v = stack.pop()
        if isinstance(v, Wildcard):
            found[v] = None
        elif v.owner is not None:
            stack.extend(v.owner.inputs)
    return list(found)  # type: ignore[arg-type]


# --- matching ---------------------------------------------------------------------------------------------------------

_OP, _VALUE, _SAME, _KNOWN = range(4)


class Pattern:
    """A compiled pattern.

    Attributes
    ----------
    op : Op
        The op at the pattern's root.
    """

    __slots__ = ("_variants", "op")

    def __init__(self, pattern: Variable) -> None:
        if pattern.owner is None:
            raise ValueError("a pattern must be an application")
        self.op: Op = pattern.owner.op
        self._variants = [_compiled(pattern, order) for order in _orders(pattern)]

    def matches(self, node: Apply) -> Sequence[Bindings]:
        """All matches of ``node``, an application of ``op``'s record."""
        if node.op is not self.op and node.op.attrs != self.op.attrs:
            return ()
        found = []
        for checks, names in self._variants:
            slots = _run(checks, node)
            if slots is not None:
                found.append({name: slots[k] for name, k in names})
        return found

    def beside(self, children: Sequence[Record | None]) -> Pattern | None:
        """The variants that may match operands of these records, None for an input or a constant; None without any."""
        variants = [variant for variant in self._variants if _fits(variant[0], children)]
        if not variants or len(variants) == len(self._variants):
            return self if variants else None
        narrowed = copy(self)
        narrowed._variants = variants
        return narrowed


def _orders(pattern: Variable) -> Iterator[dict[Apply, bool]]:
    """Iterate over all choices of commutative applications whose operands are exchanged."""
    found: dict[Apply, None] = {}
    stack = [pattern]
    while stack:
        v = stack.pop()
        if isinstance(v, Wildcard) or constant_value(v) is not None:
            continue
        node = v.owner
        if node is None:
            raise ValueError(f"a pattern is made of ops, wildcards and constants, got {v!r}")
        if node.op.record.commutative and len(node.inputs) == 2 and node.inputs[0] is not node.inputs[1]:
            found[node] = None
        stack.extend(node.inputs)
    for choice in product((False, True), repeat=len(found)):
        yield dict(zip(found, choice))


def _compiled(pattern: Variable, exchanged: dict[Apply, bool]) -> tuple[list[tuple], list[tuple[str, int]]]:
    """Compile a pattern to checks on numbered slots, of which slot 0 is the root's first input, and wildcard slots."""
    checks: list[tuple] = []
    names: dict[str, int] = {}
    queue: list[tuple[int, Variable]] = []
    count = 0

    def enter(node: Apply) -> None:
        nonlocal count
        inputs = node.inputs[::-1] if exchanged.get(node) else node.inputs
        for v in inputs:
            queue.append((count, v))
            count += 1

    assert pattern.owner is not None
    checks.append((_OP, -1, pattern.owner.op, len(pattern.owner.inputs)))
    enter(pattern.owner)
    while queue:
        slot, v = queue.pop(0)
        if isinstance(v, Wildcard):
            assert v.name is not None
            if v.name in names:
                checks.append((_SAME, slot, names[v.name]))
            else:
                names[v.name] = slot
                if v.constant:
                    checks.append((_KNOWN, slot))
        elif constant_value(v) is not None:
            checks.append((_VALUE, slot, constant_value(v)))
        else:
            assert v.owner is not None
            checks.append((_OP, slot, v.owner.op, len(v.owner.inputs)))
            enter(v.owner)
    return checks, list(names.items())


def _run(checks: Sequence[tuple], root: Apply) -> list[Variable] | None:
    """Run the checks; returns the slots if all hold, else None."""
    slots: list[Variable] = []
    for check in checks:
        kind, slot = check[0], check[1]
        if kind == _OP:
            node = root if slot < 0 else slots[slot].owner
            _, _, op, count = check
            if node is None or node.op.record is not op.record or len(node.inputs) != count:
                return None
            if node.op is not op and node.op.attrs != op.attrs:
                return None
            slots.extend(node.inputs)
        elif kind == _SAME:
            if slots[slot] is not slots[check[2]]:
                return None
        else:
            value = constant_value(slots[slot])
            if value is None or (kind == _VALUE and not value == check[2]):
                return None
    return slots


def _fits(checks: Sequence[tuple], children: Sequence[Record | None]) -> bool:
    if len(children) != checks[0][3]:
        return False
    for check in checks[1:]:
        kind, slot = check[0], check[1]
        if slot < len(children):
            made_by = children[slot]
            if kind == _OP and made_by is not check[2].record:
                return False
            if kind in (_VALUE, _KNOWN) and made_by is not None and not made_by.layout_only:
                return False
    return True


# --- building ---------------------------------------------------------------------------------------------------------


def instantiate(pattern: Variable, bound: Bindings, like: Variable) -> Variable:
    """Substitute the wildcards of a pattern; its constants take the dtype and shape of the operands beside them.

    Patterns are small, so this may recurse.
    """
    if isinstance(pattern, Wildcard):
        assert pattern.name is not None
        return bound[pattern.name]
    value = constant_value(pattern)
    if value is not None:
        return filled_like(np.asarray(value).astype(like.dtype), like)
    assert pattern.owner is not None
    op, inputs = pattern.owner.op, pattern.owner.inputs
    made = [None if constant_value(p) is not None else instantiate(p, bound, like) for p in inputs]
    peers = [v for v in made if v is not None]
    if isinstance(op.record.lower, Pointwise) and peers:
        # a condition is a bool beside numbers: constants follow the last operand, which is never a condition
        like = peers[-1]
    return op(*[instantiate(p, bound, like) if v is None else v for p, v in zip(inputs, made)])
