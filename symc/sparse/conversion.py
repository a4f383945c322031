"""Between formats, from and to dense matrices, and sparse matrices from lists of entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.sparse.variables import INDEX, SparseVariable, as_sparse_variable
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, constant
from symc.tensor.checked import checked_below
from symc.tensor.creation import zeros
from symc.tensor.cumulative import cumsum
from symc.tensor.indices.indexing import subtensor
from symc.tensor.indices.selection import flatnonzero, nonzero
from symc.tensor.indices.subtensor_writing import inc_subtensor
from symc.tensor.joining import concatenate, stack
from symc.tensor.sorting import argsort
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "as_format", "columns_of", "csc_from_dense", "csr_from_dense", "dense_from_sparse", "dense_result", "from_entries",
    "make_shape", "places_of", "rows_of", "transpose",
]  # fmt: skip


def _whole(n: Any) -> Variable:
    return ew.cast(as_tensor(n), "int64")


def make_shape(rows: Any, columns: Any) -> Variable:
    """A shape as an int64 vector."""
    return stack([_whole(rows), _whole(columns)])


def _expanded(indptr: Variable, entries: Variable) -> Variable:
    """The row (or column) of each entry: how many of the others have begun before it."""
    inner = subtensor(indptr, slice(1, -1))
    marks = zeros((ew.add(shape_i(entries, 0), 1),), INDEX)
    begun = inc_subtensor(subtensor(marks, ew.cast(inner, "int64")), ew.cast(1, INDEX))
    return ew.cast(subtensor(cumsum(begun), slice(None, -1)), INDEX)


def rows_of(x: SparseVariable) -> Variable:
    """The row of each entry."""
    return _expanded(x.indptr, x.data) if x.format == "csr" else x.indices


def columns_of(x: SparseVariable) -> Variable:
    """The column of each entry."""
    return x.indices if x.format == "csr" else _expanded(x.indptr, x.data)


def places_of(x: SparseVariable) -> tuple[Variable, Variable]:
    """Rows and columns of the entries, checked to be within the shape at call time."""
    text = "sparse: an index of an entry is out of range"
    repair = "give a matrix whose shape contains its entries"
    rows, columns = x.shape
    return checked_below(rows_of(x), rows, text, repair), checked_below(columns_of(x), columns, text, repair)


def transpose(x: Any) -> SparseVariable:
    """The transpose, in the other format: the same entries in the same order."""
    x = as_sparse_variable(x)
    turned = subtensor(x.shape_vector, slice(None, None, -1))
    dense = None if x.dense is None else x.dense.T
    return SparseVariable("csc" if x.format == "csr" else "csr", x.data, x.indices, x.indptr, turned, dense=dense)


def dense_result(function: Callable[..., Variable], *matrices: SparseVariable) -> Variable | None:
    """The dense expression of a linear function of matrices, if one of them has one; None if none has."""
    if all(m.dense is None for m in matrices):
        return None
    return function(*map(dense_from_sparse, matrices))


def _pointers(counts: Variable) -> Variable:
    """Where rows begin and end, from the number of entries of each."""
    return ew.cast(concatenate([constant(np.zeros(1, "int64")), cumsum(ew.cast(counts, "int64"))]), INDEX)


def _counted(places: Variable, count: Any) -> Variable:
    """The number of entries of each row (or column)."""
    zero = zeros((count,), "int64")
    return inc_subtensor(subtensor(zero, ew.cast(places, "int64")), 1)


def as_format(x: Any, format: str) -> SparseVariable:
    """The same matrix in a format; entries at the same place stay separate."""
    x = as_sparse_variable(x)
    if x.format == format:
        return x
    order = argsort(x.indices)
    along = rows_of(x) if x.format == "csr" else columns_of(x)
    other = x.shape[1 if x.format == "csr" else 0]
    indptr = _pointers(_counted(x.indices, other))
    data, indices = subtensor(x.data, order), subtensor(along, order)
    return SparseVariable(format, data, indices, indptr, x.shape_vector, dense=x.dense)


def from_entries(rows: Any, columns: Any, data: Any, shape: tuple[Any, Any], format: str) -> SparseVariable:
    """A matrix of entries in any order; those at the same place are added."""
    data, count = as_tensor(data), _whole(shape[0 if format == "csr" else 1])
    width = _whole(shape[1 if format == "csr" else 0])
    major, minor = (_whole(v) for v in ((rows, columns) if format == "csr" else (columns, rows)))
    keys = ew.add(ew.mul(major, width), minor)
    order = argsort(keys)
    keys, data = subtensor(keys, order), subtensor(data, order)
    before = concatenate([constant(np.full(1, -1, "int64")), subtensor(keys, slice(None, -1))])
    new = ew.neq(keys, subtensor(before, slice(0, shape_i(keys, 0))))
    first = flatnonzero(new)
    group = ew.sub(cumsum(ew.cast(new, "int64")), 1)
    total = zeros((shape_i(first, 0),), data.dtype)
    summed = inc_subtensor(subtensor(total, group), data)
    keys = subtensor(keys, first)
    at = ew.floor_div(keys, ew.maximum(width, 1))
    indices = ew.cast(ew.sub(keys, ew.mul(at, width)), INDEX)
    return SparseVariable(format, summed, indices, _pointers(_counted(at, count)), make_shape(*shape))


def dense_from_sparse(x: Any) -> Variable:
    """The matrix as a dense one; entries at the same place are added."""
    x = as_sparse_variable(x)
    if x.dense is not None:
        return x.dense
    rows, columns = places_of(x)
    zero = zeros((*x.shape,), x.dtype)
    return inc_subtensor(subtensor(zero, (rows, columns)), x.data)


def csr_from_dense(x: Any) -> SparseVariable:
    """The non-zero elements of a dense matrix, by rows.

    Gradients by ``x`` of linear functions of the result also exist at the zeros of ``x``; those of functions of the
    entries, such as ``structured_exp``, exist at the entries alone.
    """
    x = as_tensor(x)
    if x.ndim != 2:
        raise ShapeError(located(f"csr_from_dense: expected a matrix, got {x.ndim} axes", [x]))
    rows, columns = nonzero(x)
    counts = _counted(rows, shape_i(x, 0))
    shape = make_shape(shape_i(x, 0), shape_i(x, 1))
    data, indices = subtensor(x, (rows, columns)), ew.cast(columns, INDEX)
    return SparseVariable("csr", data, indices, _pointers(counts), shape, dense=x)


def csc_from_dense(x: Any) -> SparseVariable:
    """The non-zero elements of a dense matrix, by columns; for gradients, see ``csr_from_dense``."""
    x = as_tensor(x)
    if x.ndim != 2:
        raise ShapeError(located(f"csc_from_dense: expected a matrix, got {x.ndim} axes", [x]))
    return transpose(csr_from_dense(x.T))
