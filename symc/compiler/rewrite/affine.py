"""Scales and shifts per channel are moved into the weights of the product before them.

A batch normalisation that uses stored averages is ``(y - mean) * inv_std * gamma + beta``. If ``y`` is a convolution or
a matrix product with stored weights, and nothing else reads ``y``, then ::

    y * scale + shift  ->  the same product with the weights ``w * scale``, and ``+ shift``

``w * scale`` and ``shift`` depend only on shared variables and constants: they are *prepared*, that is, computed when
one of these changes and not in every call. The result differs by rounding alone. Whether ``w * scale`` overflows or
loses digits is known when it is computed, and then the function is compiled without this (see
``symc.runtime.preparation``).

This is no rule of the engine, because rules do not know who else reads a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from symc.compiler.rewrite.algebra import dimshuffled, repeated, source_of, unrepeated
from symc.compiler.rewrite.failures import may_fail
from symc.compiler.rewrite.ops import ADD, DIMSHUFFLE, MUL, NEG, RESHAPE_TO, SUB, TRUE_DIV
from symc.graph import Apply, Constant, Graph, Variable, dims
from symc.graph.dtypes import is_float
from symc.tensor import elementwise as ew
from symc.tensor.broadcasting import expand

__all__ = ["Prepared", "fixed_values", "fold_scales"]


@dataclass(frozen=True)
class Prepared:
    """A value that is computed when the shared variables behind it change.

    Attributes
    ----------
    leaf : Variable
        What stands for it in the graph.
    value : Variable
    source, factors : Variable or None
        For scaled weights: the weights, and the scale of each of them.
    checked : bool
        Whether the value can only be used if it is finite; otherwise any value can.
    """

    leaf: Variable
    value: Variable
    source: Variable | None = None
    factors: Variable | None = None
    checked: bool = True


@dataclass(frozen=True)
class _Affine:
    """A variable that is a product, scaled and shifted per channel.

    Attributes
    ----------
    product : Apply
    operand : int
        The position of its weights.
    axis : int
        The axis of channels of its output.
    at : int
        Where that axis is in the variable itself.
    scale, shift : Variable or None
        Vectors with one number per channel, or of length 1.
    moves : tuple of Apply
        The transposes and reshapes between the product and the variable.
    """

    product: Apply
    operand: int
    axis: int
    at: int
    scale: Variable | None = None
    shift: Variable | None = None
    moves: tuple[Apply, ...] = ()


def fold_scales(graph: Graph, stored: Collection[Variable]) -> tuple[Sequence[Variable], list[Prepared]]:
    """Move scales and shifts into weights.

    Parameters
    ----------
    graph : Graph
    stored : collection of Variable
        The shared variables that the function does not update.

    Returns
    -------
    pair
        The new outputs, and what must be prepared for them.
    """
    if not any(record.scaling is not None for record in graph.records):
        return graph, []
    order = graph.order
    fixed = fixed_values(order, stored)
    tops = _tops(order, graph, fixed)
    if not tops:
        return list(graph), []
    prepared: list[Prepared] = []
    known: dict[Variable, Variable] = {}
    for node in order:
        top = tops.get(node.outputs[0])
        if top is not None:
            inputs = [known.get(v, v) for v in top.product.inputs]
            known[node.outputs[0]] = _folded(top, inputs, node.outputs[0], prepared)
            continue
        inputs = [known.get(v, v) for v in node.inputs]
        if any(a is not b for a, b in zip(inputs, node.inputs)):
            made = node.op.apply(inputs, node.outputs[0].location).outputs
            for old, new in zip(node.outputs, made):
                new.name = old.name
                known[old] = new
    return [known.get(v, v) for v in graph], prepared


def fixed_values(order: Sequence[Apply], stored: Collection[Variable]) -> Callable[[Variable], bool]:
    """Whether a variable depends on ``stored`` variables and constants alone, and can be computed before a call."""
    found = set(stored)

    def fixed(v: Variable) -> bool:
        return v in found or isinstance(v, Constant)

    for node in order:
        record = node.op.record
        plain = record.effect == "none" and not (record.carries_updates or record.bodies or may_fail(node))
        known = all(type(d) is int for v in node.outputs for d in v.type.shape)
        if plain and known and node.inputs and record.dim_reads != 0 and all(map(fixed, node.inputs)):
            found.update(node.outputs)
    return fixed


def _tops(
    order: Sequence[Apply], graph: Sequence[Variable], fixed: Callable[[Variable], bool]
) -> dict[Variable, _Affine]:
    """Find the scaled products, each as the last variable of its chain of scales and shifts."""
    uses: dict[Variable, int] = {}
    for v in [v for node in order for v in node.inputs] + list(graph):
        uses[v] = uses.get(v, 0) + 1
    found: dict[Variable, _Affine] = {}
    inner: set[Variable] = set()
    for node in order:
        if len(node.outputs) != 1 or not is_float(node.outputs[0].dtype):
            continue
        for v in node.inputs:
            grown = _extended(node, v, found[v], fixed) if uses[v] == 1 and v in found else None
            if grown is not None:
                found[node.outputs[0]] = grown
                inner.add(v)
        start = _started(node, fixed)
        if start is not None:
            found[node.outputs[0]] = start
    return {v: a for v, a in found.items() if v not in inner and a.scale is not None and _per_channel(a)}


def _per_channel(a: _Affine) -> bool:
    """Whether the scale differs between channels: one number for all is not worth a second copy of the weights."""
    assert a.scale is not None
    return a.scale.type.shape[0] != 1 or a.product.outputs[0].type.shape[a.axis] == 1


def _started(node: Apply, fixed: Callable[[Variable], bool]) -> _Affine | None:
    scaling = node.op.record.scaling
    if scaling is None:
        return None
    choices = [(k, axis) for k, axis in scaling.axes if fixed(node.inputs[k])]
    data = [v for k, v in enumerate(node.inputs) if k != choices[0][0]] if choices else []
    if len(choices) != 1 or all(map(fixed, data)):
        return None  # a product of stored values is itself stored
    (operand, axis) = choices[0]
    length = node.outputs[0].type.shape[axis]
    if type(length) is not int or scaling.applies is not None and not scaling.applies(node.op):
        return None
    return _Affine(node, operand, axis, axis)


def _extended(node: Apply, v: Variable, a: _Affine, fixed: Callable[[Variable], bool]) -> _Affine | None:
    """Extend a chain that ends with ``v`` by an application that reads it."""
    record = node.op.record
    if record is DIMSHUFFLE:
        if a.at not in node.op["order"]:
            return None  # an axis of length 1 is dropped
        return replace(a, at=node.op["order"].index(a.at), moves=(*a.moves, node))
    if record is RESHAPE_TO:
        at = _kept_axis(v, node.outputs[0], a.at)
        return None if at is None else replace(a, at=at, moves=(*a.moves, node))
    if record is NEG:
        return replace(a, scale=_negated(a.scale, v), shift=None if a.shift is None else ew.neg(a.shift))
    if record not in (ADD, SUB, MUL, TRUE_DIV):
        return None
    left = node.inputs[0] is v
    number = _along(node.inputs[1 if left else 0], a.at, fixed)
    if number is None or record is TRUE_DIV and not left:
        return None
    if record is ADD:
        return replace(a, shift=number if a.shift is None else ew.add(a.shift, number))
    if record is SUB and left:
        return replace(a, shift=ew.neg(number) if a.shift is None else ew.sub(a.shift, number))
    if record is SUB:
        shift = number if a.shift is None else ew.sub(number, a.shift)
        return replace(a, scale=_negated(a.scale, v), shift=shift)
    combine = ew.mul if record is MUL else ew.true_div
    first = number if record is MUL else ew.inv(number)
    scale = first if a.scale is None else combine(a.scale, number)
    return replace(a, scale=scale, shift=None if a.shift is None else combine(a.shift, number))


def _negated(scale: Variable | None, v: Variable) -> Variable:
    return Constant([-1.0], v.dtype) if scale is None else ew.neg(scale)


def _along(v: Variable, axis: int, fixed: Callable[[Variable], bool]) -> Variable | None:
    """The stored numbers of ``v``, which differs along ``axis`` at most, as a vector; None for anything else."""
    same = repeated(v)
    if not fixed(source_of(v)) or not all(same[k] for k in range(v.ndim) if k != axis):
        return None
    length = 1 if same[axis] else v.type.shape[axis]
    if type(length) is not int:
        return None
    small = unrepeated(v, [length if k == axis else 1 for k in range(v.ndim)])
    return dimshuffled(small, [axis])


def _kept_axis(old: Variable, new: Variable, axis: int) -> int | None:
    """Where a reshape leaves an axis, if it does not split or merge it."""
    before, length = old.type.shape[:axis], old.type.shape[axis]
    for k, d in enumerate(new.type.shape):
        if d == length and dims.equal(dims.product(before), dims.product(new.type.shape[:k])) is True:
            return k
    return None


def _folded(a: _Affine, inputs: list[Variable], top: Variable, prepared: list[Prepared]) -> Variable:
    scaling = a.product.op.record.scaling
    assert scaling is not None and a.scale is not None
    weights = inputs[a.operand]
    scaled = scaling.scaled(a.product.op, a.operand, weights, a.scale)
    ones = expand(Constant.number(1.0, weights.dtype), weights.type.shape)
    factors = scaling.scaled(a.product.op, a.operand, ones, a.scale)
    inputs[a.operand] = _leaf(scaled, f"{weights.name or 'weights'} scaled", prepared, weights, factors)
    found = a.product.op.apply(inputs, a.product.outputs[0].location).outputs[0]
    for move in a.moves:
        found = move.op.apply([found, *move.inputs[1:]], move.outputs[0].location).outputs[0]
    assert dims.same_shape(found.type.shape, top.type.shape)
    if a.shift is not None:
        shift = _leaf(a.shift, f"{weights.name or 'weights'} shift", prepared)
        spread = dimshuffled(shift, [0 if k == a.at else "x" for k in range(top.ndim)])
        found = ew.add.op.apply([found, expand(spread, found.type.shape)], top.location).outputs[0]
    found.name = top.name
    return found


def _leaf(
    value: Variable,
    name: str,
    prepared: list[Prepared],
    source: Variable | None = None,
    factors: Variable | None = None,
) -> Variable:
    leaf = Variable(value.type, None, 0, name, value.location)
    prepared.append(Prepared(leaf, value, source, factors))
    return leaf
