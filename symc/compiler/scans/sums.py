"""Sums over the steps: a state to which every step adds becomes one operation on all steps behind the loop.

``s += dot(a.T, b)``, the gradient of a weight, is one product of the stacked ``a`` and ``b``, and ``s += b.sum(0)`` one
sum.
"""

from __future__ import annotations

from functools import reduce

from symc.compiler.rewrite.algebra import record_of
from symc.compiler.rewrite.failures import may_fail
from symc.compiler.rewrite.ops import ADD, DOT, SUM
from symc.compiler.scans.batching import at_all_steps
from symc.compiler.scans.loop import Loop, State
from symc.compiler.scans.values import Values
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.dtypes import is_float
from symc.graph.op import Op, Pointwise, Reduction
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import constant
from symc.tensor.broadcasting import sum
from symc.tensor.indices.slices import SLICE_AT
from symc.tensor.joining import JOIN
from symc.tensor.reshaping import reshape_to
from symc.tensor.symbolic_dims import dim_value

__all__ = ["sums_behind"]


def sums_behind(loop: Loop, values: Values) -> dict[int, Variable]:
    """Take the states to which every step adds out of the loop.

    Returns
    -------
    dict
        Maps the positions of the states that left to their last values. Positions are those before.
    """
    found: dict[int, Variable] = {}
    uses = _uses(loop)
    waiting = [k for k, s in enumerate(loop.states) if not s.keep and is_float(s.inner.dtype)]
    while waiting:
        left = [k for k in waiting if k not in found]
        for k in left:
            state = loop.states[k]
            terms = _terms(state, uses)
            if terms is None:
                continue
            totals = _Totals(values)
            if not all(totals.exists(t) for t in terms):
                continue
            total = state.start
            for t in terms:
                total = total + totals.of(t)
            found[k] = total
        if len(left) == len([k for k in waiting if k not in found]):
            break  # values that one sum needs may make another one possible
    loop.states = [s for k, s in enumerate(loop.states) if k not in found]
    return found


def _uses(loop: Loop) -> dict[Variable, int]:
    count: dict[Variable, int] = {}
    for v in (*(u for node in loop.order for u in node.inputs), *loop.outputs):
        count[v] = count.get(v, 0) + 1
    return count


def _terms(state: State, uses: dict[Variable, int]) -> list[Variable] | None:
    """What a step adds to the state; None if it does anything else, or uses the state or its next value otherwise."""
    if uses.get(state.inner) != 1:
        return None
    found: list[Variable] = []
    pending = [state.after]
    times = 0
    while pending:
        v = pending.pop()
        if v is state.inner:
            times += 1
        elif record_of(v) is ADD and _depends(v, state.inner):
            assert v.owner is not None
            if uses.get(v) != 1:
                return None  # its value after every step is a result, too
            pending.extend(v.owner.inputs)
        else:
            found.append(v)
    if times != 1 or any(_depends(v, state.inner) for v in found):
        return None
    return found


def _depends(v: Variable, on: Variable) -> bool:
    seen, pending = {v}, [v]
    while pending:
        u = pending.pop()
        if u is on:
            return True
        for w in u.owner.inputs if u.owner is not None else ():
            if w not in seen:
                seen.add(w)
                pending.append(w)
    return False


class _Totals:
    """Sums of variables over all steps."""

    def __init__(self, values: Values) -> None:
        self.values = values

    def exists(self, v: Variable) -> bool:
        """Whether the sum needs no values of all steps as large as the sum itself that the loop does not store."""
        if self._is_fixed(v) or self.values.is_known(v):
            return True
        node = v.owner
        if node is None:
            return False
        if node.op.record is DOT and not any(self._is_fixed(u) for u in node.inputs):
            return all(is_float(u.dtype) for u in node.inputs)
        if self._elementwise(node) is not None:
            return True
        return self._is_linear(node) and all(self.exists(u) for u in node.inputs if not self._is_fixed(u))

    def _elementwise(self, node: Apply) -> Apply | None:
        """The elementwise application whose output ``node`` sums, if all steps of its operands are known outside."""
        made = node.inputs[0].owner if node.op.record is SUM else None
        if made is None or not isinstance(made.op.record.lower, Pointwise) or may_fail(made):
            return None
        if len(made.outputs) > 1 or made.op.record.effect != "none":
            return None
        known = all(self._is_fixed(u) or self.values.is_known(u) or self._joined(u) is not None for u in made.inputs)
        return made if known else None

    def _joined(self, v: Variable) -> tuple[Apply, int] | None:
        """The join of known value of which ``v`` is an input, and the position of this input."""
        for node in self.values.loop.order:
            if node.op.record is JOIN and v in node.inputs and self.values.is_known(node.outputs[0]):
                return node, node.inputs.index(v)
        return None

    def _all(self, v: Variable) -> Variable:
        """The values of all steps of an operand of ``_elementwise``."""
        found = None if self.values.is_known(v) else self._joined(v)
        if found is None:
            return self.values.of(v)
        node, position = found
        axis = node.op["axis"] + 1
        starts: list[Variable] = [constant(0, dtype="int64") for _ in range(v.ndim + 1)]
        starts[axis] = dim_value(reduce(dims.add, (u.type.shape[axis - 1] for u in node.inputs[:position]), 0))
        shape = (self.values.loop.count, *v.type.shape)
        return Op(SLICE_AT, steps=(1,) * len(shape), shape=shape)(self.values.of(node.outputs[0]), *starts)

    def _is_linear(self, node: Apply) -> bool:
        """Whether the sum over the steps of the output is the output of the sums of what varies."""
        varying = [u for u in node.inputs if not self._is_fixed(u)]
        linear = node.op.record.linear or ("jointly" if node.op.record.layout_only else "")
        if linear == "jointly":
            return all(self._is_neutral(u) for u in node.inputs if self._is_fixed(u))
        return linear == "separately" and len(varying) == 1

    def _is_fixed(self, v: Variable) -> bool:
        return isinstance(v, Constant) or v in self.values.outside.fixed

    def _is_neutral(self, v: Variable) -> bool:
        """Whether a fixed operand beside terms of a sum is a position or zero, and not added anew in every step."""
        base = v
        while base.owner is not None and base.owner.op.record.layout_only:
            base = base.owner.inputs[0]
        return not is_float(v.dtype) or isinstance(base, Constant) and not base.data.any()

    def of(self, v: Variable) -> Variable:
        """The sum of ``v`` over all steps, outside."""
        if self._is_fixed(v) or v.owner is None:
            return sum(self.values.of(v), axis=0)
        node = v.owner
        if node.op.record is DOT and not any(self._is_fixed(u) for u in node.inputs):
            return self._product(node)
        if (
            isinstance(node.op.record.lower, Reduction)
            and node.op.record is SUM
            and self.values.is_known(node.inputs[0])
        ):
            axes = (0, *(a + 1 for a in node.op["axes"]))
            return Op(SUM, **{**node.op.attrs, "axes": axes})(self.values.of(node.inputs[0]))
        made = self._elementwise(node)
        if made is not None:
            stacked = [not self._is_fixed(u) for u in made.inputs]
            inputs = [self._all(u) if s else self._outer(u) for u, s in zip(made.inputs, stacked)]
            values = at_all_steps(made, inputs, stacked, self.values.loop.count)
            if values is not None:
                axes = (0, *(a + 1 for a in node.op["axes"]))
                return Op(SUM, **{**node.op.attrs, "axes": axes})(values[0])
        if self._is_linear(node) and all(self.exists(u) for u in node.inputs if not self._is_fixed(u)):
            return node.op(*(self._outer(u) if self._is_fixed(u) else self.of(u) for u in node.inputs))
        return sum(self.values.of(v), axis=0)

    def _outer(self, v: Variable) -> Variable:
        return v if isinstance(v, Constant) else self.values.outside.fixed[v]

    def _product(self, node: Apply) -> Variable:
        """The sum of products of matrices is one product of the matrices joined along the inner axis."""
        a, b = (self.values.of(u) for u in node.inputs)
        left = a if node.op["trans_a"] else dimshuffle(a, (0, 2, 1))
        right = dimshuffle(b, (0, 2, 1)) if node.op["trans_b"] else b
        inner = dims.mul(left.type.shape[0], left.type.shape[1])
        left = reshape_to(left, (inner, left.type.shape[2]))
        right = reshape_to(right, (inner, right.type.shape[2]))
        return Op(DOT, trans_a=True, trans_b=False)(left, right)
