"""Loops over steps that compute every element from the same element of the step before, in registers.

Such a loop of a kernel over elements becomes one kernel: a loop over elements around a loop over steps. States stay in
registers, threads share the elements, and nothing is started once per step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from symc.graph import dims
from symc.loops.expr import ONE, ZERO, Expr, index, names_in, var
from symc.loops.ir import Alloc, Carried, For, Kernel, Let, Load, Node, Ref, Statement, Step, Store

__all__ = ["in_registers"]


def in_registers(
    nodes: Sequence[Node], t: Any, count: dims.Dim, states: Sequence[Carried], status: Callable[[int], bool]
) -> Step | None:
    """Create one step that does the work of a loop over ``nodes``, or None if the loop has another form.

    ``t`` is the index of the loop; ``status(buffer)`` tells whether a buffer is the status.
    """
    if len(nodes) != 1 or not isinstance(nodes[0], Step) or not states:
        return None
    step = nodes[0]
    if any(status(r.buffer) for r in step.refs) or any(dims.symbols_of(d) & {t} for d in step.dims):
        return None
    return _Recurrence(step, t, count, states).step()


class _Recurrence:
    def __init__(self, step: Step, t: Any, count: dims.Dim, states: Sequence[Carried]) -> None:
        self.old = step
        self.t = t
        self.count = count
        self.states = states
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
        for s in self.states:
            before = [k for k, r in enumerate(old.refs) if r == s.before]
            after = [k for k, r in enumerate(old.refs) if r == s.after]
            if len(before) != 1 or len(after) != 1:
                return None
            numbers.append((before[0], after[0]))
        own = {k for pair in numbers for k in pair}
        written = {old.refs[k].buffer for k in kernel.writes}
        if any(r.buffer in written and k not in own and k not in kernel.writes for k, r in enumerate(old.refs)):
            return None  # it reads what another step has written
        if not {after for _, after in numbers} <= kernel.writes or {before for before, _ in numbers} & kernel.writes:
            return None
        stride = {k: self._stride(r) for k, r in enumerate(old.refs)}
        moving = [k for k in stride if k not in own or self._is_kept(k, numbers)]
        if any(stride[k] is None for k in moving):
            return None
        body = self._nest(kernel.body, numbers, {k: stride[k] for k in moving})
        if body is None:
            return None
        made = Kernel(
            kernel.name, tuple(self.dtypes), frozenset(self.writes), len(self.dims), body,
            kernel.flops * self.size(self.count), kernel.bytes * self.size(self.count),
        )  # fmt: skip
        return replace(old, kernel=made, refs=tuple(self.refs), dims=tuple(self.dims))

    def _is_kept(self, k: int, numbers: Sequence[tuple[int, int]]) -> bool:
        return any(after == k and s.keep for (_, after), s in zip(numbers, self.states))

    def _stride(self, ref: Ref) -> dims.Dim | None:
        """How far the reference moves per step; None if that differs from step to step."""
        at = [dims.substitute(ref.offset, {self.t: k}) for k in range(4)]
        by = [dims.sub(b, a) for a, b in zip(at, at[1:])]
        return by[0] if all(dims.equal(by[0], d) is True for d in by) else None

    def _moved(self, k: int, stride: dict[int, Any], t: Expr) -> Expr:
        """How far buffer ``k`` has moved at step ``t``; the reference itself is the lowest that is reached."""
        by = stride[k]
        if dims.evaluate(by, dict.fromkeys(dims.symbols_of(by), 1)) >= 0:
            return t * self.size(by)
        self.refs[k] = Ref(
            self.refs[k].buffer, dims.substitute(self.old.refs[k].offset, {self.t: dims.sub(self.count, 1)})
        )
        return (self.size(dims.sub(self.count, 1)) - t) * self.size(dims.sub(0, by))

    def _nest(
        self, body: Sequence[Statement], numbers: Sequence[tuple[int, int]], stride: dict[int, Any]
    ) -> tuple[Statement, ...] | None:
        """Put the loop over steps into the loop over elements."""
        *lets, last = body
        if not all(isinstance(s, Let) for s in lets):
            lets, last = [], None  # type: ignore[assignment]
        if isinstance(last, For) and last.kind in ("parallel", "simd"):
            if last.kind == "parallel":
                inner = self._nest(last.body, numbers, stride)
                work = None if last.work is None else last.work * self.size(self.count)
            else:
                inner, work = self._over_steps(last.body, numbers, stride), last.work
            return None if inner is None else (*lets, replace(last, body=inner, work=work))
        return self._over_steps(body, numbers, stride)

    def _over_steps(
        self, body: Sequence[Statement], numbers: Sequence[tuple[int, int]], stride: dict[int, Any]
    ) -> tuple[Statement, ...] | None:
        """The statements of one element: states from memory to registers, the loop over steps, and back."""
        if not all(isinstance(s, (Let, Load, Store)) for s in body):
            return None
        own = {s.name for s in body if isinstance(s, (Let, Load))}
        t = var("t_step")
        first: list[Statement] = []
        top: list[Statement] = []
        rest: list[Statement] = []
        ends: list[Statement] = []
        last: list[Statement] = []
        places: list[Expr] = []
        for k, (_, after) in enumerate(numbers):
            stores = [s for s in body if isinstance(s, Store) and s.buffer == f"b{after}"]
            if len(stores) != 1 or not own.isdisjoint(names_in(stores[0].index)):
                return None
            places.append(stores[0].index)
            dtype, register = self.dtypes[after], f"state{k}"
            first += [
                Alloc(register, dtype, ONE),
                Load(f"first{k}", f"b{numbers[k][0]}", places[k], dtype),
                Store(register, ZERO, var(f"first{k}", dtype)),
            ]
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
        steps = For("t_step", self.size(self.count), (*top, *rest, *ends), "serial")
        return (*first, steps, *last)
