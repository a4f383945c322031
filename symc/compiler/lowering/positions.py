"""Positions of extremes, as in ``argmax``: what they look like in a group, and their terms beside those of the extreme.

The position of a column's largest element is the least position of an element that equals the maximum, which needs a
second pass over memory. Where columns are lanes, there is one pass instead: each lane keeps the largest element so far
and its position. Positions have 32 bits, within blocks of terms whose positions are added up in 64 bits.
"""

from __future__ import annotations

from symc.compiler.fusion import is_inline, resolve
from symc.compiler.fusion.groups import IterationMap
from symc.compiler.lowering.nest import Level, Nest
from symc.graph import Constant, Variable
from symc.graph.dtypes import is_float
from symc.graph.op import Indexed, Pointwise, Reduction
from symc.loops.expr import ONE, ZERO, Expr, call, cast, const, exceeds, var
from symc.loops.ir import Load, Store

__all__ = ["NONE", "POSITION", "POSITION_TERMS", "Positions", "identity_of"]

POSITION = "int32"
"""The dtype of positions in registers, of which twice as many as int64 fit a vector."""
POSITION_TERMS = 1 << 30
"""The number of terms of a block, so that its positions fit this dtype."""
NONE = -1
"""The position where no element exceeds the identity of the reduction."""


class Positions(Nest):
    """Positions of extremes."""

    def restart(self) -> None:
        super().restart()
        self.terms: tuple[Expr, Expr] = (ZERO, ZERO)  # the start and the number of the terms of a column
        self.last_block: Expr = ZERO  # the first term of the last block
        self.step: Expr = ZERO  # the number of the current term in its block

    def pair_positions(self) -> None:
        """Find the positions that have terms beside those of their extreme, in the current order of axes."""
        self.beside, self.levels_of = {}, None
        if len(self.inner) != 1 or not self.outer or self.order[-1] not in self.outer:
            return
        for v in [n.outputs[0] for n in self.reducing]:
            extreme = self._extreme_of(v) if self.is_position(v) else None
            if extreme is not None:
                self.beside[v] = extreme

    def is_position(self, v: Variable) -> bool:
        """Whether a reduction is the least position along a row where a condition holds, as in ``argmax``.

        That is the minimum of a choice between an index along an inner axis and the largest int64.
        """
        source, none = self.node_of[v].inputs[0], identity_of(v, v.dtype)
        if v.dtype != "int64" or source not in self.node_of or len(self.node_of[source].inputs) != 3:
            return False
        node, axes = self.node_of[source], self.iteration_maps[source]
        chosen, places = resolve(node.inputs[1], axes, self.stored)
        other, _ = resolve(node.inputs[2], axes, self.stored)
        if not is_inline(chosen) or chosen.owner is None or chosen.owner.inputs or not isinstance(other, Constant):
            return False
        index_of, choice = chosen.owner.op.record.lower, node.op.record.lower
        if other.data.size != 1 or other.data.item() != none.value or not isinstance(choice, Pointwise):
            return False
        assert isinstance(index_of, Indexed)
        names = tuple(ZERO if a is None else var(f"axis{a}") for a in places)
        place = index_of.element(chosen.owner, names, lambda k, at: ZERO, self.k.size)
        chooses = call("select", var("condition", "bool"), place, none)
        made = choice.body(*chooses.args, **node.op.attrs)
        inside = any(place.same(var(f"axis{a}")) for a in self.inner)
        return inside and made.same(chooses) and self.combined(v, place, place).op == "min"

    def combined(self, v: Variable, a: Expr, b: Expr) -> Expr:
        """Combine two terms of the reduction ``v``."""
        lower = self.node_of[v].op.record.lower
        assert isinstance(lower, Reduction)
        return call(lower.combine, a, b)

    def _extreme_of(self, position: Variable) -> Variable | None:
        """The extreme of which a position is the first one; None if its condition is another one."""
        choice = self.node_of[position].inputs[0]
        for node in self.reducing:
            v, (x, axes) = node.outputs[0], self.reads_of(node, self.iteration_maps[node.outputs[0]])[0]
            lower = node.op.record.lower
            assert isinstance(lower, Reduction)
            if lower.combine not in ("max", "min") or x.dtype != v.dtype:
                continue
            condition = self._in_terms_of(v, (x, axes), self.node_of[choice].inputs[0], self.iteration_maps[choice])
            element, best = var("element", v.dtype), var("best", v.dtype)
            if condition is not None and any(condition.same(e) for e in _found_by(element, best)):
                return v
        return None

    def _in_terms_of(
        self, extreme: Variable, element: tuple[Variable, IterationMap], v: Variable, axes: IterationMap
    ) -> Expr | None:
        """The expression of ``v`` in terms of an ``element`` and the ``extreme``; None if it depends on more."""
        if v not in self.node_of:
            v, axes = resolve(v, axes, self.stored)
        if v is extreme:
            return var("best", v.dtype)
        if v is element[0] and self.compact(axes) == self.compact(element[1]):
            return var("element", v.dtype)
        lower = self.node_of[v].op.record.lower if v in self.node_of else None
        if not isinstance(lower, Pointwise) or v.dtype != "bool":
            return None
        args = [self._in_terms_of(extreme, element, a, axes) for a in self.node_of[v].inputs]
        return None if None in args else lower.body(*args, **self.node_of[v].op.attrs)

    def put_with_position(self, extreme: Variable, position: Variable, element: Expr) -> None:
        """Add to the innermost loop a term of an extreme, with its position."""
        level, dtype = self.levels[-1], extreme.dtype
        element = self.let(level, element)
        memory, places = self.accumulators[extreme][0], self.block_sums.get(position) or self.accumulators[position][0]
        best = self._scratch(level, memory, self.lane_index, dtype)
        at = self._scratch(level, places, self.lane_index, POSITION)
        better = self.let(level, exceeds(self.combined(extreme, element, best).op, element, best))
        self.put(Store(memory, self.lane_index, call("select", better, element, best)))
        self.put(Store(places, self.lane_index, call("select", better, cast(self.step, POSITION), at)))

    def end_block_of_positions(self, v: Variable) -> None:
        """Move the positions of a block to the totals, in which they are among all terms."""
        level, part, (total, dtype) = self.levels[-1], self.block_sums[v], self.accumulators[v]
        assert self.block_start is not None
        at = self._scratch(level, part, self.lane_index, POSITION)
        before = self._scratch(level, total, self.lane_index, dtype)
        self.put(Store(total, self.lane_index, call("select", at >= 0, cast(at, dtype) + self.block_start, before)))
        self.put(Store(part, self.lane_index, const(NONE, POSITION)))

    def accumulated(self, home: Level, value: Variable) -> Expr:
        """The current result of a reduction; positions that were found beside an extreme are among all terms then.

        Where no element exceeded the identity, all are equal to it, and the first one counts.
        """
        if value not in self.beside:
            return super().accumulated(home, value)
        start, extent = self.terms
        memory, dtype = self.accumulators[value]
        found = cast(self._scratch(home, memory, self.lane_index, dtype), "int64")
        if value in self.block_sums:
            at = self._scratch(home, self.block_sums[value], self.lane_index, POSITION)
            found = call("select", at >= 0, cast(at, "int64") + self.last_block, found)
        found = self.let(home, found)
        first = call("select", extent >= ONE, start, identity_of(value, "int64"))
        return call("select", found >= 0, found + start, self.let(home, first))

    def combine_position(self, v: Variable, extreme: Variable, part: str, parts_of_extreme: str, at: Expr) -> Expr:
        """The position of a part if the part has the extreme of all, else the identity."""
        level = self.levels[-1]
        names = self.k.fresh("x"), self.k.fresh("x")
        self.put(Load(names[0], part, at, v.dtype))
        self.put(Load(names[1], parts_of_extreme, at, extreme.dtype))
        best = self._scratch(level, self.accumulators[extreme][0], self.lane_index, extreme.dtype)
        condition = _found_by(var(names[1], extreme.dtype), best)[0]
        return call("select", condition, var(names[0], v.dtype), identity_of(v, v.dtype))


def identity_of(v: Variable, dtype: str) -> Expr:
    """The identity of a reduction."""
    assert v.owner is not None and isinstance(v.owner.op.record.lower, Reduction)
    return const(v.owner.op.record.lower.identity(dtype), dtype)


def _found_by(element: Expr, best: Expr) -> list[Expr]:
    """The conditions, in several forms, under which an element is the extreme."""
    equal = [call("eq", element, best), call("eq", best, element)]
    if not is_float(element.dtype):
        return equal
    undefined = call("isnan", element)
    return [call("or", *found) for e in equal for found in ((e, undefined), (undefined, e))]
