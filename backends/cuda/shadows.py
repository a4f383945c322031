"""Scalars computed from arguments in host memory: the host computes them itself instead of waiting for the GPU.

The bounds of a slice such as ``x[i * n : (i + 1) * n]`` are an example. The GPU computes them as well if kernels read
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symc.loops.expr import Expr
from symc.loops.ir import Let, Load, Program, Step, Store
from symc_backends.interp import evaluate

__all__ = ["Shadow", "shadows_of", "value_of"]


class Shadow:
    """A step that reads and writes single elements at constant positions, and one of the buffers that it writes."""

    def __init__(self, step: Step, position: int) -> None:
        self.body = step.kernel.body
        self.refs = {f"b{k}": ref for k, ref in enumerate(step.refs)}
        self.output = f"b{position}"

    @property
    def reads(self) -> set[int]:
        """The program buffers that it reads."""
        return {self.refs[s.buffer].buffer for s in self.body if isinstance(s, Load)}

    def compute(self, known: Mapping[int, np.ndarray]) -> np.ndarray:
        """Compute the element that it writes, given the elements that it reads."""
        scope: dict[str, Any] = {}
        found: Any = None
        with np.errstate(all="ignore"):
            for s in self.body:
                if isinstance(s, Load):
                    ref = self.refs[s.buffer]
                    scope[s.name] = known[ref.buffer][ref.offset + s.index.value]
                elif isinstance(s, Let):
                    scope[s.name] = evaluate(s.value, scope)
                elif isinstance(s, Store) and s.buffer == self.output:
                    found = evaluate(s.value, scope)
        return np.asarray(found).reshape(1)


def shadows_of(program: Program) -> dict[int, Shadow]:
    """The one-element temporaries that the host can compute from arguments in host memory."""
    writers: dict[int, int] = {}
    for any_step in program.steps:
        for number in any_step.writes:
            writers[number] = writers.get(number, 0) + 1
    known = {k for k, b in enumerate(program.buffers) if b.role in ("input", "constant")}
    found: dict[int, Shadow] = {}
    plain = [n for n in program.body if isinstance(n, Step) and not n.dims and all(map(_is_simple, n.kernel.body))]
    for step in plain:
        for position in step.kernel.writes:
            number = step.refs[position].buffer
            shadow = Shadow(step, position)
            alone = writers[number] == 1 and program.buffers[number].role == "temp"
            if alone and all(type(r.offset) is int for r in step.refs) and shadow.reads <= known:
                found[number] = shadow
                known.add(number)
    return found


def value_of(number: int, shadows: Mapping[int, Shadow], given: dict[int, np.ndarray]) -> np.ndarray | None:
    """Compute the contents of a buffer from ``given``, to which computed values are added; None if impossible."""
    stack = [number]
    while stack:
        k = stack[-1]
        if k in given:
            stack.pop()
            continue
        if k not in shadows:
            return None
        waiting = [n for n in shadows[k].reads if n not in given]
        stack.extend(waiting)
        if not waiting:
            given[k] = shadows[k].compute(given)
    return given[number]


def _is_simple(s: Any) -> bool:
    if isinstance(s, Let):
        return True
    return isinstance(s, (Load, Store)) and _is_fixed(s.index)


def _is_fixed(e: Expr) -> bool:
    return e.op == "const"
