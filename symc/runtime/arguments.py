"""The inputs and outputs of ``function``: validation and normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np

from symc.errors import MissingInputError, UnusedInputError, located, warn
from symc.graph import Constant, SharedVariable, Variable, ancestors, convert_value, is_input
from symc.graph.bfloat16 import bits_of
from symc.graph.composite import Composite
from symc.graph.dtypes import BRAIN
from symc.graph.types import TensorType
from symc.graph.variables import as_pairs
from symc.runtime.updates import Updates, fitting_update
from symc.tensor.basic import as_tensor

__all__ = ["MISSING", "In", "Out", "check_inputs", "flatten_outputs", "input_specs"]

MISSING: Any = object()
"""Marks an argument that was not given."""


class In:
    """An input with a default value, an update, or a conversion policy of its own.

    Parameters
    ----------
    variable : Variable
    name : str, optional
        The keyword under which a call may give it; by default the variable's name.
    value : array_like, optional
        The default value, for calls that do not give the input. It is copied unless `borrow` is True. With
        ``f.container[x]``, the value is that of an input of the function ``f``: both have one state.
    update : Variable, optional
        The default value of the next call, computed from the inputs of the current call: an input with state.
    mutable : bool, optional
        Permit the function to overwrite the argument. Currently, no function does.
    strict : bool
        Refuse values of a different dtype.
    allow_downcast : bool, optional
        Which conversions are permitted, see ``symc.function``; by default as specified for the function.
    autoname : bool
        Whether the name of the variable is the default of `name`.
    implicit : bool, optional
        Whether the input can only be given by name. It requires a `value`.
    borrow : bool, optional
        Use the array `value` without copying it, and permit results to share memory with the argument. Currently, no
        result does. The default is `mutable`.

    Raises
    ------
    TypeError
        If `variable` is not a symbolic variable or is shared, if `value` is symbolic, or if the dtype of `update` does
        not fit.
    ValueError
        If `update` or `implicit` is given without a `value`, or if arguments contradict each other.
    """

    def __init__(
        self,
        variable: Variable,
        name: str | None = None,
        value: Any = None,
        update: Any = None,
        mutable: bool | None = None,
        strict: bool = False,
        allow_downcast: bool | None = None,
        autoname: bool = True,
        implicit: bool | None = None,
        borrow: bool | None = None,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(located(f"In: the name must be text, got {name!r}"))
        self.variable: Any = _as_input(variable)
        self.declared: Variable | None = None  # a complex variable, in whose place a real one stands
        self.name = name or (self.variable.name if autoname else None)
        self.mutable = bool(mutable)
        self.borrow = self.mutable if borrow is None else borrow
        if self.mutable and not self.borrow:
            text = "In: mutable=True with borrow=False contradict each other"
            raise ValueError(located(text, [variable], "an argument that may be overwritten may be borrowed"))
        self.allow_downcast = allow_downcast
        self.strict = strict
        self.implicit = bool(implicit)
        if isinstance(value, Variable):
            text = f"In: the default value must be numbers, got the symbolic variable {value!r}"
            raise TypeError(located(text, [variable], "use givens= to replace a variable by an expression"))
        if isinstance(self.variable, Composite) and (value is not None or update is not None):
            raise TypeError(located(f"In: {variable!r} can have neither a value nor an update"))
        if update is not None and value is None:  # if it does not fit either, that is the first mistake
            fitting_update(self.variable, (1,) * self.variable.ndim, update, f"the update of input {self!r}")
        if value is None and (update is not None or implicit):
            text = f"In: an input with {'an update' if update is not None else 'implicit=True'} needs a first value"
            raise ValueError(located(text, [variable], "pass value="))
        shared = getattr(value, "entry", None)  # a container of another function: both have one state
        self._joined = isinstance(shared, In)
        self._state: list[Any]
        if isinstance(shared, In):
            self._state = shared._state
        else:
            self._state = [value.copy() if isinstance(value, np.ndarray) and not self.borrow else value]
        self.update = None
        if update is not None:
            self.update = fitting_update(variable, np.shape(self.value), update, f"the update of input {self!r}")

    def copy(self) -> In:
        """Return a copy with a default value of its own: a copy of the array, if the function changes it."""
        twin = object.__new__(In)
        twin.__dict__.update(self.__dict__)
        changes = (self.mutable or self.update is not None) and isinstance(self.value, np.ndarray)
        twin._state = self._state if self._joined else [self.value.copy() if changes else self.value]
        twin._joined = False
        return twin

    @property
    def value(self) -> Any:
        """The default value; None if there is none."""
        return self._state[0]

    @value.setter
    def value(self, value: Any) -> None:
        self._state[0] = value

    def convert(self, value: Any, what: str, allow_downcast: bool | None) -> np.ndarray:
        """Convert a value to an array with the dtype and the number of axes of the variable.

        Raises
        ------
        TypeError, ValueError
            If that is impossible, or not permitted by the policy. The message starts with `what`.
        """
        variable = self.variable if self.declared is None else self.declared
        wanted = _of_any_shape(variable.dtype, variable.ndim, variable.name or "n")
        policy = allow_downcast if self.allow_downcast is None else self.allow_downcast
        try:
            array = convert_value(value, wanted, what, self.strict, policy)
        except (TypeError, ValueError) as problem:
            text = str(problem) if str(problem).startswith(what) else f"{what}: {problem}"
            raise type(problem)(located(text, [variable])) from None
        if not array.flags.carray:
            array = np.require(array, requirements=["C", "A"])
        if self.declared is None:
            return array
        return bits_of(array) if self.declared.dtype == BRAIN else as_pairs(array)

    def __repr__(self) -> str:
        return self.name or repr(self.variable)


@lru_cache(maxsize=1024)
def _of_any_shape(dtype: str, ndim: int, name: str) -> TensorType:
    return TensorType(dtype, [None] * ndim, name)


class Out:
    """An output.

    With ``borrow=True``, a result in device memory is returned as a device array, which functions on that device accept
    without a copy. It has no effect on the CPU.
    """

    def __init__(self, variable: Variable | Composite, borrow: bool = False) -> None:
        self.variable: Any = variable if isinstance(variable, Composite) else as_tensor(variable)
        self.borrow = borrow


def input_specs(inputs: Any, allow_downcast: bool | None = None) -> list[In]:
    """Convert the inputs of a function to ``In`` objects with validated default values.

    Raises
    ------
    TypeError, ValueError
        If an input is not a variable or is listed twice, or if a default value does not fit.
    """
    if not isinstance(inputs, (list, tuple)):
        repair = f"for a single one write [{inputs!r}]"
        raise TypeError(located(f"function: inputs must be a list of variables, got {inputs!r}", [], repair))
    specs = [i.copy() if isinstance(i, In) else In(i) for i in inputs]
    listed: set[int] = set()
    for k, spec in enumerate(specs):
        if id(spec.variable) in listed:
            text = f"function: {spec.variable!r} is listed twice among the inputs"
            raise UnusedInputError(located(text, [spec.variable], "list it once: both places would get the same value"))
        listed.add(id(spec.variable))
        if spec.value is not None and not hasattr(spec.value, "download"):  # an array on a device stays there
            converted = spec.convert(spec.value, f"function: the default value of input {k} ({spec!r})", allow_downcast)
            _check_declared(spec, converted)
            spec.value = converted
    return specs


def _check_declared(spec: In, value: np.ndarray) -> None:
    for axis, (declared, found) in enumerate(zip(spec.variable.static_shape, value.shape)):
        if declared is not None and declared != found:
            text = (
                f"function: the default value of {spec!r} has length {found} on axis {axis}, declared to be {declared}"
            )
            raise ValueError(located(text, [spec.variable]))


def _as_input(v: Any) -> Any:
    if isinstance(v, Composite):
        return v
    if not isinstance(v, Variable):
        shown = type(v).__name__ if isinstance(v, np.ndarray) else repr(v)
        text = f"function: an input must be a symbolic variable, got {shown}"
        raise TypeError(located(text, [], "arrays are given when the function is called"))
    if isinstance(v, SharedVariable):
        text = "function: a shared variable cannot be an input: its value is kept, not given"
        raise TypeError(located(text, [v], "use givens= to replace it"))
    if isinstance(v, Constant):
        raise TypeError(located("function: a constant cannot be an input: it has a value", [v], "leave it out"))
    return v


def flatten_outputs(outputs: Any) -> tuple[Any, list[Variable], list[bool]]:
    """Return the structure of the results, the output variables, and which of these are borrowed.

    The structure is None, ``"single"``, the length of a list, or the keys of a dict.
    """
    pattern: Any = "single"
    given = [outputs]
    if outputs is None:
        pattern, given = None, []
    elif isinstance(outputs, dict):
        pattern, given = list(outputs), list(outputs.values())
    elif isinstance(outputs, (list, tuple)):
        pattern, given = len(outputs), list(outputs)
    made = [o if isinstance(o, Out) else Out(_as_output(o)) for o in given]
    return pattern, [o.variable for o in made], [o.borrow for o in made]


def _as_output(o: Any) -> Any:
    try:
        return as_tensor(o)
    except TypeError:
        text = f"function: an output must be an expression or numbers, got {o!r}"
        raise TypeError(located(text, [], "give a variable, a list of them, or a dict of them by name")) from None


def check_inputs(
    specs: Sequence[In],
    variables: Sequence[Variable],
    updates: Updates,
    policy: str,
) -> None:
    """Check that the inputs are exactly the variables that the outputs depend on.

    Raises
    ------
    MissingInputError
        If the outputs depend on a variable that is not an input.
    UnusedInputError
        If no output depends on an input, and ``policy`` is ``"raise"``.
    """
    given = [s.variable for s in specs]
    stop = frozenset(given)
    used: set[Variable] = set()
    for v in ancestors([*variables, *[u for _, u in updates]], stop):
        used.add(v)
        if is_input(v) and v not in stop:
            v = v.__dict__.get("_whole", v)
            near = get_close_matches(v.name or "", [g.name for g in given if g.name], 1)
            known = f" (an input is called {near[0]!r})" if near else ""
            text = "function: the outputs depend on a variable that is not among the inputs"
            raise MissingInputError(located(text, [v], f"add it to inputs, or replace it with givens={known}"))
    for v in given:
        if v not in used and not v.__dict__.get("_mentioned"):
            repair = "leave it out, or pass on_unused_input='ignore'"
            message = located("function: an input is not used by any output or update", [v], repair)
            if policy == "raise":
                raise UnusedInputError(message)
            if policy == "warn":
                warn(message)
