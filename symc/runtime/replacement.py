"""Expressions and functions with some of their variables replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symc.config import config
from symc.errors import DTypeError, ShapeError, located
from symc.graph import Constant, SharedVariable, Variable, ancestors, clone_with
from symc.graph.argument_faults import explain_faults
from symc.runtime.held_arrays import real_pairs, stored
from symc.runtime.updates import check_unique, fitting_shared_update
from symc.tensor.basic import as_tensor
from symc.tensor.conversion import cast

__all__ = ["clone", "with_shared_swapped"]


def clone(output: Any, replace: Any = None, strict: bool = True, share_inputs: bool = True) -> Any:
    """Copy one or several expressions with some variables replaced.

    Parameters
    ----------
    output : Variable, or sequence or dict of them
    replace : mapping or sequence of pairs, optional
        Maps variables of any kind to their replacements.
    strict : bool
        Whether a replacement must have the dtype of the variable it replaces. If False, it is cast.
    share_inputs : bool
        If False, inputs of the result, those of replacements included, are new ones, and shared variables are new ones
        with the same value and no default update.

    Returns
    -------
    Variable, list or dict
        With the structure of ``output``, which is not modified.

    Raises
    ------
    ShapeError, DTypeError
        If a replacement has a different number of axes or, if ``strict``, a different dtype.
    """
    if isinstance(output, Mapping):
        return dict(zip(output, clone(list(output.values()), replace, strict, share_inputs)))
    outputs = list(output) if isinstance(output, (list, tuple)) else [output]
    pairs = replace.items() if isinstance(replace, Mapping) else replace or ()
    replaced: dict[Variable, Variable] = {}
    for old, new in pairs:
        fitting = replaced[old] = _fitting(old, as_tensor(new), strict)
        replaced.update(real_pairs(old, fitting))
    policy = config.compute_test_value
    with config.change(compute_test_value=policy if policy == "off" else "ignore"):  # replacements need none
        cloned = clone_with(outputs, replaced)
        if not share_inputs:
            cloned = clone_with(cloned, _with_new_inputs(cloned))
    return cloned if isinstance(output, (list, tuple)) else cloned[0]


def _with_new_inputs(outputs: Sequence[Variable]) -> dict[Variable, Variable]:
    """New variables in place of the inputs and shared variables behind expressions."""
    replaced: dict[Variable, Variable] = {}
    leaves = [v for v in ancestors(outputs) if v.owner is None and not isinstance(v, Constant)]
    for v in dict.fromkeys(v.__dict__.get("_whole", v) for v in leaves):  # complex inputs with their real forms
        fresh = replaced[v] = _fresh(v)
        replaced.update(real_pairs(v, fresh))
    return replaced


def _fresh(v: Variable) -> Variable:
    """A new variable in place of an input or a shared variable."""
    return v.clone() if isinstance(v, SharedVariable) else Variable(v.type, None, 0, v.name, v.location)


def _fitting(old: Variable, new: Variable, strict: bool) -> Variable:
    if new.ndim != old.ndim:
        raise ShapeError(located("clone: a replacement must have as many axes as what it replaces", [old, new]))
    if new.dtype != old.dtype and strict:
        repair = "cast it, or pass strict=False"
        raise DTypeError(located("clone: a replacement must have the dtype of what it replaces", [old, new], repair))
    return cast(new, old.dtype)


def with_shared_swapped(
    outputs: Sequence[Variable], updates: Sequence[tuple[SharedVariable, Variable]], swap: Mapping[Any, Any]
) -> tuple[list[Variable], list[tuple[SharedVariable, Variable]]]:
    """Replace shared variables in the outputs and updates of a function.

    Raises
    ------
    TypeError
        If ``swap`` contains anything but shared variables, or variables of different dtypes.
    ValueError
        If the function does not use a variable, or if two updates have the same target.
    """
    used = [v for v in ancestors([*outputs, *[v for _, v in updates]]) if isinstance(v, SharedVariable)]
    used += [target for target, _ in updates]
    becomes: dict[Variable, SharedVariable] = {}
    for old, new in swap.items():
        if not isinstance(old, SharedVariable) or not isinstance(new, SharedVariable):
            raise TypeError(f"copy: swap must be from shared variables to shared variables, got {old!r}: {new!r}")
        _fitting(old, new, True)
        old, new = stored(old), stored(new)  # type: ignore[assignment]
        places = [v for v in used if v.storage is old.storage]  # clones of a variable share its value
        if not places:
            raise ValueError(located(f"copy: swap replaces {old!r}, which the function does not use", [old]))
        becomes.update(dict.fromkeys(places, new))
    if not becomes:
        return list(outputs), list(updates)
    found = clone_with([*outputs, *[v for _, v in updates]], becomes)
    count = len(outputs)
    targets = [becomes.get(target, target) for target, _ in updates]
    swapped = [(target, fitting_shared_update(target, v)) for target, v in zip(targets, found[count:])]
    check_unique(swapped)
    return found[:count], swapped


explain_faults(globals())
