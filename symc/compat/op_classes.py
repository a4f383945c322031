"""Theano's ops as classes: ``CumOp(axis=0)(x)`` is ``T.cumsum(x, 0)``.

Theano's functions are built on these classes, and old programs apply some of them directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import symc
import symc.tensor as T
from symc.compat.rules import ViewOp
from symc.compat.tensor import Call
from symc.graph import Constant, Variable

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


class OpClass(Call):
    """An op of Theano: ``takes`` names the parameters that make it, with their defaults, in order."""

    takes: dict[str, Any] = {}

    def __init__(self, *parameters: Any, **named: Any) -> None:
        super().__init__(*parameters, **named)
        given = dict(zip(self.takes, parameters))
        unknown = sorted(set(named) - set(self.takes) | set(named) & set(given))
        if unknown or len(parameters) > len(self.takes):
            what = f"{unknown[0]!r}" if unknown else f"{len(parameters)} arguments"
            raise TypeError(f"{type(self).__name__}: unexpected {what}; it takes {', '.join(self.takes) or 'nothing'}")
        vars(self).update({**self.takes, **given, **named})

    def _key(self) -> tuple[Any, ...]:
        return (type(self), *(getattr(self, name) for name in self.takes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpClass) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(tuple(tuple(k) if isinstance(k, list) else k for k in self._key()))

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.takes)
        return type(self).__name__ + (f"{{{shown}}}" if shown else "")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @property
    def __props__(self) -> tuple[str, ...]:
        return tuple(self.takes)


# --- reductions -----------------------------------------------------------------------------------------------------


class CAReduce(OpClass):
    """``CAReduce(scalar_op, axis)(x)`` combines the elements by ``add``, ``mul``, ``maximum``, ``and_`` or the like."""

    examples = staticmethod(
        lambda: [f(_any.matrix(), axis=0) for f in (_any.sum, _any.prod, _any.max, _any.min, _any.all, _any.any)]
    )

    takes = {"scalar_op": None, "axis": None}

    def __call__(self, x: Any) -> Variable:
        x = T.as_tensor_variable(x)
        usual: Any = [(T.add, T.sum), (T.mul, T.prod), (T.maximum, T.max), (T.minimum, T.min)]
        bits: Any = [(T.and_, T.all, -1), (T.or_, T.any, 0), (T.xor, None, 0)]
        for op, reduction in usual:
            if self.scalar_op is op:
                return reduction(x, axis=self.axis, **self._dtypes())
        for op, reduction, start in bits:
            if self.scalar_op is op:
                return reduction(x, axis=self.axis) if x.dtype == "bool" and reduction else self._bitwise(x, start)
        text = f"CAReduce: expected an associative operation such as theano.scalar.add, got {self.scalar_op}"
        raise TypeError(text)

    def _dtypes(self) -> dict[str, Any]:
        return {}

    def _bitwise(self, x: Variable, start: int) -> Variable:
        axes = (
            range(x.ndim) if self.axis is None else self.axis if isinstance(self.axis, (list, tuple)) else [self.axis]
        )
        first = sorted(a % x.ndim for a in axes)
        for axis in reversed(first):
            rest = [a for a in range(x.ndim) if a != axis]
            rows = x.dimshuffle(axis, *rest)
            begin = T.zeros(rows.shape[1:], x.dtype) + T.constant(start, dtype=x.dtype)
            x, _ = symc.reduce(self.scalar_op, rows, T.cast(begin, x.dtype))
        return x


class CAReduceDtype(CAReduce):
    """``CAReduce`` with the dtypes of the result and of the intermediate values."""

    examples = staticmethod(lambda: [f(_any.matrix(), axis=0) for f in (_any.sum, _any.prod)])

    takes = {"scalar_op": None, "axis": None, "dtype": None, "acc_dtype": None}

    def _dtypes(self) -> dict[str, Any]:
        return {"dtype": self.dtype, "acc_dtype": self.acc_dtype}


class Sum(CAReduceDtype):
    """``Sum(axis, dtype, acc_dtype)(x)`` is ``T.sum(x, ...)``."""

    examples = staticmethod(lambda: [_any.sum(_any.matrix(), axis=0)])

    takes = {"axis": None, "dtype": None, "acc_dtype": None}
    scalar_op = staticmethod(T.add)


class Prod(CAReduceDtype):
    """``Prod(axis, dtype, acc_dtype)(x)`` is ``T.prod(x, ...)``."""

    examples = staticmethod(lambda: [_any.prod(_any.matrix(), axis=0)])

    takes = {"axis": None, "dtype": None, "acc_dtype": None, "no_zeros_in_input": False}
    scalar_op = staticmethod(T.mul)


class ProdWithoutZeros(Prod):
    """``ProdWithoutZeros(axis)(x)`` is the product of the elements that are not zero."""

    takes = {"axis": None, "dtype": None, "acc_dtype": None}

    def __call__(self, x: Any) -> Variable:
        x = T.as_tensor_variable(x)
        return super().__call__(T.switch(T.eq(x, 0), T.ones_like(x), x))


class Mean(OpClass):
    """``Mean(axis)(x)`` is ``T.mean(x, axis)``."""

    takes = {"axis": None}

    def __call__(self, x: Any) -> Variable:
        return T.mean(x, self.axis)


class MaxAndArgmax(OpClass):
    """``MaxAndArgmax(axis)(x)`` is ``T.max_and_argmax(x, axis)``."""

    examples = staticmethod(lambda: [_any.argmax(_any.matrix(), axis=0)])

    takes = {"axis": None}

    def __call__(self, x: Any) -> Any:
        return list(T.max_and_argmax(x, self.axis))


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
    """``Choose(mode)(a, choices)`` is ``T.choose(a, choices, mode)``."""

    takes = {"mode": "raise"}

    def __call__(self, a: Any, choices: Any) -> Variable:
        return T.choose(a, choices, self.mode)


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

# --- functions composed of others -----------------------------------------------------------------------------------


class CumOp(OpClass):
    """``CumOp(axis, mode)(x)`` is ``T.cumsum(x, axis)``, with mode 'mul' ``T.cumprod(x, axis)``."""

    examples = staticmethod(lambda: [_any.cumsum(_any.vector()), _any.cumprod(_any.vector())])

    takes = {"axis": None, "mode": "add"}

    def __init__(self, *parameters: Any, **named: Any) -> None:
        super().__init__(*parameters, **named)
        if self.mode not in ("add", "mul"):
            raise ValueError(f"CumOp: mode must be 'add' or 'mul', got {self.mode!r}")

    def __call__(self, x: Any) -> Variable:
        return (T.cumsum if self.mode == "add" else T.cumprod)(x, self.axis)


class CumsumOp(CumOp):
    """``CumsumOp(axis)(x)`` is ``T.cumsum(x, axis)``."""

    takes = {"axis": None}
    mode = "add"


class CumprodOp(CumOp):
    """``CumprodOp(axis)(x)`` is ``T.cumprod(x, axis)``."""

    takes = {"axis": None}
    mode = "mul"


class DiffOp(OpClass):
    """``DiffOp(n, axis)(x)`` is ``T.diff(x, n, axis)``."""

    takes = {"n": 1, "axis": -1}

    def __call__(self, x: Any) -> Variable:
        return T.diff(x, self.n, self.axis)


class RepeatOp(OpClass):
    """``RepeatOp(axis)(x, repeats)`` is ``T.repeat(x, repeats, axis)``."""

    takes = {"axis": None}

    def __call__(self, x: Any, repeats: Any) -> Variable:
        return T.repeat(x, repeats, self.axis)


class SearchsortedOp(OpClass):
    """``SearchsortedOp(side)(x, v, sorter)`` is ``T.searchsorted(x, v, side, sorter)``."""

    examples = staticmethod(lambda: [_any.searchsorted(_any.vector(), _any.vector())])

    takes = {"side": "left"}

    def __init__(self, *parameters: Any, **named: Any) -> None:
        super().__init__(*parameters, **named)
        if self.side not in ("left", "right"):
            raise ValueError(f"SearchsortedOp: side must be 'left' or 'right', got {self.side!r}")

    def __call__(self, x: Any, v: Any, sorter: Any = None) -> Variable:
        return T.searchsorted(x, v, self.side, sorter)


class Bartlett(OpClass):
    """``Bartlett()(M)`` is ``T.bartlett(M)``."""

    def __call__(self, M: Any) -> Variable:  # noqa: N803 - Theano's name
        return T.bartlett(M)


class FillDiagonal(OpClass):
    """``FillDiagonal()(a, val)`` is ``T.fill_diagonal(a, val)``."""

    def __call__(self, a: Any, val: Any) -> Variable:
        return T.fill_diagonal(a, val)


class FillDiagonalOffset(OpClass):
    """``FillDiagonalOffset()(a, val, offset)`` is ``T.fill_diagonal_offset(a, val, offset)``."""

    def __call__(self, a: Any, val: Any, offset: Any) -> Variable:
        return T.fill_diagonal_offset(a, val, offset)


class RavelMultiIndex(OpClass):
    """``RavelMultiIndex(mode, order)(*indices, dims)`` is ``T.ravel_multi_index(indices, dims, mode, order)``."""

    takes = {"mode": "raise", "order": "C"}

    def __call__(self, *inputs: Any) -> Variable:
        return T.ravel_multi_index(inputs[:-1], inputs[-1], self.mode, self.order)


class UnravelIndex(OpClass):
    """``UnravelIndex(ndim, order)(indices, dims)`` is ``T.unravel_index(indices, dims, order, ndim)``."""

    takes = {"ndim": None, "order": "C"}

    def __call__(self, indices: Any, dims: Any) -> Any:
        return list(T.unravel_index(indices, dims, self.order, self.ndim))


class SortOp(OpClass):
    """``SortOp(kind, order)(x, axis)`` is ``T.sort(x, axis, kind, order)``."""

    examples = staticmethod(lambda: [_any.sort(_any.vector())])

    takes = {"kind": "quicksort", "order": None}
    function = staticmethod(T.sort)

    def __call__(self, input: Any, axis: Any = -1) -> Variable:
        if isinstance(axis, Variable):
            axis = int(T.get_scalar_constant_value(axis))
        return self.function(input, axis, self.kind, self.order)


class ArgSortOp(SortOp):
    """``ArgSortOp(kind, order)(x, axis)`` is ``T.argsort(x, axis, kind, order)``."""

    examples = staticmethod(lambda: [_any.argsort(_any.vector())])

    function = staticmethod(T.argsort)


class TopKOp(OpClass):
    """``TopKOp(axis)(x, k)``: the k largest elements and where they are, or one of both."""

    examples = staticmethod(lambda: [_any.topk(_any.vector(), 1)])

    takes = {"axis": -1, "sorted": True, "idx_dtype": "int64", "return_values": True, "return_indices": True}

    def __call__(self, x: Any, kth: Any) -> Any:
        values, places = T.topk_and_argtopk(x, kth, self.axis, self.sorted, self.idx_dtype)
        if not self.return_indices:
            return values
        return [values, places] if self.return_values else places


class XlogX(OpClass):
    """``XlogX()(x)`` is ``x * log(x)``, 0 at 0."""

    def __call__(self, x: Any) -> Variable:
        return T.xlogx.xlogx(x)


class XlogY0(OpClass):
    """``XlogY0()(x, y)`` is ``x * log(y)``, 0 where ``x`` is 0."""

    def __call__(self, x: Any, y: Any) -> Variable:
        return T.xlogx.xlogy0(x, y)


class Images2Neibs(OpClass):
    """``Images2Neibs(mode)(x, shape, step)`` is ``images2neibs(x, shape, step, mode)``."""

    takes = {"mode": "valid"}

    def __call__(self, ten4: Any, neib_shape: Any, neib_step: Any = None) -> Variable:
        return T.nnet.neighbours.images2neibs(ten4, neib_shape, neib_step, self.mode)


bartlett_, fill_diagonal_, fill_diagonal_offset_ = Bartlett(), FillDiagonal(), FillDiagonalOffset()

# --- products -------------------------------------------------------------------------------------------------------


class Dot22(OpClass):
    """``Dot22()(x, y)`` is ``T.dot(x, y)``."""

    examples = staticmethod(lambda: [_any.dot(_any.matrix(), _any.matrix())])

    def __call__(self, x: Any, y: Any) -> Variable:
        return T.dot(x, y)


class BatchedDot(OpClass):
    """``BatchedDot()(x, y)`` is ``T.batched_dot(x, y)``."""

    examples = staticmethod(lambda: [_any.batched_dot(_any.tensor3(), _any.tensor3())])

    def __call__(self, x: Any, y: Any) -> Variable:
        return T.batched_dot(x, y)


class Gemm(OpClass):
    """``Gemm(inplace)(z, a, x, y, b)`` is ``b * z + a * dot(x, y)``."""

    takes = {"inplace": False}

    def __call__(self, z: Any, a: Any, x: Any, y: Any, b: Any) -> Variable:
        operands = [T.as_tensor_variable(v) for v in (z, a, x, y, b)]
        for v, ndim in zip(operands, (2, 0, 2, 2, 0)):
            if v.ndim != ndim:
                raise ValueError(f"{type(self).__name__}: expected {ndim} axes, got {v.ndim}")
            if v.dtype != operands[0].dtype and not isinstance(v, Constant):  # numbers adapt
                raise TypeError(f"{type(self).__name__}: operands of dtypes {operands[0].dtype} and {v.dtype}")
        a, b = (T.cast(v, operands[0].dtype) for v in (operands[1], operands[4]))
        return b * operands[0] + a * T.dot(operands[2], operands[3])


class Gemv(OpClass):
    """``Gemv(inplace)(y, a, matrix, x, b)`` is ``b * y + a * dot(matrix, x)``."""

    takes = {"inplace": False}

    def __call__(self, y: Any, a: Any, matrix: Any, x: Any, b: Any) -> Variable:
        return b * T.as_tensor_variable(y) + a * T.dot(matrix, x)


class Ger(OpClass):
    """``Ger(destructive)(matrix, a, x, y)`` is ``matrix + a * outer(x, y)``."""

    takes = {"destructive": False}

    def __call__(self, matrix: Any, a: Any, x: Any, y: Any) -> Variable:
        return T.as_tensor_variable(matrix) + a * T.outer(x, y)


gemm_no_inplace, gemm_inplace = Gemm(), Gemm(inplace=True)
gemv_no_inplace, gemv_inplace = Gemv(), Gemv(inplace=True)
ger_destructive = Ger(destructive=True)

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
