"""Theano's reductions as classes."""

from __future__ import annotations

from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.compat.op_class import OpClass
from symc.graph import Variable

__all__ = ["CAReduce", "CAReduceDtype", "MaxAndArgmax", "Mean", "Prod", "ProdWithoutZeros", "Sum"]

_any: Any = T


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
                found = reduction(x, axis=self.axis, **self._dtypes())
                return T.neq(found, 0) if x.dtype == "bool" and type(self) is CAReduce else found
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
            begin = T.zeros(rows.shape[1:], x.dtype) + T.constant(np.asarray(start).astype(x.dtype), dtype=x.dtype)
            begin = T.cast(begin, x.dtype)
            combined, _ = symc.scan(self.scalar_op, rows, begin)
            x = T.concatenate([T.shape_padleft(begin), combined])[-1]  # also of no rows
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
