"""Code generation for a launch over square tiles: maps whose operands are contiguous along different axes.

A block of 32 by 8 threads processes one tile, with its rows along the axis in which results are contiguous. An operand
that is contiguous along the other axis is first copied to shared memory, along its own rows, so that all accesses to
global memory are coalesced. The rows of shared memory are one element longer than the tile, which places the elements
of a column in different banks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symc.loops.expr import Expr, coefficient, names_in, substituted, var
from symc.loops.ir import For, Kernel, Let, Load, Statement, Store
from symc_backends.cuda.dialect import CTYPE
from symc_backends.cuda.mapping import Launch
from symc_backends.cuda.threads import Threads, moving, plain_position

__all__ = ["ROWS", "SHARED", "SIDE", "Tiles", "is_tiled"]

SIDE = 32
"""The number of threads along a row, and the side of a tile."""
ROWS = 8
"""The number of threads along a column."""
SHARED = 48 << 10
"""Bytes of shared memory that every GPU provides per block without opt-in."""


def is_tiled(launch: Launch) -> bool:
    """Whether the launch is only a parallel loop over tiles of a parallel and a simd loop."""
    body = [s for s in launch.body if not isinstance(s, Let)]
    if launch.shape != "thread_groups" or len(body) != 1 or not isinstance(body[0], For) or body[0].kind != "parallel":
        return False
    inner = body[0].body
    if len(inner) != 1 or not isinstance(inner[0], For) or inner[0].kind != "simd":
        return False
    return all(isinstance(s, (Let, Load, Store)) for s in inner[0].body)


class Tiles(Threads):
    """Generator of the body of a launch over tiles; see ``Threads`` for the attributes."""

    def __init__(self, kernel: Kernel, launch: Launch) -> None:
        *_, outer = launch.body
        assert isinstance(outer, For) and isinstance(outer.body[0], For)
        self.rows, self.lanes = outer, outer.body[0]
        super().__init__(kernel, launch)

    def _block(self, body: Sequence[Statement]) -> list[str]:
        self.indices.narrow |= {"r_", "c_"}
        self.indices.counts |= {"r_", "c_"}
        lines = [self.indices.defined(s) for s in body if isinstance(s, Let)]
        lines.append(f"const idx rows_ = {self.indices.position(self.rows.extent)};")
        lines.append(f"const idx lanes_ = {self.indices.position(self.lanes.extent)};")
        staged = self._staged()
        for s in self.lanes.body:
            if isinstance(s, Load) and s.name in staged:
                tile = f"{s.name}_tile_"
                lines += [
                    f"__shared__ {CTYPE[s.dtype]} {tile}[{SIDE}][{SIDE + 1}];",
                    f"for (idx r_ = threadIdx.y; r_ < lanes_; r_ += {ROWS})",
                    f"for (idx c_ = threadIdx.x; c_ < rows_; c_ += {SIDE})",
                    f"{tile}[r_][c_] = {s.buffer}[{self.indices.position(staged[s.name])}];",
                ]
        if staged:
            lines.append("__syncthreads();")
        j, i = self.rows.index, self.lanes.index
        lines += [
            f"for (idx {j} = threadIdx.y; {j} < rows_; {j} += {ROWS})",
            f"for (idx {i} = threadIdx.x; {i} < lanes_; {i} += {SIDE}) {{",
        ]
        for s in self.lanes.body:
            if isinstance(s, Load) and s.name in staged:
                lines.append(self.indices.loaded(s, f"{s.name}_tile_[{i}][{j}]"))
            else:
                lines.append(self._simple(s))
        return [*lines, "}", *(["__syncthreads();"] if staged else [])]

    def _staged(self) -> dict[str, Expr]:
        """Where the operands that are copied to shared memory are read; the others are read in place."""
        found: dict[str, Expr] = {}
        left = SHARED
        for s in self.lanes.body:
            at = self._turned(s) if isinstance(s, Load) else None
            if at is None:
                continue
            assert isinstance(s, Load)
            left -= SIDE * (SIDE + 1) * np.dtype(s.dtype).itemsize
            if left < 0:
                break
            found[s.name] = at
        return found

    def _turned(self, s: Load) -> Expr | None:
        """The position of an operand that is contiguous along the tile's columns, in terms of ``r_`` and ``c_``."""
        plain = plain_position(self.lanes, s.index)
        if not (moving(self.lanes) - {self.lanes.index}).isdisjoint(names_in(plain)):
            return None
        by_lane, by_row = (coefficient(plain, name) for name in (self.lanes.index, self.rows.index))
        if by_lane is None or by_row is None or _is(by_lane, 0) or _is(by_lane, 1) or not _is(by_row, 1):
            return None
        return substituted(plain, {self.lanes.index: var("r_"), self.rows.index: var("c_")})


def _is(e: Expr, number: int) -> bool:
    return e.op == "const" and e.value == number
