"""Bounds of integers that an expression states itself, as a clipped index does: those need no check.

The bounds are dims. Arithmetic has bounds only in int64, and only if they are as small as lengths: narrower integers
may begin again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np

from symc.compiler.rewrite.algebra import record_of
from symc.compiler.rewrite.engine import constant_value
from symc.compiler.rewrite.ops import (
    ADD,
    ARANGE_OF,
    CAST,
    DIM_VALUE,
    DIMSHUFFLE,
    EXPAND,
    FLOOR_DIV,
    IOTA_AT,
    MAXIMUM,
    MINIMUM,
    NEG,
    RELU,
    SUB,
    SWITCH,
)
from symc.graph import Constant, Variable, dims
from symc.graph.dtypes import is_integer
from symc.graph.op import Record
from symc.tensor import elementwise as ew

__all__ = ["has_elements", "is_inside"]

Bounds = tuple[dims.Dim | None, dims.Dim | None]
"""The least and the greatest value, where they are known."""

DEEPEST = 16
"""The largest number of ops in a row through which bounds are followed."""
LARGEST = 1 << 40
"""The largest number that counts as small beside the range of int64."""
NONE: Bounds = (None, None)


def is_inside(index: Variable, length: dims.Dim, wrap: bool) -> bool:
    """Whether every element of ``index`` is a position on an axis of this length, if that has any element.

    Parameters
    ----------
    index : Variable
        An integer tensor of any shape.
    length : dim
    wrap : bool
        Whether positions from ``-length`` on count from the end.
    """
    given = _with_elements(length)
    length = dims.substitute(length, given)
    low, high = _bounds(index, given, DEEPEST)
    if low is None or high is None:
        return False
    if not _is_nonnegative(dims.add(low, length) if wrap else low):
        return False
    return _is_nonnegative(dims.sub(length, dims.add(high, 1)))


def has_elements(length: dims.Dim | None) -> bool:
    """Whether an axis is known to have any element."""
    return length is not None and _is_nonnegative(dims.sub(length, 1))


def _with_elements(length: dims.Dim) -> Mapping[object, dims.Dim]:
    """What to put in place of a length so that it is at least 1."""
    if type(length) is int or not length.is_Symbol:  # type: ignore[union-attr]
        return {}
    return {length: dims.add(dims.new_symbol("m"), 1)}


def _is_nonnegative(d: dims.Dim) -> bool:
    return d >= 0 if type(d) is int else dims.equal(dims.maximum(d, 0), d) is True  # type: ignore[operator]


def _bounds(v: Variable, given: Mapping[object, dims.Dim], depth: int) -> Bounds:
    """The bounds of an integer tensor: those that its op states, or else those of its dtype, if it is narrow."""
    if not is_integer(v.dtype):
        return NONE
    low, high = _stated(v, given, depth) if depth else NONE
    if np.dtype(v.dtype).itemsize > 4:
        return low, high
    limits = np.iinfo(v.dtype)
    return int(limits.min) if low is None else low, int(limits.max) if high is None else high


def _stated(v: Variable, given: Mapping[object, dims.Dim], depth: int) -> Bounds:
    if isinstance(v, Constant):
        small = v.data.size and abs(v.data.astype("float64")).max() < LARGEST
        return (int(v.data.min()), int(v.data.max())) if small else NONE
    node, record = v.owner, record_of(v)
    if node is None or record is None:
        return NONE
    if record is DIM_VALUE:
        d = dims.substitute(node.op["dim"], given)
        return d, d
    if record is IOTA_AT:
        return 0, dims.sub(dims.substitute(node.op["shape"][node.op["axis"]], given), 1)
    if record is ARANGE_OF:
        return _progression(v, given)
    if record is CAST and not _is_wider(v.dtype, node.inputs[0].dtype):
        return NONE
    if record in (ADD, SUB, NEG) and v.dtype != "int64":
        return NONE
    rule = _RULES.get(record)
    if rule is None:
        return NONE
    operands = node.inputs[1:] if record is SWITCH else node.inputs
    return rule([_bounds(a, given, depth - 1) for a in operands])


def _progression(v: Variable, given: Mapping[object, dims.Dim]) -> Bounds:
    start, step = (constant_value(a) for a in v.owner.inputs)  # type: ignore[union-attr]
    if v.dtype != "int64" or start is None or step is None or max(abs(start), abs(step)) > 2**20:
        return NONE
    steps = dims.sub(dims.substitute(v.type.shape[0], given), 1)
    ends = int(start), dims.add(int(start), dims.mul(int(step), steps))
    return ends if step >= 0 else ends[::-1]


def _is_wider(new: str, old: str) -> bool:
    return is_integer(old) and np.can_cast(old, new)


def _same(found: Sequence[Bounds]) -> Bounds:
    return found[0]


def _minimum(found: Sequence[Bounds]) -> Bounds:
    return _if_all(dims.minimum, [low for low, _ in found]), _of_known(dims.minimum, [high for _, high in found])


def _maximum(found: Sequence[Bounds]) -> Bounds:
    return _of_known(dims.maximum, [low for low, _ in found]), _if_all(dims.maximum, [high for _, high in found])


def _relu(found: Sequence[Bounds]) -> Bounds:
    return _maximum([*found, (0, 0)])


def _clip(found: Sequence[Bounds]) -> Bounds:
    x, least, greatest = found
    return _minimum([_maximum([x, least]), greatest])


def _either(found: Sequence[Bounds]) -> Bounds:
    return _if_all(dims.minimum, [low for low, _ in found]), _if_all(dims.maximum, [high for _, high in found])


def _add(found: Sequence[Bounds]) -> Bounds:
    low, high = (_if_all(dims.add, list(ends)) for ends in zip(*found))
    return (None, None) if low is None or high is None else (low, high)  # one without bounds may be of any size


def _neg(found: Sequence[Bounds]) -> Bounds:
    ((low, high),) = found
    return (None, None) if low is None or high is None else (dims.sub(0, high), dims.sub(0, low))


def _sub(found: Sequence[Bounds]) -> Bounds:
    return _add([found[0], _neg(found[1:])])


def _floor_div(found: Sequence[Bounds]) -> Bounds:
    (low, high), (least, greatest) = found
    if type(least) is not int or least < 1 or least != greatest:
        return NONE
    return tuple(None if e is None else dims.floordiv(e, least) for e in (low, high))  # type: ignore[return-value]


def _mod(found: Sequence[Bounds]) -> Bounds:
    _, (least, greatest) = found
    if least is None or greatest is None or not _is_nonnegative(dims.sub(least, 1)):
        return NONE
    return 0, dims.sub(greatest, 1)


def _and(found: Sequence[Bounds]) -> Bounds:
    """No bit is set that is not set in an operand which is not negative."""
    highest = [high for low, high in found if low is not None and high is not None and _is_nonnegative(low)]
    return (0, reduce(dims.minimum, highest)) if highest else NONE


Combined = Callable[[dims.Dim, dims.Dim], dims.Dim]


def _if_all(combine: Combined, found: Sequence[dims.Dim | None]) -> dims.Dim | None:
    known = [d for d in found if d is not None]
    return reduce(combine, known) if len(known) == len(found) else None


def _of_known(combine: Combined, found: Sequence[dims.Dim | None]) -> dims.Dim | None:
    known = [d for d in found if d is not None]
    return reduce(combine, known) if known else None


_RULES: dict[Record, Callable[[Sequence[Bounds]], Bounds]] = {
    ADD: _add,
    CAST: _same,
    DIMSHUFFLE: _same,
    EXPAND: _same,
    FLOOR_DIV: _floor_div,
    MAXIMUM: _maximum,
    MINIMUM: _minimum,
    NEG: _neg,
    RELU: _relu,
    SUB: _sub,
    SWITCH: _either,
    ew.and_.record: _and,
    ew.clip.record: _clip,
    ew.mod.record: _mod,
}
