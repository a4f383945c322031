"""Loops over steps that compute every element from the same element of the step before, in registers.

Such a loop of a kernel over elements becomes one kernel: a loop over elements around a loop over steps. States stay in
registers, threads share the elements, and nothing is started once per step. Beside the kernel there may be copies by
which a state becomes what another one was a step before, as where a step reads the last two values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from symc.compiler.lowering.late_operands import late_operands_last
from symc.compiler.lowering.row_forms import blocks_of_rows
from symc.graph import dims
from symc.loops.expr import ONE, ZERO, Expr, index, minimum, names_in, var
from symc.loops.ir import Alloc, Carried, For, If, Kernel, Let, Load, Node, Ref, Statement, Step, Store, moved

__all__ = ["in_registers", "moving", "stride_of"]

COLUMNS = 128
"""The number of elements whose steps one thread computes together: neighbours in memory, as many as registers hold."""
BLOCK, COLUMN = "block", "column"
"""The indices of the loops over blocks of elements, and over the elements of a block."""
DELAYED = -1
"""The number of the buffer of a delayed state after a step: there is none, as a copy wrote it."""


def in_registers(
    nodes: Sequence[Node], t: Any, count: dims.Dim, states: Sequence[Carried], status: Callable[[int], bool]
) -> Step | None:
    """Create one step that does the work of a loop over ``nodes``, or None if the loop has another form.

    ``t`` is the index of the loop; ``status(buffer)`` tells whether a buffer is the status.
    """
    steps = [node for node in nodes if isinstance(node, Step)]
    delays = {id(node): pair for node in steps if (pair := _delayed(node, states)) is not None}
    stacked = {id(node): places for node in steps if (places := _stacked(node, states)) is not None}
    if len(steps) != len(nodes) or len(nodes) != len(delays) + len(stacked) + 1 or not states:
        return None
    (step,) = (node for node in steps if id(node) not in delays and id(node) not in stacked)
    if any(status(r.buffer) for r in step.refs) or any(dims.symbols_of(d) & {t} for d in step.dims):
        return None
    for first, second in stacked.values():
        both = _stored_twice(step, first, second)
        if both is None:
            return None
        step = both
    return _Recurrence(step, t, count, states, dict(delays.values())).step()


def _copy(step: Step) -> tuple[Ref, Ref] | None:
    """What a step copies, and to where; None if it does anything else."""
    body = step.kernel.body
    while len(body) == 1 and isinstance(body[0], For):
        body = body[0].body
    if len(body) != 2 or len(step.refs) != 2:
        return None
    load, store = body
    if not (isinstance(load, Load) and isinstance(store, Store) and store.value.same(var(load.name, load.dtype))):
        return None
    if not load.index.same(store.index):
        return None
    source, target = (step.refs[int(s.buffer[1:])] for s in (load, store))
    return source, target


def _delayed(step: Step, states: Sequence[Carried]) -> tuple[int, int] | None:
    """The number of a state that a step makes a copy of another one before the step, and that of the other."""
    source, target = _copy(step) or (None, None)
    after = [k for k, s in enumerate(states) if s.after == target and not s.keep]
    before = [k for k, s in enumerate(states) if s.before == source]
    if len(after) != 1 or len(before) != 1 or after == before:
        return None
    return after[0], before[0]


def _stacked(step: Step, states: Sequence[Carried]) -> tuple[Ref, Ref] | None:
    """The new value of a state, and the place among stacked results to which a step copies it."""
    source, target = _copy(step) or (None, None)
    if source is None or target is None or all(s.after != source for s in states):
        return None
    return None if any(r.buffer == target.buffer for s in states for r in (s.before, s.after)) else (source, target)


def _stored_twice(step: Step, first: Ref, second: Ref) -> Step | None:
    """A step that stores what it stores at ``first`` at ``second`` as well; None if it does not store it."""
    kernel = step.kernel
    numbers = [k for k, r in enumerate(step.refs) if r == first and k in kernel.writes]
    if len(numbers) != 1:
        return None
    buffer, new = f"b{numbers[0]}", len(step.refs)
    dtypes = (*kernel.buffers, kernel.buffers[numbers[0]])

    def visit(body: Sequence[Statement]) -> tuple[Statement, ...]:
        made: list[Statement] = []
        for s in body:
            made.append(replace(s, body=visit(s.body)) if isinstance(s, (For, If)) else s)
            if isinstance(s, Store) and s.buffer == buffer:
                made.append(replace(s, buffer=f"b{new}"))
        return tuple(made)

    both = replace(kernel, buffers=dtypes, writes=kernel.writes | {new}, body=visit(kernel.body))
    return replace(step, kernel=both, refs=(*step.refs, second))


def _in_columns(loop: For) -> For:
    """A loop over elements in blocks of ``COLUMNS``, which threads share; ``loop`` itself if it has another form."""
    element, total = loop, loop.extent
    at: dict[str, Expr] = {}
    if loop.kind == "parallel":
        inner = loop.body[0] if len(loop.body) == 1 else None
        found = blocks_of_rows(loop, inner) if isinstance(inner, For) else None
        if found is None or not isinstance(inner, For):
            return loop
        element, total = inner, found[0]
        at[loop.index] = ZERO
    if loop.index in (BLOCK, COLUMN) or total.op == "const" and int(total.value) <= COLUMNS:
        return loop
    if not all(isinstance(s, (Let, Load, Store)) for s in element.body):
        return loop
    start = var(BLOCK) * COLUMNS
    at[element.index] = start + var(COLUMN)
    columns = For(COLUMN, minimum(total - start, index(COLUMNS)), tuple(moved(s, at) for s in element.body), "simd")
    return For(BLOCK, (total + (COLUMNS - 1)) // COLUMNS, (columns,), "parallel")


def stride_of(offset: dims.Dim, t: Any) -> dims.Dim | None:
    """How far an offset moves per step ``t``; None if that differs from step to step."""
    at = [dims.substitute(offset, {t: k}) for k in range(4)]
    by = [dims.sub(b, a) for a, b in zip(at, at[1:])]
    return by[0] if all(dims.equal(by[0], d) is True for d in by) else None


def moving(
    ref: Ref, by: dims.Dim, t: Any, count: dims.Dim, size: Callable[[dims.Dim], Expr], step: Expr
) -> tuple[Ref, Expr]:
    """The lowest memory that a reference reaches in ``count`` steps ``t``, each ``by`` further, and how far it is from
    there in a ``step``; ``size`` makes an expression of a dim."""
    if dims.evaluate(by, dict.fromkeys(dims.symbols_of(by), 1)) >= 0:
        return Ref(ref.buffer, dims.substitute(ref.offset, {t: 0})), step * size(by)
    last = dims.sub(count, 1)
    return Ref(ref.buffer, dims.substitute(ref.offset, {t: last})), (size(last) - step) * size(dims.sub(0, by))


class _Recurrence:
    """The loop of a ``step``; ``delays`` are states that become another one before the step, with that one."""

    def __init__(
        self, step: Step, t: Any, count: dims.Dim, states: Sequence[Carried], delays: Mapping[int, int]
    ) -> None:
        self.old = step
        self.t = t
        self.count = count
        self.states = states
        self.delays = delays
        self.dims = list(step.dims)
        self.refs = [Ref(r.buffer, dims.substitute(r.offset, {t: 0})) for r in step.refs]
        self.dtypes = list(step.kernel.buffers)
        self.writes = set(step.kernel.writes)

    def size(self, dim: dims.Dim) -> Expr:
        if type(dim) is int:
            return index(dim)
        if dim not in self.dims:
            self.dims.append(dim)
        return var(f"n{self.dims.index(dim)}")

    def step(self) -> Step | None:
        """The step, or None if the kernel is no loop over elements that are computed independently of each other."""
        old, kernel = self.old, self.old.kernel
        numbers: list[tuple[int, int]] = []
        for number, state in enumerate(self.states):
            root = self.states[self._root(number)]
            before = [k for k, r in enumerate(old.refs) if r == state.before]
            after = [k for k, r in enumerate(old.refs) if r == state.after]
            made = [self.dtypes[k] for k, r in enumerate(old.refs) if r == root.after]
            if len(before) > 1 or len(made) != 1:
                return None
            if root is not state:
                if after or sum(r.buffer == state.before.buffer for r in old.refs) != len(before):
                    return None
                after = [DELAYED]
            numbers.append((before[0] if before else self._first_of(state.before, made[0]), after[0]))
        own = {k for pair in numbers for k in pair}
        written = {old.refs[k].buffer for k in kernel.writes}
        if any(r.buffer in written and k not in own and k not in kernel.writes for k, r in enumerate(old.refs)):
            return None  # it reads what another step has written
        if (
            not {after for _, after in numbers if after != DELAYED} <= kernel.writes
            or {before for before, _ in numbers} & kernel.writes
        ):
            return None
        stride = {k: stride_of(r.offset, self.t) for k, r in enumerate(old.refs)}
        moving = [k for k in stride if k not in own or self._is_kept(k, numbers)]
        if any(stride[k] is None for k in moving):
            return None
        body = self._nest(kernel.body, numbers, {k: stride[k] for k in moving})
        if body is None:
            return None
        whole = Kernel(
            kernel.name, tuple(self.dtypes), frozenset(self.writes), len(self.dims), body,
            kernel.flops * self.size(self.count), kernel.bytes * self.size(self.count),
        )  # fmt: skip
        return replace(old, kernel=whole, refs=tuple(self.refs), dims=tuple(self.dims))

    def _root(self, state: int) -> int:
        """The state that a delayed one was some steps before."""
        for _ in self.delays:
            state = self.delays.get(state, state)
        return state

    def _first_of(self, ref: Ref, dtype: str) -> int:
        """The number of a buffer that the kernel has not read so far: the first value of a state."""
        self.refs.append(Ref(ref.buffer, dims.substitute(ref.offset, {self.t: 0})))
        self.dtypes.append(dtype)
        return len(self.refs) - 1

    def _is_kept(self, k: int, numbers: Sequence[tuple[int, int]]) -> bool:
        return any(after == k and s.keep for (_, after), s in zip(numbers, self.states))

    def _moved(self, k: int, stride: dict[int, Any], t: Expr) -> Expr:
        """How far buffer ``k`` has moved at step ``t``; the reference itself is the lowest that is reached."""
        self.refs[k], by = moving(self.old.refs[k], stride[k], self.t, self.count, self.size, t)
        return by

    def _nest(
        self, body: Sequence[Statement], numbers: Sequence[tuple[int, int]], stride: dict[int, Any]
    ) -> tuple[Statement, ...] | None:
        """Put the loop over steps into the loop over elements."""
        *before, last = body
        if isinstance(last, For) and last.kind in ("parallel", "simd"):
            if not all(isinstance(s, (Let, Load)) for s in before):
                return None
            lets, each = self._of_all_steps(before, stride)
            loop = _in_columns(replace(last, body=(*each, *last.body)))
            if loop.kind == "parallel":
                inner = self._nest(loop.body, numbers, stride)
            else:
                inner = self._over_steps(loop.body, numbers, stride)
            work = None if loop.work is None else loop.work * self.size(self.count)
            return None if inner is None else (*lets, replace(loop, body=inner, work=work))
        return self._over_steps(body, numbers, stride)

    def _of_all_steps(
        self, body: Sequence[Statement], stride: dict[int, Any]
    ) -> tuple[list[Statement], list[Statement]]:
        """Statements that are the same in all steps, and those that belong to each step."""
        same: list[Statement] = []
        each: list[Statement] = []
        varying: set[str] = set()
        for s in body:
            if isinstance(s, Load):
                fixed = self._is_fixed(int(s.buffer[1:]), stride) and varying.isdisjoint(names_in(s.index))
            else:
                fixed = isinstance(s, Let) and varying.isdisjoint(names_in(s.value))
            (same if fixed else each).append(s)
            if isinstance(s, (Let, Load)) and not fixed:
                varying.add(s.name)
        return same, each

    def _is_fixed(self, k: int, stride: dict[int, Any]) -> bool:
        """Whether all steps read the same memory through buffer ``k``, which none of them writes."""
        return stride.get(k) == 0 and k not in self.writes

    def _over_steps(
        self, body: Sequence[Statement], numbers: Sequence[tuple[int, int]], stride: dict[int, Any]
    ) -> tuple[Statement, ...] | None:
        """The statements of one element: states from memory to registers, the loop over steps, and back."""
        if not all(isinstance(s, (Let, Load, Store)) for s in body):
            return None
        first, body = self._of_all_steps(body, stride)
        own = {s.name for s in body if isinstance(s, (Let, Load))}
        t = var("t_step")
        top: list[Statement] = []
        rest: list[Statement] = []
        ends: list[Statement] = []
        last: list[Statement] = []
        places: list[Expr] = []
        for k, (before, after) in enumerate(numbers):
            stores = [s for s in body if isinstance(s, Store) and s.buffer == f"b{numbers[self._root(k)][1]}"]
            if len(stores) != 1 or not own.isdisjoint(names_in(stores[0].index)):
                return None
            places.append(stores[0].index)
            dtype, register = self.dtypes[before], f"state{k}"
            first += [
                Alloc(register, dtype, ONE),
                Load(f"first{k}", f"b{numbers[k][0]}", places[k], dtype),
                Store(register, ZERO, var(f"first{k}", dtype)),
            ]
            if after == DELAYED:
                top.append(Load(f"delayed{k}", f"state{self.delays[k]}", ZERO, dtype))
                ends.append(Store(register, ZERO, var(f"delayed{k}", dtype)))
            else:
                ends.append(Store(register, ZERO, stores[0].value))
            if not self.states[k].keep:
                final = Ref(
                    self.states[k].before.buffer, dims.substitute(self.states[k].before.offset, {self.t: self.count})
                )
                self.refs.append(final)
                self.dtypes.append(dtype)
                self.writes.add(len(self.refs) - 1)
                last += [
                    Load(f"last{k}", register, ZERO, dtype),
                    Store(f"b{len(self.refs) - 1}", places[k], var(f"last{k}", dtype)),
                ]
        state_of = {f"b{before}": k for k, (before, _) in enumerate(numbers)}
        dropped = {f"b{after}" for (_, after), s in zip(numbers, self.states) if not s.keep}
        for s in body:
            if isinstance(s, Load) and s.buffer in state_of:
                k = state_of[s.buffer]
                if not s.index.same(places[k]):
                    return None  # it reads another element
                top.append(Load(s.name, f"state{k}", ZERO, s.dtype))
            elif isinstance(s, (Load, Store)):
                if s.buffer in dropped:
                    continue
                rest.append(replace(s, index=s.index + self._moved(int(s.buffer[1:]), stride, t)))
            else:
                rest.append(s)
        inside = late_operands_last([*top, *rest, *ends], [f"state{k}" for k in range(len(numbers))])
        steps = For("t_step", self.size(self.count), tuple(inside), "serial")
        return (*first, steps, *last)
