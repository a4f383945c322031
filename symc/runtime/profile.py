"""Profiles: time spent in each kernel of a compiled function, with the user's lines.

A function compiled with ``profile=True`` (or under ``symc.config.profile``) has a ``Profile`` as ``f.profile``. The
back end measures the time of each step; bytes moved and operations are estimated by its kernel, for the shapes of each
call.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symc.errors import SourceLocation
from symc.graph import dims
from symc.loops.calls import CALLS
from symc.loops.expr import Expr, parts
from symc.loops.functions import FUNCTIONS
from symc.loops.ir import UNBOUNDED, Bind, Branch, Call, Host, Loop, Node, Program, Step

__all__ = ["Profile", "Row", "costs", "methods"]


@dataclass(frozen=True)
class Row:
    """Measurements of one step of the program, over all calls.

    Attributes
    ----------
    kernel : str
        What the kernel computes; of a convolution on the CPU also the algorithm, as in ``conv2d by Winograd``.
    calls : int
    seconds : float
        Total time spent in it.
    share : float
        Its fraction of the time of all kernels, from 0 to 1.
    bytes, flops : int
        Estimated memory traffic and scalar operations, over all calls.
    lines : tuple of SourceLocation
        The user's lines that it computes.
    """

    kernel: str
    calls: int
    seconds: float
    share: float
    bytes: int
    flops: int
    lines: tuple[SourceLocation, ...]

    @property
    def gbytes_per_second(self) -> float:
        """Bytes moved per second, in units of 1e9."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gflops_per_second(self) -> float:
        """Scalar operations per second, in units of 1e9."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0


_counting = threading.Lock()


class Samples:
    """The measurements of one specialisation's code."""

    def __init__(self, program: Program, times: np.ndarray) -> None:
        self.program = program
        self.times = times
        self.calls = 0
        self.bytes = [0] * len(program.steps)
        self.flops = [0] * len(program.steps)
        self.methods: dict[int, str] = {}

    def note(self, methods: Mapping[int, str]) -> None:
        """Record how the back end does the library calls of these steps; of several shapes the last counts."""
        self.methods.update(methods)

    def add(self, moved: Sequence[int], computed: Sequence[int]) -> None:
        """Record a call with these bytes moved and operations, per step."""
        with _counting:
            self.calls += 1
            for k, (b, f) in enumerate(zip(moved, computed)):
                self.bytes[k] += b
                self.flops[k] += f

    def name_of(self, step: int) -> str:
        """What step ``step`` computes, and how if the back end had a choice."""
        name, chosen = self.program.steps[step].name, self.methods.get(step)
        return f"{name} by {chosen}" if chosen else name

    def clear(self) -> None:
        """Discard the measurements."""
        self.calls = 0
        self.times[:] = 0
        self.bytes = [0] * len(self.bytes)
        self.flops = [0] * len(self.flops)


class Profile:
    """The profile of a function, ``f.profile``.

    Attributes
    ----------
    name : str
        The name of the function.
    seconds : float
        Wall-clock time of all calls, including conversions and allocation.
    compile_seconds : float
        Time spent compiling, for all shapes of shared variables so far.
    preparation : Profile or None
        The profile of what was computed from shared variables alone, when they changed and not in every call.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds = 0.0
        self.compile_seconds = 0.0
        self.preparation: Profile | None = None
        self._records: list[Samples] = []

    def open(self, program: Program, times: np.ndarray) -> Samples:
        """Start measuring ``program``, whose executable accumulates the seconds of each step in ``times``."""
        made = Samples(program, times)
        self._records.append(made)
        return made

    def took(self, seconds: float, compiling: bool = False) -> None:
        """Add the time of a call, or of a compilation."""
        with _counting:
            if compiling:
                self.compile_seconds += seconds
            else:
                self.seconds += seconds

    @property
    def calls(self) -> int:
        """The number of calls."""
        return sum(r.calls for r in self._records)

    @property
    def kernel_seconds(self) -> float:
        """Time spent inside kernels."""
        return float(sum(r.times.sum() for r in self._records))

    @property
    def rows(self) -> list[Row]:
        """One ``Row`` per step that ran, the slowest first."""
        total = self.kernel_seconds or 1.0
        rows = [
            Row(r.name_of(k), r.calls, float(t), float(t) / total, b, f, tuple(dict.fromkeys(s.locations)))
            for r in [r for r in self._records if r.calls] or self._records
            for k, (s, t, b, f) in enumerate(zip(r.program.steps, r.times, r.bytes, r.flops))
            if t or not r.calls  # in a branch that was not taken
        ]
        return sorted(rows, key=lambda row: -row.seconds)

    def clear(self) -> None:
        """Discard all measurements, for instance those of warm-up calls."""
        self.seconds = 0.0
        for record in self._records:
            record.clear()

    def summary(self, limit: int = 20) -> str:
        """Format a table of the ``limit`` slowest steps.

        Columns: share of the kernels' time, total time, calls, time per call, GB/s, GFLOP/s, the kernel and the user's
        lines.
        """
        rows = self.rows
        inside = self.kernel_seconds
        part = 100 * inside / self.seconds if self.seconds else 0.0
        lines = [
            f"profile of {self.name}: {self.calls} calls, {_duration(self.seconds)}; "
            f"kernels {_duration(inside)} ({part:.1f} %), compiling {_duration(self.compile_seconds)}",
            f"{'share':>7} {'time':>10} {'calls':>7} {'a call':>10} {'GB/s':>7} {'GFLOP/s':>8}  kernel  (lines)",
        ]
        for row in rows[:limit]:
            each = row.seconds / row.calls if row.calls else 0.0
            where = ", ".join(_place(t) for t in row.lines[:4]) + (", ..." if len(row.lines) > 4 else "")
            lines.append(
                f"{100 * row.share:6.1f}% {_duration(row.seconds):>10} {row.calls:>7} {_duration(each):>10} "
                f"{row.gbytes_per_second:7.1f} {row.gflops_per_second:8.1f}  {_shortened(row.kernel)}"
                + (f"  ({where})" if where else "")
            )
        if len(rows) > limit:
            rest = sum(row.seconds for row in rows[limit:])
            lines.append(f"  ... and {len(rows) - limit} more steps, {_duration(rest)}")
        if self.preparation is not None:
            done, count = self.preparation, len(self.preparation.rows)
            lines.append(
                f"scales folded into weights: computed {done.calls} times, when shared variables changed, by {count} "
                f"steps in {_duration(done.seconds)}"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<profile of {self.name}: {self.calls} calls, {_duration(self.seconds)}>"


def costs(program: Program, symbols: Mapping[Any, int]) -> tuple[list[int], list[int], list[int]]:
    """Estimate bytes moved, operations and runs of each step, for these values of the symbols of arguments' axes.

    A step in a loop counts once per iteration. Symbols whose values are computed by the program count as their bounds,
    or as 1.
    """
    known: dict[Any, int] = {s: 1 for s in program.symbols} | dict(symbols)
    moved: list[int] = []
    computed: list[int] = []
    runs: list[int] = []

    def visit(nodes: Sequence[Node], times: int) -> None:
        for node in nodes:
            if isinstance(node, (Step, Host)):
                runs.append(times)
            if isinstance(node, Step):
                local = {f"n{k}": dims.evaluate(d, known) for k, d in enumerate(node.dims)}
                moved.append(times * _number(node.kernel.bytes, local))
                computed.append(times * _number(node.kernel.flops, local))
            elif isinstance(node, Host):
                sizes = [math.prod(dims.evaluate(d, known) for d in shape) for shape in node.shapes]
                moved.append(times * sum(n * np.dtype(t).itemsize for n, t in zip(sizes, node.dtypes)))
                computed.append(0)
            elif isinstance(node, Bind) and node.bound not in (None, UNBOUNDED):
                known[node.symbol] = dims.evaluate(node.bound, known)
            elif isinstance(node, Loop):
                count = max(dims.evaluate(node.count, known), 0)
                known[node.index] = 0
                if node.rows is not None:
                    known[node.rows.first], known[node.rows.last] = 0, dims.evaluate(node.rows.count, known)
                    if node.rows.size is not None:  # ranges of rows, each of which reads some operands whole
                        size = max(dims.evaluate(node.rows.size, known), 1)
                        count *= known[node.rows.last] // size
                        known[node.rows.last] = size
                visit(node.body, times * count)
                if node.done is not None:
                    known[node.done] = count
            elif isinstance(node, Branch):
                visit(node.then, times)
                visit(node.otherwise, times)

    visit(program.body, 1)
    return moved, computed, runs


def methods(
    program: Program,
    symbols: Mapping[Any, int],
    ask: Callable[[Sequence[tuple[str, Sequence[int], bool]]], str | None],
    changed: Collection[int] = (),
) -> dict[int, str]:
    """How the back end does the library calls of each step.

    ``ask`` is given a call's name, its parameters, and whether it may keep what it makes of its stored operands: not of
    the shared variables in the slots ``changed``, which change in every call. Calls that pass on their output are given
    together with the call that reads it.
    """
    found: dict[int, str] = {}
    known: dict[Any, int] = {s: 1 for s in program.symbols} | dict(symbols)
    for k, step in enumerate(program.steps):
        if isinstance(step, Step):
            local = {f"n{i}": dims.evaluate(d, known) for i, d in enumerate(step.dims)}
            together: list[tuple[str, Sequence[int], bool]] = []
            for call in step.kernel.body:
                if isinstance(call, Call):
                    params = [_number(p, local) for p in call.params]
                    together.append((call.name, params, _is_stored(program, step, call, changed)))
                    if not call.passes_on:
                        chosen = ask(together)
                        found.update({k: chosen} if chosen else {})
                        together = []
    return found


def _is_stored(program: Program, step: Step, call: Call, changed: Collection[int]) -> bool:
    """Whether an operand that the call's description names as stored is a constant, or a variable that stays."""
    spec = CALLS.get(call.name.rpartition("_")[0])
    if spec is None:
        return False
    names = (*spec.outputs, *spec.inputs)
    operands = [program.buffers[step.refs[int(call.buffers[names.index(name)][1:])].buffer] for name in spec.stored]
    return any(b.role == "constant" or (b.role == "shared" and b.slot not in changed) for b in operands)


def _number(e: Expr, values: Mapping[str, int]) -> int:
    """Evaluate an index expression."""
    known: dict[int, int] = {}
    for x in parts(e):
        if x.op == "const":
            known[id(x)] = int(x.value)
        elif x.op == "var":
            known[id(x)] = values[x.value]
        elif x.op == "cast":
            known[id(x)] = known[id(x.args[0])]
        else:
            known[id(x)] = int(FUNCTIONS[x.op].numpy(*(known[id(a)] for a in x.args)))
    return known[id(e)]


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _place(location: SourceLocation) -> str:
    return f"{os.path.basename(location.filename)}:{location.line}"


def _shortened(name: str, limit: int = 48) -> str:
    """At most ``limit`` characters of what a kernel computes, and how the back end does it."""
    what, by, how = name.partition(" by ")
    most = limit if not by else max(limit - len(by + how), limit // 2)
    return (what if len(what) <= most else what[: most - 3] + "...") + by + how
