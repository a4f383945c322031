"""Cheaper equivalent forms, applied after all rules for correctness."""

from __future__ import annotations

from collections.abc import Sequence

from symc.compiler.rewrite.algebra import record_of
from symc.compiler.rewrite.engine import NodeRule, Rule, RuleList, Wildcard, constant_value, filled, is_constant
from symc.compiler.rewrite.ops import (
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    CONV2D,
    DOT,
    EQ,
    GE,
    GT,
    LE,
    LT,
    NEQ,
    POOL_GRAD,
    SWITCH,
)
from symc.graph import Apply, Variable, dims
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.nnet.conv_ops import padding
from symc.tensor.reshaping import reshape_to

__all__ = ["SPECIALISED"]

X = Wildcard("X")

COMPARISONS = (EQ, GE, GT, LE, LT, NEQ)


def selected_maxima(node: Apply) -> Variable | None:
    """Apply a mask of a max-pooling's input to the gradient of its output, which has fewer elements.

    The gradient of the pooling is zero except where the input equals the maximum of a window, and there the two compare
    alike with any constant: ``switch(x > c, pool_grad(x, y, g), 0)`` is ``pool_grad(x, y, switch(y > c, g, 0))``.
    """
    mask, gradient, rest = node.inputs
    if record_of(gradient) is not POOL_GRAD or record_of(mask) not in COMPARISONS or not is_constant(rest, 0):
        return None
    pooling, comparison = gradient.owner, mask.owner
    assert pooling is not None and comparison is not None
    x, y, g = pooling.inputs
    if pooling.op["mode"] != "max" or sum(v is x for v in comparison.inputs) != 1:
        return None
    numbers = [y if v is x else constant_value(v) for v in comparison.inputs]
    if any(v is None for v in numbers) or rest.dtype != g.dtype:
        return None
    shape = y.type.shape
    sides = [v if isinstance(v, Variable) else filled(v, x.dtype, shape) for v in numbers]
    return Op(POOL_GRAD, **pooling.op.attrs)(
        x, y, ew.switch.op(Op(comparison.op.record)(*sides), g, filled(0, g.dtype, shape))
    )


def full_windows(node: Apply) -> Variable | None:
    """Replace convolutions whose filters cover the whole images by products of matrices, and their adjoints as well.

    The maps are single pixels, so images and filters are matrices with a row for each of them. Images of one pixel are
    left to the convolutions, into whose loops the ops around them are fused.
    """
    op, kind = node.op, node.op.record
    out, (a, b) = node.outputs[0], node.inputs[:2]
    images, filters, maps = {
        CONV2D: (a, b, out),
        BACKWARD_DATA: (out, b, a),
        BACKWARD_WEIGHTS: (a, out, b),
    }[kind]
    if not _covers(op, images.type.shape, filters.type.shape) or not dims.same_shape(maps.type.shape[2:], (1, 1)):
        return None
    if kind is CONV2D:
        made = _product(_rows(_turned(op, images)), _rows(filters), trans_b=True)
    elif kind is BACKWARD_DATA:
        made = _product(_rows(maps), _rows(filters))
    else:
        made = _product(_rows(maps), _rows(_turned(op, images)), trans_a=True)
    found = reshape_to(made, out.type.shape)
    return _turned(op, found) if kind is BACKWARD_DATA else found


def _covers(op: Op, images: Sequence[dims.Dim], filters: Sequence[dims.Dim]) -> bool:
    """Whether each filter covers all pixels of all channels, without pixels around them."""
    sizes = filters[2:]
    return (
        op["groups"] == 1
        and all(type(size) is int for size in sizes)
        and tuple(sizes) != (1, 1)
        and dims.same_shape(images[1:], filters[1:])
        and all(size == 1 or step == 1 for size, step in zip(sizes, op["dilation"]))
        and all(padding(op["pad"], axis, size) == (0, 0) for axis, size in enumerate(sizes))
    )


def _turned(op: Op, images: Variable) -> Variable:
    """Images with the pixels in the order in which filters without a flip meet them."""
    return images[:, :, ::-1, ::-1] if op["flip"] else images


def _rows(v: Variable) -> Variable:
    first, *rest = v.type.shape
    return reshape_to(v, (first, dims.product(rest)))


def _product(a: Variable, b: Variable, trans_a: bool = False, trans_b: bool = False) -> Variable:
    return Op(DOT, trans_a=trans_a, trans_b=trans_b)(a, b)


SPECIALISED = RuleList(
    "specialised",
    [
        Rule("rectifier", ew.maximum(X, 0), ew.relu(X), algebraic=False),
        NodeRule("selected_maxima", (SWITCH,), selected_maxima),
        NodeRule("full_windows", (CONV2D, BACKWARD_DATA, BACKWARD_WEIGHTS), full_windows),
    ],
)
