"""The gradient of ``scan``: a scan in the opposite direction.

It recomputes intermediate values of a step from its initial states. Only the last steps are differentiated if the
gradient is truncated, and only those that were done if ``until`` ended the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc.gradient.absent import NullType
from symc.gradient.reverse import grad
from symc.graph import Apply, Constant, Variable, dims, toposort
from symc.graph.body import Body
from symc.graph.dtypes import is_float, is_integer
from symc.graph.gradient_flow import ZERO, Undefined
from symc.graph.op import Axes, Op, record
from symc.graph.test_values import building_inside
from symc.graph.traversal import keep_tags
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.axes import pad_left
from symc.tensor.basic import constant
from symc.tensor.broadcasting import broadcast_like, sum
from symc.tensor.joining import join
from symc.tensor.scans.blocks import exceeds_memory, gradient_by_blocks
from symc.tensor.scans.program import FACTS, Roles, rows, specialised, steps_done, without
from symc.tensor.symbolic_dims import following_from_shapes, same_length

__all__ = ["SCAN", "apply_scan"]


class _Window:
    """The steps to differentiate: ``number`` of them, from step ``first`` on.

    Parameters
    ----------
    op, inputs, outputs
        The application of the scan.
    """

    def __init__(self, op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> None:
        self.n = inputs[0]
        self.whole = not op["until"] and op["truncate"] < 0
        self.backwards = op["backwards"]
        self.done = steps_done(outputs[-1], self.n) if op["until"] else self.n
        self.number = self.done
        self.first: Variable = constant(0, dtype="int64")
        if op["truncate"] >= 0:
            self.number = ew.minimum(self.done, constant(op["truncate"], dtype="int64"))
            self.first = self.done - self.number

    @property
    def _start(self) -> Variable:
        """The position of the window in sequences."""
        return self.done - self.first - self.number if self.backwards else self.first

    def of_sequence(self, v: Variable) -> Variable:
        """The part of a sequence, or of a gradient in the order of sequences."""
        return v if self.whole else rows(v, self._start, self.number)

    def of_history(self, v: Variable) -> Variable:
        """The part of a variable with an entry per step."""
        return v if self.whole else rows(v, self.first, self.number)

    def padded(self, g: Variable, sequence: Variable) -> Variable:
        """The gradient of a sequence from that of its part: zeros elsewhere."""
        if self.whole:
            return g
        before, after = self._start, self.n - self._start - self.number
        zero = _zeros(sequence, g.dtype)
        return join(0, rows(zero, 0, before), g, rows(zero, 0, after))


def _gradient(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """Scan backwards over time: the adjoints of the states are states, those of the constants are summed."""
    sequences, states, constants = op["roles"].split(inputs[1:])
    body: Body = op["body"]
    x, before, c = op["roles"].split(body.inputs)
    window = _Window(op, inputs, outputs)
    if not op["memory"] and op["truncate"] < 0 and exceeds_memory(inputs[0], states):
        return gradient_by_blocks(op, inputs, gs, window.done, window.of_sequence, apply_scan)
    moving = [k for k, s in enumerate(states) if is_float(s.dtype)]
    made = body.outputs[len(states) : len(body.outputs) - op["until"]]

    # inputs of the backward step: copies of the step's inputs, and the output gradients
    adjoint = {k: _like(before[k], f"d state {k}") for k in moving}
    arriving = {k: _like(before[k], f"g state {k}") for k in moving if op["keep"][k] and not _is_zero(gs[k])}
    g_made = {
        j: _like(v, f"g output {j}")
        for j, v in enumerate(made)
        if is_float(v.dtype) and not _is_zero(gs[len(states) + j])
    }
    with building_inside():  # variables of the step have no test values
        total = [sum(body.outputs[k] * _added(adjoint[k], arriving.get(k))) for k in moving]
        total += [sum(made[j] * g) for j, g in g_made.items()]
        slopes = _slopes(total, body.inputs)
        by_s = [before[k] * 0 if before[k] not in slopes else slopes[before[k]] for k in moving]
    by_x = [slopes[v] for v in x if v in slopes]
    of_c = [(inner, v, slopes[inner]) for inner, v in zip(c, constants) if inner in slopes]

    def from_history(v: Variable) -> Variable:
        """The window's part of a variable in the order of the steps, in the order of the sequences."""
        part = window.of_history(v)
        return part[::-1] if op["backwards"] else part

    kept = _Trajectories(op, inputs, outputs)
    back_sequences = [
        *((inner, window.of_sequence(v)) for inner, v in zip(x, sequences)),
        *((before[k], from_history(without(False, kept[k]))) for k in range(len(states))),
        *((arriving[k], from_history(without(True, gs[k]))) for k in arriving),
        *((g_made[j], window.of_sequence(gs[len(states) + j])) for j in g_made),
    ]
    starts = [_zeros(states[k]) if op["keep"][k] else gs[k] for k in moving]
    sums = [_like(g, f"sum {k}") for k, (*_, g) in enumerate(of_c)]
    zeros = [_zeros(v, g.dtype) for _, v, g in of_c]
    results, stacked, _ = apply_scan(
        window.number,
        back_sequences,
        [(adjoint[k], start, g) for k, start, g in zip(moving, starts, by_s)]
        + [(s, z, s + g) for s, z, (*_, g) in zip(sums, zeros, of_c)],
        list(zip(c, constants)),
        by_x,
        not op["backwards"],
        keep=False,
        memory=op["memory"],
    )
    to_x, to_c = iter(stacked), iter(results[len(moving) :])
    to_s = {k: _at_start(window, op["keep"][k], results[j], gs[k]) for j, k in enumerate(moving)}
    return [
        None,
        *(window.padded(next(to_x), v) if inner in slopes else _absent(v) for inner, v in zip(x, sequences)),
        *(to_s[k] if k in to_s else _of_integers(before[k] in slopes) for k in range(len(states))),
        *(next(to_c) if inner in slopes else _absent(v) for inner, v in zip(c, constants)),
    ]


def _absent(v: Variable) -> Any:
    """The gradient by a value that no output of the step depends on, indices and shapes aside."""
    return ZERO if is_float(v.dtype) else None


def _of_integers(converted: bool) -> Any:
    """The gradient by the initial value of an integer state: the next one is an integer, whose derivative is zero."""
    return Undefined("the first step of a scan converts an integer state to a float") if converted else ZERO


def _at_start(window: _Window, kept: bool, adjoint: Variable, g: Variable) -> Variable:
    """The gradient of an initial state: what flows back to it, unless the window begins later, and what arrives."""
    if not window.whole:
        adjoint = ew.switch(ew.eq(window.first, 0), adjoint, 0)
    return adjoint + g[0] if kept and not _is_zero(g) else adjoint


class _Trajectories:
    """The values of the states before each step, and after the last.

    A state that only repeats the previous value of another one (a tap into the past) need not be stored.
    """

    def __init__(self, op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> None:
        self.op, self.inputs, self.outputs = op, inputs, outputs
        _, self.starts, _ = op["roles"].split(inputs[1:])
        _, before, _ = op["roles"].split(op["body"].inputs)
        position = {v: k for k, v in enumerate(before)}
        after = op["body"].outputs[: len(before)]
        self.follows = {k: position[v] for k, v in enumerate(after) if position.get(v, k) != k}

    def __getitem__(self, k: int) -> Variable:
        chain = [k]
        while self.follows.get(chain[-1], chain[0]) not in chain:
            chain.append(self.follows[chain[-1]])
        found = self._stored(chain.pop())
        while chain:
            found = join(0, pad_left(self.starts[chain.pop()], found.ndim), without(False, found))
        return found

    def _stored(self, k: int) -> Variable:
        if self.op["keep"][k]:
            return self.outputs[k]
        every = Op(self.op.record, **{**self.op.attrs, "keep": (True,) * len(self.starts)})
        return every.all(*self.inputs)[k]


def _like(v: Variable, name: str) -> Variable:
    return Variable(TensorType(v.dtype, v.type.shape), None, 0, name)


def _is_zero(g: Variable) -> bool:
    """Whether a gradient is zero because nothing depends on the output."""
    while g.owner is not None and g.owner.op.record.enlarges is not None:
        g = g.owner.inputs[0]
    return isinstance(g, Constant) and g.data.size == 1 and not g.data.any()


def _zeros(v: Variable, dtype: str | None = None) -> Variable:
    dtype = dtype or v.dtype
    return broadcast_like(constant(np.zeros((), dtype), dtype=dtype), v)


def _added(a: Variable, b: Variable | None) -> Variable:
    return a if b is None else a + b


def _slopes(total: Sequence[Variable], wrt: Sequence[Variable]) -> dict[Variable, Variable]:
    """Gradients of the sum of ``total`` by the floats and integers among ``wrt`` on whose values it depends."""
    if not total:
        return {}
    cost = total[0]
    for more in total[1:]:
        cost = cost + more
    numbers = [v for v in wrt if is_float(v.dtype) or is_integer(v.dtype)]
    options: dict[str, Any] = {"disconnected_inputs": "ignore", "return_disconnected": "none"}
    found = grad(cost, numbers, null_gradients="return", **options)
    undefined = [v for v, g in zip(numbers, found) if g is not None and isinstance(g.type, NullType)]
    grad(cost, [v for v in undefined if is_float(v.dtype)], **options)  # an error; integers may be states of draws
    return {v: g for v, g in zip(numbers, found) if g is not None and v not in undefined}


SCAN = record("scan", grad=_gradient, specialise=specialised, **FACTS)


# --- application ------------------------------------------------------------------------------------------------------


def apply_scan(
    count: Variable,
    sequences: Sequence[tuple[Variable, Variable]],
    states: Sequence[tuple[Variable, Variable, Variable]],
    constants: Sequence[tuple[Variable, Variable]],
    made: Sequence[Variable],
    backwards: bool = False,
    keep: bool | Sequence[bool] = True,
    until: Variable | None = None,
    truncate: int = -1,
    memory: str = "",
    allowed: Callable[[Sequence[Variable]], None] | None = None,
) -> tuple[list[Variable], list[Variable], Variable]:
    """Apply ``scan``; returns the states' trajectories (or last values), the stacked outputs, and the steps done.

    Parameters
    ----------
    count : Variable
        The largest number of steps, an int64 scalar.
    sequences, constants : sequence of (variable of the step, value outside)
    states : sequence of (variable of the step, initial value, next value)
    made : sequence of Variable
        Other outputs of the step.
    backwards : bool
        Read the sequences from the end. Stacked outputs are in the order of the sequences.
    keep : bool or sequence of bool
        Whether to return the trajectory of a state.
    until : Variable, optional
        A bool of the step that ends the loop after it.
    truncate : int
        The number of steps to differentiate, from the last one; -1: all.
    memory : {"", "step", "block"}
        Not empty: the gradient stores the states of all steps, whatever ``config.scan_memory`` says, since these are
        the steps of a block, or blocks. What blocks compute is not stored by the compiler either.
    allowed : callable, optional
        Called with the outside variables that the step depends on besides these, which become constants.
    """
    inner = [v for v, _ in sequences] + [v for v, *_ in states] + [v for v, _ in constants]
    outputs = [after for *_, after in states] + list(made) + ([] if until is None else [until])
    with building_inside():
        outputs, more = _closed(outputs, inner)
    if allowed is not None:
        allowed([v for _, v in more])
    all_constants = [*constants, *more]
    body = Body([*inner, *(v for v, _ in more)], outputs)
    roles = Roles(len(sequences), len(states), len(all_constants))
    kept = (keep,) * len(states) if isinstance(keep, bool) else tuple(keep)
    stops = until is not None
    op = Op(
        SCAN, body=body, roles=roles, backwards=backwards, keep=kept, until=stops, truncate=truncate, memory=memory,
        limit=config.scan_memory,
    )  # fmt: skip
    outer = [*(v for _, v in sequences), *(v for _, v, _ in states), *(v for _, v in all_constants)]
    found = op.all(count, *outer)
    done = steps_done(found[-1], count) if stops else count
    return list(found[: len(states)]), list(found[len(states) : len(found) - stops]), done


def _repeats(node: Apply) -> bool:
    """Whether a node repeats the elements of its input along axes of known length, or gives axes to a single one."""
    if len(node.inputs) != 1 or not isinstance(node.op.record.lower, Axes):
        return False
    many, few = (dims.product(v.type.shape) for v in (node.outputs[0], node.inputs[0]))
    return type(many) is int and type(few) is int and (many > few or many == 1)


def _closed(
    outputs: Sequence[Variable], inner: Sequence[Variable]
) -> tuple[list[Variable], list[tuple[Variable, Variable]]]:
    """Express the outputs by inner variables only: other values become additional constants.

    Whole numbers that follow from shapes are derived inside again, so that they stay dims. Values are repeated inside,
    so that the exponent of ``x**2`` stays one number, instead of an array with the shape of ``x``.
    """
    depends = set(inner)
    order = toposort(outputs, frozenset(inner))
    for node in order:
        if any(v in depends for v in node.inputs):
            depends.update(node.outputs)
    replaced: dict[Variable, Variable] = {v: v for v in inner}
    again_inside = following_from_shapes(order) | {n.outputs[0] for n in order if _repeats(n)} - depends

    def here(v: Variable) -> Variable:
        pending = [v] if v in again_inside else []
        while pending:
            node = pending[-1].owner
            assert node is not None
            first = [i for i in node.inputs if i in again_inside and i not in replaced]
            if not first:
                again = node.op.apply([outer(i) for i in node.inputs], node.outputs[0].location)
                replaced[pending.pop()] = again.outputs[0]
            pending += first
        return outer(v)

    def outer(v: Variable) -> Variable:
        if v in replaced or isinstance(v, Constant):
            return replaced.get(v, v)
        made = replaced[v] = Variable(TensorType(v.dtype, v.type.shape), None, 0, v.name, v.location)
        same_length(made, v)
        outside.append((made, v))
        return made

    outside: list[tuple[Variable, Variable]] = []
    for node in order:
        if node.outputs[0] in depends:
            inputs = [here(v) for v in node.inputs]
            if any(a is not b for a, b in zip(inputs, node.inputs)):
                made = node.op.apply(inputs, node.outputs[0].location).outputs
                for old, new in zip(node.outputs, made):
                    new.name = old.name
                    keep_tags(old, new)
                    replaced[old] = new
            else:
                replaced.update(zip(node.outputs, node.outputs))
    return [here(v) for v in outputs], outside
