"""Sparse matrices as symbolic values: the entries, their indices, and pointers to rows or columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from symc.config import config
from symc.errors import DTypeError, ShapeError, located
from symc.graph import SharedVariable, Variable
from symc.graph.composite import Composite
from symc.graph.dtypes import as_dtype
from symc.graph.shared_variables import Held
from symc.runtime.shared import shared as shared_tensor
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, constant
from symc.tensor.constructors import tensor
from symc.tensor.requirements import require_lengths
from symc.tensor.symbolic_dims import shape_i

if TYPE_CHECKING:
    import scipy.sparse as scipy_sparse

__all__ = [
    "INDEX",
    "SharedSparse",
    "SparseType",
    "SparseVariable",
    "as_sparse_variable",
    "is_scipy",
    "named",
    "scipy_module",
    "shared",
]

INDEX = "int32"
"""The dtype of indices and pointers, as in SciPy for matrices of fewer than 2**31 entries."""


def scipy_module() -> Any:
    """SciPy's sparse matrices, which are optional."""
    try:
        import scipy.sparse
    except ImportError:
        raise ImportError("sparse matrices in and out of functions need SciPy: pip install scipy") from None
    return scipy.sparse


def is_scipy(value: Any) -> bool:
    """Whether ``value`` is a sparse matrix or array of SciPy."""
    return hasattr(value, "tocsr") and hasattr(value, "nnz") and not isinstance(value, Composite)


@dataclass(frozen=True)
class SparseType:
    """The type of a sparse matrix.

    Attributes
    ----------
    format : {"csr", "csc"}
        SciPy's format of blocks of rows, ``"bsr"``, is converted to ``"csr"``.
    dtype : str
    """

    format: str
    dtype: str
    ndim: ClassVar[int] = 2
    broadcastable: ClassVar[tuple[bool, bool]] = (False, False)

    def __post_init__(self) -> None:
        if self.format == "bsr":
            object.__setattr__(self, "format", "csr")

    def __call__(self, name: str | None = None) -> SparseVariable:
        """Make an input of this type."""
        return named(self.format, name, self.dtype)

    make_variable = __call__

    @staticmethod
    def may_share_memory(a: Any, b: Any) -> bool:
        """Whether two sparse matrices, or a sparse matrix and an array, may have memory in common."""

        def arrays(value: Any) -> list[np.ndarray]:
            if is_scipy(value):
                return [value.data, value.indices, value.indptr]
            return [value] if isinstance(value, np.ndarray) else []

        return any(np.may_share_memory(x, y) for x in arrays(a) for y in arrays(b))

    @staticmethod
    def values_eq(a: Any, b: Any) -> bool:
        """Whether two sparse matrices have the same format, dtype, shape and elements."""
        if not (is_scipy(a) and is_scipy(b)) or (a.format, a.dtype, a.shape) != (b.format, b.dtype, b.shape):
            return False
        return bool((a != b).nnz == 0)

    @staticmethod
    def values_eq_approx(a: Any, b: Any, eps: float = 1e-6) -> bool:
        """Whether the elements of two sparse matrices of one format differ by less than ``eps``."""
        if not (is_scipy(a) and is_scipy(b)) or a.format != b.format or a.shape != b.shape:
            return False
        return bool(abs(a - b).max() < eps) if a.shape[0] and a.shape[1] else True


class SparseVariable(Composite):
    """A symbolic sparse matrix.

    Attributes
    ----------
    format : {"csr", "csc"}
        Whether entries are ordered by rows or by columns.
    data : Variable
        ``(entries,)``
    indices : Variable
        ``(entries,)``, the column of each entry in ``"csr"``, the row in ``"csc"``.
    indptr : Variable
        ``(rows + 1,)`` or ``(columns + 1,)``: where the entries of each row or column begin and end.
    shape_vector : Variable
        ``(2,)``, int64.
    name : str or None
    dense : Variable or None
        ``(rows, columns)``: the same matrix as a dense expression, if it was converted from one. Linear functions keep
        it, so that their gradients by the dense matrix also exist where it is zero.
    """

    ndim = 2
    __array_priority__ = 1001
    __array_ufunc__ = None  # NumPy leaves operators to this class

    def __init__(
        self,
        format: str,
        data: Variable,
        indices: Variable,
        indptr: Variable,
        shape: Variable,
        name: str | None = None,
        dense: Variable | None = None,
    ) -> None:
        if format not in ("csr", "csc"):
            raise ValueError(located(f"sparse: the format must be 'csr' or 'csc', got {format!r}"))
        self.format = format
        self.data, self.indices, self.indptr = data, indices, indptr
        self.shape_vector = shape
        self.name = name
        self.dense = dense

    @property
    def parts(self) -> tuple[Variable, ...]:  # type: ignore[override]
        """The four variables."""
        return self.data, self.indices, self.indptr, self.shape_vector

    @property
    def dtype(self) -> str:
        """The dtype of the entries."""
        return self.data.dtype

    @property
    def type(self) -> SparseType:
        """The format and the dtype; called with a name, it makes an input."""
        return SparseType(self.format, self.dtype)

    @property
    def shape(self) -> tuple[Variable, Variable]:
        """The number of rows and of columns, as integer scalars."""
        along = ew.sub(shape_i(self.indptr, 0), 1)
        other = self.shape_vector[1 if self.format == "csr" else 0]
        return (along, other) if self.format == "csr" else (other, along)

    @property
    def size(self) -> Variable:
        """The number of stored entries."""
        return shape_i(self.data, 0)

    nnz = size

    def with_data(self, data: Any) -> SparseVariable:
        """A matrix with other entries at the same places."""
        return SparseVariable(self.format, as_tensor(data), self.indices, self.indptr, self.shape_vector)

    def with_dense(self, dense: Variable | None) -> SparseVariable:
        """The same entries, and the dense expression of the matrix."""
        return SparseVariable(self.format, self.data, self.indices, self.indptr, self.shape_vector, self.name, dense)

    def specified(self, shape: Sequence[Any], what: str) -> SparseVariable:
        """The matrix with declared numbers of rows and columns: integers, integer scalars, or None for any."""
        repair = "pass a matrix of the declared shape, or declare another"
        text = what + ": the number of {} is declared to be another one"
        pairs = [
            (n, wanted, text.format(name))
            for n, wanted, name in zip(self.shape, shape, ("rows", "columns"))
            if wanted is not None
        ]
        checked = require_lengths(self.shape_vector, pairs, repair)
        return SparseVariable(self.format, self.data, self.indices, self.indptr, checked, self.name, self.dense)

    def __repr__(self) -> str:
        return self.name or f"<{self.format} matrix of {self.dtype}>"

    # --- a value of functions -----------------------------------------------------------------------------------------

    def split(self, value: Any, what: str) -> Sequence[Any]:
        """The arrays of a SciPy matrix of this format; a dense matrix of NumPy is converted."""
        if isinstance(value, np.ndarray) and value.ndim == 2:
            value = getattr(scipy_module(), f"{self.format}_matrix")(value)
        if not is_scipy(value):
            repair = f"convert it with scipy.sparse.{self.format}_matrix"
            raise TypeError(
                located(f"{what}: expected a sparse matrix of SciPy, got {type(value).__name__}", [], repair)
            )
        if value.ndim != 2:
            raise ShapeError(located(f"{what}: expected a matrix of two axes, got shape {value.shape}"))
        found = value.asformat(self.format)
        count = int(found.indptr[-1])
        for array in (found.indices, found.indptr):
            if array.size and int(array.max()) > np.iinfo(INDEX).max:
                raise ValueError(located(f"{what}: the matrix has more than 2**31 - 1 entries, rows or columns"))
        indices, indptr = (a.astype(INDEX, copy=False) for a in (found.indices[:count], found.indptr))
        return found.data[:count], indices, indptr, np.array(found.shape, "int64")

    def join(self, arrays: Sequence[Any]) -> scipy_sparse.csr_matrix | scipy_sparse.csc_matrix:
        """A SciPy matrix of the arrays."""
        data, indices, indptr, shape = arrays
        kind = getattr(scipy_module(), f"{self.format}_matrix")
        return kind((data, indices, indptr), shape=tuple(int(n) for n in shape), copy=False)

    def differentiable(self) -> Variable:
        """The entries."""
        return self.data

    def with_gradient(self, gradient: Any) -> Any:
        """The gradient at the places of the entries."""
        return self.with_data(gradient) if isinstance(gradient, Variable) else gradient

    def eval(self, inputs_to_values: Any = None) -> Any:
        """Compute the matrix; ``inputs_to_values`` maps variables, sparse ones too, to values."""
        from symc.runtime.function import function

        given = dict(inputs_to_values or {})
        return function(list(given), self, on_unused_input="ignore")(*given.values())

    def __hash__(self) -> int:
        return id(self)


def named(format: str, name: str | None, dtype: str | None) -> SparseVariable:
    """An input."""
    dtype = as_dtype(dtype or config.floatX)
    label = name or "sparse"
    parts = [
        tensor(d, shape=s, name=f"{label}.{part}")
        for part, d, s in (
            ("data", dtype, [None]), ("indices", INDEX, [None]), ("indptr", INDEX, [None]), ("shape", "int64", [2]),
        )
    ]  # fmt: skip
    data, indices, indptr, shape = parts
    return SparseVariable(format, data, indices, indptr, shape, name)


class SharedSparse(SparseVariable):
    """A sparse matrix whose value persists between calls; ``updates`` replace it."""

    @property
    def _shared(self) -> list[SharedVariable]:
        return [p for p in self.parts if isinstance(p, SharedVariable)]

    @property
    def container(self) -> Held:
        """The value as ``data`` or ``value``, which may be set."""
        return Held(self)  # type: ignore[arg-type]

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """Return the value as a SciPy matrix: a copy, or with ``borrow`` on the arrays themselves."""
        return self.join([p.get_value(borrow) for p in self._shared])

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Replace the value by a SciPy matrix; the number of entries and the shape may change."""
        arrays = self.split(value, f"set_value of {self!r}")
        if arrays[0].dtype != self.dtype and not np.can_cast(arrays[0].dtype, self.dtype, "same_kind"):
            raise DTypeError(located(f"set_value of {self!r}: expected dtype {self.dtype}, got {arrays[0].dtype}"))
        for part, array in zip(self._shared, arrays):
            part.set_value(array, borrow)


def shared(value: Any, name: str | None = None, borrow: bool = False, **policies: Any) -> SharedSparse:
    """Create a shared sparse matrix from a SciPy matrix."""
    format = value.format if value.format in ("csr", "csc") else "csr"
    like = named(format, name, as_dtype(value.dtype.name))
    arrays = like.split(value, "shared")
    label = name or "sparse"
    parts = [
        shared_tensor(a, f"{label}.{part}", borrow=borrow, shape=(2,) if part == "shape" else None)
        for a, part in zip(arrays, ("data", "indices", "indptr", "shape"))
    ]
    data, indices, indptr, shape = parts
    return SharedSparse(format, data, indices, indptr, shape, name)


def as_sparse_variable(x: Any, name: str | None = None) -> SparseVariable:
    """Convert a sparse matrix of SciPy to a constant; sparse variables are returned as they are.

    Raises
    ------
    TypeError
        For dense values: see ``csr_from_dense`` and ``csc_from_dense``.
    """
    if isinstance(x, SparseVariable):
        return x
    if not is_scipy(x):
        text = f"as_sparse_variable: expected a sparse matrix, got {type(x).__name__}"
        raise TypeError(located(text, [x] if isinstance(x, Variable) else [], "use csr_from_dense or csc_from_dense"))
    format = x.format if x.format in ("csr", "csc") else "csr"
    arrays = named(format, name, as_dtype(x.dtype.name)).split(x, "as_sparse_variable")
    data, indices, indptr, shape = (constant(a) for a in arrays)
    return SparseVariable(format, data, indices, indptr, shape, name)
