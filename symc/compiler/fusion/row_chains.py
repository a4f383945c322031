"""Products of matrices, what is computed of their rows, and products of that: chains that can run some rows at a time.

In attention, the scores of all queries with all keys are a large matrix, which one product stores, a softmax along its
rows reads and stores, and another product reads. A row of each value depends on the same row of the value before alone.
So a part of the rows can pass through the whole chain while it is in a cache, and the large matrices need no memory.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from symc.compiler.fusion.crossing import terms_map
from symc.compiler.fusion.groups import (
    FusionGroup,
    IterationMap,
    Unit,
    axes_of,
    base_of,
    external_reads,
    is_inline,
    resolve,
    results,
)
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import Axes, Indexed, LibraryCall, Pointwise, Reduction, View
from symc.loops.expr import names_in, var

__all__ = ["RowChain", "group_reads", "in_chain_order", "row_chains", "rows_first"]

LEAST_COLUMNS = 64
"""The least number of columns of a product that is worth a chain, if that number is known."""


@dataclass(frozen=True)
class RowChain:
    """A chain of units.

    Attributes
    ----------
    units : tuple of Unit
        The first is a product.
    lead : tuple of dims
        The axes of the rows: one, or matrices and the rows of each.
    own : tuple of Variable
        The values that nothing but the chain reads, all of them a row at a time.
    """

    units: tuple[Unit, ...]
    lead: tuple[dims.Dim, ...]
    own: tuple[Variable, ...]


def row_chains(
    units: Sequence[Unit], stored: set[Variable], outputs: Iterable[Variable], placed: Container[Variable]
) -> list[RowChain]:
    """The chains among ``units``, each unit in one of them at most; see ``RowChain``.

    Values in ``placed`` are parts of other tensors.
    """
    products = [k for k, unit in enumerate(units) if _begins(unit)]
    if not products:
        return []
    readers: dict[Variable, list[int]] = {}
    for k, unit in enumerate(units):
        if not isinstance(unit, FusionGroup) and isinstance(unit.op.record.lower, View):
            continue  # it computes nothing
        for v in dict.fromkeys(map(base_of, _reads(unit, stored))):
            readers.setdefault(v, []).append(k)
    needed = set(map(base_of, outputs))
    found: list[RowChain] = []
    taken: set[int] = set()
    for start in products:
        if start not in taken:
            chain = _chain(start, units, stored, readers, needed, placed, taken)
            if chain:
                members = tuple(units[k] for k in chain)
                taken.update(chain)
                made = [v for unit in members for v in results(unit)]
                own = [v for v in made if v not in needed and set(readers.get(v, ())) <= set(chain)]
                node = units[start]
                assert isinstance(node, Apply)
                found.append(RowChain(members, tuple(node.outputs[0].type.shape[:-1]), tuple(own)))
    return found


def in_chain_order(units: Sequence[Unit], chains: Sequence[RowChain]) -> list[Unit]:
    """The units, those of each chain one after another, where the last of them was: nothing before that reads them."""
    last = {id(chain.units[-1]): chain for chain in chains}
    inside = {id(unit) for chain in chains for unit in chain.units}
    order: list[Unit] = []
    for unit in units:
        if id(unit) in last:
            order.extend(last[id(unit)].units)
        elif id(unit) not in inside:
            order.append(unit)
    return order


def _reads(unit: Unit, stored: set[Variable]) -> Sequence[Variable]:
    return external_reads(unit, stored) if isinstance(unit, FusionGroup) else unit.inputs


def _is_product(unit: Unit) -> bool:
    if isinstance(unit, FusionGroup):
        return False
    lower = unit.op.record.lower
    return isinstance(lower, LibraryCall) and lower.name in ("gemm", "batched_gemm")


def _begins(unit: Unit) -> bool:
    if not _is_product(unit):
        return False
    assert isinstance(unit, Apply)
    shape = unit.outputs[0].type.shape
    columns = shape[-1]
    return not (type(columns) is int and columns < LEAST_COLUMNS) and unit.outputs[0].dtype in ("float32", "float64")


def _chain(
    start: int,
    units: Sequence[Unit],
    stored: set[Variable],
    readers: dict[Variable, list[int]],
    needed: Container[Variable],
    placed: Container[Variable],
    taken: Container[int],
) -> list[int]:
    """The positions of the units of a chain that begins with a product; empty if there is nothing to gain."""
    first = units[start]
    assert isinstance(first, Apply)
    lead = tuple(first.outputs[0].type.shape[:-1])
    scores = first.outputs[0]
    if scores in needed or scores in placed or not readers.get(scores):
        return []
    made = {scores}
    chain, waiting = [start], set(readers[scores])
    while waiting:
        k = min(waiting)
        unit = units[k]
        if k in taken or any(v in placed for v in results(unit)):
            break
        fits = _is_rowwise(unit, made, lead, stored) if isinstance(unit, FusionGroup) else _multiplies(unit, made, lead)
        if not fits:
            break
        chain.append(k)
        waiting.discard(k)
        for v in results(unit):
            made.add(v)
            waiting.update(readers.get(v, ()))
        waiting.difference_update(chain)
    whole = set(readers[scores]) <= set(chain)
    reduces = any(isinstance(units[k], FusionGroup) for k in chain)
    return chain if whole and reduces and len(chain) > 1 else []


def _multiplies(node: Apply, made: set[Variable], lead: Sequence[dims.Dim]) -> bool:
    """Whether a product multiplies rows that the chain makes by another matrix."""
    if not _is_product(node) or node.op["trans_a"]:
        return False
    a, b = node.inputs
    source, shape = base_of(a), tuple(node.outputs[0].type.shape[:-1])
    if source not in made or base_of(b) in made or not _same_size(a, source):
        return False
    if len(shape) == 1:
        return dims.equal(shape[0], dims.product(lead)) is True
    return len(lead) == 2 and all(dims.equal(x, y) is True for x, y in zip(shape, lead))


def _same_size(v: Variable, base: Variable) -> bool:
    return dims.equal(dims.product(v.type.shape), dims.product(base.type.shape)) is True


# --- groups -----------------------------------------------------------------------------------------------------------


def group_reads(group: FusionGroup, stored: set[Variable]) -> Iterator[tuple[Variable, IterationMap]] | None:
    """What the members of a group read, with iteration maps; None if some of it is not read element by element."""
    found: list[tuple[Variable, IterationMap]] = []
    for node in group.members:
        lower, at = node.op.record.lower, group.iteration_maps[node.outputs[0]]
        if isinstance(lower, Pointwise):
            found += [resolve(v, at, stored) for v in node.inputs]
        elif isinstance(lower, Reduction):
            found.append(resolve(node.inputs[0], terms_map(group, node), stored))
        elif isinstance(lower, Axes):
            found.append(resolve(node.inputs[0], tuple(None if k is None else at[k] for k in axes_of(node)), stored))
        else:
            return None
    return iter([(v, at) for v, at in found if v not in group.iteration_maps])


def rows_first(group: FusionGroup, stored: set[Variable], made: Container[Variable], count: dims.Dim) -> int | None:
    """The number of axes of a group that are those of ``count`` rows, which lead in all that it reads of ``made``."""
    reads = group_reads(group, stored)
    found: int | None = None
    for v, at in reads or ():
        if base_of(v) not in made:
            continue
        own = _leading(group, at, count)
        if own is None or found not in (None, own) or not _same_size(v, base_of(v)):
            return None
        found = own
    return found


def _leading(group: FusionGroup, at: IterationMap, count: dims.Dim) -> int | None:
    """The number of the first axes of the group that have ``count`` positions, if a map begins with these."""
    for k in range(1, len(at) + 1):
        if at[:k] != tuple(range(k)):
            return None
        if dims.equal(dims.product(group.axes[:k]), count) is True:
            return k
    return None


def _is_rowwise(group: FusionGroup, made: set[Variable], lead: Sequence[dims.Dim], stored: set[Variable]) -> bool:
    """Whether a group computes each row of what it stores from the same row of what the chain makes."""
    if group.call is not None or group.crossed or group.placed:
        return False
    number = rows_first(group, stored, made, dims.product(lead))
    if number is None or any(a < number for a in group.inner or ()):
        return False
    if any(group.iteration_maps[v][:number] != tuple(range(number)) for v in group.stored):
        return False
    if any(a is not None and a < number for v in group.stored for a in group.iteration_maps[v][number:]):
        return False
    whole = tuple(range(number))
    items = len(lead) == 2 and dims.equal(group.axes[number - 1], lead[1]) is True
    for v, at in group_reads(group, stored) or ():
        rows = tuple(a for a in at if a is not None and a < number)
        if not rows or isinstance(v, Constant) and v.data.size == 1:
            continue
        if is_inline(v) and v not in stored:
            if _counts(v, {k for k, a in enumerate(at) if a in rows}):
                return False
            continue
        if at[: len(rows)] != rows or list(rows) != sorted(rows) or rows != whole and not items:
            return False
    return True


def _counts(v: Variable, axes: set[int]) -> bool:
    """Whether a value that is computed where it is read may depend on its positions on some axes."""
    node = v.owner
    assert node is not None
    lower = node.op.record.lower
    if not isinstance(lower, Indexed) or lower.flat or node.inputs or lower.tail is not None:
        return True
    position = tuple(var(f"i{k}") for k in range(v.ndim))
    made = lower.element(node, position, None, lambda dim: var("size"))
    return any(f"i{k}" in names_in(made) for k in axes)
