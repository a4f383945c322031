"""Upper bounds of integers whose values dims depend on, so that memory can be allocated before they are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from symc.graph import Variable, dims
from symc.graph.dim_bounds import is_monotone, largest

__all__ = ["bound_symbols"]


def bound_symbols(
    bounds: dict[Any, dims.Dim | None],
    binding: Mapping[Any, Variable],
    results: Iterable[Variable],
    sized: Iterable[Variable],
    inside: bool,
) -> None:
    """Add the upper bounds of the symbols in ``binding`` to ``bounds``.

    Symbols of a body (``inside``) without a bound have None. Outside, the symbols that are left out begin segments:
    those without a bound, those with which a dim of ``results`` does not grow, and those on which a size of ``sized``
    depends that has no bound.
    """
    bent = {s for d in {d for v in results for d in v.type.shape} if not is_monotone(d) for s in dims.symbols_of(d)}
    for symbol, v in binding.items():
        bound = _upper_bound(v)
        if inside or bound is not None and symbol not in bent:
            bounds[symbol] = None if bound is None else largest(bound, bounds)
    if inside:
        return
    sizes = {dims.product(v.type.shape) for v in sized}
    while stuck := {s for n in sizes if largest(n, bounds) is None for s in dims.symbols_of(n) & bounds.keys()}:
        for symbol in stuck:  # as if it had no bound: what depends on it begins a segment
            del bounds[symbol]


def _upper_bound(v: Variable) -> dims.Dim | None:
    """The upper bound of the value of an integer, from its record."""
    if v.owner is None or v.owner.op.record.upper is None or v.ndim:
        return None
    return v.owner.op.record.upper(v.owner.op, v.owner.inputs)
