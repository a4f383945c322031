"""Theano's ops for GPUs under their names: each is the op for every device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import symc.tensor as T
from symc.compat.correlation import (
    Corr3dMM,
    Corr3dMM_gradInputs,
    Corr3dMM_gradWeights,
    CorrMM,
    CorrMM_gradInputs,
    CorrMM_gradWeights,
)
from symc.compat.devices import (
    GpuDnnConv,
    GpuDnnConvDesc,
    GpuDnnConvGradI,
    GpuDnnConvGradW,
    dnn_conv,
    dnn_pool,
    float32_shared_constructor,
    gpu_alloc_empty,
)
from symc.compat.product_ops import Dot22, Gemm
from symc.compat.signal import DownsampleFactorMax
from symc.graph import Variable

_nnet: Any = T.nnet

__all__ = [
    "CudaNdarray", "CudaNdarrayVariable", "GpuAlloc", "GpuCorr3dMM", "GpuCorr3dMM_gradInputs",
    "GpuCorr3dMM_gradWeights", "GpuCorrMM", "GpuCorrMM_gradInputs", "GpuCorrMM_gradWeights", "GpuDnnConv3d",
    "GpuDnnConv3dGradI", "GpuDnnConv3dGradW", "GpuDnnPool", "GpuDnnPoolDesc", "GpuDnnSoftmax", "GpuDot22",
    "GpuDownsampleFactorMax", "GpuGemm", "GpuSoftmax", "GpuSoftmaxWithBias", "dnn_conv3d", "dnn_gradinput",
    "dnn_gradinput3d", "dnn_gradweight", "dnn_gradweight3d", "gpu_alloc", "gpu_dot22", "gpu_gemm_inplace",
    "gpu_gemm_no_inplace", "gpu_join", "gpu_shape", "gpu_softmax", "gpuarray_shared_constructor",
    "infer_context_name", "shared_constructor",
]  # fmt: skip

GpuDot22, GpuGemm, GpuDownsampleFactorMax = Dot22, Gemm, DownsampleFactorMax
gpu_dot22, gpu_gemm_no_inplace, gpu_gemm_inplace = Dot22(), Gemm(), Gemm(inplace=True)
GpuDnnConv3d, GpuDnnConv3dGradI, GpuDnnConv3dGradW = GpuDnnConv, GpuDnnConvGradI, GpuDnnConvGradW
CudaNdarrayVariable = Variable
shared_constructor = gpuarray_shared_constructor = float32_shared_constructor
gpu_alloc, gpu_join, gpu_shape, dnn_conv3d = T.alloc, T.join, T.shape, dnn_conv


class CudaNdarray:
    """``CudaNdarray(array)`` returns the array as float32: there are no arrays of another class."""

    def __new__(cls, value: Any) -> np.ndarray:  # type: ignore[misc]  # noqa: D102 - see the class
        return np.asarray(value, "float32")


class GpuAlloc:
    """The op of ``T.alloc``."""

    def __init__(self, *settings: Any, **named: Any) -> None:
        pass

    def __call__(self, value: Any, *shape: Any) -> Variable:
        return T.alloc(value, *shape)


def infer_context_name(*variables: Any) -> None:
    """The GPU of these variables: none in particular."""


class _Padded:
    """The arguments of a correlation on the GPU, which once had ``pad`` in place of ``filter_dilation``."""

    def __init__(
        self,
        border_mode: Any = "valid",
        subsample: Any = None,
        filter_dilation: Any = None,
        *more: Any,
        pad: Any = None,
    ) -> None:
        if filter_dilation is not None and not any(filter_dilation):
            filter_dilation = None
        if pad is not None:
            border_mode = pad if isinstance(pad, str) or any(pad) else border_mode
        super().__init__(border_mode, subsample, filter_dilation, *more)  # type: ignore[call-arg]


class GpuCorrMM(_Padded, CorrMM):
    """``CorrMM``."""


class GpuCorrMM_gradInputs(_Padded, CorrMM_gradInputs):  # noqa: N801 - Theano's name
    """``CorrMM_gradInputs``."""


class GpuCorrMM_gradWeights(_Padded, CorrMM_gradWeights):  # noqa: N801
    """``CorrMM_gradWeights``."""


class GpuCorr3dMM(_Padded, Corr3dMM):
    """``Corr3dMM``."""


class GpuCorr3dMM_gradInputs(_Padded, Corr3dMM_gradInputs):  # noqa: N801
    """``Corr3dMM_gradInputs``."""


class GpuCorr3dMM_gradWeights(_Padded, Corr3dMM_gradWeights):  # noqa: N801
    """``Corr3dMM_gradWeights``."""


class GpuDnnPoolDesc:
    """The settings of ``GpuDnnPool`` in old programs; calling them gives the settings again."""

    def __init__(self, ws: Any = (1, 1), stride: Any = None, mode: str = "max", pad: Any = None) -> None:
        self.ws, self.stride, self.mode, self.pad = ws, stride, mode, pad

    def __call__(self) -> GpuDnnPoolDesc:
        return self


class GpuDnnPool:
    """``GpuDnnPool(mode)(images, ws, stride, pad)``, or ``GpuDnnPool()(images, desc)``: ``dnn_pool``."""

    def __init__(self, mode: str = "max") -> None:
        self.mode = mode

    def __call__(self, img: Any, ws: Any, stride: Any = None, pad: Any = None) -> Variable:
        if isinstance(ws, GpuDnnPoolDesc):
            return dnn_pool(img, ws.ws, ws.stride, ws.mode, ws.pad)
        return dnn_pool(img, ws, stride, self.mode, pad)


class GpuSoftmax:
    """The op of ``T.nnet.softmax``."""

    def __call__(self, x: Any) -> Variable:
        return _nnet.softmax(x)


class GpuSoftmaxWithBias:
    """The op of the softmax of ``x + b``."""

    def __call__(self, x: Any, b: Any) -> Variable:
        return _nnet.softmax(T.as_tensor_variable(x) + b)


gpu_softmax = GpuSoftmax()


class GpuDnnSoftmax:
    """cuDNN's softmax of ``(batch, channels, rows, columns)``.

    Parameters
    ----------
    *settings : str
        ``"fast"``, ``"accurate"`` or ``"log"``, which gives the logarithm; ``"channel"`` normalises over the
        channels, ``"instance"`` over all axes but the first. The layout, ``"bc01"``, came first in older versions.
    """

    def __init__(self, *settings: str, algo: str = "accurate", mode: str = "channel", **ignored: Any) -> None:
        given = {*settings, algo}
        self.log = "log" in given
        self.over_instance = "instance" in (*settings, mode)
        if "b01c" in given:
            raise ValueError("GpuDnnSoftmax: the layout must be 'bc01', got 'b01c'")

    def __call__(self, x: Any) -> Variable:
        x = T.as_tensor_variable(x)
        axes = tuple(range(1, x.ndim)) if self.over_instance else (1,)
        moved = x - x.max(axis=axes, keepdims=True)
        logs = moved - T.log(T.exp(moved).sum(axis=axes, keepdims=True))
        return logs if self.log else T.exp(logs)


def dnn_gradinput(
    kerns: Any, topgrad: Any, img_shp: Sequence[Any], border_mode: Any = "valid", subsample: Any = None,
    dilation: Any = None, conv_mode: str = "conv", num_groups: int = 1, **ignored: Any,
) -> Variable:  # fmt: skip
    """The gradient of ``dnn_conv`` by its images, which have the shape ``img_shp``."""
    desc = _settings(len(img_shp) - 2, border_mode, subsample, dilation, conv_mode, num_groups)
    return GpuDnnConvGradI()(kerns, topgrad, gpu_alloc_empty(*[img_shp[k] for k in range(len(img_shp))]), desc)


def dnn_gradweight(
    img: Any, topgrad: Any, kerns_shp: Sequence[Any], border_mode: Any = "valid", subsample: Any = None,
    dilation: Any = None, conv_mode: str = "conv", num_groups: int = 1, **ignored: Any,
) -> Variable:  # fmt: skip
    """The gradient of ``dnn_conv`` by its filters, which have the shape ``kerns_shp``."""
    desc = _settings(len(kerns_shp) - 2, border_mode, subsample, dilation, conv_mode, num_groups)
    return GpuDnnConvGradW()(img, topgrad, gpu_alloc_empty(*[kerns_shp[k] for k in range(len(kerns_shp))]), desc)


dnn_gradinput3d, dnn_gradweight3d = dnn_gradinput, dnn_gradweight


def _settings(spatial: int, border_mode: Any, subsample: Any, dilation: Any, mode: str, groups: int) -> GpuDnnConvDesc:
    if isinstance(dilation, str):  # older signatures had conv_mode in this place
        dilation, mode = None, dilation
    return GpuDnnConvDesc(border_mode, subsample or (1,) * spatial, dilation or (1,) * spatial, mode, num_groups=groups)
