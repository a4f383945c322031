"""Upper bounds of dims whose symbols are partly known only in mid-program; lengths that equalities determine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import sympy

from symc.graph import dims
from symc.graph.dims import Dim

__all__ = ["is_monotone", "largest", "only_length", "only_lengths"]

MOST = 1 << 17
"""The lengths that are tried, at most."""


def is_monotone(dim: Dim) -> bool:
    """Whether ``dim`` never decreases when its non-negative symbols increase; False if undecided."""
    if type(dim) is int or dim.is_Symbol or dim.is_Integer:
        return True
    if isinstance(dim, (sympy.Add, sympy.Max, sympy.Min)):
        return all(is_monotone(a) for a in dim.args)
    if isinstance(dim, sympy.Mul):
        return all(is_monotone(a) and (not a.is_number or a > 0) for a in dim.args)
    return isinstance(dim, sympy.floor) and is_monotone(dim.args[0]) or dim.is_Rational


def largest(dim: Dim, bounds: Mapping[Any, Dim | None]) -> Dim | None:
    """Return an upper bound of ``dim`` over symbols that are not in ``bounds``; None if none is known.

    ``bounds`` maps symbols whose values are not known yet to their upper bounds, or to None.
    """
    if not dims.symbols_of(dim) & bounds.keys():
        return dim
    found = _largest(sympy.sympify(dim), bounds)
    return None if found is None else dims.substitute(_plain(found), {})


def _plain(e: Any) -> Dim:
    return int(e) if e.is_Integer else e


def _largest(e: Any, bounds: Mapping[Any, Dim | None]) -> Any:
    if e.is_Symbol:
        bound = bounds.get(e, e)
        return None if bound is None else sympy.sympify(bound)
    if not e.free_symbols & bounds.keys():
        return e
    if isinstance(e, sympy.Min):
        known = [b for b in (_largest(a, bounds) for a in e.args) if b is not None]
        return sympy.Min(*known) if known else None
    if isinstance(e, sympy.Max):
        return _all(sympy.Max, [_largest(a, bounds) for a in e.args])
    if isinstance(e, sympy.Add):
        return _all(sympy.Add, [_largest(a, bounds) for a in e.args])
    if isinstance(e, sympy.Mul):
        factor, rest = e.as_coeff_Mul()
        if factor < 0:
            low = _smallest(rest, bounds)
            return None if low is None else factor * low
        parts = [_largest(a, bounds) if _smallest(a, bounds) is not None else None for a in sympy.Mul.make_args(rest)]
        found = _all(sympy.Mul, parts)
        return None if found is None else factor * found
    if isinstance(e, sympy.floor):
        found = _largest(e.args[0], bounds)
        return None if found is None else sympy.floor(found)
    return None


def _smallest(e: Any, bounds: Mapping[Any, Dim | None]) -> Any:
    """Return a non-negative lower bound of ``e``, or None."""
    if e.is_number:
        return e if e >= 0 else None
    if e.is_Symbol:
        return sympy.Integer(0) if e.is_nonnegative else None
    if isinstance(e, sympy.Max):
        known = [b for b in (_smallest(a, bounds) for a in e.args) if b is not None]
        return sympy.Max(*known) if known else None
    if isinstance(e, (sympy.Min, sympy.Add, sympy.Mul)):
        return _all(e.func, [_smallest(a, bounds) for a in e.args])
    return _smallest(e.args[0], bounds) if isinstance(e, sympy.floor) else None


def _all(function: Any, parts: list[Any]) -> Any:
    return None if any(p is None for p in parts) else function(*parts)


def only_lengths(equalities: Sequence[tuple[Dim, Dim]], axes: Collection[Any]) -> dict[Any, int]:
    """Return those of the symbols ``axes`` for which equalities leave one length, with it."""
    of_one: dict[Any, list[tuple[Dim, Dim]]] = {}
    known = set(axes)
    for left, right in equalities:
        used = dims.symbols_of(left) | dims.symbols_of(right)
        if len(used) == 1 and used <= known:
            of_one.setdefault(next(iter(used)), []).append((left, right))
    found = {symbol: only_length(sides) for symbol, sides in of_one.items()}
    return {symbol: length for symbol, length in found.items() if length is not None}


def only_length(equalities: Sequence[tuple[Dim, Dim]]) -> int | None:
    """Return the one length for which all equalities hold, which all speak of one symbol; None if that is undecided.

    Where ``max(0, n - 3)`` is 2, ``n`` is 5. Where ``min(2, n)`` is ``max(0, n - 2)``, it is 0 or 4.
    """
    bends = [_bends(a) + _bends(b) for a, b in equalities]
    if max(bends, default=MOST) + 3 > MOST:
        return None
    lengths = np.arange(int(max(bends)) + 3)
    possible, bounded = np.ones(len(lengths), bool), False
    for left, right in equalities:
        difference = _values(left, lengths) - _values(right, lengths)
        before, last = int(difference[-2]), int(difference[-1])  # from here on it is linear
        bounded = bounded or last != 0 and (last - before) * last >= 0
        possible &= difference == 0
    found = np.flatnonzero(possible)
    return int(found[0]) if bounded and len(found) == 1 else None


def _bends(dim: Dim) -> float:
    """A length from which on ``dim`` is linear in its symbol; infinity if it may never be.

    Its pieces are linear functions with integer coefficients. Two of them meet, if at all, before the sum of their
    constants.
    """
    e = sympy.sympify(dim)
    if e.is_Integer:
        return abs(int(e))
    if e.is_Symbol:
        return 0
    if isinstance(e, (sympy.Add, sympy.Max, sympy.Min)):
        return sum(map(_bends, e.args))
    factor, rest = e.as_coeff_Mul()
    return abs(int(factor)) * _bends(rest) if factor.is_Integer and rest != e else float("inf")


def _values(dim: Dim, lengths: np.ndarray) -> np.ndarray:
    """``dim``, which ``_bends`` approves of, for each value of its symbol."""
    e = sympy.sympify(dim)
    if e.is_Integer:
        return np.full_like(lengths, int(e))
    if e.is_Symbol:
        return lengths
    parts = [_values(a, lengths) for a in e.args]
    if isinstance(e, sympy.Add):
        return np.sum(parts, 0)
    if isinstance(e, sympy.Mul):
        return prod(parts[1:], start=parts[0])
    return (np.maximum if isinstance(e, sympy.Max) else np.minimum).reduce(parts)
