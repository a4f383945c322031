"""Normalisation of the index of ``x[...]``: a list of entries, one per axis or new axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Constant, Variable
from symc.tensor.basic import as_tensor, constant
from symc.tensor.indices.selection import nonzero
from symc.tensor.requirements import require_lengths
from symc.tensor.shape_arguments import declare_dims
from symc.tensor.symbolic_dims import shape_i

__all__ = ["Entry", "Flag", "Gap", "Index", "NewAxis", "Slice", "mask_indices", "old_tuple", "parse"]


@dataclass(frozen=True, eq=False)
class Slice:
    """A slice of one axis."""

    bounds: slice


@dataclass(frozen=True, eq=False)
class Index:
    """Indices into one axis, given by an integer variable; a scalar drops the axis.

    ``valid`` states that they need no check: indices selected by a mask are always in range.
    """

    at: Variable
    valid: bool = False


@dataclass(frozen=True, eq=False)
class NewAxis:
    """A new axis of length 1."""


@dataclass(frozen=True, eq=False)
class Flag:
    """A 0-d mask: it indexes no axis, and adds one of length 1 (True) or 0 (False), as an index array does.

    ``at`` are its indices into an axis of 1.
    """

    at: Variable


@dataclass(frozen=True, eq=False)
class Gap:
    """An Ellipsis of no axes. Index arrays on both sides of it still count as separated."""


Entry = Slice | Index | NewAxis | Flag | Gap


def old_tuple(item: Any) -> Any:
    """A list that holds slices, None or an Ellipsis as a tuple: old programs index with ``x[[slice(1, 3), 0]]``."""
    plain = isinstance(item, list) and any(e is None or e is Ellipsis or isinstance(e, slice) for e in item)
    return tuple(item) if plain else item


def parse(x: Variable, item: Any) -> tuple[Variable, list[Entry]]:
    """Parse an index into ``x``; also returns ``x`` with its lengths checked against those of masks.

    Raises
    ------
    IndexError
        For too many indices, or a mask that does not fit.
    TypeError
        For an invalid index.
    """
    given = [_plain(x, e) for e in (item if isinstance(item, tuple) else (item,))]
    taken = sum(_axes_taken(e) for e in given)
    if taken > x.ndim:
        raise IndexError(located(f"indexing: {taken} indices for {x.ndim} axes", [x]))
    if sum(e is Ellipsis for e in given) > 1:
        raise IndexError(located("indexing: only one Ellipsis is allowed", [x]))
    if not any(e is Ellipsis for e in given):
        given.append(Ellipsis)
    entries: list[Entry] = []
    axes_of_masks: list[tuple[int, Variable, int]] = []  # an axis of x, a mask, and the mask's axis
    axis = 0
    for e in given:
        if e is Ellipsis:
            rest = x.ndim - taken
            entries += [Slice(slice(None))] * rest or [Gap()]
            axis += rest
        elif isinstance(e, Variable) and e.dtype == "bool":
            axes_of_masks += [(axis + k, e, k) for k in range(e.ndim)]
            entries += [Index(i, valid=True) if e.ndim else Flag(i) for i in mask_indices(e)]
            axis += e.ndim
        else:
            entries.append(Index(e) if isinstance(e, Variable) else e)
            axis += _axes_taken(e)
    return _as_long_as_masks(x, axes_of_masks), entries


def _as_long_as_masks(x: Variable, pairs: Sequence[tuple[int, Variable, int]]) -> Variable:
    """Require that the axes of ``x`` are as long as those of the masks that select from them."""
    repair = "a mask must have the shape of what it selects from"
    wanted: list[int | None] = [None] * x.ndim
    for axis, mask, k in pairs:
        have, want = x.type.shape[axis], mask.type.shape[k]
        if type(have) is int and type(want) is int and have != want:
            text = f"indexing: a mask of length {want} cannot select from axis {axis} of {have}"
            raise IndexError(located(text, [x, mask], repair))
        wanted[axis] = want if type(want) is int else None
    text = "indexing: the mask selects from {wanted} entries of axis {axis}, which has another length"
    x = declare_dims(x, wanted, text, repair)
    text = "indexing: a mask is not as long as axis {} of what it selects from"
    lengths = [(shape_i(x, a), shape_i(m, k), text.format(a)) for a, m, k in pairs if wanted[a] is None]
    return require_lengths(x, lengths, repair)


def _plain(x: Variable, entry: Any) -> Any:
    """Convert an entry to Ellipsis, ``NewAxis``, ``Slice``, or a variable of integers or bools."""
    if entry is Ellipsis:
        return Ellipsis
    if entry is None:
        return NewAxis()
    if isinstance(entry, slice):
        return Slice(entry)
    if isinstance(entry, (list, tuple)):
        entry = _listed(x, entry)
    return as_tensor(entry)


def _listed(x: Variable, entry: Sequence[Any]) -> Any:
    """Convert a list to an index array; an empty list selects nothing."""
    if any(e is None or e is Ellipsis or isinstance(e, slice) for e in entry):
        text = "indexing: a list selects places of one axis, so it cannot hold slices, None or Ellipsis"
        raise TypeError(located(text, [x], "write a tuple"))
    if _holds_variables(entry):
        return as_tensor(entry)
    try:
        array = np.asarray(entry)
    except ValueError as problem:
        raise IndexError(located(f"indexing: {entry!r} is no array: {problem}", [x])) from None
    return array.astype("int64") if array.size == 0 else as_tensor(entry)


def _holds_variables(entry: Sequence[Any]) -> bool:
    return any(_holds_variables(e) if isinstance(e, (list, tuple)) else isinstance(e, Variable) for e in entry)


def _axes_taken(entry: Any) -> int:
    if isinstance(entry, Variable):
        return entry.ndim if entry.dtype == "bool" else 1
    return int(isinstance(entry, Slice))


def mask_indices(mask: Variable) -> list[Variable]:
    """The indices at which ``mask`` holds, in order: one index vector per axis, as in ``numpy.nonzero``.

    A 0-d mask is treated as a vector of one element.
    """
    if isinstance(mask, Constant):
        return [constant(i, dtype="int64") for i in np.nonzero(np.atleast_1d(mask.data))]
    return list(nonzero(mask))
