"""The op ``scan``: repetition of a step over time, with the step as a body.

The op runs its body for t = 0 .. n - 1. It reads element t of every *sequence* (element n - 1 - t if it runs
backwards), carries *states* from step to step, and reads *constants* in every step. The other outputs of the steps are
stacked over time. A state is stored as a trajectory ``(n + 1, ...)`` whose first entry is the initial value, so that
both the history and the values before each step are views of it; if only the last value is used, two slots alternate.

With ``until``, the last output of the body is a bool that ends the loop after a step, and the last output of the op is
the number of steps done; what is stored of later steps is undefined. Such a scan never runs backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.graph import Apply, Variable, dims
from symc.graph.body import Body, connections
from symc.graph.evaluate import evaluate_body
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Op, Pointwise, Structured, record
from symc.graph.repetition import Repeats, Repetition
from symc.graph.types import TensorType
from symc.loops.ir import Carried, Loop, Ref
from symc.tensor.basic import as_tensor, constant
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.indices.slices import SLICE, part
from symc.tensor.joining import join
from symc.tensor.symbolic_dims import as_dim, dim_value, length

__all__ = ["FACTS", "SCAN_OF", "STEPS_DONE", "Roles", "rows", "specialised", "steps_done", "without"]


class Roles(NamedTuple):
    """The numbers of sequences, states and constants among the inputs of the body, in this order."""

    sequences: int
    states: int
    constants: int

    def split(self, values: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Split ``values`` into sequences, states and constants."""
        a, b = self.sequences, self.sequences + self.states
        return list(values[:a]), list(values[a:b]), list(values[b:])


def _steps(op: Op, inputs: Sequence[Variable]) -> tuple[dims.Dim, Sequence[Variable]]:
    """Return the number of steps, and the other inputs."""
    if "n" in op.attrs:
        return op["n"], inputs
    return as_dim(inputs[0]), inputs[1:]


def _infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    n, given = _steps(op, inputs)
    sequences, states, _ = op["roles"].split(given)
    for k, v in enumerate(sequences):
        text = f"scan: sequence {k} does not have as many entries as there are steps"
        require_equal(v.type.shape[0], n, text, [v], "cut it, or leave n_steps out")
    body: Body = op["body"]
    types = []
    for k, (start, after, kept) in enumerate(zip(states, body.outputs, op["keep"])):
        for axis, (have, want) in enumerate(zip(after.type.shape, start.type.shape)):
            text = f"scan: state {k} changes its shape from step to step, on axis {axis}"
            require_equal(have, want, text, [after, start], "the step must give a state of the shape it began with")
        shape = start.type.shape
        types.append(TensorType(start.dtype, (dims.add(n, 1), *shape) if kept else shape))
    types += [TensorType(v.dtype, (n, *v.type.shape)) for v in _made(op)]
    return [*types, TensorType("int64", ())] if op["until"] else types


def _made(op: Op) -> Sequence[Variable]:
    """The outputs of the body that are stacked."""
    outputs: Sequence[Variable] = op["body"].outputs
    return outputs[op["roles"].states : len(outputs) - op["until"]]


def _body_types(op: Op, inputs: Sequence[Variable], name: str) -> list[TensorType]:
    sequences, states, constants = op["roles"].split(_steps(op, inputs)[1])
    types = [TensorType(v.dtype, v.type.shape[1:]) for v in sequences]
    return types + [TensorType(v.dtype, v.type.shape) for v in (*states, *constants)]


def _numpy(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    n, given = (op["n"], arrays) if "n" in op.attrs else (int(arrays[0]), arrays[1:])
    sequences, states, constants = op["roles"].split(given)
    body: Body = op["body"]
    trajectory: list[list[np.ndarray]] = [[s] for s in states]
    made: list[list[np.ndarray]] = [[] for _ in _made(op)]
    done = 0
    for t in range(n):
        at = n - 1 - t if op["backwards"] else t
        values = [*(s[at] for s in sequences), *states, *constants]
        found = evaluate_body(body, values)
        states = found[: len(states)]
        for history, s in zip(trajectory, states):
            history.append(s)
        for history, s in zip(made, found[len(states) :]):
            history.append(s)
        done = t + 1
        if op["until"] and found[-1]:
            break
    results = [_padded(np.stack(h), n + 1) if kept else h[-1] for h, kept in zip(trajectory, op["keep"])]
    for history, v in zip(made, _made(op)):
        if op["backwards"]:
            history = history[::-1]
        shape = (0, *[d if type(d) is int else 0 for d in v.type.shape])
        results.append(_padded(np.stack(history), n) if history else np.zeros(shape, v.dtype))
    return (*results, np.asarray(done, "int64")) if op["until"] else tuple(results)


def _padded(found: np.ndarray, count: int) -> np.ndarray:
    """Append zeros for the steps that were not done."""
    missing = count - len(found)
    return np.concatenate([found, np.zeros((missing, *found.shape[1:]), found.dtype)]) if missing > 0 else found


# --- parts of trajectories --------------------------------------------------------------------------------------------


def without(first: bool, x: Variable) -> Variable:
    """``x`` without its first or its last entry: a view."""
    return Op(_trimmed, first=first)(x)


def _trimmed_grad(
    op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]
) -> list[Variable]:
    """The gradient is zero at the omitted entry."""
    (x,), (g,) = inputs, gs
    missing = broadcast_like(constant(np.zeros((), g.dtype), dtype=g.dtype), x[0:1])
    return [join(0, missing, g) if op["first"] else join(0, g, missing)]


_trimmed = record(
    "trimmed",
    infer=lambda op, inputs: TensorType(
        inputs[0].dtype, (dims.sub(inputs[0].type.shape[0], 1), *inputs[0].type.shape[1:])
    ),
    numpy=lambda op, x: x[1:] if op["first"] else x[:-1],
    grad=_trimmed_grad,
    specialise=lambda op, inputs, types: part(
        inputs[0], types[0].shape, dims.product(types[0].shape[1:]) if op["first"] else 0
    ),
    cases=lambda: [
        Case(lambda x: without(True, x), (Arg((3, 2)),), expect=lambda x: x[1:]),
        Case(lambda x: without(False, x), (Arg((3,)),), expect=lambda x: x[:-1]),
        Case(lambda x: without(True, x), (Arg((1, 2)),), expect=lambda x: x[1:], grad=False),
    ],
)


def rows(x: Variable, start: Any, count: Any) -> Variable:
    """``x[start : start + count]``, which must lie within ``x``: bounds are not clamped."""
    start, count = as_tensor(start), as_tensor(count)
    whole = [bound for k in range(1, x.ndim) for bound in (constant(0, dtype="int64"), as_tensor(length(x, k)))]
    return Op(SLICE, steps=(1,) * x.ndim)(x, start, count, *whole)


STEPS_DONE = record(
    "steps_done",
    infer=lambda op, inputs: TensorType("int64", ()),
    numpy=lambda op, done, n: done,
    grad=lambda op, inputs, outputs, gs: [None, None],
    upper=lambda op, inputs: as_dim(inputs[1]),
    lower=Pointwise(lambda done, n: done),
    cases=lambda: [Case(lambda n: steps_done(n, n), (Arg((), "int64", values=3),), expect=np.copy, grad=False)],
)


def steps_done(done: Variable, n: Variable) -> Variable:
    """The number of steps that a scan did, which is at most ``n``: memory may be allocated for that many."""
    return Op(STEPS_DONE)(done, n)


# --- from graph to program --------------------------------------------------------------------------------------------


def specialised(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Sequence[Variable]:
    """The same scan for the number of steps as a dim."""
    attrs = {name: value for name, value in op.attrs.items() if name != "truncate"}
    return Op(SCAN_OF, **attrs, n=as_dim(inputs[0])).all(*inputs[1:])


def _build(node: Apply, scope: Any) -> None:
    op, n = node.op, node.op["n"]
    body: Body = op["body"]
    sequences, states, constants = op["roles"].split(node.inputs)
    t = dims.new_symbol("t")
    at = dims.sub(dims.sub(n, 1), t) if op["backwards"] else t
    places = []
    for v in sequences:
        ref = scope.ref_of(v)
        places.append(Ref(ref.buffer, dims.add(ref.offset, dims.mul(at, dims.product(v.type.shape[1:])))))
    targets: list[Ref] = []
    last: list[tuple[Variable, Ref, dims.Dim, Variable]] = []
    for k, start in enumerate(states):
        size, out = dims.product(start.type.shape), node.outputs[k]
        if op["keep"][k]:
            ref = scope.ref_of(out)
            now, then = t, dims.add(t, 1)
        else:
            ref = scope.new(start.dtype, (2, *start.type.shape), f"state {k}")
            parity = dims.sub(t, dims.mul(2, dims.floordiv(t, 2)))
            now, then = parity, dims.sub(1, parity)
            last.append((start, ref, size, out))
        scope.copy(start, ref)
        places.append(Ref(ref.buffer, dims.add(ref.offset, dims.mul(now, size))))
        targets.append(Ref(ref.buffer, dims.add(ref.offset, dims.mul(then, size))))
    places += [scope.ref_of(v) for v in constants]
    for v, out in zip(_made(op), node.outputs[len(states) :]):
        ref = scope.ref_of(out)
        targets.append(Ref(ref.buffer, dims.add(ref.offset, dims.mul(at, dims.product(v.type.shape)))))
    over, done = None, n
    if op["until"]:
        over, done = scope.new("bool", (), "until"), dims.new_symbol("done")
        targets.append(over)
    nodes, _, inner = scope.body(body, places, targets, [t])
    carried = [Carried(*three) for three in zip(places[len(sequences) :], targets, op["keep"])]
    scope.loop(Loop(t, n, nodes, over, done if op["until"] else None), inner, carried)
    if op["until"]:
        count, _, _ = scope.body(Body([], [dim_value(done)]), [], [scope.ref_of(node.outputs[-1])], [done])
        scope.nodes += count
    for start, ref, size, out in last:
        slot = dims.sub(done, dims.mul(2, dims.floordiv(done, 2)))
        scope.move(Ref(ref.buffer, dims.add(ref.offset, dims.mul(slot, size))), scope.ref_of(out), start)


def _drop_unused(op: Op, used: Sequence[bool]) -> tuple[Op, list[int]]:
    """Drop unused stacked outputs; of unused states, only the current value is kept."""
    states = op["roles"].states
    last = len(used) - 1 if op["until"] else len(used)
    kept = [k for k in range(len(used)) if k < states or k == last or used[k]]
    body: Body = op["body"]
    smaller = Body(body.inputs, [body.outputs[k] for k in kept], body.symbols, body.values, body.equalities)
    keep = tuple(yes and wanted for yes, wanted in zip(op["keep"], used))
    return Op(op.record, **{**op.attrs, "body": smaller, "keep": keep}), kept


def _connections(op: Op, inputs: Sequence[Variable]) -> list[list[bool]]:
    """Per input, whether each output depends on it; a trajectory on its first entry only if a step reads that.

    What a step makes of a state is read by later steps, and so depends on what they give it to.
    """
    sequences, states, constants = op["roles"]
    reached = [{k for k, yes in enumerate(row) if yes} for row in connections(op["body"])]
    for k in range(len(reached)):
        pending = list(reached[k])
        while pending:
            after = pending.pop()
            if after < states:
                more = reached[sequences + after] - reached[k]
                reached[k] |= more
                pending += more
    count = len(op["body"].outputs)
    rows = [[k in found for k in range(count)] for found in reached]
    return rows if "n" in op.attrs else [[False] * count, *rows]


def _read(node: Apply) -> Repetition | None:
    op = node.op
    if op["memory"] == "block" or op["body"].symbols or op["body"].equalities:
        return None
    sequences, states, constants = op["roles"].split(node.inputs)
    blocked = op["memory"] == "step"
    return Repetition(
        op["n"], op["backwards"], op["body"], sequences, states, constants, op["keep"], op["until"],
        op["limit"] // 2 if blocked else op["limit"], blocked,
    )  # fmt: skip


def _write(op: Op, new: Repetition) -> tuple[Op, list[Variable]]:
    roles = Roles(len(new.sequences), len(new.states), len(new.constants))
    attrs = {"body": new.body, "roles": roles, "backwards": new.backwards, "keep": tuple(new.keep), "n": new.count}
    return Op(op.record, **{**op.attrs, **attrs}), [*new.sequences, *new.states, *new.constants]


FACTS: dict[str, Any] = {
    "infer": _infer,
    "numpy": _numpy,
    "bodies": ("body",),
    "body_types": _body_types,
    "connections": _connections,
}

SCAN_OF = record("scan_of", lower=Structured(_build), drop_unused=_drop_unused, repeats=Repeats(_read, _write), **FACTS)
