"""Chains of units that run some rows at a time: see ``symc.compiler.fusion.row_chains``.

The program contains both forms, the steps of all rows one after another and a loop over blocks of rows whose body is
the same steps with fewer rows, and each call decides (``rows_in_blocks`` in ``symc.loops.calls``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symc.compiler.fusion import FusionGroup, IterationMap, Unit, is_inline
from symc.compiler.fusion.groups import base_of, results
from symc.compiler.fusion.row_chains import RowChain, group_reads, rows_first
from symc.compiler.lowering.builder import KernelBuilder
from symc.compiler.lowering.fusion_group import lower_group
from symc.compiler.lowering.sharing import viewed
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import LibraryCall
from symc.loops.calls import CALLS
from symc.loops.expr import index, var
from symc.loops.ir import Branch, Call, Kernel, Loop, Node, OwnRows, Ref, Rows, Step
from symc.loops.routines import suffix

__all__ = ["in_blocks"]


class _Unfit(Exception):
    """The chain has no form in blocks."""


def in_blocks(
    chain: RowChain,
    whole: Sequence[Node],
    stored: set[Variable],
    ref_of: Callable[[Variable], Ref],
    is_private: Callable[[Ref], bool],
    memory_of: Callable[[int], int],
    flag: Callable[[], Ref],
) -> list[Node] | None:
    """Nodes that run a chain in blocks of rows, or as ``whole``; None if it can only run as a whole.

    ``is_private`` tells whether a reference is to a temporary that a block may have elsewhere, ``memory_of`` which
    buffer has the memory of another. ``flag`` makes a bool in memory.
    """
    if not all(isinstance(node, Step) for node in whole):
        return None
    try:
        blocks = _Blocks(chain, stored, ref_of, is_private, memory_of)
        body = [step for unit in chain.units for step in blocks.steps(unit)]
    except _Unfit:
        return None
    if not blocks.own or _overwrites(body, blocks, memory_of):
        return None
    rows = Rows(blocks.first, blocks.last, blocks.count, blocks.size, tuple(blocks.own.values()))
    loop = Loop(dims.new_symbol("once"), 1, tuple(body), rows=rows)
    each: dims.Dim = 0
    for own in rows.own:
        each = dims.add(each, own.bytes)
    items = chain.lead[0] if len(chain.lead) > 1 else 1
    sizes = (items, blocks.size, each, blocks.terms)
    condition = flag()
    decide = Call("rows_in_blocks_u8", ("b0",), tuple(var(f"n{k}") for k in range(len(sizes))))
    kernel = Kernel("rows in blocks", ("bool",), frozenset([0]), len(sizes), (decide,), index(0), index(0))
    first = whole[0]
    assert isinstance(first, Step)
    return [Step(kernel, (condition,), sizes, first.locations), Branch(condition, (loop,), tuple(whole))]


def _overwrites(body: Sequence[Step], blocks: _Blocks, memory_of: Callable[[int], int]) -> bool:
    """Whether a block stores results over something that other blocks may still read."""
    own = {k for part in blocks.own.values() for k in part.buffers}
    written = {k for step in body for k in step.writes} - own
    memory = {memory_of(k) for k in written}
    return any(memory_of(k) in memory for step in body for k in step.buffers if k not in own and k not in written)


class _Blocks:
    """The steps of a chain for the rows from ``first`` to ``last``, all of which belong to one matrix."""

    def __init__(
        self,
        chain: RowChain,
        stored: set[Variable],
        ref_of: Callable[[Variable], Ref],
        is_private: Callable[[Ref], bool],
        memory_of: Callable[[int], int],
    ) -> None:
        self.stored = stored
        self.made = {v for unit in chain.units for v in results(unit)}
        self._ref_of = ref_of
        self.count, self.size = dims.product(chain.lead), chain.lead[-1]
        self.first: Any = dims.new_symbol("first")
        self.last: Any = dims.new_symbol("last")
        self.rows = dims.sub(self.last, self.first)
        # the number of the matrix, and of the first row in it
        self.item = _quotient(self.first, self.size) if len(chain.lead) > 1 else 0
        self.within = dims.sub(self.first, dims.mul(self.item, self.size))
        self.terms: dims.Dim = 0
        self.own: dict[int, OwnRows] = {}  # by the number of the memory
        self.private: set[Variable] = set()
        for v in chain.own:
            base, offset = viewed(v)
            if offset != 0 or not is_private(ref_of(base)):
                continue
            self.private.add(base)
            number = ref_of(base).buffer
            memory = memory_of(number)
            known = self.own.get(memory)
            if known is None:
                each = dims.product(self._row(base, chain.lead))
                known = OwnRows((), dims.mul(each, np.dtype(base.dtype).itemsize))
            self.own[memory] = OwnRows((*known.buffers, number), known.bytes)

    def _row(self, v: Variable, lead: Sequence[dims.Dim]) -> Sequence[dims.Dim]:
        """The axes of a row of a value."""
        for k in range(len(v.type.shape) + 1):
            if dims.equal(dims.product(v.type.shape[:k]), self.count) is True and (k or dims.equal(self.count, 1)):
                return v.type.shape[k:]
        raise _Unfit

    def steps(self, unit: Unit) -> list[Step]:
        """The steps of a unit for the rows of a block."""
        return self._group(unit) if isinstance(unit, FusionGroup) else [self._product(unit)]

    def _moved(self, v: Variable, offset: dims.Dim) -> Ref:
        """The memory of a value from an element on, or that of the block's own rows."""
        ref = self._ref_of(v)
        return ref if base_of(v) in self.private else Ref(ref.buffer, dims.add(ref.offset, offset))

    # --- products -------------------------------------------------------------------------------------------------

    def _product(self, node: Apply) -> Step:
        lower = node.op.record.lower
        assert isinstance(lower, LibraryCall)
        spec = CALLS[lower.name]
        p = dict(zip(spec.params, lower.params(node)))
        (a, b), out = node.inputs, node.outputs[0]
        batched = lower.name == "batched_gemm"
        item, row = (self.item, self.within) if batched else (0, self.first)
        strides = {letter: p[f"stride{letter}"] if batched else 0 for letter in "ABC"}
        step_a = 1 if p["transA"] else p["lda"]
        at_a = dims.add(dims.mul(item, strides["A"]), dims.mul(row, step_a))
        at_c = dims.add(dims.mul(item, strides["C"]), dims.mul(row, p["ldc"]))
        p["M"] = self.rows
        if batched:
            p["batch"] = 1
        if not self.terms:
            self.terms = p["K"]
        ref_b = self._ref_of(b)
        builder = KernelBuilder(node.op.name, self._ref_of)
        c = builder.buffer(self._moved(out, at_c), out.dtype, True)
        left = builder.buffer(self._moved(a, at_a), a.dtype)
        right = builder.buffer(Ref(ref_b.buffer, dims.add(ref_b.offset, dims.mul(item, strides["B"]))), b.dtype)
        params = tuple(builder.size(d) for d in p.values())
        builder.flops = spec.flops(*params)
        sizes = [(v.dtype, dims.mul(p[m], p[n])) for v, m, n in ((out, "M", "N"), (a, "M", "K"), (b, "K", "N"))]
        call = Call(f"{lower.name}_{suffix(out.dtype)}", (c, left, right), params)
        return builder.step([call], [out.location], sizes)

    # --- groups ---------------------------------------------------------------------------------------------------

    def _group(self, group: FusionGroup) -> list[Step]:
        lead = rows_first(group, self.stored, self.made, self.count)
        assert lead is not None
        offsets: dict[Variable, dims.Dim] = {}
        reads = [*(group_reads(group, self.stored) or ()), *((v, group.iteration_maps[v]) for v in group.stored)]
        for v, at in reads:
            if isinstance(v, Constant) and v.data.size == 1 or is_inline(v) and v not in self.stored:
                continue
            offset = self._offset(group, at, lead)
            if offsets.setdefault(v, offset) != offset:
                raise _Unfit  # it is read at several rows
        axes: list[dims.Dim] = [*[1] * (lead - 1), self.rows, *group.axes[lead:]]

        def ref_of(v: Variable) -> Ref:
            return self._moved(v, offsets[v]) if v in offsets else self._ref_of(v)

        def new(dtype: str, shape: Sequence[dims.Dim]) -> Ref:
            raise _Unfit

        return lower_group(replace(group, axes=axes), self.stored, ref_of, new)

    def _offset(self, group: FusionGroup, at: IterationMap, lead: int) -> dims.Dim:
        """Where the elements begin that a block reads of a value with this iteration map."""
        number = sum(a is not None and a < lead for a in at)
        pitch = dims.product(group.axes[a] for a in at[number:] if a is not None)
        if number == lead:
            return dims.mul(self.first, pitch)
        offset: dims.Dim = 0
        for a in at[:number]:
            assert a is not None
            offset = dims.add(dims.mul(offset, group.axes[a]), self._position(group, a, lead))
        return dims.mul(offset, pitch)

    def _position(self, group: FusionGroup, axis: int, lead: int) -> dims.Dim:
        """The position of a block on one of the axes of rows."""
        if axis == lead - 1:
            return self.within
        behind = dims.product(group.axes[axis + 1 : lead - 1])
        found = _quotient(self.item, behind)
        before = dims.mul(_quotient(found, group.axes[axis]), group.axes[axis]) if axis else 0
        return dims.sub(found, before)


def _quotient(a: dims.Dim, b: dims.Dim) -> dims.Dim:
    """``a // b``, where nothing is computed if ``b`` is 0."""
    return dims.floordiv(a, dims.maximum(b, 1))
