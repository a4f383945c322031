"""Matrices in the last two axes: conversion, transposes, and what factorisations and their gradients share."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Apply, Variable, dims
from symc.graph.dtypes import floating
from symc.graph.guards import require_equal
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.complex_numbers.parts import conj
from symc.tensor.creation import tril, triu
from symc.tensor.shaping import swapaxes

__all__ = [
    "adjoint", "batch_of", "apart", "dominant", "flipped", "matrix_of", "of_triangle", "over_columns", "over_rows",
    "reciprocal_or_zero", "side",
]  # fmt: skip


def matrix_of(what: str, a: Any) -> Variable:
    """Convert ``a`` to a matrix, or to matrices in the last two axes, of floats."""
    a = as_tensor(a)
    if a.ndim < 2:
        raise ShapeError(located(f"{what}: expected a matrix, got {a.ndim} axes", [a]))
    return ew.cast(a, floating(a.dtype))


def side(op: Op, a: Variable) -> dims.Dim:
    """The number of rows and columns of square matrices; raises ``ShapeError`` if they are known to differ."""
    rows, columns = a.type.shape[-2:]
    return require_equal(
        rows, columns, f"{op.name}: the matrix is not square", [a], "it must have as many rows as columns"
    )


def flipped(a: Variable) -> Variable:
    """The transposes of the matrices in the last two axes."""
    return swapaxes(a, -1, -2)


def adjoint(a: Variable) -> Variable:
    """The conjugate transposes of the matrices in the last two axes; of real ones the transposes."""
    return conj(flipped(a))


def of_triangle(g: Variable, lower: bool) -> Variable:
    """The gradient by the triangle of a symmetric matrix that a function reads, given that by all elements.

    That by all elements may be any matrix with the right symmetric part.
    """
    whole = g + flipped(g)
    return tril(whole) - tril(triu(g)) if lower else triu(whole) - tril(triu(g))


def over_columns(v: Variable) -> Variable:
    """``v``, ``(..., n)``, as rows that broadcast over ``(..., n, n)``."""
    return dimshuffle(v, [*range(v.ndim - 1), "x", v.ndim - 1])


def over_rows(v: Variable) -> Variable:
    """``v``, ``(..., n)``, as columns that broadcast over ``(..., n, n)``."""
    return dimshuffle(v, [*range(v.ndim), "x"])


def batch_of(node: Apply, position: int = 0) -> dims.Dim:
    """The number of matrices in an input of an application."""
    return dims.product(node.inputs[position].type.shape[:-2])


def reciprocal_or_zero(x: Variable) -> Variable:
    """``1 / x``, and 0 where ``x`` is 0: terms between equal values are left out."""
    apart = ew.neq(x, 0)
    return ew.switch(apart, 1 / ew.switch(apart, x, 1), 0)


def dominant(a: Any) -> Any:
    """Make a matrix far from singular from any matrix."""
    return a + 8 * np.eye(3).astype("float32")


def apart(a: Any) -> Any:
    """Make a symmetric matrix with distant eigenvalues from any matrix."""
    turned = flipped(a) if isinstance(a, Variable) else a.swapaxes(-1, -2)
    return 0.2 * (a + turned) + np.diag([1.0, 3.0, 6.0]).astype("float32")
