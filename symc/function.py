"""``function``: compile expressions into a callable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from time import perf_counter
from typing import Any

import numpy as np

from symc import dims
from symc.backend import Backend, load_backend
from symc.compiler import State, compile_graph
from symc.config import config
from symc.dtypes import is_float
from symc.errors import GuardError, MissingInputError, UnusedInputError, here, located, warn
from symc.evaluate import evaluate
from symc.graph import SharedVariable, Variable, ancestors, clone_with, convert_value, is_input
from symc.loops.ir import Program
from symc.profile import Profile, costs
from symc.tensor.basic import as_tensor
from symc.tensor.elementwise import cast
from symc.types import TensorType

__all__ = ["Function", "In", "Out", "function"]

CORE_LIMIT = 64
"""Combinations of shared variables' shapes for which a function keeps compiled code."""


class In:
    """An input with a default value, an update, or its own casting policy, as in Theano."""

    def __init__(self, variable: Variable, name: str | None = None, value: Any = None, update: Any = None, borrow: bool = False,
                 allow_downcast: bool | None = None, strict: bool = False, mutable: bool = False, implicit: Any = None) -> None:  # fmt: skip
        self.variable = variable
        self.name = name or variable.name
        self.value = value
        self.update = update
        self.allow_downcast = allow_downcast
        self.strict = strict


class Out:
    """An output; ``borrow`` is accepted for old programs and means nothing: outputs are always the caller's own."""

    def __init__(self, variable: Variable, borrow: bool = False) -> None:
        self.variable = as_tensor(variable)


def function(
    inputs: Sequence[Any],
    outputs: Any = None,
    updates: Any = None,
    givens: Any = None,
    on_unused_input: str | None = None,
    allow_input_downcast: bool | None = None,
    name: str | None = None,
    device: str | None = None,
    mode: str | None = None,
    profile: bool | None = None,
    no_default_updates: bool | Sequence[SharedVariable] = False,
    accept_inplace: bool = False,
    rebuild_strict: bool = True,
) -> Function:
    """Compile ``outputs`` as a function of ``inputs``.

    Parameters
    ----------
    inputs : sequence of Variable or In
    outputs : Variable, Out, sequence or dict of them, or None
        The call returns arrays in the same arrangement; with None, nothing (useful with ``updates``).
    updates : mapping or sequence of pairs, optional
        ``{shared variable: its next value}``; all next values are computed from the current ones.
    givens : mapping or sequence of pairs, optional
        Replace variables before compiling.
    on_unused_input : {"raise", "warn", "ignore"}, optional
    allow_input_downcast : bool, optional
        True lets inputs lose precision or their fraction silently; by default only floats may become narrower floats.
    name : str, optional
    device : str, optional
        Which back end; default ``symc.config.device``.
    mode : str, optional
        As ``symc.config.mode``.
    profile : bool, optional
        Time every kernel; see ``Function.profile``.
    no_default_updates : bool or sequence of SharedVariable
        Ignore all default updates, or those of the variables listed.

    Returns
    -------
    Function

    Raises
    ------
    MissingInputError, UnusedInputError, ShapeError, DTypeError
        See each. Nothing is compiled then.
    """
    if not isinstance(inputs, (list, tuple)):
        repair = f"for a single one write [{inputs!r}]"
        raise TypeError(located(f"function: inputs must be a list of variables, got {inputs!r}", [], repair))
    specs = [i if isinstance(i, In) else In(_as_input(i)) for i in inputs]
    pattern, variables = _flatten_outputs(outputs)
    update_pairs = _update_pairs(updates, specs)
    replaced = _given_pairs(givens)
    variables, update_pairs = _replace(variables, update_pairs, replaced)
    update_pairs = _with_defaults(variables, update_pairs, no_default_updates, replaced)
    _check_inputs(specs, variables, update_pairs, on_unused_input or config.on_unused_input)
    return Function(specs, variables, pattern, update_pairs, name or "function", device, _mode(mode), allow_input_downcast, config.profile if profile is None else profile)


def _mode(mode: str | None) -> str:
    """A mode by its name, in any letter case, or the default."""
    known = ("fast_run", "fast_compile", "no_rewrite")
    found = config.mode if mode is None else str(mode).lower()
    if found not in known:
        raise ValueError(located(f"function: mode must be one of {', '.join(map(repr, known))}, got {mode!r}"))
    return found


def _as_input(v: Any) -> Variable:
    if not isinstance(v, Variable):
        shown = type(v).__name__ if isinstance(v, np.ndarray) else repr(v)
        raise TypeError(located(
            f"function: an input must be a symbolic variable, got {shown}", [], "arrays are given when the function is called"))  # fmt: skip
    if isinstance(v, SharedVariable):
        raise TypeError(located(
            "function: a shared variable cannot be an input: its value is kept, not given", [v], "use givens= to replace it"))  # fmt: skip
    return v


def _flatten_outputs(outputs: Any) -> tuple[Any, list[Variable]]:
    def one(o: Any) -> Variable:
        return o.variable if isinstance(o, Out) else as_tensor(o)

    if outputs is None:
        return None, []
    if isinstance(outputs, dict):
        return list(outputs), [one(o) for o in outputs.values()]
    if isinstance(outputs, (list, tuple)):
        return len(outputs), [one(o) for o in outputs]
    return "single", [one(outputs)]


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    return list(value.items()) if isinstance(value, Mapping) else [tuple(pair) for pair in value]


def _update_pairs(updates: Any, specs: Sequence[In]) -> list[tuple[SharedVariable, Variable]]:
    pairs: list[tuple[SharedVariable, Variable]] = []
    for target, value in _pairs(updates):
        if not isinstance(target, SharedVariable):
            shown = [target] if isinstance(target, Variable) else []
            raise TypeError(located(f"function: updates must be of shared variables, got {target!r}", shown, "make it with symc.shared"))
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
    raise TypeError(located(
        f"function: an update of dtype {value.dtype} does not fit its shared variable of dtype {target.dtype}", [target, value],
        f"cast it: symc.tensor.cast(value, {target.dtype!r})"))  # fmt: skip


def _given_pairs(givens: Any) -> dict[Variable, Variable]:
    replaced: dict[Variable, Variable] = {}
    for old, new in _pairs(givens):
        if not isinstance(old, Variable):
            raise TypeError(f"function: givens must replace symbolic variables, got {old!r}")
        new = as_tensor(new)
        if new.ndim != old.ndim:
            raise TypeError(located("function: givens must not change the number of axes", [old, new]))
        replaced[old] = cast(new, old.dtype) if new.dtype != old.dtype else new
    return replaced


def _replace(variables: list[Variable], updates: list[tuple[SharedVariable, Variable]], replaced: dict[Variable, Variable]) -> Any:
    if not replaced:
        return variables, updates
    cloned = clone_with([*variables, *[v for _, v in updates]], replaced)
    count = len(variables)
    return cloned[:count], [(s, v) for (s, _), v in zip(updates, cloned[count:])]


def _with_defaults(
    variables: Sequence[Variable], updates: list[tuple[SharedVariable, Variable]], off: Any, replaced: dict[Variable, Variable]
) -> list[tuple[SharedVariable, Variable]]:
    """Add the default updates of every shared variable the expressions depend on, and of those these depend on."""
    if off is True:
        return updates
    skip = {id(s.storage) for s in (off or ())}
    result = list(updates)
    taken = {id(s.storage) for s, _ in updates} | skip
    frontier = [*variables, *[v for _, v in updates]]
    seen: set[Variable] = set()
    while frontier:
        found: list[Variable] = []
        for v in ancestors(frontier):
            if v in seen:
                continue
            seen.add(v)
            candidates = [(v, v.default_update)] if isinstance(v, SharedVariable) and v.default_update is not None else []
            if v.owner is not None and v.owner.op.name == "carry_updates":
                candidates += list(zip(v.owner.op["targets"], v.owner.inputs[1:]))
            for target, value in candidates:
                if id(target.storage) in taken:
                    continue
                taken.add(id(target.storage))
                value = _fitting_update(target, as_tensor(value))
                if replaced:
                    value = clone_with([value], replaced)[0]
                result.append((target, value))
                found.append(value)
        frontier = found
    return result


def _check_inputs(specs: Sequence[In], variables: Sequence[Variable], updates: Sequence[tuple[SharedVariable, Variable]], policy: str) -> None:
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
            repair = "add it to inputs, or replace it with givens=" + (f" (an input is called {near[0]!r})" if near else "")
            raise MissingInputError(located("function: the outputs depend on a variable that is not among the inputs", [v], repair))
    for v in given:
        if v not in used:
            message = located("function: an input is not used by any output", [v], "leave it out, or pass on_unused_input='ignore'")
            if policy == "raise":
                raise UnusedInputError(message)
            if policy == "warn":
                warn(message)


class Function:
    """A compiled function; call it with arrays in the order of its inputs, or by name.

    Attributes
    ----------
    inputs, outputs : list of Variable
    name, device : str
    profile : Profile or None
        Where the time goes, if the function was compiled with ``profile=True``: ``print(f.profile.summary())``.
    """

    def __init__(
        self, specs: list[In], outputs: list[Variable], pattern: Any, updates: list[tuple[SharedVariable, Variable]], name: str,
        device: str | None, mode: str, allow_downcast: bool | None, profile: bool,
    ) -> None:  # fmt: skip
        self.specs = specs
        self.inputs = [s.variable for s in specs]
        self.outputs = outputs
        self.updates = updates
        self.pattern = pattern
        self.name = name
        self.mode = mode
        self.allow_downcast = allow_downcast
        self.device, self.backend = load_backend(device)
        self.profile = Profile(name) if profile else None
        self._cores: dict[Any, Core] = {}
        self._fast: Any = None
        self.core = self._specialise()

    def _specialise(self) -> Core:
        """The code for the present shapes of the shared variables, compiled if it is new."""
        core = self._cores.get(tuple(s.storage.array.shape for s in self.core.shared)) if self._cores else None
        if core is None:
            start = perf_counter()
            core = Core(self)
            if len(self._cores) >= CORE_LIMIT:
                self._cores.clear()
            self._cores[core.shared_shapes] = core
            if self.profile is not None:
                self.profile.took(perf_counter() - start, compiling=True)
        self.core = core
        self._fast = core.fast.call if core.fast is not None else None
        return core

    def uncompiled(self) -> State:
        """What enters the passes of the compiler."""
        first = len(self.outputs)
        outputs = [*self.outputs, *[v for _, v in self.updates]]
        updates = [(s, first + k) for k, (s, _) in enumerate(self.updates)]
        return State(self.name, self.inputs, outputs, updates, self.mode)

    def __call__(self, *args: Any, **named: Any) -> Any:
        fast = self._fast
        if fast is not None and not named:
            return fast(*args)
        return self._call(*args, **named)

    def _call(self, *args: Any, **named: Any) -> Any:
        """The whole road: convert, check, plan, run; it prepares the fast path for more calls like this one."""
        start = perf_counter() if self.profile is not None else 0.0
        core = self.core
        if any(s.storage.array.shape != shape for s, shape in zip(core.shared, core.shared_shapes)):
            core = self._specialise()
        arrays = self._bind(args, named)
        results = core.run(arrays)
        if self.profile is not None:
            self.profile.took(perf_counter() - start)
        return self._arrange(results)

    def _arrange(self, results: list[np.ndarray]) -> Any:
        if self.pattern is None:
            return None
        if self.pattern == "single":
            return results[0]
        if isinstance(self.pattern, list):
            return dict(zip(self.pattern, results))
        return results

    def _bind(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[np.ndarray]:
        values: list[Any] = list(args)
        if len(values) > len(self.specs):
            raise TypeError(located(f"{self.name}() takes {len(self.specs)} inputs ({self._signature()}), got {len(values)}"))
        missing = object()
        values += [missing] * (len(self.specs) - len(values))
        names = [s.name for s in self.specs]
        for key, value in named.items():
            if key not in names:
                near = get_close_matches(key, [n for n in names if n], 1)
                raise TypeError(f"{self.name}() has no input named {key!r}" + (f"; did you mean {near[0]!r}?" if near else f"; its inputs are {names}"))
            k = names.index(key)
            if values[k] is not missing:
                raise TypeError(f"{self.name}() got two values for its input {key!r}")
            values[k] = value
        arrays = []
        for k, (spec, value) in enumerate(zip(self.specs, values)):
            if value is missing:
                if spec.value is None:
                    text = f"{self.name}() misses its input {k}; it takes ({self._signature()})"
                    raise TypeError(located(text, [spec.variable], "give it, or declare a default with In(variable, value=...)"))
                value = spec.value
            arrays.append(self._convert(k, spec, value))
        return arrays

    def _convert(self, k: int, spec: In, value: Any) -> np.ndarray:
        variable = spec.variable
        if type(value) is np.ndarray and value.dtype == variable.dtype and value.ndim == variable.ndim:
            if value.flags.c_contiguous and value.flags.aligned:
                return value
        what = f"{self.name}(): input {k} ({variable.name or 'unnamed'})"
        downcast = self.allow_downcast if spec.allow_downcast is None else spec.allow_downcast
        if not isinstance(value, (np.ndarray, np.generic)) and isinstance(value, float) and not is_float(variable.dtype) and value.is_integer():
            value = int(value)
        try:
            if downcast and not spec.strict and (given := np.asarray(value)).dtype.kind in "biuf":
                value = given.astype(variable.dtype)
            array = convert_value(value, TensorType(variable.dtype, [None] * variable.ndim, variable.name or "n"), what, spec.strict)
        except (TypeError, ValueError) as problem:
            text = str(problem) if str(problem).startswith(what) else f"{what}: {problem}"
            raise type(problem)(located(text, [variable])) from None
        return np.require(array, requirements=["C", "A"])

    def _signature(self) -> str:
        return ", ".join(s.name or repr(s.variable) for s in self.specs)

    def __repr__(self) -> str:
        return f"<symc function {self.name}({self._signature()}) on {self.device}>"


class Core:
    """The code of a function for given shapes of its shared variables, and the plans of the shapes it has met."""

    def __init__(self, owner: Function) -> None:
        self.owner = owner
        self.state = compile_graph(owner.uncompiled())
        assert self.state.settled is not None and self.state.program is not None
        self.settled = self.state.settled
        self.program: Program = self.state.program
        backend: Backend = owner.backend
        self.text = backend.emit(self.program)
        if owner.profile is None:
            self.record = None
            self.executable = backend.run(backend.build(self.text), self.program)
        else:
            self.executable = backend.run(backend.build(self.text, timed=max(len(self.program.steps), 1)), self.program, timed=True)
            self.record = owner.profile.open(self.program, self.executable.times)  # type: ignore[attr-defined]
        self.shared: list[SharedVariable] = []
        sources: list[Variable] = []
        for leaf, source in self.settled.sources.items():
            if isinstance(leaf, SharedVariable) and all(source is not s for s in sources):
                sources.append(source)
                self.shared.append(leaf)
        self.shared_shapes = tuple(source.type.shape for source in sources)
        slots = {id(s.storage): k for k, s in enumerate(self.shared)}
        self.update_slots = [slots[id(s.storage)] for s, _ in owner.updates]
        self.fast = self._launch(backend)
        self.plans: dict[Any, Plan] = {}
        self.bound: dict[Any, dict[Any, int]] = {}

    def _launch(self, backend: Any) -> Any:
        """The back end's fast path for calls, where it has one and the function's arguments and results are plain."""
        owner = self.owner
        make = getattr(backend, "launch", None)
        plain = owner.pattern == "single" or isinstance(owner.pattern, int)
        if make is None or not plain or owner.profile is not None or self.settled.values or any(s.value is not None for s in owner.specs):
            return None
        fast = make(self.executable, owner._call, owner.pattern != "single")
        if fast is not None:
            for shared in self.shared:
                shared.storage.watch(fast)
        return fast

    def run(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        key = tuple(a.shape for a in arrays)
        if self.settled.values:
            key = (key, self._value_dims(key, arrays))
        plan = self.plans.get(key)
        if plan is None:
            plan = Plan(self, arrays, dict(key[1]) if self.settled.values else {})
            if len(self.plans) > 256:
                self.plans.clear()
            self.plans[key] = plan
        results = plan.run(arrays)
        if self.record is not None:
            self.record.add(*plan.costs)
        return results

    def given(self, arrays: Sequence[np.ndarray]) -> str:
        """For messages: what the call got, and where it was called."""
        parts = [f"{v.name or f'input {k}'}: {a.dtype}{a.shape}" for k, (v, a) in enumerate(zip(self.owner.inputs, arrays))]
        parts += [f"shared {s.name or '(unnamed)'}: {s.dtype}{s.storage.array.shape}" for s in self.shared]
        return f"  given: {', '.join(parts) or 'nothing'}\n  called at {here()}"

    def _input_symbols(self, key: Any, arrays: Sequence[np.ndarray]) -> dict[Any, int]:
        """The symbols that stand for axes of the inputs, and their values in this call."""
        found = self.bound.get(key)
        if found is None:
            found = {}
            for v, array in zip(self.owner.inputs, arrays):
                for dim, have in zip(self.settled.sources[v].type.shape, array.shape):
                    if type(dim) is not int and not dims.symbols_of(dim) - {dim}:
                        found.setdefault(dim, have)
            if len(self.bound) > 256:
                self.bound.clear()
            self.bound[key] = found
        return found

    def _value_dims(self, key: Any, arrays: Sequence[np.ndarray]) -> tuple[tuple[Any, int], ...]:
        """The values of the integer scalars that serve as dims."""
        given = {self.settled.sources[v]: a for v, a in zip(self.owner.inputs, arrays)}
        given |= {self.settled.sources[s]: s.storage.array for s in self.shared}
        symbols = list(self.settled.values)
        found = evaluate([self.settled.values[s] for s in symbols], given, self._input_symbols(key, arrays))
        return tuple(zip(symbols, (int(v) for v in found)))


class Plan:
    """What one combination of shapes needs: values of the symbols, shapes of the outputs."""

    def __init__(self, core: Core, arrays: Sequence[np.ndarray], values: dict[Any, int]) -> None:
        self.core = core
        symbols: dict[Any, int] = dict(values)
        self._bind_user_symbols(core, arrays, symbols)
        symbols.update(core._input_symbols(tuple(a.shape for a in arrays), arrays))
        for v, array in zip(core.owner.inputs, arrays):
            source = core.settled.sources[v]
            for axis, (dim, have) in enumerate(zip(source.type.shape, array.shape)):
                want = dims.evaluate(dim, symbols)
                if want != have:
                    text = f"{core.owner.name}(): an input has {have} on axis {axis}, expected {want}"
                    raise GuardError(located(text, [v], trace=v.trace) + "\n" + core.given(arrays))
        for b in core.program.buffers:
            for axis, d in enumerate(b.shape):
                if type(d) is not int and dims.evaluate(d, symbols) < 0:
                    text = f"{core.owner.name}(): {b.name} would have {dims.evaluate(d, symbols)} on axis {axis}"
                    repair = "a dim cannot be negative: check the numbers that the shape is made from"
                    raise GuardError(located(text, [], repair, b.trace) + "\n" + core.given(arrays))
        self.dims = [symbols[s] for s in core.program.symbols]
        self.symbols = symbols
        self.costs = costs(core.program.steps, symbols) if core.record is not None else ([], [])
        self.shapes = [
            tuple(dims.evaluate(d, symbols) for d in b.shape) if b.role in ("output", "update") else None for b in core.program.buffers
        ]

    def _bind_user_symbols(self, core: Core, arrays: Sequence[np.ndarray], symbols: dict[Any, int]) -> None:
        """Check the guards as the user's own dims state them, so that a message speaks of the user's operands."""
        known: dict[Any, int] = dict(symbols)
        for v, array in zip(core.owner.inputs, arrays):
            for axis, (dim, have) in enumerate(zip(v.type.shape, array.shape)):
                if type(dim) is int:
                    if dim != have:
                        text = f"{core.owner.name}(): an input has {have} on axis {axis}, declared to be {dim}"
                        raise GuardError(located(text, [v], trace=v.trace) + "\n" + core.given(arrays))
                elif not dims.symbols_of(dim) - {dim}:
                    known.setdefault(dim, have)
        for guard in core.settled.guards:
            sides = [guard.left, guard.right]
            if all(dims.symbols_of(d) <= known.keys() for d in sides):
                left, right = (dims.evaluate(d, known) for d in sides)
                if left != right:
                    found = f"  in this call: {left} and {right}\n{core.given(arrays)}"
                    raise GuardError(f"{core.owner.name}(): {guard.text()}\n{found}")

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        core = self.core
        bound: list[np.ndarray | None] = []
        results: list[np.ndarray] = [None] * len(core.owner.outputs)  # type: ignore[list-item]
        fresh: list[tuple[int, np.ndarray]] = []
        first = len(core.owner.outputs)
        for b, shape in zip(core.program.buffers, self.shapes):
            array: np.ndarray | None = None
            if b.role == "input":
                array = arrays[b.slot]
            elif b.role == "shared":
                array = core.shared[b.slot].storage.array
            elif b.role == "constant":
                array = b.data
            elif b.role == "output":
                assert shape is not None
                array = results[b.slot] = np.empty(shape, b.dtype)
            elif b.role == "update" and b.alias < 0:
                assert shape is not None
                array = np.empty(shape, b.dtype)
                fresh.append((core.update_slots[b.slot - first], array))
            bound.append(array)
        status = core.executable(bound, self.dims)
        if status:
            raise IndexError(f"{core.owner.name}(): {core.program.messages[status - 1]}\n{core.given(arrays)}")
        for slot, array in fresh:
            core.shared[slot].storage.array = array
        if core.fast is not None:
            core.fast.prepare(self.symbols, [r.shape for r in results], bound)
        return results
