"""Properties of nodes that decide about sharing memory: views, accessed positions, fallibility; copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Variable, dims
from symc.graph.op import View
from symc.loops.expr import index, var
from symc.loops.ir import Bind, Buffer, Call, Check, For, Host, Kernel, Load, Node, Ref, Room, Step, Store

__all__ = ["copy_step", "fails", "same_positions", "viewed"]


def viewed(v: Variable) -> tuple[Variable, dims.Dim]:
    """The variable whose memory ``v`` refers to (``v`` itself unless it is a view), and the offset."""
    offset: dims.Dim = 0
    while v.owner is not None and isinstance(v.owner.op.record.lower, View):
        start = v.owner.op.record.lower.offset
        if start is not None:
            offset = dims.add(offset, start(v.owner))
        v = v.owner.inputs[0]
    return v, offset


def fails(node: Node, buffers: Sequence[Buffer]) -> bool:
    """Whether the node may end the call with an error."""
    if isinstance(node, Step):
        return any(buffers[n].role == "status" for n in node.buffers)
    return isinstance(node, (Host, Check, Room)) or isinstance(node, Bind) and node.bound is None


def copy_step(source: Ref, target: Ref, v: Variable) -> Step:
    """Create a step that copies the value ``v``."""
    total = dims.product(v.type.shape)
    known = type(total) is int
    size = index(total) if known else var("n0")
    body = (Load("x", "b0", var("i"), v.dtype), Store("b1", var("i"), var("x", v.dtype)))
    moved = size * (2 * np.dtype(v.dtype).itemsize)
    loops = (For("i", size, body, "simd"),)
    kernel = Kernel("copy", (v.dtype, v.dtype), frozenset((1,)), 0 if known else 1, loops, index(0), moved)
    return Step(kernel, (source, target), () if known else (total,), (v.location,) if v.location else ())


def same_positions(step: Step, old: int, new: int) -> bool:
    """Whether the step reads ``old`` only at the positions where it then writes ``new``."""
    if any(r.offset != 0 for r in step.refs if r.buffer in (old, new)):
        return False
    if any(isinstance(s, Call) and s.passes_on for s in step.kernel.body):
        return False  # parts of the calls alternate
    a, b = (f"b{step.buffers.index(n)}" for n in (old, new))
    loads: list[Any] = []
    stores: list[Any] = []
    stack = list(step.kernel.body)
    while stack:
        s = stack.pop()
        if isinstance(s, For):
            stack.extend(s.body)
        elif isinstance(s, Call) and s.epilogue is not None and not {a, b} & set(s.buffers):
            stack.extend(s.epilogue.body)
        elif isinstance(s, Load) and s.buffer == a:
            loads.append(s.index)
        elif isinstance(s, Store) and s.buffer == b:
            stores.append(s.index)
        elif hasattr(s, "buffers") or hasattr(s, "condition"):
            return False
    positions = loads + stores
    return bool(stores) and all(p.same(stores[0]) for p in positions)
