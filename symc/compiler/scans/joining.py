"""Two loops over the same steps, neither of which needs the other, become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symc.compiler.bodies import applications_inside
from symc.compiler.scans.loop import Loop, State, is_costly, read
from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Apply, Variable, clone_with, dims, toposort

__all__ = ["joined"]


MOST = 16
"""The largest number of results of a step of joined elementwise loops: more states do not fit into registers."""


def joined(outputs: Sequence[Variable]) -> Sequence[Variable]:
    """Join loops where one loop does less work than both.

    Loops of elementwise steps on tensors of the same shape become one, whose states are independent of each other.
    Loops of costly steps are joined if both read the same sequence, since they may compute the same values of it.
    """
    while True:
        order = toposort(outputs)
        loops = [loop for node in order if (loop := read(node)) is not None]
        if len(loops) < 2:
            return outputs
        above = _loops_above(order, {loop.node for loop in loops})
        known = {old: new for pair in _pairs(loops, above) for old, new in _as_one(*pair).items()}
        if not known:
            return outputs
        outputs = clone_with(outputs, known)


def _pairs(loops: Sequence[Loop], above: Mapping[Apply, frozenset[Apply]]) -> list[tuple[Loop, Loop]]:
    """Pairs that are worth joining. None of their loops depends on another, so that all can be joined at once."""
    known = [(loop, any(map(is_costly, loop.order))) for loop in loops if _may_be_joined(loop)]
    found: list[tuple[Loop, Loop]] = []
    taken: set[Apply] = set()
    before: set[Apply] = set()  # the loops on which those depend

    def fits(loop: Loop) -> bool:
        return loop.node not in taken and loop.node not in before and taken.isdisjoint(above[loop.node])

    for k, (b, costs) in enumerate(known):
        if not fits(b):
            continue
        for a, also in known[:k]:
            if costs == also and fits(a) and a.node not in above[b.node] and _pays(a, b, costs):
                found.append((a, b))
                taken |= {a.node, b.node}
                before |= above[a.node] | above[b.node]
                break
    return found


def _loops_above(order: Sequence[Apply], loops: set[Apply]) -> dict[Apply, frozenset[Apply]]:
    """The loops on which each application depends."""
    found: dict[Apply, frozenset[Apply]] = {}
    for node in order:
        above: frozenset[Apply] = frozenset()
        for source in {v.owner for v in node.inputs if v.owner is not None}:
            above |= found[source] | ({source} & loops)
        found[node] = above
    return found


def _may_be_joined(loop: Loop) -> bool:
    return all(node.op.record.effect != "ordered" for node in applications_inside(loop.node.op))


def _pays(a: Loop, b: Loop, costly: bool) -> bool:
    """Whether joining two independent loops saves work."""
    if a.backwards != b.backwards or dims.equal(a.count, b.count) is not True:
        return False
    if costly:
        return not set(a.sequences.values()).isdisjoint(b.sequences.values())
    results = [*a.outputs, *b.outputs]
    same = all(dims.same_shape(results[0].type.shape, v.type.shape) for v in results)
    return same and len(results) <= MOST and {v.dtype for v in a.outputs} == {v.dtype for v in b.outputs}


def _as_one(a: Loop, b: Loop) -> dict[Variable, Variable]:
    """One loop in the place of two: maps their outputs to its own."""
    loop = Loop(a.node, a.count, a.backwards, dict(a.sequences), list(a.states), dict(a.constants), list(a.made))
    loop.memory, loop.blocked = min(a.memory, b.memory), a.blocked and b.blocked
    known: dict[Variable, Variable] = {v: loop.sequence(outer, v.name) for v, outer in b.sequences.items()}
    known |= {v: loop.constant(outer, v.name) for v, outer in b.constants.items()}
    known |= {s.inner: Variable(s.inner.type, None, 0, s.inner.name, s.inner.location) for s in b.states}
    after = clone_with(b.outputs, known)
    states = len(b.states)
    loop.states += [State(known[s.inner], s.start, v, s.keep) for s, v in zip(b.states, after)]
    loop.made += after[states:]
    position = _equal_states_once(loop)
    stacked = len(loop.states)
    written = loop.write()
    place_a = [*position[: len(a.states)], *(stacked + k for k in range(len(a.made)))]
    place_b = [*position[len(a.states) :], *(stacked + len(a.made) + k for k in range(len(b.made)))]
    pairs = [*zip(a.node.outputs, a.outputs, place_a), *zip(b.node.outputs, after, place_b)]
    return {old: written[at] for old, _, at in pairs}


def _equal_states_once(loop: Loop) -> list[int]:
    """Leave out states that are always equal to another one; returns the positions of the states among those left.

    States are assumed to be equal if they begin with the same value, until their next values turn out to differ.
    """
    states = loop.states
    numbers: dict[object, int] = {}
    kinds = [numbers.setdefault(s.start, len(numbers)) for s in states]
    while True:
        first: dict[int, int] = {}
        known = {s.inner: states[first.setdefault(kind, k)].inner for k, (s, kind) in enumerate(zip(states, kinds))}
        results = clone_with(loop.outputs, {v: to for v, to in known.items() if v is not to})
        results = ValueNumbering().rebuild(results, toposort(results))
        numbers = {}
        finer = [numbers.setdefault((kind, v), len(numbers)) for kind, v in zip(kinds, results)]
        if len(numbers) == len(first):
            break
        kinds = finer
    for state, v in zip(states, results):
        state.after = v
    loop.made = results[len(states) :]
    left: dict[object, int] = {}
    position = [left.setdefault((kind, s.keep), len(left)) for kind, s in zip(kinds, states)]
    loop.states = [states[position.index(k)] for k in range(len(left))]
    return position
