"""Products of sparse matrices with dense ones, of which the sparse one is a list of entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, located
from symc.graph import Apply, Variable
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Loops, Op, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr
from symc.loops.ir import Accumulate, Statement
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.checked import checked_below
from symc.tensor.complex_numbers.parts import held, parts
from symc.tensor.complex_numbers.rules import RULES
from symc.tensor.creation import zeros_like
from symc.tensor.graph_op import OpFromGraph
from symc.tensor.indices.gathers import GATHER
from symc.tensor.symbolic_dims import shape_i

__all__ = ["ADD_PRODUCT", "add_product", "differentiated_as"]


def _infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    base, data, rows, columns, dense = inputs
    if len({base.dtype, data.dtype, dense.dtype}) > 1:
        raise DTypeError(located(f"{op.name}: operands must have one dtype", [base, data, dense]))
    text = f"{op.name}: entries need a row and a column each"
    for v in (rows, columns):
        require_equal(data.type.shape[0], v.type.shape[0], text, [data, v])
    require_equal(base.type.shape[1], dense.type.shape[1], f"{op.name}: results need as many columns", [base, dense])
    return TensorType(base.dtype, base.type.shape)


def _numpy(op: Op, base: np.ndarray, data: np.ndarray, rows: np.ndarray, columns: np.ndarray, dense: np.ndarray) -> Any:
    out = base.copy()
    np.add.at(out, rows, data[:, None] * dense[columns])
    return out


def _rows_of(x: Variable, places: Variable) -> Variable:
    """Rows of a matrix at places that are in range."""
    return Op(GATHER, axes=(0,), place=0)(x, places)


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    base, data, rows, columns, dense = inputs
    (g,) = gs
    by_data = reduce.sum(ew.mul(_rows_of(g, rows), _rows_of(dense, columns)), axis=1)
    by_dense = Op(ADD_PRODUCT)(zeros_like(dense), data, columns, rows, g)
    return [g, by_data, None, None, by_dense]


def _build(node: Apply, ctx: Any) -> list[Statement]:
    base, data, rows, columns, dense = node.inputs
    statements = ctx.copy(0)

    def body(at: list[Expr], inside: list[Statement]) -> None:
        entry, column = at
        value = ctx.load(inside, 1, [entry]) * ctx.load(inside, 4, [ctx.load(inside, 3, [entry]), column])
        place = ctx.flat(base, [ctx.load(inside, 2, [entry]), column])
        inside.append(Accumulate(ctx.output(), place, value, "add"))

    shape = (data.type.shape[0], dense.type.shape[1])
    statements.append(ctx.nest(shape, body, "unordered", simd=True))
    return statements


ADD_PRODUCT = record(
    "add_sparse_product",
    infer=_infer,
    numpy=_numpy,
    grad=_grad,
    lower=Loops(_build, in_place=0),
    cases=lambda: (
        [
            Case(
                lambda base, data, dense, rows=rows, columns=columns: add_product(base, data, rows, columns, dense),
                (Arg((4, m)), Arg((6,)), Arg((5, m))),
                expect=lambda base, data, dense, rows=rows, columns=columns: (
                    base + _by_hand(rows, columns, data) @ dense
                ),
            )
            for m in (1, 3, 0)
            for rows, columns in [(np.array([0, 0, 1, 3, 3, 3]), np.array([1, 4, 0, 2, 2, 3]))]
        ]
        + [
            Case(
                lambda base, data, dense: add_product(base, data, np.zeros(0, "int32"), np.zeros(0, "int32"), dense),
                (Arg((2, 3)), Arg((0,)), Arg((5, 3))),
                expect=lambda base, data, dense: base,
            )
        ]
    ),
)


def _of_complex(op: Op, inputs: Sequence[Variable]) -> Variable:
    base, data, rows, columns, dense = inputs
    (base_re, base_im), (data_re, data_im), (dense_re, dense_im) = map(parts, (base, data, dense))
    re = op(op(base_re, data_re, rows, columns, dense_re), ew.neg(data_im), rows, columns, dense_im)
    im = op(op(base_im, data_re, rows, columns, dense_im), data_im, rows, columns, dense_re)
    return held(re, im)


RULES[ADD_PRODUCT] = _of_complex


def _by_hand(rows: np.ndarray, columns: np.ndarray, data: np.ndarray) -> np.ndarray:
    found = np.zeros((4, 5), data.dtype)
    for r, c, v in zip(rows, columns, data):
        found[r, c] += v
    return found


def add_product(base: Variable, data: Variable, rows: Any, columns: Any, dense: Variable) -> Variable:
    """Add the product of a sparse and a dense matrix to ``base``.

    Parameters
    ----------
    base : Variable
        ``(n, m)``.
    data : Variable
        ``(entries,)``, the entries of the sparse matrix, in any order; entries at the same place are added.
    rows, columns : tensor_like
        ``(entries,)``, integers; checked to be from 0 to ``n - 1`` and ``k - 1`` at call time.
    dense : Variable
        ``(k, m)``.

    Returns
    -------
    Variable
        ``(n, m)``: ``base[rows] += data * dense[columns]`` for each entry.
    """
    text = "the product of a sparse matrix: an index of an entry is out of range"
    repair = "indices must be less than the matrix's shape, and the inner lengths of a product equal"
    rows = checked_below(rows, shape_i(base, 0), text, repair)
    columns = checked_below(columns, shape_i(dense, 0), text, repair)
    return Op(ADD_PRODUCT)(base, data, rows, columns, dense)


def differentiated_as(value: Variable, expression: Variable) -> Variable:
    """Return ``value`` with the derivatives of ``expression``, an equal expression that is never computed itself."""
    inputs = [v.type() for v in (value, expression)]
    op = OpFromGraph(
        inputs,
        [inputs[0]],
        inline=True,
        grad_overrides=lambda inputs, gradients: [None, gradients[0]],
        rop_overrides=lambda inputs, directions: [directions[1]],
        name="differentiated_as",
    )
    found: Variable = op(value, expression)
    return found
