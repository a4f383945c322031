"""What stands between the brackets of ``x[...]``, brought to one form: a list of entries, one per axis or new axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Constant, Variable
from symc.tensor.axes import declare_dims
from symc.tensor.basic import as_tensor, constant

__all__ = ["Entry", "Flag", "Gap", "Index", "NewAxis", "Slice", "mask_indices", "parse"]


@dataclass(frozen=True, eq=False)
class Slice:
    """Takes a regular part of one axis."""

    bounds: slice


@dataclass(frozen=True, eq=False)
class Index:
    """Takes the places of one axis that an integer variable names; a scalar drops the axis."""

    at: Variable


@dataclass(frozen=True, eq=False)
class NewAxis:
    """Adds an axis of length 1."""


@dataclass(frozen=True, eq=False)
class Flag:
    """A mask without axes: it takes no axis, and adds one of length 1 (True) or 0 (False) as an index array does."""

    holds: bool


@dataclass(frozen=True, eq=False)
class Gap:
    """An Ellipsis that stands for no axis. Index arrays on both sides of it still count as separated."""


Entry = Slice | Index | NewAxis | Flag | Gap


def parse(x: Variable, item: Any) -> tuple[Variable, list[Entry]]:
    """The entries of an index into ``x``, and ``x`` with its lengths checked against those of masks.

    Raises
    ------
    IndexError
        For too many indices, or a mask that does not fit.
    TypeError
        For what is no index.
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
    wanted: list[Any] = [None] * x.ndim  # lengths that masks ask for
    axis = 0
    for e in given:
        if e is Ellipsis:
            rest = x.ndim - taken
            entries += [Slice(slice(None))] * rest or [Gap()]
            axis += rest
        elif isinstance(e, Variable) and e.dtype == "bool":
            for k in range(e.ndim):
                wanted[axis + k] = _mask_length(x, axis + k, e, k)
            entries += [Index(i) for i in mask_indices(e)] if e.ndim else [Flag(_value_of_flag(x, e))]
            axis += e.ndim
        else:
            entries.append(Index(e) if isinstance(e, Variable) else e)
            axis += _axes_taken(e)
    if any(w is not None for w in wanted):
        text = "indexing: the mask selects from {wanted} entries of axis {axis}, which has another length"
        x = declare_dims(x, wanted, text, "a mask must have the shape of what it selects from")
    return x, entries


def _plain(x: Variable, entry: Any) -> Any:
    """An entry as Ellipsis, ``NewAxis``, ``Slice``, or a variable of integers or bools."""
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
    """A list as an index array; an empty one selects nothing."""
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


def _mask_length(x: Variable, axis: int, mask: Variable, k: int) -> int:
    """The length that ``axis`` of ``x`` must have, where it is not known to have it already."""
    have, want = x.type.shape[axis], mask.type.shape[k]
    if type(have) is int and type(want) is int and have != want:
        text = f"indexing: a mask of length {want} cannot select from axis {axis} of {have}"
        raise IndexError(located(text, [x, mask], "a mask must have the shape of what it selects from"))
    return want if type(want) is int else have


def _value_of_flag(x: Variable, mask: Variable) -> bool:
    if isinstance(mask, Constant):
        return bool(mask.data)
    raise _not_known(mask)


def mask_indices(mask: Variable) -> list[Variable]:
    """The positions at which ``mask`` holds, in order: one index vector per axis of it, as ``numpy.nonzero``."""
    if isinstance(mask, Constant):
        return [constant(i, dtype="int64") for i in np.nonzero(mask.data)]
    raise _not_known(mask)


def _not_known(mask: Variable) -> TypeError:
    text = "indexing: a symbolic mask has no known number of results"
    return TypeError(located(text, [mask], "use switch(mask, x, other), or sum(x * mask)"))
