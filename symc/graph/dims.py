"""Dims: integers, known or symbolic.

A dim is an ``int`` or a sympy expression over non-negative integer symbols. Arithmetic on ints never touches sympy, and
symbolic results are memoised, so that shapes cost little even in large graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cmp_to_key, lru_cache, reduce
from typing import Any

import sympy

from symc.graph.dim_parts import (
    Dim,
    Shape,
    Symbolic,
    new_symbol,
    ordered,
    quotient,
    show,
    show_shape,
    subexpressions,
    symbols_of,
    terms_of,
)
from symc.graph.dim_values import COMPILED, compile, evaluate

__all__ = [
    "COMPILED", "Dim", "Shape", "Symbolic", "add", "ceildiv", "compile", "constant_part", "equal", "evaluate",
    "floordiv", "maximum", "minimum", "mul", "new_symbol", "ordered", "product", "quotient", "show",
    "show_shape", "sub", "substitute", "symbols_of",
]  # fmt: skip


_ORDER = cmp_to_key(sympy.Basic.compare)


def _plain(value: Any) -> Dim:
    return int(value) if isinstance(value, sympy.Integer) else value


def _sum(*summands: tuple[Any, Any]) -> Any:
    """The sum of ``factor * expression``, like terms collected; ``Add`` itself imports sympy's tensors on first use."""
    constant: Any = sympy.S.Zero
    factors: dict[Any, Any] = {}
    for factor, x in summands:
        for term in terms_of(x):
            if term.is_Number:
                constant += factor * term
            else:
                own, rest = term.as_coeff_Mul()
                factors[rest] = factors.get(rest, 0) + factor * own
    parts = [rest if factor == 1 else sympy.Mul(factor, rest) for rest, factor in factors.items() if factor != 0]
    parts.sort(key=_ORDER)
    if constant != 0 or not parts:
        parts.insert(0, constant)
    return parts[0] if len(parts) == 1 else sympy.Add._from_args(parts)


@lru_cache(maxsize=65536)
def _add(a: Dim, b: Dim) -> Dim:
    return _into_extremes(_plain(_sum((1, a), (1, b))))


@lru_cache(maxsize=65536)
def _mul(a: Dim, b: Dim) -> Dim:
    """Multiply, distributing over sums. The operands are already distributed, so one level is enough."""
    ours, theirs = terms_of(a), terms_of(b)
    if len(ours) == len(theirs) == 1:
        return _plain(sympy.Mul(a, b))
    return _into_extremes(_plain(_sum(*((1, sympy.Mul(x, y)) for x in ours for y in theirs))))


def _into_extremes(total: Dim) -> Dim:
    """Move a sum into ``max`` or ``min`` terms where that leaves fewer terms.

    ``n - min(1, n)`` becomes ``max(n - 1, 0)`` and ``max(n, 1) - 1`` the same, so that a repeatedly sliced length stays
    short.
    """
    if type(total) is int or not total.is_Add:
        return total
    found = [(term, *term.as_coeff_Mul()) for term in total.args]
    found = [(term, sign, e) for term, sign, e in found if isinstance(e, (sympy.Max, sympy.Min))]
    for k, (term, sign, extreme) in enumerate(found):
        for other, factor, second in found[:k]:
            together = _cancelled(extreme, second, sign == factor) if abs(sign) == abs(factor) else None
            if together is not None:
                rest = _sum((1, total), (-1, term), (-1, other))
                return _into_extremes(_plain(_sum((1, rest), (sign, together))))
        if sign in (1, -1):
            rest = _difference(total, term)
            parts = [_sum((1, rest), (sign, part)) for part in extreme.args]
            if rest.is_Number or any(part.is_Number for part in parts):
                largest = isinstance(extreme, sympy.Max) == (sign == 1)
                return reduce(maximum if largest else minimum, (_into_extremes(_plain(part)) for part in parts))
    return total


def _cancelled(a: Any, b: Any, added: bool) -> Any:
    """Return ``a + b`` or ``a - b`` if it has no max or min: ``max(p, q) + min(p, q)`` is ``p + q``; else None."""
    if len(a.args) != 2 or len(b.args) != 2 or (type(a) is type(b)) == added:
        return None
    (p, q), (r, s) = a.args, b.args
    for r_, s_ in ((r, s), (s, r)):
        if _difference(p, r_) == _difference(q, s_):
            return _sum((1, p), (1, s_)) if added else _difference(p, r_)
    return None


DEEP = 24
"""Depth of nested operations examined to find a sign; beyond it, the sign is unknown."""


@lru_cache(maxsize=65536)
def _nonnegative(x: Any) -> bool:
    """Whether ``x`` is non-negative by its structure alone: a query to sympy takes milliseconds."""
    return _seen_nonnegative(x, DEEP, 3)


def _seen_nonnegative(x: Any, depth: int, tries: int) -> bool:
    if x.is_Number:
        return bool(x >= 0)
    if x.is_Symbol:
        return bool(x.is_nonnegative)
    if depth == 0:
        return False
    if x.is_Add or x.is_Mul or isinstance(x, (sympy.floor, sympy.Min)):
        if all(_seen_nonnegative(part, depth - 1, tries) for part in x.args):
            return True
        return x.is_Add and tries > 0 and _bounded_nonnegative(x, depth - 1, tries - 1)
    if isinstance(x, sympy.Max):
        return any(_seen_nonnegative(part, depth - 1, tries) for part in x.args)
    return bool(x.is_Pow) and _seen_nonnegative(x.base, depth - 1, tries)


def _bounded_nonnegative(total: Any, depth: int, tries: int) -> bool:
    """Whether a sum is non-negative by bounds on its terms: ``-min(a, b) >= -a``, ``max(a, b) >= a``, and so on."""
    for term in total.args:
        factor, part = term.as_coeff_Mul()
        lower = isinstance(part, (sympy.Min, sympy.floor)) if factor < 0 else isinstance(part, sympy.Max)
        if lower:
            rest = _difference(total, term)
            if any(_seen_nonnegative(_sum((1, rest), (factor, bound)), depth, tries) for bound in part.args):
                return True
    return False


def _difference(a: Dim, b: Dim) -> Any:
    return _sum((1, a), (-1, b))


def _is_whole(term: Any) -> bool:
    """Whether a term is written without a quotient: ``max(0, 2 * n - 4) / 2`` is not.

    A product of dims without a denominator is an integer; to ask sympy for it takes milliseconds.
    """
    return bool(quotient(term)[1] == 1)


@lru_cache(maxsize=65536)
def _floordiv(a: Dim, b: Dim) -> Dim:
    if type(a) is int and maximum(b, a + 1 if a >= 0 else -a) == b:
        return 0 if a >= 0 else -1
    if isinstance(a, (sympy.Max, sympy.Min)):  # division keeps order
        parts = [floordiv(_plain(part), b) for part in a.args]
        if all(type(part) is int or not part.has(sympy.floor) for part in parts):
            return reduce(maximum if isinstance(a, sympy.Max) else minimum, parts)
    terms = [term / b for term in terms_of(a)]
    whole = [term for term in terms if _is_whole(term)]
    if len(whole) == len(terms):
        return _plain(_sum(*((1, term) for term in whole)))
    if type(b) is not int and b.is_Add:
        ratio = sympy.cancel(sympy.sympify(a) / b)
        unknowns = tuple(symbols_of(ratio))
        if unknowns and ratio.is_polynomial(*unknowns):
            if all(c.is_integer for c in sympy.Poly(ratio, *unknowns).coeffs()):
                return _plain(sympy.expand(ratio))
    rest = _sum(*((1, term) for term in terms if not _is_whole(term)))
    if rest.is_number:
        return _plain(_sum(*((1, term) for term in whole), (1, sympy.floor(rest))))
    return _sum(*((1, term) for term in whole), (1, sympy.floor(rest, evaluate=False)))


@lru_cache(maxsize=65536)
def _extreme(which: str, a: Dim, b: Dim) -> Dim:
    kind = sympy.Max if which == "max" else sympy.Min
    parts: list[Any] = []
    for new in [p for x in (a, b) for p in (x.args if isinstance(x, kind) else (sympy.sympify(x),))]:
        kept = []
        for old in parts:
            difference = _difference(old, new) if kind is sympy.Max else _difference(new, old)
            if _nonnegative(difference):
                break  # ``old`` dominates
            if not _nonnegative(_sum((-1, difference))):
                kept.append(old)
        else:
            parts = [*kept, new]
    if len(parts) == 1:
        return _plain(parts[0])
    # constructed directly: sympy's own constructor sorts and compares whole trees
    return _expression(kind, tuple(sorted(parts, key=_ORDER)))


@lru_cache(maxsize=65536)
def _expression(kind: Any, parts: tuple[Any, ...]) -> Any:
    made = sympy.Expr.__new__(kind, *parts)
    made._argset = frozenset(parts)
    return made


def add(a: Dim, b: Dim) -> Dim:
    """``a + b``."""
    return a + b if type(a) is int and type(b) is int else _add(a, b)


def mul(a: Dim, b: Dim) -> Dim:
    """``a * b``."""
    if type(a) is int:
        if type(b) is int:
            return a * b
        if a == 1:
            return b
    elif type(b) is int and b == 1:
        return a
    return _mul(a, b)


def sub(a: Dim, b: Dim) -> Dim:
    """``a - b``."""
    return a - b if type(a) is int and type(b) is int else _add(a, mul(-1, b))


def floordiv(a: Dim, b: Dim) -> Dim:
    """``floor(a / b)`` for ``b > 0``; exact where ``b`` divides every term, or the quotient is a whole polynomial."""
    if type(a) is int and type(b) is int:
        return a // b
    return a if b == 1 else _floordiv(a, b)


def ceildiv(a: Dim, b: Dim) -> Dim:
    """``ceil(a / b)`` for ``b > 0``."""
    return floordiv(add(a, sub(b, 1)), b)


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two dims, simplified where it is decidable."""
    return max(a, b) if type(a) is int and type(b) is int else _extreme("max", a, b)


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two dims, simplified where it is decidable."""
    return min(a, b) if type(a) is int and type(b) is int else _extreme("min", a, b)


def constant_part(a: Dim) -> tuple[int, Dim]:
    """Write a dim as the sum of an integer and the rest: 0 for an int."""
    if type(a) is int:
        return a, 0
    constant, rest = a.as_coeff_Add()
    return (int(constant), rest) if constant.is_Integer else (0, a)


def product(dims: Iterable[Dim]) -> Dim:
    """The product of dims; 1 for none."""
    result: Dim = 1
    for dim in dims:
        result = mul(result, dim)
    return result


@lru_cache(maxsize=65536)
def _equal(a: Dim, b: Dim) -> bool | None:
    difference = _difference(a, b)
    if difference.is_Number:
        return bool(difference == 0)
    for d in (difference, _sum((-1, difference))):
        constant, rest = d.as_coeff_Add()
        if constant > 0 and _nonnegative(rest):
            return False
    return None


def equal(a: Dim, b: Dim) -> bool | None:
    """Whether two dims are equal: True or False, or None if known only at call time."""
    if a is b:
        return True
    if type(a) is int:
        if type(b) is int:
            return a == b
    elif type(b) is not int:
        if a == b:
            return True
        if a.is_Symbol and b.is_Symbol:
            return None
    return _equal(a, b)


def substitute(dim: Dim, values: Mapping[Any, Dim]) -> Dim:
    """Replace symbols in ``dim`` by other dims."""
    if type(dim) is int:
        return dim
    direct = values.get(dim)
    if direct is not None:
        return direct
    used = [s for s in symbols_of(dim) if s in values]
    if not used:
        return dim
    known: dict[Any, Dim] = {s: values[s] for s in used}
    for e in subexpressions(dim):
        if e not in known:
            changed = any(known[part] is not part for part in e.args)
            known[e] = _rebuilt(e, known) if changed else _plain(e)
    return known[dim]


def _rebuilt(e: Any, known: Mapping[Any, Dim]) -> Dim:
    parts = [known[part] for part in e.args]
    if e.is_Add:
        return reduce(add, parts)
    if e.is_Mul:
        return reduce(mul, parts)
    if isinstance(e, (sympy.Max, sympy.Min)):
        return reduce(maximum if isinstance(e, sympy.Max) else minimum, parts)
    if e.is_Pow and e.exp.is_Integer and e.exp > 0:
        return product([parts[0]] * int(e.exp))
    if isinstance(e, sympy.floor):
        top, bottom = quotient(e.args[0])
        return floordiv(substitute(top, known), substitute(bottom, known))
    return _plain(e.func(*parts))


def same_shape(a: Sequence[Dim], b: Sequence[Dim]) -> bool:
    """Whether these dims are known to be pairwise equal."""
    return len(a) == len(b) and all(x is y or bool(equal(x, y)) for x, y in zip(a, b))
