"""The form that suits a group, and folds split into parts."""

from __future__ import annotations

from collections.abc import Callable

from symc import dims
from symc.fusion import Group
from symc.graph import Variable
from symc.loops.expr import ONE, ZERO, Expr, call, index, minimum, var
from symc.loops.ir import Accumulate, Load, Step, Store
from symc.lowering.builder import KernelBuilder
from symc.lowering.folds import Folds, identity_of
from symc.lowering.maps import Maps
from symc.op import Fold


class GroupLowering(Maps, Folds):
    """All forms, and the choice among them."""

    def lower(self) -> list[Step]:
        """The steps that compute the group's stored values."""
        if not self.group.inner:
            return [self.map()]
        outputs = dims.product(self.sizes[a] for a in self.outer)
        terms = dims.product(self.sizes[a] for a in self.inner)
        machine = self.group.machine
        few = type(outputs) is int and outputs <= machine.few_results
        long = not (type(terms) is int and terms * (outputs if few else 1) <= machine.split_above)
        if few and long and self._single_phase():
            return self._split()
        return [self.phased()]

    def _single_phase(self) -> bool:
        if any(self.is_inner(v) for v in self.group.stored):
            return False
        return all(self.level(n.outputs[0]) == 1 for n in self.group.members if isinstance(n.op.record.lower, Fold))

    def _split(self) -> list[Step]:
        """Partial folds over pieces of one inner axis in parallel, then a small kernel that combines them."""
        sizes = [(self.sizes[a], a) for a in self.inner]
        axis = next((a for s, a in sizes if type(s) is not int), None)
        if axis is None:
            axis = max(sizes)[1]
        folds = self.folds_at(0)
        results = dims.product(self.sizes[a] for a in self.outer)
        count = self.group.machine.parts
        parts = {v: self.new_buffer(v.dtype, (count, results)) for v in folds}

        self.begin(KernelBuilder(self.label, self.buffer_of))
        whole = self.k.size(self.sizes[axis])
        part = self.open_parts(count)
        length = self.let(self.levels[-1], call("floordiv", whole + (count - 1), index(count)))
        start = self.let(self.levels[-1], minimum(part * length, whole))
        extent = self.let(self.levels[-1], minimum(whole - start, length))
        piece = (axis, start, extent)

        def partial(v: Variable) -> None:
            name = self.k.fresh("x")
            self.put(Load(name, self.accumulators[v], self.lane_index, v.dtype))
            at = ZERO
            for a in self.outer:
                at = at * self.k.size(self.sizes[a]) + self.at[a]
            target = self.k.buffer(parts[v], v.dtype, True)
            self.put(Store(target, part * self.k.size(results) + at, var(name, v.dtype)))

        if self.columns_last():
            self.column_body(piece, partial)
        else:
            self.row_body(piece)
            for v in folds:
                partial(v)
        share = call("floordiv", self.k.size(dims.product(self.sizes[a] for a in self.order)), index(count))
        each = call("floordiv", share, call("max", self.jobs(), ONE))
        self.close("o", self.jobs() * count, "parallel", each * self.member_weight())
        first = self.finish()
        return [first, self._combine(folds, parts, results)]

    def open_parts(self, count: int) -> Expr:
        """Open one parallel loop over all parts of all rows or blocks of columns; gives the number of the part."""
        self.push(None, None)
        if not self.outer:
            return var("o")
        jobs = self.jobs()
        self.spread_outer(self.let(self.levels[-1], call("mod", var("o"), jobs)))
        return self.let(self.levels[-1], call("floordiv", var("o"), jobs))

    def _combine(self, folds: list[Variable], parts: dict[Variable, int], results: dims.Dim) -> Step:
        self.begin(KernelBuilder(self.label + " (combine)", self.buffer_of))
        self.lane_index = ZERO
        counter = ZERO
        if self.outer:
            counter = var("o")
            self.push(None, None)
            self.spread(self.outer, counter)
        for v in folds:
            self.new_accumulator(v, ONE)
            self.put(Store(self.accumulators[v], ZERO, identity_of(v)))
        self.push(None, None)
        for v in folds:
            lower = self.node_of[v].op.record.lower
            assert isinstance(lower, Fold)
            name = self.k.fresh("x")
            self.put(Load(name, self.k.buffer(parts[v], v.dtype), var("p") * self.k.size(results) + counter, v.dtype))
            self.put(Accumulate(self.accumulators[v], ZERO, var(name, v.dtype), lower.combine))
        self.close("p", index(self.group.machine.parts), "simd")
        self.store(self.group.stored)
        if self.outer:
            self.close("o", self.total(self.outer), "parallel", index(self.group.machine.parts))
        return self.k.step(self.levels[0].statements, self.traces)


def lower_group(
    group: Group, stored: set[Variable], buffer_of: Callable[[Variable], int], new_buffer: Callable[..., int]
) -> list[Step]:
    """The steps that compute a group's stored values."""
    return GroupLowering(group, stored, buffer_of, new_buffer).lower()
