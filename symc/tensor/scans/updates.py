"""Shared variables that the step of a scan updates: they become states, and the scan returns their last values.

Which ones are updated is decided as for functions: by what the step returns, then by updates that expressions carry,
then by default updates. Random draws made in the step have states of their own, which advance from step to step; draws
made outside are the same in every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import SharedVariable, Variable, ancestors, clone_with
from symc.graph.dtypes import is_float
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor

__all__ = ["Carried", "collect_updates", "replace_shared"]


class Carried(NamedTuple):
    """The updates of a step.

    Attributes
    ----------
    values : dict
        Maps each shared variable to its value after a step.
    automatic : frozenset of SharedVariable
        Those that functions of the outputs update without being asked.
    """

    values: dict[SharedVariable, Variable]
    automatic: frozenset[SharedVariable]


def collect_updates(outputs: Sequence[Variable], given: Mapping[Any, Any], before: int) -> Carried:
    """Collect the updates of shared variables in a step.

    Parameters
    ----------
    outputs : sequence of Variable
        What the step computes.
    given : mapping
        The updates that it returned.
    before : int
        The serial number of the first variable that the step made.
    """
    values: dict[SharedVariable, Variable] = {}
    for target, value in given.items():
        if not isinstance(target, SharedVariable):
            shown = [target] if isinstance(target, Variable) else []
            text = f"scan: updates must be of shared variables, got {target!r}"
            raise TypeError(located(text, shown, "make it with symc.shared, or return the value as an output"))
        if _twin(values, target) is not None:
            raise ValueError(located(f"scan: {target!r} is updated twice in one step", [target]))
        values[target] = _fitting(target, value)
    explicit = set(values)
    frontier = [*outputs, *values.values()]
    seen: set[Variable] = set()
    while frontier:
        fresh = _reached(frontier, before, seen)
        frontier = []
        for v in sorted((v for v in fresh if _carries(v, before)), key=lambda v: v.serial):
            for target, value in zip(v.owner.op["targets"], v.owner.inputs[1:]):  # type: ignore[union-attr]
                known = _twin(values, target)
                if known is not None and known in explicit:
                    continue
                found = _fitting(target, value)
                values[known or target] = found if known is None else _one_after_another(known, values[known], found)
                frontier.append(values[known or target])
        for s in _advancing(fresh, before):
            if _twin(values, s) is None:
                values[s] = _fitting(s, s.default_update)
                frontier.append(values[s])
    # Functions would apply the default update of a variable by themselves, which is not that of all steps.
    return Carried(values, frozenset(s for s in values if s not in explicit or s.default_update is not None))


def _reached(frontier: Sequence[Variable], before: int, seen: set[Variable]) -> list[Variable]:
    """The variables that the step made, and those outside that they read, which are not in ``seen`` yet."""
    found = []
    pending = list(frontier)
    while pending:
        v = pending.pop()
        if v in seen:
            continue
        seen.add(v)
        found.append(v)
        if v.owner is not None and v.serial >= before:
            pending.extend(v.owner.inputs)
    return found


def _carries(v: Variable, before: int) -> bool:
    return v.serial >= before and v.owner is not None and v.owner.op.record.carries_updates


def _advancing(fresh: Sequence[Variable], before: int) -> list[SharedVariable]:
    """Shared variables with a default update that the step made, or that it reads itself."""
    read = {u for v in fresh if v.serial >= before and v.owner is not None for u in v.owner.inputs}
    found = [v for v in fresh if isinstance(v, SharedVariable) and v.default_update is not None]
    return [s for s in found if s.serial >= before or s in read and not s.tag.__dict__.get("of_draw")]


def _twin(values: Mapping[SharedVariable, Any], target: SharedVariable) -> SharedVariable | None:
    """The variable among ``values`` with the storage of ``target``."""
    return next((s for s in values if s.storage is target.storage), None)


def _one_after_another(target: SharedVariable, first: Variable, second: Variable) -> Variable:
    """The second update of the result of the first."""
    if first is second:
        return first
    return clone_with([second], _now(target, [second], first))[0]


def _now(target: SharedVariable, outputs: Sequence[Variable], value: Variable) -> dict[Variable, Variable]:
    shared = [v for v in ancestors(outputs) if isinstance(v, SharedVariable) and v.storage is target.storage]
    return dict.fromkeys([*shared, target], value)


def replace_shared(
    expressions: Sequence[Variable], values: Mapping[SharedVariable, Variable]
) -> tuple[list[Variable], dict[SharedVariable, Variable]]:
    """Replace shared variables by variables of the step.

    Returns
    -------
    expressions : list of Variable
    inside : dict
        Maps each shared variable to the variable that replaces it.
    """
    inside = {s: Variable(TensorType(s.dtype, s.type.shape), None, 0, s.name, s.location) for s in values}
    now: dict[Variable, Variable] = {}
    for s, v in inside.items():
        now.update(_now(s, expressions, v))
    return clone_with(expressions, now), inside


def _fitting(target: SharedVariable, value: Any) -> Variable:
    """Cast the next value of a shared variable to its dtype."""
    value = as_tensor(value)
    name = target.name or "a shared variable"
    if value.ndim != target.ndim:
        text = f"scan: the update of {name} must have as many axes as the variable: {value.ndim} are not {target.ndim}"
        raise ShapeError(located(text, [target, value], "reduce or reshape it to as many axes"))
    if value.dtype == target.dtype:
        return value
    if not is_float(target.dtype) and not np.can_cast(value.dtype, target.dtype, "safe"):
        text = f"scan: the update of {name} has dtype {value.dtype}, which {target.dtype} cannot hold"
        raise DTypeError(located(text, [target, value], f"cast it: symc.tensor.cast(value, {target.dtype!r})"))
    return ew.cast(value, target.dtype)
