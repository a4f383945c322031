"""Batched graphs: the same computation for every entry along a new leading axis; see ``symc.tensor.vectorize``.

A rule of an op, registered with ``batch_rule``, is given its operands, of which some have the new axis in front, and
returns its outputs with that axis, or marked as not depending on it. An op without a rule, or whose rule returns None,
is repeated by a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symc.gradient.pass_through import DISCONNECTED_GRAD, GRAD_CLIP, GRAD_SCALE, UNDEFINED_GRAD, ZERO_GRAD
from symc.graph import Apply, Constant, Variable, clone_with, toposort
from symc.graph.op import Op, Pointwise, Record, Reduction
from symc.graph.types import TensorType
from symc.tensor.axes import DIMSHUFFLE, dimshuffle
from symc.tensor.broadcasting import BROADCAST, broadcast_like
from symc.tensor.checked import CHECKED_INDEX
from symc.tensor.creation import ALLOC, alloc, arange
from symc.tensor.cumulative import CUMPROD, CUMSUM
from symc.tensor.graph_op import FROM_GRAPH
from symc.tensor.indices.positions import IOTA, iota
from symc.tensor.indices.stretching import STRETCH, STRETCH_TOGETHER
from symc.tensor.indices.subtensor import GATHER, SCATTER, SLICE, WRITE_SLICE
from symc.tensor.joining import JOIN
from symc.tensor.linalg import BATCHED_DOT, DOT
from symc.tensor.linear_algebra.decompositions import EIGH, EXPM, PINV, QR
from symc.tensor.linear_algebra.determinants import COFACTORS, DET, SLOGDET
from symc.tensor.linear_algebra.factorisations import CHOLESKY, SVD
from symc.tensor.linear_algebra.linear_systems import INVERSE, SOLVE, TRIANGULAR
from symc.tensor.nnet.conv_ops import BACKWARD_DATA, CONV2D
from symc.tensor.requirements import REQUIRED
from symc.tensor.reshaping import RESHAPE, reshape
from symc.tensor.scans.scan import scan
from symc.tensor.shape_arguments import SPECIFY
from symc.tensor.signal.pool import POOL, POOL_GRAD, POOL_MAX_GRAD_GRAD
from symc.tensor.sorting import ARGSORT, SORT
from symc.tensor.symbolic_dims import SHAPE_I, TYPED_BY, length, shape_i
from symc.tensor.user_ops.assert_op import ASSERT
from symc.tensor.user_ops.print_op import PRINT

__all__ = ["batched_graph", "leading"]


@dataclass(frozen=True)
class Operands:
    """The operands of an application.

    Attributes
    ----------
    node : Apply
        The application without the new axis.
    values : list of Variable
    batched : list of bool
        Whether a value has the new axis, in front of its own.
    size : Variable
        The length of the new axis, an integer scalar.
    """

    node: Apply
    values: list[Variable]
    batched: list[bool]
    size: Any

    @property
    def op(self) -> Op:
        """The op."""
        return self.node.op

    def all(self) -> list[Variable]:
        """All operands with the new axis."""
        return [v if known else leading(v, self.size) for v, known in zip(self.values, self.batched)]

    def only(self, count: int) -> bool:
        """Whether none but the first ``count`` operands has the new axis."""
        return not any(self.batched[count:])


Results = list[tuple[Variable, bool]] | None
"""The outputs, with whether they have the new axis; None to repeat the op by a loop."""
Rule = Callable[[Operands], Results]

_RULES: dict[Record, Rule] = {}


def batch_rule(*records: Record) -> Callable[[Rule], Rule]:
    """Register the rule of some records; a decorator."""

    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(records, rule))
        return rule

    return register


def leading(v: Variable, size: Any) -> Variable:
    """Repeat ``v`` along a new leading axis of length ``size``."""
    return alloc(dimshuffle(v, ["x", *range(v.ndim)]), [size, *[length(v, k) for k in range(v.ndim)]])


def batched_graph(
    outputs: Sequence[Variable], given: Mapping[Variable, Variable], size: Any
) -> list[tuple[Variable, bool]]:
    """Compute ``outputs`` for every entry along the leading axis of the replacements of some variables.

    Parameters
    ----------
    outputs : sequence of Variable
    given : mapping
        Variables, and their replacements with a new leading axis.
    size : Variable
        Its length.

    Returns
    -------
    list of (Variable, bool)
        Each output, and whether it has the new axis; otherwise it does not depend on the replaced variables.
    """
    known: dict[Variable, Variable] = dict(given)
    plain: dict[Variable, Variable] = {}  # what depends on the shape of replaced variables alone
    for node in toposort(outputs, frozenset(given)):
        batched = [v in known for v in node.inputs]
        values = [known[v] if b else plain.get(v, v) for v, b in zip(node.inputs, batched)]
        if not any(batched):
            changed = any(new is not old for new, old in zip(values, node.inputs))
            found: Results = [(v, False) for v in (node.op.all(*values) if changed else node.outputs)]
        else:
            operands = Operands(node, values, batched, size)
            rule = _rule_of(node.op)
            found = None if rule is None else rule(operands)
            if found is None or any(a and new.ndim != v.ndim + 1 for v, (new, a) in zip(node.outputs, found)):
                found = _repeated(operands)
        for old, (new, has_axis) in zip(node.outputs, found or ()):
            (known if has_axis else plain)[old] = new
    return [(known[v], True) if v in known else (plain.get(v, v), False) for v in outputs]


def _rule_of(op: Op) -> Rule | None:
    record = op.record
    if record in _RULES:
        return _RULES[record]
    if isinstance(record.lower, Pointwise):
        return _pointwise
    if isinstance(record.lower, Reduction):
        return _reduction
    return _decomposed if record.decompose is not None else None


def _results(op: Op, *operands: Variable) -> Results:
    return [(v, True) for v in op.all(*operands)]


def _repeated(o: Operands) -> Results:
    """The op in a loop over the new axis."""
    moving = [v for v, known in zip(o.values, o.batched) if known]

    def step(*rows: Variable) -> Any:
        entries = iter(rows)
        return list(o.op.all(*[next(entries) if known else v for v, known in zip(o.values, o.batched)]))

    found, _ = scan(step, sequences=moving)
    return [(v, True) for v in (found if isinstance(found, list) else [found])]


def _pointwise(o: Operands) -> Results:
    template = next(v for v, known in zip(o.values, o.batched) if known)
    same = [
        v if known else broadcast_like(dimshuffle(v, ["x", *range(v.ndim)]), template)
        for v, known in zip(o.values, o.batched)
    ]
    return _results(o.op, *same)


def _reduction(o: Operands) -> Results:
    return _results(Op(o.op.record, **{**o.op.attrs, "axes": tuple(k + 1 for k in o.op["axes"])}), *o.values)


def _decomposed(o: Operands) -> Results:
    assert o.op.record.decompose is not None
    inner = [Variable(v.type, None, 0, v.name) for v in o.node.inputs]
    return _inside(o, inner, o.op.record.decompose(o.op, inner))


@batch_rule(FROM_GRAPH)
def _from_graph(o: Operands) -> Results:
    rules = o.op["overrides"]
    if rules.lop is not None or rules.rop is not None or rules.pattern is not None:
        return None
    return _inside(o, o.op["body"].inputs, o.op["body"].outputs)


def _inside(o: Operands, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> Results:
    """The results of an op that stands for a graph."""
    fixed = {inner: v for inner, v, known in zip(inputs, o.values, o.batched) if not known}
    moving = {inner: v for inner, v, known in zip(inputs, o.values, o.batched) if known}
    return batched_graph(clone_with(outputs, fixed), moving, o.size)


# --- shapes -----------------------------------------------------------------------------------------------------------


@batch_rule(SHAPE_I)
def _shape(o: Operands) -> Results:
    return [(shape_i(o.values[0], o.op["axis"] + 1), False)]


@batch_rule(TYPED_BY)
def _typed(o: Operands) -> Results:
    return [(o.op(*o.values), o.batched[0])]


@batch_rule(REQUIRED)
def _required(o: Operands) -> Results:
    return _results(o.op, *o.values) if o.batched[0] and o.only(1) else None


@batch_rule(SPECIFY)
def _specified(o: Operands) -> Results:
    return _results(Op(o.op.record, **{**o.op.attrs, "shape": (None, *o.op["shape"])}), *o.values)


@batch_rule(DISCONNECTED_GRAD, ZERO_GRAD, UNDEFINED_GRAD, GRAD_CLIP, GRAD_SCALE, PRINT)
def _unchanged(o: Operands) -> Results:
    return _results(o.op, *o.values)


@batch_rule(ASSERT)
def _assert(o: Operands) -> Results:
    x, *conditions = o.all() if not o.batched[0] else o.values
    return _results(o.op, x, *conditions)


@batch_rule(DIMSHUFFLE)
def _dimshuffle(o: Operands) -> Results:
    order = [k if k == "x" else k + 1 for k in o.op["order"]]
    return [(dimshuffle(o.values[0], [0, *order]), True)]


@batch_rule(BROADCAST)
def _broadcast(o: Operands) -> Results:
    """The other operands only give lengths."""
    who, axes = o.op["who"], o.op["axes"]
    moved = tuple(a + 1 if w >= 0 and o.batched[w + 1] else a for w, a in zip(who, axes))
    if not o.batched[0]:
        return [(Op(BROADCAST, who=who, axes=moved)(*o.values), False)]
    x = o.values[0]
    if x.ndim == 1:  # a scalar, broadcast to any number of axes
        x = dimshuffle(x, [0, *["x"] * len(who)])
    return _results(Op(BROADCAST, who=(-1, *who), axes=(0, *moved)), x, *o.values[1:])


@batch_rule(ALLOC)
def _alloc(o: Operands) -> Results:
    if not o.only(1):
        return None
    scalars = iter(o.values[1:])
    shape = [next(scalars) if g < 0 else g for g in o.op["given"]]
    value = o.values[0]
    order = [0, *["x"] * (len(shape) - value.ndim + 1), *range(1, value.ndim)]
    return [(alloc(dimshuffle(value, order), [o.size, *shape]), True)]


@batch_rule(RESHAPE)
def _reshape(o: Operands) -> Results:
    if not o.only(1):
        return None
    scalars = iter(o.values[1:])
    shape = [next(scalars) if g < -1 else g for g in o.op["given"]]
    return [(reshape(o.values[0], [o.size, *shape], ndim=len(shape) + 1), True)]


@batch_rule(STRETCH, STRETCH_TOGETHER, POOL, POOL_GRAD, POOL_MAX_GRAD_GRAD)
def _with_more_entries(o: Operands) -> Results:
    return _results(o.op, *o.all())


@batch_rule(SOLVE, TRIANGULAR, INVERSE, DET, SLOGDET, COFACTORS, CHOLESKY, SVD, EIGH, QR, EXPM)
def _matrices(o: Operands) -> Results:
    """These take matrices in the last two axes."""
    return _results(o.op, *o.all())


@batch_rule(PINV)
def _pinv(o: Operands) -> Results:
    return _results(o.op, *o.values) if o.only(1) else None


# --- parts ------------------------------------------------------------------------------------------------------------


@batch_rule(JOIN)
def _join(o: Operands) -> Results:
    return _results(Op(o.op.record, **{**o.op.attrs, "axis": o.op["axis"] + 1}), *o.all())


@batch_rule(CUMSUM, CUMPROD, SORT, ARGSORT)
def _along_axis(o: Operands) -> Results:
    return _results(Op(o.op.record, **{**o.op.attrs, "axis": o.op["axis"] + 1}), *o.values)


@batch_rule(CHECKED_INDEX)
def _checked(o: Operands) -> Results:
    return _results(o.op, *o.values) if o.only(1) else None


@batch_rule(IOTA)
def _iota(o: Operands) -> Results:
    return [(iota(o.values[0], o.op["axis"] + 1), True)]


def _whole_axis(x: Variable, axis: int = 0) -> list[Variable]:
    return [Constant(np.int64(0)), shape_i(x, axis)]


@batch_rule(SLICE)
def _slice(o: Operands) -> Results:
    """Where only the starts have the new axis, as in ``x[i]``, entries are gathered."""
    bounds, steps = o.values[1:], list(o.op["steps"])
    if any(o.batched[2::2]):
        return None
    x = o.all()[0]
    own = [k for k, known in enumerate(o.batched[1::2]) if known]
    plain = [b for k in range(len(steps)) for b in (_whole_axis(x, k + 1) if k in own else bounds[2 * k : 2 * k + 2])]
    x = Op(SLICE, steps=(1, *(1 if k in own else step for k, step in enumerate(steps))))(x, *_whole_axis(x), *plain)
    for k in own:
        at = dimshuffle(bounds[2 * k], (0, "x")) + dimshuffle(arange(bounds[2 * k + 1]) * steps[k], ("x", 0))
        entry = broadcast_like(dimshuffle(arange(o.size), (0, "x")), at)
        found = Op(GATHER, axes=(0, k + 1), place=0)(x, entry, at)  # (entries, positions, other axes)
        rest = list(range(2, found.ndim))
        x = dimshuffle(found, [0, *rest[:k], 1, *rest[k:]])
    return [(x, True)]


@batch_rule(WRITE_SLICE)
def _write_slice(o: Operands) -> Results:
    if not o.only(2):
        return None
    x, y = o.all()[:2]
    bounds = [Constant(np.int64(0)), shape_i(x, 0), *o.values[2:]]
    return _results(Op(WRITE_SLICE, steps=(1, *o.op["steps"]), replace=o.op["replace"]), x, y, *bounds)


def _with_positions(o: Operands, first: int) -> list[Variable]:
    """The index arrays with the new axis, after one that selects the entry along it."""
    found = o.all()[first:]
    order = [0, *["x"] * (found[0].ndim - 1)]
    return [broadcast_like(dimshuffle(arange(o.size), order), found[0]), *found]


def _to_front(x: Variable, axis: int) -> Variable:
    return dimshuffle(x, [axis, *[k for k in range(x.ndim) if k != axis]])


@batch_rule(GATHER)
def _gather(o: Operands) -> Results:
    axes, place = o.op["axes"], o.op["place"]
    beyond = tuple(k + 1 for k in axes)
    if o.only(1):
        return _results(Op(GATHER, axes=beyond, place=place + 1), *o.values)
    if not o.batched[0]:
        found = Op(GATHER, axes=axes, place=place)(o.values[0], *o.all()[1:])
    else:
        found = Op(GATHER, axes=(0, *beyond), place=place)(o.values[0], *_with_positions(o, 1))
    return [(_to_front(found, place), True)]


@batch_rule(SCATTER)
def _scatter(o: Operands) -> Results:
    axes, place, replace = o.op["axes"], o.op["place"], o.op["replace"]
    beyond = tuple(k + 1 for k in axes)
    x, y = o.all()[:2]
    if o.only(2):
        return _results(Op(SCATTER, axes=beyond, place=place + 1, replace=replace), x, y, *o.values[2:])
    order = [*range(1, place + 1), 0, *range(place + 1, y.ndim)]
    op = Op(SCATTER, axes=(0, *beyond), place=place, replace=replace)
    return _results(op, x, dimshuffle(y, order), *_with_positions(o, 2))


# --- images -----------------------------------------------------------------------------------------------------------


@batch_rule(CONV2D)
def _images(o: Operands) -> Results:
    return _more_images(o)


@batch_rule(BACKWARD_DATA)
def _adjoint(o: Operands) -> Results:
    return _more_images(o) if len(o.values) == 3 else None


def _more_images(o: Operands) -> Results:
    """The new axis and that of the images as one; the filters must be the same for all entries."""
    if o.batched[1]:
        return None
    whole = o.all()
    count = length(whole[0], 1)
    merged = [
        o.values[k] if k == 1 else reshape(v, [o.size * count, *[length(v, a) for a in range(2, 5)]], ndim=4)
        for k, v in enumerate(whole)
    ]
    found = o.op(*merged)
    return [(reshape(found, [o.size, count, *[length(found, a) for a in range(1, 4)]], ndim=5), True)]


# --- products ---------------------------------------------------------------------------------------------------------


@batch_rule(DOT)
def _dot(o: Operands) -> Results:
    a, b = o.values
    if all(o.batched):
        return _results(Op(BATCHED_DOT, **o.op.attrs), a, b)
    turned_a, turned_b = o.op["trans_a"], o.op["trans_b"]
    if o.batched[0]:
        return [(_rows_by_matrix(a, turned_a, b, turned_b, o.size), True)]
    found = _rows_by_matrix(b, not turned_b, a, not turned_a, o.size)  # (A B)' = B' A'
    return [(dimshuffle(found, (0, 2, 1)), True)]


def _rows_by_matrix(many: Variable, turn: bool, one: Variable, turned: bool, size: Any) -> Variable:
    """The products of many matrices with one, as one product."""
    rows = dimshuffle(many, (0, 2, 1)) if turn else many
    m, k = length(rows, 1), length(rows, 2)
    product = Op(DOT, trans_a=False, trans_b=turned)(reshape(rows, [size * m, k], ndim=2), one)
    return reshape(product, [size, m, length(product, 1)], ndim=3)


@batch_rule(BATCHED_DOT)
def _batched_dot(o: Operands) -> Results:
    a, b = o.all()
    count = shape_i(a, 1)
    flat = [reshape(v, [o.size * count, length(v, 2), length(v, 3)], ndim=3) for v in (a, b)]
    product = o.op(*flat)
    return [(reshape(product, [o.size, count, length(product, 1), length(product, 2)], ndim=4), True)]


def inner_type(v: Variable) -> TensorType:
    """The type of an entry along the leading axis."""
    return TensorType(v.dtype, v.type.shape[1:])
