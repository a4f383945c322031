"""``scan``: repetition of a step over time, as one op that contains the step as a body.

The op ``scan`` runs its body for t = 0 .. n - 1. It reads element t of every *sequence* (element n - 1 - t if it runs
backwards), carries *states* from step to step, and reads *constants* in every step. The other outputs of the steps are
stacked over time. A state is stored as a trajectory ``(n + 1, ...)`` whose first entry is the initial value, so that
both the history and the values before each step are views of it; if only the last value is used, two slots alternate.

Its gradient is a scan in the opposite direction, which recomputes intermediate values of a step from its initial
states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.gradient.reverse import grad
from symc.graph import Apply, Constant, Variable, dims, toposort
from symc.graph.body import Body
from symc.graph.dtypes import is_float, is_integer
from symc.graph.evaluate import evaluate
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Op, Structured, record
from symc.graph.repetition import Repeats, Repetition
from symc.graph.types import TensorType
from symc.loops.ir import Loop, Ref
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, constant
from symc.tensor.broadcasting import broadcast_like, sum
from symc.tensor.joining import join
from symc.tensor.subtensor import part
from symc.tensor.symbolic_dims import as_dim, following_from_shapes, same_length, shape_i

__all__ = ["scan"]


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
    return types + [TensorType(v.dtype, (n, *v.type.shape)) for v in body.outputs[len(states) :]]


def _body_types(op: Op, inputs: Sequence[Variable], name: str) -> list[TensorType]:
    sequences, states, constants = op["roles"].split(_steps(op, inputs)[1])
    types = [TensorType(v.dtype, v.type.shape[1:]) for v in sequences]
    return types + [TensorType(v.dtype, v.type.shape) for v in (*states, *constants)]


def _numpy(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    n, given = (op["n"], arrays) if "n" in op.attrs else (int(arrays[0]), arrays[1:])
    sequences, states, constants = op["roles"].split(given)
    body: Body = op["body"]
    trajectory: list[list[np.ndarray]] = [[s] for s in states]
    made: list[list[np.ndarray]] = [[] for _ in body.outputs[len(states) :]]
    for t in range(n):
        at = n - 1 - t if op["backwards"] else t
        values = [*(s[at] for s in sequences), *states, *constants]
        found = evaluate(body.outputs, dict(zip(body.inputs, values)))
        states = found[: len(states)]
        for history, s in zip(trajectory, states):
            history.append(s)
        for history, s in zip(made, found[len(states) :]):
            history.append(s)
    results = [np.stack(h) if kept else h[-1] for h, kept in zip(trajectory, op["keep"])]
    for history, v in zip(made, body.outputs[len(states) :]):
        if op["backwards"]:
            history = history[::-1]
        shape = (0, *[d if type(d) is int else 0 for d in v.type.shape])
        results.append(np.stack(history) if history else np.zeros(shape, v.dtype))
    return tuple(results)


def _without(first: bool, x: Variable) -> Variable:
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
        Case(lambda x: _without(True, x), (Arg((3, 2)),), expect=lambda x: x[1:]),
        Case(lambda x: _without(False, x), (Arg((3,)),), expect=lambda x: x[:-1]),
        Case(lambda x: _without(True, x), (Arg((1, 2)),), expect=lambda x: x[1:], grad=False),
    ],
)
"""A view of a trajectory without its first or its last entry."""


# --- its gradient -----------------------------------------------------------------------------------------------------


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """Scan backwards over time: the adjoints of the states are states, those of the constants are summed."""
    count = inputs[0]
    sequences, states, constants = op["roles"].split(inputs[1:])
    body: Body = op["body"]
    moving = [k for k, s in enumerate(states) if is_float(s.dtype)]
    x, before, c = op["roles"].split(body.inputs)
    made = body.outputs[len(states) :]
    kept = [_trajectory(op, inputs, outputs, k) for k in range(len(states))]

    def like(v: Variable, name: str) -> Variable:
        return Variable(TensorType(v.dtype, v.type.shape), None, 0, name)

    # inputs of the backward step: copies of the step's inputs, and the output gradients
    adjoint = {k: like(before[k], f"d state {k}") for k in moving}
    arriving = {k: like(before[k], f"g state {k}") for k in moving if op["keep"][k]}
    floats = [j for j, v in enumerate(made) if is_float(v.dtype)]
    g_made = {j: like(made[j], f"g output {j}") for j in floats}
    total = [sum(body.outputs[k] * _added(adjoint[k], arriving.get(k))) for k in moving]
    total += [sum(made[j] * g_made[j]) for j in floats]
    wanted_x = [v for v in x if is_float(v.dtype)]
    wanted_s = [before[k] for k in moving]
    wanted_c = [v for v in c if is_float(v.dtype)]
    found = _slopes(total, [*wanted_x, *wanted_s, *wanted_c])
    by_x = found[: len(wanted_x)]
    by_s = found[len(wanted_x) : len(wanted_x) + len(wanted_s)]
    by_c = found[len(wanted_x) + len(wanted_s) :]
    sums = [like(v, f"sum {k}") for k, v in enumerate(wanted_c)]
    g_states = {k: gs[k] for k in moving}

    def in_time(v: Variable) -> Variable:
        """Reorder a variable from the order of the steps to the order of the sequences."""
        return v[::-1] if op["backwards"] else v

    back_sequences = [
        *zip(x, sequences),
        *((before[k], in_time(_without(False, kept[k]))) for k in range(len(states))),
        *((arriving[k], in_time(_without(True, g_states[k]))) for k in arriving),
        *((g_made[j], gs[len(states) + j]) for j in floats),
    ]
    starts = [_zeros(states[k]) if op["keep"][k] else g_states[k] for k in moving]
    outer_c = [v for v, inner in zip(constants, c) if is_float(inner.dtype)]
    zeros = [_zeros(v) for v in outer_c]
    results, stacked = _scan_op(
        count,
        back_sequences,
        [(adjoint[k], start, g) for k, start, g in zip(moving, starts, by_s)]
        + [(s, z, s + g) for s, z, g in zip(sums, zeros, by_c)],
        list(zip(c, constants)),
        by_x,
        not op["backwards"],
        keep=False,
    )
    to_x = iter(stacked)
    to_s = {k: results[position] for position, k in enumerate(moving)}
    to_c = iter(results[len(moving) :])
    return [
        None,
        *(next(to_x) if is_float(v.dtype) else None for v in sequences),
        *((to_s[k] + g_states[k][0] if op["keep"][k] else to_s[k]) if k in to_s else None for k in range(len(states))),
        *(next(to_c) if is_float(inner.dtype) else None for inner in c),
    ]


def _zeros(v: Variable) -> Variable:
    return broadcast_like(constant(np.zeros((), v.dtype), dtype=v.dtype), v)


def _added(a: Variable, b: Variable | None) -> Variable:
    return a if b is None else a + b


def _trajectory(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], k: int) -> Variable:
    """The trajectory of state ``k``, from a scan that stores it."""
    if op["keep"][k]:
        return outputs[k]
    return Op(op.record, **{**op.attrs, "keep": (True,) * len(op["keep"])}).all(*inputs)[k]


def _slopes(total: Sequence[Variable], wrt: Sequence[Variable]) -> list[Variable]:
    """Gradients of the sum of ``total``; zeros by variables on which it does not depend."""
    if not total:
        return [v * 0 for v in wrt]
    cost = total[0]
    for more in total[1:]:
        cost = cost + more
    return grad(cost, list(wrt), disconnected_inputs="ignore")


# --- from graph to program --------------------------------------------------------------------------------------------


def _specialise(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Sequence[Variable]:
    return Op(_scan_of, **op.attrs, n=as_dim(inputs[0])).all(*inputs[1:])


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
    for v, out in zip(body.outputs[len(states) :], node.outputs[len(states) :]):
        ref = scope.ref_of(out)
        targets.append(Ref(ref.buffer, dims.add(ref.offset, dims.mul(at, dims.product(v.type.shape)))))
    nodes, _, inner = scope.body(body, places, targets, [t])
    scope.loop(Loop(t, n, nodes), inner)
    for start, ref, size, out in last:
        slot = dims.sub(n, dims.mul(2, dims.floordiv(n, 2)))
        scope.move(Ref(ref.buffer, dims.add(ref.offset, dims.mul(slot, size))), scope.ref_of(out), start)


def _drop_unused(op: Op, used: Sequence[bool]) -> tuple[Op, list[int]]:
    """Drop unused stacked outputs; of unused states, only the current value is kept."""
    states = op["roles"].states
    kept = [k for k in range(len(used)) if k < states or used[k]]
    body: Body = op["body"]
    smaller = Body(body.inputs, [body.outputs[k] for k in kept], body.symbols, body.values, body.equalities)
    keep = tuple(yes and wanted for yes, wanted in zip(op["keep"], used))
    return Op(op.record, **{**op.attrs, "body": smaller, "keep": keep}), kept


def _read(node: Apply) -> Repetition | None:
    op = node.op
    if op["body"].symbols or op["body"].equalities:
        return None
    sequences, states, constants = op["roles"].split(node.inputs)
    return Repetition(op["n"], op["backwards"], op["body"], sequences, states, constants, op["keep"])


def _write(op: Op, new: Repetition) -> tuple[Op, list[Variable]]:
    roles = Roles(len(new.sequences), len(new.states), len(new.constants))
    attrs = {"body": new.body, "roles": roles, "backwards": new.backwards, "keep": tuple(new.keep), "n": new.count}
    return Op(op.record, **{**op.attrs, **attrs}), [*new.sequences, *new.states, *new.constants]


_facts: dict[str, Any] = {
    "infer": _infer,
    "numpy": _numpy,
    "bodies": ("body",),
    "body_types": _body_types,
}

_scan_of = record(
    "scan_of", lower=Structured(_build), drop_unused=_drop_unused, repeats=Repeats(_read, _write), **_facts
)


def _cases() -> list[Case]:
    def decay(x: Variable, h: Variable, w: Variable) -> Any:
        return scan(lambda x, h, w: ew.tanh(h * w + x), [x], [h], [w])[0]

    def oracle(x: np.ndarray, h: np.ndarray, w: np.ndarray) -> np.ndarray:
        found = []
        for row in x:
            h = np.tanh(h * w + row)
            found.append(h)
        return np.stack(found)

    def both(x: Variable, h: Variable) -> Any:
        return scan(lambda x, h: [h * x, h + x], [x], [h, None], go_backwards=True)[0]

    def both_oracle(x: np.ndarray, h: np.ndarray) -> Any:
        states, sums = [], []
        for row in x[::-1]:
            sums.append(h + row)
            h = h * row
            states.append(h)
        return np.stack(states), np.stack(sums)

    return [
        Case(decay, (Arg((4, 3)), Arg((3,)), Arg((3,))), expect=oracle),
        Case(both, (Arg((3, 2), low=0.5), Arg((2,), low=0.5)), expect=both_oracle),
        Case(lambda h: scan(lambda h: ew.sin(h) + h, None, [h], n_steps=3)[0][-1], (Arg((2, 2)),), expect=_thrice),
    ]


def _thrice(h: np.ndarray) -> np.ndarray:
    for _ in range(3):
        h = np.sin(h) + h
    return h


_scan = record("scan", grad=_grad, specialise=_specialise, cases=_cases, **_facts)


# --- public function --------------------------------------------------------------------------------------------------


def _scan_op(
    count: Variable,
    sequences: Sequence[tuple[Variable, Variable]],
    states: Sequence[tuple[Variable, Variable, Variable]],
    constants: Sequence[tuple[Variable, Variable]],
    made: Sequence[Variable],
    backwards: bool,
    keep: bool = True,
) -> tuple[list[Variable], list[Variable]]:
    """Apply ``scan``; returns the states' trajectories (or last values) and the stacked outputs.

    Every pair is a variable of the step and its value outside; states include their next value. Other outside variables
    that the step depends on become constants.
    """
    inner = [v for v, _ in sequences] + [v for v, *_ in states] + [v for v, _ in constants]
    outputs = [after for *_, after in states] + list(made)
    outputs, more = _closed(outputs, inner)
    all_constants = [*constants, *more]
    body = Body([*inner, *(v for v, _ in more)], outputs)
    roles = Roles(len(sequences), len(states), len(all_constants))
    op = Op(_scan, body=body, roles=roles, backwards=backwards, keep=(keep,) * len(states))
    outer = [*(v for _, v in sequences), *(v for _, v, _ in states), *(v for _, v in all_constants)]
    found = op.all(count, *outer)
    return list(found[: len(states)]), list(found[len(states) :])


def _closed(
    outputs: Sequence[Variable], inner: Sequence[Variable]
) -> tuple[list[Variable], list[tuple[Variable, Variable]]]:
    """Express the outputs by inner variables only: other values become additional constants.

    Whole numbers that follow from shapes are derived inside again, so that they stay dims.
    """
    depends = set(inner)
    order = toposort(outputs, frozenset(inner))
    for node in order:
        if any(v in depends for v in node.inputs):
            depends.update(node.outputs)
    replaced: dict[Variable, Variable] = {v: v for v in inner}
    lengths = following_from_shapes(order)

    def here(v: Variable) -> Variable:
        pending = [v] if v in lengths else []
        while pending:
            node = pending[-1].owner
            assert node is not None
            first = [i for i in node.inputs if i in lengths and i not in replaced]
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
                    replaced[old] = new
            else:
                replaced.update(zip(node.outputs, node.outputs))
    return [here(v) for v in outputs], outside


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    go_backwards: bool = False,
    name: str | None = None,
) -> tuple[Any, dict[Any, Any]]:
    """Repeat a step over time.

    Parameters
    ----------
    fn : callable
        ``fn(*sequences at t, *states, *non_sequences)`` returns the next states and other outputs, one per entry of
        ``outputs_info``, as a variable or a list.
    sequences : Variable or sequence of Variable, optional
        Variables of which each step reads one entry along the first axis.
    outputs_info : Variable, number, None, or sequence of these, optional
        Per output of ``fn``, the initial value if it is a state, else None.
    non_sequences : Variable or sequence of Variable, optional
        Passed to every step. Outside variables that ``fn`` uses need not be listed.
    n_steps : int or Variable, optional
        The number of steps; by default the length of the sequences.
    go_backwards : bool
        Read sequences from their last entry to the first. Outputs are in the order of the steps.
    name : str, optional

    Returns
    -------
    outputs : Variable or list of Variable
        The states after every step and the other outputs, each ``(n_steps, ...)``.
    updates : dict
        Empty.

    Raises
    ------
    ShapeError, DTypeError, ValueError
        If states change shape or dtype, if the number of steps is not given, or if the number of outputs of ``fn``
        differs from the number of entries of ``outputs_info``.
    """
    outer = [as_tensor(v) for v in _listed(sequences)]
    fixed = [as_tensor(v) for v in _listed(non_sequences)]
    count = _count(outer, n_steps)
    if n_steps is not None:
        outer = [v[:count] if not go_backwards else v[v.shape[0] - count :] for v in outer]
    x = [_inner(v.dtype, v.type.shape[1:], v.name, k) for k, v in enumerate(outer)]
    infos = _listed(outputs_info) if outputs_info is not None else None
    starts = [None if i is None else as_tensor(i) for i in infos or []]
    h = [None if s is None else _inner(s.dtype, s.type.shape, s.name, k) for k, s in enumerate(starts)]
    c = [_inner(v.dtype, v.type.shape, v.name, k) for k, v in enumerate(fixed)]
    for inside, v in zip(c, fixed):
        same_length(inside, v)
    found = fn(*x, *(v for v in h if v is not None), *c)
    single = not isinstance(found, (list, tuple))
    results = [as_tensor(v) for v in ([found] if single else found)]
    if infos is None:
        starts, h = [None] * len(results), [None] * len(results)
    if len(results) != len(starts):
        raise ValueError(located(f"scan: fn gives {len(results)} outputs, outputs_info has {len(starts)} entries"))
    states = [
        (v, s, _fitting(k, r, s))
        for k, (v, s, r) in enumerate(zip(h, starts, results))
        if v is not None and s is not None
    ]
    made = [r for v, r in zip(h, results) if v is None]
    trajectories, stacked = _scan_op(
        count, list(zip(x, outer)), states, list(zip(c, fixed)), made, go_backwards, keep=True
    )
    if go_backwards:  # the op's outputs are in the order of the sequences; reorder them by steps
        stacked = [v[::-1] for v in stacked]
    of_states, of_others = iter(trajectories), iter(stacked)
    outputs = [next(of_others) if v is None else _without(True, next(of_states)) for v in h]
    for k, v in enumerate(outputs):
        v.name = name if name is None or single else f"{name}{k}"
    return (outputs[0] if single else outputs), {}


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def _inner(dtype: str, shape: Sequence[dims.Dim], name: str | None, k: int) -> Variable:
    return Variable(TensorType(dtype, shape), None, 0, name or f"v{k}")


def _count(sequences: Sequence[Variable], n_steps: Any) -> Variable:
    for k, v in enumerate(sequences):
        if not v.ndim:
            raise ShapeError(located(f"scan: sequence {k} is a scalar", [v], "list it among non_sequences"))
    if n_steps is not None:
        count = as_tensor(n_steps)
        if count.ndim or not is_integer(count.dtype):
            raise DTypeError(located("scan: n_steps must be an integer", [count]))
        if isinstance(count, Constant) and count.data < 0:
            raise ValueError(located(f"scan: n_steps cannot be negative, got {int(count.data)}", [count]))
        return ew.cast(count, "int64")
    if not sequences:
        raise ValueError(located("scan: nothing tells the number of steps", [], "give sequences or n_steps"))
    return as_tensor(shape_i(sequences[0], 0))


def _fitting(k: int, after: Variable, start: Variable) -> Variable:
    """Convert the next value of a state to the dtype of its initial value."""
    if after.ndim != start.ndim:
        text = f"scan: state {k} begins with {start.ndim} axes, the step gives {after.ndim}"
        raise ShapeError(located(text, [start, after], "give it an initial value of the shape that it will have"))
    if after.dtype == start.dtype:
        return after
    if ew.unify_dtypes([after, start]) != start.dtype:
        text = f"scan: state {k} begins as {start.dtype}, the step gives {after.dtype}"
        raise DTypeError(located(text, [start, after], f"cast the initial value to {after.dtype}"))
    return ew.cast(after, start.dtype)
