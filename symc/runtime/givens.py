"""Givens: variables replaced before a function is compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symc.errors import DTypeError, TypeMismatchError, located
from symc.graph import SharedVariable, Variable, ancestors, clone_with
from symc.graph.dtypes import is_float
from symc.runtime.updates import Updates, pairs
from symc.tensor.axes import specify_shape
from symc.tensor.basic import as_tensor
from symc.tensor.elementwise import cast

__all__ = ["given_pairs", "replace"]


def given_pairs(givens: Any) -> dict[Variable, Variable]:
    """What replaces what, of the type of what is replaced.

    The pairs are read in order: a replacement sees those before it, so ``[(x, y), (z, x + 1)]`` gives ``z`` as
    ``y + 1``.

    Raises
    ------
    TypeError
        When what is replaced is no variable, or the replacement's dtype loses information.
    TypeMismatchError
        When the replacement has another number of axes, or a length known to differ from a declared one.
    ValueError
        When a variable is replaced twice, or a replacement depends on a variable that is replaced by it or after it.
    """
    replaced: dict[Variable, Variable] = {}
    read: dict[Any, Variable] = {}  # what the replacements so far depend on, and the variable each served
    for old, new in pairs(givens, "givens"):
        if not isinstance(old, Variable):
            raise TypeError(located(f"function: givens must replace symbolic variables, got {old!r}"))
        if new is old:
            continue
        if old in replaced:
            raise ValueError(located(f"function: givens replace {old!r} twice", [old]))
        new = clone_with([as_tensor(new)], replaced)[0]
        for v in ancestors([new]):
            read.setdefault(_identity(v), old)
        user = read.get(_identity(old))
        if user is not None:
            text = f"function: givens replace {old!r}, but the replacement of {user!r} depends on it"
            repair = "a replacement may depend on variables that are replaced before it, not on itself or later ones"
            raise ValueError(located(text, [old, user], repair))
        replaced[old] = _fitting_given(old, new)
    return replaced


def _identity(v: Variable) -> Any:
    """What two variables have in common that stand for one value: themselves, or the storage of clones."""
    return id(v.storage) if isinstance(v, SharedVariable) else v


def _fitting_given(old: Variable, new: Variable) -> Variable:
    if new.ndim != old.ndim:
        text = f"function: givens replace {old!r}, of {old.ndim} axes, by an expression of {new.ndim} axes"
        raise TypeMismatchError(located(text, [old, new]))
    if new.dtype != old.dtype:
        if is_float(new.dtype) and not is_float(old.dtype):
            text = f"function: givens replace {old!r}, of dtype {old.dtype}, by an expression of dtype {new.dtype}"
            raise DTypeError(located(text, [old, new], f"cast it: symc.tensor.cast(value, {old.dtype!r})"))
        new = cast(new, old.dtype)
    return specify_shape(new, old.static_shape, f"function: givens: the replacement of {old!r}")


def replace(
    variables: Sequence[Variable], updates: Updates, replaced: Mapping[Variable, Variable]
) -> tuple[list[Variable], Updates]:
    """Outputs and updates with the givens put in."""
    if not replaced:
        return list(variables), updates
    cloned = clone_with([*variables, *[v for _, v in updates]], replaced)
    count = len(variables)
    return cloned[:count], [(s, v) for (s, _), v in zip(updates, cloned[count:])]
