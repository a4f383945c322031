"""``scan``: repetition of a step over time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.errors import DTypeError, MissingInputError, ShapeError, located
from symc.graph import SharedVariable, Variable, ancestors
from symc.graph.op import Arg, Case, add_cases
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant
from symc.tensor.creation import arange
from symc.tensor.scans.arguments import (
    State,
    listed,
    number_of_steps,
    parse_result,
    parse_sequences,
    parse_states,
    until,
)
from symc.tensor.scans.gradient import SCAN, apply_scan
from symc.tensor.scans.held import of_held_dtypes
from symc.tensor.scans.lengths import first_entry, with_fixed_lengths
from symc.tensor.scans.program import rows, without
from symc.tensor.scans.updates import Carried, collect_updates, replace_shared
from symc.tensor.state import carry_updates
from symc.tensor.symbolic_dims import SHAPE_I

__all__ = ["scan", "until"]


@of_held_dtypes
def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
    profile: Any = False,
    allow_gc: Any = None,
    strict: bool = False,
    return_list: bool = False,
) -> tuple[Any, dict[Any, Any]]:
    """Repeat a step over time.

    Parameters
    ----------
    fn : callable
        The step, called once with symbolic arguments, in this order: for each sequence the entries at its taps, for
        each state its values at its taps, then the ``non_sequences``. It returns the next states and other outputs, one
        per entry of ``outputs_info``, as a variable or a list; or updates of shared variables, as a dict or a list of
        pairs; or ``(outputs, updates)``. ``until(condition)`` may follow as the last entry.
    sequences : Variable, dict, or sequence of these, optional
        Variables of which each step reads entries along the first axis. ``dict(input=x, taps=[-2, 0])`` reads
        ``x[t - 2]`` and ``x[t]``; the first step has the smallest t for which all of them exist.
    outputs_info : Variable, number, dict, None, or sequence of these, optional
        Per output of ``fn``, the initial value if it is a state, else None. ``dict(initial=s, taps=[-3, -1])`` gives
        the step the results of three steps ago and of the last step; the first three entries of ``s`` are what came
        before the first step, the earliest first. With ``taps=[-1]``, the default, the initial value has no such axis.
    non_sequences : Variable or sequence of Variable, optional
        Passed to every step. Outside variables that ``fn`` uses need not be listed.
    n_steps : int or Variable, optional
        The number of steps; by default that of the shortest sequence. Sequences must be at least that long; what
        follows is not read. A negative number runs the scan backwards.
    truncate_gradient : int
        The number of steps, counted from the last one, through which gradients flow back; -1: all. Gradients by what
        earlier steps read, and by initial values, are zero.
    go_backwards : bool
        Read sequences from their last entry to the first. Outputs are in the order of the steps.
    mode, profile, allow_gc
        Have no effect: the step is compiled with the function that uses it. Accepted for old programs.
    name : str, optional
    strict : bool
        Refuse shared variables that ``fn`` uses without being given them.
    return_list : bool
        Return a list of outputs even if there is only one.

    Returns
    -------
    outputs : Variable or list of Variable
        The states after every step and the other outputs, each ``(steps, ...)``; the variable itself if there is one,
        None if there is none.
    updates : dict
        The last values of the shared variables that the steps update, to be passed to ``symc.function``.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If states change shape or dtype, if the number of steps is not given, or if the number of outputs of ``fn``
        differs from the number of entries of ``outputs_info``.

    Notes
    -----
    With ``until(condition)``, ``n_steps`` or the sequences limit the number of steps, and outputs have one entry per
    step that was done, the one that met the condition included.

    A shared variable that a step updates has its new value in the next step. Random draws made by ``fn`` differ from
    step to step. A function that depends on the outputs advances their streams (and other default updates in the step)
    even if ``updates`` is not passed to it; updates that ``fn`` returned are applied only if passed.

    ``symc.config.scan_memory`` limits the memory that the gradient takes for the states of all steps.

    Examples
    --------
    >>> x, k = T.vector("x"), T.iscalar("k")
    >>> powers, _ = symc.scan(lambda p, x: p * x, outputs_info=T.ones_like(x), non_sequences=x, n_steps=k)
    >>> symc.function([x, k], powers[-1])([1, 2, 3], 3)
    array([ 1.,  8., 27.], dtype=float32)

    Fibonacci's numbers read two values of the past:

    >>> two = T.lvector("two")
    >>> numbers, _ = symc.scan(lambda a, b: a + b, outputs_info=dict(initial=two, taps=[-2, -1]), n_steps=6)
    >>> symc.function([two], numbers)([0, 1])
    array([ 1,  2,  3,  5,  8, 13])
    """
    if isinstance(truncate_gradient, bool) or not isinstance(truncate_gradient, (int, np.integer)):
        raise TypeError(f"scan: truncate_gradient must be a number of steps or -1, got {truncate_gradient!r}")
    if truncate_gradient < -1:
        raise ValueError(f"scan: truncate_gradient must be a number of steps or -1, got {truncate_gradient}")
    read = parse_sequences(sequences)
    infos = parse_states(outputs_info)
    fixed = [as_tensor(v) for v in listed(non_sequences)]
    count, parts, backwards = number_of_steps([v for _, v in read], n_steps, go_backwards)
    arguments = [*(v for v, _ in read), *(v for s in infos or [] if s is not None for v in s.arguments), *fixed]
    before = Variable(TensorType("bool", ()), None, 0, None).serial
    _check_arity(fn, read, infos, fixed, arguments)
    result = parse_result(fn(*arguments))
    if infos is None:
        infos = [None] * len(result.outputs)
    if len(result.outputs) != len(infos):
        text = f"scan: fn gives {len(result.outputs)} outputs, outputs_info has {len(infos)} entries"
        raise ValueError(located(text, result.outputs, "give None for outputs that the step does not read again"))
    condition = result.condition
    if condition is not None and condition.dtype != "bool":
        condition = ew.neq(condition, 0)
    results = [r if s is None else _fitting(k, r, s.start) for k, (r, s) in enumerate(zip(result.outputs, infos))]
    first = {v: partial(first_entry, part, backwards) for (v, _), part in zip(read, parts)}
    first |= {v: partial(as_tensor, start) for s in infos if s is not None for v, start in s.past}
    results = with_fixed_lengths(results, infos, first, count)
    expressions = [*results, *([] if condition is None else [condition])]
    carried = collect_updates(expressions, result.updates, before)
    step = _Step([(v, part) for (v, _), part in zip(read, parts)], infos, results, condition, carried)
    allowed = _only_listed([*fixed, *arguments]) if strict else None
    outputs, updates = step.applied(count, backwards, int(truncate_gradient), allowed)
    for k, v in enumerate(outputs):
        v.name = name if name is None or len(outputs) == 1 else f"{name}{k}"
    if return_list or len(outputs) > 1:
        return outputs, updates
    return (outputs[0] if outputs else None), updates


class _Step:
    """A step, ready to be repeated.

    Parameters
    ----------
    sequences : list of (variable inside, sequence)
    infos : list of State or None
    results : list of Variable
        One per entry of ``infos``.
    condition : Variable or None
    carried : Carried
    """

    def __init__(
        self,
        sequences: Sequence[tuple[Variable, Variable]],
        infos: Sequence[State | None],
        results: Sequence[Variable],
        condition: Variable | None,
        carried: Carried,
    ) -> None:
        self.sequences, self.infos, self.carried = list(sequences), infos, carried
        expressions = [*results, *carried.values.values(), *([] if condition is None else [condition])]
        found, self.inside = replace_shared(expressions, carried.values)
        self.results = found[: len(results)]
        self.next = dict(zip(carried.values, found[len(results) :]))
        self.condition = None if condition is None else found[-1]

    def applied(
        self, count: Variable, backwards: bool, truncate: int, allowed: Any
    ) -> tuple[list[Variable], dict[Any, Any]]:
        """The outputs, in the order of the steps, and the updates."""
        sequences = self.sequences
        if self.condition is not None and backwards:  # a loop that may end early reads forwards
            sequences, backwards = [(v, s[::-1]) for v, s in sequences], False
        states: list[tuple[Variable, Variable, Variable]] = []
        first: list[int | None] = []  # the position of an output among the states
        for info, result in zip(self.infos, self.results):
            first.append(None if info is None else len(states))
            if info is not None:
                after = [result, *(v for v, _ in info.past[:-1])]
                states += [(v, start, following) for (v, start), following in zip(info.past, after)]
        history = len(states)
        draws = [s for s in self.next if _counts(s, self.carried)]
        sequences = [*sequences, *((self.inside[s], _counters(s, count, backwards)) for s in draws)]
        moving = [s for s in self.next if s not in draws]
        states += [(self.inside[s], s, self.next[s]) for s in moving]
        made = [r for info, r in zip(self.infos, self.results) if info is None]
        keep = [True] * history + [False] * len(moving)
        found, stacked, done = apply_scan(
            count, sequences, states, [], made, backwards, keep, self.condition, truncate, "", allowed
        )
        if backwards:  # the op's outputs are in the order of the sequences; reorder them by steps
            stacked = [v[::-1] for v in stacked]
        of_others = iter(stacked)
        outputs = [next(of_others) if k is None else without(True, found[k]) for k in first]
        if self.condition is not None:
            outputs = [rows(v, 0, done) for v in outputs]
        updates: dict[Any, Any] = dict(zip(moving, found[history:]))
        updates.update((s, _shifted(s, done)) for s in draws)
        updates = {s: updates[s] for s in self.next}
        automatic = {s: v for s, v in updates.items() if s in self.carried.automatic}
        if automatic:
            outputs = [carry_updates(v, automatic) for v in outputs]
        return outputs, updates


# --- random draws: the number of the draw is the first one plus t -----------------------------------------------------


def _counts(s: SharedVariable, carried: Carried) -> bool:
    """Whether a state of a draw counts the steps."""
    return bool(s.tag.__dict__.get("of_draw")) and carried.values[s] is s.default_update


def _counters(s: SharedVariable, count: Variable, backwards: bool) -> Variable:
    """The states of a draw in all steps, as a sequence."""
    t = arange(count, dtype="int64")
    t = count - 1 - t if backwards else t
    return _shifted(s, dimshuffle(t, (0, "x")))


def _shifted(s: SharedVariable, draws: Variable) -> Variable:
    """The state after that many draws."""
    return ew.add(s, ew.mul(ew.cast(draws, "uint64"), constant(np.array([0, 1], "uint64"))))


# --- checks -----------------------------------------------------------------------------------------------------------


def _check_arity(
    fn: Callable[..., Any],
    read: Sequence[tuple[Variable, Variable]],
    infos: Sequence[State | None] | None,
    fixed: Sequence[Variable],
    arguments: Sequence[Variable],
) -> None:
    """Check that the step is a function, and takes as many arguments as it will be given."""
    if not callable(fn):
        repair = "give a function that takes variables and returns those of the next step"
        raise TypeError(located(f"scan: fn must be a function, got {fn!r}", repair=repair))
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # of functions in C
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        states = sum(len(s.arguments) for s in infos or [] if s is not None)
        counts = f"{len(read)} of sequences, {states} of states, {len(fixed)} of non_sequences"
        name = getattr(fn, "__name__", repr(fn))
        text = f"scan: the step {name}{signature} does not take the {len(arguments)} arguments that it is called with"
        repair = "give it one parameter per entry, sequences first, then states in outputs_info, then non_sequences"
        raise TypeError(located(f"{text}: {counts}", [s for _, s in read], repair)) from None


def _only_listed(listed_variables: Sequence[Variable]) -> Callable[[Sequence[Variable]], None]:
    """A check that refuses other shared variables than these, and those that these are computed from.

    A length of an axis may follow from any variable.
    """
    known = frozenset(listed_variables)

    def check(outside: Sequence[Variable]) -> None:
        lengths = {v for v in ancestors(outside, known) if v.owner is not None and v.owner.op.record is SHAPE_I}
        within = ancestors(outside, known | lengths)
        missing = [v for v in within if isinstance(v, SharedVariable) and v not in known]
        if missing:
            text = "scan: with strict=True, fn must be given every shared variable that it uses; not given:"
            names = ", ".join(map(repr, missing))
            raise MissingInputError(located(f"{text} {names}", missing, "list them among non_sequences"))

    return check


def _fitting(k: int, after: Variable, start: Variable) -> Variable:
    """Convert the next value of a state to the dtype of its initial value."""
    if after.ndim != start.ndim:
        text = f"scan: state {k} begins with {start.ndim} axes, the step gives {after.ndim}"
        raise ShapeError(located(text, [start, after], "give it an initial value of the shape that it will have"))
    if after.dtype == start.dtype:
        return after
    if ew.unify_dtypes([after, start]) != start.dtype:
        text = f"scan: state {k} begins as {start.dtype}, the step gives {after.dtype}"
        raise DTypeError(located(text, [start, after], f"cast the initial value to {after.dtype}"))
    return ew.cast(after, start.dtype)


def _cases() -> list[Case]:
    def decay(x: Variable, h: Variable, w: Variable) -> Any:
        return scan(lambda x, h, w: ew.tanh(h * w + x), [x], [h], [w])[0]

    def oracle(x: np.ndarray, h: np.ndarray, w: np.ndarray) -> np.ndarray:
        found = []
        for row in x:
            h = np.tanh(h * w + row)
            found.append(h)
        return np.stack(found)

    def both(x: Variable, h: Variable) -> Any:
        return scan(lambda x, h: [h * x, h + x], [x], [h, None], go_backwards=True)[0]

    def both_oracle(x: np.ndarray, h: np.ndarray) -> Any:
        states, sums = [], []
        for row in x[::-1]:
            sums.append(h + row)
            h = h * row
            states.append(h)
        return np.stack(states), np.stack(sums)

    def doubled(x: Variable, h: Variable) -> Any:
        return scan(lambda x, h: ([h * 2 + x, h * x], until((h * 2 + x).sum() > 20)), [x], [h, None], n_steps=5)[0]

    def doubled_oracle(x: np.ndarray, h: np.ndarray) -> Any:
        states, products = [], []
        for row in x:
            products.append(h * row)
            h = h * 2 + row
            states.append(h)
            if h.sum() > 20:
                break
        return np.stack(states), np.stack(products)

    return [
        Case(decay, (Arg((4, 3)), Arg((3,)), Arg((3,))), expect=oracle),
        Case(both, (Arg((3, 2), low=0.5), Arg((2,), low=0.5)), expect=both_oracle),
        Case(lambda h: scan(lambda h: ew.sin(h) + h, None, [h], n_steps=3)[0][-1], (Arg((2, 2)),), expect=_thrice),
        Case(doubled, (Arg((6, 2), low=0.5), Arg((2,), values=[1.0, 2.0])), expect=doubled_oracle),
    ]


def _thrice(h: np.ndarray) -> np.ndarray:
    for _ in range(3):
        h = np.sin(h) + h
    return h


add_cases(SCAN, _cases)
