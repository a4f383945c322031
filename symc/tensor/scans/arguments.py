"""The arguments of ``scan``: sequences and states with taps, the number of steps, and what a step returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Constant, Variable, dims
from symc.graph.dtypes import is_integer
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, constant
from symc.tensor.checked import checked_below
from symc.tensor.requirements import require_lengths
from symc.tensor.scans.program import rows
from symc.tensor.symbolic_dims import as_dim, length, shape_i

__all__ = ["Result", "State", "listed", "number_of_steps", "parse_result", "parse_sequences", "parse_states", "until"]


class until:
    """A condition that ends a scan: returned by its function, last, in ``return outputs, until(condition)``.

    Parameters
    ----------
    condition : Variable
        A scalar; the loop ends after the first step for which it is not zero.
    """

    def __init__(self, condition: Any) -> None:
        self.condition = as_tensor(condition)
        if self.condition.ndim:
            repair = "reduce it with .all() or .any()"
            raise ShapeError(located("until: the condition must be a scalar", [self.condition], repair))


def listed(value: Any) -> list[Any]:
    """A list of the entries of an argument that may also be None or a single entry."""
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


# --- sequences --------------------------------------------------------------------------------------------------------


def parse_sequences(given: Any) -> list[tuple[Variable, Variable]]:
    """One pair per argument of the step: the variable inside, and the part of the sequence that it reads.

    A sequence ``x`` with taps is read at several places; the part for tap k is as long as there are steps t for which
    all ``x[t + tap]`` exist, counted from the first one.
    """
    found: list[tuple[Variable, Variable]] = []
    for number, entry in enumerate(listed(given)):
        sequence, taps = _sequence_and_taps(entry, number)
        if not sequence.ndim:
            text = f"scan: sequence {number} is a scalar"
            raise ShapeError(located(text, [sequence], "list it among non_sequences"))
        for tap, part in zip(taps, _parts(sequence, taps)):
            name = None if sequence.name is None else f"{sequence.name}[t{tap:+d}]" if tap else f"{sequence.name}[t]"
            found.append((_inner(sequence.dtype, sequence.type.shape[1:], name or f"v{len(found)}"), part))
    return found


def _parts(x: Variable, taps: Sequence[int]) -> list[Variable]:
    """The part of ``x`` that each tap reads."""
    low, high = min(0, *taps), max(0, *taps)
    if (low, high) == (0, 0):
        return [x] * len(taps)
    count = ew.maximum(shape_i(x, 0) - (high - low), 0)
    return [rows(x, ew.minimum(tap - low, shape_i(x, 0)), count) for tap in taps]


def _sequence_and_taps(entry: Any, number: int) -> tuple[Variable, list[int]]:
    if not isinstance(entry, Mapping):
        if entry is None:
            raise TypeError(f"scan: sequence {number} is None")
        return as_tensor(entry), [0]
    _only(entry, ("input", "taps"), f"sequence {number}")
    if entry.get("input") is None:
        raise ValueError(f"scan: sequence {number} is a dict without 'input'")
    return as_tensor(entry["input"]), _taps(entry.get("taps", 0), f"sequence {number}")


def _only(entry: Mapping[str, Any], names: Sequence[str], what: str) -> None:
    unknown = [name for name in entry if name not in names]
    if unknown:
        raise ValueError(f"scan: {what} is a dict with {unknown[0]!r}; its entries may be {' and '.join(names)}")


def _taps(taps: Any, what: str) -> list[int]:
    found = [0] if taps is None else listed(taps)
    if not found or not all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) for k in found):
        raise TypeError(f"scan: the taps of {what} must be integers, got {taps!r}")
    return [int(k) for k in found]


# --- states -----------------------------------------------------------------------------------------------------------


class State(NamedTuple):
    """An output that the step reads again.

    Attributes
    ----------
    past : list of (Variable, Variable)
        The variable inside and the initial value of the result of 1, 2, ... steps before.
    taps : list of int
        Negative; ``past[-tap - 1]`` is what the step is given for each of them.
    """

    past: list[tuple[Variable, Variable]]
    taps: list[int]

    @property
    def start(self) -> Variable:
        """The initial value that the result of the step must fit."""
        return self.past[0][1]

    @property
    def arguments(self) -> list[Variable]:
        """What the step is given."""
        return [self.past[-tap - 1][0] for tap in self.taps]


def parse_states(given: Any) -> list[State | None] | None:
    """One entry per output of the step, None if it is no state; None instead of a list if nothing is given."""
    infos = listed(given)
    if not infos:
        return None
    return [_state(entry, number) for number, entry in enumerate(infos)]


def _state(entry: Any, number: int) -> State | None:
    taps: list[int] = [-1]
    what = f"output {number}"
    if isinstance(entry, Mapping):
        _only(entry, ("initial", "taps", "inplace"), f"outputs_info[{number}]")
        if entry.get("initial") is None:
            if entry.get("taps") is not None:
                raise ValueError(f"scan: {what} has taps {entry['taps']!r}, but no initial value")
            return None
        if "taps" in entry and entry["taps"] is None:
            return None
        taps = _taps(entry.get("taps", -1), what)
        entry = entry["initial"]
    if entry is None:
        return None
    if len(set(taps)) < len(taps):
        raise ValueError(f"scan: the taps of {what} must differ, got {taps}")
    for tap in taps:
        if tap >= 0:
            raise ValueError(f"scan: {what} can only be read in the past, with negative taps, got {tap}")
    initial, depth = as_tensor(entry), -min(taps)
    name = initial.name or f"s{number}"
    if taps == [-1]:
        return State([(_inner(initial.dtype, initial.type.shape, f"{name}[t-1]"), initial)], taps)
    if not initial.ndim:
        text = f"scan: the initial value of {what} needs an axis for the {depth} entries that its taps {taps} read"
        raise ShapeError(located(text, [initial], "stack the values before the first step, the earliest first"))
    initial = _at_least(initial, depth, what, taps)
    past = []
    for k in range(1, depth + 1):
        inside = _inner(initial.dtype, initial.type.shape[1:], f"{name}[t-{k}]")
        past.append((inside, initial[depth - k]))
    return State(past, taps)


def _at_least(initial: Variable, depth: int, what: str, taps: Sequence[int]) -> Variable:
    """The first ``depth`` entries of the initial value, which must exist."""
    known = initial.type.shape[0]
    text = f"scan: the initial value of {what} must have {depth} entries on its first axis, which the taps {taps} read"
    repair = "stack the values before the first step, the earliest first"
    if type(known) is int:
        if known < depth:
            raise ShapeError(located(f"{text}; it has {known}", [initial], repair))
        return initial
    have = ew.minimum(shape_i(initial, 0), constant(depth, dtype="int64"))
    return rows(require_lengths(initial, [(have, depth, text)], repair), 0, constant(depth, dtype="int64"))


def _inner(dtype: str, shape: Sequence[dims.Dim], name: str) -> Variable:
    return Variable(TensorType(dtype, shape), None, 0, name)


# --- the number of steps ----------------------------------------------------------------------------------------------


def number_of_steps(
    sequences: Sequence[Variable], n_steps: Any, backwards: bool
) -> tuple[Variable, list[Variable], bool]:
    """The number of steps, the sequences cut to it, and whether they are read backwards."""
    if n_steps is None:
        if not sequences:
            raise ValueError(located("scan: nothing tells the number of steps", [], "give sequences or n_steps"))
        lengths: list[Variable] = []
        for v in sequences:
            if not any(dims.equal(v.type.shape[0], as_dim(other)) for other in lengths):
                lengths.append(as_tensor(length(v, 0)))
        count = lengths[0]
        for other in lengths[1:]:
            count = ew.minimum(count, other)
        count = ew.cast(count, "int64")
        return count, [_cut(v, count, backwards) for v in sequences], backwards
    count = as_tensor(n_steps)
    if count.ndim or not is_integer(count.dtype):
        raise DTypeError(located("scan: n_steps must be an integer", [count]))
    if isinstance(count, Constant):
        backwards = backwards != (count.data < 0)
        count = constant(abs(int(count.data)), dtype="int64")
    else:
        count = _not_negative(ew.cast(count, "int64"))
    return count, [v[:count] if not backwards else v[v.shape[0] - count :] for v in sequences], backwards


def _not_negative(count: Variable) -> Variable:
    """Check a number of steps known only at call time, unless its dim shows that it cannot be negative."""
    if dims.equal(dims.maximum(as_dim(count), 0), as_dim(count)) is True:
        return count
    repair = "a negative number known when the scan is built runs it backwards"
    return checked_below(count, np.int64(2**62), "scan: n_steps must not be negative", repair)


def _cut(v: Variable, count: Variable, backwards: bool) -> Variable:
    """The ``count`` entries of ``v`` to read; it has as many."""
    if dims.equal(v.type.shape[0], as_dim(count)):
        return v
    return rows(v, shape_i(v, 0) - count if backwards else 0, count)


# --- what the step returns --------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """What a step returns: its outputs, updates of shared variables, and the condition that ends the loop."""

    outputs: list[Variable]
    updates: dict[Any, Any]
    condition: Variable | None


def parse_result(found: Any) -> Result:
    """Interpret what the function of a scan returned.

    Parameters
    ----------
    found : Variable, list, tuple, dict or None
        Outputs, updates, or ``(outputs, updates)``, each optionally followed by ``until(condition)``.
    """
    if found is None:
        return Result([], {}, None)
    if isinstance(found, until):
        return Result([], {}, found.condition)
    if _is_updates(found):
        return Result([], dict(found), None)
    parts = list(found) if isinstance(found, (list, tuple)) else [found]
    condition = parts.pop().condition if parts and isinstance(parts[-1], until) else None
    if len(parts) == 2 and _is_updates(parts[1], nested=True):
        return Result(_outputs(parts[0]), dict(parts[1]), condition)
    if len(parts) == 2 and _is_updates(parts[0], nested=True):
        return Result(_outputs(parts[1]), dict(parts[0]), condition)
    if len(parts) == 1 and condition is not None and _is_updates(parts[0], nested=True):
        return Result([], dict(parts[0]), condition)
    if len(parts) == 1 and isinstance(parts[0], (list, tuple)):
        parts = list(parts[0])
    return Result(_outputs(parts), {}, condition)


def _is_updates(value: Any, nested: bool = False) -> bool:
    """Whether a value is a mapping or a list of pairs; ``nested``: whether it stands beside other parts."""
    if isinstance(value, Mapping):
        return True
    pairs = isinstance(value, (list, tuple)) and all(isinstance(e, (list, tuple)) and len(e) == 2 for e in value)
    return pairs and (nested or bool(value)) and all(isinstance(e[0], Variable) and e[0].owner is None for e in value)


def _outputs(value: Any) -> list[Variable]:
    parts = [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
    for k, v in enumerate(parts):
        if isinstance(v, (list, tuple, Mapping, until)) or v is None:
            form = "outputs, updates, or (outputs, updates), and until(condition) last"
            raise ValueError(f"scan: fn must return {form}; entry {k} of what it returned is {v!r}")
    return [as_tensor(v) for v in parts]
