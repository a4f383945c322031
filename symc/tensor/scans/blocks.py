"""The gradient of a long ``scan`` in limited memory: the states are kept once per block of steps.

The scan is written as a scan over blocks, whose step is a scan over the steps of one block, and a scan over the steps
that are left. The gradient of the scan over blocks keeps the states before each block, and computes those inside of a
block again when it comes to it.

References
----------
.. [1] Tianqi Chen, Bing Xu, Chiyuan Zhang and Carlos Guestrin (2016): Training deep nets with sublinear memory cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc.gradient.reverse import grad
from symc.graph import Variable, dims
from symc.graph.dtypes import is_float
from symc.graph.op import Op
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.axes import pad_left
from symc.tensor.basic import constant
from symc.tensor.joining import join
from symc.tensor.reshaping import reshape
from symc.tensor.scans.program import rows, without
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = ["bytes_of", "exceeds_memory", "gradient_by_blocks"]


def exceeds_memory(count: Variable, states: Sequence[Variable]) -> bool:
    """Whether the states of all steps may take more bytes than ``config.scan_memory`` allows."""
    if not config.scan_memory or not states:
        return False
    n, size = as_dim(count), bytes_of(states)
    return not (type(n) is int and type(size) is int and n * size <= config.scan_memory)


def bytes_of(values: Sequence[Variable]) -> dims.Dim:
    """The number of bytes that values take."""
    total: dims.Dim = 0
    for v in values:
        total = dims.add(total, dims.mul(dims.product(v.type.shape), np.dtype(v.dtype).itemsize))
    return total


def gradient_by_blocks(
    op: Op,
    inputs: Sequence[Variable],
    gs: Sequence[Variable],
    count: Variable,
    part: Callable[[Variable], Variable],
    apply: Callable[..., tuple[list[Variable], list[Variable], Variable]],
) -> list[Any]:
    """The gradients by the inputs of a scan.

    Parameters
    ----------
    op, inputs, gs
        The scan, its inputs, and the gradients of its outputs.
    count : Variable
        The number of steps that it did.
    part : callable
        The part of a sequence, or of an output in the order of sequences, that belongs to these steps.
    apply : callable
        ``apply_scan``.
    """
    sequences, states, constants = op["roles"].split(inputs[1:])
    made = len(op["body"].outputs) - len(states) - op["until"]
    forwards = [part(v)[::-1] if op["backwards"] else part(v) for v in sequences]
    trajectories, stacked = _by_blocks(op, forwards, states, constants, count, apply)
    known: dict[Variable, Variable] = {}
    for k, v in enumerate(trajectories):
        if is_float(v.dtype):
            known[v if op["keep"][k] else v[-1]] = rows(gs[k], 0, count + 1) if op["keep"][k] else gs[k]
    for v, g in zip(stacked, gs[len(states) : len(states) + made]):
        if is_float(v.dtype):
            known[v] = part(g)[::-1] if op["backwards"] else part(g)
    wanted = [v for v in inputs[1:] if is_float(v.dtype)]
    if not known or not wanted:
        return [None] * len(inputs)
    distinct = list(dict.fromkeys(wanted))
    # no gradient flows through an input to another one from which it is computed
    found = grad(None, distinct, list(inputs), "ignore", known_grads=known, return_disconnected="zero")
    by_input = dict(zip(distinct, found))
    seen: set[Variable] = set()
    results: list[Any] = [None]
    for v in inputs[1:]:  # the gradient by an input that is given twice counts once
        results.append(None if v in seen else by_input.get(v))
        seen.add(v)
    return results


def _by_blocks(
    op: Op,
    sequences: Sequence[Variable],
    states: Sequence[Variable],
    constants: Sequence[Variable],
    count: Variable,
    apply: Callable[..., tuple[list[Variable], list[Variable], Variable]],
) -> tuple[list[Variable], list[Variable]]:
    """The trajectories and stacked outputs of a scan that runs forwards, as those of a scan of scans."""
    length = _block_length(count, states)
    blocks = count // length
    whole = blocks * length

    def repeated(steps: Variable, x: Sequence[Variable], h: Sequence[Variable], c: Sequence[Variable]) -> Any:
        inner = _without_condition(op, len(h))
        found = inner.all(steps, *x, *h, *c)
        return list(found[: len(h)]), list(found[len(h) :])

    outer_x = [_blocked(rows(v, 0, whole), blocks, length) for v in sequences]
    x, h = [_entry(v) for v in outer_x], [_like(v) for v in states]
    inside, made = repeated(length, x, h, constants)
    ends, histories, _ = apply(
        blocks,
        list(zip(x, outer_x)),
        [(v, start, rows_of[-1]) for v, start, rows_of in zip(h, states, inside)],
        [],
        [*(without(True, v) for v in inside), *made],
        memory="block",
    )
    last = [v[-1] for v in ends]
    rest = [rows(v, whole, count - whole) for v in sequences]
    tail, tail_made = repeated(count - whole, rest, last, constants)
    flat = [_flat(v, whole) for v in histories]
    trajectories = [
        join(0, pad_left(start, v.ndim), v, without(True, t)) for start, v, t in zip(states, flat[: len(states)], tail)
    ]
    return trajectories, [join(0, v, t) for v, t in zip(flat[len(states) :], tail_made)]


def _without_condition(op: Op, states: int) -> Op:
    """The same step, for a number of steps that is known: every state is kept."""
    body = op["body"]
    if op["until"]:
        body = type(body)(body.inputs, body.outputs[:-1], body.symbols, body.values, body.equalities)
    attrs = {"body": body, "backwards": False, "keep": (True,) * states, "until": False}
    attrs |= {"memory": "step", "limit": config.scan_memory}
    return Op(op.record, **{**op.attrs, **attrs})


def _block_length(count: Variable, states: Sequence[Variable]) -> Variable:
    """The number of steps whose states take a quarter of the memory.

    Another quarter is left for values that the compiler stores for these steps (``symc.compiler.scans.storing``), and
    half of it for the states between blocks. If these are known to take more, the square root of the number of steps.
    The result follows from shapes alone: it is a dim in the bodies of other loops, too.
    """
    total: Variable = constant(0, dtype="int64")
    for v in states:
        size: Variable = constant(np.dtype(v.dtype).itemsize, dtype="int64")
        for axis in range(v.ndim):
            size = size * shape_i(v, axis)
        total = total + size
    length = ew.maximum(constant(config.scan_memory, dtype="int64") // (4 * ew.maximum(total, 1)), 1)
    n, known = as_dim(count), as_dim(length)
    if type(n) is int and type(known) is int and n > 2 * known**2:
        return constant(math.isqrt(n - 1) + 1, dtype="int64")
    return length


def _blocked(v: Variable, blocks: Variable, length: Variable) -> Variable:
    return reshape(v, [blocks, length, *(shape_i(v, k) for k in range(1, v.ndim))], v.ndim + 1)


def _flat(v: Variable, whole: Variable) -> Variable:
    return reshape(v, [whole, *(shape_i(v, k) for k in range(2, v.ndim))], v.ndim - 1)


def _entry(v: Variable) -> Variable:
    return Variable(TensorType(v.dtype, v.type.shape[1:]), None, 0, v.name)


def _like(v: Variable) -> Variable:
    return Variable(TensorType(v.dtype, v.type.shape), None, 0, v.name)
