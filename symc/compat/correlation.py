"""Theano's ops of correlation as classes: convolution without flipping the filters."""

from __future__ import annotations

from typing import Any

import symc.tensor as T
from symc.compat.convolution import (
    AbstractConv2d,
    AbstractConv2d_gradInputs,
    AbstractConv2d_gradWeights,
    AbstractConv3d,
    AbstractConv3d_gradInputs,
    AbstractConv3d_gradWeights,
    Convolution,
)
from symc.graph import Variable

__all__ = [
    "Corr3dMM", "Corr3dMM_gradInputs", "Corr3dMM_gradWeights", "CorrMM", "CorrMM_gradInputs", "CorrMM_gradWeights",
]  # fmt: skip


class _Correlation(Convolution):
    """The arguments of an op of correlation."""

    def __init__(self, border_mode: Any = "valid", subsample: Any = None, filter_dilation: Any = None, *more: Any):
        super().__init__(None, None, border_mode, subsample, False, filter_dilation, *more)


class _ByImages(_Correlation):
    """The gradient by the images: ``op(filters, output_gradient, shape)``."""

    def __call__(self, kern: Any, topgrad: Any, shape: Any = None) -> Variable:
        """Without a shape, the smallest images that give such maps."""
        return super().__call__(kern, topgrad, _smallest(self, kern, topgrad) if shape is None else shape)


class _ByFilters(_Correlation):
    """The gradient by the filters: ``op(images, output_gradient, shape)``."""

    def __call__(self, img: Any, topgrad: Any, shape: Any = None) -> Variable:
        """Without a shape, the largest filters that give such maps; they are needed if the stride is not 1."""
        if shape is None:
            if any(s != 1 for s in self.settings["subsample"]):
                raise ValueError(f"{type(self).__name__}: shape must be given if subsample is not 1")
            shape = _largest(self, img, topgrad)
        return super().__call__(img, topgrad, shape)


class CorrMM(_Correlation, AbstractConv2d):
    """``CorrMM(border_mode, subsample, filter_dilation)(images, filters)``."""


class CorrMM_gradInputs(_ByImages, AbstractConv2d_gradInputs):  # noqa: N801 - Theano's name
    """The gradient of ``CorrMM`` by its images."""


class CorrMM_gradWeights(_ByFilters, AbstractConv2d_gradWeights):  # noqa: N801
    """The gradient of ``CorrMM`` by its filters."""


class Corr3dMM(_Correlation, AbstractConv3d):
    """``Corr3dMM(border_mode, subsample, filter_dilation)(images, filters)``, of three spatial axes."""


class Corr3dMM_gradInputs(_ByImages, AbstractConv3d_gradInputs):  # noqa: N801
    """The gradient of ``Corr3dMM`` by its images."""


class Corr3dMM_gradWeights(_ByFilters, AbstractConv3d_gradWeights):  # noqa: N801
    """The gradient of ``Corr3dMM`` by its filters."""


def _smallest(op: Convolution, filters: Any, output: Any) -> list[Variable]:
    """The lengths of the smallest images whose convolution has the shape of ``output``."""
    filters, output = T.as_tensor_variable(filters), T.as_tensor_variable(output)
    lengths = []
    for k, (stride, dilation) in enumerate(zip(op.settings["subsample"], op.settings["filter_dilation"])):
        extent = (filters.shape[k + 2] - 1) * dilation + 1
        mode = op.settings["border_mode"]
        pads = {"valid": 0, "full": 2 * (extent - 1), "half": 2 * (extent // 2)}
        pad = pads[mode] if isinstance(mode, str) else 2 * (mode if isinstance(mode, int) else mode[k])
        lengths.append((output.shape[k + 2] - 1) * stride + extent - pad)
    return lengths


def _largest(op: Convolution, images: Any, output: Any) -> list[Variable]:
    """The lengths of the largest filters whose convolution with images, in steps of 1, has the shape of ``output``."""
    images, output = T.as_tensor_variable(images), T.as_tensor_variable(output)
    lengths = []
    for k, dilation in enumerate(op.settings["filter_dilation"]):
        have, want = images.shape[k + 2], output.shape[k + 2]
        mode = op.settings["border_mode"]
        if mode == "full":
            extent = want - have + 1
        elif mode == "half":
            raise ValueError(f"{type(op).__name__}: shape must be given if border_mode is 'half'")
        else:
            pad = 0 if mode == "valid" else mode if isinstance(mode, int) else mode[k]
            extent = have + 2 * pad - want + 1
        lengths.append((extent - 1) // dilation + 1)
    return lengths
