"""Functions of the entries of sparse matrices, which leave other elements zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symc.graph import Variable
from symc.graph.dtypes import as_dtype
from symc.sparse.conversion import dense_result
from symc.sparse.variables import SparseVariable, as_sparse_variable
from symc.tensor import elementwise as ew

__all__ = [
    "cast", "neg", "structured_add", "structured_exp", "structured_log", "structured_maximum", "structured_minimum",
    "structured_pow", "structured_sigmoid",
]  # fmt: skip


def _structured(name: str, function: Callable[..., Variable], text: str) -> Callable[..., SparseVariable]:
    def apply(x: Any, *others: Any) -> SparseVariable:
        x = as_sparse_variable(x)
        return x.with_data(function(x.data, *others))

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = text
    return apply


_OF_ENTRIES: dict[str, tuple[Callable[..., Variable], str]] = {
    "sigmoid": (ew.sigmoid, "The sigmoid of the entries"),
    "exp": (ew.exp, "The exponential of the entries"),
    "log": (ew.log, "The logarithm of the entries"),
    "pow": (ew.power, "The entries to a power"),
    "minimum": (ew.minimum, "The minimum of each entry and a number"),
    "maximum": (ew.maximum, "The maximum of each entry and a number"),
    "add": (ew.add, "Add a number to the entries"),
}
(
    structured_sigmoid, structured_exp, structured_log, structured_pow, structured_minimum, structured_maximum,
    structured_add,
) = (
    _structured(f"structured_{name}", function, f"{text}; other elements stay zero.")
    for name, (function, text) in _OF_ENTRIES.items()
)  # fmt: skip


def neg(x: Any) -> SparseVariable:
    """The negative."""
    x = as_sparse_variable(x)
    return x.with_data(ew.neg(x.data)).with_dense(dense_result(ew.neg, x))


_ZERO_PRESERVING = {
    "abs_": ew.abs_, "sqr": ew.sqr, "sqrt": ew.sqrt, "sin": ew.sin, "tan": ew.tan, "arcsin": ew.arcsin,
    "arctan": ew.arctan, "sinh": ew.sinh, "tanh": ew.tanh, "arcsinh": ew.arcsinh, "arctanh": ew.arctanh,
    "expm1": ew.expm1, "log1p": ew.log1p, "deg2rad": ew.deg2rad, "rad2deg": ew.rad2deg, "sgn": ew.sgn,
    "ceil": ew.ceil, "floor": ew.floor, "trunc": ew.trunc, "rint": ew.round_half_to_even,
}  # fmt: skip
"""Functions that are zero at zero, so that only entries count."""
for _name, _function in _ZERO_PRESERVING.items():
    globals()[_name] = _structured(_name, _function, f"``{_name}`` of each element, which keeps zeros.")
__all__ += list(_ZERO_PRESERVING)


def cast(x: Any, dtype: str) -> SparseVariable:
    """Convert the entries to a dtype."""
    x, dtype = as_sparse_variable(x), as_dtype(dtype)
    return x.with_data(ew.cast(x.data, dtype)).with_dense(dense_result(lambda m: ew.cast(m, dtype), x))
