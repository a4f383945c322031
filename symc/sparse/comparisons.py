"""Comparisons of sparse matrices, and the larger or smaller of two elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symc.graph import Constant, Variable
from symc.sparse.conversion import as_format, csr_from_dense, dense_from_sparse, from_entries, places_of
from symc.sparse.variables import SparseVariable, as_sparse_variable, is_scipy
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.creation import zeros_like
from symc.tensor.indices.indexing import subtensor
from symc.tensor.indices.selection import flatnonzero
from symc.tensor.joining import concatenate

__all__ = [
    "eq", "equal_s_d", "equal_s_s", "ge", "greater_equal_s_d", "greater_equal_s_s", "greater_than_s_d",
    "greater_than_s_s", "gt", "le", "less_equal_s_d", "less_equal_s_s", "less_than_s_d", "less_than_s_s", "lt",
    "maximum", "minimum", "neq", "not_equal_s_d", "not_equal_s_s",
]  # fmt: skip


def _is_sparse(x: Any) -> bool:
    return isinstance(x, SparseVariable) or is_scipy(x)


def _on_all_entries(x: Any, y: Any) -> tuple[SparseVariable, SparseVariable]:
    """Two matrices with entries at the same places: wherever one of the operands has one."""
    x, y = as_sparse_variable(x), as_sparse_variable(y)
    (a, b), (c, d) = places_of(x), places_of(y)
    dtype = unify_dtypes([x.data, y.data])
    rows, columns = concatenate([a, c]), concatenate([b, d])
    first, second = ew.cast(x.data, dtype), ew.cast(y.data, dtype)
    left = from_entries(rows, columns, concatenate([first, zeros_like(second)]), x.shape, x.format)
    right = from_entries(rows, columns, concatenate([zeros_like(first), second]), y.shape, x.format)
    return left, right


def _true_only(x: SparseVariable) -> SparseVariable:
    """Only the true entries of a boolean matrix."""
    kept = flatnonzero(x.data)
    rows, columns = (subtensor(v, kept) for v in places_of(x))
    made = from_entries(rows, columns, ew.cast(subtensor(x.data, kept), "uint8"), x.shape, x.format)
    return made.with_data(ew.cast(made.data, "bool"))


def _number(x: Any) -> Any:
    """The value of an operand that is a known number, else None."""
    v = as_tensor(x)
    return v.data if isinstance(v, Constant) and v.ndim == 0 else None


def _elementwise(function: Callable[..., Variable], meaning: Callable[..., Any], x: Any, y: Any) -> Any:
    """Apply a function of two elements; of two sparse matrices the result is sparse."""
    both = _is_sparse(x) and _is_sparse(y)
    zero = np.zeros(())
    if both and not meaning(zero, zero):
        left, right = _on_all_entries(x, y)
        return left.with_data(function(left.data, right.data))
    if not both and not (_is_sparse(x) or _is_sparse(y)):
        return function(as_tensor(x), as_tensor(y))
    a, b = (zero if _is_sparse(v) else _number(v) for v in (x, y))
    if not both and a is not None and b is not None and not meaning(a, b):
        sparse = as_sparse_variable(x if _is_sparse(x) else y)
        merged = from_entries(*places_of(sparse), sparse.data, sparse.shape, sparse.format)
        return merged.with_data(function(*(merged.data if _is_sparse(v) else v for v in (x, y))))
    dense = function(*(dense_from_sparse(v) if _is_sparse(v) else v for v in (x, y)))
    return as_format(csr_from_dense(dense), as_sparse_variable(x).format) if both else dense


def _comparison(name: str, symbol: str, function: Callable[..., Variable], meaning: Callable[..., Any]) -> Any:
    def compare(x: Any, y: Any) -> Any:
        found = _elementwise(function, meaning, x, y)
        return _true_only(found) if isinstance(found, SparseVariable) else found

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"""``x {symbol} y``, element by element.

    Of two sparse matrices, the result is a sparse matrix of booleans in the format of ``x`` that stores what is true.
    Where zero compared with zero is true, that is nearly every element. With a number for which zero compares false,
    the result is sparse, too; with others and with dense matrices it is dense.
    """
    return compare


eq = _comparison("eq", "==", ew.eq, np.equal)
neq = _comparison("neq", "!=", ew.neq, np.not_equal)
lt = _comparison("lt", "<", ew.lt, np.less)
le = _comparison("le", "<=", ew.le, np.less_equal)
gt = _comparison("gt", ">", ew.gt, np.greater)
ge = _comparison("ge", ">=", ew.ge, np.greater_equal)

equal_s_s = equal_s_d = eq
not_equal_s_s = not_equal_s_d = neq
less_than_s_s = less_than_s_d = lt
less_equal_s_s = less_equal_s_d = le
greater_than_s_s = greater_than_s_d = gt
greater_equal_s_s = greater_equal_s_d = ge


def maximum(x: Any, y: Any) -> Any:
    """The larger of two elements.

    Of two sparse matrices, or with a number of at most zero that is known, the result is sparse, else dense.
    """
    return _elementwise(ew.maximum, np.maximum, x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of two elements.

    Of two sparse matrices, or with a number of at least zero that is known, the result is sparse, else dense.
    """
    return _elementwise(ew.minimum, np.minimum, x, y)
