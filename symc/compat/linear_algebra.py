"""Names of ``theano.tensor.nlinalg`` that differ in what they accept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.compat.errors import NotOffered
from symc.compat.op_class import OpClass
from symc.graph import Apply, Variable
from symc.graph.types import TensorType

__all__ = ["Eig", "QRFull", "QRIncomplete", "_zero_disconnected", "eig", "norm", "qr"]


class Eig(OpClass):
    """``Eig()(a)`` is ``T.nlinalg.eig(a)``."""

    def __call__(self, a: Any) -> Any:
        return T.nlinalg.eig(a)


eig = Eig()


class _Householder(symc.Op):
    """The form of a QR decomposition that LAPACK computes: ``(h, tau)`` of a matrix, on the CPU, without a gradient."""

    __props__ = ()

    def make_node(self, a: Any) -> Apply:
        a = T.as_tensor_variable(a)
        if a.ndim != 2 or a.dtype not in ("float32", "float64"):
            raise TypeError(f"qr: mode 'raw' expects a matrix of float32 or float64, got {a.type}")
        return Apply(self, [a], [TensorType(a.dtype, (None, None))(), TensorType(a.dtype, (None,))()])

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list[Any]]) -> None:
        for storage, value in zip(output_storage, np.linalg.qr(inputs[0], "raw")):
            storage[0] = np.ascontiguousarray(value, inputs[0].dtype)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        (m, n) = shapes[0]
        return [(n, m), (T.minimum(m, n),)]


def qr(a: Any, mode: str = "reduced") -> Any:
    """``T.nlinalg.qr``, and with mode ``"raw"`` its Householder form.

    Returns
    -------
    h, tau : Variable
        For mode ``"raw"`` and ``a`` of shape ``(m, n)``: the transposed matrix ``(n, m)`` that holds ``r`` and the
        reflectors, and their factors ``(min(m, n),)``. They have no gradient.
    """
    return tuple(_Householder()(a)) if mode == "raw" else T.nlinalg.qr(a, mode)


class QRFull(OpClass):
    """``QRFull(mode)(a)``: both factors, for the modes "reduced", "full", "complete" and "raw"."""

    takes = {"mode": "reduced"}

    def __call__(self, a: Any) -> Any:
        return qr(a, self.mode)


class QRIncomplete(QRFull):
    """``QRIncomplete("r")(a)``: the triangular factor alone."""


def _zero_disconnected(outputs: Sequence[Variable], grads: Sequence[Variable]) -> list[Variable]:
    """The gradients of outputs, zeros for those that do not matter; for methods ``L_op`` of programs."""
    return [
        out.zeros_like() if isinstance(g.type, symc.gradient.DisconnectedType) else g for out, g in zip(outputs, grads)
    ]


def norm(x: Any, ord: Any = None) -> Variable:
    """``T.nlinalg.norm`` of a vector or a matrix; ``'inf'`` and ``'-inf'`` are the infinities.

    Raises
    ------
    ValueError
        Of a scalar, or for an ``ord`` that there is not.
    NotOffered
        Of a tensor of more than two axes.
    """
    x = T.as_tensor_variable(x)
    if x.ndim == 0:
        raise ValueError("norm: expected a vector or a matrix, got a scalar")
    if x.ndim > 2:
        raise NotOffered(f"norm: expected a vector or a matrix, got {x.type}")
    return T.nlinalg.norm(x, ord)
