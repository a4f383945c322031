"""Memory sizes of each segment of a program, once the dims that it depends on are known.

A program whose dims do not depend on values has one segment. Otherwise the executable runs one segment after another
and computes the sizes of each with this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.compiler.memory_plan import place
from symc.graph import dims
from symc.loops.ir import Buffer, Program

__all__ = ["Segment", "Segments", "offsets_of", "results_to_cut"]


class Segment:
    """The memory that one segment allocates.

    Attributes
    ----------
    temporaries : list of int
        Buffers in the arena.
    results : list of int
        Buffers that the caller of the executable provides: outputs and updates that are not written in place.
    """

    def __init__(self, program: Program, number: int) -> None:
        buffers = program.buffers
        own = [k for k, b in enumerate(buffers) if b.segment == number and b.alias < 0]
        self.temporaries = [k for k in own if buffers[k].role in ("temp", "status") and not buffers[k].dynamic]
        self.results = [k for k in own if buffers[k].role in ("output", "update")]
        self.widths = [np.dtype(buffers[k].dtype).itemsize for k in self.temporaries]
        wanted: list[dims.Dim] = [_elements(buffers[k]) for k in self.temporaries]
        self._shapes = []
        for k in self.results:
            start = len(wanted)
            wanted += [_elements(buffers[k])] if buffers[k].room is not None else buffers[k].shape
            self._shapes.append((start, len(wanted)))
        self.wanted = wanted
        self._evaluate = dims.compile(wanted, program.symbols)

    def sizes(self, values: Sequence[int]) -> tuple[int, ...]:
        """Numbers of elements of the temporaries, then dims of the results, for these values of the symbols."""
        return self._evaluate(values)

    def bytes(self, sizes: Sequence[int]) -> list[int]:
        """Bytes of the temporaries."""
        return [n * width for n, width in zip(sizes, self.widths)]

    def shapes(self, sizes: Sequence[int]) -> list[tuple[int, ...]]:
        """Shapes of the results; results whose length the program computes are flat, with their maximal length."""
        return [tuple(sizes[a:b]) for a, b in self._shapes]


def _elements(b: Buffer) -> dims.Dim:
    return dims.product(b.shape) if b.room is None else b.room


class Segments:
    """All segments of a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.segments = [Segment(program, k) for k in range(len(program.segments))]

    def __iter__(self) -> Any:
        return iter(self.segments)

    def __len__(self) -> int:
        return len(self.segments)


def results_to_cut(program: Program) -> list[int]:
    """The results that may be shorter than the memory provided for them."""
    return [k for k, b in enumerate(program.buffers) if b.room is not None and b.role in ("output", "update")]


def offsets_of(program: Program, segment: Segment, sizes: Sequence[int]) -> tuple[dict[int, int], int]:
    """Offsets of a segment's temporaries in the arena, and the size of the arena in bytes."""
    buffers = program.buffers
    end = max((b.last for b in buffers), default=0)
    lives = [
        (buffers[k].first, buffers[k].last) if buffers[k].role == "temp" else (0, end) for k in segment.temporaries
    ]
    offsets, total = place(lives, segment.bytes(sizes))
    return dict(zip(segment.temporaries, offsets)), total
