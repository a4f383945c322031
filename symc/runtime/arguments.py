"""What a user hands to ``function``: inputs, outputs, updates and givens, checked and brought to one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from symc.compiler.value_numbering import ValueNumbering
from symc.errors import MissingInputError, UnusedInputError, located, warn
from symc.graph import SharedVariable, Variable, ancestors, clone_with, is_input
from symc.graph.dtypes import is_float
from symc.tensor.basic import as_tensor
from symc.tensor.elementwise import cast

__all__ = [
    "MISSING",
    "In",
    "Out",
    "check_inputs",
    "flatten_outputs",
    "given_pairs",
    "input_specs",
    "replace",
    "update_pairs",
    "with_defaults",
]

MISSING: Any = object()
"""In the place of an argument that was not given."""


class In:
    """An input with a default value, an update, or its own casting policy, as in Theano.

    ``update`` is an expression of the default value that the next call is to have: an input that keeps state.
    """

    def __init__(
        self,
        variable: Variable,
        name: str | None = None,
        value: Any = None,
        update: Any = None,
        borrow: bool = False,
        allow_downcast: bool | None = None,
        strict: bool = False,
        mutable: bool = False,
        implicit: Any = None,
    ) -> None:
        self.variable = variable
        self.name = name or variable.name
        self.value = value
        self.update = None if update is None else _next_value(variable, value, update)
        self.allow_downcast = allow_downcast
        self.strict = strict

    def copy(self) -> In:
        """One with the same facts, whose default value goes its own way."""
        twin = object.__new__(In)
        twin.__dict__.update(self.__dict__)
        return twin


def _next_value(variable: Variable, value: Any, update: Any) -> Variable:
    if value is None:
        text = "In: an input with an update needs a first value"
        raise ValueError(located(text, [variable], "pass value="))
    found = as_tensor(update)
    if found.ndim != variable.ndim or not is_float(variable.dtype) and is_float(found.dtype):
        raise TypeError(located("In: an update must be of the type of its input", [variable, found], "cast it"))
    return cast(found, variable.dtype)


class Out:
    """An output. With ``borrow`` a result that lies on a device stays there: the call returns the device's own array,
    which the next function on that device takes as it is. On the CPU it means nothing.
    """

    def __init__(self, variable: Variable, borrow: bool = False) -> None:
        self.variable = as_tensor(variable)
        self.borrow = borrow


def input_specs(inputs: Any) -> list[In]:
    """The inputs of a function as ``In`` objects."""
    if not isinstance(inputs, (list, tuple)):
        repair = f"for a single one write [{inputs!r}]"
        raise TypeError(located(f"function: inputs must be a list of variables, got {inputs!r}", [], repair))
    return [i.copy() if isinstance(i, In) else In(_as_input(i)) for i in inputs]


def _as_input(v: Any) -> Variable:
    if not isinstance(v, Variable):
        shown = type(v).__name__ if isinstance(v, np.ndarray) else repr(v)
        text = f"function: an input must be a symbolic variable, got {shown}"
        raise TypeError(located(text, [], "arrays are given when the function is called"))
    if isinstance(v, SharedVariable):
        text = "function: a shared variable cannot be an input: its value is kept, not given"
        raise TypeError(located(text, [v], "use givens= to replace it"))
    return v


def flatten_outputs(outputs: Any) -> tuple[Any, list[Variable], list[bool]]:
    """How the results of a call are to be arranged, the output variables in order, and which of them are borrowed.

    The arrangement is None, ``"single"``, the length of a list, or the keys of a dict.
    """
    pattern: Any = "single"
    given = [outputs]
    if outputs is None:
        pattern, given = None, []
    elif isinstance(outputs, dict):
        pattern, given = list(outputs), list(outputs.values())
    elif isinstance(outputs, (list, tuple)):
        pattern, given = len(outputs), list(outputs)
    made = [o if isinstance(o, Out) else Out(o) for o in given]
    return pattern, [o.variable for o in made], [o.borrow for o in made]


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    return list(value.items()) if isinstance(value, Mapping) else [tuple(pair) for pair in value]


def update_pairs(updates: Any) -> list[tuple[SharedVariable, Variable]]:
    """Pairs of a shared variable and its next value, cast to its dtype."""
    pairs: list[tuple[SharedVariable, Variable]] = []
    for target, value in _pairs(updates):
        if not isinstance(target, SharedVariable):
            shown = [target] if isinstance(target, Variable) else []
            text = f"function: updates must be of shared variables, got {target!r}"
            raise TypeError(located(text, shown, "make it with symc.runtime.shared"))
        if any(target.storage is t.storage for t, _ in pairs):
            raise ValueError(f"function: {target!r} is updated twice")
        pairs.append((target, _fitting_update(target, as_tensor(value))))
    return pairs


def _fitting_update(target: SharedVariable, value: Variable) -> Variable:
    if value.ndim != target.ndim:
        raise TypeError(located("function: an update must have as many axes as its shared variable", [target, value]))
    if value.dtype == target.dtype:
        return value
    if is_float(target.dtype) or np.can_cast(value.dtype, target.dtype, "safe"):
        return cast(value, target.dtype)
    text = f"function: an update of dtype {value.dtype} does not fit its shared variable of dtype {target.dtype}"
    raise TypeError(located(text, [target, value], f"cast it: symc.tensor.cast(value, {target.dtype!r})"))


def given_pairs(givens: Any) -> dict[Variable, Variable]:
    """What replaces what, cast to the dtypes of what is replaced."""
    replaced: dict[Variable, Variable] = {}
    for old, new in _pairs(givens):
        if not isinstance(old, Variable):
            raise TypeError(f"function: givens must replace symbolic variables, got {old!r}")
        new = as_tensor(new)
        if new.ndim != old.ndim:
            raise TypeError(located("function: givens must not change the number of axes", [old, new]))
        replaced[old] = cast(new, old.dtype) if new.dtype != old.dtype else new
    return replaced


def replace(
    variables: list[Variable], updates: list[tuple[SharedVariable, Variable]], replaced: dict[Variable, Variable]
) -> tuple[list[Variable], list[tuple[SharedVariable, Variable]]]:
    """Outputs and updates with the givens put in."""
    if not replaced:
        return variables, updates
    cloned = clone_with([*variables, *[v for _, v in updates]], replaced)
    count = len(variables)
    return cloned[:count], [(s, v) for (s, _), v in zip(updates, cloned[count:])]


def with_defaults(
    variables: Sequence[Variable],
    updates: list[tuple[SharedVariable, Variable]],
    off: Any,
    replaced: dict[Variable, Variable],
) -> list[tuple[SharedVariable, Variable]]:
    """Add the default updates of every shared variable the expressions depend on, and of those these depend on."""
    if off is True:
        return updates
    result = list(updates)
    specialised = {id(s.storage) for s, _ in updates} | {id(s.storage) for s in (off or ())}
    carried: dict[int, int] = {}  # where in the result a storage's carried update stands
    frontier = [*variables, *[v for _, v in updates]]
    seen: set[Variable] = set()
    while frontier:
        fresh = [v for v in ancestors(frontier) if v not in seen]
        seen.update(fresh)
        frontier = []
        for v in fresh:
            if isinstance(v, SharedVariable) and v.default_update is not None and id(v.storage) not in specialised:
                specialised.add(id(v.storage))
                result.append((v, _default(v, v.default_update, replaced)))
                frontier.append(result[-1][1])
        carriers = [v for v in fresh if v.owner is not None and v.owner.op.name == "carry_updates"]
        for v in sorted(carriers, key=lambda v: v.serial):
            for target, value in zip(v.owner.op["targets"], v.owner.inputs[1:]):  # type: ignore[union-attr]
                if id(target.storage) in specialised:
                    continue
                value = _fitting_update(target, value)  # part of the graph, so givens have been put in already
                frontier.append(value)
                place = carried.setdefault(id(target.storage), len(result))
                if place == len(result):
                    result.append((target, value))
                else:
                    result[place] = (target, _one_after_another(target, result[place][1], value))
    return result


def _default(target: SharedVariable, value: Any, replaced: dict[Variable, Variable]) -> Variable:
    value = _fitting_update(target, as_tensor(value))
    return clone_with([value], replaced)[0] if replaced else value


def _one_after_another(target: SharedVariable, first: Variable, second: Variable) -> Variable:
    """Two carried updates of one shared variable: the second applied to what the first made.

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


def check_inputs(
    specs: Sequence[In],
    variables: Sequence[Variable],
    updates: Sequence[tuple[SharedVariable, Variable]],
    policy: str,
) -> None:
    """Every variable that the outputs need must be listed, once, and every one listed must be needed.

    Raises
    ------
    MissingInputError
        When the outputs depend on a variable that is not listed.
    UnusedInputError
        When a variable is not needed, and ``policy`` is ``"raise"``.
    """
    given = [s.variable for s in specs]
    for k, v in enumerate(given):
        if any(v is w for w in given[:k]):
            raise ValueError(f"function: {v!r} is listed twice among the inputs")
    stop = frozenset(given)
    used: set[Variable] = set()
    for v in ancestors([*variables, *[u for _, u in updates]], stop):
        used.add(v)
        if is_input(v) and v not in stop:
            near = get_close_matches(v.name or "", [g.name for g in given if g.name], 1)
            known = f" (an input is called {near[0]!r})" if near else ""
            text = "function: the outputs depend on a variable that is not among the inputs"
            raise MissingInputError(located(text, [v], f"add it to inputs, or replace it with givens={known}"))
    for v in given:
        if v not in used:
            repair = "leave it out, or pass on_unused_input='ignore'"
            message = located("function: an input is not used by any output", [v], repair)
            if policy == "raise":
                raise UnusedInputError(message)
            if policy == "warn":
                warn(message)
