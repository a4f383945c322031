"""Linear recurrences along an axis, and products of all elements but one, which are computed with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Apply, Variable
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Indexed, Loops, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, const, index, maximum, minimum, select, var
from symc.loops.ir import For, Statement, Store
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import any
from symc.tensor.indices.positions import iota
from symc.tensor.reshaping import reshape, reshape_like
from symc.tensor.symbolic_dims import length, shape_i

__all__ = ["linear_recurrence", "product_of_others", "shifted"]


def _infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    a, b = inputs
    for k, (m, n) in enumerate(zip(a.type.shape, b.type.shape)):
        require_equal(m, n, f"linear_recurrence: operands differ on axis {k}", inputs)
    return TensorType(b.dtype, b.type.shape)


def _numpy(op: Op, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = b.copy()
    order = range(b.shape[-1])[:: -1 if op["reverse"] else 1]
    with np.errstate(all="ignore"):
        for previous, at in zip(order, order[1:]):
            out[..., at] += a[..., at if op["own"] else previous] * out[..., previous]
    return out


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Variable]:
    """The adjoint runs in the opposite direction; ``own`` states which element a factor belongs to."""
    (a, _), (out,) = inputs, outputs
    back = Op(op.record, reverse=not op["reverse"], own=not op["own"])(a, gs[0])
    if op["own"]:
        return [back * shifted(out, backward=op["reverse"]), back]
    return [shifted(back, backward=not op["reverse"]) * out, back]


def _neighbour(node: Apply, at: tuple[Expr, ...], read: Any, size: Any) -> Expr:
    place, last = at[-1], size(node.inputs[0].type.shape[-1]) - 1
    if node.op["backward"]:
        return select(place < last, read(0, [*at[:-1], minimum(place + 1, last)]), const(0, node.inputs[0].dtype))
    return select(place > 0, read(0, [*at[:-1], maximum(place - 1, 0)]), const(0, node.inputs[0].dtype))


def _shift_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    out = np.zeros_like(x)
    if op["backward"]:
        out[..., :-1] = x[..., 1:]
    else:
        out[..., 1:] = x[..., :-1]
    return out


_shift: Record = record(
    "shift",
    partwise=True,
    infer=lambda op, inputs: TensorType(inputs[0].dtype, inputs[0].type.shape),
    numpy=_shift_numpy,
    grad=lambda op, inputs, outputs, gs: [shifted(gs[0], not op["backward"])],
    reach=Reach(lambda op, inputs, outputs, counts: [any(counts, axis=-1, keepdims=True)]),
    linear="jointly",
    lower=Indexed(_neighbour),
    cases=lambda: [
        Case(lambda x: shifted(x, False), (Arg((2, 4)),), expect=lambda x: np.pad(x, ((0, 0), (1, 0)))[:, :-1]),
        Case(lambda x: shifted(x, True), (Arg((4,)),), expect=lambda x: np.pad(x, (0, 1))[1:]),
        Case(lambda x: shifted(x, True), (Arg((3, 1)),), expect=np.zeros_like),
        Case(lambda x: shifted(x, False), (Arg((3, 0)),), expect=np.zeros_like, grad=False),
    ],
)


def shifted(x: Variable, backward: bool) -> Variable:
    """Shift ``x`` by one element along its last axis, forward or backward, filling with zero."""
    return Op(_shift, backward=backward)(x)


def _build(node: Apply, ctx: Any) -> list[Statement]:
    (out,), op = node.outputs, node.op
    n = ctx.size(out.type.shape[-1])

    def body(at: list[Expr], inside: list[Statement]) -> None:
        first, step = ctx.fresh("i"), ctx.fresh("i")
        begin: list[Statement] = []
        place = [*at, n - 1 if op["reverse"] else index(0)]
        begin.append(Store(ctx.output(), ctx.flat(out, place), ctx.load(begin, 1, place)))
        inside.append(For(first, minimum(n, 1), tuple(begin)))
        go_on: list[Statement] = []
        here = [*at, n - 2 - var(step) if op["reverse"] else var(step) + 1]
        before = [*at, here[-1] + 1 if op["reverse"] else var(step)]
        factor = ctx.load(go_on, 0, here if op["own"] else before)
        carried = ctx.load_output(go_on, before)
        go_on.append(Store(ctx.output(), ctx.flat(out, here), ctx.load(go_on, 1, here) + factor * carried))
        inside.append(For(step, maximum(n - 1, 0), tuple(go_on)))

    return [ctx.nest(out.type.shape[:-1], body)]


def _reach(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Variable]:
    row = any(counts, axis=-1, keepdims=True)
    return [row, row]


def _cases() -> list[Case]:
    directions = [(reverse, own) for reverse in (False, True) for own in (False, True)]
    made = [
        Case(
            lambda a, b, reverse=reverse, own=own: linear_recurrence(a, b, reverse, own),
            (Arg(shape), Arg(shape)),
            lambda a, b, reverse=reverse, own=own: _by_matrices(a, b, reverse, own),
        )
        for shape, (reverse, own) in zip(((2, 4), (5,), (2, 3, 1), (3, 3)), directions)
    ]
    made.append(Case(lambda a, b: linear_recurrence(a, b), (Arg((2, 0)), Arg((2, 0))), lambda a, b: b, grad=False))
    return made


def _by_matrices(a: np.ndarray, b: np.ndarray, reverse: bool, own: bool) -> np.ndarray:
    """Solve ``(1 - S) out = b`` per row, where ``S`` has the factors beside the diagonal."""
    n, rows = b.shape[-1], []
    for factors, right in zip(a.reshape(-1, n).astype("float64"), b.reshape(-1, n).astype("float64")):
        carry = np.zeros((n, n))
        for at in range(n):
            previous = at + 1 if reverse else at - 1
            if 0 <= previous < n:
                carry[at, previous] = factors[at if own else previous]
        rows.append(np.linalg.solve(np.eye(n) - carry, right))
    return np.array(rows).reshape(b.shape)


_recurrence: Record = record(
    "linear_recurrence",
    infer=_infer,
    numpy=_numpy,
    grad=_grad,
    reach=Reach(_reach),
    bounded_slope=True,
    lower=Loops(_build),
    cases=_cases,
)


def linear_recurrence(a: Variable, b: Variable, reverse: bool = False, own: bool = True) -> Variable:
    """Compute ``out[i] = a[i] * out[i - 1] + b[i]`` along the last axis, with ``out[0] = b[0]``.

    Parameters
    ----------
    a, b : Variable
        ``(..., n)``, of the same float dtype.
    reverse : bool
        Run from the end: ``out[i]`` from ``out[i + 1]``.
    own : bool
        If False, use the factor of the previous element: ``a[i - 1]`` for ``a[i]``, or ``a[i + 1]`` in reverse.

    Returns
    -------
    Variable
        ``(..., n)``. Its derivatives are also recurrences, so those of any order are exact, even where factors are 0.
    """
    return Op(_recurrence, reverse=reverse, own=own)(a, b)


def product_of_others(x: Variable, axes: Sequence[int]) -> Variable:
    """The product of all other elements along ``axes``, per element: the derivatives of ``prod``.

    It needs no division, so it and its derivatives are exact at zeros.
    """
    rest = [k for k in range(x.ndim) if k not in axes]
    order = [*rest, *axes]
    moved = dimshuffle(x, order)
    rows = reshape(moved, [*(length(x, k) for k in rest), -1])
    position = iota(rows, -1)
    first, last = ew.eq(position, 0), ew.eq(position, shape_i(rows, rows.ndim - 1) - 1)
    before = linear_recurrence(rows, ew.cast(first, x.dtype), reverse=False, own=False)
    after = linear_recurrence(rows, ew.cast(last, x.dtype), reverse=True, own=False)
    return dimshuffle(reshape_like(before * after, moved), [order.index(k) for k in range(x.ndim)])
