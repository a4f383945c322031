"""One application on all steps at once: the outputs of an op for every step, stacked along a new first axis."""

from __future__ import annotations

from collections.abc import Sequence

from symc.graph import Apply, Variable, dims
from symc.graph.op import Axes, Op, Pointwise, Reduction, View
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import expand
from symc.tensor.reshaping import reshape_to

__all__ = ["at_all_steps", "repeated"]


def repeated(x: Variable, count: dims.Dim) -> Variable:
    """``x`` once per step, along a new first axis."""
    if not x.ndim:
        return expand(x, (count,))
    return expand(dimshuffle(x, ["x", *range(x.ndim)]), (count, *x.type.shape))


def at_all_steps(
    node: Apply, inputs: Sequence[Variable], stacked: Sequence[bool], count: dims.Dim
) -> Sequence[Variable] | None:
    """Apply ``node.op`` to ``count`` operands at once, or return None if no such form is known.

    Parameters
    ----------
    node : Apply
        The application in one step.
    inputs : sequence of Variable
        Its operands outside of the loop; with ``stacked``, one entry per step along the first axis.
    """
    op, (out, *more) = node.op, node.outputs
    lower = op.record.lower
    if op.record.batch is not None:
        made = op.record.batch(op, inputs, stacked, count)
        return None if made is None else [made]
    if more:
        return None
    if isinstance(lower, Pointwise):
        shape = (count, *out.type.shape)
        return [op(*(v if s else _like(v, shape) for v, s in zip(inputs, stacked)))]
    if isinstance(lower, Reduction) and "axes" in op.attrs:
        return [Op(op.record, **{**op.attrs, "axes": tuple(a + 1 for a in op["axes"])})(*inputs)]
    if isinstance(lower, View) and lower.offset is None:
        return [reshape_to(inputs[0], (count, *out.type.shape))]
    if isinstance(lower, Axes):
        return [_arranged(node, lower, inputs[0], count)]
    return None


def _like(v: Variable, shape: Sequence[dims.Dim]) -> Variable:
    """The same operand at every step."""
    return expand(v if not v.ndim else dimshuffle(v, ["x", *range(v.ndim)]), shape)


def _arranged(node: Apply, lower: Axes, x: Variable, count: dims.Dim) -> Variable:
    """Permute, drop and repeat the axes after the first one as ``node`` does those of one step."""
    shape = node.outputs[0].type.shape
    source = {to: axis + 1 for axis, to in enumerate(lower.source(node.op, node)) if to is not None}
    arranged = dimshuffle(x, [0, *(source.get(k, "x") for k in range(len(shape)))])
    return expand(arranged, (count, *shape))
