"""States of which only the last value is used keep no trajectory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symc.compiler.rewrite.ops import STEPS_DONE
from symc.compiler.scans.loop import Loop, is_arrangement
from symc.compiler.scans.values import all_after, is_first_rows
from symc.graph import Apply, Constant, Variable, dims
from symc.graph.op import Op, Pointwise
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import constant
from symc.tensor.symbolic_dims import as_dim, dim_value

__all__ = ["Uses", "last_only", "read_of_last", "stacked_after", "steps_done"]

Uses = Mapping[Variable, Sequence[Apply]]
"""The applications that read a variable."""


def steps_done(node: Apply, symbols: Sequence[Any], outputs: Sequence[Variable]) -> dims.Dim | None:
    """The dim that is the number of steps of a loop that a condition may end; None if nothing has such a length.

    ``outputs`` ends with the integers whose values ``symbols`` are.
    """
    for symbol, v in zip(symbols, outputs[len(outputs) - len(symbols) :]):
        if v.owner is not None and v.owner.op.record is STEPS_DONE:
            v = v.owner.inputs[0]
        if v is node.outputs[-1]:
            found: dims.Dim = symbol
            return found
    return None


def last_only(
    loop: Loop, uses: Uses, results: frozenset[Variable], done: dims.Dim | None = None
) -> dict[int, list[Apply]]:
    """Let states of which only the last value is used keep nothing else.

    Parameters
    ----------
    loop : Loop
        ``loop.states`` are changed.
    uses : mapping
        The applications that read a variable outside.
    results : set of Variable
        Variables that are read in other ways.
    done : Dim, optional
        The number of steps that were done, if a condition may end the loop.

    Returns
    -------
    dict
        Maps the positions of these states to the applications that read their last value from the trajectory.
    """
    found: dict[int, list[Apply]] = {}
    if loop.until is not None and done is None:
        return found
    for k, (state, trajectory) in enumerate(zip(loop.states, loop.node.outputs)):
        if not state.keep or trajectory in results:
            continue
        after = all_after(trajectory).owner
        assert after is not None
        views = uses.get(trajectory, ())
        if not views or any(view.op != after.op or view.outputs[0] in results for view in views):
            continue
        readers = [node for view in views for node in uses.get(view.outputs[0], ())]
        if done is not None:
            if any(not is_first_rows(node, done) or node.outputs[0] in results for node in readers):
                continue
            readers = [node for part in readers for node in uses.get(part.outputs[0], ())]
        if readers and all(_reads_last(node, loop.count if done is None else done) for node in readers):
            state.keep = False
            found[k] = readers
    return found


def stacked_after(loop: Loop, uses: Uses, results: frozenset[Variable]) -> dict[int, Variable]:
    """Stack the values of states after the steps, if all else that is read of their trajectories is nothing.

    This saves a copy where they are results of a function. Only loops that compute elements independently of each other
    are changed, whose states are in registers then, and which follow the order of their sequences.

    Returns
    -------
    dict
        Maps the positions of these states to the views of their trajectories that the stacked values replace.
    """
    found: dict[int, Variable] = {}
    if loop.backwards or not all(is_arrangement(n) or isinstance(n.op.record.lower, Pointwise) for n in loop.order):
        return found
    for k, (state, trajectory) in enumerate(zip(loop.states, loop.node.outputs)):
        after = all_after(trajectory).owner if state.keep else None
        views = uses.get(trajectory, ())
        if after is None or trajectory in results or len(views) != 1 or views[0].op != after.op:
            continue
        state.keep = False
        loop.stack(state.after)
        found[k] = views[0].outputs[0]
    return found


def _reads_last(node: Apply, count: dims.Dim) -> bool:
    """Whether a slice reads only the last entry."""
    contiguous = node.op.record.contiguous
    shape = node.outputs[0].type.shape
    if contiguous is None or "steps" not in node.op.attrs or not shape or shape[0] != 1:
        return False
    start = node.inputs[1]
    if start.owner is None or not start.owner.op.record.fallible:
        return dims.equal(as_dim(start), dims.sub(count, 1)) is True
    index, length = start.owner.inputs[:2]
    at_end = isinstance(index, Constant) and index.data.size == 1 and int(index.data) == -1
    return bool(at_end and start.owner.op.attrs.get("wrap") and dims.equal(as_dim(length), count) is True)


def read_of_last(node: Apply, last: Variable, count: dims.Dim) -> Variable:
    """The result of ``node``, which reads the last entry of a trajectory, from the last value alone.

    An index that may be out of range, since there may be no steps, is still computed.
    """
    whole = dimshuffle(last, ["x", *range(last.ndim)])
    start = node.inputs[1]
    first: Variable = constant(0, dtype="int64")
    if start.owner is not None and start.owner.op.record.fallible:
        first = ew.sub(start, dim_value(dims.sub(count, 1)))
    return Op(node.op.record, **node.op.attrs)(whole, first, *node.inputs[2:])
