"""The symbolic expressions that matrices and matrix expressions of sympy become.

A matrix is the last two axes of a variable; axes before them are those of tensors that stand for scalars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import sympy
from sympy.matrices.expressions import blockmatrix, diagonal
from sympy.matrices.expressions import slice as slices
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.kronecker import KroneckerProduct

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.dtypes import is_integer
from symc.tensor import elementwise as ew
from symc.tensor import extra_ops, linalg
from symc.tensor import reduce as reductions
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.broadcasting import broadcast_together
from symc.tensor.creation import arange, eye, ones, zeros
from symc.tensor.indices import indexing
from symc.tensor.joining import concatenate, stack
from symc.tensor.linear_algebra import determinants, linear_systems, matrix_functions
from symc.tensor.shaping import swapaxes

__all__ = ["RULES", "as_matrix", "broadcast", "whole"]

Value = Any
Rule = tuple[Sequence[Any], Callable[..., Value]]


def as_matrix(symbol: Any, value: Any) -> Any:
    """The variable given for a matrix symbol: a vector is a matrix if one of the symbol's lengths is 1."""
    if not isinstance(symbol, sympy.MatrixSymbol) or not isinstance(value, Variable):
        return value
    if value.ndim == 1 and symbol.shape[1] == 1:
        return dimshuffle(value, [0, "x"])
    if value.ndim == 1 and symbol.shape[0] == 1:
        return dimshuffle(value, ["x", 0])
    if value.ndim < 2:
        text = f"from_sympy: {symbol.name} is a matrix of shape {symbol.shape}, got {value.ndim} axes"
        raise ShapeError(located(text, [value]))
    return value


def broadcast(variables: Sequence[Variable]) -> list[Variable]:
    """Broadcast variables to one shape."""
    return list(variables) if len(variables) < 2 else list(broadcast_together("from_sympy", list(variables)))


def whole(node: Any, v: Value) -> Value:
    """Check that an index or a limit is an integer."""
    if isinstance(v, float) and v.is_integer():
        return int(v)
    if isinstance(v, float) or isinstance(v, Variable) and not is_integer(v.dtype):
        operands = [v] if isinstance(v, Variable) else []
        text = f"from_sympy: indices and limits must be integers, in {node}"
        raise TypeError(located(text, operands, "give a variable of an integer dtype"))
    return v


def _scaled(factor: Value, matrix: Variable) -> Variable:
    if isinstance(factor, Variable) and factor.ndim:
        factor = dimshuffle(factor, [*range(factor.ndim), "x", "x"])
    return ew.mul(factor, matrix)


def _dense(convert: Any, node: Any) -> Rule:
    rows, columns = node.shape

    def build(*entries: Value) -> Value:
        if not entries:
            return zeros((rows, columns), dtype=convert.dtype)
        if all(isinstance(e, (int, float)) for e in entries):
            numbers = np.array(entries).reshape(rows, columns)
            return as_tensor(numbers if numbers.dtype.kind in "iu" else numbers.astype(convert.dtype))
        made = broadcast([as_tensor(e) for e in convert.alike(entries)])
        return stack([stack(made[r * columns : (r + 1) * columns], axis=-1) for r in range(rows)], axis=-2)

    return list(node.flat()), build


def _product(convert: Any, node: Any) -> Rule:
    """Products from right to left; the product with an inverse is a linear system."""
    coefficient, factors = node.as_coeff_matrices()
    inverted = [isinstance(f, sympy.Inverse) for f in factors]
    parts = [f.arg if turned and k < len(factors) - 1 else f for k, (f, turned) in enumerate(zip(factors, inverted))]

    def build(*found: Value) -> Value:
        scale, made = found[0], found[-1]
        for matrix, turned in zip(found[-2:0:-1], inverted[-2::-1]):
            made = linear_systems.solve_general(matrix, made) if turned else linalg.matmul(matrix, made)
        return made if coefficient == 1 else _scaled(scale, made)

    return [coefficient, *parts], build


def _of_parts(function: Callable[..., Value]) -> Callable[[Any, Any], Rule]:
    return lambda convert, node: (node.args, function)


def _power(convert: Any, node: Any) -> Rule:
    base, exponent = node.args
    if not exponent.is_Integer:
        text = f"from_sympy: the exponent of a matrix must be an integer, in {node}"
        raise TypeError(located(text))
    return (base,), lambda b: matrix_functions.matrix_power(b, int(exponent))


def _sized(make: Callable[..., Value]) -> Callable[[Any, Any], Rule]:
    return lambda convert, node: (node.shape, lambda n, m: make((whole(node, n), whole(node, m)), convert.dtype))


def _eye(shape: Any, dtype: str) -> Variable:
    return eye(shape[0], shape[1], dtype=dtype)


def _element(convert: Any, node: Any) -> Rule:
    matrix, i, j = node.args

    def build(m: Variable, *places: Value) -> Value:
        row, column = (whole(node, p) for p in places)
        if m.ndim > 2 and any(isinstance(p, Variable) and p.ndim for p in (row, column)):
            text = f"from_sympy: {matrix} must have two axes where a sum runs over its indices"
            raise ShapeError(located(text, [m]))
        return indexing.subtensor(m, (row, column) if m.ndim == 2 else (Ellipsis, row, column))

    return (matrix, i, j), build


def _slice(convert: Any, node: Any) -> Rule:
    ends = [*node.rowslice, *node.colslice]

    def build(m: Variable, *found: Value) -> Value:
        made = [whole(node, v) for v in found]
        return indexing.subtensor(m, (Ellipsis, slice(*made[:3]), slice(*made[3:])))

    return [node.parent, *map(sympy.sympify, ends)], build


def _blocks(convert: Any, node: Any) -> Rule:
    blocks = node.blocks
    rows, columns = blocks.shape

    def build(*found: Value) -> Value:
        lines = [found[r * columns : (r + 1) * columns] for r in range(rows)]
        return concatenate([concatenate(list(line), axis=-1) for line in lines], axis=-2)

    return [blocks[r, c] for r in range(rows) for c in range(columns)], build


def _applied(convert: Any, node: Any) -> Rule:
    """A scalar function of each entry."""
    hole = sympy.Dummy("entry")
    return (node.expr,), lambda m: convert.within({hole: m})(node.function(hole))


def _formula(convert: Any, node: Any) -> Rule:
    """A matrix whose entries are a function of their indices."""
    rows, columns, _ = node.args
    i, j = sympy.Dummy("i", integer=True), sympy.Dummy("j", integer=True)

    def build(n: Value, m: Value) -> Value:
        at = {i: dimshuffle(arange(whole(node, n)), [0, "x"]), j: dimshuffle(arange(whole(node, m)), ["x", 0])}
        made = as_tensor(convert.within(at)(node.lamda(i, j)))
        return ew.add(made, ew.mul(ew.add(at[i], at[j]), 0)) if made.ndim < 2 else broadcast([made, at[i], at[j]])[0]

    return (rows, columns), build


def _diagonal_of(m: Variable) -> Variable:
    found = extra_ops.diagonal(m, axis1=-2, axis2=-1)
    return dimshuffle(found, [*range(found.ndim), "x"])


def _from_diagonal(v: Variable) -> Variable:
    """A diagonal matrix of a row or a column."""
    flat = v if v.broadcastable[-1] else swapaxes(v, -1, -2)
    return ew.mul(flat, eye(flat.shape[-2], dtype=flat.dtype))


def _inner(a: Variable, b: Variable) -> Variable:
    rows = [v if v.broadcastable[-1] else swapaxes(v, -1, -2) for v in (a, b)]
    return reductions.sum(ew.mul(*rows), axis=(-2, -1))


RULES: dict[type, Callable[[Any, Any], Rule]] = {
    sympy.MatrixBase: _dense,
    sympy.MatMul: _product,
    sympy.MatAdd: _of_parts(lambda *parts: reduce(ew.add, parts)),
    sympy.HadamardProduct: _of_parts(lambda *parts: reduce(ew.mul, parts)),
    sympy.HadamardPower: _of_parts(lambda b, e: ew.power(b, e)),
    sympy.Transpose: _of_parts(lambda m: swapaxes(m, -1, -2)),
    sympy.Adjoint: _of_parts(lambda m: swapaxes(m, -1, -2)),
    sympy.Inverse: lambda convert, node: ((node.arg,), linear_systems.matrix_inverse),
    sympy.MatPow: _power,
    sympy.Determinant: _of_parts(determinants.det),
    sympy.Trace: _of_parts(lambda m: extra_ops.trace(m, 0, -2, -1)),
    sympy.Identity: _sized(_eye), sympy.ZeroMatrix: _sized(zeros), sympy.OneMatrix: _sized(ones),
    sympy.matrices.expressions.matexpr.MatrixElement: _element,
    slices.MatrixSlice: _slice,
    blockmatrix.BlockMatrix: _blocks,
    ElementwiseApplyFunction: _applied,
    sympy.FunctionMatrix: _formula,
    KroneckerProduct: _of_parts(lambda *parts: reduce(matrix_functions.kron, parts)),
    diagonal.DiagonalOf: lambda convert, node: ((node.arg,), _diagonal_of),
    diagonal.DiagonalMatrix: lambda convert, node: ((node.arg,), lambda m: ew.mul(m, eye(m.shape[-2], m.shape[-1]))),
    diagonal.DiagMatrix: lambda convert, node: ((node.args[0],), _from_diagonal),
    sympy.DotProduct: _of_parts(_inner),
}  # fmt: skip
