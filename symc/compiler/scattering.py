"""Checks of index vectors become reductions, and scatters compute cheap operands in their own loops.

A check of a vector of indices would store another vector: the indices that are known to be valid. Instead, reductions
find the least and the greatest index, which may raise the error, and what reads the indices converts those that count
from the end, and limits them to the range. So no index is outside of the memory even before the error is raised.

The values and the indices of a scatter are often broadcasts, conversions of integers and such conversions of indices.
If nothing else reads them, they are not stored: the loop of the scatter computes each element. Rows that are added to
a large table of zeros become a call that sums the rows of each place, see ``symc.tensor.indices.row_sums``.

A write of a part into a tensor that repeats a number, such as padding or the gradient of a slice, or of most of
a tensor, such as the inner points of a grid, walks the memory of the result once, row by row, and computes what it
writes. Such writes one after another, each of which adds to what the last one made, walk it together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence

from symc.compiler.bodies import with_ops
from symc.compiler.fusion.groups import base_of, is_costly_op, is_inline, unarranged
from symc.compiler.index_bounds import has_elements, is_inside
from symc.compiler.rewrite.algebra import record_of
from symc.compiler.rewrite.engine import filled, is_constant
from symc.compiler.rewrite.failures import may_fail
from symc.compiler.rewrite.layout import known_dim
from symc.compiler.rewrite.ops import CAST, CHECKED_INDEX, DIM_VALUE, EXPAND, MAX, MIN, SCATTER, WRITE_AT
from symc.compiler.value_numbering import ValueNumbering
from symc.errors import building_at, located
from symc.graph import Apply, Constant, Graph, Variable, clone_with, dims
from symc.graph.body import Body
from symc.graph.dtypes import is_integer
from symc.graph.op import Axes, Indexed, Op, Pointwise
from symc.tensor import elementwise as ew
from symc.tensor.basic import constant
from symc.tensor.broadcasting import expand
from symc.tensor.checked import CHECKED_LENGTH
from symc.tensor.indices.framing import FRAMED, padded_axis
from symc.tensor.indices.row_sums import ROW_SUMS, are_row_sums
from symc.tensor.indices.scatter_of import SCATTER_OF
from symc.tensor.symbolic_dims import dim_value

__all__ = ["checks_apart", "framed_writes", "scatters_with_operands"]

MOST = 12
"""The largest number of ops that a scatter computes per element, in place of reading a stored operand."""

MOST_IN_FRAMES = 48
"""The same for a write that walks memory once, such as a stencil of nine points."""

MOST_WRITES = 16
"""The largest number of writes that walk memory together."""

WIDE = 24
"""The least number of elements of a row, where it is known, that several writes walk together."""

SHORTEST = 8
"""The least number of elements of a row that is written in three parts."""


def checks_apart(graph: Graph) -> Sequence[Variable]:
    """Replace the checks of index vectors by reductions, errors that depend on these, and valid indices.

    Single indices are valid where their bounds say so, and keep their checks elsewhere.
    """
    if CHECKED_INDEX not in graph.records:
        return graph
    numbering = ValueNumbering()

    def made(node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable]:
        first = node.outputs[0]
        single = node.op.record is CHECKED_INDEX and not first.ndim
        if single and (size := known_dim(inputs[1])) is not None and has_elements(size):
            if is_inside(inputs[0], size, False):
                return inputs[:1]
        if node.op.record is not CHECKED_INDEX or single:
            return numbering.make(node.op, inputs, first.location, first.name, node)
        message = located(node.op["text"], node.inputs[:1], node.op["repair"], first.location)
        with building_at(first.location):
            valid = _valid(inputs[0], inputs[1], node.op["wrap"], message)
        return numbering.adopt([valid], location=first.location)

    return numbering.rebuild(graph, graph.order, made)


def _valid(i: Variable, n: Variable, wrap: bool, message: str) -> Variable:
    """The indices ``i`` into an axis of ``n``, from 0 on and less than ``n`` even if the error is yet to be raised.

    Indices that are known to be positions on any axis that is not empty need no reductions.
    """
    shape = i.type.shape
    size = known_dim(n)
    wrap = wrap and not (size is not None and is_inside(i, size, False))
    inside = size is not None and is_inside(i, size, wrap)
    if inside and has_elements(size):
        return _from_beginning(i, n) if wrap else i
    if inside:
        none = constant(0, dtype="int64")
        wrong = ew.and_.op(ew.lt.op(n, constant(1, dtype="int64")), ew.gt.op(dim_value(dims.product(shape)), none))
    else:
        wrong = _outside(i, n, wrap)
    length = Op(CHECKED_LENGTH, message=message)(wrong, n)
    if wrap:
        i = _from_beginning(i, length)
    last = expand(ew.sub.op(length, constant(1, dtype="int64")), shape)
    return ew.maximum.op(filled(0, "int64", shape), ew.minimum.op(i, last))


def _from_beginning(i: Variable, length: Variable) -> Variable:
    """Positions from the beginning, for those that may count from the end."""
    zero = filled(0, "int64", i.type.shape)
    return ew.switch.op(ew.lt.op(i, zero), ew.add.op(i, expand(length, i.type.shape)), i)


def _outside(i: Variable, n: Variable, wrap: bool) -> Variable:
    """Whether any of the indices is no position on an axis of ``n``; the extrema of no indices are in range."""
    raw = i
    if record_of(i) is CAST and is_integer(i.owner.inputs[0].dtype) and i.owner.inputs[0].dtype != "uint64":  # type: ignore[union-attr]
        raw = i.owner.inputs[0]  # type: ignore[union-attr]
    least, greatest = (ew.cast(Op(kind, axes=tuple(range(i.ndim)), dtype=None)(raw), "int64") for kind in (MIN, MAX))
    lowest = ew.neg.op(n) if wrap else constant(0, dtype="int64")
    return ew.or_.op(ew.lt.op(least, lowest), ew.ge.op(greatest, n))


def scatters_with_operands(graph: Graph) -> Sequence[Variable]:
    """Let every scatter compute what only it reads, if that is cheap."""
    if SCATTER not in graph.records:
        return graph
    return _replaced(graph, lambda node: node.op.record is SCATTER, _with_operands)


def framed_writes(graph: Graph) -> Sequence[Variable]:
    """Replace writes that fill a frame by ops that write the whole result, and compute what only they read."""
    if WRITE_AT not in graph.records:
        return graph
    return _replaced(graph, lambda node: node.op.record is WRITE_AT and _is_frame(node), _framed)


Replacement = Callable[[Apply, Mapping[Variable, int]], tuple[Op, list[Variable]]]


def _replaced(graph: Graph, chosen: Callable[[Apply], bool], replacement: Replacement) -> Sequence[Variable]:
    """The graph with other ops in place of the chosen ones; ``replacement`` gets how many ops read each value."""
    readers = Counter(v for node in graph.order for v in dict.fromkeys(node.inputs))
    readers.update(graph)  # a result is stored
    return with_ops(graph, lambda node: replacement(node, readers) if chosen(node) else (node.op, node.inputs))


def _is_frame(node: Apply) -> bool:
    x, value = node.inputs[:2]
    row = _row(node)
    if any(s != 1 for s in node.op["steps"]) or (type(row) is int and row < SHORTEST):
        return False
    return _repeats_a_number(x) or _is_most(value.type.shape, x.type.shape)


def _row(node: Apply) -> dims.Dim:
    """How many elements a write walks at once."""
    x, value = node.inputs[:2]
    return dims.product(x.type.shape[padded_axis(value.type.shape, x.type.shape) :]) if x.ndim else 0


def _repeats_a_number(x: Variable) -> bool:
    return record_of(x) is EXPAND and x.owner.inputs[0].ndim == 0  # type: ignore[union-attr]


def _is_most(inner: Sequence[dims.Dim], outer: Sequence[dims.Dim]) -> bool:
    """Whether a part has at least half of all elements: a small part would better be written in place."""
    part, whole = dims.product(inner), dims.product(outer)
    if type(part) is int and type(whole) is int:
        return 2 * part >= whole
    left = [dims.sub(b, a) for a, b in zip(inner, outer)]
    return all(type(d) is int and d <= SHORTEST for d in left)


def _framed(node: Apply, readers: Mapping[Variable, int]) -> tuple[Op, list[Variable]]:
    writes = _one_after_another(node, readers)
    first = writes[0]
    x = first.inputs[0]
    around = x.owner.inputs[0] if _repeats_a_number(x) else x  # type: ignore[union-attr]
    values = [w.inputs[1] for w in writes]
    axis = max(padded_axis(v.type.shape, x.type.shape) for v in values)
    inside: set[Variable] = set()
    if axis == x.ndim - 1:  # by elements
        for v in (around, *values):
            inside |= _computed_inside([v], readers, MOST_IN_FRAMES - len(inside))
    for w in writes:
        inside |= _computed_inside(w.inputs[2:], readers, MOST)
    outputs = [around, *values, *(s for w in writes for s in w.inputs[2:])]
    leaves = _leaves(outputs, inside)
    return Op(FRAMED, made=_body(outputs, leaves), shape=x.type.shape, replace=first.op["replace"]), leaves


def _one_after_another(node: Apply, readers: Mapping[Variable, int]) -> list[Apply]:
    """The write, and before it those whose results nothing but the next one reads."""
    writes = [node]
    while len(writes) < MOST_WRITES and not writes[-1].op["replace"] and _is_wide(writes[-1]):
        before = writes[-1].inputs[0]
        if record_of(before) is not WRITE_AT or readers[before] > 1:
            break
        owner = before.owner
        assert owner is not None
        if not _is_frame(owner) or not _is_wide(owner):
            break
        writes.append(owner)
    return writes[::-1]


def _is_wide(node: Apply) -> bool:
    row = _row(node)
    return not (type(row) is int and row < WIDE) and _is_most(node.inputs[1].type.shape, node.inputs[0].type.shape)


def _with_operands(node: Apply, readers: Mapping[Variable, int]) -> tuple[Op, list[Variable]]:
    """The scatter that computes what only it reads, and its inputs."""
    x, *outputs = node.inputs
    inside = _computed_inside(outputs, readers, MOST)
    attrs = {name: node.op[name] for name in ("axes", "place", "replace")}
    value, *indices = outputs
    if is_constant(x, 0) and not _repeats_a_number(value) and are_row_sums(value, indices, x.type.shape, node.op):
        leaves = _leaves(outputs, inside - {value})
        return Op(ROW_SUMS, made=_body(outputs, leaves), shape=x.type.shape, **attrs), leaves
    leaves = _leaves(outputs, inside)
    if not inside or any(base_of(v) is base_of(x) for v in leaves):  # the result may have the memory of x
        return node.op, list(node.inputs)
    return Op(SCATTER_OF, made=_body(outputs, leaves), **attrs), [x, *leaves]


def _body(outputs: Sequence[Variable], leaves: Sequence[Variable]) -> Body:
    """What computes the outputs from the leaves."""
    own = [Variable(v.type) for v in leaves]
    return Body(own, clone_with(outputs, dict(zip(leaves, own))))


def _computed_inside(outputs: Sequence[Variable], readers: Mapping[Variable, int], most: int) -> set[Variable]:
    """What an op that reads ``outputs`` computes itself: cheap values that nothing else reads."""
    inside: set[Variable] = set()
    seen: Counter[Variable] = Counter({v: 1 for v in outputs})  # how many of the ops that read it are inside
    pending = list(dict.fromkeys(outputs))
    while pending and len(inside) < most:
        v = pending.pop()
        if v not in inside and _is_cheap(v) and (seen[v] == readers[v] or _is_free(v)):
            inside.add(v)
            before = list(dict.fromkeys(v.owner.inputs))  # type: ignore[union-attr]
            seen.update(before)
            pending += before
    return inside


def _leaves(outputs: Sequence[Variable], inside: Container[Variable]) -> list[Variable]:
    """The values in memory from which those ``inside`` are computed."""
    found: dict[Variable, None] = {}
    pending, met = list(reversed(outputs)), set()
    while pending:
        v = pending.pop()
        if v in met:
            continue
        met.add(v)
        if v in inside:
            pending += reversed(v.owner.inputs)  # type: ignore[union-attr]
        elif not (isinstance(v, Constant) and v.data.size == 1) and record_of(v) is not DIM_VALUE:
            found[v] = None
    return list(found)


def _is_cheap(v: Variable) -> bool:
    """Whether a value costs less to compute per element than to store and read."""
    node = v.owner
    if node is None or may_fail(node):
        return False
    lower = node.op.record.lower
    if isinstance(lower, Pointwise):
        return not is_costly_op(node.op, tuple(u.dtype for u in node.inputs))
    return isinstance(lower, Axes) or isinstance(lower, Indexed) and not lower.flat


def _is_free(v: Variable) -> bool:
    """Whether a value is a number or a counter, repeated, or integers converted: whoever reads it computes it, too."""
    source = unarranged(v)
    if not source.ndim or is_inline(source):
        return True
    source = v.owner.inputs[0]  # type: ignore[union-attr]
    return record_of(v) is CAST and is_integer(v.dtype) and is_integer(source.dtype)
