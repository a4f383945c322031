"""Operators and methods of sparse variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.graph import Variable
from symc.sparse import basic, comparisons, entrywise
from symc.sparse.conversion import as_format, dense_from_sparse, transpose
from symc.sparse.selection import item
from symc.sparse.variables import SharedSparse, SparseVariable, as_sparse_variable
from symc.tensor import elementwise as ew

__all__ = ["attach"]


def _conformed(x: SharedSparse, value: Any) -> Sequence[Variable]:
    """The parts of a new value, in the format and dtype of the shared matrix."""
    made = as_format(as_sparse_variable(value), x.format)
    return ew.cast(made.data, x.dtype), made.indices, made.indptr, made.shape_vector


METHODS: dict[str, Any] = {
    "__add__": basic.add, "__radd__": lambda x, other: basic.add(other, x),
    "__sub__": basic.sub, "__rsub__": lambda x, other: basic.sub(other, x),
    "__mul__": basic.mul, "__rmul__": basic.mul, "__neg__": entrywise.neg,
    "__truediv__": lambda x, other: basic.mul(x, ew.inv(other)),
    "__matmul__": basic.dot, "__rmatmul__": lambda x, other: basic.dot(other, x),
    "dot": basic.dot, "__dot__": basic.dot, "__rdot__": lambda x, other: basic.dot(other, x),
    "__getitem__": item, "T": property(transpose), "transpose": lambda x: transpose(x),
    "toarray": dense_from_sparse, "todense": dense_from_sparse, "sum": basic.sp_sum, "diagonal": basic.diag,
    "tocsr": lambda x: as_format(x, "csr"), "tocsc": lambda x: as_format(x, "csc"), "astype": entrywise.cast,
    "zeros_like": basic.sp_zeros_like, "ones_like": basic.sp_ones_like,
    "__lt__": comparisons.lt, "__le__": comparisons.le, "__gt__": comparisons.gt, "__ge__": comparisons.ge,
    "maximum": comparisons.maximum, "minimum": comparisons.minimum, "multiply": basic.mul,
}  # fmt: skip


def attach() -> None:
    """Attach the table's entries to ``SparseVariable``."""
    for name, function in METHODS.items():
        setattr(SparseVariable, name, function)
    SharedSparse.conform = _conformed  # type: ignore[attr-defined]
