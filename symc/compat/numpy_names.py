"""Names that NumPy had when old programs were written, such as ``numpy.float`` and ``numpy.cast``."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["add_old_names", "remove_old_names"]


class _Cast:
    """``numpy.cast[dtype](x)`` converts to a dtype."""

    def __getitem__(self, dtype: Any) -> Callable[[Any], np.ndarray]:
        return lambda x: np.asarray(x, dtype=dtype)


def _asscalar(a: Any) -> Any:
    """The only element of an array, as a Python number."""
    return np.asarray(a).item()


def _find_common_type(array_types: Any, scalar_types: Any) -> np.dtype:
    """The dtype of arrays beside scalars, which only count if they are of a higher kind (bool, int, float, complex)."""
    order = "biufc"
    arrays = np.result_type(*array_types) if array_types else None
    scalars = np.result_type(*scalar_types) if scalar_types else None
    if arrays is None or scalars is None:
        return np.dtype(arrays if scalars is None else scalars)
    return np.result_type(scalars, arrays) if order.index(scalars.kind) > order.index(arrays.kind) else arrays


def _machine_arithmetic() -> SimpleNamespace:
    """``numpy.MachAr()``: limits of float64."""
    f = np.finfo(np.float64)
    names = {name: getattr(f, name) for name in ("eps", "epsneg", "tiny", "precision", "resolution")}
    return SimpleNamespace(**names, xmin=f.tiny, xmax=f.max, huge=f.max)


def _old_names() -> dict[str, Any]:
    return {
        "int": int, "float": float, "complex": complex, "object": object, "str": str, "long": int, "unicode": str,
        "bool": bool, "float_": np.float64, "complex_": np.complex128, "string_": np.bytes_, "unicode_": np.str_,
        "Inf": np.inf, "Infinity": np.inf, "infty": np.inf, "PINF": np.inf, "NINF": -np.inf, "NaN": np.nan,
        "product": np.prod, "cumproduct": np.cumprod, "sometrue": np.any, "alltrue": np.all, "round_": np.round,
        "row_stack": np.vstack, "in1d": np.isin, "trapz": getattr(np, "trapezoid", None), "rank": np.ndim,
        "asscalar": _asscalar, "cast": _Cast(), "find_common_type": _find_common_type,
        "MachAr": _machine_arithmetic,
    }  # fmt: skip


_added: list[str] = []


def add_old_names() -> None:
    """Give NumPy the names that it no longer has. Names that it has are left alone."""
    for name, value in _old_names().items():
        if value is not None and name not in vars(np) and not _has(name):
            setattr(np, name, value)
            _added.append(name)


def _has(name: str) -> bool:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that are to be removed
        return hasattr(np, name)


def remove_old_names() -> None:
    """Remove what ``add_old_names`` added."""
    while _added:
        vars(np).pop(_added.pop(), None)
