"""Long runs of steps as tables: the C compiler takes a millisecond over each step that is written out as a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from symc.graph.dims import Dim
from symc.loops.ir import Step
from symc_backends.c.functions import Functions

__all__ = ["MANY", "SHORTEST", "Tables"]

MANY = 400
"""Steps of a program from which on runs of them become tables."""
SHORTEST = 8
"""Steps of a run that is worth a table."""


class Tables:
    """The tables of a program's runs of steps; ``texts`` are their definitions and the function that runs them."""

    def __init__(
        self, functions: Functions, dim: Callable[[Dim], str], handles: Callable[[Step], Sequence[int | None]]
    ) -> None:
        self._functions = functions
        self._dim = dim
        self._handles = handles
        self._kernels: dict[str, int] = {}
        self._tables: list[str] = []
        self._most = (1, 1)  # buffers and numbers of a step

    def run(self, steps: Sequence[Step], first: int) -> list[str]:
        """The statement that runs ``steps``, which are numbered from ``first`` on."""
        numbers: dict[str, int] = {"0": 0}
        table: list[int] = []
        for step in steps:
            name, constants = self._functions.of(step)
            values = [*map(self._dim, step.dims), *constants]
            handles = self._handles(step)
            count = len(step.refs) + len(handles)
            self._most = (max(self._most[0], count), max(self._most[1], len(values)))
            table += (self._kernels.setdefault(name, len(self._kernels)), count, len(values))
            for ref, dtype in zip(step.refs, step.kernel.buffers):
                at = "0"
                if type(ref.offset) is not int or ref.offset:
                    at = f"{np.dtype(dtype).itemsize} * {self._dim(ref.offset)}"
                table += (ref.buffer, numbers.setdefault(at, len(numbers)))
            for place in handles:
                table += (-1 if place is None else place, 0)
            table += [numbers.setdefault(v, len(numbers)) for v in values]
        name = f"run{len(self._tables)}_"
        self._tables.append(f"static const int32_t {name}[] = {{{', '.join(map(str, table))}}};")
        given = ", ".join(numbers)
        return [f"    {{ const int64_t d[] = {{{given}}}; run_steps({name}, {len(table)}, B, d, {first}); }}"]

    @property
    def texts(self) -> list[str]:
        """What stands before the statements; nothing where there are none."""
        if not self._tables:
            return []
        kernels = ", ".join(self._kernels)
        buffers, numbers = self._most
        return [
            f"static void (*const kernels_[])(void **, const int64_t *) = {{{kernels}}};",
            *self._tables,
            "static void run_steps(const int32_t *t, int64_t length, void **B, const int64_t *d, int64_t step) {",
            f"    void *b[{buffers}];",
            f"    int64_t n[{numbers}] = {{0}};",
            "    for (const int32_t *end = t + length; t < end; step++) {",
            "        const int32_t kernel = t[0], buffers = t[1], numbers = t[2];",
            "        t += 3;",
            "        for (int32_t i = 0; i < buffers; i++, t += 2) b[i] = t[0] < 0 ? 0 : (char *)B[t[0]] + d[t[1]];",
            "        for (int32_t i = 0; i < numbers; i++) n[i] = d[*t++];",
            "        (void)step;",
            "        STEP(step, kernels_[kernel](b, n);)",
            "    }",
            "}",
        ]
