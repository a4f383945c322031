"""``ifelse``: lazy selection of one of two values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, TypeMismatchError, located
from symc.graph import Apply, Variable, dims
from symc.graph.body import Body
from symc.graph.evaluate import evaluate_body
from symc.graph.gradient_flow import ZERO, Choice, Selected
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Indexed, Op, Record, Structured, record
from symc.graph.types import TensorType
from symc.loops.expr import select
from symc.loops.ir import Branch
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, constant
from symc.tensor.broadcasting import expand
from symc.tensor.indices.slices import SLICE_AT, WRITE_AT
from symc.tensor.symbolic_dims import as_dim, length, shape_i

__all__ = ["BRANCH", "ifelse"]


def _infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    count = (len(inputs) - 1) // 2
    types = []
    for a, b in zip(inputs[1 : 1 + count], inputs[1 + count :]):
        shape = [
            require_equal(x, y, f"ifelse: the two values differ in length on axis {k}", [a, b], "make them alike")
            for k, (x, y) in enumerate(zip(a.type.shape, b.type.shape))
        ]
        types.append(TensorType(a.dtype, shape))
    return types


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    def one_side(negated: bool) -> list[Selected]:
        return [Selected(inputs[0], g, negated, Choice.CONDITION, lazy=True) for g in gs]

    return [ZERO, *one_side(False), *one_side(True)]


def _numpy(op: Op, condition: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, ...]:
    count = len(values) // 2
    return values[:count] if condition else values[count:]


IFELSE = record(
    "ifelse",
    infer=_infer,
    numpy=_numpy,
    grad=_grad,
    lazy=True,
    cases=lambda: [
        Case(
            lambda c, x: ifelse(c > 0, x * 2, x - 1), (Arg((), "int32", values=1), Arg((3,))), expect=lambda c, x: x * 2
        ),
        Case(
            lambda c, x: ifelse(c > 0, x * x, ew.exp(x)), (Arg((), "int32", values=0), Arg((2, 3))),
            expect=lambda c, x: np.exp(x),
        ),
        Case(
            lambda c, x: ifelse(c > 0, x[1:] * x[1:], x[:, :2]) * 2, (Arg((), "float", values=-1.0), Arg((3, 4))),
            expect=lambda c, x: 2 * x[:, :2],
        ),
        Case(
            lambda c, x: ifelse(c > 0, [x.sum(), x * 3], [x.max(), x]),
            (Arg((), "float", values=-1.0), Arg((4,), distinct=True)),
            expect=lambda c, x: (x.max(), x),
        ),
    ],
)  # fmt: skip


def _apply(condition: Variable, then: Sequence[Variable], otherwise: Sequence[Variable]) -> Sequence[Variable]:
    return Op(IFELSE).all(condition, *then, *otherwise)


def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """Select ``then_branch`` if ``condition`` is true, else ``else_branch``, and compute only the selected branch.

    What the other branch requires of shapes need not hold: ``ifelse(x.shape[0] > 0, x.max(), 0)`` takes an empty ``x``.

    Parameters
    ----------
    condition : Variable or number
        A scalar; every value except zero is true.
    then_branch, else_branch : Variable, or sequence of Variable
        The values; both branches must have the same number of them, with the same numbers of axes. Lengths may differ:
        the result has those of the selected value. Dtypes are promoted.
    name : str, optional
        Name of the result.

    Returns
    -------
    Variable, or a list of them if the branches are sequences

    Raises
    ------
    ShapeError
        If the condition is not a scalar.
    TypeMismatchError
        If two values differ in their number of axes.
    ValueError
        If the branches differ in their number of values.

    See Also
    --------
    symc.tensor.switch : selects element by element; both values are computed.
    """
    single = not isinstance(then_branch, (list, tuple))
    then = [as_tensor(v) for v in ([then_branch] if single else then_branch)]
    otherwise = [as_tensor(v) for v in ([else_branch] if not isinstance(else_branch, (list, tuple)) else else_branch)]
    condition = as_tensor(condition)
    if condition.ndim:
        text = f"ifelse: the condition must be a scalar, got {condition.ndim} axes"
        raise ShapeError(located(text, [condition], "reduce it with .all() or .any(), or use switch"))
    if len(then) != len(otherwise):
        raise ValueError(located(f"ifelse: {len(then)} values in one branch, {len(otherwise)} in the other"))
    pairs = [_alike(a, b) for a, b in zip(then, otherwise)]
    if condition.dtype != "bool":
        condition = ew.neq(condition, 0)
    pairs = [_of_one_shape(condition, a, b) for a, b in pairs]
    made = list(_apply(condition, [a for a, _ in pairs], [b for _, b in pairs]))
    if name is not None:
        for k, v in enumerate(made):
            v.name = name if single else f"{name}{k}"
    return made[0] if single else made


def _alike(a: Variable, b: Variable) -> tuple[Variable, Variable]:
    """Promote two values to a common dtype."""
    if a.ndim != b.ndim:
        text = f"ifelse: the values have {a.ndim} and {b.ndim} axes"
        raise TypeMismatchError(located(text, [a, b], "give both the same number of axes"))
    if a.dtype == b.dtype:
        return a, b
    dtype = ew.unify_dtypes([a, b])
    return ew.cast(a, dtype), ew.cast(b, dtype)


# --- values of different lengths --------------------------------------------------------------------------------------


def _of_one_shape(condition: Variable, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    """Give both values the lengths of the one that is selected."""
    if dims.same_shape(a.type.shape, b.type.shape):
        return a, b
    lengths = []
    for k, (m, n) in enumerate(zip(a.type.shape, b.type.shape)):
        of_a, of_b = as_tensor(length(a, k)), as_tensor(length(b, k))
        lengths.append(of_a if dims.equal(m, n) is True else Op(CHOSEN_LENGTH)(condition, of_a, of_b))
    return fitted(a, lengths), fitted(b, lengths)


CHOSEN_LENGTH: Record = record(
    "chosen_length",
    infer=lambda op, inputs: TensorType("int64", ()),
    numpy=lambda op, condition, a, b: np.asarray(a if condition else b, "int64"),
    grad=lambda op, inputs, outputs, gs: [None, None, None],
    lower=Indexed(lambda node, at, read, size: select(read(0, ()), read(1, ()), read(2, ()))),
    chooses=True,
    upper=lambda op, inputs: dims.maximum(as_dim(inputs[1]), as_dim(inputs[2])),
    cases=lambda: [
        Case(
            lambda c, x: Op(CHOSEN_LENGTH)(ew.gt(c, 0), shape_i(x, 0), shape_i(x, 1)),
            (Arg((), "float", values=-1.0), Arg((3, 4))),
            expect=lambda c, x: np.int64(4),
            grad=False,
        )
    ],
)
"""One of two lengths, by a condition."""


def fitted(x: Variable, lengths: Sequence[Variable]) -> Variable:
    """``x`` cut, or filled up with zeros, to other lengths: int64 scalars, one per axis."""
    return Op(FITTED)(x, *lengths)


def _fitted_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    return TensorType(inputs[0].dtype, [as_dim(n) for n in inputs[1:]])


def _fitted_numpy(op: Op, x: np.ndarray, *lengths: np.ndarray) -> np.ndarray:
    out = np.zeros([int(n) for n in lengths], x.dtype)
    common = tuple(slice(min(m, n)) for m, n in zip(x.shape, out.shape))
    out[common] = x[common]
    return out


def _fitted_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    x = inputs[0]
    return [fitted(gs[0], [as_tensor(length(x, k)) for k in range(x.ndim)]), *[None] * x.ndim]


def _fitted_specialised(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Variable:
    """``x`` itself if the lengths are the same; else the part that both have, written into zeros."""
    x, shape = inputs[0], types[0].shape
    if dims.same_shape(x.type.shape, shape):
        return x
    common = tuple(dims.minimum(m, n) for m, n in zip(x.type.shape, shape))
    starts, steps = [constant(0, dtype="int64")] * x.ndim, (1,) * x.ndim
    part = Op(SLICE_AT, steps=steps, shape=common)(x, *starts)
    return Op(WRITE_AT, steps=steps, replace=True)(expand(constant(0, dtype=x.dtype), shape), part, *starts)


FITTED: Record = record(
    "fitted",
    infer=_fitted_infer,
    numpy=_fitted_numpy,
    grad=_fitted_grad,
    linear="first",
    partwise=True,
    inserted=True,
    specialise=_fitted_specialised,
    cases=lambda: [
        Case(
            lambda x: fitted(x, [constant(n, dtype="int64") for n in (2, 4)]),
            (Arg((3, 2)),),
            expect=lambda x: np.concatenate([x[:2], np.zeros_like(x[:2])], axis=1),
        )
    ],
)
"""Values of ``ifelse`` with the lengths of the selected one: the other, which is not computed, could have any."""


# --- the compiler's form ----------------------------------------------------------------------------------------------


def _branch_inputs(op: Op, inputs: Sequence[Variable], name: str) -> Sequence[Variable]:
    split = 1 + len(op["then"].inputs)
    return inputs[1:split] if name == "then" else inputs[split:]


def _branch_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    return [TensorType(v.dtype, shape) for v, shape in zip(op["then"].outputs, op["shapes"])]


def _branch_numpy(op: Op, condition: np.ndarray, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    split = len(op["then"].inputs)
    body: Body = op["then"] if condition else op["otherwise"]
    given = arrays[:split] if condition else arrays[split:]
    return tuple(evaluate_body(body, given))


def _branch_build(node: Apply, scope: Any) -> None:
    targets = [scope.ref_of(v) for v in node.outputs]
    parts = []
    for name in ("then", "otherwise"):
        places = [scope.ref_of(v) for v in _branch_inputs(node.op, node.inputs, name)]
        nodes, _, _ = scope.body(node.op[name], places, targets)
        parts.append(nodes)
    scope.nodes.append(Branch(scope.ref_of(node.inputs[0]), *parts))


BRANCH = record(
    "branch",
    infer=_branch_infer,
    numpy=_branch_numpy,
    lower=Structured(_branch_build),
    bodies=("then", "otherwise"),
    body_types=lambda op, inputs, name: [v.type for v in _branch_inputs(op, inputs, name)],
)
"""``ifelse`` with the computations that only one branch needs inside that branch's body.

``shapes`` are those of the results: shapes inside a branch may depend on values of integers inside it, which are
undefined outside.
"""
