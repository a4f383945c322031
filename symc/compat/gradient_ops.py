"""Theano's ops that compute the gradient of another op, which some programs apply themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import symc
import symc.tensor as T
from symc.compat.function import mention
from symc.compat.nnet import labels_in_range
from symc.compat.op_class import OpClass
from symc.graph import Variable

__all__ = [
    "AveragePoolGrad", "CholeskyGrad", "CrossentropyCategorical1HotGrad", "CrossentropySoftmax1HotWithBiasDx",
    "DownsampleFactorMaxGradGrad", "EighGrad", "EigvalshGrad", "ExpmGrad", "MaxPoolGrad", "MaxPoolRop", "PoolGrad",
    "SoftmaxGrad", "crossentropy_categorical_1hot_grad", "crossentropy_softmax_1hot_with_bias_dx", "imported_scipy",
    "softmax_grad",
]  # fmt: skip


imported_scipy = find_spec("scipy") is not None
"""Whether SciPy is installed."""


def _pulled(function: Callable[..., Any], inputs: Sequence[Any], gradients: Sequence[Any]) -> Any:
    """The gradients by ``inputs``, given those by the results of ``function(*inputs)``; one alone if there is one."""
    variables = [T.as_tensor_variable(v) for v in inputs]
    outputs = function(*variables)
    outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    known = dict(zip(outputs, map(T.as_tensor_variable, gradients)))
    found = symc.grad(None, variables, known_grads=known)
    return found if len(found) > 1 else found[0]


# --- classification -------------------------------------------------------------------------------------------------


class SoftmaxGrad(OpClass):
    """``SoftmaxGrad()(dy, sm)``: the gradient by the operand of a softmax ``sm`` of rows."""

    def __call__(self, dy: Any, sm: Any) -> Variable:
        dy, sm = T.as_tensor_variable(dy), T.as_tensor_variable(sm)
        if dy.ndim not in (1, 2) or not dy.dtype.startswith("float"):
            raise ValueError(f"SoftmaxGrad: dy must be a float vector or matrix, got {dy.type}")
        dy, sm = (v.dimshuffle("x", 0) if v.ndim == 1 else v for v in (dy, sm))
        scaled = dy * sm
        return scaled - scaled.sum(axis=1, keepdims=True) * sm


class CrossentropySoftmax1HotWithBiasDx(OpClass):
    """``(dy, sm, y_idx)``: the gradient of the cross-entropy of a softmax ``sm`` of rows by its operand."""

    def __call__(self, dy: Any, sm: Any, y_idx: Any) -> Variable:
        dy, sm, y_idx = T.as_tensor_variable(dy), T.as_tensor_variable(sm), T.as_tensor_variable(y_idx)
        if dy.ndim > 1 or not dy.dtype.startswith("float"):
            raise ValueError(f"{type(self).__name__}: dy must be a float scalar or vector, got {dy.type}")
        if sm.ndim != 2 or not sm.dtype.startswith("float"):
            raise ValueError(f"{type(self).__name__}: sm must be a float matrix, got {sm.type}")
        if y_idx.ndim != 1 or "int" not in y_idx.dtype:
            raise ValueError(f"{type(self).__name__}: y_idx must be an integer vector, got {y_idx.type}")
        y_idx = labels_in_range(y_idx, sm.shape[1])
        hot = T.eq(y_idx.dimshuffle(0, "x"), T.arange(sm.shape[1]).dimshuffle("x", 0))
        return (dy.dimshuffle(0, "x") if dy.ndim else dy) * (sm - T.cast(hot, sm.dtype))


class CrossentropyCategorical1HotGrad(OpClass):
    """``(g_y, p, y)``: the gradient of ``-log(p[i, y[i]])`` by ``p``."""

    def __call__(self, g_y: Any, coding_dist: Any, true_one_of_n: Any) -> Variable:
        g, p, y = (T.as_tensor_variable(v) for v in (g_y, coding_dist, true_one_of_n))
        at = (T.arange(y.shape[0]), y)
        return T.set_subtensor(T.zeros_like(p)[at], -g / p[at])


softmax_grad = SoftmaxGrad()
crossentropy_softmax_1hot_with_bias_dx = CrossentropySoftmax1HotWithBiasDx()
crossentropy_categorical_1hot_grad = CrossentropyCategorical1HotGrad()

# --- pooling --------------------------------------------------------------------------------------------------------


class _OfPool(OpClass):
    """An op that belongs to a pooling."""

    takes = {"ignore_border": False, "mode": "max", "ndim": 2, "openmp": None}

    def _pool(self, x: Any, ws: Any, stride: Any, pad: Any) -> Variable:
        from symc.compat.signal import Pool

        return Pool(self.ignore_border, self.mode, self.ndim)(x, ws, stride, pad)


class PoolGrad(_OfPool):
    """``PoolGrad(ignore_border, mode, ndim)(x, maxout, gz, ws, stride, pad)``: the gradient of pooling by ``x``."""

    def __call__(self, x: Any, maxout: Any, gz: Any, ws: Any, stride: Any = None, pad: Any = None) -> Variable:
        mention([T.as_tensor_variable(maxout)])  # an input in Theano, which here is computed again
        return _pulled(lambda v: self._pool(v, ws, stride, pad), [x], [gz])


class MaxPoolGrad(PoolGrad):
    """``MaxPoolGrad(ignore_border, ndim)(x, maxout, gz, ws, stride, pad)``."""

    takes = {"ignore_border": False, "ndim": 2, "openmp": None}
    mode = "max"


class AveragePoolGrad(_OfPool):
    """``AveragePoolGrad(ignore_border, mode, ndim)(x, gz, ws, stride, pad)``."""

    takes = {"ignore_border": False, "mode": "average_inc_pad", "ndim": 2, "openmp": None}

    def __call__(self, x: Any, gz: Any, ws: Any, stride: Any = None, pad: Any = None, dummy: Any = None) -> Variable:
        return _pulled(lambda v: self._pool(v, ws, stride, pad), [x], [gz])


class MaxPoolRop(_OfPool):
    """``MaxPoolRop(ignore_border)(x, direction, ws, stride, pad)``: the derivative of pooling in a direction."""

    takes = {"ignore_border": False, "mode": "max", "ndim": 2, "openmp": None}

    def __call__(self, x: Any, direction: Any, ws: Any, stride: Any = None, pad: Any = None, _: Any = None) -> Variable:
        x = T.as_tensor_variable(x)
        return symc.gradient.Rop(self._pool(x, ws, stride, pad), x, direction)


class DownsampleFactorMaxGradGrad(_OfPool):
    """``(x, maxout, gz, ws, stride, pad)``: the elements of ``gz`` where ``x`` has the maxima."""

    def __call__(self, x: Any, maxout: Any, gz: Any, ws: Any, stride: Any = None, pad: Any = None) -> Variable:
        x = T.as_tensor_variable(x)
        return symc.gradient.Rop(self._pool(x, ws, stride, pad), x, gz)


# --- matrices -------------------------------------------------------------------------------------------------------


class CholeskyGrad(OpClass):
    """``CholeskyGrad(lower)(x, l, dz)``: the gradient of the Cholesky factor ``l`` by ``x``."""

    takes = {"lower": True}

    def __call__(self, x: Any, l: Any, dz: Any) -> Variable:  # noqa: E741 - Theano's name
        return _pulled(T.slinalg.Cholesky(lower=self.lower), [x], [dz])


class EighGrad(OpClass):
    """``EighGrad(UPLO)(x, w, v, gw, gv)``: the gradient of eigenvalues and eigenvectors by ``x``."""

    takes = {"UPLO": "L"}

    def __call__(self, x: Any, w: Any, v: Any, gw: Any, gv: Any) -> Variable:
        return _pulled(lambda a: T.nlinalg.eigh(a, self.UPLO), [x], [gw, gv])


class EigvalshGrad(OpClass):
    """``EigvalshGrad(lower)(a, b, gw)``: the gradients of generalised eigenvalues by both matrices."""

    takes = {"lower": True}

    def __call__(self, a: Any, b: Any, gw: Any) -> Any:
        return _pulled(T.slinalg.Eigvalsh(lower=self.lower), [a, b], [gw])


class ExpmGrad(OpClass):
    """``ExpmGrad()(A, gw)``: the gradient of the matrix exponential."""

    def __call__(self, A: Any, gw: Any) -> Variable:  # noqa: N803 - Theano's name
        return _pulled(T.slinalg.expm, [A], [gw])
