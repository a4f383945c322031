"""Tiles that are fetched while the one before is stored.

A map of transposed operands copies a tile of each to scratch memory, turned, and then computes and stores the rows of
the result (``blocks.py``). The copy waits for memory: it reads short parts of rows that are far from each other. The
rows of the result are stored without reading much, so meanwhile the next tile is fetched, a part with each row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from symc.loops.expr import Expr
from symc.loops.ir import Alloc, For, Let
from symc_backends.c.blocks import Copy, copy_of
from symc_backends.c.dialect import CTYPE, TAG

__all__ = ["NextTiles", "next_tiles"]

Scalar = Callable[[Expr], str]


class NextTiles(NamedTuple):
    """The loop over tiles and C in it that finds those of the next iteration; the loop over a tile's rows and C in it
    that fetches a part of them."""

    tiles: For
    found: list[str]
    rows: For
    fetched: list[str]


def next_tiles(loop: For, large: str, scalar: Scalar) -> NextTiles | None:
    """The tiles that the next iteration of ``loop`` copies, if ``large``; None if it does something else.

    A loop inside it may copy several tiles: these fetch what its same iterations will copy.
    """
    lets: list[Let] = []
    tiles = loop
    while True:
        *before, rows = tiles.body
        if not isinstance(rows, For) or not all(isinstance(s, (Let, Alloc, For)) for s in before):
            return None
        lets += [s for s in before if isinstance(s, Let)]
        loops = [s for s in before if isinstance(s, For)]
        if loops:
            break
        tiles = rows
    scratch = {s.name for s in before if isinstance(s, Alloc)}
    copies = [copy_of(s, s.body[:-1], s.body[-1]) for s in loops]
    if not all(copy and copy.to in scratch for copy in copies):
        return None
    declared, found, fetched = [], [], []
    for number, copy in enumerate(copies):
        assert copy is not None
        tile = f"tile{number}_"
        pointer = f"const {CTYPE[copy.dtype]} *{tile}"
        declared.append(f"{pointer} = 0; int64_t {tile}stride = 0, {tile}rows = 0, {tile}length = 0;")
        found.append(_place(copy, tile, scalar))
        place = f"{tile}, {tile}stride, {tile}rows, {tile}length"
        fetched.append(f"if ({tile}) vturn_fetch_{TAG[copy.dtype]}({place}, {rows.index}, {rows.index}_end);")
    this, after = loop.index, f"{loop.index}_next"
    head = f"if ({large} && {this} + 1 < {scalar(loop.extent)}) {{ const int64_t {after} = {this} + 1;"
    again = [f"const {CTYPE[s.value.dtype]} {s.name} = {scalar(s.value)}; (void){s.name};" for s in lets]
    return NextTiles(
        tiles, [*declared, head, f"{{ const int64_t {this} = {after};", *again, *found, "} }"], rows, fetched
    )


def _place(copy: Copy, tile: str, scalar: Scalar) -> str:
    sides = f"{tile}rows = {scalar(copy.rows)}; {tile}length = {scalar(copy.length)};"
    return f"{tile} = {copy.of} + {scalar(copy.start)}; {tile}stride = {scalar(copy.stride)}; {sides}"
