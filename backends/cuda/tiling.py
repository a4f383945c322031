"""A cost model for products: the choice of the tile, and of the number of pieces into which sums are split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from symc.config import config
from symc_backends.cuda.kernels import SHAPES, Shape

__all__ = ["LIMIT", "Tiling", "plan"]

LIMIT = 2**31 - 2**16
"""Kernels use 32-bit numbers for rows, columns, pixels and summed elements, and go slightly beyond the last."""

_START = 64
"""The cost of starting and finishing a tile, in elements of the summed axis."""
_SECOND_STAGE = 650_000
"""The cost of an additional launch, in multiplications of a multiprocessor."""
_ELEMENT = 40
"""The cost of reading one element from global memory, in the same unit."""
_LONE_BLOCK = 1.3
"""The slowdown of a multiprocessor with a single block, which waits for memory more often."""
_SIZE = {"f32": 4, "f64": 8}


class Tiling(NamedTuple):
    """``pieces`` of ``span`` elements of the summed axis; ``tiles`` blocks for each piece."""

    shape: Shape
    tiles: int
    pieces: int
    span: int

    @property
    def grid(self) -> tuple[int, int, int]:
        return (self.tiles, self.pieces, 1)


def plan(device: Any, dtype: str, jobs: int, rows: int, cols: int, depth: int, divisible: bool) -> Tiling:
    """The cheapest plan for ``jobs`` products of ``rows x depth`` by ``depth x cols``.

    ``divisible``: the sum may be split, at the cost of a second stage that adds up the pieces. The plan depends only on
    the sizes and the device, so that results are reproducible.
    """
    found = min(
        _candidates(device, dtype, jobs, rows, cols, depth, divisible),
        key=lambda p: _cost(p, device.processors, jobs * rows * cols),
    )
    if found.tiles >= LIMIT or max(rows, cols, depth) >= LIMIT:
        raise ValueError(f"{jobs} products of {rows} x {depth} by {depth} x {cols} exceed the kernels' 32-bit sizes")
    return found


def _candidates(
    device: Any, dtype: str, jobs: int, rows: int, cols: int, depth: int, divisible: bool
) -> Iterator[Tiling]:
    for shape in SHAPES[dtype]:
        tiles = jobs * -(-rows // shape.rows) * -(-cols // shape.cols)
        pieces = 1
        while True:
            span = max(-(-depth // pieces // shape.depth) * shape.depth, shape.depth)
            count = max(-(-depth // span), 1)
            if count == pieces:
                yield Tiling(shape, tiles, pieces, span)
            pieces *= 2
            room = pieces * jobs * rows * cols * _SIZE[dtype] <= config.cuda_workspace
            if not divisible or not room or depth < pieces * 128 or tiles * pieces > 8 * device.processors:
                break


def _cost(plan: Tiling, processors: int, results: int) -> float:
    at_once = -(-plan.tiles * plan.pieces // processors)
    steps = plan.span + _START
    time = at_once * plan.shape.rows * plan.shape.cols * steps / plan.shape.rate * (_LONE_BLOCK if at_once == 1 else 1)
    if plan.pieces > 1:
        time += _SECOND_STAGE + _ELEMENT * (plan.pieces + 1) * results / processors
    return time
