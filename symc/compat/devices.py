"""Names of Theano's modules for GPUs.

There are no GPU variables here: with ``device=cuda``, the same graph runs on the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.compat.flags import gpu_works
from symc.config import config
from symc.graph import SharedVariable, Variable
from symc.runtime.backend import name_of

_nnet: Any = T.nnet
_pool: Any = T.signal.pool

__all__ = [
    "CudaNdarraySharedVariable", "CudaNdarrayType", "GpuAllocEmpty", "GpuArrayType", "GpuContiguous", "GpuDnnConv",
    "GpuDnnConvDesc", "GpuDnnConvGradI", "GpuDnnConvGradW", "GpuFromHost", "HostFromGpu", "as_cuda_ndarray_variable",
    "as_gpuarray_variable", "cuda_available", "cuda_enabled", "dnn_available", "dnn_batch_normalization_test",
    "dnn_batch_normalization_train", "dnn_conv", "dnn_pool", "dnn_present", "float32_shared_constructor",
    "gpu_alloc_empty", "gpu_array_empty", "gpu_contiguous", "gpu_from_host", "host_from_gpu", "pygpu_activated",
    "unuse", "use",
]  # fmt: skip


cuda_available: bool
cuda_enabled: bool
pygpu_activated: bool


def __getattr__(name: str) -> Any:
    if name in ("cuda_available", "cuda_enabled", "pygpu_activated"):
        return _used() or name == "cuda_available" and gpu_works()
    raise AttributeError(name)


def _used() -> bool:
    return name_of(config.device) == "cuda"


def use(device: str, force: bool = False, **ignored: Any) -> None:
    """Compile for this device from now on."""
    from symc.compat.flags import config as settings

    if force:
        settings.force_device = True
    settings.device = device


def unuse() -> None:
    """Compile for the CPU from now on."""
    config.device = "c"


def gpu_from_host(x: Any) -> Variable:
    """Return ``x``: values move to the device that uses them."""
    return T.as_tensor_variable(x)


host_from_gpu = gpu_contiguous = as_cuda_ndarray_variable = gpu_from_host


class GpuFromHost:
    """The op of a transfer: ``op(x)`` returns ``x``, since values move to the device that uses them."""

    def __init__(self, context_name: Any = None) -> None:
        self.context_name = context_name

    def __call__(self, x: Any) -> Variable:
        return T.as_tensor_variable(x)


HostFromGpu = GpuContiguous = GpuFromHost


class GpuAllocEmpty:
    """The op of a tensor that is not yet filled: ``op(*shape)`` gives zeros of this dtype."""

    def __init__(self, dtype: str = "float32", context_name: Any = None) -> None:
        self.dtype = dtype

    def __call__(self, *shape: Any) -> Variable:
        return T.zeros(shape, self.dtype)


def gpu_alloc_empty(*shape: Any) -> Variable:
    """Zeros of float32 with this shape, the output that a cuDNN op is given."""
    return T.zeros(shape, "float32")


def gpu_array_empty(context_name: Any, dtype: str) -> GpuAllocEmpty:
    """``theano.gpuarray.basic_ops.gpu_alloc_empty``: the op for this dtype."""
    return GpuAllocEmpty(dtype, context_name)


def as_gpuarray_variable(x: Any, context_name: Any = None) -> Variable:
    """Return ``x``: values move to the device that uses them."""
    return T.as_tensor_variable(x)


CudaNdarraySharedVariable = SharedVariable


def CudaNdarrayType(broadcastable: Sequence[bool], name: Any = None) -> Any:  # noqa: N802 - a class in Theano
    """The tensor type of float32 with this broadcastable pattern."""
    return T.TensorType("float32", broadcastable=broadcastable)


def GpuArrayType(dtype: str, broadcastable: Sequence[bool], name: Any = None, context_name: Any = None) -> Any:  # noqa: N802
    """The tensor type with this dtype and broadcastable pattern."""
    return T.TensorType(dtype, broadcastable=broadcastable)


def float32_shared_constructor(value: Any, name: str | None = None, **kwargs: Any) -> SharedVariable:
    """A shared variable of float32."""
    kwargs.pop("target", None)
    return symc.shared(np.asarray(value, "float32"), name, **kwargs)


class _Availability:
    """``dnn_available()``: whether a GPU is used. The functions of this module work without one, too."""

    msg = "the functions of this module work on every device"

    @property
    def avail(self) -> bool:
        """Whether a GPU is used."""
        return self()

    def __call__(self, context_name: Any = None) -> bool:
        return _used()


dnn_available = dnn_present = _Availability()


def dnn_conv(
    img: Any,
    kerns: Any,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    dilation: Any = (1, 1),
    conv_mode: str = "conv",
    num_groups: int = 1,
    **ignored: Any,
) -> Variable:
    """``T.nnet.conv2d``, or ``conv3d`` for 5 axes; ``conv_mode='cross'`` does not flip the filters."""
    image = T.as_tensor_variable(img)
    convolve = _nnet.conv2d if image.ndim == 4 else _nnet.conv3d
    if image.ndim == 5:
        subsample = (1, 1, 1) if tuple(subsample) == (1, 1) else subsample
        dilation = (1, 1, 1) if tuple(dilation) == (1, 1) else dilation
    return convolve(
        image,
        kerns,
        border_mode=border_mode,
        subsample=subsample,
        filter_flip=conv_mode == "conv",
        filter_dilation=dilation,
        num_groups=num_groups,
    )


def dnn_pool(img: Any, ws: Any, stride: Any = None, mode: str = "max", pad: Any = None) -> Variable:
    """``T.signal.pool.pool_2d``, or ``pool_3d`` for windows of three lengths, with strides of 1 by default."""
    pool = _pool.pool_2d if len(ws) == 2 else _pool.pool_3d
    stride = (1,) * len(ws) if stride is None else stride
    mode = "average_inc_pad" if mode == "average" else mode
    return pool(img, ws, ignore_border=True, stride=stride, pad=pad or (0,) * len(ws), mode=mode)


class GpuDnnConvDesc:
    """The settings of a convolution; calling them with the shapes of its operands gives the settings again."""

    def __init__(
        self, border_mode: Any, subsample: Any = (1, 1), dilation: Any = None, conv_mode: str = "conv",
        precision: str | None = None, num_groups: int = 1,
    ) -> None:  # fmt: skip
        if isinstance(dilation, str):  # older signatures had conv_mode in this place
            dilation, conv_mode = None, dilation
        self.border_mode, self.subsample, self.conv_mode, self.num_groups = (
            border_mode,
            subsample,
            conv_mode,
            num_groups,
        )
        self.dilation = dilation or (1,) * len(subsample)

    def __call__(self, *shapes: Any) -> GpuDnnConvDesc:
        return self


class GpuDnnConv:
    """cuDNN's convolution as an op: ``alpha * dnn_conv(images, filters) + beta * output``."""

    def __init__(self, algo: Any = None, inplace: bool = False, num_groups: int = 1) -> None:
        self.num_groups = num_groups

    def __call__(
        self, first: Any, second: Any, output: Any, desc: GpuDnnConvDesc, alpha: Any = 1, beta: Any = 0
    ) -> Any:
        first, second, output = (T.as_tensor_variable(v) for v in (first, second, output))
        found = self.computed(first, second, output, desc, max(self.num_groups, desc.num_groups))
        found = found if isinstance(alpha, (int, float)) and alpha == 1 else alpha * found
        return found if isinstance(beta, (int, float)) and beta == 0 else found + beta * output

    def computed(self, images: Any, filters: Any, output: Any, desc: GpuDnnConvDesc, groups: int) -> Variable:
        """The result, which has the shape of ``output``."""
        return dnn_conv(
            images, filters, desc.border_mode, desc.subsample, desc.dilation, desc.conv_mode, num_groups=groups
        )


class GpuDnnConvGradI(GpuDnnConv):
    """The gradient of ``GpuDnnConv`` by its images, ``op(filters, output_gradient, output, desc)``."""

    gradient = "inputs"

    def computed(self, images: Any, filters: Any, output: Any, desc: GpuDnnConvDesc, groups: int) -> Variable:
        """The gradient, which has the shape of ``output``."""
        spatial = images.ndim - 2
        options = {"num_groups": groups} if groups != 1 else {}
        function = getattr(T.nnet, f"conv{spatial}d_grad_wrt_{self.gradient}")
        first, second = (filters, images) if self.gradient == "inputs" else (images, filters)
        shape = [None, None, *[output.shape[k + 2] for k in range(spatial)]]
        return function(
            first, second, shape, None, border_mode=desc.border_mode, subsample=tuple(desc.subsample),
            filter_flip=desc.conv_mode == "conv", filter_dilation=tuple(desc.dilation), **options,
        )  # fmt: skip


class GpuDnnConvGradW(GpuDnnConvGradI):
    """The gradient of ``GpuDnnConv`` by its filters, ``op(images, output_gradient, output, desc)``."""

    gradient = "weights"


def dnn_batch_normalization_train(inputs: Any, gamma: Any, beta: Any, mode: str = "per-activation", *args: Any) -> Any:
    """``T.nnet.bn.batch_normalization_train``."""
    return T.nnet.bn.batch_normalization_train(inputs, gamma, beta, mode, *args)


def dnn_batch_normalization_test(
    inputs: Any, gamma: Any, beta: Any, mean: Any, var: Any, mode: str = "per-activation", epsilon: float = 1e-4
) -> Variable:
    """``T.nnet.bn.batch_normalization_test``."""
    return T.nnet.bn.batch_normalization_test(inputs, gamma, beta, mean, var, mode, epsilon)
