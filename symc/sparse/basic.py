"""The functions of sparse matrices, with the names of ``theano.sparse``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.dtypes import is_float
from symc.sparse.conversion import (
    as_format,
    columns_of,
    dense_from_sparse,
    dense_result,
    from_entries,
    make_shape,
    places_of,
    rows_of,
    transpose,
)
from symc.sparse.entrywise import neg
from symc.sparse.products import add_product, differentiated_as
from symc.sparse.variables import INDEX, SparseVariable, as_sparse_variable, is_scipy, named
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, constant, unify_dtypes
from symc.tensor.creation import arange, ones_like, zeros
from symc.tensor.cumulative import cumsum
from symc.tensor.diagonals import diagonal
from symc.tensor.indices.indexing import subtensor
from symc.tensor.indices.selection import flatnonzero
from symc.tensor.indices.subtensor_writing import inc_subtensor
from symc.tensor.joining import concatenate
from symc.tensor.linalg import dot as dense_product
from symc.tensor.repeating import repeat
from symc.tensor.requirements import require_lengths
from symc.tensor.sorting import argsort
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "CSC", "CSM", "CSR", "add", "as_sparse", "as_sparse_or_tensor_variable", "clean", "col_scale",
    "csc_matrix", "csm_data", "csm_indices", "csm_indptr", "csm_properties", "csm_shape", "csr_matrix", "diag", "dot",
    "hstack", "matrix", "mul", "mul_s_d", "mul_s_s", "mul_s_v", "remove0", "row_scale", "sampling_dot",
    "sp_ones_like", "sp_sum", "sp_zeros_like", "square_diagonal", "structured_add_s_v", "structured_dot", "sub",
    "true_dot", "usmm", "vstack",
]  # fmt: skip


# --- inputs and parts -------------------------------------------------------------------------------------------------


def csr_matrix(name: str | None = None, dtype: str | None = None) -> SparseVariable:
    """A symbolic sparse matrix with entries by rows; functions accept and return SciPy matrices for it."""
    return named("csr", name, dtype)


def csc_matrix(name: str | None = None, dtype: str | None = None) -> SparseVariable:
    """A symbolic sparse matrix with entries by columns."""
    return named("csc", name, dtype)


def matrix(format: str, name: str | None = None, dtype: str | None = None) -> SparseVariable:
    """A symbolic sparse matrix of a format, ``"csr"`` or ``"csc"``."""
    return named(format, name, dtype)


def CSM(format: str) -> Callable[..., SparseVariable]:
    """The constructor of matrices of a format from data, indices, pointers and shape."""
    return CSR if format == "csr" else CSC


def _assembled(format: str, data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    data, indices, indptr = as_tensor(data), as_tensor(indices), as_tensor(indptr)
    for v, what in ((data, "data"), (indices, "indices"), (indptr, "indptr")):
        if v.ndim != 1:
            raise ShapeError(located(f"{format.upper()}: {what} must be a vector, got {v.ndim} axes", [v]))
        if what != "data" and is_float(v.dtype):
            raise TypeError(located(f"{format.upper()}: {what} must be integers, got {v.dtype}", [v]))
    shape = make_shape(*shape) if isinstance(shape, (tuple, list)) else ew.cast(as_tensor(shape), "int64")
    return SparseVariable(format, data, ew.cast(indices, INDEX), ew.cast(indptr, INDEX), shape)


def CSR(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    """A matrix from its entries by rows, their columns, where rows begin and end, and its shape."""
    return _assembled("csr", data, indices, indptr, shape)


def CSC(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    """A matrix from its entries by columns, their rows, where columns begin and end, and its shape."""
    return _assembled("csc", data, indices, indptr, shape)


def csm_properties(x: Any) -> tuple[Variable, Variable, Variable, Variable]:
    """Data, indices, pointers and shape."""
    x = as_sparse_variable(x)
    return x.data, x.indices, x.indptr, x.shape_vector


def csm_data(x: Any) -> Variable:
    """The entries."""
    return as_sparse_variable(x).data


def csm_indices(x: Any) -> Variable:
    """The columns of the entries in a csr matrix, the rows in a csc matrix."""
    return as_sparse_variable(x).indices


def csm_indptr(x: Any) -> Variable:
    """Where the entries of each row or column begin and end."""
    return as_sparse_variable(x).indptr


def csm_shape(x: Any) -> Variable:
    """The shape as a vector."""
    return as_sparse_variable(x).shape_vector


as_sparse = as_sparse_variable


def as_sparse_or_tensor_variable(x: Any, name: str | None = None) -> Any:
    """Convert sparse matrices to sparse variables, and everything else to tensors."""
    return as_sparse_variable(x, name) if _is_sparse(x) else as_tensor(x, name)


def _is_sparse(x: Any) -> bool:
    return isinstance(x, SparseVariable) or is_scipy(x)


# --- products ---------------------------------------------------------------------------------------------------------


def dot(x: Any, y: Any) -> Any:
    """The product of two matrices, of which at least one is sparse, or of a sparse matrix and a vector.

    With a dense operand, the result is dense; of two sparse matrices it is sparse. Gradients by sparse operands exist
    at the places of their entries, and everywhere by the dense matrix from which an operand was converted.
    """
    if not _is_sparse(x) and not _is_sparse(y):
        raise TypeError(located("sparse.dot: expected a sparse operand", [as_tensor(x), as_tensor(y)], "use T.dot"))
    if _is_sparse(x) and _is_sparse(y):
        return true_dot(x, y)
    if _is_sparse(y):
        left = as_tensor(x)
        turned = dot(transpose(y), left.T if left.ndim == 2 else left)
        return turned.T if left.ndim == 2 else turned
    sparse, dense = as_sparse_variable(x), as_tensor(y)
    if dense.ndim not in (1, 2):
        raise ShapeError(located(f"sparse.dot: expected a vector or a matrix, got {dense.ndim} axes", [dense]))
    dtype = unify_dtypes([sparse.data, dense])
    wide = dimshuffle(dense, [0, "x"]) if dense.ndim == 1 else dense
    data, wide = ew.cast(sparse.data, dtype), ew.cast(wide, dtype)
    inner = _inner(sparse, wide)
    base = zeros(
        (
            sparse.shape[0],
            shape_i(wide, 1),
        ),
        dtype,
    )
    found = add_product(base, data, rows_of(sparse), columns_of(sparse), inner)
    if sparse.dense is not None:
        found = differentiated_as(found, dense_product(ew.cast(sparse.dense, dtype), wide))
    return dimshuffle(found, [0]) if dense.ndim == 1 else found


def _inner(sparse: SparseVariable, dense: Variable) -> Variable:
    """Require as many rows of the dense matrix as the sparse one has columns."""
    text = "sparse.dot: the number of columns of the first matrix is not the number of rows of the second"
    return require_lengths(dense, [(shape_i(dense, 0), sparse.shape[1], text)])


def structured_dot(x: Any, y: Any) -> Any:
    """As ``dot``; gradients by sparse operands exist at the places of their entries alone."""
    return dot(*(as_sparse_variable(v).with_dense(None) if _is_sparse(v) else v for v in (x, y)))


def true_dot(x: Any, y: Any, grad_preserves_dense: bool = True) -> Any:
    """The product of two matrices; of two sparse ones, it is sparse, in the format of the first."""
    if not (_is_sparse(x) and _is_sparse(y)):
        return dot(x, y)
    x, y = as_sparse_variable(x), as_sparse_variable(y)
    left, right = as_format(x, "csr"), as_format(y, "csr")
    rows, columns = places_of(left)
    counts = ew.sub(subtensor(right.indptr, slice(1, None)), subtensor(right.indptr, slice(None, -1)))
    each = ew.cast(subtensor(counts, columns), "int64")
    entry = repeat(arange(shape_i(left.data, 0)), each)
    began = ew.sub(cumsum(each), each)
    place = ew.sub(arange(shape_i(entry, 0)), subtensor(began, entry))
    other = ew.add(ew.cast(subtensor(right.indptr, subtensor(columns, entry)), "int64"), place)
    values = ew.mul(subtensor(left.data, entry), subtensor(right.data, other))
    shape = (left.shape[0], right.shape[1])
    found = from_entries(subtensor(rows, entry), subtensor(right.indices, other), values, shape, x.format)
    return found.with_dense(dense_result(dense_product, x, y))


def sampling_dot(x: Any, y: Any, p: Any) -> SparseVariable:
    """``p * dot(x, y.T)`` for dense ``x`` and ``y``, computed only at the places of the entries of ``p``."""
    x, y, p = as_tensor(x), as_tensor(y), as_sparse_variable(p)
    rows, columns = places_of(p)
    return p.with_data(ew.mul(p.data, reduce.sum(ew.mul(subtensor(x, rows), subtensor(y, columns)), axis=1)))


def usmm(alpha: Any, x: Any, y: Any, z: Any) -> Variable:
    """``alpha * dot(x, y) + z``."""
    return ew.add(ew.mul(alpha, dot(x, y)), z)


# --- sums and products of elements ------------------------------------------------------------------------------------


def add(x: Any, y: Any) -> Any:
    """The sum: of two sparse matrices it is sparse, with a dense one or a number it is dense."""
    if not (_is_sparse(x) and _is_sparse(y)):
        return ew.add(*(dense_from_sparse(v) if _is_sparse(v) else v for v in (x, y)))
    x, y = as_sparse_variable(x), as_sparse_variable(y)
    (a, b), (c, d) = places_of(x), places_of(y)
    dtype = unify_dtypes([x.data, y.data])
    values = concatenate([ew.cast(x.data, dtype), ew.cast(y.data, dtype)])
    found = from_entries(concatenate([a, c]), concatenate([b, d]), values, x.shape, x.format)
    return found.with_dense(dense_result(ew.add, x, y))


def sub(x: Any, y: Any) -> Any:
    """The difference, as ``add``."""
    if not (_is_sparse(x) and _is_sparse(y)):
        return ew.sub(*(dense_from_sparse(v) if _is_sparse(v) else v for v in (x, y)))
    return add(x, neg(y))


def mul(x: Any, y: Any) -> SparseVariable:
    """The product element by element, which is sparse; one operand may be dense, or a number.

    A dense vector is multiplied with each row, as in broadcasting.
    """
    if _is_sparse(x) and _is_sparse(y):
        return mul_s_s(x, y)
    sparse, dense = (as_sparse_variable(x), as_tensor(y)) if _is_sparse(x) else (as_sparse_variable(y), as_tensor(x))
    if dense.ndim == 0:
        found = sparse.with_data(ew.mul(sparse.data, dense))
        return found.with_dense(dense_result(lambda m: ew.mul(m, dense), sparse))
    return mul_s_v(sparse, dense) if dense.ndim == 1 else mul_s_d(sparse, dense)


def mul_s_d(x: Any, y: Any) -> SparseVariable:
    """The product of a sparse and a dense matrix element by element."""
    x, y = as_sparse_variable(x), as_tensor(y)
    rows, columns = places_of(x)
    places = tuple(constant(0) if one else v for one, v in zip(y.broadcastable, (rows, columns)))
    found = x.with_data(ew.mul(x.data, subtensor(y, places)))
    return found.with_dense(dense_result(lambda m: ew.mul(m, y), x))


def mul_s_s(x: Any, y: Any) -> SparseVariable:
    """The product of two sparse matrices element by element: entries where both have one."""
    x, y = as_sparse_variable(x), as_sparse_variable(y)
    rows, columns = x.shape
    dtype = unify_dtypes([x.data, y.data])
    merged = [from_entries(*places_of(v), v.data, v.shape, "csr") for v in (x, y)]
    keys = [ew.add(ew.mul(ew.cast(rows_of(m), "int64"), columns), m.indices) for m in merged]
    both = concatenate(keys)
    order = argsort(both)
    both, values = subtensor(both, order), subtensor(concatenate([ew.cast(m.data, dtype) for m in merged]), order)
    same = flatnonzero(ew.eq(subtensor(both, slice(None, -1)), subtensor(both, slice(1, None))))
    found = ew.mul(subtensor(values, same), subtensor(values, ew.add(same, 1)))
    key = subtensor(both, same)
    row = ew.floor_div(key, ew.maximum(columns, 1))
    product = from_entries(row, ew.sub(key, ew.mul(row, columns)), found, (rows, columns), x.format)
    return product.with_dense(dense_result(ew.mul, x, y))


def mul_s_v(x: Any, y: Any) -> SparseVariable:
    """Multiply each row by a dense vector element by element."""
    x, y = as_sparse_variable(x), as_tensor(y)
    found = x.with_data(ew.mul(x.data, subtensor(y, places_of(x)[1])))
    return found.with_dense(dense_result(lambda m: ew.mul(m, y), x))


def structured_add_s_v(x: Any, y: Any) -> SparseVariable:
    """Add a dense vector to each row, at the places of the entries only."""
    x = as_sparse_variable(x)
    return x.with_data(ew.add(x.data, subtensor(as_tensor(y), places_of(x)[1])))


def col_scale(x: Any, s: Any) -> SparseVariable:
    """Multiply each column by an element of the vector ``s``."""
    return mul_s_v(x, s)


def row_scale(x: Any, s: Any) -> SparseVariable:
    """Multiply each row by an element of the vector ``s``."""
    x, s = as_sparse_variable(x), as_tensor(s)
    found = x.with_data(ew.mul(x.data, subtensor(s, places_of(x)[0])))
    return found.with_dense(dense_result(lambda m: ew.mul(m, dimshuffle(s, [0, "x"])), x))


# --- entries ----------------------------------------------------------------------------------------------------------


def clean(x: Any) -> SparseVariable:
    """Add entries at the same place, order them, and remove zeros."""
    x = as_sparse_variable(x)
    return remove0(from_entries(*places_of(x), x.data, x.shape, x.format).with_dense(x.dense))


def remove0(x: Any) -> SparseVariable:
    """Remove entries that are zero; the others keep their order."""
    x = as_sparse_variable(x)
    stays = ew.neq(x.data, 0)
    kept = flatnonzero(stays)
    before = concatenate([constant(np.zeros(1, INDEX)), ew.cast(cumsum(ew.cast(stays, "int64")), INDEX)])
    indptr = subtensor(before, ew.cast(x.indptr, "int64"))
    data, indices = subtensor(x.data, kept), subtensor(x.indices, kept)
    return SparseVariable(x.format, data, indices, indptr, x.shape_vector, dense=x.dense)


def sp_ones_like(x: Any) -> SparseVariable:
    """Ones at the places of the entries."""
    x = as_sparse_variable(x)
    return x.with_data(ones_like(x.data))


def sp_zeros_like(x: Any) -> SparseVariable:
    """A matrix of the same shape without entries."""
    x = as_sparse_variable(x)
    none = slice(0, 0)
    return SparseVariable(
        x.format, subtensor(x.data, none), subtensor(x.indices, none), ew.mul(x.indptr, 0), x.shape_vector
    )


def sp_sum(x: Any, axis: int | None = None, sparse_grad: bool = False) -> Variable:
    """The sum over all elements, or over rows (axis 0) or columns (axis 1); the result is dense.

    With ``sparse_grad``, gradients exist at the places of the entries alone.
    """
    x = as_sparse_variable(x)
    if axis is None:
        return reduce.sum(x.data if x.dense is None or sparse_grad else x.dense)
    if axis not in (0, 1, -1, -2):
        raise ValueError(located(f"sp_sum: axis must be None, 0 or 1, got {axis!r}"))
    if x.dense is not None and not sparse_grad:
        return reduce.sum(x.dense, axis=axis)
    rows, columns = places_of(x)
    along = columns if axis % 2 == 0 else rows
    data = reduce.sum(dimshuffle(x.data, [0, "x"]), axis=1)  # small integers become int64, as in other sums
    zero = zeros((x.shape[1 if axis % 2 == 0 else 0],), data.dtype)
    return inc_subtensor(subtensor(zero, along), data)


def diag(x: Any) -> Variable:
    """The main diagonal, as a dense vector."""
    x = as_sparse_variable(x)
    if x.dense is not None:
        return diagonal(x.dense)
    rows, columns = places_of(x)
    zero = zeros((ew.minimum(*x.shape),), x.dtype)
    last = ew.sub(ew.maximum(ew.minimum(*x.shape), 1), 1)
    kept = flatnonzero(ew.eq(rows, columns))
    return inc_subtensor(subtensor(zero, ew.minimum(subtensor(rows, kept), last)), subtensor(x.data, kept))


def square_diagonal(diagonal: Any) -> SparseVariable:
    """A square csc matrix with a vector on its diagonal."""
    v = as_tensor(diagonal)
    n = shape_i(v, 0)
    return CSC(v, arange(n), arange(ew.add(n, 1)), (n, n))


def vstack(blocks: Sequence[Any], format: str | None = None, dtype: str | None = None) -> SparseVariable:
    """Join matrices one below the other."""
    return _joined(blocks, 0, format, dtype)


def hstack(blocks: Sequence[Any], format: str | None = None, dtype: str | None = None) -> SparseVariable:
    """Join matrices side by side."""
    return _joined(blocks, 1, format, dtype)


def _joined(blocks: Sequence[Any], axis: int, format: str | None, dtype: str | None) -> SparseVariable:
    made = [as_sparse_variable(b) for b in blocks]
    dtype = dtype or unify_dtypes([m.data for m in made])
    before: Any = constant(np.zeros((), "int64"))
    places: list[list[Variable]] = [[], []]
    for m in made:
        for k, v in enumerate(places_of(m)):
            places[k].append(ew.add(v, before) if k == axis else v)
        before = ew.add(before, m.shape[axis])
    shape = [made[0].shape[0], made[0].shape[1]]
    shape[axis] = before
    data = concatenate([ew.cast(m.data, dtype) for m in made])
    found = from_entries(concatenate(places[0]), concatenate(places[1]), data, (shape[0], shape[1]), format or "csc")
    return found.with_dense(dense_result(lambda *m: concatenate([ew.cast(v, dtype) for v in m], axis), *made))
