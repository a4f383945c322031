"""Tensors of indices along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.graph import Variable
from symc.graph.op import Arg, Case, Indexed, Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor, normalize_axis

__all__ = ["iota"]


def _iota_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    shape = [1] * x.ndim
    shape[op["axis"]] = -1
    return np.broadcast_to(np.arange(x.shape[op["axis"]], dtype="int64").reshape(shape), x.shape)


IOTA_AT = record(
    "iota_at",
    infer=lambda op, inputs: TensorType("int64", op["shape"]),
    numpy=lambda op: np.broadcast_to(
        np.arange(op["shape"][op["axis"]]).reshape([-1 if k == op["axis"] else 1 for k in range(len(op["shape"]))]),
        op["shape"],
    ),
    grad=lambda op, inputs, outputs, gs: [],
    lower=Indexed(lambda node, idx, read, size: idx[node.op["axis"]], recompute=True),
)


IOTA = record(
    "iota",
    infer=lambda op, inputs: TensorType("int64", inputs[0].type.shape),
    numpy=_iota_numpy,
    grad=lambda op, inputs, outputs, gs: [None],
    specialise=lambda op, inputs, types: Op(IOTA_AT, axis=op["axis"], shape=types[0].shape)(),
    cases=lambda: [
        Case(lambda x: iota(x, 1), (Arg((2, 3)),), lambda x: np.indices((2, 3))[1], grad=False),
        Case(lambda x: iota(x, 0), (Arg((4,)),), lambda x: np.arange(4), grad=False),
    ],
)


def iota(x: Any, axis: int) -> Variable:
    """An int64 tensor of the shape of ``x`` whose elements are their index along ``axis``."""
    x = as_tensor(x)
    return Op(IOTA, axis=normalize_axis(axis, x.ndim, "iota", x))(x)
