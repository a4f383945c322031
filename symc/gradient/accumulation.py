"""Reverse accumulation: from the gradients of some variables to those of the variables they were computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symc.errors import GradientLocation, NullGradError, blame, building_at, here, located
from symc.gradient.selection import (
    Condition,
    Flow,
    Literal,
    apart,
    both,
    common_lazy,
    either,
    known_factor,
    merged,
    selected,
)
from symc.graph import Apply, Constant, Variable, toposort
from symc.graph.dtypes import is_float
from symc.graph.gradient_flow import ZERO, Choice, Reach, Selected, Undefined
from symc.graph.op import Pointwise
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle, pad_left
from symc.tensor.broadcasting import any as any_of
from symc.tensor.broadcasting import before_repetition
from symc.tensor.creation import zeros_like

__all__ = ["Accumulation"]

_MANY = 8
"""Longer lists of conditions are combined into one condition."""


class Accumulation:
    """One reverse traversal from ``seeds`` to ``targets``.

    Parameters
    ----------
    seeds : mapping
        Given gradients. They are final: contributions from other variables are ignored.
    targets : sequence of Variable
    constants : frozenset of Variable
        Variables beyond which the traversal does not go.
    null_gradients : {"raise", "return"}

    Attributes
    ----------
    connected : set of Variable
        The variables on which the seeds depend.
    undefined : dict
        Maps variables whose gradient does not exist to the reason.
    """

    def __init__(
        self,
        seeds: Mapping[Variable, Variable],
        targets: Sequence[Variable],
        constants: frozenset[Variable],
        null_gradients: str = "raise",
    ) -> None:
        self.seeds = seeds
        self.wanted = set(targets)
        self.null_gradients = null_gradients
        self.connected: set[Variable] = set(seeds)
        self.undefined: dict[Variable, str] = {}
        self._arriving: dict[Variable, list[Flow]] = {v: [Flow(g)] for v, g in seeds.items()}
        self._merged: dict[Variable, Flow] = {}
        self._conditions: dict[tuple[Variable, Choice, bool], Condition] = {}
        self._moved: dict[tuple[Apply, Condition], Condition] = {}
        self._patterns: dict[Any, Sequence[Any]] = {}
        self._connections: dict[Apply, Sequence[Sequence[bool]]] = {}
        order, forms = _with_stable_forms(toposort(list(seeds), constants), self.wanted | set(seeds) | constants)
        self._saturation = _saturation(order)
        self._useful: set[Variable] = set(self.wanted)  # variables on a path to a target
        for node in order:
            self._useful.update(self._leading_on(node, forms.get(node)))
        for node in reversed(order):
            if not self._useful.isdisjoint(node.outputs) and not self.connected.isdisjoint(node.outputs):
                if node in forms:
                    self._pass_to_form(node.outputs[0], forms[node])
                else:
                    self._pass(node)

    def gradient(self, v: Variable) -> Variable | None:
        """The gradient of a target; None where it is zero, or there is none."""
        flow = self._flow(v)
        return None if flow is None else selected(flow, v)

    def _matters(self, v: Variable) -> bool:
        return v in self._useful

    def _leading_on(self, node: Apply, form: Variable | None) -> Sequence[Variable]:
        """The outputs of an application that depend on a variable that matters."""
        if form is not None:
            return node.outputs if form in self._useful else ()
        positions = [k for k, v in enumerate(node.inputs) if v in self._useful]
        pattern = self._connections_of(node) if positions and len(node.outputs) > 1 else None
        if pattern is None:
            return node.outputs if positions else ()
        return [v for k, v in enumerate(node.outputs) if any(pattern[j][k] for j in positions)]

    def _connections_of(self, node: Apply) -> Sequence[Sequence[bool]] | None:
        """Per input, whether each output depends on it; None if the op does not say."""
        if node.op.record.connections is None:
            return None
        if node not in self._connections:
            self._connections[node] = node.op.record.connections(node.op, node.inputs)
        return self._connections[node]

    def _flow(self, v: Variable) -> Flow | None:
        found = self._merged.get(v)
        if found is None and v in self._arriving:
            found = self._merged[v] = merged(self._arriving.pop(v), v)
        return found

    def _pass_to_form(self, v: Variable, form: Variable) -> None:
        """Pass the gradient of ``v`` on to the equal stable form."""
        self.connected.add(form)
        if form in self.seeds:
            return
        if v in self.undefined:
            self.undefined.setdefault(form, self.undefined[v])
        flow = self._flow(v)
        if flow is not None:
            self._arriving.setdefault(form, []).append(flow)

    def _pass(self, node: Apply) -> None:
        """Propagate the gradients of the outputs of ``node`` to its inputs."""
        asked, own = here(), node.outputs[0].location
        with building_at(GradientLocation.at(asked, own) if asked is not None and own is not None else asked):
            self._pass_through(node)

    def _pass_through(self, node: Apply) -> None:
        flows = [self._flow(o) for o in node.outputs]
        reasons = [self.undefined[o] for o in node.outputs if o in self.undefined] if self.undefined else []
        if reasons:
            answers: Sequence[Any] = [None if a is None else Undefined(reasons[0]) for a in self._pattern(node)]
        elif all([flow is None for flow in flows]) or not any([is_float(o.type.dtype) for o in node.outputs]):
            answers = self._pattern(node)
        elif node.op.record.grad is None:
            answers = [Undefined(f"{node.op.name} has no derivative")] * len(node.inputs)
        elif isinstance(node.op.record.lower, Pointwise):
            assert flows[0] is not None
            answers = self._pointwise(node, flows[0])
        elif all(a is None or not self._matters(v) for v, a in zip(node.inputs, self._pattern(node))):
            return  # only shapes lead to the targets, such as that of the template of a broadcast
        else:
            answers = self._other(node, flows)
        depends = self._dependence(node)
        for position, (v, answer) in enumerate(zip(node.inputs, answers)):
            if answer is not None and self._matters(v) and (depends is None or depends[position]):
                self._arrive(node, position, v, answer)

    def _dependence(self, node: Apply) -> Sequence[bool] | None:
        """Per input, whether an output on which the seeds depend depends on it; None if the op does not say."""
        pattern = self._connections_of(node)
        if pattern is None:
            return None
        live = [k for k, v in enumerate(node.outputs) if v in self.connected]
        return [any(row[k] for k in live) for row in pattern]

    def _arrive(self, node: Apply, position: int, v: Variable, answer: Any) -> None:
        self.connected.add(v)
        if v in self.seeds or answer is ZERO:
            return
        if isinstance(answer, Undefined):
            if self.null_gradients == "raise":
                raise NullGradError(_null_message(node, position, answer))
            self.undefined.setdefault(v, answer.reason)
        else:
            self._arriving.setdefault(v, []).append(answer)

    def _pattern(self, node: Apply) -> Sequence[Any]:
        """The op's result for zero output gradients: ``ZERO``, ``Undefined``, or None for no dependence, per input."""
        if isinstance(node.op.record.lower, Pointwise) or node.op.record.grad is None:
            return [ZERO] * len(node.inputs)
        key = (node.op, len(node.inputs))
        if key not in self._patterns:
            found = _answers(node, [_zero(o) for o in node.outputs])
            self._patterns[key] = [a if a is None or isinstance(a, Undefined) else ZERO for a in found]
        return self._patterns[key]

    # --- elementwise ops: the conditions stay, and elements that do not count may become anything ---------------------

    def _pointwise(self, node: Apply, flow: Flow) -> list[Any]:
        found: list[Any] = []
        for position, answer in enumerate(_answers(node, [flow.g])):
            literals = flow.literals
            g = answer.g if isinstance(answer, Selected) else answer
            levelled = self._saturation.levelled(node, position) if isinstance(answer, Variable) else None
            if levelled is not None:
                answer = Selected(levelled, g, negated=True, choice=Choice.CONDITION)
            if literals and isinstance(g, Variable) and g is not flow.g and not _keeps_zeros(node, position):
                literals = _opened(literals, node)
            found.append(self._answer(answer, literals))
        return found

    def _answer(self, answer: Any, literals: dict[Literal, bool]) -> Any:
        """Turn a result of a record's ``grad`` into a flow, under its own conditions besides ``literals``."""
        if isinstance(answer, Variable):
            return Flow(answer, literals)
        if not isinstance(answer, Selected):
            return answer
        literal = self._literal(answer)
        if literal.opposite in literals:
            return ZERO
        if len(literals) >= _MANY:
            g, literals = _shortened(Flow(answer.g, literals))
            return Flow(g, {**literals, literal: True})
        return Flow(answer.g, {**literals, literal: True})

    def _literal(self, answer: Selected) -> Literal:
        v, holds = answer.condition, not answer.negated
        while v.owner is not None and v.owner.op.record is ew.invert.op.record and v.dtype == "bool":
            v, holds = v.owner.inputs[0], not holds
        source = before_repetition(v)
        uniform = all(source.type.broadcastable)
        if uniform:
            source = dimshuffle(source, ()) if source.ndim else source
        key = (source, answer.choice, answer.lazy)
        if key not in self._conditions:
            self._conditions[key] = Condition((), lambda: source, answer.choice, uniform, answer.lazy)
        return Literal(self._conditions[key], holds)

    # --- other ops: zeros are inserted first, and conditions are carried to the elements of the inputs ----------------

    def _other(self, node: Apply, flows: Sequence[Flow | None]) -> list[Any]:
        gs = [_zero(o) if flow is None else selected(flow, o) for o, flow in zip(node.outputs, flows)]
        reach = node.op.record.reach
        if reach is None or len(node.outputs) > 1:
            literals = self._anywhere(flows)
            return [self._answer(a, literals) for a in _answers(node, gs)]
        assert flows[0] is not None
        dirty = node.op.record.linear != "jointly"
        whole = {k: dirty and _opens(k, node) for k in flows[0].literals if k.condition.uniform}
        if len(node.inputs) > 1:  # the gradient reads other operands, such as indices, which a lazy branch computes
            whole = {k: open_ or k.condition.lazy for k, open_ in whole.items()}
        kept = [k for k in flows[0].literals if not k.condition.uniform]
        if reach.gathers:
            kept = [k for k in kept if k.condition.choice in (Choice.CONDITION, Choice.BOUND)]
        elif dirty and not reach.one_to_one:
            kept = [k for k in kept if k.condition.choice is Choice.CONDITION]
        if not kept and _unread(node) is None:
            return [self._answer(a, whole) for a in _answers(node, gs)]
        if reach.mixes:
            return self._unmixed(node, gs, reach, both(kept), whole)
        if reach.one_to_one and kept:
            carried = {Literal(self._carried(node, reach, k.condition), k.holds): k for k in kept}
            literals = {**whole, **{k: dirty and _opens(k, node) for k in carried}}
            return [self._answer(a, literals) for a in _answers(node, gs)]
        counts = both(kept)
        found = []
        for position, answer in enumerate(_answers(node, gs)):
            literal = Literal(self._reached(node, reach, counts, position))
            found.append(self._answer(answer, {**whole, literal: dirty and _opens(literal, node)}))
        return found

    def _carried(self, node: Apply, reach: Reach, condition: Condition) -> Condition:
        """Carry a condition on the output's elements over to the first input, which has the same elements."""
        key = (node, condition)
        if key not in self._moved:
            self._moved[key] = self._reached(node, reach, condition, 0)
        return self._moved[key]

    def _reached(self, node: Apply, reach: Reach, counts: Condition | None, position: int) -> Condition:
        x = node.inputs[position]

        def build(*values: Variable) -> Variable:
            which = values[0] if values else _everywhere(node.outputs[0])
            found = reach.find(node.op, node.inputs, node.outputs, which)[position]
            return _everywhere(x) if found is None else found

        choices = [c for c in (counts.choice if counts else None, _unread(node)) if c is not None]
        return Condition([] if counts is None else [counts], build, max(choices))

    def _unmixed(
        self, node: Apply, gs: list[Variable], reach: Reach, counts: Condition | None, whole: dict[Literal, bool]
    ) -> list[Any]:
        """Zero the operands' elements that do not count, which may be infinite or NaN, before they are multiplied."""
        literals = [Literal(self._reached(node, reach, counts, k)) for k in range(len(node.inputs))]
        inputs = [
            v if answer is None or not is_float(v.dtype) else ew.switch(literal.condition.value, v, 0)
            for literal, v, answer in zip(literals, node.inputs, self._pattern(node))
        ]
        return [self._answer(a, {**whole, literal: True}) for literal, a in zip(literals, _answers(node, gs, inputs))]

    def _anywhere(self, flows: Sequence[Flow | None]) -> dict[Literal, bool]:
        """Conditions for an op without ``reach``: all of its inputs count as soon as any element of an output does."""
        arrived = [flow for flow in flows if flow is not None]
        if len(arrived) == 1 and all(k.condition.uniform for k in arrived[0].literals):
            return dict.fromkeys(arrived[0].literals, True)
        lazy = common_lazy(arrived) if arrived else []
        conditions = []
        for flow in arrived:
            rest = [k for k in flow.literals if k not in lazy]
            counts = both(k for k in rest if k.condition.choice is Choice.CONDITION or k.condition.uniform)
            if counts is None:
                return dict.fromkeys(lazy, True)
            conditions.append(counts if counts.uniform else Condition([counts], any_of, Choice.CONDITION, True))
        return {**dict.fromkeys(lazy, True), Literal(either(conditions)): True}


def _with_stable_forms(order: Sequence[Apply], opaque: set[Variable]) -> tuple[list[Apply], dict[Apply, Variable]]:
    """The applications to traverse, each preceded by its stable form if it has one, and the value of each form."""
    from symc.compiler.rewrite.forms import stable_forms

    forms = stable_forms(order, opaque)
    walked: dict[Apply, None] = {}
    for node in order:
        if node in forms:
            walked.update(dict.fromkeys(forms[node].nodes))
        walked[node] = None
    return list(walked), {node: form.value for node, form in forms.items()}


def _saturation(order: Sequence[Apply]) -> Any:
    from symc.compiler.rewrite.saturation import Saturation

    return Saturation(order)


def _answers(node: Apply, gs: Sequence[Variable], inputs: Sequence[Variable] | None = None) -> Sequence[Any]:
    assert node.op.record.grad is not None
    values = node.inputs if inputs is None else inputs
    found = blame(node.outputs[0].location, node.op.record.grad, node.op, values, node.outputs, list(gs))
    if len(found) != len(node.inputs):
        raise TypeError(f"the gradient of {node.op.name} returned {len(found)} terms for {len(node.inputs)} inputs")
    return found


def _zero(v: Variable) -> Variable:
    return zeros_like(v, v.dtype if is_float(v.dtype) else "floatX")


def _keeps_zeros(node: Apply, position: int) -> bool:
    """Whether the gradient by this input is zero where the output's is, for any values of the inputs."""
    linear = node.op.record.linear
    if linear == "separately" or (linear == "first" and position == 0):
        return all(known_factor(v) for k, v in enumerate(node.inputs) if k != position)
    return linear == "jointly"


def _unread(node: Apply) -> Choice | None:
    """Return why the op may leave elements of its inputs unread; None if it reads all of them."""
    reach = node.op.record.reach
    return None if reach is None or reach.partial is None else reach.partial(node.op)


def _opens(literal: Literal, node: Apply) -> bool:
    """Whether the derivatives of the op may be infinite or NaN where the condition fails."""
    return literal.condition.choice > Choice.BOUND or not node.op.record.bounded_slope


def _opened(literals: dict[Literal, bool], node: Apply) -> dict[Literal, bool]:
    return {literal: open_ or _opens(literal, node) for literal, open_ in literals.items()}


def _shortened(flow: Flow) -> tuple[Variable, dict[Literal, bool]]:
    """Combine the conditions of a flow into one, and those that are lazy."""
    (inner,), outer = apart([flow])
    counts = both(inner.literals)
    rest = {} if counts is None else {Literal(counts): False}
    return selected(inner), {**outer, **rest}


def _everywhere(x: Variable) -> Variable:
    """A condition that always holds, with the axes of ``x``."""
    return pad_left(Constant(True, "bool"), x.ndim)


def _null_message(node: Apply, position: int, answer: Undefined) -> str:
    text = f"grad: {answer.reason}"
    repair = "use disconnected_grad(x), or consider_constant=[...]"
    return located(text, node.inputs, repair, node.outputs[0].location)
