"""Library calls on the GPU: who serves which, and how a call is bound to its parameters once.

=========================  ==================  ======================================
call                       with libraries      otherwise
=========================  ==================  ======================================
gemm, batched_gemm         cuBLAS              tiles in shared memory, divided sums
conv2d_*                   cuDNN               the same tiles, operands gathered
conv2d_* of few channels   cuDNN               one result a thread (or a block)
pool2d_*                   (no library)        one result a thread
=========================  ==================  ======================================

cuDNN gives the slope of a maximum to one of several equal elements, and its means of windows that reach over the edge
have other divisors, so pooling is always ours: memory sets its pace anyhow. Where a library cannot do a call exactly
(pads that differ, sizes beyond 32 bits, overlapping rows, empty sums), our own kernels do it.
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
    """A library call with everything known but addresses.

    Attributes
    ----------
    workspace : int
        Bytes of scratch memory it wants, at an address divisible by 64.
    by : str
        Who serves it: ``"cublas"``, ``"cudnn"``, ``"own"``, or ``"nothing"`` if there is nothing to do.
    """

    def __init__(self, by: str, workspace: int, stages: list[Stage]) -> None:
        self.by = by
        self.workspace = workspace
        self._stages = tuple(stages)

    def __call__(self, pointers: Sequence[int], workspace: int) -> None:
        """Enqueue the call on the device's stream; within ``with device:``.

        ``pointers`` are the addresses of its buffers, outputs first. Nothing is allocated and nothing waited for, so
        that a graph can record it.
        """
        for stage in self._stages:
            stage(pointers, workspace)


def bind(name: str, params: Sequence[int], device: Any, libraries: bool = True) -> Bound:
    """Prepare the call ``name`` (such as ``"gemm_f32"``) with ``params`` in the order of ``CALLS``.

    Everything that takes time happens here: kernels are compiled and loaded, descriptors made, algorithms chosen.

    Parameters
    ----------
    libraries : bool
        False: symc's own kernels, even where cuBLAS or cuDNN could serve.
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
