"""Fusion: from the rewritten graph to units of work.

A unit is either a *group* of fused ops, which becomes one loop nest, or a single application that stands alone: a library
routine, a view, or statements written out.

A group has *axes*. Every member has a *frame*: for each axis of its output, the group axis it follows (None where the
output has length 1). Folds reduce over the group's *inner* axes; their results live on the *outer* ones. So a softmax over
rows is one group: the outer axis counts rows, and along the inner axis its loops find the maximum, the sum, the quotient.

The pass walks from outputs to inputs. An op joins the group of its consumers when all of them are in one group and agree
on its frame; otherwise its value is stored and it starts a group of its own. A second walk lets a group swallow a
producing group over the same axes, so that one loop may store several results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from symc import dims
from symc.graph import Apply, Constant, Variable, toposort
from symc.loops.expr import FUNCTIONS, Expr
from symc.op import Axes, Fold, Indexed, Pointwise

__all__ = ["Frame", "Group", "Unit", "fuse", "resolve"]

Frame = tuple[int | None, ...]
SEARCH_LIMIT = 400
"""Units looked at to prove that joining two groups makes no cycle; beyond, they stay apart."""
GROUP_LIMIT = 64
"""Members a group may have: bounds the size of a generated function, hence its compile time."""
MIN_ROWS, LONG_ROW = 8, 16384
"""With fewer rows than this, each longer than that, a fold and its consumers are better off in parallel loops of their own."""


@dataclass(eq=False)
class Group:
    """Fused ops; see the module's description. ``members`` run from consumers to producers, ``demanded`` are the
    variables that they read (some of them other members' values).
    """

    axes: list[dims.Dim] = field(default_factory=list)
    inner: tuple[int, ...] | None = None
    order: tuple[int, ...] | None = None
    frames: dict[Variable, Frame] = field(default_factory=dict)
    members: list[Apply] = field(default_factory=list)
    stored: list[Variable] = field(default_factory=list)
    demanded: set[Variable] = field(default_factory=set)

    @property
    def outer(self) -> tuple[int, ...]:
        return tuple(a for a in range(len(self.axes)) if a not in (self.inner or ()))


Unit = Group | Apply


def resolve(variable: Variable, frame: Frame, stored: set[Variable]) -> tuple[Variable, Frame]:
    """Look through transposes and broadcasts: the variable they read, and the frame in which they read it."""
    while variable.owner is not None and variable not in stored and isinstance(variable.owner.op.record.lower, Axes):
        node = variable.owner
        source = node.op.record.lower.source(node.op, node)
        frame = tuple(None if k is None else frame[k] for k in source)
        variable = node.inputs[0]
    return variable, frame


def is_inline(variable: Variable) -> bool:
    """Is the value recomputed wherever it is read?"""
    node = variable.owner
    return node is not None and isinstance(node.op.record.lower, Indexed) and node.op.record.lower.recompute


class _Fusion:
    def __init__(self, outputs: Sequence[Variable]) -> None:
        self.order = toposort(outputs)
        self.outputs = list(outputs)
        self.stored: set[Variable] = set()  # values that need memory of their own
        self.demands: dict[Variable, list[tuple[Group, Frame]]] = {}
        self.group_of: dict[Apply, Group] = {}
        self.units: list[Unit] = []
        self.rank: dict[int, tuple[int, int]] = {}
        self.reads: dict[int, list[Variable]] = {}  # what units read, while groups are being merged

    def run(self) -> list[Unit]:
        for v in self.outputs:
            self.need(v)
        for node in self.order:
            lower = node.op.record.lower
            if lower is None:
                raise TypeError(f"{node.op.name} has neither loops nor an expansion: its record is incomplete")
            if isinstance(lower, Indexed):
                for v in node.inputs:
                    self.need(v)
            elif not isinstance(lower, (Pointwise, Axes, Fold)):
                for v in node.inputs:
                    self.need(v)
        self.needed = set(self.stored)
        for node in reversed(self.order):
            self.place(node)
        _merge(self)
        return _schedule(self.units)

    def need(self, variable: Variable) -> None:
        """``variable`` must lie in memory: somebody reads it at indices of their own."""
        if variable.owner is not None or isinstance(variable, Constant):
            self.stored.add(variable)

    def place(self, node: Apply) -> None:
        lower = node.op.record.lower
        if not isinstance(lower, (Pointwise, Fold, Indexed, Axes)):
            if any(v in self.stored for v in node.outputs) or any(self.demands.get(v) for v in node.outputs):
                self.units.append(node)
            return
        (value,) = node.outputs
        demands = self.demands.get(value, [])
        if value not in self.stored and (isinstance(lower, Axes) or is_inline(value)):
            return  # no memory of its own: consumers read through it, and have noted what lies behind
        if value not in self.stored and demands:
            group, frame = demands[0]
            if all(g is group and f == frame for g, f in demands) and self.join(group, node, frame):
                return
        if value in self.stored or demands:
            self.start(node)

    def start(self, node: Apply) -> None:
        (value,) = node.outputs
        group = Group()
        group.axes = list(value.type.shape)
        self.units.append(group)
        self.stored.add(value)
        group.stored.append(value)
        if not self.join(group, node, tuple(range(len(group.axes)))):
            raise AssertionError(f"{node.op.name} cannot start a group")

    def join(self, group: Group, node: Apply, frame: Frame) -> bool:
        """Make ``node`` a member of ``group`` with its output at ``frame``, if that is sound and worth it."""
        lower = node.op.record.lower
        if len(group.members) >= GROUP_LIMIT:
            return False
        input_frame = frame
        if isinstance(lower, Fold):
            found = _fold_frame(group, node, frame)
            if found is None:
                return False
            input_frame = found
        elif not _covers(group, frame) and not _hoist(group, frame):
            return False
        group.members.append(node)
        group.frames[node.outputs[0]] = frame
        self.group_of[node] = group
        if isinstance(lower, (Pointwise, Fold)):
            for v in node.inputs:
                self.demand(group, v, input_frame)
        elif isinstance(lower, Axes):
            source = lower.source(node.op, node)
            self.demand(group, node.inputs[0], tuple(None if k is None else frame[k] for k in source))
        return True

    def demand(self, group: Group, variable: Variable, frame: Frame) -> None:
        base, found = resolve(variable, frame, self.stored)
        if base.owner is not None:
            self.demands.setdefault(base, []).append((group, found))
            group.demanded.add(base)


def _covers(group: Group, frame: Frame) -> bool:
    """Does a value at ``frame`` get computed once only? It must follow all axes, or all outer ones, or none."""
    used = {a for a in frame if a is not None}
    if not used or len(used) == len(group.axes):
        return True
    return group.inner is not None and used == set(group.outer) or group.inner is None and _unit_axes(group, used)


def _hoist(group: Group, frame: Frame) -> bool:
    """Let a value that follows only the leading axes in: the others become inner axes, around which it is computed once a row."""
    used = [a for a in frame if a is not None]
    rest = tuple(range(len(used), len(group.axes)))
    if group.inner is not None or not used or used != list(range(len(used))) or not _worth_rows(group, used, rest):
        return False
    if not _frames_fit(group, set(rest)):
        return False
    group.inner, group.order = rest, tuple(range(len(group.axes)))
    return True


def _unit_axes(group: Group, used: set[int]) -> bool:
    """Without folds yet: is every axis left out of length 1, or could it become inner (a fold decides)?"""
    return all(size == 1 for a, size in enumerate(group.axes) if a not in used)


def _fold_frame(group: Group, node: Apply, frame: Frame) -> Frame | None:
    """The frame of a fold's input, choosing (or adding) the group axes it reduces over; None if it does not fit."""
    (x,) = node.inputs
    reduced = [x.type.shape[k] for k in node.op["axes"]]
    used = [a for a in frame if a is not None]
    if len(set(used)) != len(used):
        return None
    free = [a for a in range(len(group.axes)) if a not in used]
    if group.inner is not None:
        if tuple(free) != group.inner or not _same(reduced, [group.axes[a] for a in free]):
            return None
    elif free:
        if not used or not _same(reduced, [group.axes[a] for a in free]) or not _worth_rows(group, used, free):
            return None
    else:
        free = list(range(len(group.axes), len(group.axes) + len(reduced)))
        group.axes.extend(reduced)
    outer, inner = iter(frame), iter(free)
    found = tuple(next(inner) if k in node.op["axes"] else next(outer) for k in range(x.ndim))
    if group.inner is None:
        group.inner = tuple(free)
        group.order = tuple(a for a in found if a is not None)
    return found


def _same(a: Sequence[dims.Dim], b: Sequence[dims.Dim]) -> bool:
    return len(a) == len(b) and all(dims.equal(x, y) for x, y in zip(a, b))


def _worth_rows(group: Group, outer: Iterable[int], inner: Iterable[int]) -> bool:
    rows = dims.product(group.axes[a] for a in outer)
    length = dims.product(group.axes[a] for a in inner)
    return not (type(rows) is int and rows < MIN_ROWS and not (type(length) is int and length <= LONG_ROW))


# --- a group swallows its producer ---------------------------------------------------------------------------------


def _merge(state: _Fusion) -> None:
    """Let groups swallow producing groups over the same axes, where that makes no cycle."""
    producer = {v: unit for unit in state.units for v in _results(unit)}
    redirect: dict[int, Group] = {}

    def current(unit: Unit) -> Unit:
        while id(unit) in redirect:
            unit = redirect[id(unit)]
        return unit

    state.rank = _ranks(state)
    # units stand from consumers to producers; a producer is offered to its consumers nearest first
    for unit in list(state.units):
        if not isinstance(unit, Group):
            continue
        for value in list(unit.stored):
            takers: list[tuple[Group, Frame]] = []
            for group, frame in state.demands.get(value, []):
                taker = current(group)
                if isinstance(taker, Group) and taker is not unit and all(t is not taker for t, _ in takers):
                    takers.append((taker, frame))
            for taker, _ in takers:
                here = current(unit)
                if here is not unit or taker is here:
                    break
                frames = {f for g, f in state.demands[value] if current(g) is taker}
                if len(frames) != 1:
                    continue
                mapping = _axis_map(unit, taker, unit.frames[value], next(iter(frames)))
                if mapping is None or _path_between(state, producer, current, unit, taker):
                    continue
                _absorb(state, unit, taker, mapping)
                redirect[id(unit)] = taker
    state.units = [u for u in state.units if id(u) not in redirect]
    for unit in state.units:
        if isinstance(unit, Group):
            inside = [v for v in unit.stored if v not in state.needed and all(g is unit for g, _ in state.demands.get(v, []))]
            unit.stored = [v for v in unit.stored if v not in inside]
            state.stored.difference_update(inside)


def _results(unit: Unit) -> Sequence[Variable]:
    return unit.stored if isinstance(unit, Group) else unit.outputs


def _axis_map(source: Group, target: Group, at: Frame, demanded: Frame) -> dict[int, int] | None:
    """How the axes of ``source`` would become axes of ``target``, or None if they do not fit."""
    if len(source.members) + len(target.members) > GROUP_LIMIT:
        return None
    mapping: dict[int, int] = {}
    for a, b in zip(at, demanded):
        if a is None and b is None:
            continue
        if a is None or b is None or a in mapping or b in mapping.values():
            return None
        mapping[a] = b
    missing = [a for a in range(len(source.axes)) if a not in mapping]
    free = [b for b in range(len(target.axes)) if b not in mapping.values()]
    if source.inner is None:
        # a producer of maps must cover every axis, else it would be computed again and again
        if missing or free and set(free) != set(target.inner or ()):
            return None
        return mapping
    if tuple(missing) != source.inner or not mapping and target.axes:
        return None
    if len(free) != len(missing) or not _same([source.axes[a] for a in missing], [target.axes[b] for b in free]):
        return None
    mapping.update(zip(missing, free))
    if target.inner is not None and tuple(free) != target.inner:
        return None
    if target.inner is None and not _worth_rows(source, source.outer, source.inner):
        return None
    if target.inner is None and not _frames_fit(target, set(free)):
        return None
    return mapping


def _frames_fit(group: Group, inner: set[int]) -> bool:
    outer = set(range(len(group.axes))) - inner
    return all(not (used := {a for a in f if a is not None}) or used == outer or len(used) == len(group.axes) for f in group.frames.values())


def _path_between(state: _Fusion, producer: dict[Variable, Unit], current: Callable[[Unit], Unit], source: Group, target: Group) -> bool:
    """Does ``target`` also depend on ``source`` through a third unit, or on all of it at once? In doubt, after a long search, yes."""
    outside = [g for v in source.stored for g, _ in state.demands.get(v, []) if current(g) is not target]
    if not outside and not any(v in state.needed for v in source.stored):
        return False  # nobody else reads what the source makes
    made = set(source.stored)
    if any(v in made for v in _indexed_reads(target, state.stored)):
        return True  # an iteration would read what later iterations are still to write
    stack: list[Unit] = [target]
    seen = {id(target)}
    floor = state.rank[id(source)][0]
    while stack:
        unit = stack.pop()
        for v in _inputs_of(state, unit):
            found = producer.get(v)
            if found is None:
                continue
            found = current(found)
            if found is source:
                if unit is not target:
                    return True
                continue
            if id(found) not in seen and state.rank[id(found)][1] > floor:
                if len(seen) > SEARCH_LIMIT:
                    return True
                seen.add(id(found))
                stack.append(found)
    return False


def _ranks(state: _Fusion) -> dict[int, tuple[int, int]]:
    """The first and the last position, in the order of the graph, of what each unit computes.

    No path leads from a unit to another whose last position is before its own first.
    """
    position = {v: k for k, node in enumerate(state.order) for v in node.outputs}
    found = {}
    for unit in state.units:
        places = [position[v] for v in _results(unit)]
        found[id(unit)] = (min(places), max(places))
    return found


def _inputs_of(state: _Fusion, unit: Unit) -> Iterable[Variable]:
    found = state.reads.get(id(unit))
    if found is None:
        if isinstance(unit, Group):
            found = external_reads(unit, state.stored)
        else:
            found = [resolve(v, (None,) * v.ndim, state.stored)[0] for v in unit.inputs]
        state.reads[id(unit)] = found
    return found


def external_reads(group: Group, stored: set[Variable]) -> list[Variable]:
    """The variables in memory that a group reads, including those behind recomputed values."""
    own = set(group.frames)
    found: dict[Variable, None] = {}
    stack = [v for node in group.members for v in node.inputs]
    seen: set[Variable] = set()
    while stack:
        base, _ = resolve(v := stack.pop(), (None,) * v.ndim, stored)
        if base in seen or base in own:
            continue
        seen.add(base)
        if is_inline(base) and base not in stored:
            assert base.owner is not None
            stack.extend(base.owner.inputs)
        else:
            found[base] = None
    return list(found)


def _indexed_reads(group: Group, stored: set[Variable]) -> Iterable[Variable]:
    """The variables in memory that a group reads at positions other than that of the element being computed."""
    own = set(group.frames)
    stack = []
    for node in group.members:
        if isinstance(node.op.record.lower, Indexed):
            yield from node.inputs
        stack.extend(node.inputs)
    seen: set[Variable] = set()
    while stack:
        base, _ = resolve(v := stack.pop(), (None,) * v.ndim, stored)
        if base in seen or base in own or base in stored or not is_inline(base):
            continue
        seen.add(base)
        assert base.owner is not None
        yield from base.owner.inputs
        stack.extend(base.owner.inputs)


def _absorb(state: _Fusion, source: Group, target: Group, mapping: dict[int, int]) -> None:
    def move(frame: Frame) -> Frame:
        return tuple(None if a is None else mapping[a] for a in frame)

    if source.inner is not None and target.inner is None:
        target.inner = tuple(mapping[a] for a in source.inner)
        target.order = move(source.order) if source.order else None  # type: ignore[assignment]
    for value, frame in source.frames.items():
        target.frames[value] = move(frame)
    for node in source.members:
        state.group_of[node] = target
    state.reads.pop(id(target), None)
    (a, b), (c, d) = state.rank[id(target)], state.rank[id(source)]
    state.rank[id(target)] = (min(a, c), max(b, d))
    target.members.extend(source.members)
    target.stored.extend(source.stored)
    for value in source.demanded:
        demands = state.demands[value]
        for k, (group, frame) in enumerate(demands):
            if group is source:
                demands[k] = (target, move(frame))
    target.demanded |= source.demanded


# --- order --------------------------------------------------------------------------------------------------------


def _schedule(units: Sequence[Unit]) -> list[Unit]:
    """Producers before consumers; among those that are ready, the order in which the user built them."""
    stored = {v for unit in units for v in _results(unit)}
    maker = {v: k for k, unit in enumerate(units) for v in _results(unit)}
    waiting, users = [], [[] for _ in units]  # type: ignore[var-annotated]
    for k, unit in enumerate(units):
        reads = external_reads(unit, stored) if isinstance(unit, Group) else unit.inputs
        sources = {maker[v] for v in reads if v in maker and maker[v] != k}
        waiting.append(len(sources))
        for s in sources:
            users[s].append(k)
    rank = [min(v.serial for v in _results(unit)) for unit in units]
    ready = [(rank[k], k) for k, n in enumerate(waiting) if n == 0]
    heapify(ready)
    result: list[Unit] = []
    while ready:
        _, k = heappop(ready)
        result.append(units[k])
        for u in users[k]:
            waiting[u] -= 1
            if waiting[u] == 0:
                heappush(ready, (rank[u], u))
    if len(result) != len(units):
        raise AssertionError("fusion made a cycle")
    return result


def fuse(outputs: Sequence[Variable]) -> tuple[list[Unit], set[Variable]]:
    """Units in the order in which they run, and the variables that lie in memory."""
    state = _Fusion(outputs)
    units = state.run()
    return units, state.stored


def is_costly(e: Expr) -> bool:
    """Does computing the expression cost more than loading its value from cache?"""
    stack = [e]
    while stack:
        x = stack.pop()
        if x.op in FUNCTIONS and FUNCTIONS[x.op].costly:
            return True
        stack.extend(x.args)
    return False
