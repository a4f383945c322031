"""Code of a function for given shapes of its shared variables, and plans for the shapes of a call."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from symc.errors import GuardError, call_error, here, located
from symc.graph import dims
from symc.loops.ir import Buffer, Check, walk
from symc.runtime.code import Code
from symc.runtime.definition import Definition
from symc.runtime.index_errors import rejected
from symc.runtime.memory_use import explained
from symc.runtime.preparation import Compile, Preparation
from symc.runtime.profile import costs, methods
from symc.runtime.segments import results_to_cut
from symc.runtime.short_axes import ShortAxes, is_enough_work, short_lengths, symbols_that_matter
from symc.runtime.turns import taken

__all__ = ["Plan", "Specialisation"]

PLANS = 128
"""The number of combinations of argument shapes whose plans a function keeps."""


class Specialisation(Code):
    """The code for given shapes of a function's shared variables, with a plan per combination of argument shapes.

    Parameters
    ----------
    owner : Definition
    slow : callable
        What the launcher calls for arguments that it does not know.
    compile : callable
        See ``symc.runtime.preparation``.
    long : bool
        Whether axes of arguments are taken for as long as constants in slices ask for.
    lengths : mapping, optional
        Lengths of axes of the arguments by their symbols, see ``symc.runtime.short_axes``.

    Attributes
    ----------
    representable : bool
        Whether scaled weights can be represented, as far as is known.
    """

    def __init__(
        self,
        owner: Definition,
        slow: Callable[..., Any],
        compile: Compile,
        long: bool = False,
        lengths: Mapping[Any, int] | None = None,
    ) -> None:
        super().__init__(owner, long, lengths)
        self._slow = slow
        self._compile = compile
        places = {
            d: (k, axis)
            for k, v in reversed(list(enumerate(owner.inputs)))
            for axis, d in enumerate(v.type.shape)
            if type(d) is not int
        }
        self.least = [(*places[d], m, n) for d, (m, n) in self.graph.longer.items()]
        self.same = [(*places[a], *places[b]) for a, b in self.graph.same.items()]
        self.lazy = [g for g in self.graph.guards if g.lazy]
        self._shorter: Specialisation | None = None
        self._long = long
        self.lengths = [(*places[d], n) for d, n in (lengths or {}).items()]
        self.short = ShortAxes()
        self.representable = True
        self.preparation: Preparation | None = None
        if self.state.prepared:
            self.preparation = Preparation(compile, self.state.prepared, self.graph.sources)
            self.shared += self.preparation.variables.values()
        slots = {id(s.storage): k for k, s in enumerate(self.shared)}
        buffers = self.program.buffers
        first = len(owner.outputs)
        self.swapped = {
            k: slots[id(owner.updates[b.slot - first][0].storage)]
            for k, b in enumerate(buffers)
            if b.role == "update" and b.alias < 0
        }
        self.held_in = {b.slot: k for k, b in enumerate(buffers) if b.role == "shared"}
        self.overwritten = [buffers[k].slot for k in self.program.updated]
        self.changed = changed = frozenset((*self.overwritten, *self.swapped.values()))
        self.written_turns = [s.storage.turn for k, s in enumerate(self.shared) if k in changed]
        self.read_turns = [s.storage.turn for k, s in enumerate(self.shared) if k not in changed]
        hold = getattr(self.executable, "hold", None)
        if hold is not None:
            hold([None if k in changed else s.storage for k, s in enumerate(self.shared)])
        self.empty = getattr(owner.backend, "empty", self.space.empty)
        self.spare: dict[int, Any] = {}
        self.stepwise: OrderedDict[Any, Any] = OrderedDict()  # see symc.runtime.stepwise
        self.cut = results_to_cut(self.program)
        self.shape_codes = {node.code for node in walk(self.program.body) if isinstance(node, Check)}
        self.fast = self._launch(owner.backend)
        self.plans: OrderedDict[Any, Plan] = OrderedDict()
        symbolic = [(b, axis, d) for b in buffers for axis, d in enumerate(b.shape) if type(d) is not int]
        given = set(self.program.symbols[: self.program.given])
        self.checked = [(b, axis, d) for b, axis, d in symbolic if dims.symbols_of(d) <= given]
        self.evaluate_checked = dims.compile([d for *_, d in self.checked], self.program.symbols)

    def _launch(self, backend: Any) -> Any:
        """The back end's fast path for calls, if it has one and the function's arguments and results permit it."""
        owner = self.owner
        make = getattr(backend, "launch", None)
        defaults = any(s.value is not None for s in owner.specs)
        if make is None or defaults or owner.profile is not None or self.cut:
            return None
        returns = 0 if owner.pattern == "single" else 1 if owner.outputs else 2
        fast = make(self.executable, self._slow, self.fail, returns)
        if fast is not None:
            for shared in self.shared:
                shared.storage.watch(fast)
        return fast

    @property
    def call(self) -> Callable[..., Any] | None:
        """The fast path of calls, if there is one: the latest code's for short axes, which calls the others."""
        latest = self.short.codes[-1] if self.short.codes else self
        return None if latest.fast is None else latest.fast.call  # type: ignore[no-any-return]

    def fits(self) -> bool:
        """Whether the shared variables have the shapes that the code was compiled for."""
        return all(s.storage.shape == shape for s, shape in zip(self.own, self.shared_shapes))

    def suits(self, arrays: Sequence[Any]) -> bool:
        """Whether the arguments are as long as the code takes them to be."""
        if any(arrays[k].shape[axis] != arrays[m].shape[other] for k, axis, m, other in self.same):
            return False
        if any(arrays[k].shape[axis] != n for k, axis, n in self.lengths):
            return False
        if self.lazy and not self._meets_lazy(arrays):
            return False
        return all(arrays[k].shape[axis] >= n for k, axis, _, n in self.least)

    def _meets_lazy(self, arrays: Sequence[Any]) -> bool:
        """Whether the arguments meet what only branches require, as far as their shapes tell."""
        if tuple([a.shape for a in arrays]) in self.plans:
            return True
        known: dict[Any, int] = {}
        for v, array in zip(self.owner.inputs, arrays):
            known.update((d, n) for d, n in zip(v.type.shape, array.shape) if type(d) is not int)
        return all(
            dims.evaluate(g.left, known) == dims.evaluate(g.right, known)
            for g in self.lazy
            if dims.symbols_of(g.left) | dims.symbols_of(g.right) <= known.keys()
        )

    @property
    def shorter(self) -> Specialisation:
        """The code for other arguments, compiled when it is first needed."""
        if self._shorter is None or not self._shorter.fits():
            self._shorter = Specialisation(self.owner, self._slow, self._compile)
        return self._shorter

    @cached_property
    def _symbols_that_matter(self) -> dict[Any, int]:
        return symbols_that_matter(self.owner, self.graph.unified)

    def _short_lengths(self, arrays: Sequence[Any]) -> dict[Any, int]:
        """The lengths of short axes for which code of its own is worth it, if the arguments are valid."""
        if self.lengths or self.preparation is not None or not self.owner.may_be_short:
            return {}
        found = short_lengths(self.owner.inputs, arrays, self.graph.unified, self._symbols_that_matter)
        return found if found and is_enough_work(*costs(self.program, self.plan(arrays).symbols)) else {}

    def _for_lengths(self, lengths: Mapping[Any, int]) -> Specialisation:
        return Specialisation(self.owner, self.call or self._slow, self._compile, self._long, lengths)

    def run(self, arrays: list[Any]) -> list[Any] | None:
        """Compute the results for these arguments, using the plan for their shapes.

        Returns None, without running anything, if another thread changed the shape of a shared variable meanwhile, or
        scaled weights cannot be represented, so that other code is needed.
        """
        if not self.suits(arrays):
            found = self.shorter.run(arrays)
            self.representable = self.representable and self.shorter.representable
            return found
        short = self.short.code_for(arrays, self._short_lengths, self._for_lengths)
        if short is not None:
            found = short.run(arrays)
            self.representable = self.representable and short.representable
            return found
        try:
            return self._run(arrays)
        except ZeroDivisionError as problem:
            if not _in_dims(problem):
                raise  # a Python op's own
            text = f"{self.owner.name}(): a length is a quotient by a length that is 0 in this call"
            repair = "write the length in place of the -1 in a reshape: beside a length of 0 it has no meaning"
            raise GuardError(f"{text}\n  repair: {repair}\n{self.given(arrays)}") from None

    def _run(self, arrays: list[Any]) -> list[Any] | None:
        if self.fast is not None:
            found = self.fast.attempt(arrays)  # the launcher did not know the arguments as they were given
            if found is not None:
                return found
            self.fast.yield_memory()  # this call, of other shapes perhaps, can use its memory
        plan = self.plan(arrays)
        just = None
        while True:
            with taken(self.read_turns, self.written_turns):
                if not self.fits():
                    return None
                if self.preparation is None or self.preparation.current(just):
                    try:
                        results = plan.run(arrays)
                        break
                    except MemoryError as problem:
                        raise explained(problem, self, plan.symbols, arrays) from problem.__cause__
            assert self.preparation is not None
            just = self.preparation.prepare()
            if just is None:
                self.representable = False
                return None
        if self.samples is not None:
            self.samples.add(*plan.costs)
        return results

    def fail(self, status: int, arrays: Sequence[Any]) -> None:
        """Raise the error for a call that ended with this status."""
        kind = GuardError if status in self.shape_codes else IndexError
        message = self.program.messages[status - 1]
        found = rejected(self.owner, message, arrays) if kind is IndexError else ""
        raise call_error(kind, f"{self.owner.name}(): {message}{found}\n{self.given(arrays)}")

    def negative(self, b: Buffer, axis: int, size: int, arrays: Sequence[Any]) -> GuardError:
        """The error for a buffer that would have a negative dim."""
        text = f"{self.owner.name}(): {b.name} would have {size} on axis {axis}"
        repair = "a dim cannot be negative: check the numbers that the shape is made from"
        return GuardError(located(text, [], repair, b.location) + "\n" + self.given(arrays))

    def plan(self, arrays: Sequence[Any]) -> Plan:
        """Return the plan for arguments of these shapes."""
        if not self.suits(arrays):
            return self.shorter.plan(arrays)
        key = tuple([a.shape for a in arrays])
        plan = self.plans.get(key)
        if plan is None:
            plan = Plan(self, arrays)
            while len(self.plans) >= PLANS:
                self.plans.popitem(last=False)
            self.plans[key] = plan
        return plan

    def given(self, arrays: Sequence[np.ndarray]) -> str:
        """Describe the arguments and the source location of a call, for messages."""
        named = [(v.name or f"input {k}", np.asarray(a)) for k, (v, a) in enumerate(zip(self.owner.inputs, arrays))]
        parts = [f"{name}: {a.dtype}{a.shape}" for name, a in named]
        parts += [f"shared {s.name or '(unnamed)'}: {s.dtype}{s.storage.shape}" for s in self.own]
        shown = parts[:SHOWN] + ([f"and {len(parts) - SHOWN} more"] if len(parts) > SHOWN else [])
        return f"  given: {', '.join(shown) or 'nothing'}\n  called at {here()}"


SHOWN = 12
"""The number of arrays that a message describes."""


def _found(sides: Sequence[dims.Dim], known: Mapping[Any, int]) -> str:
    """Describe two dims that should be equal, by their values or by those of their symbols."""
    symbols = [symbol for d in sides for symbol in dims.symbols_of(d)]
    if all(type(d) is int or d in symbols for d in sides):
        return " and ".join(str(dims.evaluate(d, known)) for d in sides)
    shown = sorted({(dims.show(symbol), known[symbol]) for symbol in symbols})
    return ", ".join(f"{name} = {value}" for name, value in shown)


def _in_dims(problem: BaseException) -> bool:
    """Whether an exception comes from the evaluation of dims."""
    at = problem.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and at.tb_frame.f_code.co_filename == dims.COMPILED


class Plan:
    """The plan for one combination of shapes: the values of the symbols that follow from shapes."""

    def __init__(self, specialisation: Specialisation, arrays: Sequence[np.ndarray]) -> None:
        self.specialisation = specialisation
        self.symbols = self._bound(specialisation, arrays)
        self._check(arrays, self.symbols)
        program = specialisation.program
        self.dims = [self.symbols[s] for s in program.symbols[: program.given]]
        self.costs: tuple[list[int], list[int]] = ([], [])
        if specialisation.samples is not None:
            self.costs = costs(program, self.symbols)[:2]
            ask = getattr(specialisation.executable, "method", None)
            if ask is not None:
                specialisation.samples.note(methods(program, self.symbols, ask, specialisation.changed))

    def _check(self, arrays: Sequence[np.ndarray], symbols: dict[Any, int]) -> None:
        """Check that the arguments have the expected shapes, and that no buffer gets a negative dim."""
        specialisation = self.specialisation
        for v, array in zip(specialisation.owner.inputs, arrays):
            source = specialisation.graph.sources[v]
            for axis, (dim, have) in enumerate(zip(source.type.shape, array.shape)):
                want = dims.evaluate(dim, symbols)
                if want != have:
                    text = f"{specialisation.owner.name}(): an input has {have} on axis {axis}, expected {want}"
                    raise GuardError(located(text, [v], location=v.location) + "\n" + specialisation.given(arrays))
        values = [symbols.get(s, 0) for s in specialisation.program.symbols]
        for (b, axis, _), size in zip(specialisation.checked, specialisation.evaluate_checked(values)):
            if size < 0:
                raise specialisation.negative(b, axis, size, arrays)

    def _bound(self, specialisation: Specialisation, arrays: Sequence[np.ndarray]) -> dict[Any, int]:
        """Compute the values of symbols; guards are checked on the user's dims, so that messages refer to operands."""
        known: dict[Any, int] = {}
        for v, array in zip(specialisation.owner.inputs, arrays):
            for axis, (dim, have) in enumerate(zip(v.type.shape, array.shape)):
                if type(dim) is int:
                    if dim != have:
                        text = (
                            f"{specialisation.owner.name}(): an input has {have} on axis {axis}, declared to be {dim}"
                        )
                        shown = located(text, [v], location=v.location)
                        raise call_error(GuardError, f"{shown}\n{specialisation.given(arrays)}")
                elif not dims.symbols_of(dim) - {dim}:
                    known.setdefault(dim, have)
        for guard in specialisation.graph.guards:
            sides = [guard.left, guard.right]
            if all(dims.symbols_of(d) <= known.keys() for d in sides):
                left, right = (dims.evaluate(d, known) for d in sides)
                if left != right:
                    found = f"  in this call: {_found(sides, known)}\n{specialisation.given(arrays)}"
                    raise call_error(GuardError, f"{specialisation.owner.name}(): {guard.text()}\n{found}")
        for v, array in zip(specialisation.owner.inputs, arrays):
            for dim, have in zip(specialisation.graph.sources[v].type.shape, array.shape):
                if type(dim) is not int and not dims.symbols_of(dim) - {dim}:
                    known.setdefault(dim, have)
        for k, axis, symbol, least in specialisation.least:
            known.setdefault(symbol, arrays[k].shape[axis] - least)
        return known

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """Compute the results for arguments of these shapes, and update shared variables if the call succeeds."""
        specialisation, space = self.specialisation, self.specialisation.space
        buffers = specialisation.program.buffers
        results: list[Any] = [None] * len(specialisation.owner.outputs)
        fresh: dict[int, Any] = {}
        held = [space.of(s.storage) for s in specialisation.shared]
        changed = [held[slot] for slot in specialisation.overwritten]
        arrays = [_apart(a, changed) for a in arrays] if changed else arrays
        bound: list[Any] = [None] * len(buffers)
        for k, b in enumerate(buffers):
            if b.role == "input":
                bound[k] = arrays[b.slot]
            elif b.role == "shared":
                bound[k] = held[b.slot]
            elif b.role == "constant":
                bound[k] = b.data

        def provide(k: int, shape: tuple[int, ...]) -> Any:
            b = buffers[k]
            for axis, size in enumerate(shape):
                if size < 0:
                    raise specialisation.negative(b, axis, size, arrays)
            if b.role == "output":
                found = results[b.slot] = specialisation.empty(shape, b.dtype)
            else:
                found = fresh[k] = self._next(specialisation.swapped[k], shape, b.dtype)
            bound[k] = found
            return found

        status, values = specialisation.executable(bound, self.dims, provide)
        if status < 0:
            b = buffers[-status - 1]
            sizes = [dims.evaluate(d, dict(zip(specialisation.program.symbols, values))) for d in b.shape]
            axis = next((k for k, n in enumerate(sizes) if n < 0), 0)
            raise specialisation.negative(b, axis, sizes[axis], arrays)
        if status:
            specialisation.fail(status, arrays)
        if specialisation.cut:
            known = dict(zip(specialisation.program.symbols, values))
            for k in specialisation.cut:
                b = buffers[k]
                shape = tuple(dims.evaluate(d, known) for d in b.shape)
                if b.role == "output":
                    results[b.slot] = space.part(results[b.slot], shape)
                else:
                    fresh[k] = space.part(fresh[k], shape)
        for slot in specialisation.overwritten:
            space.changed(specialisation.shared[slot].storage)
        for k, array in fresh.items():
            slot = specialisation.swapped[k]
            specialisation.spare[slot] = held[slot]
            space.keep(specialisation.shared[slot].storage, array)
        shared = specialisation.shared
        same = all(fresh[k].shape == held[slot].shape for k, slot in specialisation.swapped.items())
        if specialisation.fast is not None and same:
            turns = (specialisation.read_turns, specialisation.written_turns)
            swapped = [(specialisation.held_in[s], k, shared[s].storage) for k, s in specialisation.swapped.items()]
            watched = () if specialisation.preparation is None else specialisation.preparation.watched()
            specialisation.fast.prepare(self.symbols, bound, values, turns, swapped, watched)
        return [space.result(r, borrow) for r, borrow in zip(results, specialisation.owner.borrowed)]

    def _next(self, slot: int, shape: tuple[int, ...], dtype: str) -> Any:
        """Memory for the next value of a shared variable: that of the previous value, if it is free."""
        spare = self.specialisation.spare.pop(slot, None)
        if type(spare) is np.ndarray and spare.shape == shape and spare.dtype == dtype and spare.base is None:
            if sys.getrefcount(spare) == 2 and spare.flags.writeable and spare.flags.c_contiguous:
                return spare
        return self.specialisation.space.empty(shape, dtype)


def _apart(argument: Any, changed: Sequence[Any]) -> Any:
    """Return the argument, or a copy if its memory is overwritten by an update of this call."""
    if isinstance(argument, np.ndarray):
        arrays = [c for c in changed if isinstance(c, np.ndarray)]
        return argument.copy() if any(np.may_share_memory(argument, c) for c in arrays) else argument
    return argument.copy() if any(argument.overlaps(c) for c in changed) else argument
