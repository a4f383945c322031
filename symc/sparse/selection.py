"""Rows, columns and elements of sparse matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.sparse.conversion import as_format, from_entries, make_shape, places_of
from symc.sparse.variables import INDEX, SparseVariable, as_sparse_variable
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, constant
from symc.tensor.creation import arange
from symc.tensor.cumulative import cumsum
from symc.tensor.indices.indexing import subtensor
from symc.tensor.joining import concatenate
from symc.tensor.ordering import searchsorted
from symc.tensor.reduce import sum
from symc.tensor.repeating import repeat
from symc.tensor.sorting import argsort
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "construct_sparse_from_list", "ensure_sorted_indices", "get_item_2d", "get_item_2lists", "get_item_list",
    "get_item_scalar",
]  # fmt: skip

_ALL = slice(None)


def item(x: SparseVariable, key: Any) -> Any:
    """``x[key]``.

    Two integers select an element, two lists of equal length the elements at these places, as a dense vector. In all
    other cases the result is a sparse matrix: integers, slices, lists, integer vectors and boolean masks select rows,
    then columns, and an integer selects one of them.
    """
    key = key if isinstance(key, tuple) else (key,)
    at = next((n for n, k in enumerate(key) if k is Ellipsis), None)
    if at is not None:
        key = (*key[:at], *[_ALL] * (3 - len(key)), *key[at + 1 :])
    if len(key) > 2 or any(k is None for k in key):
        raise ShapeError(located(f"sparse: a matrix has two axes, got the index {key!r}", [x.data]))
    row, column = (*key, _ALL)[:2]
    dense = x.dense
    if not isinstance(row, slice) and not isinstance(column, slice):
        axes = [as_tensor(row).ndim, as_tensor(column).ndim]
        if axes == [0, 0]:
            return get_item_scalar(x, (row, column))
        if axes == [1, 1]:
            return get_item_2lists(x, row, column)
    for k, (part, along) in enumerate(((row, "csr"), (column, "csc"))):
        if not (isinstance(part, slice) and part == _ALL):
            x = as_format(_lines(as_format(x, along), part, x.shape[k]), x.format)
            if dense is not None:
                dense = subtensor(dense, (_ALL,) * k + (_as_lines(part),))
    return x.with_dense(dense)


def _as_lines(part: Any) -> Any:
    """An index that keeps its axis: an integer selects one line."""
    return part if isinstance(part, slice) or as_tensor(part).ndim else subtensor(as_tensor(part), None)


def _lines(x: SparseVariable, part: Any, count: Any) -> SparseVariable:
    """Some of the rows of a csr matrix, or of the columns of a csc matrix."""
    if isinstance(part, slice) and part.step in (None, 1):
        return _range(x, part)
    chosen = subtensor(arange(count), part)  # also checks the indices
    if chosen.ndim == 0:
        chosen = subtensor(chosen, None)
    if chosen.ndim != 1:
        raise ShapeError(located(f"sparse: an index must be a vector, got {chosen.ndim} axes", [chosen]))
    starts = ew.cast(subtensor(x.indptr, chosen), "int64")
    counts = ew.sub(ew.cast(subtensor(x.indptr, ew.add(chosen, 1)), "int64"), starts)
    ends = cumsum(counts)
    shifts = repeat(ew.sub(starts, ew.sub(ends, counts)), counts)
    entries = ew.add(arange(shape_i(shifts, 0)), shifts)
    indptr = ew.cast(concatenate([constant(np.zeros(1, "int64")), ends]), INDEX)
    return _of_lines(x, subtensor(x.data, entries), subtensor(x.indices, entries), indptr, shape_i(chosen, 0))


def _range(x: SparseVariable, lines: slice) -> SparseVariable:
    """A range of lines, whose entries are a range, too."""
    starts, stops = (subtensor(subtensor(x.indptr, part), lines) for part in (slice(None, -1), slice(1, None)))
    begin = ew.cast(sum(subtensor(starts, slice(0, 1))), "int64")  # 0 for an empty range
    end = ew.cast(sum(subtensor(stops, slice(-1, None))), "int64")
    kept = slice(begin, end)
    first = constant(np.zeros(1, INDEX))
    indptr = concatenate([first, ew.sub(stops, ew.cast(begin, INDEX))])
    return _of_lines(x, subtensor(x.data, kept), subtensor(x.indices, kept), indptr, shape_i(starts, 0))


def _of_lines(x: SparseVariable, data: Variable, indices: Variable, indptr: Variable, count: Any) -> SparseVariable:
    shape = make_shape(count, x.shape[1]) if x.format == "csr" else make_shape(x.shape[0], count)
    return SparseVariable(x.format, data, indices, indptr, shape)


def get_item_scalar(x: Any, index: Sequence[Any]) -> Variable:
    """The element at ``(row, column)``."""
    x = as_sparse_variable(x)
    if x.dense is not None:
        return subtensor(x.dense, tuple(index))
    (row, column), (n, m) = index, x.shape
    row, column = subtensor(arange(n), row), subtensor(arange(m), column)
    rows, columns = places_of(x)
    here = ew.and_(ew.eq(rows, row), ew.eq(columns, column))
    return sum(ew.switch(here, x.data, 0), dtype=x.dtype)


def get_item_2d(x: Any, index: Any) -> SparseVariable:
    """A part of a matrix as a matrix: ``index`` is of integers and slices, of which each integer selects one line."""
    found = as_sparse_variable(x)
    for k, part in enumerate(index if isinstance(index, (tuple, list)) else [index]):
        lines = part if isinstance(part, slice) else subtensor(as_tensor(part), None)
        found = item(found, (_ALL,) * k + (lines,))
    return found


def get_item_list(x: Any, index: Any) -> SparseVariable:
    """The rows whose numbers are given, in that order."""
    found: SparseVariable = item(as_sparse_variable(x), as_tensor(index))
    return found


def get_item_2lists(x: Any, ind1: Any, ind2: Any) -> Variable:
    """The elements at the places ``(ind1[k], ind2[k])``, as a dense vector."""
    x = as_sparse_variable(x)
    if x.dense is not None:
        return subtensor(x.dense, (as_tensor(ind1), as_tensor(ind2)))
    n, m = x.shape
    rows, columns = subtensor(arange(n), as_tensor(ind1)), subtensor(arange(m), as_tensor(ind2))
    merged = from_entries(*places_of(x), x.data, x.shape, "csr")
    a, b = places_of(merged)
    keys = ew.add(ew.mul(ew.cast(a, "int64"), m), b)
    wanted = ew.add(ew.mul(rows, m), columns)
    far = concatenate([keys, constant(np.full(1, -1, "int64"))])  # so that there is one if there are no entries
    data = concatenate([merged.data, subtensor(constant(np.zeros(1, x.dtype)), _ALL)])
    at = searchsorted(keys, wanted)
    return ew.switch(ew.eq(subtensor(far, at), wanted), subtensor(data, at), constant(np.zeros((), x.dtype)))


def ensure_sorted_indices(x: Any, inplace: bool = False) -> SparseVariable:
    """The same matrix with the entries of each row (or column) in order. ``inplace`` has no effect."""
    x = as_sparse_variable(x)
    rows, columns = (ew.cast(v, "int64") for v in places_of(x))
    n, m = x.shape
    order = argsort(ew.add(ew.mul(rows, m), columns) if x.format == "csr" else ew.add(ew.mul(columns, n), rows))
    data, indices = subtensor(x.data, order), subtensor(x.indices, order)
    return SparseVariable(x.format, data, indices, x.indptr, x.shape_vector, dense=x.dense)


def construct_sparse_from_list(x: Any, values: Any, ilist: Any) -> SparseVariable:
    """A csc matrix of the shape of the dense matrix ``x`` whose row ``ilist[k]`` is ``values[k]``, and else zero."""
    x, values, ilist = as_tensor(x), as_tensor(values), as_tensor(ilist)
    n, m = shape_i(x, 0), shape_i(x, 1)
    rows = repeat(subtensor(arange(n), ilist), m)
    columns = ew.mod(arange(ew.mul(shape_i(ilist, 0), m)), ew.maximum(m, 1))
    return from_entries(rows, columns, values.flatten(), (n, m), "csc")
