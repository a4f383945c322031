"""Matrix products: ``dot``, ``batched_dot``, ``tensordot``, ``outer``."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Apply, Variable, dims
from symc.graph.composite import Composite
from symc.graph.dtypes import is_complex, is_float
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.notation import ATOM, Text, held
from symc.graph.op import Arg, Case, LibraryCall, Op, Record, Scaling, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis, unify_dtypes
from symc.tensor.broadcasting import any, sum
from symc.tensor.creation import alloc
from symc.tensor.keywords import also_named
from symc.tensor.requirements import require_lengths
from symc.tensor.reshaping import reshape, reshape_to
from symc.tensor.symbolic_dims import length, shape_i

__all__ = ["batched_dot", "dot", "matmul", "outer", "product_of", "tensordot", "with_equal_batches"]


def _sides(op: Op, inputs: Sequence[Variable]) -> tuple[list[dims.Dim], list[dims.Dim]]:
    a, b = (list(v.type.shape[-2:]) for v in inputs)
    return (a[::-1] if op["trans_a"] else a), (b[::-1] if op["trans_b"] else b)


def _inner(op: Op, inputs: Sequence[Variable], k: dims.Dim, l: dims.Dim) -> None:
    require_equal(k, l, lambda: _inner_refusal(op, inputs, k, l))


def _inner_refusal(op: Op, inputs: Sequence[Variable], k: dims.Dim, l: dims.Dim) -> str:
    text = f"{op.name}: the inner dims must be equal, got {dims.show(k)} and {dims.show(l)}"
    rule = "the last axis of the left operand meets the first matrix axis of the right one"
    return located(text, inputs, f"{rule}: transpose one of them, or fix its shape")


def _gemm_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (m, k), (l, n) = _sides(op, inputs)
    _inner(op, inputs, k, l)
    return TensorType(inputs[0].dtype, (m, n))


def _gemm_params(node: Apply) -> list[dims.Dim]:
    a, b = node.inputs
    (m, k), (_, n) = _sides(node.op, node.inputs)
    return [int(node.op["trans_a"]), int(node.op["trans_b"]), m, n, k, a.type.shape[1], b.type.shape[1], n, 0]


def _flip(x: np.ndarray, yes: bool) -> np.ndarray:
    return x.swapaxes(-1, -2) if yes else x


def _product_numpy(op: Op, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = _flip(a, op["trans_a"]), _flip(b, op["trans_b"])
    with np.errstate(all="ignore"):
        return np.matmul(a.astype("float64"), b.astype("float64")).astype(a.dtype)


def _product_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    """For C = op(A) op(B): dA = dC op(B)^T and dB = op(A)^T dC, each transposed if the operand was."""
    (a, b), (g,), (ta, tb) = inputs, gs, (op["trans_a"], op["trans_b"])

    def make(x: Variable, y: Variable, tx: bool, ty: bool) -> Variable:
        return Op(op.record, trans_a=tx, trans_b=ty)(x, y)

    da = make(b, g, tb, True) if ta else make(g, b, False, not tb)
    db = make(g, a, True, ta) if tb else make(a, g, not ta, False)
    return [da, db]


def _product_reach(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Variable]:
    """A row of op(A) counts if an element of its row of the product does; likewise columns of op(B)."""
    rows, columns = any(counts, axis=-1, keepdims=True), any(counts, axis=-2, keepdims=True)
    lead = list(range(counts.ndim - 2))
    turned = [*lead, counts.ndim - 1, counts.ndim - 2]
    return [
        dimshuffle(rows, turned) if op["trans_a"] else rows,
        dimshuffle(columns, turned) if op["trans_b"] else columns,
    ]


def _gemm_formula(op: Op, args: Sequence[Text]) -> Text:
    turned = [f"{held(a, ATOM)}.T" if op[flag] else a[0] for a, flag in zip(args, ("trans_a", "trans_b"))]
    return f"dot({turned[0]}, {turned[1]})", ATOM


def _scaled(op: Op, position: int, operand: Variable, factors: Variable) -> Variable:
    """Scale the columns of the right matrix, or the rows of the left one."""
    axis = operand.ndim - (1 if (position == 1) != op["trans_b" if position else "trans_a"] else 2)
    return operand * dimshuffle(factors, [0 if k == axis else "x" for k in range(operand.ndim)])


def _dot_batch(op: Op, inputs: Sequence[Variable], stacked: Sequence[bool], count: dims.Dim) -> Variable | None:
    """One product of taller matrices where one factor is the same for all, a batched product otherwise."""
    (a, b), (ta, tb) = inputs, (op["trans_a"], op["trans_b"])
    if stacked[0] and stacked[1]:
        return Op(BATCHED_DOT, trans_a=ta, trans_b=tb)(a, b)
    if stacked[1]:  # (A B)^T = B^T A^T
        turned = _dot_batch(Op(op.record, trans_a=not tb, trans_b=not ta), [b, a], [True, False], count)
        return None if turned is None else dimshuffle(turned, (0, 2, 1))
    rows = dimshuffle(a, (0, 2, 1)) if ta else a
    m, k = rows.type.shape[1:]
    n = b.type.shape[0 if tb else 1]
    tall = reshape_to(rows, (dims.mul(count, m), k))
    return reshape_to(Op(op.record, trans_a=False, trans_b=tb)(tall, b), (count, m, n))


def _batched_dot_batch(op: Op, inputs: Sequence[Variable], stacked: Sequence[bool], count: dims.Dim) -> Variable | None:
    """A batched product of all pairs of matrices."""
    if not all(stacked):
        return None
    a, b = inputs
    flat = [reshape_to(v, (dims.mul(count, v.type.shape[1]), *v.type.shape[2:])) for v in (a, b)]
    out = Op(op.record, **op.attrs)(*flat)
    return reshape_to(out, (count, a.type.shape[1], *out.type.shape[1:]))


DOT: Record = record(
    "dot",
    batch=_dot_batch,
    formula=_gemm_formula,
    foldable=True,
    infer=_gemm_infer,
    numpy=_product_numpy,
    grad=_product_grad,
    reach=Reach(_product_reach, mixes=True),
    linear="separately",
    scaling=Scaling(((1, 1), (0, 0)), _scaled),
    bounded_slope=True,
    lower=LibraryCall("gemm", _gemm_params),
    cases=lambda: [
        *[
            Case(
                lambda a, b, ta=ta, tb=tb: Op(DOT, trans_a=ta, trans_b=tb)(a, b),
                (Arg((4, 3) if ta else (3, 4)), Arg((5, 4) if tb else (4, 5))),
                lambda a, b, ta=ta, tb=tb: np.dot(a.T if ta else a, b.T if tb else b),
            )
            for ta in (False, True)
            for tb in (False, True)
        ],
        Case(lambda a, b: dot(a, b), (Arg((3, 4)), Arg((4,))), np.dot),
        Case(lambda a, b: dot(a, b), (Arg((4,)), Arg((4, 2))), np.dot),
        Case(lambda a, b: dot(a, b), (Arg((4,)), Arg((4,))), np.dot),
        Case(lambda a, b: dot(a, b), (Arg((2, 3, 4)), Arg((4, 5))), np.dot),
        Case(lambda a, b: dot(a, b), (Arg((2, 0)), Arg((0, 3))), np.dot, grad=False),
        Case(lambda a, b: dot(a, b), (Arg((0, 2)), Arg((2, 3))), np.dot, grad=False),
        Case(lambda a, b: dot(a, b), (Arg((3, 4), "int32", -5, 5), Arg((4, 2), "int32", -5, 5)), np.dot, grad=False),
        Case(
            lambda a, b: dot(a, b),
            (Arg((70, 65)), Arg((65, 97))),
            lambda a, b: np.dot(a.astype("float64"), b.astype("float64")),
            grad=False,
        ),
        Case(lambda a, b: tensordot(a, b, 2), (Arg((2, 3, 4)), Arg((3, 4, 5))), np.tensordot),
        Case(
            lambda a, b: tensordot(a, b, [[1], [2]]),
            (Arg((2, 3)), Arg((4, 5, 3))),
            lambda a, b: np.einsum("ij,klj->ikl", a, b),
        ),
    ],
)


def _batched_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (m, k), (l, n) = _sides(op, inputs)
    _inner(op, inputs, k, l)
    batch = require_equal(
        inputs[0].type.shape[0],
        inputs[1].type.shape[0],
        "batched_dot: the first axes must be equal",
        inputs,
        "both operands hold one matrix for each entry of axis 0",
    )
    return TensorType(inputs[0].dtype, (batch, m, n))


def _batched_params(node: Apply) -> list[dims.Dim]:
    a, b = node.inputs
    (m, k), (_, n) = _sides(node.op, node.inputs)
    flags = [int(node.op["trans_a"]), int(node.op["trans_b"])]
    leading = [a.type.shape[2], b.type.shape[2], n]
    strides = [dims.mul(m, k), dims.mul(k, n), dims.mul(m, n)]
    return [node.outputs[0].type.shape[0], *flags, m, n, k, *leading, *strides, 0]


BATCHED_DOT: Record = record(
    "batched_dot",
    batch=_batched_dot_batch,
    infer=_batched_infer,
    numpy=_product_numpy,
    grad=_product_grad,
    reach=Reach(_product_reach, mixes=True),
    linear="separately",
    scaling=Scaling(((1, 2), (0, 1)), _scaled),
    bounded_slope=True,
    lower=LibraryCall("batched_gemm", _batched_params),
    cases=lambda: [
        *[
            Case(
                lambda a, b, ta=ta, tb=tb: Op(BATCHED_DOT, trans_a=ta, trans_b=tb)(a, b),
                (Arg((2, 4, 3) if ta else (2, 3, 4)), Arg((2, 5, 4) if tb else (2, 4, 5))),
                lambda a, b, ta=ta, tb=tb: np.einsum(f"b{'ji' if ta else 'ij'},b{'kj' if tb else 'jk'}->bik", a, b),
            )
            for ta in (False, True)
            for tb in (False, True)
        ],
        Case(lambda a, b: batched_dot(a, b), (Arg((2, 3)), Arg((2, 3, 4))), lambda a, b: np.einsum("bj,bjk->bk", a, b)),
        Case(lambda a, b: batched_dot(a, b), (Arg((2, 3)), Arg((2, 3))), lambda a, b: (a * b).sum(1)),
    ],
)


def _operands(what: str, a: Any, b: Any) -> tuple[Variable, Variable]:
    a, b = as_tensor(a), as_tensor(b)
    dtype = unify_dtypes([a, b])
    return ew.cast(a, dtype), ew.cast(b, dtype)


def _matrix_product(a: Variable, b: Variable) -> Variable:
    if is_float(a.dtype) or is_complex(a.dtype):
        return Op(DOT, trans_a=False, trans_b=False)(a, b)
    # Integers have no library call: multiply and add in loops.
    a = _with_inner_dims(a, b, "dot", 1, 0)
    return sum(dimshuffle(a, (0, 1, "x")) * dimshuffle(b, ("x", 0, 1)), axis=1, dtype=a.dtype)


def _with_inner_dims(a: Variable, b: Variable, what: str, k: int, l: int) -> Variable:
    """Require axis ``k`` of ``a`` to be as long as axis ``l`` of ``b``: multiplication would broadcast an axis of 1."""
    text = f"{what}: the inner dims must be equal: axis {k} of the left operand and axis {l} of the right one"
    return require_lengths(a, [(shape_i(a, k), shape_i(b, l), text)], "transpose one of them, or fix its shape")


def dot(a: Any, b: Any) -> Variable:
    """Inner product of vectors, matrix product, or its generalisation to more axes, as ``numpy.dot``.

    The sum runs over the last axis of ``a`` and the second-to-last of ``b`` (the last, if ``b`` is a vector).

    Raises
    ------
    ShapeError
        If the inner dims are known to differ.
    """
    for x, method, other in ((a, "__dot__", b), (b, "__rdot__", a)):
        if isinstance(x, Composite):  # a sparse matrix
            return getattr(x, method)(other)  # type: ignore[no-any-return]
    a, b = _operands("dot", a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if a.ndim == 1 and b.ndim == 1:
        return reshape(_matrix_product(dimshuffle(a, ("x", 0)), dimshuffle(b, (0, "x"))), ())
    if a.ndim == 1 and b.ndim == 2:
        return _drop(_matrix_product(dimshuffle(a, ("x", 0)), b), 0)
    if a.ndim == 2 and b.ndim == 1:
        return _drop(_matrix_product(a, dimshuffle(b, (0, "x"))), 1)
    if a.ndim == 2 and b.ndim == 2:
        return _matrix_product(a, b)
    return tensordot(a, b, [[a.ndim - 1], [max(b.ndim - 2, 0)]])


def _drop(x: Variable, axis: int) -> Variable:
    return dimshuffle(x, [k for k in range(x.ndim) if k != axis])


def matmul(a: Any, b: Any) -> Variable:
    """``a @ b``: products of the matrices in the last two axes, as ``numpy.matmul``.

    Leading axes broadcast. A vector is a row on the left and a column on the right, and its axis is not in the result.

    Raises
    ------
    ShapeError
        If an operand is a scalar, or if lengths do not go together; those known only at call time are checked there.
    """
    a, b = _operands("matmul", a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(located("matmul: scalars have no matrix product", [a, b], "use *"))
    if b.ndim <= 2:
        return dot(a, b)
    if a.ndim == 1:
        return _drop(matmul(dimshuffle(a, ("x", 0)), b), b.ndim - 2)
    a, b = with_equal_batches("matmul", a, b)
    if a.ndim == 3:
        return batched_dot(a, b)
    batch, m, n = [length(a, k) for k in range(a.ndim - 2)], length(a, a.ndim - 2), length(b, b.ndim - 1)
    together = product_of(batch)
    left = reshape(a, [together, m, length(a, a.ndim - 1)], ndim=3)
    right = reshape(b, [together, length(b, b.ndim - 2), n], ndim=3)
    return reshape(batched_dot(left, right), [*batch, m, n], ndim=a.ndim)


def with_equal_batches(what: str, a: Variable, b: Variable) -> tuple[Variable, Variable]:
    """Broadcast all axes but the last two against each other; ``what`` names the function in messages."""
    n = max(a.ndim, b.ndim)
    a, b = (dimshuffle(v, ["x"] * (n - v.ndim) + list(range(v.ndim))) for v in (a, b))
    ones, others = a.type.broadcastable, b.type.broadcastable
    text = f"{what}: operands differ in length on the leading axis"
    pairs = [(shape_i(b, k), shape_i(a, k), f"{text} {k}") for k in range(n - 2) if not ones[k] and not others[k]]
    b = require_lengths(b, pairs, "only dims known to be 1 are repeated")
    return _repeated(a, b), _repeated(b, a)


def _repeated(a: Variable, b: Variable) -> Variable:
    """``a`` with all axes but the last two as long as those of ``b`` where they have length 1."""
    lead = range(a.ndim - 2)
    if all(not a.type.broadcastable[k] or b.type.broadcastable[k] for k in lead):
        return a
    lengths = [length(b if a.type.broadcastable[k] else a, k) for k in lead]
    return alloc(a, [*lengths, length(a, a.ndim - 2), length(a, a.ndim - 1)])


def batched_dot(a: Any, b: Any) -> Variable:
    """One product per entry of axis 0: ``out[i] = dot(a[i], b[i])``, for operands of two or three axes."""
    a, b = _operands("batched_dot", a, b)
    for v in (a, b):
        if v.ndim not in (2, 3):
            raise ShapeError(located("batched_dot: operands must have two or three axes", [a, b]))
    left = a if a.ndim == 3 else dimshuffle(a, (0, "x", 1))
    right = b if b.ndim == 3 else dimshuffle(b, (0, 1, "x"))
    if is_float(left.dtype) or is_complex(left.dtype):
        out = Op(BATCHED_DOT, trans_a=False, trans_b=False)(left, right)
    else:
        left = _with_inner_dims(left, right, "batched_dot", 2, 1)
        text = "batched_dot: both operands must hold as many matrices"
        left = require_lengths(left, [(shape_i(left, 0), shape_i(right, 0), text)])
        out = sum(dimshuffle(left, (0, 1, 2, "x")) * dimshuffle(right, (0, "x", 1, 2)), axis=2, dtype=a.dtype)
    kept = [0, *([1] if a.ndim == 3 else []), *([2] if b.ndim == 3 else [])]
    return dimshuffle(out, kept)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """Sum products over the given axes, as ``numpy.tensordot``; computed as one matrix product.

    Parameters
    ----------
    a, b : tensor_like
    axes : int, or pair
        Either the number of last axes of ``a`` and first axes of ``b`` to sum over, or a pair (axes of ``a``, axes of
        ``b``), each an int or a sequence of equal length.

    Raises
    ------
    ShapeError
        For axes that do not exist, are given twice or cannot be paired, or whose lengths are known to differ. Lengths
        known only at call time are checked there.
    """
    a, b = _operands("tensordot", a, b)
    over_a, over_b = paired_axes("tensordot", a, b, axes, first=0)
    text = "tensordot: axis {} of the left operand must be as long as axis {} of the right one"
    pairs = [(shape_i(a, k), shape_i(b, l), text.format(k, l)) for k, l in zip(over_a, over_b)]
    a = require_lengths(a, pairs, "name other axes, or fix the shape of an operand")
    free_a = [k for k in range(a.ndim) if k not in over_a]
    free_b = [k for k in range(b.ndim) if k not in over_b]
    left = _as_matrix(dimshuffle(a, free_a + over_a), len(free_a))
    right = _as_matrix(dimshuffle(b, over_b + free_b), len(over_b))
    out = _matrix_product(left, right)
    return reshape(out, [length(a, k) for k in free_a] + [length(b, k) for k in free_b])


def paired_axes(what: str, a: Variable, b: Variable, axes: Any, first: int) -> tuple[list[int], list[int]]:
    """Convert the ``axes`` argument of ``tensordot`` to paired lists of axes of ``a`` and of ``b``.

    A number means the last axes of ``a`` and those of ``b`` from ``first`` on.
    """
    if isinstance(axes, (int, np.integer)) and not isinstance(axes, bool):
        count = int(axes)
        if not 0 <= count <= min(a.ndim, b.ndim) - first:
            raise ShapeError(located(f"{what}: cannot sum over {count} axes of these operands", [a, b]))
        return list(range(a.ndim - count, a.ndim)), list(range(first, first + count))
    if not isinstance(axes, (list, tuple, np.ndarray)) or len(axes) != 2:
        text = (
            f"{what}: axes must be a number or a pair (axes of the left operand, axes of the right one), got {axes!r}"
        )
        raise ValueError(located(text, [a, b]))
    sides = []
    for v, side in zip((a, b), axes):
        listed = list(side) if isinstance(side, (list, tuple, range)) or np.ndim(side) == 1 else [side]
        sides.append([normalize_axis(k, v.ndim, what, v) for k in listed])
        if len(set(sides[-1])) != len(listed):
            raise ShapeError(located(f"{what}: an axis is named twice in {side!r}", [v]))
    if len(sides[0]) != len(sides[1]):
        text = f"{what}: as many axes on both sides are needed, got {sides[0]} and {sides[1]}"
        raise ShapeError(located(text, [a, b]))
    return sides[0], sides[1]


def _as_matrix(x: Variable, rows: int) -> Variable:
    """Reshape ``x`` to a matrix: its first ``rows`` axes become the rows, the others the columns."""
    if x.ndim == 2 and rows == 1:
        return x
    height = [length(x, k) for k in range(rows)]
    width = [length(x, k) for k in range(rows, x.ndim)]
    return reshape(x, [product_of(height), product_of(width)])


def product_of(lengths: Sequence[Any]) -> Any:
    """The product of lengths, which are integers or integer scalars; 1 if there are none."""
    return functools.reduce(operator.mul, lengths) if lengths else 1


@also_named(x="a", y="b")
def outer(a: Any, b: Any) -> Variable:
    """The outer product ``out[i, j] = a[i] * b[j]`` of two flattened tensors."""
    a, b = as_tensor(a).flatten(), as_tensor(b).flatten()
    return dimshuffle(a, (0, "x")) * dimshuffle(b, ("x", 0))
