"""Names of ``theano.sparse`` that ``symc.sparse`` does not have: its ops as classes, and tests of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import symc.sparse as sparse
import symc.tensor as T
from symc.compat import tensor as _dtypes
from symc.compat.op_class import OpClass
from symc.graph import Variable
from symc.sparse import SharedSparse, SparseVariable
from symc.sparse.variables import is_scipy

__all__ = [
    "AddSD", "AddSS", "AddSSData", "CSMProperties", "Cast", "ColScaleCSC", "ConstructSparseFromList",
    "csc_from_dense", "csr_from_dense", "cast", "hstack", "true_dot", "vstack",
    "DenseFromSparse", "Diag", "Dot", "EnsureSortedIndices", "EqualSD", "EqualSS", "GetItem2Lists", "GetItem2d",
    "GetItemList", "GetItemScalar", "GreaterEqualSD", "GreaterEqualSS", "GreaterThanSD", "GreaterThanSS", "HStack",
    "LessEqualSD", "LessEqualSS", "LessThanSD", "LessThanSS", "MulSD", "MulSS", "MulSV", "Neg", "NotEqualSD",
    "NotEqualSS", "Remove0", "RowScaleCSC", "SamplingDot", "SparseFromDense", "SparseTensorSharedVariable", "SpSum",
    "SquareDiagonal", "StructuredAddSV", "StructuredDot", "Transpose", "TrueDot", "Usmm", "VStack",
    "SparseConstant", "_is_dense", "_is_dense_variable", "_is_sparse", "_is_sparse_variable",
    "all_dtypes", "complex_dtypes", "continuous_dtypes", "discrete_dtypes", "enable_sparse", "float_dtypes",
    "int_dtypes", "integer_dtypes", "sparse_constructor", "uint_dtypes",
]  # fmt: skip

_HELD = frozenset((*_dtypes.integer_dtypes, "float32", "float64", *_dtypes.complex_dtypes))
"""The dtypes of sparse matrices in Theano, those of SciPy's: bool and float16 are not among them."""

(
    all_dtypes, complex_dtypes, continuous_dtypes, discrete_dtypes, float_dtypes, int_dtypes, integer_dtypes,
    uint_dtypes,
) = (
    [d for d in getattr(_dtypes, f"{kind}_dtypes") if d in _HELD]
    for kind in ("all", "complex", "continuous", "discrete", "float", "int", "integer", "uint")
)  # fmt: skip

enable_sparse = True
"""Whether there are sparse matrices."""

SparseTensorSharedVariable = SharedSparse
SparseConstant = SparseVariable


def sparse_constructor(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    format: str | None = None,
) -> SharedSparse:
    """``symc.sparse.shared`` with Theano's order of arguments; TypeError for what is no matrix of SciPy."""
    if not is_scipy(value):
        raise TypeError(f"sparse_constructor: expected a sparse matrix of SciPy, got {type(value).__name__}")
    return sparse.shared(value if format is None else value.asformat(format), name, borrow)


def _is_sparse(x: Any) -> bool:
    """Whether ``x`` is a matrix of SciPy."""
    return is_scipy(x)


def _is_dense(x: Any) -> bool:
    """Whether ``x`` is an array."""
    return hasattr(x, "__array__") and not isinstance(x, Variable) and not is_scipy(x)


def _is_sparse_variable(x: Any) -> bool:
    """Whether ``x`` is a symbolic sparse matrix; TypeError if it is no expression."""
    if not isinstance(x, (SparseVariable, Variable)):
        raise TypeError(f"expected an expression, got {type(x).__name__}")
    return isinstance(x, SparseVariable)


def _is_dense_variable(x: Any) -> bool:
    """Whether ``x`` is a symbolic tensor; TypeError if it is no expression."""
    return not _is_sparse_variable(x)


def _op(name: str, function: Callable[..., Any], **takes: Any) -> Any:
    """The class of an op: its objects apply ``function``, with the parameters by which they were made."""

    def call(self: Any, *inputs: Any, **named: Any) -> Any:
        return function(*inputs, *named.values(), **{key: getattr(self, key) for key in takes})

    text = f"``{name}({', '.join(takes)})`` as an op: ``symc.sparse.{function.__name__}``."
    metaclass: Any = type(OpClass)
    return metaclass(name, (OpClass,), {"__call__": call, "takes": takes, "__doc__": text, "__module__": __name__})


def _as_rows(x: Any) -> Variable:
    """A tensor of up to two axes as a matrix of one row, or as it is; TypeError for more axes."""
    x = T.as_tensor_variable(x)
    if x.ndim > 2:
        raise TypeError(f"SparseFromDense: expected at most two axes, got {x.type}")
    return x if x.ndim == 2 else x.dimshuffle(*["x"] * (2 - x.ndim), *range(x.ndim))


def csr_from_dense(x: Any) -> SparseVariable:
    """``symc.sparse.csr_from_dense``; scalars and vectors are matrices of one row."""
    return sparse.csr_from_dense(_as_rows(x))


def csc_from_dense(x: Any) -> SparseVariable:
    """``symc.sparse.csc_from_dense``; scalars and vectors are matrices of one row."""
    return sparse.csc_from_dense(_as_rows(x))


def cast(variable: Any, dtype: str) -> SparseVariable:
    """``symc.sparse.cast``; complex entries lose their imaginary parts in real dtypes, as in SciPy."""
    x = sparse.as_sparse_variable(variable)
    if x.dtype in complex_dtypes and dtype not in complex_dtypes:
        x = x.with_data(T.real(x.data))
    return sparse.cast(x, dtype)


def _stack(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def stacked(blocks: Any, format: str | None = None, dtype: str | None = None) -> Any:
        return function(blocks if dtype is None else [cast(b, dtype) for b in blocks], format, dtype)

    stacked.__name__ = stacked.__qualname__ = name
    stacked.__doc__ = f"``symc.sparse.{name}``; complex entries lose their imaginary parts in real dtypes."
    return stacked


hstack, vstack = _stack("hstack", sparse.hstack), _stack("vstack", sparse.vstack)


def _stack_op(function: Callable[..., Any]) -> Callable[..., Any]:
    def stacked(*blocks: Any, format: str | None = None, dtype: str | None = None) -> Any:
        return function(list(blocks), format=format, dtype=dtype)

    stacked.__name__ = function.__name__
    return stacked


def true_dot(x: Any, y: Any, grad_preserves_dense: bool = True) -> SparseVariable:
    """``symc.sparse.true_dot``; with a dense operand, too, the result is sparse, in the format of the sparse one."""
    found = sparse.true_dot(x, y)
    if isinstance(found, SparseVariable):
        return found
    format = next(sparse.as_sparse_variable(v).format for v in (x, y) if isinstance(v, SparseVariable) or is_scipy(v))
    return csr_from_dense(found) if format == "csr" else csc_from_dense(found)


def _dense(x: Any, structured: bool = True) -> Variable:
    return sparse.dense_from_sparse(x)


def _from_dense(x: Any, format: str) -> SparseVariable:
    return csr_from_dense(x) if format == "csr" else csc_from_dense(x)


def _cast(x: Any, out_type: str) -> SparseVariable:
    return cast(x, out_type)


AddSS, AddSD, AddSSData = (_op(n, sparse.add) for n in ("AddSS", "AddSD", "AddSSData"))
MulSS, MulSD, MulSV = (_op(n, sparse.mul) for n in ("MulSS", "MulSD", "MulSV"))
EqualSS, EqualSD = (_op(n, sparse.eq) for n in ("EqualSS", "EqualSD"))
NotEqualSS, NotEqualSD = (_op(n, sparse.neq) for n in ("NotEqualSS", "NotEqualSD"))
LessThanSS, LessThanSD = (_op(n, sparse.lt) for n in ("LessThanSS", "LessThanSD"))
GreaterThanSS, GreaterThanSD = (_op(n, sparse.gt) for n in ("GreaterThanSS", "GreaterThanSD"))
LessEqualSS, LessEqualSD = (_op(n, sparse.le) for n in ("LessEqualSS", "LessEqualSD"))
GreaterEqualSS, GreaterEqualSD = (_op(n, sparse.ge) for n in ("GreaterEqualSS", "GreaterEqualSD"))
StructuredAddSV = _op("StructuredAddSV", sparse.structured_add_s_v)
Dot, StructuredDot = _op("Dot", sparse.dot), _op("StructuredDot", sparse.structured_dot)
TrueDot = _op("TrueDot", true_dot, grad_preserves_dense=True)
SamplingDot, Usmm = _op("SamplingDot", sparse.sampling_dot), _op("Usmm", sparse.usmm)
Transpose, Neg, Diag = _op("Transpose", sparse.transpose), _op("Neg", sparse.neg), _op("Diag", sparse.diag)
SquareDiagonal = _op("SquareDiagonal", sparse.square_diagonal)
Remove0 = _op("Remove0", lambda x, inplace: sparse.remove0(x), inplace=False)
EnsureSortedIndices = _op("EnsureSortedIndices", sparse.ensure_sorted_indices, inplace=False)
ColScaleCSC, RowScaleCSC = _op("ColScaleCSC", sparse.col_scale), _op("RowScaleCSC", sparse.row_scale)
SpSum = _op("SpSum", sparse.sp_sum, axis=None, sparse_grad=True)
HStack = _op("HStack", _stack_op(hstack), format=None, dtype=None)
VStack = _op("VStack", _stack_op(vstack), format=None, dtype=None)
DenseFromSparse = _op("DenseFromSparse", _dense, structured=True)
SparseFromDense = _op("SparseFromDense", _from_dense, format="csr")
Cast = _op("Cast", _cast, out_type="float64")
CSMProperties = _op("CSMProperties", sparse.csm_properties)
ConstructSparseFromList = _op("ConstructSparseFromList", sparse.construct_sparse_from_list)
GetItemList, GetItem2Lists = _op("GetItemList", sparse.get_item_list), _op("GetItem2Lists", sparse.get_item_2lists)
GetItem2d, GetItemScalar = _op("GetItem2d", sparse.get_item_2d), _op("GetItemScalar", sparse.get_item_scalar)
