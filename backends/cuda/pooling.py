"""symc's own pooling kernels: the three ``pool2d`` calls as launches.

They read each element a few times within a short period, and write each element once: memory bandwidth limits them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from symc_backends.cuda import kernels
from symc_backends.cuda.kernels import Pointer, PreparedLaunch, Stage
from symc_backends.cuda.tiling import LIMIT

__all__ = ["Pool", "own"]

_KERNELS = {
    "pool2d_forward": "pool_forward",
    "pool2d_backward": "pool_backward",
    "pool2d_max_grad_grad": "pool_max_grad_grad",
}


class Pool(NamedTuple):
    """The parameters of the ``pool2d`` calls, in their order."""

    N: int
    H: int
    W: int
    OH: int
    OW: int
    win_h: int
    win_w: int
    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int
    mode: int

    def results(self, which: str) -> int:
        """The number of elements that the call ``which`` writes."""
        return self.N * (self.H * self.W if which == "pool2d_backward" else self.OH * self.OW)


def own(which: str, pool: Pool, dtype: str, device: Any) -> tuple[int, list[Stage]]:
    """Workspace bytes (none) and the launch that computes the call ``which``."""
    if max(pool.H * pool.W, pool.OH * pool.OW) >= LIMIT:
        raise ValueError(f"images of this size exceed the 32-bit sizes of symc's own kernels: {pool}")
    buffers = [Pointer(k) for k in range(2 if which == "pool2d_forward" else 4)]
    kernel = kernels.pool(_KERNELS[which], dtype)
    return 0, [PreparedLaunch(device, kernel, kernels.blocks(device, pool.results(which)), (*buffers, *pool))]
