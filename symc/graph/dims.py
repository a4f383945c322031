"""Dimensions: whole numbers, known or symbolic.

A dim is an ``int`` or a sympy expression over non-negative integer symbols. Arithmetic on ints never touches sympy, and
symbolic results are memoised, so that shapes cost little even in large graphs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import sympy

__all__ = [
    "Dim", "Shape", "add", "ceildiv", "equal", "evaluate", "floordiv", "maximum", "minimum", "mul", "new_symbol",
    "product", "show", "show_shape", "sub", "substitute", "symbols_of",
]  # fmt: skip

Dim = Any
"""``int`` or ``sympy.Expr``."""
Shape = tuple[Dim, ...]


def new_symbol(name: str, nonnegative: bool = True) -> sympy.Dummy:
    """A dim that only a call will know. Two calls give two different symbols, even under one name.

    Lengths of axes are never negative; a symbol for the value of an integer scalar may be.
    """
    return sympy.Dummy(name, integer=True, nonnegative=True) if nonnegative else sympy.Dummy(name, integer=True)


def _plain(value: Any) -> Dim:
    return int(value) if isinstance(value, sympy.Integer) else value


@lru_cache(maxsize=65536)
def _add(a: Dim, b: Dim) -> Dim:
    return _plain(sympy.Add(a, b))


@lru_cache(maxsize=65536)
def _mul(a: Dim, b: Dim) -> Dim:
    return _plain(sympy.expand_mul(sympy.Mul(a, b)))


@lru_cache(maxsize=65536)
def _nonnegative(x: Any) -> bool:
    """Is ``x`` seen to be 0 or more? By its structure alone: sympy's own reasoning takes milliseconds a question."""
    if x.is_Number:
        return bool(x >= 0)
    if x.is_Symbol:
        return bool(x.is_nonnegative)
    if x.is_Add or x.is_Mul or isinstance(x, (sympy.floor, sympy.Min)):
        return all(_nonnegative(part) for part in x.args)
    if isinstance(x, sympy.Max):
        return any(_nonnegative(part) for part in x.args)
    return bool(x.is_Pow) and _nonnegative(x.base)


def _difference(a: Dim, b: Dim) -> Any:
    return sympy.Add(a, sympy.Mul(-1, b))


@lru_cache(maxsize=65536)
def _floordiv(a: Dim, b: Dim) -> Dim:
    terms = [term / b for term in sympy.Add.make_args(sympy.sympify(a))]
    whole = [term for term in terms if term.is_integer]
    if len(whole) == len(terms):
        return _plain(sympy.Add(*whole))
    if type(b) is not int and b.is_Add:
        quotient = sympy.cancel(sympy.sympify(a) / b)
        unknowns = tuple(quotient.free_symbols)
        if unknowns and quotient.is_polynomial(*unknowns):
            if all(c.is_integer for c in sympy.Poly(quotient, *unknowns).coeffs()):
                return _plain(sympy.expand(quotient))
    rest = sympy.Add(*(term for term in terms if not term.is_integer))
    if rest.is_number:
        return _plain(sympy.Add(*whole, sympy.floor(rest)))
    return sympy.Add(*whole, sympy.floor(rest, evaluate=False))


@lru_cache(maxsize=65536)
def _extreme(which: str, a: Dim, b: Dim) -> Dim:
    difference = _difference(a, b)
    if _nonnegative(difference):
        return a if which == "max" else b
    if _nonnegative(-difference):
        return b if which == "max" else a
    return (sympy.Max if which == "max" else sympy.Min)(a, b, evaluate=False)


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
    """The larger of two dims, decided where it can be."""
    return max(a, b) if type(a) is int and type(b) is int else _extreme("max", a, b)


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two dims, decided where it can be."""
    return min(a, b) if type(a) is int and type(b) is int else _extreme("min", a, b)


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
    for d in (difference, -difference):
        constant, rest = d.as_coeff_Add()
        if constant > 0 and _nonnegative(rest):
            return False
    return None


def equal(a: Dim, b: Dim) -> bool | None:
    """True or False where it is known, None where only a call can tell."""
    if type(a) is int and type(b) is int:
        return a == b
    if a is b or a == b:
        return True
    if type(a) is not int and type(b) is not int and a.is_Symbol and b.is_Symbol:
        return None
    return _equal(a, b)


@lru_cache(maxsize=65536)
def _symbols(dim: Dim) -> frozenset[Any]:
    return frozenset(dim.free_symbols)


def symbols_of(dim: Dim) -> frozenset[Any]:
    """The symbols that a dim is made of; none for an int."""
    return frozenset() if type(dim) is int else _symbols(dim)


def substitute(dim: Dim, values: Mapping[Any, Dim]) -> Dim:
    """``dim`` with symbols replaced by other dims."""
    if type(dim) is int:
        return dim
    direct = values.get(dim)
    if direct is not None:
        return direct
    used = {s: values[s] for s in symbols_of(dim) if s in values}
    return _plain(sympy.expand(dim.xreplace({k: sympy.sympify(v) for k, v in used.items()}))) if used else dim


def evaluate(dim: Dim, values: Mapping[Any, int]) -> int:
    """The number that ``dim`` is when its symbols have these values."""
    if type(dim) is int:
        return dim
    direct = values.get(dim)
    return direct if direct is not None else int(dim.xreplace({k: sympy.Integer(v) for k, v in values.items()}))


def show(dim: Dim) -> str:
    """A dim as an error message writes it: symbols by their plain names."""
    return re.sub(r"\b_", "", str(dim))


def show_shape(shape: Iterable[Dim]) -> str:
    """A shape as an error message writes it."""
    parts = [show(d) for d in shape]
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"
