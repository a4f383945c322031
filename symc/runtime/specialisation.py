"""The code of a compiled function for given shapes of its shared variables, and the plans for the shapes of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symc.compiler.passes import compile_graph
from symc.errors import GuardError, here, located
from symc.graph import SharedVariable, Variable, dims, toposort
from symc.graph.evaluate import evaluate
from symc.loops.ir import Program
from symc.runtime.backend import Backend
from symc.runtime.memory_estimate import explained
from symc.runtime.profile import costs
from symc.runtime.storage import HOST, Space

if TYPE_CHECKING:
    from symc.runtime.function import Function

__all__ = ["Specialisation", "Plan"]


class Specialisation:
    """The code of a function for given shapes of its shared variables, and the plans of the shapes it has met."""

    def __init__(self, owner: Function) -> None:
        self.owner = owner
        self.state = compile_graph(owner.uncompiled())
        assert self.state.specialised is not None and self.state.program is not None
        self.specialised = self.state.specialised
        self.program: Program = self.state.program
        backend: Backend = owner.backend
        make_space = getattr(backend, "space", None)
        self.space: Space = HOST if make_space is None else make_space()
        self.text = backend.emit(self.program)
        if owner.profile is None:
            self.record = None
            self.executable = backend.run(backend.build(self.text), self.program)
        else:
            code = backend.build(self.text, timed=max(len(self.program.steps), 1))
            self.executable = backend.run(code, self.program, timed=True)
            self.record = owner.profile.open(self.program, self.executable.times)  # type: ignore[attr-defined]
        self.stages = _stages(self.specialised.values)
        self.shared: list[SharedVariable] = []
        sources: list[Variable] = []
        for leaf, source in self.specialised.sources.items():
            if isinstance(leaf, SharedVariable) and all(source is not s for s in sources):
                sources.append(source)
                self.shared.append(leaf)
        self.shared_shapes = tuple(source.type.shape for source in sources)
        slots = {id(s.storage): k for k, s in enumerate(self.shared)}
        self.update_slots = [slots[id(s.storage)] for s, _ in owner.updates]
        buffers = self.program.buffers
        self.changed_in_place = [buffers[b.alias].slot for b in buffers if b.role == "update" and b.alias >= 0]
        self.fast = self._launch(backend)
        self.plans: dict[Any, Plan] = {}
        self.bound: dict[Any, dict[Any, int]] = {}

    def _launch(self, backend: Any) -> Any:
        """The back end's fast path for calls, where it has one and the function's arguments and results are plain."""
        owner = self.owner
        make = getattr(backend, "launch", None)
        plain = owner.pattern == "single" or isinstance(owner.pattern, int)
        defaults = any(s.value is not None for s in owner.specs)
        if make is None or not plain or defaults or owner.profile is not None or self.specialised.values:
            return None
        fast = make(self.executable, owner._call, owner.pattern != "single")
        if fast is not None:
            for shared in self.shared:
                shared.storage.watch(fast)
        return fast

    def run(self, arrays: list[Any]) -> list[Any]:
        """The results for these arguments, through the plan of their shapes."""
        plan = self.plan(arrays)
        try:
            results = plan.run(arrays)
        except MemoryError as problem:
            raise explained(problem, plan) from problem.__cause__
        if self.record is not None:
            self.record.add(*plan.costs)
        return results

    def plan(self, arrays: Sequence[Any]) -> Plan:
        """What arguments of these shapes need; of their elements, only scalars that serve as dims are read."""
        key = tuple(a.shape for a in arrays)
        if self.specialised.values:
            key = (key, self._value_dims(key, arrays))
        plan = self.plans.get(key)
        if plan is None:
            plan = Plan(self, arrays, dict(key[1]) if self.specialised.values else {})
            if len(self.plans) > 256:
                self.plans.clear()
            self.plans[key] = plan
        return plan

    def given(self, arrays: Sequence[np.ndarray]) -> str:
        """For messages: what the call got, and where it was called."""
        named = [(v.name or f"input {k}", a) for k, (v, a) in enumerate(zip(self.owner.inputs, arrays))]
        parts = [f"{name}: {a.dtype}{a.shape}" for name, a in named]
        parts += [f"shared {s.name or '(unnamed)'}: {s.dtype}{s.storage.shape}" for s in self.shared]
        return f"  given: {', '.join(parts) or 'nothing'}\n  called at {here()}"

    def _input_symbols(self, key: Any, arrays: Sequence[np.ndarray]) -> dict[Any, int]:
        """The symbols that stand for axes of the inputs, and their values in this call."""
        found = self.bound.get(key)
        if found is None:
            found = {}
            for v, array in zip(self.owner.inputs, arrays):
                for dim, have in zip(self.specialised.sources[v].type.shape, array.shape):
                    if type(dim) is not int and not dims.symbols_of(dim) - {dim}:
                        found.setdefault(dim, have)
            if len(self.bound) > 256:
                self.bound.clear()
            self.bound[key] = found
        return found

    def _value_dims(self, key: Any, arrays: Sequence[np.ndarray]) -> tuple[tuple[Any, int], ...]:
        """The values of the integer scalars that serve as dims."""
        given = {self.specialised.sources[v]: np.asarray(a) for v, a in zip(self.owner.inputs, arrays)}
        given |= {self.specialised.sources[s]: s.storage.array for s in self.shared}
        symbols = dict(self._input_symbols(key, arrays))
        for stage in self.stages:
            found = evaluate([self.specialised.values[s] for s in stage], given, symbols)
            symbols.update(zip(stage, (int(v) for v in found)))
        return tuple((s, symbols[s]) for s in self.specialised.values)


def _stages(values: Mapping[Any, Variable]) -> list[list[Any]]:
    """The symbols of dims that are values of scalars, those first which the scalars of others are computed with."""
    needs: dict[Any, set[Any]] = {}
    for symbol, v in values.items():
        attrs = [d for node in toposort([v]) for d in (*node.op.attrs.get("shape", ()), node.op.attrs.get("dim", 0))]
        needs[symbol] = {s for d in attrs for s in dims.symbols_of(d)} & values.keys() - {symbol}
    stages: list[list[Any]] = []
    done: set[Any] = set()
    while len(done) < len(needs):
        stages.append([s for s in needs if s not in done and needs[s] <= done])
        assert stages[-1], "dims depend on one another in a circle"
        done.update(stages[-1])
    return stages


def _found(sides: Sequence[dims.Dim], known: Mapping[Any, int]) -> str:
    """Two dims that should be equal: their values or, where they are no plain dims, those of the symbols in them."""
    symbols = [symbol for d in sides for symbol in dims.symbols_of(d)]
    if all(type(d) is int or d in symbols for d in sides):
        return " and ".join(str(dims.evaluate(d, known)) for d in sides)
    shown = sorted({(dims.show(symbol), known[symbol]) for symbol in symbols})
    return ", ".join(f"{name} = {value}" for name, value in shown)


class Plan:
    """What one combination of shapes needs: values of the symbols, shapes of the outputs."""

    def __init__(self, core: Specialisation, arrays: Sequence[np.ndarray], values: dict[Any, int]) -> None:
        self.core = core
        symbols: dict[Any, int] = dict(values)
        self._bind_user_symbols(core, arrays, symbols)
        symbols.update(core._input_symbols(tuple(a.shape for a in arrays), arrays))
        self._check(arrays, symbols)
        self.dims = [symbols[s] for s in core.program.symbols]
        self.symbols = symbols
        self.costs = costs(core.program.steps, symbols) if core.record is not None else ([], [])
        self.shapes = [
            tuple(dims.evaluate(d, symbols) for d in b.shape) if b.role in ("output", "update") else None
            for b in core.program.buffers
        ]

    def _check(self, arrays: Sequence[np.ndarray], symbols: dict[Any, int]) -> None:
        """Do the arguments have the shapes that the code was made for, and does no buffer get a negative dim?"""
        core = self.core
        for v, array in zip(core.owner.inputs, arrays):
            source = core.specialised.sources[v]
            for axis, (dim, have) in enumerate(zip(source.type.shape, array.shape)):
                want = dims.evaluate(dim, symbols)
                if want != have:
                    text = f"{core.owner.name}(): an input has {have} on axis {axis}, expected {want}"
                    raise GuardError(located(text, [v], location=v.location) + "\n" + core.given(arrays))
        for b in core.program.buffers:
            for axis, d in enumerate(b.shape):
                if type(d) is not int and dims.evaluate(d, symbols) < 0:
                    text = f"{core.owner.name}(): {b.name} would have {dims.evaluate(d, symbols)} on axis {axis}"
                    repair = "a dim cannot be negative: check the numbers that the shape is made from"
                    raise GuardError(located(text, [], repair, b.location) + "\n" + core.given(arrays))

    def _bind_user_symbols(self, core: Specialisation, arrays: Sequence[np.ndarray], symbols: dict[Any, int]) -> None:
        """Check the guards as the user's own dims state them, so that a message speaks of the user's operands."""
        known: dict[Any, int] = dict(symbols)
        for v, array in zip(core.owner.inputs, arrays):
            for axis, (dim, have) in enumerate(zip(v.type.shape, array.shape)):
                if type(dim) is int:
                    if dim != have:
                        text = f"{core.owner.name}(): an input has {have} on axis {axis}, declared to be {dim}"
                        raise GuardError(located(text, [v], location=v.location) + "\n" + core.given(arrays))
                elif not dims.symbols_of(dim) - {dim}:
                    known.setdefault(dim, have)
        for guard in core.specialised.guards:
            sides = [guard.left, guard.right]
            if all(dims.symbols_of(d) <= known.keys() for d in sides):
                left, right = (dims.evaluate(d, known) for d in sides)
                if left != right:
                    found = f"  in this call: {_found(sides, known)}\n{core.given(arrays)}"
                    raise GuardError(f"{core.owner.name}(): {guard.text()}\n{found}")

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """The results for arguments of these shapes; shared variables take their next values."""
        core, space = self.core, self.core.space
        bound: list[Any] = []
        results: list[Any] = [None] * len(core.owner.outputs)
        fresh: list[tuple[int, Any]] = []
        held = [space.of(s.storage) for s in core.shared]
        changed = [held[slot] for slot in core.changed_in_place]
        arrays = [_apart(a, changed) for a in arrays] if changed else arrays
        first = len(core.owner.outputs)
        for b, shape in zip(core.program.buffers, self.shapes):
            array: Any = None
            if b.role == "input":
                array = arrays[b.slot]
            elif b.role == "shared":
                array = held[b.slot]
            elif b.role == "constant":
                array = b.data
            elif b.role == "output":
                assert shape is not None
                array = results[b.slot] = space.empty(shape, b.dtype)
            elif b.role == "update" and b.alias < 0:
                assert shape is not None
                array = space.empty(shape, b.dtype)
                fresh.append((core.update_slots[b.slot - first], array))
            bound.append(array)
        status = core.executable(bound, self.dims)
        if status:
            raise IndexError(f"{core.owner.name}(): {core.program.messages[status - 1]}\n{core.given(arrays)}")
        for slot in core.changed_in_place:
            space.changed(core.shared[slot].storage)
        for slot, array in fresh:
            space.keep(core.shared[slot].storage, array)
        if core.fast is not None:
            core.fast.prepare(self.symbols, [r.shape for r in results], bound)
        return [space.result(r, borrow) for r, borrow in zip(results, core.owner.borrowed)]


def _apart(argument: Any, changed: Sequence[Any]) -> Any:
    """The argument, or a copy of it if it lies in memory which this call overwrites with an update."""
    if isinstance(argument, np.ndarray):
        arrays = [c for c in changed if isinstance(c, np.ndarray)]
        return argument.copy() if any(np.may_share_memory(argument, c) for c in arrays) else argument
    return argument.copy() if any(argument.overlaps(c) for c in changed) else argument
