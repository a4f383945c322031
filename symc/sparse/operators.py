"""Operators and methods of sparse variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Variable
from symc.sparse import basic
from symc.sparse.conversion import as_format, dense_from_sparse, make_shape, places_of, transpose
from symc.sparse.variables import INDEX, SharedSparse, SparseVariable, as_sparse_variable
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.basic import constant
from symc.tensor.indices.indexing import subtensor
from symc.tensor.joining import concatenate
from symc.tensor.symbolic_dims import shape_i

__all__ = ["attach"]


def _item(x: SparseVariable, item: Any) -> Any:
    """An element, or some of the rows of a csr matrix or columns of a csc matrix."""
    row, column = item if isinstance(item, tuple) and len(item) == 2 else (item, slice(None))
    if not isinstance(row, slice) and not isinstance(column, slice):
        return _element(x, row, column)
    along, other = (row, column) if x.format == "csr" else (column, row)
    if isinstance(along, slice) and along.step in (None, 1) and isinstance(other, slice) and other == slice(None):
        return _lines(x, along)
    text = f"sparse: a {x.format} matrix has elements and ranges of {'rows' if x.format == 'csr' else 'columns'}"
    raise TypeError(located(text, [x.data], "convert it with tocsr() or tocsc(), or to a dense matrix"))


def _element(x: SparseVariable, row: Any, column: Any) -> Variable:
    n, m = x.shape
    rows, columns = places_of(x)
    here = ew.and_(ew.eq(rows, ew.mod(row, n)), ew.eq(columns, ew.mod(column, m)))
    return reduce.sum(ew.switch(here, x.data, 0), dtype=x.dtype)


def _lines(x: SparseVariable, lines: slice) -> SparseVariable:
    """A range of rows of a csr matrix, or of columns of a csc matrix."""
    starts, stops = (subtensor(subtensor(x.indptr, part), lines) for part in (slice(None, -1), slice(1, None)))
    begin = ew.cast(reduce.sum(subtensor(starts, slice(0, 1))), "int64")  # 0 for an empty range
    end = ew.cast(reduce.sum(subtensor(stops, slice(-1, None))), "int64")
    kept = slice(begin, end)
    first = constant(np.zeros(1, INDEX))
    indptr = concatenate([first, ew.sub(stops, ew.cast(begin, INDEX))])
    count = shape_i(starts, 0)
    shape = make_shape(count, x.shape[1]) if x.format == "csr" else make_shape(x.shape[0], count)
    return SparseVariable(x.format, subtensor(x.data, kept), subtensor(x.indices, kept), indptr, shape)


def _compared(name: str) -> Any:
    def refuse(x: SparseVariable, other: Any) -> Any:
        text = f"sparse: {name} is not defined for sparse matrices, since the result would be dense"
        raise TypeError(located(text, [x.data], "compare x.toarray()"))

    return refuse


def _conformed(x: SharedSparse, value: Any) -> Sequence[Variable]:
    """The parts of a new value, in the format and dtype of the shared matrix."""
    made = as_format(as_sparse_variable(value), x.format)
    return ew.cast(made.data, x.dtype), made.indices, made.indptr, made.shape_vector


METHODS: dict[str, Any] = {
    "__add__": basic.add, "__radd__": lambda x, other: basic.add(other, x),
    "__sub__": basic.sub, "__rsub__": lambda x, other: basic.sub(other, x),
    "__mul__": basic.mul, "__rmul__": basic.mul, "__neg__": basic.neg,
    "__truediv__": lambda x, other: basic.mul(x, ew.inv(other)),
    "__matmul__": basic.dot, "__rmatmul__": lambda x, other: basic.dot(other, x),
    "dot": basic.dot, "__dot__": basic.dot, "__rdot__": lambda x, other: basic.dot(other, x),
    "__getitem__": _item, "T": property(transpose), "transpose": lambda x: transpose(x),
    "toarray": dense_from_sparse, "todense": dense_from_sparse, "sum": basic.sp_sum, "diagonal": basic.diag,
    "tocsr": lambda x: as_format(x, "csr"), "tocsc": lambda x: as_format(x, "csc"), "astype": basic.cast,
    "zeros_like": basic.sp_zeros_like, "ones_like": basic.sp_ones_like,
    **{f"__{n}__": _compared(s) for n, s in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="))},
}  # fmt: skip


def attach() -> None:
    """Attach the table's entries to ``SparseVariable``."""
    for name, function in METHODS.items():
        setattr(SparseVariable, name, function)
    SharedSparse.conform = _conformed  # type: ignore[attr-defined]
