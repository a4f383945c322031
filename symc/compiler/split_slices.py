"""Slices whose axes are split, as into patches, are read where they are: no copy has the axes of the slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.compiler.bodies import uses_of, with_ops
from symc.compiler.fusion.groups import is_one
from symc.graph import Apply, Graph, Variable, dims
from symc.graph.op import Axes, Indexed, Op, Pointwise, Record, Reduction, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, index
from symc.tensor.indices.slices import SLICE_AT
from symc.tensor.reshaping import RESHAPE_TO

__all__ = ["split_slices"]


def split_slices(graph: Graph) -> Sequence[Variable]:
    """Let ops that read a slice with split axes in another order read the tensor that it is a part of."""
    if SLICE_AT not in graph.records or RESHAPE_TO not in graph.records:
        return graph
    readers = uses_of(graph.order)
    results = Counter(graph)

    def replacement(node: Apply) -> tuple[Op, Sequence[Variable]]:
        source, out = node.inputs[0] if node.inputs else None, node.outputs[0]
        if node.op.record is not RESHAPE_TO or source is None or source.owner is None or results[out]:
            return node.op, node.inputs
        slice_, lowers = source.owner, [reader.op.record.lower for reader in readers.get(out, ())]
        if slice_.op.record is not SLICE_AT or len(readers[source]) > 1 or results[source]:
            return node.op, node.inputs
        groups = _groups(source.type.shape, out.type.shape)
        if groups is None or not all(isinstance(lower, (Axes, Pointwise, Reduction)) for lower in lowers):
            return node.op, node.inputs
        return Op(SPLIT_SLICE, steps=slice_.op["steps"], groups=groups, shape=out.type.shape), slice_.inputs

    return with_ops(graph, replacement)


def _groups(shape: Sequence[dims.Dim], parts: Sequence[dims.Dim]) -> tuple[int, ...] | None:
    """Into how many axes each axis is split; None if axes are joined, or none is split."""
    found, k = [], 0
    for d in shape:
        first, product = k, dims.product(())
        while k < len(parts) and (k == first or dims.equal(product, d) is not True):
            product = dims.mul(product, parts[k])
            k += 1
        if dims.equal(product, d) is not True:
            return None
        found.append(k - first)
    if not found or not all(is_one(d) for d in parts[k:]):
        return None
    found[-1] += len(parts) - k
    return tuple(found) if max(found) > 1 else None


def _element(node: Apply, at: Sequence[Expr], read: Callable[..., Expr], size: Callable[[dims.Dim], Expr]) -> Expr:
    positions, k = [], 0
    for axis, count in enumerate(node.op["groups"]):
        place = index(0)
        for part in range(k, k + count):
            place = place * size(node.op["shape"][part]) + at[part]
        k += count
        positions.append(read(1 + axis, ()) + place * node.op["steps"][axis])
    return read(0, positions)


def _numpy(op: Op, x: np.ndarray, *starts: Any) -> np.ndarray:
    lengths, k = [], 0
    for count in op["groups"]:
        lengths.append(int(np.prod(op["shape"][k : k + count], dtype=int)))
        k += count
    return SLICE_AT.numpy(Op(SLICE_AT, steps=op["steps"], shape=tuple(lengths)), x, *starts).reshape(op["shape"])


SPLIT_SLICE: Record = record(
    "split_slice",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, op["shape"]),
    numpy=_numpy,
    lower=Indexed(_element),
)
"""A part of a tensor, as ``slice_at``, of which each axis is split into as many as ``groups`` tells."""
