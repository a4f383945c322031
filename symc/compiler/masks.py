"""Elements selected by a mask: sums of them and writes to their places need no list of the selected elements.

``x[mask].sum()`` becomes the sum of ``switch(mask, x, 0)``, and the gradient of that, a scatter to the places of the
true elements, ``switch(mask, g, 0)``: elementwise ops and reductions, which are fused and vectorised, where a serial
loop would write the places of the true elements first. Between the selection and the sum there may be elementwise ops,
which are then applied to all elements. If anything else reads the selected elements, they are listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from symc.compiler.bodies import symbols_in
from symc.compiler.rewrite.algebra import record_of, source_of
from symc.compiler.rewrite.engine import constant_value, filled
from symc.compiler.rewrite.failures import may_fail
from symc.compiler.rewrite.layout import known_dim
from symc.compiler.rewrite.ops import (
    ALL,
    ANY,
    CHECKED_INDEX,
    DIM_VALUE,
    EXPAND,
    FLOOR_DIV,
    GATHER,
    MAX,
    MIN,
    PART,
    PROD,
    RESHAPE_TO,
    SCATTER,
    SUM,
)
from symc.errors import building_at
from symc.graph import Apply, Graph, Variable, dims
from symc.graph.body import Equality
from symc.graph.op import Op, Pointwise, Reduction
from symc.graph.traversal import substituted
from symc.tensor import elementwise as ew
from symc.tensor.axes import DIMSHUFFLE
from symc.tensor.broadcasting import expand
from symc.tensor.indices.selection import TRUE_PLACES

__all__ = ["without_lists"]

MOD = ew.mod.record
_REDUCTIONS = (SUM, PROD, MAX, MIN, ANY, ALL)


ROUNDS = 4
"""How often the graph is searched: values selected from selected values are taken one level at a time."""


def without_lists(
    graph: Graph, symbols: tuple[Any, ...], equalities: Sequence[Equality]
) -> tuple[Sequence[Variable], tuple[Any, ...]]:
    """Do without lists of selected elements where possible.

    ``graph`` ends with the integers whose values are ``symbols``; returns the new graph and the symbols that it needs.
    """
    for _ in range(ROUNDS):
        listings = [node for node in graph.order if node.op.record is TRUE_PLACES]
        if not listings:
            break
        values = dict(zip(graph[len(graph) - len(symbols) :], symbols))
        reads = _Reads(graph, len(graph) - len(symbols))
        known: dict[Variable, Variable] = {}
        dropped: set[Any] = set()
        for listing in listings:
            symbol = values.get(listing.outputs[0])
            found = None if symbol is None else _Selection(reads, listing, symbol).replaced()
            if found is not None:
                known.update(found)
                dropped.add(symbol)
        if not dropped:
            break
        graph, symbols = _pruned(Graph(substituted(graph, known)), symbols, dropped, equalities)
    return graph, symbols


def _pruned(
    graph: Graph, symbols: tuple[Any, ...], dropped: set[Any], equalities: Sequence[Equality]
) -> tuple[Graph, tuple[Any, ...]]:
    """The graph without the values of those symbols among ``dropped`` that no dim has any more."""
    needed = {s for e in equalities for d in (e.left, e.right) for s in dims.symbols_of(d)}
    needed.update(s for node in graph.order for s in _symbols(node))
    kept = [s not in dropped or s in needed for s in symbols]
    count = len(graph) - len(symbols)
    values = [v for v, keep in zip(graph[count:], kept) if keep]
    return Graph([*graph[:count], *values]), tuple(s for s, keep in zip(symbols, kept) if keep)


def _symbols(node: Apply) -> set[Any]:
    """The symbols in the shapes of the outputs of an application, and in its op's attributes."""
    found = {s for v in node.outputs for d in v.type.shape for s in dims.symbols_of(d)}
    return found | symbols_in(node.op.attrs.values())


class _Reads:
    """Where values and symbols occur in a graph, so that a selection looks only at the applications that concern it."""

    def __init__(self, graph: Graph, results: int) -> None:
        self.order = graph.order
        self.results = set(graph[:results])
        self.readers: dict[Variable, list[int]] = {}
        self.having: dict[Any, list[int]] = {}
        for k, node in enumerate(graph.order):
            for v in node.inputs:
                self.readers.setdefault(v, []).append(k)
            for symbol in _symbols(node):
                self.having.setdefault(symbol, []).append(k)


class _Selection:
    """The values that one list of places selects, and the same values before their selection."""

    def __init__(self, reads: _Reads, listing: Apply, symbol: Any) -> None:
        self.reads, self.listing, self.symbol = reads, listing, symbol
        mask = listing.inputs[0]
        if record_of(mask) is RESHAPE_TO:
            mask = mask.owner.inputs[0]  # type: ignore[union-attr]
        self.mask = mask
        self.positions: dict[Variable, int] = {}  # index vectors: the axis of the mask
        self.rest: dict[Variable, int] = {}  # the flat position of the leading axes, and how many there are
        self.whole: dict[Variable, Variable] = {}  # selected values, in all elements

    def replaced(self) -> dict[Variable, Variable] | None:
        """What replaces values that the list is used for, in terms of the graph; None if anything needs the list."""
        known: dict[Variable, Variable] = {}
        with building_at(self.listing.outputs[0].location):
            counted = Op(SUM, axes=tuple(range(self.mask.ndim)), dtype=None)(ew.cast(self.mask, "int64"))
        known[self.listing.outputs[0]] = counted
        places = self.listing.outputs[1]
        waiting = {*self.reads.readers.get(places, ()), *self.reads.having.get(self.symbol, ())}
        queue = sorted(waiting)  # positions in the order, as a heap
        while queue:
            node = self.reads.order[heappop(queue)]
            if node is self.listing:
                continue
            out = node.outputs[0]
            with building_at(out.location):
                done = self._node(node, places, known, counted)
            if done is None or done and out in self.reads.results and out not in known:
                return None
            if done and out not in known:
                for k in self.reads.readers.get(out, ()):
                    if k not in waiting:
                        waiting.add(k)
                        heappush(queue, k)
        return known

    def _node(self, node: Apply, places: Variable, known: dict[Variable, Variable], counted: Variable) -> bool | None:
        """Take a node: True if it is replaced or needless, False if it stays, None if it needs the list."""
        out = node.outputs[0]
        record = node.op.record
        if places in node.inputs:
            if record is PART and out.ndim == 1 and dims.equal(node.op["offset"], 0) is True:
                if dims.equal(out.type.shape[0], self.symbol) is True:
                    self.rest[out] = self.mask.ndim
                    if self.mask.ndim == 1:
                        self.positions[out] = 0
                    return True
            return None
        if record is DIM_VALUE and dims.equal(node.op["dim"], self.symbol) is True:
            known[out] = counted
            return True
        if any(v in self.rest or v in self.positions or v in self.whole for v in node.inputs):
            return self._selected(node, known)
        if self.symbol in _symbols(node):  # what is repeated for each selected element
            if record is EXPAND and source_of(out).ndim == 0 and self._leads(out):
                source = source_of(out)
                self.whole[out] = expand(source, self._lengths(out))
                return True
            return None
        return False

    def _leads(self, v: Variable) -> bool:
        """Whether the selected elements are along the first axis, and along no other."""
        first, *rest = v.type.shape or (None,)
        if first is None or dims.equal(first, self.symbol) is not True:
            return False
        return all(self.symbol not in dims.symbols_of(d) for d in rest)

    def _lengths(self, v: Variable) -> tuple[dims.Dim, ...]:
        """The shape of a selected value before its selection."""
        return (*self.mask.type.shape, *v.type.shape[1:])

    def _selected(self, node: Apply, known: dict[Variable, Variable]) -> bool | None:
        record, out = node.op.record, node.outputs[0]
        if record in (FLOOR_DIV, MOD, CHECKED_INDEX):
            return True if self._position(node) else None
        if record is GATHER:
            return True if self._gathered(node) else None
        if record is SCATTER:
            return True if self._scattered(node, known) else None
        values = [self.whole.get(v) for v in node.inputs]
        if any(v is None for v in values) or any(v in self.rest for v in node.inputs):
            return None
        if isinstance(node.op.record.lower, Pointwise) and not may_fail(node):
            self.whole[out] = node.op(*values)
            return True
        if record in _REDUCTIONS and 0 in node.op["axes"]:
            known[out] = self._reduced(node, values[0])  # type: ignore[arg-type]
            return True
        return None

    def _position(self, node: Apply) -> bool:
        """Take the position along an axis, which is a quotient or a remainder of a flat position."""
        out, (index, by) = node.outputs[0], node.inputs
        if node.op.record is CHECKED_INDEX:
            axis = self.positions.get(index)
            if axis is None or not self._is(known_dim(by), axis):
                return False
            self.positions[out] = axis
            return True
        above = self.rest.get(index, 0)
        number = constant_value(by)
        size = int(number) if number is not None else known_dim(source_of(by))
        if above < 2 or not self._is(size, above - 1):
            return False
        if node.op.record is MOD:
            self.positions[out] = above - 1
        else:
            self.rest[out] = above - 1
            if above == 2:
                self.positions[out] = 0
        return True

    def _is(self, size: dims.Dim | None, axis: int) -> bool:
        return size is not None and dims.equal(size, self.mask.type.shape[axis]) is True

    def _covers(self, op: Op, x: Variable, indices: Sequence[Variable]) -> bool:
        """Whether the indices select from the leading axes of ``x`` by the mask."""
        count = self.mask.ndim
        if tuple(op["axes"]) != tuple(range(count)) or op["place"] != 0 or len(indices) != count:
            return False
        in_order = all(self.positions.get(i) == k for k, i in enumerate(indices))
        return in_order and all(self._is(x.type.shape[k], k) for k in range(count))

    def _gathered(self, node: Apply) -> bool:
        x, *indices = node.inputs
        if x in self.whole or not self._covers(node.op, x, indices):
            return False
        self.whole[node.outputs[0]] = x
        return True

    def _scattered(self, node: Apply, known: dict[Variable, Variable]) -> bool:
        x, y, *indices = node.inputs
        value = self.whole.get(y)
        if x in self.whole or value is None or not self._covers(node.op, x, indices):
            return False
        written = value if node.op["replace"] else ew.add.op(x, value)
        known[node.outputs[0]] = ew.switch.op(self._spread(value), written, x)
        return True

    def _spread(self, value: Variable) -> Variable:
        """The mask, repeated along the axes behind it."""
        more = value.ndim - self.mask.ndim
        if not more:
            return self.mask
        order = (*range(self.mask.ndim), *["x"] * more)
        return expand(Op(DIMSHUFFLE, order=order)(self.mask), value.type.shape)

    def _reduced(self, node: Apply, value: Variable) -> Variable:
        """The reduction over all elements, of which those that are not selected change nothing."""
        lower, count = node.op.record.lower, self.mask.ndim
        assert isinstance(lower, Reduction)
        neutral = filled(lower.identity(value.dtype), value.dtype, value.type.shape)
        axes = (*range(count), *(k + count - 1 for k in node.op["axes"] if k))
        kept = ew.switch.op(self._spread(value), value, neutral)
        return Op(node.op.record, **{**node.op.attrs, "axes": axes})(kept)
