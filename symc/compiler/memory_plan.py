"""The memory plan: how large each buffer is, and where in one arena each temporary lies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from symc.graph import dims
from symc.loops.ir import Buffer, Program

__all__ = ["ALIGN", "bytes_of", "layout", "lengths_of"]

ALIGN = 64


def lengths_of(program: Program, values: Sequence[int]) -> list[int]:
    """The elements of every buffer, for these values of the program's symbols."""
    bound = dict(zip(program.symbols, values))
    return [math.prod(dims.evaluate(d, bound) for d in b.shape) for b in program.buffers]


def bytes_of(program: Program, values: Sequence[int]) -> list[int]:
    """The bytes of every buffer, for these values of the program's symbols."""
    return [n * np.dtype(b.dtype).itemsize for n, b in zip(lengths_of(program, values), program.buffers)]


def layout(buffers: Sequence[Buffer], sizes: Sequence[int]) -> tuple[list[int | None], int]:
    """Offsets of the temporaries (None for other buffers), such that two alive at once never overlap; the arena's size.

    Largest first, each at the lowest offset that is free during its whole life: simple, and near the lower bound on
    the graphs of neural networks. A temporary that took over another's memory lies where that one lies.
    """
    offsets: list[int | None] = [None] * len(buffers)
    roots = [k for k, b in enumerate(buffers) if b.role in ("temp", "status") and b.alias < 0]
    placed: list[tuple[int, int, int, int]] = []  # (first, last, start, end)
    total = 0
    for k in sorted(roots, key=lambda k: (-sizes[k], k)):
        first, last = (buffers[k].first, buffers[k].last) if buffers[k].role == "temp" else (0, 1 << 60)
        size = -(-max(sizes[k], 1) // ALIGN) * ALIGN
        taken = sorted((s, e) for f, l, s, e in placed if f <= last and first <= l)
        start = 0
        for s, e in taken:
            if start + size <= s:
                break
            start = max(start, e)
        offsets[k] = start
        placed.append((first, last, start, start + size))
        total = max(total, start + size)
    for k, b in enumerate(buffers):
        if b.role == "temp" and b.alias >= 0:
            root = b.alias
            while buffers[root].alias >= 0 and buffers[root].role == "temp":
                root = buffers[root].alias
            offsets[k] = offsets[root]
    return offsets, total
