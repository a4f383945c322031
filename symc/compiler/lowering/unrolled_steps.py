"""Loops over steps on small matrices, written out as scalars: a step of few operations starts no kernels.

The kernels of a step whose loops are all short become one list of scalar statements. What one of them stores and
another loads is a name, states are registers, and memory has what is read outside of the loop. A filter of four states
multiplies matrices of 4 x 4 in every step: a library call takes ten times as long as its 64 multiplications.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symc.compiler.lowering.recurrences import moving, stride_of
from symc.graph import dims
from symc.loops.calls import CALLS
from symc.loops.expr import ONE, ZERO, Expr, call, cast, const, index, parts, var
from symc.loops.functions import FUNCTIONS
from symc.loops.ir import (
    Accumulate,
    Alloc,
    Buffer,
    Call,
    Carried,
    Epilogue,
    For,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Ref,
    Statement,
    Step,
    Store,
    roots,
)

__all__ = ["unrolled"]

MOST = 1000
"""The largest number of statements of a step: the C compiler takes a third of a second for these."""
LONGEST, LARGEST = 32, 256
"""The largest number of terms of a sum in a step, and of elements that a loop computes."""
COSTLY, QUOTIENT = 40, 6
"""How many additions a costly function and a quotient take."""
START, LOOP, CALL, LANES = 100, 16, 400, 6
"""How many additions the start of a kernel, a loop and a library call take, and how many a kernel makes at once."""


class _Other(Exception):
    """The loop has another form."""


@dataclass(frozen=True)
class _Place:
    """An element of memory: an offset in terms of symbols, apart from its constant part, which ``element`` contains."""

    buffer: int
    offset: Any
    element: int


def unrolled(
    loop: Loop, states: Sequence[Carried], buffers: Sequence[Buffer], own: Callable[[int], bool]
) -> Step | None:
    """Create one step that does the work of a loop, or None if its body has another form or is better left as it is.

    ``own(buffer)`` tells whether nothing outside of the loop reads a buffer.
    """
    steps = [node for node in loop.body if isinstance(node, Step)]
    if loop.until is not None or not states or not 0 < len(steps) == len(loop.body):
        return None
    if any(buffers[k].role == "status" or "float16" in buffers[k].dtype for s in steps for k in s.buffers):
        return None
    try:
        return _Unrolled(loop, states, buffers, own, steps).step()
    except _Other:
        return None


def _work(e: Expr) -> int:
    """How many additions a value takes."""
    total = 0
    for x in parts(e):
        if x.op not in ("const", "var"):
            function = FUNCTIONS.get(x.op)
            total += COSTLY if function is not None and function.costly else QUOTIENT if x.op in ("div", "sqrt") else 1
    return total


def _accumulates(body: Sequence[Statement]) -> bool:
    return any(isinstance(s, Accumulate) or isinstance(s, (For, If)) and _accumulates(s.body) for s in body)


def _with(e: Expr, names: Mapping[str, Expr]) -> Expr:
    """``e`` with names replaced by their values, which may contain names of the same kind."""
    if e.op == "var":
        return names.get(e.value, e)
    if not e.args:
        return e
    args = [_with(a, names) for a in e.args]
    return cast(args[0], e.dtype) if e.op == "cast" else call(e.op, *args)


class _Unrolled:
    """The statements of a loop's step, as they are written out."""

    def __init__(
        self,
        loop: Loop,
        states: Sequence[Carried],
        buffers: Sequence[Buffer],
        own: Callable[[int], bool],
        steps: Sequence[Step],
    ) -> None:
        self.loop = loop
        self.states = states
        self.own = own
        self.steps = steps
        self.memory = roots(buffers)
        self.buffers = buffers
        self.written = {self.root(k) for s in steps for k in s.writes}
        self.values: dict[_Place, Expr] = {}
        self.sources: dict[_Place, Ref] = {}
        self.moves: dict[Ref, tuple[Ref, Expr]] = {}
        self.loaded: dict[_Place, Expr] = {}
        self.registers: dict[tuple[int, int], tuple[str, str]] = {}
        self.local: dict[tuple[str, int], Expr] = {}
        self.before: list[Statement] = []
        self.inside: list[Statement] = []
        self.refs: list[Ref] = []
        self.dtypes: list[str] = []
        self.writes: set[int] = set()
        self.dims: list[dims.Dim] = []
        self.names = 0
        self.work = self.loops = self.calls = 0
        self.starts = [self._place(s.before, 0) for s in states]
        self.ends = [self._place(s.after, 0) for s in states]

    def root(self, buffer: int) -> int:
        return self.memory.get(buffer, buffer)

    # --- memory ---------------------------------------------------------------------------------------------------

    def _place(self, ref: Ref, element: int) -> _Place:
        if type(ref.offset) is int:
            return _Place(self.root(ref.buffer), 0, ref.offset + element)
        number, rest = ref.offset.as_coeff_Add()
        return _Place(self.root(ref.buffer), rest, int(number) + element)

    def _state(self, place: _Place, at: Sequence[_Place]) -> tuple[int, int] | None:
        """The state that an element belongs to, and its number in it, where states are ``at`` these places."""
        found = [
            (place.element - p.element, k)
            for k, p in enumerate(at)
            if p.buffer == place.buffer and p.offset == place.offset and p.element <= place.element
        ]
        return min(found)[::-1] if found else None

    def size(self, dim: dims.Dim) -> Expr:
        """A dim as an expression of the new kernel."""
        if type(dim) is int:
            return index(dim)
        if dims.symbols_of(dim) & {self.loop.index}:
            raise _Other
        if dim not in self.dims:
            self.dims.append(dim)
        return var(f"n{self.dims.index(dim)}")

    def buffer(self, ref: Ref, dtype: str, written: bool = False) -> str:
        """The name of memory in the new kernel."""
        if ref not in self.refs:
            self.refs.append(ref)
            self.dtypes.append(dtype)
        number = self.refs.index(ref)
        if written:
            self.writes.add(number)
        return f"b{number}"

    def moved(self, ref: Ref) -> tuple[Ref, Expr]:
        """The lowest memory that all steps reach by a reference, and how far it is from there in a step."""
        if ref not in self.moves:
            by = stride_of(ref.offset, self.loop.index)
            if by is None:
                raise _Other
            self.moves[ref] = moving(ref, by, self.loop.index, self.loop.count, self.size, var("t_step"))
        return self.moves[ref]

    def load(self, ref: Ref, element: Expr, dtype: str) -> Expr:
        """An element of memory in this step."""
        place = self._place(ref, int(element.value)) if element.op == "const" else None
        if self.root(ref.buffer) in self.written:
            if place is None:
                raise _Other
            if place in self.values:
                return self._of_type(self.values[place], dtype)
            found = self._state(place, self.starts)
            if found is None:
                raise _Other
            return self.register(found, dtype)
        if place in self.loaded:
            assert place is not None
            return self.loaded[place]
        lowest, by = self.moved(ref)
        name = self.name()
        load = Load(name, self.buffer(lowest, dtype), element + by, dtype)
        fixed = place is not None and by.same(ZERO)
        (self.before if fixed else self.inside).append(load)
        if place is not None:
            self.loaded[place] = var(name, dtype)
        return var(name, dtype)

    def register(self, state: tuple[int, int], dtype: str) -> Expr:
        """The value of an element of a state before the step."""
        if state not in self.registers:
            self.registers[state] = (self.name(), dtype)
        return var(*self.registers[state])

    def name(self) -> str:
        self.names += 1
        return f"value{self.names}"

    def let(self, value: Expr) -> Expr:
        """Name a value, unless it is one already."""
        if value.op in ("const", "var"):
            return value
        self.work += _work(value)
        if len(self.inside) > MOST:
            raise _Other
        name = self.name()
        self.inside.append(Let(name, value))
        return var(name, value.dtype)

    # --- kernels --------------------------------------------------------------------------------------------------

    def step(self) -> Step:
        for s in self.steps:
            self.visit(s.kernel.body, {f"n{k}": self.size(d) for k, d in enumerate(s.dims)}, s)
        kernels = START * len(self.steps) + LOOP * self.loops + CALL * self.calls + self.work // LANES
        if self.work > kernels or not self.values:
            raise _Other
        return self.whole()

    def visit(self, body: Sequence[Statement], known: Mapping[str, Expr], step: Step) -> None:
        """Write statements out, with names whose values are ``known``."""
        names = dict(known)
        for s in body:
            if isinstance(s, Alloc):
                self.local = {key: v for key, v in self.local.items() if key[0] != s.name}
            elif isinstance(s, Let):
                names[s.name] = self.let(_with(s.value, names))
            elif isinstance(s, Load):
                names[s.name] = self.read(step, s.buffer, _with(s.index, names), s.dtype)
            elif isinstance(s, Store):
                self.write(step, s.buffer, _with(s.index, names), _with(s.value, names))
            elif isinstance(s, Accumulate):
                at, value = _with(s.index, names), _with(s.value, names)
                old = self.read(step, s.buffer, at, value.dtype)
                self.write(step, s.buffer, at, call(s.op, old, value))
            elif isinstance(s, For):
                self.loops += 1
                most = LONGEST if s.kind == "serial" or _accumulates(s.body) else LARGEST
                for k in self.range(_with(s.extent, names), most):
                    self.visit(s.body, {**names, s.index: k}, step)
            elif isinstance(s, If):
                if _holds(_with(s.condition, names)):
                    self.visit(s.body, names, step)
            elif isinstance(s, Call):
                self.product(s, names, step)
            else:
                raise _Other

    def range(self, extent: Expr, most: int) -> Iterator[Expr]:
        if extent.op != "const" or extent.value > most:
            raise _Other
        return (index(k) for k in range(int(extent.value)))

    def read(self, step: Step, buffer: str, at: Expr, dtype: str) -> Expr:
        if buffer[0] == "b" and buffer[1:].isdigit():
            return self.load(step.refs[int(buffer[1:])], at, dtype)
        if at.op != "const" or (buffer, int(at.value)) not in self.local:
            raise _Other
        return self._of_type(self.local[buffer, int(at.value)], dtype)

    @staticmethod
    def _of_type(value: Expr, dtype: str) -> Expr:
        if value.dtype != dtype:
            raise _Other
        return value

    def write(self, step: Step, buffer: str, at: Expr, value: Expr) -> None:
        if at.op != "const":
            raise _Other
        value = self.let(value)
        if buffer[0] == "b" and buffer[1:].isdigit():
            ref = step.refs[int(buffer[1:])]
            place = self._place(ref, int(at.value))
            self.values[place], self.sources[place] = value, Ref(ref.buffer, place.offset)
        else:
            self.local[buffer, int(at.value)] = value

    def product(self, s: Call, known: Mapping[str, Expr], step: Step) -> None:
        """Write a product of matrices out."""
        self.calls += 1
        kind, dtype = s.name.rsplit("_", 1)
        params = [_with(p, known) for p in s.params]
        if kind != "gemm" or any(p.op != "const" for p in params):
            raise _Other
        p = {name: int(e.value) for name, e in zip(CALLS[kind].params, params)}
        if p["M"] * p["N"] * p["K"] > MOST or p["K"] > LONGEST:
            raise _Other
        of = {"f32": "float32", "f64": "float64"}[dtype]
        c, a, b = s.buffers
        for i in range(p["M"]):
            for j in range(p["N"]):
                place = index(i * p["ldc"] + j)
                total = self.read(step, c, place, of) if p["accumulate"] else None
                for k in range(p["K"]):
                    left = index(k * p["lda"] + i if p["transA"] else i * p["lda"] + k)
                    right = index(j * p["ldb"] + k if p["transB"] else k * p["ldb"] + j)
                    term = self.read(step, a, left, of) * self.read(step, b, right, of)
                    total = term if total is None else total + term
                self.write(step, c, place, const(0, of) if total is None else total)
        if s.epilogue is not None:
            self.epilogue(s.epilogue, known, step)

    def epilogue(self, e: Epilogue, known: Mapping[str, Expr], step: Step) -> None:
        for row in self.range(_with(e.rows, known), LARGEST):
            self.visit(e.body, {**known, e.row: row, e.first: ZERO, e.count: _with(e.columns, known)}, step)

    # --- the loop -------------------------------------------------------------------------------------------------

    def whole(self) -> Step:
        """A step with the loop over all steps, in which states are registers."""
        top: list[Statement] = []
        ends: list[Statement] = []
        last: list[Statement] = []
        new: dict[tuple[int, int], Expr] = {}
        for place, value in self.values.items():
            state = self._state(place, self.ends)
            ref = self.sources[place]
            if state is not None:
                new[state] = value
                if not self.states[state[0]].keep:
                    self.register(state, value.dtype)
                    continue
            elif self.own(ref.buffer) and not dims.symbols_of(ref.offset) & {self.loop.index}:
                continue
            lowest, by = self.moved(ref)
            dtype = self.buffers[ref.buffer].dtype
            ends.append(Store(self.buffer(lowest, dtype, True), by + index(place.element), value))
        if not self.registers.keys() <= new.keys():
            raise _Other
        for (k, e), (name, dtype) in self.registers.items():
            register, before = f"state{k}_{e}", self.states[k].before
            first = Ref(before.buffer, dims.substitute(before.offset, {self.loop.index: 0}))
            self.before += [
                Alloc(register, dtype, ONE),
                Load(f"first_{name}", self.buffer(first, dtype), index(e), dtype),
                Store(register, ZERO, var(f"first_{name}", dtype)),
            ]
            top.append(Load(name, register, ZERO, dtype))
            ends.append(Store(register, ZERO, new[k, e]))
            if not self.states[k].keep:
                final = Ref(before.buffer, dims.substitute(before.offset, {self.loop.index: self.loop.count}))
                last += [
                    Load(f"last_{name}", register, ZERO, dtype),
                    Store(self.buffer(final, dtype, True), index(e), var(f"last_{name}", dtype)),
                ]
        count = self.size(self.loop.count)
        body = (*self.before, For("t_step", count, (*top, *self.inside, *ends)), *last)
        name = "+".join(dict.fromkeys(part for s in self.steps for part in s.name.split("+")))
        kernel = Kernel(
            name, tuple(self.dtypes), frozenset(self.writes), len(self.dims), body, *self._costs(count)
        )  # fmt: skip
        locations = tuple(dict.fromkeys(at for s in self.steps for at in s.locations))
        return Step(kernel, tuple(self.refs), tuple(self.dims), locations)

    def _costs(self, count: Expr) -> tuple[Expr, Expr]:
        """The estimates of operations and bytes."""
        flops, moved = ZERO, ZERO
        for s in self.steps:
            known = {f"n{k}": self.size(d) for k, d in enumerate(s.dims)}
            flops, moved = flops + _with(s.kernel.flops, known), moved + _with(s.kernel.bytes, known)
        return flops * count, moved * count


def _holds(condition: Expr) -> bool:
    """Whether a condition on known numbers holds."""
    if condition.op == "const":
        return bool(condition.value)
    if condition.op in ("and", "or", "not"):
        truth = [_holds(a) for a in condition.args]
        return all(truth) if condition.op == "and" else any(truth) if condition.op == "or" else not truth[0]
    raise _Other
