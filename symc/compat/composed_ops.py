"""Theano's ops as classes that are functions composed of others here."""

from __future__ import annotations

from typing import Any

import symc.tensor as T
from symc.compat.op_class import OpClass
from symc.graph import Variable

__all__ = [
    "ArgSortOp", "Bartlett", "CumOp", "CumprodOp", "CumsumOp", "DiffOp", "FillDiagonal", "FillDiagonalOffset",
    "Images2Neibs", "RavelMultiIndex", "RepeatOp", "SearchsortedOp", "SortOp", "TopKOp", "UnravelIndex", "XlogX",
    "XlogY0", "bartlett_", "fill_diagonal_", "fill_diagonal_offset_",
]  # fmt: skip

_any: Any = T


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
