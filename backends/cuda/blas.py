"""Matrix products with cuBLAS, if it is installed."""

from __future__ import annotations

import atexit
import ctypes
from collections.abc import Sequence
from ctypes import c_double, c_float, c_int, c_longlong, c_size_t, c_void_p
from functools import lru_cache
from typing import Any

from symc.config import config
from symc.errors import warn
from symc_backends.cuda import kernels, libraries
from symc_backends.cuda.kernels import WORKSPACE, Pointer, PreparedLaunch, Stage
from symc_backends.cuda.products import Product

__all__ = ["Blas", "current", "problem", "version"]

_FLOAT, _DOUBLE, _BFLOAT16 = 0, 1, 14
_COMPUTE = {"float32": 68, "tf32": 77, "bfloat16": 68}
"""Compute types for float32, by ``symc.config.cuda_precision``."""
_COMPUTE_DOUBLE = 70
_DEFAULT_ALGORITHM = -1
_WORKSPACE = 32 << 20
"""The workspace recommended for recent GPUs; with less, cuBLAS may choose slower algorithms."""
_LARGEST = 2**31 - 1


def problem() -> str | None:
    """Return why cuBLAS cannot be used, and a repair; None if it can, as far as known without a GPU."""
    found = _found()
    if found.library is not None:
        return None
    package = "nvidia-cublas-cu12" if libraries.driver_major() == 12 else "nvidia-cublas"
    return f"cuBLAS: {found.reason}; symc's own kernels multiply matrices; for faster ones run: pip install {package}"


def version() -> str | None:
    """The version, such as ``"13.0.2"``; None without cuBLAS."""
    library = _found().library
    if library is None:
        return None
    value, parts = c_int(), []
    for which in range(3):
        if library.cublasGetProperty(which, ctypes.byref(value)):
            return "of unknown version"
        parts.append(str(value.value))
    return ".".join(parts)


def current(device: Any) -> Blas | None:
    """cuBLAS on ``device``, opened on first use; None if it is missing or does not start (with a warning)."""
    if _found().library is None:
        return None
    return _open(device, config.cuda_libraries)


def _found() -> libraries.Found:
    # cuBLAS needs cuBLASLt, which other libraries must also find.
    libraries.find(*libraries.sonames("libcublasLt"))
    return libraries.find(*libraries.sonames("libcublas"))


@lru_cache(maxsize=8)
def _open(device: Any, chosen: str) -> Blas | None:
    library = _found().library
    assert library is not None
    try:
        return Blas(library, device)
    except BlasError as reason:
        warn(f"cuBLAS does not start ({reason}); symc's own kernels multiply matrices")
        return None


class BlasError(RuntimeError):
    """A function of cuBLAS returned an error."""


def _check(name: str, status: int) -> None:
    if status:
        raise BlasError(f"{name} returned {status}")


class Blas:
    """A handle on the device's stream, with its own workspace: no call allocates, so graphs can record all calls."""

    def __init__(self, library: ctypes.CDLL, device: Any) -> None:
        self.device = device
        self.handle = c_void_p()
        library.cublasSetStream_v2.argtypes = [c_void_p, c_void_p]
        library.cublasSetWorkspace_v2.argtypes = [c_void_p, c_void_p, c_size_t]
        self._multiply = library.cublasGemmStridedBatchedEx
        operand: list[Any] = [c_void_p, c_int, c_int, c_longlong]
        sizes: list[Any] = [c_int] * 5
        self._multiply.argtypes = [
            c_void_p, *sizes, c_void_p, *operand, *operand, c_void_p, *operand, *sizes[:3],
        ]  # fmt: skip
        with device:
            _check("cublasCreate", library.cublasCreate_v2(ctypes.byref(self.handle)))
            _check("cublasSetStream", library.cublasSetStream_v2(self.handle, int(device.stream.handle)))
            size = min(_WORKSPACE, config.cuda_workspace)
            self.workspace: Any = device.empty(size)
            status = library.cublasSetWorkspace_v2(self.handle, int(self.workspace), size)
            _check("cublasSetWorkspace", status)
        self._destroy = library.cublasDestroy_v2
        atexit.register(self._close)

    def _close(self) -> None:
        """Release memory while the device is still open."""
        with self.device:
            self.device.stream.synchronize()
            self._destroy(self.handle)
            self.workspace = None

    def serves(self, product: Product) -> bool:
        """Whether cuBLAS can compute ``product``: it uses 32-bit sizes, and rows and results must be contiguous."""
        p = product
        leads = (p.lda, p.rows if p.trans_a else p.depth), (p.ldb, p.depth if p.trans_b else p.cols), (p.ldc, p.cols)
        sizes = (p.batch, p.rows, p.cols, p.depth, p.lda, p.ldb, p.ldc)
        apart = p.batch == 1 or p.stride_c >= p.ldc * (p.rows - 1) + p.cols
        return p.depth > 0 and max(sizes) <= _LARGEST and apart and all(lead >= width for lead, width in leads)

    def product(self, product: Product, dtype: str) -> tuple[int, list[Stage]]:
        """Workspace bytes and stages for ``product`` in the precision ``symc.config.cuda_precision``."""
        if dtype == "f32" and config.cuda_precision == "bfloat16":
            return self._rounded(product)
        c, a, b = (Pointer(number) for number in product.buffers)
        compute = _COMPUTE[config.cuda_precision] if dtype == "f32" else _COMPUTE_DOUBLE
        kind = _FLOAT if dtype == "f32" else _DOUBLE
        return 0, [self._stage(product, c, a, b, kind, kind, compute)]

    def _rounded(self, product: Product) -> tuple[int, list[Stage]]:
        """Round both operands to bfloat16 in the workspace, then multiply; sums and result are float32."""
        p = product
        shapes = [
            (p.depth, p.rows) if p.trans_a else (p.rows, p.depth),
            (p.cols, p.depth) if p.trans_b else (p.depth, p.cols),
        ]
        used, stages, places, leads, strides = 0, [], [], [], []
        operands = zip(shapes, p.buffers[1:], (p.lda, p.ldb), (p.stride_a, p.stride_b))
        for (rows, cols), buffer, lead, stride in operands:
            count = p.batch if stride else 1
            padded = -(-cols // 8) * 8  # rows of a multiple of 16 bytes, as required by tensor cores
            numbers = (rows, cols, lead, padded, count, stride)
            grid = kernels.blocks(self.device, count * rows * cols)
            pointers = (Pointer(WORKSPACE, used), Pointer(buffer))
            stages.append(PreparedLaunch(self.device, kernels.round_to_bfloat16(), grid, (*pointers, *numbers)))
            places.append(Pointer(WORKSPACE, used))
            leads.append(padded)
            strides.append(rows * padded if stride else 0)
            used += -(-count * rows * padded * 2 // 256) * 256
        dense = p._replace(lda=leads[0], ldb=leads[1], stride_a=strides[0], stride_b=strides[1])
        last = self._stage(dense, Pointer(p.buffers[0]), places[0], places[1], _BFLOAT16, _FLOAT, _COMPUTE["bfloat16"])
        return used, [*stages, last]

    def _stage(self, p: Product, c: Pointer, a: Pointer, b: Pointer, kind: int, result: int, compute: int) -> Stage:
        # cuBLAS is column-major: our row-major C = A B is C^T = B^T A^T to it.
        number = c_double if compute == _COMPUTE_DOUBLE else c_float
        one, old = number(1), number(1 if p.accumulate else 0)
        multiply, handle = self._multiply, self.handle
        head = (handle, int(bool(p.trans_b)), int(bool(p.trans_a)), p.cols, p.rows, p.depth, ctypes.addressof(one))
        right, left, target = (kind, p.ldb, p.stride_b), (kind, p.lda, p.stride_a), (result, p.ldc, p.stride_c)
        tail, beta = (p.batch, compute, _DEFAULT_ALGORITHM), ctypes.addressof(old)

        def stage(pointers: Sequence[int], workspace: int, keep: Any = (one, old)) -> None:
            x, y, z = ((workspace if p.number == WORKSPACE else pointers[p.number]) + p.offset for p in (a, b, c))
            _check("cublasGemmStridedBatchedEx", multiply(*head, y, *right, x, *left, beta, z, *target, *tail))

        return stage
