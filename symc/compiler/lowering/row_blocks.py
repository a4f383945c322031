"""Chains of units that run some rows at a time: see ``symc.compiler.fusion.row_chains``.

The program contains both forms, the steps of all rows one after another and a loop over blocks of rows whose body is
the same steps with fewer rows. Which of them a call runs follows from the sizes: the values that the steps pass on must
be larger than a cache, blocks of them smaller, and products shallow, so that memory takes a part of the time worth
saving. In blocks, each thread has memory for the values of one block, and the large arrays are not allocated.
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
from symc.loops.expr import call, index, var
from symc.loops.ir import ROWS_IN_BLOCKS, Branch, Buffer, Call, Kernel, Loop, Node, OwnRows, Ref, Rows, Step, Store
from symc.loops.routines import suffix

__all__ = ["block_of", "in_blocks", "pays"]

BLOCK_BYTES = 1 << 20
"""What the steps of a block pass on to each other: it stays in a core's cache."""
LEAST_BLOCK = 32
"""Rows: products of fewer read the other operand too often."""
MOST_BLOCK_BYTES = 1 << 22
"""Of a block with the least rows."""
LEAST_BYTES = 1 << 20
"""Of the values of all rows: fewer are in the caches anyway."""
MOST_TERMS = 256
"""Of the first product: with more, products take most of the time."""


def block_of(size: dims.Dim, each: dims.Dim) -> dims.Dim:
    """The number of rows of a block, of a matrix of ``size`` rows for each of which ``each`` bytes are passed on."""
    rows = dims.floordiv(BLOCK_BYTES, dims.maximum(each, 1))
    return dims.minimum(size, dims.maximum(rows, LEAST_BLOCK))


def pays(count: dims.Dim, size: dims.Dim, each: dims.Dim, terms: dims.Dim) -> dims.Dim:
    """1 if ``count`` rows, of matrices of ``size`` rows, should pass in blocks, else 0.

    ``each`` bytes of a row are passed on, and the first product is over ``terms``.
    """
    block = dims.mul(block_of(size, each), each)
    large = dims.floordiv(dims.mul(count, each), LEAST_BYTES)
    enough = dims.floordiv(size, LEAST_BLOCK)
    cached = dims.floordiv(MOST_BLOCK_BYTES, dims.maximum(block, 1))
    shallow = dims.floordiv(MOST_TERMS, dims.maximum(terms, 1))
    found: dims.Dim = 1
    for condition in (large, enough, cached, shallow):
        found = dims.minimum(found, condition)
    return found


class _Unfit(Exception):
    """The chain has no form in blocks."""


def in_blocks(
    chain: RowChain,
    whole: Sequence[Node],
    stored: set[Variable],
    ref_of: Callable[[Variable], Ref],
    buffers: Sequence[Buffer],
    is_own: Callable[[int], bool],
    flag: Callable[[], Ref],
) -> list[Node] | None:
    """Nodes that run a chain in blocks of rows, or as ``whole``; None if it can only run as a whole.

    ``is_own`` tells whether a buffer is a temporary of the scope, ``flag`` makes a bool in memory. The buffers of
    values that only blocks would use have no room where the chain runs in blocks.
    """
    if not all(isinstance(node, Step) for node in whole):
        return None

    def memory_of(number: int) -> int:
        while buffers[number].alias >= 0:
            number = buffers[number].alias
        return number

    def is_private(ref: Ref) -> bool:
        return ref.offset == 0 and is_own(ref.buffer) and not buffers[ref.buffer].dynamic

    try:
        blocks = _Blocks(chain, stored, ref_of, is_private, memory_of)
        body = [step for unit in chain.units for step in blocks.steps(unit)]
    except _Unfit:
        return None
    if not blocks.own or _overwrites(body, blocks, memory_of):
        return None
    each: dims.Dim = 0
    for part in blocks.own.values():
        each = dims.add(each, part.bytes)
    yes = pays(blocks.count, blocks.size, each, blocks.terms)
    if yes == 0:
        return None
    own = {k for part in blocks.own.values() for k in part.buffers}
    shared = {memory_of(k) for k in range(len(buffers)) if k not in own}
    for k in own - shared:
        if buffers[k].alias < 0:
            buffers[k].room = dims.mul(dims.sub(1, yes), dims.product(buffers[k].shape))
    rows = Rows(
        blocks.first, blocks.last, blocks.count, blocks.size, block_of(blocks.size, each), tuple(blocks.own.values())
    )
    loop = Loop(dims.new_symbol("once"), 1, tuple(body), rows=rows)
    if yes == 1:
        return [loop]
    condition = flag()
    store = Store("b0", index(0), call("ne", var("n0"), index(0)))
    decide = Kernel(ROWS_IN_BLOCKS, ("bool",), frozenset([0]), 1, (store,), index(0), index(0))
    first = whole[0]
    assert isinstance(first, Step)
    return [Step(decide, (condition,), (yes,), first.locations), Branch(condition, (loop,), tuple(whole))]


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
        made = Call(f"{lower.name}_{suffix(out.dtype)}", (c, left, right), params)
        return builder.step([made], [out.location], sizes)

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
