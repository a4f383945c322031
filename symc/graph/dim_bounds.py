"""Upper bounds of dims whose symbols are partly known only in mid-program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy

from symc.graph import dims
from symc.graph.dims import Dim

__all__ = ["is_monotone", "largest"]


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
