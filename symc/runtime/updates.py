"""Updates of shared variables: checked against their variables, and completed by default updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symc.compiler.value_numbering import ValueNumbering
from symc.errors import DTypeError, TypeMismatchError, located
from symc.graph import SharedVariable, Variable, ancestors, clone_with
from symc.graph.dtypes import is_float
from symc.tensor.axes import specify_shape
from symc.tensor.basic import as_tensor
from symc.tensor.elementwise import cast

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
    """A mapping, or a sequence of pairs, as a list of pairs."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, (list, tuple)) and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value):
        return [tuple(pair) for pair in value]
    raise TypeError(located(f"function: {what} must be a mapping or a list of pairs, got {value!r}"))


def update_pairs(updates: Any) -> Updates:
    """Pairs of a shared variable and its next value, of its type."""
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
    """No value may have two next values.

    Raises
    ------
    ValueError
        When two targets are one variable, or clones of one.
    """
    seen: set[int] = set()
    for target, _ in updates:
        if id(target.storage) in seen:
            raise ValueError(located(f"function: {target!r} is updated twice", [target], "combine the two updates"))
        seen.add(id(target.storage))


def fitting_shared_update(target: SharedVariable, value: Any) -> Variable:
    """The next value of a shared variable, of its type."""
    return fitting_update(target, target.storage.shape, value, f"the update of {target.name or 'a shared variable'}")


def fitting_update(target: Variable, present: Sequence[int], value: Any, what: str) -> Variable:
    """``value`` as a next value of ``target``: of its dtype, its number of axes and the dims that its type declares.

    Parameters
    ----------
    target : Variable
    present : sequence of int
        The shape of the present value.
    value : Variable or array_like
    what : str
        For messages: whose update it is.

    Returns
    -------
    Variable
        Dims that the type declares and the value does not know are checked at each call, before anything changes.

    Raises
    ------
    DTypeError
        When the value's dtype may hold what the target's cannot.
    TypeMismatchError
        For another number of axes, a dim known to differ from a declared one, or an axis of length 1 where the target
        has another length: that axis would broadcast in the value, and does not in the target.
    """
    value = as_tensor(value)
    if value.ndim != target.ndim:
        text = f"function: {what} must have as many axes as the variable: {value.ndim} are not {target.ndim}"
        raise TypeMismatchError(located(text, [target, value], "reduce or reshape it to as many axes"))
    if value.dtype != target.dtype:
        if not is_float(target.dtype) and not np.can_cast(value.dtype, target.dtype, "safe"):
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
    return specify_shape(value, target.static_shape, f"function: {what}")


def with_default_updates(
    outputs: Sequence[Variable],
    updates: Updates,
    off: Any,
    replaced: Mapping[Variable, Variable],
    inputs: frozenset[Variable],
) -> Updates:
    """Add the default updates of every shared variable the expressions depend on, and of those these depend on.

    Parameters
    ----------
    outputs : sequence of Variable
    updates : list of pairs
        The explicit ones, which take precedence.
    off : bool or sequence of SharedVariable
        ``no_default_updates`` of ``symc.function``.
    replaced : mapping
        The givens; they are put into the default updates too.
    inputs : frozenset of Variable
        What is given: nothing behind these is computed, so nothing behind them is updated.
    """
    if off is True:
        return updates
    result = list(updates)
    decided = {id(s.storage) for s, _ in updates} | {id(s.storage) for s in _without_default_update(off)}
    carried: dict[int, int] = {}  # where in the result a storage's carried update stands
    frontier = [*outputs, *[v for _, v in updates]]
    seen: set[Variable] = set()
    while frontier:
        fresh = [v for v in ancestors(frontier, inputs) if v not in seen]
        seen.update(fresh)
        frontier = []
        for v in fresh:
            if isinstance(v, SharedVariable) and v.default_update is not None and id(v.storage) not in decided:
                decided.add(id(v.storage))
                result.append((v, _default_update(v, replaced)))
                frontier.append(result[-1][1])
        carriers = [v for v in fresh if v not in inputs and v.owner is not None and v.owner.op.name == "carry_updates"]
        for v in sorted(carriers, key=lambda v: v.serial):
            for target, value in zip(v.owner.op["targets"], v.owner.inputs[1:]):  # type: ignore[union-attr]
                if id(target.storage) in decided:
                    continue
                value = fitting_shared_update(target, value)  # part of the graph, so givens have been put in already
                frontier.append(value)
                place = carried.setdefault(id(target.storage), len(result))
                if place == len(result):
                    result.append((target, value))
                else:
                    result[place] = (target, _one_after_another(target, result[place][1], value))
    return result


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
    """Two carried updates of one shared variable: the second applied to the result of the first.

    So a batch normalisation that is applied to two batches learns from both. Equal ones, from two readings of one
    expression, count once.
    """
    a, b = ValueNumbering().adopt([first, second])
    if a is b:
        return first
    now: dict[Variable, Variable] = {
        v: first for v in ancestors([second]) if isinstance(v, SharedVariable) and v.storage is target.storage
    }
    return clone_with([second], now)[0]
