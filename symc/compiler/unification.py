"""Dims that guards require to be equal become one: values of integers become axes, and axes other axes or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from symc.graph import Variable, dims
from symc.graph.dim_bounds import only_lengths
from symc.graph.guards import Guard

__all__ = ["Rebuilt", "together", "unify"]


class Rebuilt(NamedTuple):
    """A graph that was built again with some symbols replaced.

    Attributes
    ----------
    unified : mapping
        The replacements.
    sources : dict
        The new variables in place of the leaves.
    level : object
        What is known of symbols that are values of integers, see ``symc.compiler.shape_specialisation``.
    outputs : list of Variable
    guards : list of Guard
        What the ops required.
    """

    unified: Mapping[Any, dims.Dim]
    sources: dict[Variable, Variable]
    level: Any
    outputs: list[Variable]
    guards: list[Guard]

    def symbols(self) -> set[Any]:
        """The symbols in the shapes of the leaves."""
        return {s for v in self.sources.values() for d in v.type.shape for s in dims.symbols_of(d)}


def together(unified: Mapping[Any, dims.Dim], fresh: Mapping[Any, dims.Dim]) -> dict[Any, dims.Dim]:
    """The replacements of symbols together with further ones."""
    return {k: dims.substitute(v, fresh) for k, v in unified.items()} | dict(fresh)


def unify(
    guards: Sequence[Guard], unified: Mapping[Any, dims.Dim], axes: set[Any], values: Mapping[Any, int]
) -> dict[Any, dims.Dim]:
    """Find a substitution that satisfies guards: values of integers become axes or numbers, axes become other axes.

    An axis of an argument, which is known when a call begins, never becomes a value that the program computes. Nor does
    a value become one that is computed after it, perhaps from it.
    """
    becomes: dict[Any, dims.Dim] = {}

    def now(dim: dims.Dim) -> dims.Dim:
        dim = dims.substitute(dim, unified)
        for _ in range(len(becomes) + 1):
            if not dims.symbols_of(dim) & becomes.keys():
                break
            dim = dims.substitute(dim, becomes)
        return dim

    def may_become(symbol: Any, dim: dims.Dim) -> bool:
        used = dims.symbols_of(dim)
        if type(symbol) is int or not symbol.is_Symbol or symbol in used:
            return False
        late = used & values.keys()
        if symbol in values:
            return all(values[s] < values[symbol] for s in late)
        return symbol in axes and not late

    for guard in guards:
        left, right = now(guard.left), now(guard.right)
        if dims.equal(left, right):
            continue
        if left in axes and right in axes and str(right) > str(left) or left in axes and right in values:
            left, right = right, left
        for a, b in ((left, right), (right, left)):
            if may_become(a, b):
                becomes[a] = b
                break
    becomes |= only_lengths([(now(guard.left), now(guard.right)) for guard in guards], axes)
    return {symbol: now(symbol) for symbol in becomes}
