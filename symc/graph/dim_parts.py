"""The parts of dims: symbols, terms, quotients; dims as text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import sympy

__all__ = [
    "Dim", "Shape", "Symbolic", "new_symbol", "ordered", "quotient", "show", "show_shape", "subexpressions",
    "symbols_of", "terms_of",
]  # fmt: skip

Dim = Any
"""``int`` or ``sympy.Expr``."""
Shape = tuple[Dim, ...]
Symbolic = sympy.Expr
"""The class of dims that are not plain numbers."""


def new_symbol(name: str, nonnegative: bool = True) -> sympy.Dummy:
    """Create a symbol for a dim known only at call time. Every call creates a new symbol, even under the same name.

    Axis lengths are never negative; a symbol for the value of an integer scalar may be.
    """
    return sympy.Dummy(name, integer=True, nonnegative=True) if nonnegative else sympy.Dummy(name, integer=True)


def terms_of(x: Any) -> tuple[Any, ...]:
    """The terms of a sum; of anything else, itself."""
    x = sympy.sympify(x)
    return x.args if x.is_Add else (x,)


@lru_cache(maxsize=65536)
def _symbols(dim: Dim) -> frozenset[Any]:
    return frozenset(e for e in subexpressions(dim) if e.is_Symbol)


def subexpressions(dim: Any) -> list[Any]:
    """Every distinct subexpression, operands before the expressions that contain them."""
    found: dict[Any, None] = {}
    stack = [(dim, False)]
    while stack:
        e, ready = stack.pop()
        if e in found:
            continue
        if ready or not e.args:
            found[e] = None
        else:
            stack.append((e, True))
            stack.extend((part, False) for part in e.args)
    return list(found)


def symbols_of(dim: Dim) -> frozenset[Any]:
    """The symbols that occur in a dim; none for an int."""
    return frozenset() if type(dim) is int else _symbols(dim)


def ordered(symbols: Iterable[Any]) -> list[Any]:
    """Symbols by name, those of one name in the order in which they were made: the same in every process."""
    return sorted(symbols, key=lambda s: (s.name, getattr(s, "dummy_index", 0)))


@lru_cache(maxsize=65536)
def quotient(x: Any) -> tuple[Any, Any]:
    """Write ``x`` as one fraction with integer coefficients; return its numerator and denominator."""
    terms = [term.as_numer_denom() for term in terms_of(x)]
    if len(terms) == 1:
        return terms[0]
    return sympy.fraction(sympy.together(x)) if any(bottom != 1 for _, bottom in terms) else (x, sympy.Integer(1))


LONGEST = 40
"""The largest number of operations that a message writes out; longer dims are shown by their symbols."""


@lru_cache(maxsize=65536)
def _written_size(dim: Any) -> int:
    """Count the symbols, numbers and operations in the text of a dim."""
    sizes: dict[Any, int] = {}
    for e in subexpressions(dim):
        sizes[e] = 1 + sum(sizes[part] for part in e.args)
    return sizes[dim]


def show(dim: Dim) -> str:
    """Format a dim for an error message, symbols by their plain names."""
    if type(dim) is int:
        return str(dim)
    if isinstance(dim, sympy.Basic) and _written_size(dim) > LONGEST:
        return f"f({', '.join(sorted(map(show, symbols_of(dim))))})"
    return re.sub(r"\b_", "", str(dim))


def show_shape(shape: Iterable[Dim]) -> str:
    """Format a shape for an error message."""
    parts = [show(d) for d in shape]
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"
