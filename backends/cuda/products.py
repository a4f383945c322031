"""symc's own matrix product kernels: ``gemm`` and ``batched_gemm`` as launches."""

from __future__ import annotations

from typing import Any, NamedTuple

from symc_backends.cuda import kernels
from symc_backends.cuda.kernels import WORKSPACE, Pointer, PreparedLaunch, Stage
from symc_backends.cuda.tiling import plan

__all__ = ["SIZE", "Product", "own"]

SIZE = {"f32": 4, "f64": 8}


class Product(NamedTuple):
    """The parameters of ``batched_gemm``, and the positions of C, A and B among the call's buffers."""

    batch: int
    trans_a: int
    trans_b: int
    rows: int
    cols: int
    depth: int
    lda: int
    ldb: int
    ldc: int
    stride_a: int
    stride_b: int
    stride_c: int
    accumulate: int
    buffers: tuple[int, int, int] = (0, 1, 2)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do: no results, or nothing to add to them."""
        nothing = self.batch == 0 or self.rows == 0 or self.cols == 0
        return nothing or bool(self.accumulate and self.depth == 0)


def own(product: Product, dtype: str, device: Any) -> tuple[int, list[Stage]]:
    """Workspace bytes and launches that compute ``product``."""
    p = product
    chosen = plan(device, dtype, p.batch, p.rows, p.cols, p.depth, divisible=True)
    kernel = kernels.gemm(dtype, chosen.shape, bool(p.trans_a), bool(p.trans_b))
    c, a, b = (Pointer(number) for number in p.buffers)
    sizes = (p.rows, p.cols, p.depth, p.lda, p.ldb)
    if chosen.pieces == 1:
        numbers = (*sizes, p.ldc, p.stride_a, p.stride_b, p.stride_c, p.accumulate, chosen.span, 0)
        return 0, [PreparedLaunch(device, kernel, chosen.grid, (c, a, b, *numbers))]
    matrix = p.rows * p.cols
    total = p.batch * matrix
    numbers = (*sizes, p.cols, p.stride_a, p.stride_b, matrix, 0, chosen.span, total)
    pieces = Pointer(WORKSPACE)
    first = PreparedLaunch(device, kernel, chosen.grid, (pieces, a, b, *numbers))
    rest = (p.rows, p.cols, p.ldc, p.stride_c, p.batch, p.accumulate, chosen.pieces)
    second = PreparedLaunch(device, kernels.combine(dtype), kernels.blocks(device, total), (c, pieces, *rest))
    return chosen.pieces * total * SIZE[dtype], [first, second]
