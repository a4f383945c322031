"""symc's own convolution kernels: the three ``conv2d`` calls as launches."""

from __future__ import annotations

from typing import Any, NamedTuple

from symc_backends.cuda import kernels
from symc_backends.cuda.kernels import WORKSPACE, Pointer, PreparedLaunch, Stage
from symc_backends.cuda.products import SIZE, Product
from symc_backends.cuda.tiling import LIMIT, plan

__all__ = ["Conv", "as_product", "own"]

_FEW = 4
"""The largest number of rows of a group's product for which a tile would be mostly empty."""
_BUFFERS = (Pointer(0), Pointer(1), Pointer(2))


class Conv(NamedTuple):
    """The parameters of the ``conv2d`` calls, in their order."""

    N: int
    C: int
    H: int
    W: int
    K: int
    R: int
    S: int
    OH: int
    OW: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    dil_h: int
    dil_w: int
    groups: int
    flip: int

    @property
    def kg(self) -> int:
        """Filters of a group."""
        return self.K // self.groups

    @property
    def cg(self) -> int:
        """Input channels of a group."""
        return self.C // self.groups

    @property
    def taps(self) -> int:
        """Positions of a filter."""
        return self.R * self.S

    def results(self, which: str) -> int:
        """The number of elements that the call ``which`` writes."""
        if which == "conv2d_forward":
            return self.N * self.K * self.OH * self.OW
        if which == "conv2d_backward_data":
            return self.N * self.C * self.H * self.W
        return self.K * self.cg * self.taps


def as_product(which: str, conv: Conv) -> Product | None:
    """Express a convolution of large images with 1 x 1 filters as one product per image; None for others.

    Small images are faster as a convolution, whose tiles extend across images.
    """
    c = conv
    plane = c.H * c.W
    plain = c.taps == 1 and (c.stride_h, c.stride_w, c.pad_top, c.pad_left) == (1, 1, 0, 0) and c.groups == 1
    if not plain or (c.OH, c.OW) != (c.H, c.W) or plane < 256:
        return None
    if which == "conv2d_forward":
        return Product(c.N, 0, 0, c.K, plane, c.C, c.C, plane, plane, 0, c.C * plane, c.K * plane, 0, (0, 2, 1))
    if which == "conv2d_backward_data":
        return Product(c.N, 1, 0, c.C, plane, c.K, c.C, plane, plane, 0, c.K * plane, c.C * plane, 0, (0, 2, 1))
    return None


def own(which: str, conv: Conv, dtype: str, device: Any) -> tuple[int, list[Stage]]:
    """Workspace bytes and launches that compute the call ``which``."""
    _check(conv)
    if which == "conv2d_backward_weights":
        return _weights(conv, dtype, device)
    forward = which == "conv2d_forward"
    rows = conv.kg if forward else conv.cg
    if rows <= _FEW:
        kernel = kernels.direct("direct_forward" if forward else "direct_backward_data", dtype)
        return 0, [PreparedLaunch(device, kernel, kernels.blocks(device, conv.results(which)), (*_BUFFERS, *conv))]
    if forward:
        chosen = plan(device, dtype, conv.groups, rows, conv.N * conv.OH * conv.OW, conv.cg * conv.taps, False)
    else:
        phases = conv.stride_h * conv.stride_w
        pixels = conv.N * -(-conv.H // conv.stride_h) * -(-conv.W // conv.stride_w)
        depth = -(-conv.kg * conv.taps // phases)
        chosen = plan(device, dtype, conv.groups * phases, rows, pixels, depth, False)
    kernel = kernels.conv("conv_forward" if forward else "conv_backward_data", dtype, chosen.shape)
    return 0, [PreparedLaunch(device, kernel, chosen.grid, (*_BUFFERS, *conv))]


def _weights(conv: Conv, dtype: str, device: Any) -> tuple[int, list[Stage]]:
    results = conv.K * conv.cg * conv.taps
    if conv.kg * conv.cg * conv.taps <= 64 and conv.groups > 1:
        kernel = kernels.direct("direct_backward_weights", dtype)
        return 0, [PreparedLaunch(device, kernel, (min(results, LIMIT), 1, 1), (*_BUFFERS, *conv))]
    pixels = conv.N * conv.OH * conv.OW
    chosen = plan(device, dtype, conv.groups, conv.kg, conv.cg * conv.taps, pixels, True)
    kernel = kernels.conv("conv_backward_weights", dtype, chosen.shape)
    if chosen.pieces == 1:
        return 0, [PreparedLaunch(device, kernel, chosen.grid, (*_BUFFERS, *conv, chosen.span))]
    pieces = Pointer(WORKSPACE)
    first = PreparedLaunch(device, kernel, chosen.grid, (pieces, *_BUFFERS[1:], *conv, chosen.span))
    rest = (1, results, results, results, 1, 0, chosen.pieces)
    second = PreparedLaunch(
        device, kernels.combine(dtype), kernels.blocks(device, results), (Pointer(0), pieces, *rest)
    )
    return chosen.pieces * results * SIZE[dtype], [first, second]


def _check(c: Conv) -> None:
    """Check sizes: kernels use 32-bit positions within an image, and for the pixels of all images."""
    plane = max(c.H * c.W, c.OH * c.OW)
    largest = max(c.N, 1) * plane, max(c.C, c.K) * plane, c.K * max(c.cg, 1) * c.taps, c.R << 16, c.S << 16
    if max(largest) >= LIMIT:
        raise ValueError(f"a convolution of this size exceeds the 32-bit sizes of symc's own kernels: {c}")
