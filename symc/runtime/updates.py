"""Updates of shared variables: validation, and collection of default updates."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.compiler.value_numbering import ValueNumbering
from symc.errors import DTypeError, TypeMismatchError, located
from symc.graph import SharedVariable, Variable, ancestors, clone_with
from symc.graph.dtypes import is_complex, is_float
from symc.tensor.basic import as_tensor
from symc.tensor.elementwise import cast
from symc.tensor.shape_arguments import specify_shape

__all__ = [
    "Updates",
    "check_unique",
    "fitting_shared_update",
    "fitting_update",
    "pairs",
    "update_pairs",
    "with_default_updates",
]

Updates = list[tuple[SharedVariable, Variable]]


def pairs(value: Any, what: str) -> list[tuple[Any, Any]]:
    """Convert a mapping, its ``items()`` or a sequence of pairs to a list of pairs."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, ItemsView):
        value = list(value)
    if isinstance(value, (list, tuple)) and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value):
        return [tuple(pair) for pair in value]
    repair = f"write {what}={{variable: expression}}"
    raise TypeError(located(f"function: {what} must be a mapping or a list of pairs, got {value!r}", [], repair))


def update_pairs(updates: Any) -> Updates:
    """Convert explicit updates to pairs of a shared variable and its next value."""
    found: Updates = []
    for target, value in pairs(updates, "updates"):
        if not isinstance(target, SharedVariable):
            shown = [target] if isinstance(target, Variable) else []
            text = f"function: updates must be of shared variables, got {target!r}"
            raise TypeError(located(text, shown, "make it with symc.shared"))
        found.append((target, fitting_shared_update(target, value)))
    check_unique(found)
    return found


def check_unique(updates: Updates) -> None:
    """Check that no shared variable is updated twice.

    Raises
    ------
    ValueError
        If two targets share a value: a variable and itself or its clone.
    """
    seen: set[int] = set()
    for target, _ in updates:
        if id(target.storage) in seen:
            raise ValueError(located(f"function: {target!r} is updated twice", [target], "combine the two updates"))
        seen.add(id(target.storage))


def fitting_shared_update(target: SharedVariable, value: Any) -> Variable:
    """Validate the next value of a shared variable, and cast it to the dtype of the variable."""
    return fitting_update(target, target.storage.shape, value, f"the update of {target.name or 'a shared variable'}")


def fitting_update(target: Variable, present: Sequence[int], value: Any, what: str) -> Variable:
    """Validate ``value`` as the next value of ``target``, and cast it to the dtype of the target.

    Parameters
    ----------
    target : Variable
    present : sequence of int
        The shape of the current value.
    value : Variable or array_like
    what : str
        A description of the update, for error messages.

    Returns
    -------
    Variable
        The value. Dims that are declared for the target but unknown for the value are checked at each call, before
        anything is changed.

    Raises
    ------
    DTypeError
        If the dtype of the value cannot be converted safely to that of the target.
    TypeMismatchError
        If the number of axes or a known dim differs from that of the target, or if the value always has length 1 along
        an axis where the current value is longer and the type of the target is not broadcastable.
    """
    value = as_tensor(value)
    if value.ndim != target.ndim:
        text = f"function: {what} must have as many axes as the variable: {value.ndim} are not {target.ndim}"
        raise TypeMismatchError(located(text, [target, value], "reduce or reshape it to as many axes"))
    if value.dtype != target.dtype:
        same_kind = is_float(target.dtype) or is_complex(target.dtype)
        if not same_kind and not np.can_cast(value.dtype, target.dtype, "safe"):
            text = f"function: {what} has dtype {value.dtype}, which {target.dtype} cannot hold"
            raise DTypeError(located(text, [target, value], f"cast it: symc.tensor.cast(value, {target.dtype!r})"))
        value = cast(value, target.dtype)
    for axis, (declared, found) in enumerate(zip(target.type.shape, value.type.shape)):
        if type(declared) is int and type(found) is int and declared != found:
            text = f"function: {what} has length {found} on axis {axis}, declared to be {declared}"
            raise TypeMismatchError(located(text, [target, value], "give it the declared shape"))
        if type(declared) is not int and type(found) is int and found == 1 != present[axis]:
            text = f"function: {what} always has length 1 on axis {axis}, where the variable has {present[axis]}"
            repair = f"repeat it with symc.tensor.fill({target!r}, value), or drop keepdims"
            raise TypeMismatchError(located(text, [target, value], repair))
    return specify_shape(value, target.static_shape, what)


def with_default_updates(
    outputs: Sequence[Variable],
    updates: Updates,
    off: Any,
    replaced: Mapping[Variable, Variable],
    inputs: frozenset[Variable],
) -> Updates:
    """Add the default updates of all shared variables that the expressions and their updates depend on.

    Parameters
    ----------
    outputs : sequence of Variable
    updates : list of pairs
        The explicit updates, which take precedence.
    off : bool or sequence of SharedVariable
        ``no_default_updates`` of ``symc.function``.
    replaced : mapping
        The givens, which are applied to default updates as well.
    inputs : frozenset of Variable
        The explicit inputs. Variables on which only these depend are not updated.
    """
    if off is True:
        return updates
    result = list(updates)
    decided = {id(s.storage) for s, _ in updates} | {id(s.storage) for s in _without_default_update(off)}
    place: dict[int, int] = {}  # position of the update of a storage in the result
    carried: dict[int, set[Variable]] = {}  # per storage, the updates that expressions carry: they replace the default
    merge = partial(ValueNumbering().bring, known={})  # equal expressions become the same variable
    frontier = [*outputs, *[v for _, v in updates]]
    seen: set[Variable] = set()
    while frontier:
        fresh = [v for v in ancestors(frontier, inputs) if v not in seen]
        seen.update(fresh)
        frontier = []
        carriers = [v for v in fresh if v not in inputs and v.owner is not None and v.owner.op.record.carries_updates]
        for v in sorted(carriers, key=lambda v: v.serial):
            for target, value in zip(v.owner.op["targets"], v.owner.inputs[1:]):  # type: ignore[union-attr]
                key = id(target.storage)
                former = carried.setdefault(key, set())
                if key in decided or value in former or (merged := merge(value)) in former:
                    continue  # the gradient of an expression carries the same updates once more
                again = bool(former)
                former |= {value, merged}
                fitting = fitting_shared_update(target, value)  # part of the graph: givens are applied already
                frontier.append(fitting)
                if again:
                    fitting = _one_after_another(target, result[place[key]][1], fitting)
                _put(result, place, target, fitting)
        for v in fresh:
            v = v.__dict__.get("_whole", v)
            if isinstance(v, SharedVariable) and v.default_update is not None:
                if id(v.storage) not in decided and id(v.storage) not in place:
                    _put(result, place, v, _default_update(v, replaced))
                    frontier.append(result[-1][1])
    return result


def _put(result: Updates, place: dict[int, int], target: SharedVariable, value: Variable) -> None:
    """Add an update, or replace that of the same storage."""
    position = place.setdefault(id(target.storage), len(result))
    if position == len(result):
        result.append((target, value))
    else:
        result[position] = (target, value)


def _without_default_update(off: Any) -> list[SharedVariable]:
    if off is False or off is None:
        return []
    if isinstance(off, (list, tuple, set, frozenset)) and all(isinstance(s, SharedVariable) for s in off):
        return list(off)
    text = f"function: no_default_updates must be a bool or a list of shared variables, got {off!r}"
    raise TypeError(located(text))


def _default_update(target: SharedVariable, replaced: Mapping[Variable, Variable]) -> Variable:
    value = fitting_shared_update(target, target.default_update)
    return clone_with([value], replaced)[0] if replaced else value


def _one_after_another(target: SharedVariable, first: Variable, second: Variable) -> Variable:
    """Compose two carried updates of a shared variable: apply the second to the result of the first.

    A batch normalisation layer that is applied to two batches is updated for both.
    """
    now: dict[Variable, Variable] = {
        v: first for v in ancestors([second]) if isinstance(v, SharedVariable) and v.storage is target.storage
    }
    return clone_with([second], now)[0]
