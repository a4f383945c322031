"""Groups of fused ops: axes, iteration maps, members; and reads through values that need no memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sympy

from symc.compiler.target import CPU, Target
from symc.graph import Apply, Variable, dims, toposort
from symc.graph.body import Body
from symc.graph.op import Axes, Indexed, Loops, Op, Pointwise, Reduction, View
from symc.loops.expr import Expr, parts, var
from symc.loops.functions import FUNCTIONS

IterationMap = tuple[int | None, ...]


@dataclass(frozen=True)
class Placement:
    """The place of a value in a larger array: rows of its elements, from element ``offset`` of rows of ``width`` on.

    A row consists of the axes of the value from ``axis`` on. ``contiguous`` if there is one row.
    """

    axis: int
    width: dims.Dim
    offset: dims.Dim
    contiguous: bool


@dataclass(eq=False)
class FusionGroup:
    """Fused ops.

    ``members`` are ordered from consumers to producers, ``iteration_maps`` are the group axes of their outputs,
    ``demanded`` the variables that they read (some of them other members' values), ``stored`` those that they store
    in memory.
    ``placed`` are the places of stored values that are part of a larger array, ``crossed`` the sums across rows, with
    the iteration maps of their terms (``symc.compiler.fusion.crossing``). ``call`` is a library call of which the group
    is the epilogue. ``chains`` are the numbers of members of the longest chain that ends with what the group stores, by
    the value with which it begins, and for what it reads as if that was a member.
    ``machine`` is the target of their loops; ``lowered`` stores kernels shared by groups of the same form.
    """

    machine: Target = CPU
    axes: list[dims.Dim] = field(default_factory=list)
    inner: tuple[int, ...] | None = None
    order: tuple[int, ...] | None = None
    iteration_maps: dict[Variable, IterationMap] = field(default_factory=dict)
    members: list[Apply] = field(default_factory=list)
    stored: list[Variable] = field(default_factory=list)
    demanded: set[Variable] = field(default_factory=set)
    placed: dict[Variable, Placement] = field(default_factory=dict)
    crossed: dict[Variable, IterationMap] = field(default_factory=dict)
    chains: dict[Variable, int] = field(default_factory=dict)
    lowered: dict[Any, Any] = field(default_factory=dict)
    call: Apply | None = None

    @property
    def outer(self) -> tuple[int, ...]:
        """The axes of the results of reductions."""
        return tuple(a for a in range(len(self.axes)) if a not in (self.inner or ()))

    def has_room(self, more: int, chain: int, reducing: bool = False) -> bool:
        """Whether the group may get ``more`` members, the longest chain with any of which is ``chain``.

        Groups that have, or get, reductions must have few, to be compiled fast, and so must those that are a chain for
        the most part: of operations each of which waits for the one before, a processor begins few ahead of time.
        """
        count = len(self.members) + more
        limit = self.machine.group_limit
        few = reducing or self.inner is not None or chain > max(limit, count // CHAINS)
        return count <= (limit if few else self.machine.map_limit)

    def has_room_for(self, other: FusionGroup, chain: int, reducing: bool = False) -> bool:
        """The same for the members of another group, some of which both may have."""
        if self.has_room(len(other.members), chain, reducing):
            return True
        more = sum(node.outputs[0] not in self.iteration_maps for node in other.members)
        return more < len(other.members) and self.has_room(more, chain, reducing)

    @property
    def longest_chain(self) -> int:
        """The number of members of the longest chain."""
        return max(self.chains.values(), default=1)

    def chain_behind(self, source: FusionGroup) -> int:
        """The number of members of the longest chain that begins with reading what ``source`` stores."""
        return max((self.chains.get(v, 1) for v in source.stored), default=1) - 1

    def worth_rows(self, outer: Iterable[int], inner: Iterable[int]) -> bool:
        """Whether there are enough rows, or they are short enough, to reduce each row within one iteration."""
        rows = dims.product(self.axes[a] for a in outer)
        length = dims.product(self.axes[a] for a in inner)
        short = type(length) is int and length <= self.machine.long_row
        return short or not (type(rows) is int and rows < self.machine.min_rows)


CHAINS = 4
"""Steps that an operation takes: the number of chains side by side from which on there is work in all of them."""

Unit = FusionGroup | Apply


def joined_axis(node: Apply) -> int | None:
    """The axis along which an op places its operands side by side; None for other ops."""
    lower = node.op.record.lower
    return lower.side_by_side(node) if isinstance(lower, Loops) and lower.side_by_side is not None else None


def resolve(variable: Variable, iteration_map: IterationMap, stored: set[Variable]) -> tuple[Variable, IterationMap]:
    """Resolve transposes and broadcasts to the variable they read, and its iteration map."""
    while variable.owner is not None and variable not in stored:
        node = variable.owner
        if not isinstance(node.op.record.lower, Axes):
            break
        iteration_map = tuple([None if k is None else iteration_map[k] for k in axes_of(node)])
        variable = node.inputs[0]
    return variable, iteration_map


def axes_of(node: Apply) -> tuple[int | None, ...]:
    """The output axis of each axis of the input of an ``Axes`` op; cached, since it is needed often."""
    found = node.axes
    if found is None:
        lower = node.op.record.lower
        assert isinstance(lower, Axes)
        found = node.axes = lower.source(node.op, node)
    return found


def along_of(node: Apply) -> Sequence[tuple[int, ...] | None]:
    """For each input of an ``Indexed`` op, the output axes that it follows, or None if it is read elsewhere.

    Other ops have no such inputs.
    """
    lower = node.op.record.lower
    if isinstance(lower, Indexed) and lower.along is not None:
        return lower.along(node)
    return [None] * len(node.inputs)


def read_along(node: Apply, iteration_map: IterationMap) -> list[tuple[Variable, IterationMap]]:
    """The inputs of an ``Indexed`` op that it reads at the position of its own element, with iteration maps."""
    inputs = zip(node.inputs, along_of(node))
    return [(v, tuple(iteration_map[k] for k in axes)) for v, axes in inputs if axes is not None]


def read_elsewhere(node: Apply) -> list[Variable]:
    """The other inputs, which are read at computed positions."""
    return [v for v, axes in zip(node.inputs, along_of(node)) if axes is None]


def source_of(variable: Variable, stored: set[Variable]) -> Variable:
    """The variable that is read in place of ``variable``: ``resolve`` without iteration maps."""
    while variable.owner is not None and variable not in stored:
        if not isinstance(variable.owner.op.record.lower, Axes):
            break
        variable = variable.owner.inputs[0]
    return variable


def unarranged(variable: Variable) -> Variable:
    """What is repeated, or whose axes are arranged, to make a value: a number, or what is computed in other ways."""
    while variable.ndim and variable.owner is not None and isinstance(variable.owner.op.record.lower, Axes):
        variable = variable.owner.inputs[0]
    return variable


def is_inline(variable: Variable) -> bool:
    """Whether the value is recomputed wherever it is read."""
    node = variable.owner
    return node is not None and isinstance(node.op.record.lower, Indexed) and node.op.record.lower.recompute


def is_dim(variable: Variable) -> bool:
    """Whether the value is a dim as a number, which every kernel has as a size."""
    return is_inline(variable) and variable.owner is not None and not variable.owner.inputs and not variable.ndim


def read_along_rows(group: FusionGroup, values: Sequence[Variable], stored: set[Variable]) -> bool:
    """Whether values that vary along rows depend on one of these reductions, which needs another pass over the rows."""
    inner = set(group.inner or ())
    known = set(values)
    for node in reversed(group.members):  # producers first
        if all(source_of(v, stored) not in known for v in node.inputs):
            continue
        if isinstance(node.op.record.lower, Reduction) or not inner.isdisjoint(group.iteration_maps[node.outputs[0]]):
            return True
        known.add(node.outputs[0])
    return False


def results(unit: Unit) -> Sequence[Variable]:
    """The variables that a unit stores in memory."""
    return unit.stored if isinstance(unit, FusionGroup) else unit.outputs


def iteration_maps_fit(group: FusionGroup, inner: set[int]) -> bool:
    """Whether, with these inner axes, every member would follow all axes, all outer axes, or none."""
    everything = wide(group, range(len(group.axes)))
    nothing: set[int] = set()
    allowed = (nothing, everything - inner, everything)
    return all(wide(group, iteration_map) in allowed for iteration_map in group.iteration_maps.values())


def wide(group: FusionGroup, axes: Iterable[int | None]) -> set[int]:
    """Those of the axes that are longer than 1, or may be."""
    return {a for a in axes if a is not None and not is_one(group.axes[a])}


def agreed(value: Variable, iteration_maps: Iterable[IterationMap]) -> IterationMap | None:
    """The one map at which a value is read, or that with most axes if they differ in axes of length 1 alone."""
    shape = value.type.shape
    if len({tuple(a for a, length in zip(found, shape) if not is_one(length)) for found in iteration_maps}) != 1:
        return None
    return max(iteration_maps, key=lambda found: (len(found) - found.count(None), str(found)))


def is_one(dim: dims.Dim) -> bool:
    """Whether the dim is known to be 1."""
    return type(dim) is int and dim == 1


def external_reads(group: FusionGroup, stored: set[Variable]) -> list[Variable]:
    """The variables in memory that a group reads, including those behind recomputed values."""
    own = group.iteration_maps
    call = group.call
    found: dict[Variable, None] = {} if call is None else dict.fromkeys(call.inputs)
    stack = [v for node in group.members for v in node.inputs]
    seen: set[Variable] = set() if call is None else set(call.outputs)
    while stack:
        base = source_of(stack.pop(), stored)
        if base in seen or base in own:
            continue
        seen.add(base)
        if is_inline(base) and base not in stored:
            assert base.owner is not None
            stack.extend(base.owner.inputs)
        else:
            found[base] = None
    return list(found)


def is_costly(e: Expr) -> bool:
    """Whether computing the expression costs more than loading its value from cache."""
    return any(x.op in FUNCTIONS and FUNCTIONS[x.op].costly for x in parts(e))


@lru_cache(maxsize=4096)
def body_of(op: Op, dtypes: tuple[str, ...]) -> Expr:
    """What an elementwise op computes of operands of these dtypes; cached."""
    lower = op.record.lower
    assert isinstance(lower, Pointwise)
    return lower.body(*[var(f"x{k}", d) for k, d in enumerate(dtypes)], **op.attrs)


@lru_cache(maxsize=4096)
def is_slow_op(op: Op, dtypes: tuple[str, ...]) -> bool:
    """Whether computing an elementwise op costs more than loading its value from memory; cached."""
    found = parts(body_of(op, dtypes))
    return any(x.op in FUNCTIONS and FUNCTIONS[x.op].costly and not FUNCTIONS[x.op].instruction for x in found)


@lru_cache(maxsize=4096)
def is_costly_op(op: Op, dtypes: tuple[str, ...]) -> bool:
    """Whether an elementwise op of operands of these dtypes is costly; cached."""
    return is_costly(body_of(op, dtypes))


def nodes_of(unit: Unit) -> list[Apply]:
    """The applications that a unit computes, consumers first."""
    if not isinstance(unit, FusionGroup):
        return [unit]
    return unit.members if unit.call is None else [*unit.members, unit.call]


def base_of(v: Variable) -> Variable:
    """The variable whose memory a view refers to."""
    while v.owner is not None and isinstance(v.owner.op.record.lower, View):
        v = v.owner.inputs[0]
    return v


def symbols_of_unit(unit: Unit, reads: Sequence[Variable]) -> set[Any]:
    """The symbols in the dims of a unit's inputs and outputs, and in the attributes of its ops."""
    nodes = nodes_of(unit)
    found = {s for v in reads for d in v.type.shape for s in dims.symbols_of(d)}
    stack: list[Any] = []
    for node in nodes:
        for v in (*node.outputs, *node.inputs):
            found.update(s for d in v.type.shape for s in dims.symbols_of(d))
        stack.extend(node.op.attrs.values())
        for v in node.inputs:  # counters and dims are computed where they are read, not in a separate unit
            if v.owner is not None and isinstance(v.owner.op.record.lower, Indexed):
                stack.extend(v.owner.op.attrs.values())
    for v in reads:  # views include their offset
        while v.owner is not None and isinstance(v.owner.op.record.lower, View):
            stack.extend(v.owner.op.attrs.values())
            v = v.owner.inputs[0]
    known = {*reads, *(v for node in nodes for v in node.outputs)}
    behind = [v for node in nodes for v in node.inputs if v not in known]
    while behind:  # values recomputed where they are read, such as a dim as a number
        v = behind.pop()
        if v.owner is not None and v not in known:
            known.add(v)
            stack.extend(v.owner.op.attrs.values())
            stack.extend(v.type.shape)
            behind.extend(v.owner.inputs)
    while stack:
        value = stack.pop()
        if isinstance(value, tuple):
            stack.extend(value)
        elif isinstance(value, sympy.Basic):
            found.update(value.free_symbols)
        elif isinstance(value, Body):
            stack.extend(d for v in value.inputs for d in v.type.shape)
            for node in toposort(value.graph):
                stack.extend(node.op.attrs.values())
                stack.extend(d for v in node.outputs for d in v.type.shape)
    return found
