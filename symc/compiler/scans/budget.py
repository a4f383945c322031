"""How many values of all steps a loop may store: the limit of memory for its states counts them, too."""

from __future__ import annotations

from collections.abc import Iterable

from symc.compiler.rewrite.ops import SLICE_AT
from symc.compiler.scans.loop import Loop, is_arrangement
from symc.graph import Variable, dims
from symc.tensor.scans.blocks import bytes_of

__all__ = ["fits"]


def fits(loop: Loop, values: Iterable[Variable], reader: Loop | None = None) -> bool:
    """Whether a loop may store these values of all steps, or read them from memory.

    Kept states and what the loop reads of the results of other loops count, too.

    Parameters
    ----------
    values : iterable of Variable
        Inside of the loop.
    reader : Loop, optional
        The loop that reads these values, if it is another one: its limit counts.
    """
    memory = (reader or loop).memory
    if not memory:
        return True
    own = bytes_of([s.inner for s in loop.states if s.keep])
    own = dims.add(own, bytes_of([v for v, outer in loop.sequences.items() if _of_a_loop(outer)]))
    more = bytes_of(list(dict.fromkeys(values)))
    total = dims.mul(loop.count, dims.add(own, more))
    if type(total) is int:
        return total <= memory
    return loop.blocked and dims.equal(dims.maximum(own, more), own) is True


def _of_a_loop(v: Variable) -> bool:
    """Whether a sequence is the result of a loop, or a part of it."""
    while v.owner is not None and (is_arrangement(v.owner) or v.owner.op.record is SLICE_AT):
        v = v.owner.inputs[0]
    return v.owner is not None and v.owner.op.record.repeats is not None
