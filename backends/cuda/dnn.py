"""Convolutions with cuDNN, if it is installed."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_char_p, c_double, c_float, c_int, c_size_t, c_void_p
from functools import lru_cache
from typing import Any

from symc.config import config
from symc.errors import warn
from symc_backends.cuda import blas, libraries
from symc_backends.cuda.convolutions import Conv
from symc_backends.cuda.kernels import Stage

__all__ = ["Dnn", "current", "problem", "version"]

_TYPES = {"f32": 0, "f64": 1}
_NCHW = 0
_CONVOLUTION, _CROSS_CORRELATION = 0, 1
_DEFAULT_MATH, _TENSOR_OP_MATH, _FMA_MATH = 0, 1, 3
_DETERMINISTIC = 1
_LARGEST = 2**31 - 1
_KINDS = {
    "conv2d_forward": "Forward",
    "conv2d_backward_data": "BackwardData",
    "conv2d_backward_weights": "BackwardFilter",
}


def problem() -> str | None:
    """Return why cuDNN cannot be used, and a repair; None if it can, as far as known without a GPU."""
    found = _found()
    if found.library is not None:
        return None
    package = "nvidia-cudnn-cu12" if libraries.driver_major() == 12 else "nvidia-cudnn-cu13"
    return f"cuDNN: {found.reason}; symc's own kernels convolve; for faster ones run: pip install {package}"


def version() -> str | None:
    """The version, such as ``"9.19.0"``; None without cuDNN."""
    library = _found().library
    if library is None:
        return None
    library.cudnnGetVersion.restype = c_size_t
    number = library.cudnnGetVersion()
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def current(device: Any) -> Dnn | None:
    """cuDNN on ``device``, opened on first use; None if it is missing or does not start (with a warning)."""
    if _found().library is None:
        return None
    return _open(device, config.cuda_libraries)


def _found() -> libraries.Found:
    return libraries.find("libcudnn.so.9")


@lru_cache(maxsize=8)
def _open(device: Any, chosen: str) -> Dnn | None:
    # cuDNN opens these with the system's loader, which finds libraries that are already loaded.
    blas.problem()
    libraries.find(*libraries.sonames("libnvrtc"), beside="libnvrtc-builtins.so*")
    library = _found().library
    assert library is not None
    try:
        return Dnn(library, device)
    except DnnError as reason:
        warn(f"cuDNN does not start ({reason}); symc's own kernels convolve")
        return None


class DnnError(RuntimeError):
    """A function of cuDNN returned an error."""


class _Perf(ctypes.Structure):
    """``cudnnConvolutionFwdAlgoPerf_t``, and the equal structures of the two backward passes."""

    _fields_ = [
        ("algorithm", c_int),
        ("status", c_int),
        ("time", c_float),
        ("memory", c_size_t),
        ("determinism", c_int),
        ("math", c_int),
        ("reserved", c_int * 3),
    ]


def _ints(*values: int) -> Any:
    return (c_int * len(values))(*values)


class Dnn:
    """A handle on the device's stream. Descriptors are created once per shape and live as long as the handle."""

    def __init__(self, library: ctypes.CDLL, device: Any) -> None:
        self.library = library
        self.handle = c_void_p()
        library.cudnnGetErrorString.restype = c_char_p
        self._made: dict[tuple[Any, ...], c_void_p] = {}
        with device:
            self._do("Create", ctypes.byref(self.handle))
            self._do("SetStream", self.handle, c_void_p(int(device.stream.handle)))

    def _do(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, f"cudnn{name}")(*arguments)
        if status:
            raise DnnError(f"cudnn{name}: {self.library.cudnnGetErrorString(status).decode()}")

    def convolution(self, which: str, conv: Conv, dtype: str) -> tuple[int, list[Stage]] | None:
        """Workspace bytes and stage for a call, or None if cuDNN cannot compute it.

        cuDNN pads both sides equally, and the algorithm must be deterministic and fit into
        ``symc.config.cuda_workspace``. Under ``cuda_precision`` ``"bfloat16"`` operands are rounded to tf32, which is
        more precise: with bfloat16, cuDNN would round the results as well.
        """
        if not _serves(conv):
            return None
        c = conv
        image = self._tensor(dtype, (c.N, c.C, c.H, c.W))
        filters = self._filter(dtype, (c.K, c.cg, c.R, c.S))
        slope = self._tensor(dtype, (c.N, c.K, c.OH, c.OW))
        exact = dtype == "f64" or config.cuda_precision == "float32"
        how = self._convolution(dtype, c, _FMA_MATH if exact else _DEFAULT_MATH)
        # cuDNN's order: two inputs, the convolution, the result
        first, second, result = {
            "conv2d_forward": (image, filters, slope),
            "conv2d_backward_data": (filters, slope, image),
            "conv2d_backward_weights": (image, slope, filters),
        }[which]
        found = self._algorithm(_KINDS[which], first, second, how, result, exact)
        if found is None:
            return None
        algorithm, memory, math = found
        if not exact:  # algorithms are chosen for a math type
            how = self._convolution(dtype, c, math)
        return memory, [self._stage(which, dtype, first, second, how, result, algorithm, memory)]

    def _algorithm(
        self, kind: str, first: c_void_p, second: c_void_p, how: c_void_p, result: c_void_p, exact: bool
    ) -> tuple[int, int, int] | None:
        """Choose algorithm, workspace and arithmetic: cuDNN's first choice that is deterministic, small and precise."""
        found, count = (_Perf * 16)(), c_int()
        arguments = (self.handle, first, second, how, result, 16, ctypes.byref(count), found)
        try:
            self._do(f"GetConvolution{kind}Algorithm_v7", *arguments)
        except DnnError:  # not supported
            return None
        allowed = (_DEFAULT_MATH, _FMA_MATH) if exact else (_DEFAULT_MATH, _FMA_MATH, _TENSOR_OP_MATH)
        for perf in found[: count.value]:
            suits = perf.status == 0 and perf.determinism == _DETERMINISTIC and perf.math in allowed
            if suits and perf.memory <= config.cuda_workspace:
                return int(perf.algorithm), int(perf.memory), int(perf.math)
        return None

    def _stage(
        self,
        which: str,
        dtype: str,
        first: c_void_p,
        second: c_void_p,
        how: c_void_p,
        result: c_void_p,
        algorithm: int,
        memory: int,
    ) -> Stage:
        number = c_float if dtype == "f32" else c_double
        one, zero = number(1), number(0)
        name = f"Convolution{_KINDS[which]}"
        function = getattr(self.library, f"cudnn{name}")
        function.argtypes = [*[c_void_p] * 7, c_int, c_void_p, c_size_t, *[c_void_p] * 3]
        alpha, beta = ctypes.addressof(one), ctypes.addressof(zero)
        # the call's buffers are (result, x or dy, w or dy); cuDNN expects the filters of a backward pass first
        x, y = (2, 1) if which == "conv2d_backward_data" else (1, 2)
        handle = self.handle

        def stage(pointers: Sequence[int], workspace: int, keep: Any = (one, zero)) -> None:
            left, right, out = pointers[x], pointers[y], pointers[0]
            space = workspace if memory else None
            status = function(
                handle, alpha, first, left, second, right, how, algorithm, space, memory, beta, result, out
            )
            if status:
                raise DnnError(f"cudnn{name}: {self.library.cudnnGetErrorString(status).decode()}")

        return stage

    # --- descriptors ----------------------------------------------------------------------------------------------

    def _tensor(self, dtype: str, shape: tuple[int, int, int, int]) -> c_void_p:
        _, c, h, w = shape
        strides = _ints(c * h * w, h * w, w, 1)
        return self._descriptor("Tensor", (_TYPES[dtype], shape), (_TYPES[dtype], 4, _ints(*shape), strides))

    def _filter(self, dtype: str, shape: tuple[int, int, int, int]) -> c_void_p:
        return self._descriptor("Filter", (_TYPES[dtype], shape), (_TYPES[dtype], _NCHW, 4, _ints(*shape)))

    def _convolution(self, dtype: str, c: Conv, math: int) -> c_void_p:
        mode = _CONVOLUTION if c.flip else _CROSS_CORRELATION
        pads, strides, dilations = (c.pad_top, c.pad_left), (c.stride_h, c.stride_w), (c.dil_h, c.dil_w)
        key = (pads, strides, dilations, mode, _TYPES[dtype], c.groups, math)
        arguments = (2, _ints(*pads), _ints(*strides), _ints(*dilations), mode, _TYPES[dtype])
        made = ("Convolution", key) in self._made
        descriptor = self._descriptor("Convolution", key, arguments)
        if not made:
            self._do("SetConvolutionGroupCount", descriptor, c.groups)
            self._do("SetConvolutionMathType", descriptor, math)
        return descriptor

    def _descriptor(self, kind: str, key: tuple[Any, ...], arguments: tuple[Any, ...]) -> c_void_p:
        found = self._made.get((kind, key))
        if found is None:
            found = c_void_p()
            self._do(f"Create{kind}Descriptor", ctypes.byref(found))
            self._do(f"Set{kind}NdDescriptor", found, *arguments)
            self._made[kind, key] = found
        return found


def _serves(c: Conv) -> bool:
    """Whether cuDNN's convolution, with the top and left padding on all sides, computes the same result."""
    if min(c.N, c.C, c.H, c.W, c.K, c.R, c.S, c.OH, c.OW) <= 0 or min(c.pad_top, c.pad_left) < 0:
        return False
    height = (c.H + 2 * c.pad_top - (c.R - 1) * c.dil_h - 1) // c.stride_h + 1
    width = (c.W + 2 * c.pad_left - (c.S - 1) * c.dil_w - 1) // c.stride_w + 1
    largest = max(c.N * c.C * c.H * c.W, c.N * c.K * c.OH * c.OW)
    return (height, width) == (c.OH, c.OW) and largest <= _LARGEST
