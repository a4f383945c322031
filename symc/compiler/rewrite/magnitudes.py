"""Analysis of the magnitude of an expression before a logarithm of it is built.

Exponentials, sigmoids, softmaxes and similar ops have logarithms that neither overflow nor underflow, in the ``log`` of
their records. Arithmetic, reductions and ops that only move elements propagate this; where it would bring no benefit,
as in the sum of a number and an expression that cannot overflow, an expression counts as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.compiler.rewrite.algebra import moved_inputs
from symc.compiler.rewrite.engine import constant_value
from symc.compiler.rewrite.ops import (
    ADD,
    CAST,
    DISCONNECTED_GRAD,
    DOT,
    EXP,
    EXPM1,
    ISINF,
    MAX,
    MAXIMUM,
    MIN,
    MINIMUM,
    MUL,
    NEG,
    POW,
    PROD,
    RECIPROCAL,
    SQR,
    SQRT,
    SUB,
    SUM,
    SWITCH,
    TRUE_DIV,
)
from symc.graph import Apply, Variable
from symc.graph.dtypes import is_float
from symc.graph.op import Op, Record
from symc.tensor.elementwise import isinf, switch

__all__ = ["NUMBER", "Kind", "carries_logarithms", "finite_part", "has_logarithm", "is_shifted", "kind_of", "operands"]


class Kind(NamedTuple):
    """The properties of an expression known before its scaled form is built.

    ``strong``: it has a useful form; ``grows``: it may overflow; ``positive``: the form has no weight; ``negative``:
    the weight is -1.
    """

    strong: bool
    grows: bool
    positive: bool
    negative: bool = False


_UNKNOWN = Kind(False, False, False)
NUMBER = Kind(False, False, True)


def _kind_of_product(node: Apply, kinds: Sequence[Kind]) -> Kind:
    return Kind(any(k.strong for k in kinds), any(k.grows for k in kinds), all(k.positive for k in kinds))


def _kind_of_quotient(node: Apply, kinds: Sequence[Kind]) -> Kind:
    a, b = kinds
    return Kind(a.strong or b.strong, a.grows or b.strong, a.positive and b.positive)


def _kind_of_sum_of_two(node: Apply, kinds: Sequence[Kind]) -> Kind:
    # a sum with an expression that neither overflows nor underflows needs no other form
    grows = any(k.grows for k in kinds)
    if not (grows or all(k.strong for k in kinds)) or _are_shifted(node):
        return _UNKNOWN
    return Kind(True, grows, all(k.positive for k in kinds))


def _kind_of_difference(node: Apply, kinds: Sequence[Kind]) -> Kind:
    return Kind(True, True, False) if any(k.grows for k in kinds) and not _are_shifted(node) else _UNKNOWN


def _are_shifted(node: Apply) -> bool:
    return any(is_shifted(v, lambda top: top.op.record is MAXIMUM) for v in node.inputs)


def _kind_of_negative(node: Apply, kinds: Sequence[Kind]) -> Kind:
    a = kinds[0]
    return a._replace(positive=a.negative, negative=a.positive) if a.strong else _UNKNOWN


def _kind_of_expm1(node: Apply, kinds: Sequence[Kind]) -> Kind:
    return Kind(True, False, False, True) if kinds[0].strong and kinds[0].negative else _UNKNOWN


def _kind_of_power(node: Apply, kinds: Sequence[Kind]) -> Kind:
    a = kinds[0]
    return a._replace(negative=False) if a.strong and (a.positive or node.op.record is SQR) else _UNKNOWN


def _has_known_base(node: Apply) -> bool:
    base = constant_value(node.inputs[0])
    return base is not None and is_float(node.inputs[0].dtype) and bool(np.isfinite(base)) and base > 0


def _kind_of_known_power(node: Apply, kinds: Sequence[Kind]) -> Kind:
    base, exponent = kinds[0], constant_value(node.inputs[1])
    if exponent is None and (_has_known_base(node) or (base.strong and base.positive)):
        return Kind(True, True, True)
    if not base.strong or exponent is None or not np.isfinite(exponent):
        return _UNKNOWN
    if not base.positive and exponent != int(exponent):
        return _UNKNOWN
    return Kind(True, base.grows or exponent < 0, base.positive)


def _kind_of_reciprocal(node: Apply, kinds: Sequence[Kind]) -> Kind:
    return Kind(True, True, kinds[0].positive) if kinds[0].strong else _UNKNOWN


def _kind_of_sum(node: Apply, kinds: Sequence[Kind]) -> Kind:
    (x,), axes = node.inputs, node.op["axes"]
    empty = any(type(d) is int and d == 0 for d in (x.type.shape[k] for k in axes))
    if not kinds[0].strong or not axes or empty or x.dtype != node.outputs[0].dtype:
        return _UNKNOWN
    shifted = is_shifted(x, lambda top: top.op.record is MAX and top.op["axes"] == axes)
    return _UNKNOWN if shifted else kinds[0]._replace(negative=False)


def _kind_of_extreme_of_two(node: Apply, kinds: Sequence[Kind]) -> Kind:
    grows = any(k.grows for k in kinds)
    useful = (grows or all(k.strong for k in kinds)) and all(k.positive for k in kinds)
    return Kind(True, grows, True) if useful else _UNKNOWN


def _kind_of_extreme(node: Apply, kinds: Sequence[Kind]) -> Kind:
    return kinds[0] if kinds[0].strong and kinds[0].positive else _UNKNOWN


def _kind_of_matrix_product(node: Apply, kinds: Sequence[Kind]) -> Kind:
    grows = any(k.grows for k in kinds)
    shifted = any(is_shifted(v, lambda top: top.op.record is MAX) for v in node.inputs)
    if shifted or not (grows or all(k.strong for k in kinds)):
        return _UNKNOWN
    return Kind(True, grows, all(k.positive for k in kinds))


def _kind_of_cast(node: Apply, kinds: Sequence[Kind]) -> Kind:
    return NUMBER if kinds[0] == NUMBER else _UNKNOWN


def _kind_of_prod(node: Apply, kinds: Sequence[Kind]) -> Kind:
    same = node.inputs[0].dtype == node.outputs[0].dtype
    return kinds[0] if kinds[0].strong and kinds[0].positive and same else _UNKNOWN


_KINDS: dict[Record, Callable[[Apply, Sequence[Kind]], Kind]] = {
    MUL: _kind_of_product,
    TRUE_DIV: _kind_of_quotient,
    ADD: _kind_of_sum_of_two,
    SUB: _kind_of_difference,
    NEG: _kind_of_negative,
    SQR: _kind_of_power,
    SQRT: _kind_of_power,
    POW: _kind_of_known_power,
    RECIPROCAL: _kind_of_reciprocal,
    SUM: _kind_of_sum,
    PROD: _kind_of_prod,
    MAXIMUM: _kind_of_extreme_of_two,
    MINIMUM: _kind_of_extreme_of_two,
    MAX: _kind_of_extreme,
    MIN: _kind_of_extreme,
    DOT: _kind_of_matrix_product,
    CAST: _kind_of_cast,
    EXPM1: _kind_of_expm1,
}


def has_logarithm(node: Apply) -> bool:
    """Whether the node is a leaf of the analysis with a scaled form: an exponential or the like."""
    record = node.op.record
    return record.log is not None or record is EXPM1 or (record is POW and _has_known_base(node))


def carries_logarithms(op: Op) -> bool:
    """Whether scaled forms are propagated through this op."""
    return op.record in _KINDS and op.record is not EXPM1


def is_shifted(v: Variable, is_top: Callable[[Apply], bool]) -> bool:
    """Whether a factor of ``v`` is an exponential from whose argument a maximum was already subtracted.

    ``is_top`` identifies the maximum. It is searched for in sums, since rules move signs, up to a small depth. The
    shifts of scaled forms count too, whatever became of the maximum in them: forms would be made of forms for ever.
    """
    found, seen = [v], {v}
    for v in found:
        node = v.owner
        if node is None or len(found) > _REACH:
            continue
        if node.op.record is EXP:
            return _has_negative_term(node.inputs[0], is_top)
        for i in node.inputs if node.op.record in (MUL, NEG) else moved_inputs(node):
            if i not in seen:
                seen.add(i)
                found.append(i)
    return False


def _has_negative_term(x: Variable, is_top: Callable[[Apply], bool]) -> bool:
    found, seen = [(x, False)], {(x, False)}
    for v, negated in found:
        node = v.owner
        if node is None or len(found) > _REACH:
            continue
        if negated and (is_top(node) or is_finite_part(node)):
            return True
        record = node.op.record
        for k, i in enumerate(node.inputs if record in (ADD, SUB, NEG) else _behind(node)):
            term = (i, negated != (record is NEG or (record is SUB and k == 1)))
            if term not in seen:
                seen.add(term)
                found.append(term)
    return False


def finite_part(top: Variable) -> Variable:
    """``top``, or 0 where it is infinite: what a scaled form subtracts from exponents."""
    return switch(isinf(top), 0, top)


def is_finite_part(node: Apply) -> bool:
    """Whether the node is the result of ``finite_part``."""
    if node.op.record is not SWITCH:
        return False
    condition, _, top = node.inputs
    return condition.owner is not None and condition.owner.op.record is ISINF and condition.owner.inputs[0] is top


def _behind(node: Apply) -> Sequence[Variable]:
    return node.inputs if node.op.record is DISCONNECTED_GRAD else moved_inputs(node)


_REACH = 64
"""The number of variables that such a search examines."""


def _leaf_kind(v: Variable) -> Kind | None:
    """The kind of an expression that is a leaf of the analysis; None for others."""
    value = constant_value(v)
    if value is not None:
        return NUMBER if is_float(v.dtype) and np.isfinite(value) and value >= 0 else _UNKNOWN
    if v.owner is None or not is_float(v.dtype):
        return _UNKNOWN
    node = v.owner
    if node.op.record.log is not None:
        return Kind(True, not node.op.record.bounded, True)
    if node.op.record is CAST and node.inputs[0].dtype == "bool":
        return NUMBER
    return None if node.op.record in _KINDS or moved_inputs(node) else _UNKNOWN


def operands(node: Apply) -> Sequence[Variable]:
    return node.inputs if node.op.record in _KINDS else moved_inputs(node)


def kind_of(v: Variable, memo: dict[Any, Any]) -> Kind:
    """The kind of ``v``; the kinds of subexpressions are memoised."""
    stack = [v]
    while stack:
        x = stack[-1]
        if ("kind", x) in memo:
            stack.pop()
            continue
        found = _leaf_kind(x)
        if found is None:
            assert x.owner is not None
            parts = operands(x.owner)
            left = [i for i in parts if ("kind", i) not in memo]
            if left:
                stack.extend(left)
                continue
            kinds = [memo["kind", i] for i in parts]
            found = _KINDS.get(x.owner.op.record, _kind_of_product)(x.owner, kinds)
            found = found if found.strong or found == NUMBER else _UNKNOWN
        memo["kind", x] = found
        stack.pop()
    return memo["kind", v]
