"""All rewrites of the repetitions in one level of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symc.compiler.bodies import drop_unused_outputs, uses_of
from symc.compiler.scans.behind import results_behind
from symc.compiler.scans.budget import fits
from symc.compiler.scans.joining import joined
from symc.compiler.scans.last import Uses, last_only, read_of_last, stacked_after, steps_done
from symc.compiler.scans.loop import Loop, read
from symc.compiler.scans.operands import turn_operands
from symc.compiler.scans.outside import hoist
from symc.compiler.scans.slicing import slice_operands
from symc.compiler.scans.storing import find_storing
from symc.compiler.scans.sums import sums_behind
from symc.compiler.scans.unrolling import unrolled
from symc.compiler.scans.values import Values, all_after, first_rows, in_reverse
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Constant, Graph, Variable, toposort
from symc.graph.guards import collecting
from symc.graph.op import Axes
from symc.graph.traversal import substituted
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import expand

__all__ = ["improved"]

Outputs = Sequence[Variable]
Change = Callable[[Apply, Sequence[Variable]], "Sequence[Variable] | None"]
Known = dict[Variable, Variable]


def improved(graph: Graph, symbols: Sequence[Any] = (), registers: bool = False) -> Outputs:
    """Rewrite the repetitions of a graph; its other applications stay as they are.

    The last outputs of ``graph`` are the integers whose values ``symbols`` are. With ``registers``, states of loops
    that compute elements independently of each other are in registers.
    """
    graph = Graph.of(graph)
    if all(record.repeats is None for record in graph.records):
        return graph
    with collecting():  # what is built here has the lengths of what it replaces
        outputs = _each(_dropped(graph), unrolled)
        outputs = _only_last(outputs, symbols)
        outputs = _stored(outputs, symbols)  # before products of states leave the later loop
        outputs = _each(outputs, _sliced)  # after: what slices are taken of is stored as a whole
        outputs = _each(outputs, _hoisted)
        numbering = ValueNumbering()
        outputs = numbering.rebuild(outputs, toposort(outputs))
        outputs = _each(outputs, _moved_behind)
        outputs = _each(outputs, _turned)
        outputs = _dropped(joined(outputs))
        return _stacked_states(outputs) if registers else outputs


def _each(outputs: Outputs, change: Change) -> Outputs:
    """Replace every repetition for which ``change(node, inputs)`` returns new outputs."""
    known: dict[Variable, Variable] = {}
    for node in toposort(outputs):
        inputs = [known.get(v, v) for v in node.inputs]
        made = change(node, inputs) if node.op.record.repeats is not None else None
        if made is None:
            if all(a is b for a, b in zip(inputs, node.inputs)):
                continue
            made = node.op.apply(inputs, node.outputs[0].location).outputs
        for old, new in zip(node.outputs, made):
            if new is not old:
                known[old] = new
                new.name = new.name or old.name
    return [known.get(v, v) for v in outputs]


def _dropped(outputs: Outputs) -> Outputs:
    """Drop results that nobody reads, and states on which no other result depends."""
    outputs = drop_unused_outputs(Graph.of(outputs))
    used = {v for node in toposort(outputs) for v in node.inputs} | set(outputs)

    def change(node: Apply, inputs: Sequence[Variable]) -> Outputs | None:
        loop = read(node, inputs, ends_early=True)
        if loop is None:
            return None
        live = [k for k, v in enumerate(node.outputs[: len(loop.states)]) if v in used]
        while True:
            wanted = [*(loop.states[k].after for k in live), *loop.outputs[len(loop.states) :]]
            needed = {v for n in toposort(wanted) for v in n.inputs} | set(wanted)
            more = [k for k, s in enumerate(loop.states) if k not in live and s.inner in needed]
            if not more:
                break
            live += more
        if len(live) == len(loop.states):
            return None
        live.sort()
        count = len(loop.states)
        loop.states = [loop.states[k] for k in live]
        made = loop.write()
        found = list(node.outputs)
        for position, k in enumerate([*live, *range(count, len(node.outputs))]):
            found[k] = made[position]
        return found

    return _each(outputs, change)


def _until_no_change(outputs: Outputs, change: Callable[[Apply, Uses, Outputs], Known | None]) -> Outputs:
    """Replace the variables that ``change`` finds, given a repetition, uses and outputs, until it finds none.

    What is found for several repetitions is replaced at once, as each concerns its own results and what reads them.
    """
    while True:
        order = toposort(outputs)
        loops = [node for node in order if node.op.record.repeats is not None]
        uses = uses_of(order) if loops else {}
        known: Known = {}
        for node in loops:
            known.update(change(node, uses, outputs) or {})
        if not known:
            return outputs
        outputs = substituted(outputs, known)


def _only_last(outputs: Outputs, symbols: Sequence[Any]) -> Outputs:
    """Keep only the last value of states of which no other value is read."""

    def change(node: Apply, uses: Uses, outputs: Outputs) -> Known | None:
        loop = read(node, ends_early=True)
        if loop is None:
            return None
        done = steps_done(node, symbols, outputs)
        readers = last_only(loop, uses, frozenset(outputs), done)
        if not readers:
            return None
        made = loop.write()
        known = dict(zip(node.outputs, made))
        for k, nodes in readers.items():
            del known[node.outputs[k]]
            for reader in nodes:
                known[reader.outputs[0]] = read_of_last(reader, made[k], loop.count if done is None else done)
        return known

    return _until_no_change(outputs, change)


def _stacked_states(outputs: Outputs) -> Outputs:
    """Stack the values of states after the steps, where nothing reads a trajectory with its first entry."""

    def change(node: Apply, uses: Uses, outputs: Outputs) -> Known | None:
        loop = read(node)
        views = {} if loop is None else stacked_after(loop, uses, frozenset(outputs))
        if loop is None or not views:
            return None
        made = loop.write()
        known = {v: new for k, (v, new) in enumerate(zip(node.outputs, made)) if k not in views}
        for k, view in views.items():
            known[view] = made[len(loop.states) + loop.stack(loop.states[k].after)]
        return known

    return _until_no_change(outputs, change)


def _hoisted(node: Apply, inputs: Sequence[Variable]) -> Outputs | None:
    loop = read(node, inputs, ends_early=True)
    if loop is None:
        return None
    _sequences_of_one_value(loop)
    _repeated_inside(loop)
    count = len(loop.states)
    leaving = hoist(loop)
    made = list(loop.write()) if loop.outputs else []
    return _with(leaving, made, count, len(node.outputs))


def _with(leaving: dict[int, Variable], made: list[Variable], states: int, total: int) -> list[Variable]:
    """The outputs of a loop from which some stacked results have left."""
    staying = iter(made)
    found = [next(staying) for _ in range(states)]
    return found + [leaving[k] if k in leaving else next(staying) for k in range(total - states)]


def _sequences_of_one_value(loop: Loop) -> None:
    """Turn sequences whose entries are all the same into constants."""
    for inner, outer in list(loop.sequences.items()):
        node = outer.owner
        while node is not None and "offset" in node.op.attrs and node.op.record.batch is None:
            node = node.inputs[0].owner  # a view of a part
        if node is None or node.op.record.enlarges is None or not isinstance(node.op.record.lower, Axes):
            continue
        source, shape = node.inputs[0], outer.type.shape
        if source.ndim and (node is not outer.owner or 0 in node.op.record.lower.source(node.op, node)):
            continue
        if source.ndim and (source.ndim != outer.ndim or source.type.shape[0] != 1):
            continue
        value = dimshuffle(source, list(range(1, source.ndim))) if source.ndim else source
        del loop.sequences[inner]
        loop.replace({inner: loop.constant(expand(value, shape[1:]))})


def _repeated_inside(loop: Loop) -> None:
    """Let a step repeat the elements of a constant itself, where it would read many copies from memory.

    Numbers become part of the step, whose formulas may be simpler for them: a quotient by a power of two is a shift.
    """
    pending = list(loop.constants.items())
    while pending:
        inner, outer = pending.pop()
        if isinstance(outer, Constant) and not outer.ndim:
            del loop.constants[inner]
            loop.replace({inner: outer})
            continue
        node = outer.owner
        if node is None or node.op.record.enlarges is None or not isinstance(node.op.record.lower, Axes):
            continue
        source = node.inputs[0]
        fewer = source if isinstance(source, Constant) and not source.ndim else loop.constant(source)
        del loop.constants[inner]
        loop.replace({inner: node.op.apply([fewer], outer.location).outputs[0]})
        if fewer is not source:
            pending.append((fewer, source))


def _stored(outputs: Outputs, symbols: Sequence[Any]) -> Outputs:
    """Let loops store costly values that later ones would compute again."""
    order = toposort(outputs)
    done = {n: d for n in order if n.op.record.repeats and (d := steps_done(n, symbols, outputs)) is not None}
    plans = find_storing(order, done)
    if not plans:
        return outputs
    values: dict[tuple[Apply, Variable], Variable] = {}

    def change(node: Apply, inputs: Sequence[Variable]) -> Outputs | None:
        plan = plans.get(node)
        loop = None if plan is None else read(node, inputs, ends_early=True)
        if plan is None or loop is None:
            return None
        count = len(loop.states) + len(loop.made)
        loop.replace({v: loop.sequence(values[source], v.name) for v, source in plan.taken.items()})
        taken = {v: values[source] for v, source in plan.taken.items()}
        kept = {s.after: k for k, s in enumerate(loop.states) if s.keep and node not in done}
        positions = {v: loop.stack(v) for v in plan.stored if v not in taken and v not in kept}
        made = loop.write()
        for v in plan.stored:
            if v in taken:
                found = taken[v]
            elif v in kept:
                after = all_after(made[kept[v]])
                found = in_reverse(after, loop.count) if loop.backwards else after
            else:
                found = made[len(loop.states) + positions[v]]
            values[node, v] = first_rows(found, done[node]) if node in done else found
        return [*made[:count], *made[len(loop.states) + len(loop.made) :]]

    return _each(outputs, change)


def _sliced(node: Apply, inputs: Sequence[Variable]) -> Outputs | None:
    loop = read(node, inputs, ends_early=True)
    return loop.write() if loop is not None and slice_operands(loop) else None


def _turned(node: Apply, inputs: Sequence[Variable]) -> Outputs | None:
    loop = read(node, inputs, ends_early=True)
    return loop.write() if loop is not None and turn_operands(loop) else None


def _moved_behind(node: Apply, inputs: Sequence[Variable]) -> Outputs | None:
    """Move sums over the steps, and results that are not fed back, behind the loop."""
    loop = read(node, inputs)
    if loop is None:
        return None
    values = Values(loop)
    states = len(loop.states)
    sums = sums_behind(loop, values)
    later = results_behind(loop, values)
    if not fits(loop, values.stored()):
        return None
    if not sums and not later and not values.stand_ins:
        return None
    made, results = values.write([*sums.values(), *later.values()])
    totals = dict(zip(sums, results))
    leaving = dict(zip(later, results[len(sums) :]))
    staying = iter(made)
    found = [totals[k] if k in totals else next(staying) for k in range(states)]
    return found + [leaving[k] if k in leaving else next(staying) for k in range(len(node.outputs) - states)]
