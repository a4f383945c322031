"""Batched graphs: the same computation for every entry along a new leading axis; see ``symc.tensor.vectorize``.

A rule of an op, registered with ``batch_rule``, is given its operands, of which some have the new axis in front, and
returns its outputs with that axis, or marked as not depending on it. An op without a rule, or whose rule returns None,
is repeated by a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symc.graph import Apply, Variable, clone_with, toposort
from symc.graph.op import Op, Pointwise, Record, Reduction
from symc.graph.types import TensorType
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.creation import alloc
from symc.tensor.graph_op import FROM_GRAPH
from symc.tensor.scans.scan import scan
from symc.tensor.symbolic_dims import length

__all__ = ["Operands", "Results", "batch_rule", "batched_graph", "inner_type", "leading", "results"]


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


def results(op: Op, *operands: Variable) -> Results:
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
    return results(o.op, *same)


def _reduction(o: Operands) -> Results:
    return results(Op(o.op.record, **{**o.op.attrs, "axes": tuple(k + 1 for k in o.op["axes"])}), *o.values)


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


def inner_type(v: Variable) -> TensorType:
    """The type of an entry along the leading axis."""
    return TensorType(v.dtype, v.type.shape[1:])
