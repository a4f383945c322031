"""Ops in Python with complex operands or results: ops of real arrays with a last axis of length 2 around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Variable
from symc.graph.dtypes import is_complex, part_of
from symc.graph.types import TensorType
from symc.graph.variables import as_complex, as_pairs
from symc.tensor.basic import as_tensor
from symc.tensor.complex_numbers.parts import stacked, unstacked
from symc.tensor.user_ops.python_op import PythonOp, wrap_complex_with

__all__: list[str] = []


def _real_type(v: Variable) -> TensorType:
    shape = v.type.static_shape
    return TensorType(part_of(v.dtype), (*shape, 2)) if is_complex(v.dtype) else TensorType(v.dtype, shape)


class _OfPairs(PythonOp):
    """The op ``user`` with pairs in place of complex numbers; ``ins`` and ``outs`` say where, by dtypes."""

    __props__ = ("user", "ins", "outs")

    def __init__(self, user: PythonOp, node: Apply) -> None:
        self.user = user
        self.ins = tuple(v.dtype for v in node.inputs)
        self.outs = tuple(v.dtype for v in node.outputs)
        self.types = [_real_type(v) for v in node.outputs]
        if hasattr(user, "infer_shape"):
            self.infer_shape = self._infer_shape
        if getattr(user, "grad", None) is not None:
            self.grad = self._grad

    def __str__(self) -> str:
        return self.user.name

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, inputs, self.types, None)

    def _inner(self, shapes: Sequence[int]) -> Apply:
        """The user's application, as far as it is known here: dtypes and numbers of axes."""
        inputs = [Variable(TensorType(d, [None] * n)) for d, n in zip(self.ins, shapes)]
        return self.user._described(*inputs)

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: Sequence[list[Any]]) -> None:
        given = [as_complex(a) if is_complex(d) else a for a, d in zip(inputs, self.ins)]
        self.user.perform(self._inner([a.ndim for a in given]), given, output_storage)
        for storage, dtype in zip(output_storage, self.outs):
            if is_complex(dtype):
                storage[0] = as_pairs(np.asarray(storage[0], dtype))

    def _infer_shape(self, node: Apply, shapes: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        given = [tuple(s[:-1]) if is_complex(d) else tuple(s) for s, d in zip(shapes, self.ins)]
        found = self.user.infer_shape(self._inner([len(s) for s in given]), given)  # type: ignore[attr-defined]
        return [(*s, 2) if is_complex(d) else tuple(s) for s, d in zip(found, self.outs)]

    def _grad(self, inputs: Sequence[Variable], output_gradients: Sequence[Variable]) -> list[Any]:
        given = [unstacked(v) if is_complex(d) else v for v, d in zip(inputs, self.ins)]
        arriving = [unstacked(g) if is_complex(d) else g for g, d in zip(output_gradients, self.outs)]
        found = self.user.grad(given, arriving)  # type: ignore[attr-defined]
        return [g if g is None or not is_complex(d) else stacked(as_tensor(g)) for g, d in zip(found, self.ins)]


def _wrap(user: PythonOp, node: Apply) -> list[Variable]:
    found = _OfPairs(user, node)(*(stacked(v) if is_complex(v.dtype) else v for v in node.inputs))
    outputs = found if isinstance(found, list) else [found]
    return [unstacked(v) if is_complex(old.dtype) else v for v, old in zip(outputs, node.outputs)]


wrap_complex_with(_wrap)
