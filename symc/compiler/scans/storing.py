"""Costly values that a later loop would compute again, such as the products in the gradient of a scan, are stored.

The gradient of a scan is a scan that recomputes the values of every step from the states. Where both loops compute the
same product, the first one stacks it, or what follows from it alone, and the second one reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symc.compiler.rewrite.ops import SLICE_AT
from symc.compiler.scans.budget import fits
from symc.compiler.scans.loop import Loop, is_arrangement, is_costly, read, sample_size
from symc.compiler.scans.values import all_after, all_before, is_first_rows
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import View

__all__ = ["Storing", "find_storing"]


@dataclass
class Storing:
    """What a loop stores for later ones, and what it reads of earlier ones.

    Attributes
    ----------
    stored : list of Variable
        Inside of the loop.
    taken : dict
        Maps variables inside of the loop to an earlier loop, and the variable there.
    """

    stored: list[Variable] = field(default_factory=list)
    taken: dict[Variable, tuple[Apply, Variable]] = field(default_factory=dict)


def find_storing(order: list[Apply], done: Mapping[Apply, dims.Dim]) -> dict[Apply, Storing]:
    """Decide for all loops of a graph, given in topological order, what they store and take.

    Parameters
    ----------
    done : mapping
        The numbers of steps of loops that a condition may end.
    """
    found: dict[Apply, Storing] = {}
    loops: list[Loop] = []
    having: dict[tuple[object, ...], list[int]] = {}  # the loops, by what they compute first
    for node in order:
        loop = read(node, ends_early=True)
        if loop is None:
            continue
        entries = _entries(loop)
        alike = sorted({k for entry in entries for k in having.get(entry, ())})
        for earlier in [loops[k] for k in alike] if loop.until is None else ():
            steps = done.get(earlier.node, earlier.count if earlier.until is None else None)
            if steps is None or dims.equal(steps, loop.count) is not True:
                continue
            there = {*earlier.made, *(s.after for s in earlier.states if s.keep and earlier.node not in done)}
            for v, source in _taken(earlier, loop, done.get(earlier.node)).items():
                stored = found.setdefault(earlier.node, Storing()).stored
                taken = found.setdefault(node, Storing()).taken
                if v in taken or not fits(earlier, (u for u in [*stored, source] if u not in there), loop):
                    continue
                taken[v] = (earlier.node, source)
                if source not in stored:
                    stored.append(source)
        for entry in entries:
            having.setdefault(entry, []).append(len(loops))
        loops.append(loop)
    return found


def _entries(loop: Loop) -> set[tuple[object, ...]]:
    """The applications of a loop to nothing but its operands, its results and constants, by where these come from.

    Two loops have an application in common only if they have one of these in common.
    """
    origin: dict[Variable, object] = {v: _origin(outer) for v, outer in {**loop.sequences, **loop.constants}.items()}
    for v in [*(s.inner for s in loop.states), *(s.after for s in loop.states), *loop.made]:
        origin.setdefault(v, loop.node)
    found: set[tuple[object, ...]] = set()
    for node in loop.order:
        if any(v in origin for v in node.inputs) and all(v in origin or isinstance(v, Constant) for v in node.inputs):
            found.add((node.op, *(origin[v] if v in origin else _key(v) for v in node.inputs)))
    return found


def _origin(v: Variable) -> object:
    """The loop, or else the variable, whose elements a value consists of."""
    while v.owner is not None and (is_arrangement(v.owner) or v.owner.op.record is SLICE_AT):
        v = v.owner.inputs[0]
    return v.owner if v.owner is not None and v.owner.op.record.repeats is not None else v


def _taken(earlier: Loop, later: Loop, done: dims.Dim | None) -> dict[Variable, Variable]:
    """Map variables of the later loop that are worth storing to the equal ones of the earlier loop.

    ``done`` is the number of steps of the earlier loop if a condition may end it.
    """
    equal = _equal_inputs(earlier, later, done)
    if not equal:
        return {}
    table = {(node.op, *map(_key, node.inputs)): node for node in earlier.order}
    costly: list[Variable] = []
    readers: dict[Variable, list[Apply]] = {}
    order = later.order
    for node in order:
        for v in dict.fromkeys(node.inputs):
            readers.setdefault(v, []).append(node)
        if not all(v in equal or isinstance(v, Constant) for v in node.inputs):
            continue  # the bodies may share variables, which need not have the same values
        found = table.get((node.op, *(_key(equal.get(v, v)) for v in node.inputs)))
        if found is not None:
            equal.update(zip(node.outputs, found.outputs))
            if is_costly(node):
                costly += node.outputs
    results = set(later.outputs)
    chosen: dict[Variable, Variable] = {}
    for v in costly:
        if v not in readers and v not in results:
            continue
        best = v
        while best not in results:
            (*others, reader) = readers[best]
            out = reader.outputs[0]
            if others or len(reader.outputs) > 1 or out not in equal or _size(out) > _size(best):
                break
            best = out
        while best.owner is not None and is_arrangement(best.owner) and best is not v:
            best = best.owner.inputs[0]  # it costs nothing to arrange the elements again
        chosen[best] = equal[best]
    kept = {s.after for s in earlier.states if s.keep and done is None}  # stored anyway
    for node in order:
        chosen.update((v, equal[v]) for v in node.outputs if equal.get(v) in kept and v not in chosen)
    return {v: source for v, source in chosen.items() if source.owner is not None}


def _size(v: Variable) -> int:
    return sample_size(v.type.shape)


def _key(v: Variable) -> object:
    return (v.data.dtype.str, v.data.shape, v.data.tobytes()) if isinstance(v, Constant) and v.data.size <= 64 else v


def _equal_inputs(earlier: Loop, later: Loop, done: dims.Dim | None) -> dict[Variable, Variable]:
    """Map inputs of the later loop to variables of the earlier one that have the same value at the same entry."""
    outputs = earlier.node.outputs
    count = len(earlier.states)
    known: dict[Variable, Variable] = {outer: v for v, outer in earlier.sequences.items()}
    known |= dict(zip(outputs[count:], earlier.made))
    fixed = {outer: v for v, outer in earlier.constants.items()}
    found: dict[Variable, Variable] = {}
    for v, outer in later.constants.items():
        if outer in fixed:
            found[v] = fixed[outer]
    for v, outer in later.sequences.items():
        if done is not None:
            if outer.owner is None or not is_first_rows(outer.owner, done):
                continue
            outer = outer.owner.inputs[0]
        if outer in known:
            found[v] = known[outer]
        else:
            source = _of_trajectory(earlier, outer)
            if source is not None:
                found[v] = source
    return found


def _of_trajectory(earlier: Loop, outer: Variable) -> Variable | None:
    """The variable of the earlier loop whose values, in the order of the sequences, are ``outer``."""
    node = outer.owner
    if node is not None and earlier.backwards:
        node = _reversed(node)
    if node is None or not isinstance(node.op.record.lower, View) or node.inputs[0].owner is not earlier.node:
        return None
    trajectory = node.inputs[0]
    position = earlier.node.outputs.index(trajectory)
    if position >= len(earlier.states) or not earlier.states[position].keep:
        return None
    for view, source in (
        (all_before(trajectory), earlier.states[position].inner),
        (all_after(trajectory), earlier.states[position].after),
    ):
        assert view.owner is not None
        if view.owner.op == node.op:
            return source
    return None


def _reversed(node: Apply) -> Apply | None:
    """The application whose output ``node`` reverses along the first axis."""
    steps = node.op.attrs.get("steps")
    if steps is None or node.op.record.batch is None or steps[0] != -1 or any(s != 1 for s in steps[1:]):
        return None
    source = node.inputs[0]
    whole = dims.equal(dims.product(node.outputs[0].type.shape), dims.product(source.type.shape)) is True
    return source.owner if whole else None
