"""Inputs and conversions by dtype, and other short names of ``theano.sparse``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symc.sparse.basic import add, csc_matrix, csr_matrix, sampling_dot
from symc.sparse.entrywise import cast
from symc.sparse.variables import SparseVariable, as_sparse_variable
from symc.tensor import elementwise as ew
from symc.tensor.complex_numbers import parts

__all__ = [
    "add_s_d", "add_s_s", "add_s_s_data", "bcast", "conj", "constant", "csc_dmatrix", "csc_fmatrix",
    "csr_dmatrix", "csr_fmatrix", "dcast", "fcast", "icast", "lcast", "sparse_formats", "structured_dot_grad",
    "structured_monoid", "wcast",
]  # fmt: skip

sparse_formats = ["csc", "csr"]


def csr_fmatrix(name: str | None = None) -> SparseVariable:
    """A csr matrix of float32."""
    return csr_matrix(name, "float32")


def csr_dmatrix(name: str | None = None) -> SparseVariable:
    """A csr matrix of float64."""
    return csr_matrix(name, "float64")


def csc_fmatrix(name: str | None = None) -> SparseVariable:
    """A csc matrix of float32."""
    return csc_matrix(name, "float32")


def csc_dmatrix(name: str | None = None) -> SparseVariable:
    """A csc matrix of float64."""
    return csc_matrix(name, "float64")


def constant(x: Any, name: str | None = None) -> SparseVariable:
    """A SciPy matrix as a constant."""
    return as_sparse_variable(x, name)


def _casting(dtype: str) -> Callable[[Any], SparseVariable]:
    def convert(x: Any) -> SparseVariable:
        return cast(x, dtype)

    convert.__doc__ = f"Convert the entries to {dtype}."
    return convert


bcast, wcast, icast, lcast = (_casting(d) for d in ("int8", "int16", "int32", "int64"))
fcast, dcast = _casting("float32"), _casting("float64")


def conj(x: Any) -> SparseVariable:
    """The complex conjugate."""
    x = as_sparse_variable(x)
    return x.with_data(parts.conj(x.data))


def add_s_s(x: Any, y: Any) -> SparseVariable:
    """The sum of two sparse matrices."""
    return add(as_sparse_variable(x), as_sparse_variable(y))  # type: ignore[no-any-return]


def add_s_d(x: Any, y: Any) -> Any:
    """The sum of a sparse and a dense matrix, which is dense."""
    return add(x, y)


def add_s_s_data(x: Any, y: Any) -> SparseVariable:
    """The sum of two sparse matrices whose entries are at the same places, in the same order."""
    x, y = as_sparse_variable(x), as_sparse_variable(y)
    return x.with_data(ew.add(x.data, y.data))


def structured_monoid(tensor_op: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: the function becomes ``tensor_op`` of the entries, and other elements stay zero."""

    def decorator(function: Callable[..., Any]) -> Callable[..., SparseVariable]:
        def apply(x: Any, *others: Any) -> SparseVariable:
            x = as_sparse_variable(x)
            return x.with_data(tensor_op(x.data, *others))

        apply.__name__, apply.__doc__ = function.__name__, function.__doc__
        return apply

    return decorator


def structured_dot_grad(sparse_A: Any, dense_B: Any, ga: Any) -> Any:
    """The gradient of ``dot(sparse_A, dense_B)`` by the entries of ``sparse_A``, from that of the product."""
    pattern = as_sparse_variable(sparse_A)
    return sampling_dot(ga, dense_B, pattern.with_data(ew.add(ew.mul(pattern.data, 0), 1))).data
