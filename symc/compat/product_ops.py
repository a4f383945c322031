"""Theano's products of matrices as classes."""

from __future__ import annotations

from typing import Any

import numpy as np

import symc.tensor as T
from symc.compat.op_class import OpClass
from symc.compat.overwriting import overwriting
from symc.errors import TypeMismatchError
from symc.graph import Constant, Variable

__all__ = [
    "BatchedDot", "Dot22", "Dot22Scalar", "Gemm", "Gemv", "Ger", "_dot22", "_dot22scalar", "gemm_inplace",
    "gemm_no_inplace", "gemv_inplace", "gemv_no_inplace", "ger", "ger_destructive",
]  # fmt: skip

_any: Any = T


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
                raise TypeMismatchError(f"{type(self).__name__}: expected {ndim} axes, got {v.ndim}")
            if v.dtype != operands[0].dtype and not isinstance(v, Constant):  # numbers adapt
                raise TypeError(f"{type(self).__name__}: operands of dtypes {operands[0].dtype} and {v.dtype}")
        a, b = (T.cast(v, operands[0].dtype) for v in (operands[1], operands[4]))
        found = b * operands[0] + a * T.dot(operands[2], operands[3])
        return overwriting(found, operands[0]) if self.inplace else found  # type: ignore[no-any-return]


class Gemv(OpClass):
    """``Gemv(inplace)(y, a, matrix, x, b)`` is ``b * y + a * dot(matrix, x)``."""

    takes = {"inplace": False}

    def __call__(self, y: Any, a: Any, matrix: Any, x: Any, b: Any) -> Variable:
        y = T.as_tensor_variable(y)
        found = b * y + a * T.dot(matrix, x)
        return overwriting(found, y) if self.inplace else found  # type: ignore[no-any-return]


class Ger(OpClass):
    """``Ger(destructive)(matrix, a, x, y)`` is ``matrix + a * outer(x, y)``."""

    takes = {"destructive": False}

    def __call__(self, matrix: Any, a: Any, x: Any, y: Any) -> Variable:
        operands = [T.as_tensor_variable(v) for v in (matrix, a, x, y)]
        dtype = operands[0].dtype
        for v, ndim in zip(operands, (2, 0, 1, 1)):
            if v.ndim != ndim:
                raise TypeMismatchError(f"Ger: expected {ndim} axes, got {v.ndim}")
            if v.dtype != dtype and v is not operands[1]:
                raise TypeError(f"Ger: operands of dtypes {dtype} and {v.dtype}")
        if dtype not in ("float32", "float64", "complex64", "complex128"):
            raise TypeError(f"Ger: expected floats or complex numbers, got {dtype}")
        if np.promote_types(operands[1].dtype, dtype) != dtype and not isinstance(operands[1], Constant):
            raise TypeError(f"Ger: a factor of dtype {operands[1].dtype} with operands of dtype {dtype}")
        found = operands[0] + T.cast(operands[1], dtype) * T.outer(operands[2], operands[3])
        return overwriting(found, operands[0]) if self.destructive else found  # type: ignore[no-any-return]


class Dot22Scalar(OpClass):
    """``Dot22Scalar()(x, y, a)`` is ``a * dot(x, y)``."""

    examples = staticmethod(lambda: [_any.dot(_any.matrix(), _any.matrix())])

    def __call__(self, x: Any, y: Any, a: Any) -> Variable:
        return a * T.dot(x, y)


gemm_no_inplace, gemm_inplace = Gemm(), Gemm(inplace=True)


gemv_no_inplace, gemv_inplace = Gemv(), Gemv(inplace=True)


ger, ger_destructive = Ger(), Ger(destructive=True)


_dot22, _dot22scalar = Dot22(), Dot22Scalar()
