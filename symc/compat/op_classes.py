"""Theano's ops as classes: ``CumOp(axis=0)(x)`` is ``T.cumsum(x, 0)``.

Theano's functions are built on these classes, and old programs apply some of them directly.
"""

from __future__ import annotations

from typing import Any

import symc
import symc.tensor as T
from symc.compat.composed_ops import (
    ArgSortOp,
    Bartlett,
    CumOp,
    CumprodOp,
    CumsumOp,
    DiffOp,
    FillDiagonal,
    FillDiagonalOffset,
    Images2Neibs,
    RavelMultiIndex,
    RepeatOp,
    SearchsortedOp,
    SortOp,
    TopKOp,
    UnravelIndex,
    XlogX,
    XlogY0,
    bartlett_,
    fill_diagonal_,
    fill_diagonal_offset_,
)
from symc.compat.op_class import OpClass
from symc.compat.product_ops import (
    BatchedDot,
    Dot22,
    Gemm,
    Gemv,
    Ger,
    gemm_inplace,
    gemm_no_inplace,
    gemv_inplace,
    gemv_no_inplace,
    ger_destructive,
)
from symc.compat.reduction_ops import (
    CAReduce,
    CAReduceDtype,
    MaxAndArgmax,
    Mean,
    Prod,
    ProdWithoutZeros,
    Sum,
)
from symc.compat.rules import ViewOp
from symc.compat.subtensor import choose
from symc.graph import Variable

_any: Any = T

__all__ = [
    "AllocDiag", "ArgSortOp", "Bartlett", "BatchedDot", "CAReduce", "CAReduceDtype", "Choose",
    "ConsiderConstant", "CpuContiguous", "CumOp", "CumprodOp", "CumsumOp", "DeepCopyOp", "Default", "DiffOp",
    "DisconnectedGrad",
    "Dot22", "ExtractDiag", "FillDiagonal", "FillDiagonalOffset", "Flatten", "Gemm", "Gemv", "Ger", "GradClip",
    "GradScale", "Images2Neibs", "MaxAndArgmax", "Mean", "Nonzero", "OpClass", "PermuteRowElements", "Prod",
    "ProdWithoutZeros", "RavelMultiIndex", "RepeatOp", "ScalarFromTensor", "SearchsortedOp", "Shape_i", "SortOp",
    "SpecifyShape", "Sum", "TensorFromScalar", "Tile", "TopKOp", "Tri", "UndefinedGrad", "UnravelIndex",
    "XlogX", "XlogY0", "ZeroGrad",
    "bartlett_", "consider_constant_", "cpu_contiguous", "deep_copy_op", "default", "disconnected_grad_",
    "fill_diagonal_",
    "fill_diagonal_offset_", "gemm_inplace", "gemm_no_inplace", "gemv_inplace", "gemv_no_inplace", "ger_destructive",
    "setdefault", "shape_i", "undefined_grad_", "view_op", "zero_grad_",
]  # fmt: skip


# --- shapes and values ----------------------------------------------------------------------------------------------


class AllocDiag(OpClass):
    """``AllocDiag(offset, axis1, axis2)(v)``: a tensor whose diagonal along two axes is the last axis of ``v``."""

    takes = {"offset": 0, "axis1": 0, "axis2": 1}

    def __call__(self, diag: Any) -> Variable:
        v = T.as_tensor_variable(diag)
        n = v.shape[-1]
        size = n + abs(self.offset)
        rows = T.arange(n) + max(0, -self.offset)
        columns = T.arange(n) + max(0, self.offset)
        leading = [v.shape[a] for a in range(v.ndim - 1)]
        at = (*[slice(None)] * (v.ndim - 1), rows, columns)
        out = T.set_subtensor(T.zeros([*leading, size, size], v.dtype)[at], v)
        first, second = self.axis1 % out.ndim, self.axis2 % out.ndim
        order: list[Any] = [None] * out.ndim
        order[first], order[second] = out.ndim - 2, out.ndim - 1
        others = iter(range(out.ndim - 2))
        return out.dimshuffle([next(others) if k is None else k for k in order])


class ExtractDiag(OpClass):
    """``ExtractDiag(offset, axis1, axis2)(x)`` is ``T.diagonal(x, offset, axis1, axis2)``."""

    takes = {"offset": 0, "axis1": 0, "axis2": 1, "view": False}

    def __call__(self, x: Any) -> Variable:
        return T.diagonal(x, self.offset, self.axis1, self.axis2)


class Nonzero(OpClass):
    """``Nonzero()(x)``: one vector of positions per axis."""

    def __call__(self, x: Any) -> Any:
        return list(T.nonzero(x))


class PermuteRowElements(OpClass):
    """``PermuteRowElements()(x, y, inverse)`` is ``T.permute_row_elements(x, y, inverse)``."""

    def __call__(self, x: Any, y: Any, inverse: Any = False) -> Variable:
        return T.permute_row_elements(x, y, bool(T.get_scalar_constant_value(inverse)))


class Tile(OpClass):
    """``Tile(ndim)(x, reps)`` is ``T.tile(x, reps, ndim)``."""

    takes = {"ndim": None}

    def __call__(self, x: Any, reps: Any) -> Variable:
        return T.tile(x, reps, self.ndim)


class Tri(OpClass):
    """``Tri(dtype)(N, M, k)`` is ``T.tri(N, M, k, dtype)``."""

    takes = {"dtype": None}

    def __call__(self, N: Any, M: Any, k: Any) -> Variable:  # noqa: N803 - Theano's names
        return T.tri(N, M, k, self.dtype)


class Flatten(OpClass):
    """``Flatten(outdim)(x)`` is ``T.flatten(x, outdim)``."""

    takes = {"outdim": 1}

    def __call__(self, x: Any) -> Variable:
        return T.flatten(x, self.outdim)


class Choose(OpClass):
    """``Choose(mode)(a, choices)`` is ``T.choose(a, choices, mode=mode)``."""

    takes = {"mode": "raise"}

    def __call__(self, a: Any, choices: Any) -> Variable:
        return choose(a, choices, mode=self.mode)


class SpecifyShape(OpClass):
    """``SpecifyShape()(x, shape)`` is ``T.specify_shape(x, shape)``."""

    def __call__(self, x: Any, shape: Any) -> Variable:
        return T.specify_shape(x, shape)


class Shape_i(OpClass):  # noqa: N801 - Theano's name
    """``Shape_i(i)(x)`` is ``x.shape[i]``."""

    takes = {"i": 0}

    def __call__(self, x: Any) -> Variable:
        return T.as_tensor_variable(x).shape[self.i]


def shape_i(var: Any, i: int, fgraph: Any = None) -> Variable:
    """The length of ``var`` along axis ``i``."""
    return Shape_i(i)(var)


class _Same(OpClass):
    """An op whose result is its operand: scalars are tensors, and the compiler decides what is copied."""

    def __call__(self, x: Any) -> Variable:
        return T.as_tensor_variable(x)


class DeepCopyOp(_Same):
    """``DeepCopyOp()(x)`` is ``x.copy()``."""

    def __call__(self, x: Any) -> Variable:
        return T.as_tensor_variable(x).copy()


class CpuContiguous(_Same):
    """``CpuContiguous()(x)`` is ``x``: values are contiguous."""


class TensorFromScalar(_Same):
    """``TensorFromScalar()(x)`` is ``x``: scalars are tensors without axes."""


class ScalarFromTensor(_Same):
    """``ScalarFromTensor()(x)`` is ``x``: scalars are tensors without axes."""


class Default(OpClass):
    """``Default()(x, default)`` is ``x``: inputs of functions are never None."""

    def __call__(self, x: Any, default: Any) -> Variable:
        x, default = T.as_tensor_variable(x), T.as_tensor_variable(default)
        if x.dtype != default.dtype or x.ndim != default.ndim:
            raise TypeError(f"default: both operands must have the same type, got {x.type} and {default.type}")
        return x


default = setdefault = Default()
deep_copy_op, cpu_contiguous = DeepCopyOp(), CpuContiguous()
view_op = ViewOp()

# --- gradients ------------------------------------------------------------------------------------------------------


class ConsiderConstant(OpClass):
    """``ConsiderConstant()(x)`` is ``consider_constant(x)``."""

    examples = staticmethod(lambda: [symc.gradient.consider_constant(_any.vector())])

    function = staticmethod(symc.gradient.consider_constant)

    def __call__(self, x: Any) -> Variable:
        return self.function(x)


class ZeroGrad(ConsiderConstant):
    """``ZeroGrad()(x)`` is ``zero_grad(x)``."""

    examples = staticmethod(lambda: [symc.gradient.zero_grad(_any.vector())])

    function = staticmethod(symc.gradient.zero_grad)


class DisconnectedGrad(ConsiderConstant):
    """``DisconnectedGrad()(x)`` is ``disconnected_grad(x)``."""

    examples = staticmethod(lambda: [symc.gradient.disconnected_grad(_any.vector())])

    function = staticmethod(symc.gradient.disconnected_grad)


class UndefinedGrad(ConsiderConstant):
    """``UndefinedGrad()(x)`` is ``undefined_grad(x)``."""

    function = staticmethod(symc.gradient.undefined_grad)


class GradClip(OpClass):
    """``GradClip(lower, upper)(x)`` is ``grad_clip(x, lower, upper)``."""

    examples = staticmethod(lambda: [symc.gradient.grad_clip(_any.vector(), 0, 1)])

    takes = {"clip_lower_bound": None, "clip_upper_bound": None}

    def __call__(self, x: Any) -> Variable:
        return symc.gradient.grad_clip(x, self.clip_lower_bound, self.clip_upper_bound)


class GradScale(OpClass):
    """``GradScale(multiplier)(x)`` is ``grad_scale(x, multiplier)``."""

    examples = staticmethod(lambda: [symc.gradient.grad_scale(_any.vector(), 2)])

    takes = {"multiplier": None}

    def __call__(self, x: Any) -> Variable:
        return symc.gradient.grad_scale(x, self.multiplier)


consider_constant_, zero_grad_ = ConsiderConstant(), ZeroGrad()
disconnected_grad_, undefined_grad_ = DisconnectedGrad(), UndefinedGrad()
