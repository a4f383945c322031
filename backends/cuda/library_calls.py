"""Library calls on the GPU: the choice of the implementation, and binding of parameters.

=========================  ==================  ======================================
call                       with libraries      otherwise
=========================  ==================  ======================================
gemm, batched_gemm         cuBLAS              tiles in shared memory, split sums
conv2d_*                   cuDNN               the same tiles, operands gathered
conv2d_* of few channels   cuDNN               one result per thread (or block)
pool2d_*                   (no library)        one result per thread
=========================  ==================  ======================================

cuDNN passes the gradient of a maximum to one of several equal elements, and divides the means of windows that extend
over the edge by other numbers, so pooling always uses symc's own kernels; it is limited by memory bandwidth anyway.
Calls that a library cannot compute exactly (unequal padding, sizes beyond 32 bits, overlapping rows, empty sums) also
use symc's own kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.loops.calls import CALLS
from symc_backends.cuda import blas, convolutions, dnn, pooling, products
from symc_backends.cuda.convolutions import Conv
from symc_backends.cuda.kernels import Stage
from symc_backends.cuda.pooling import Pool
from symc_backends.cuda.products import Product

__all__ = ["Bound", "bind"]


class Bound:
    """A library call in which everything except the addresses is known.

    Attributes
    ----------
    workspace : int
        Bytes of scratch memory it needs, at an address divisible by 64.
    by : str
        The implementation: ``"cublas"``, ``"cudnn"``, ``"own"``, or ``"nothing"`` if there is nothing to do.
    """

    def __init__(self, by: str, workspace: int, stages: list[Stage]) -> None:
        self.by = by
        self.workspace = workspace
        self._stages = tuple(stages)

    def __call__(self, pointers: Sequence[int], workspace: int) -> None:
        """Enqueue the call on the device's stream; must be called within ``with device:``.

        ``pointers`` are the addresses of its buffers, outputs first. The call neither allocates nor waits, so that a
        graph can record it.
        """
        for stage in self._stages:
            stage(pointers, workspace)


def bind(name: str, params: Sequence[int], device: Any, libraries: bool = True) -> Bound:
    """Prepare the call ``name`` (such as ``"gemm_f32"``) with ``params`` in the order of ``CALLS``.

    All expensive work happens here: kernels are compiled and loaded, descriptors created, algorithms chosen.

    Parameters
    ----------
    libraries : bool
        If False, use symc's own kernels even if cuBLAS or cuDNN is available.
    """
    which, _, dtype = name.rpartition("_")
    values = [int(value) for value in params]
    if which not in CALLS or dtype not in products.SIZE or len(values) != len(CALLS[which].params):
        raise ValueError(f"no library call {name!r} with {len(values)} parameters")
    with device:
        if which in ("gemm", "batched_gemm"):
            return _product(_as_product(which, values), dtype, device, libraries)
        if which.startswith("conv2d"):
            return _convolution(which, Conv(*values), dtype, device, libraries)
        pool = Pool(*values)
        return Bound("own", *pooling.own(which, pool, dtype, device)) if pool.results(which) else _NOTHING


_NOTHING = Bound("nothing", 0, [])


def _as_product(which: str, values: Sequence[int]) -> Product:
    named = dict(zip(CALLS[which].params, values))
    sizes = [named[key] for key in ("transA", "transB", "M", "N", "K", "lda", "ldb", "ldc")]
    strides = [named.get(f"stride{matrix}", 0) for matrix in "ABC"]
    return Product._make([named.get("batch", 1), *sizes, *strides, named["accumulate"], (0, 1, 2)])


def _product(product: Product, dtype: str, device: Any, libraries: bool) -> Bound:
    if product.empty:
        return _NOTHING
    library = blas.current(device) if libraries else None
    if library is not None and library.serves(product):
        return Bound("cublas", *library.product(product, dtype))
    return Bound("own", *products.own(product, dtype, device))


def _convolution(which: str, conv: Conv, dtype: str, device: Any, libraries: bool) -> Bound:
    if conv.results(which) == 0:
        return _NOTHING
    library = dnn.current(device) if libraries else None
    if library is not None:
        found = library.convolution(which, conv, dtype)
        if found is not None:
            return Bound("cudnn", *found)
    product = convolutions.as_product(which, conv)
    if product is not None and not product.empty:
        return _product(product, dtype, device, libraries)
    return Bound("own", *convolutions.own(which, conv, dtype, device))
