"""Operands of convolutions over any number of axes: dtype, number of axes, shapes that the user declares."""

from __future__ import annotations

from typing import Any

from symc.errors import ShapeError, located
from symc.graph import Constant, Variable
from symc.graph.dtypes import floating
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.shape_arguments import specify_shape

__all__ = ["declared", "operands"]


def operands(what: str, a: Any, b: Any, ndim: int | tuple[int, int], layout: str) -> tuple[Variable, Variable]:
    """Convert two operands to one float dtype; they must have ``ndim`` axes, which ``layout`` names in the message."""
    a, b = as_tensor(a), as_tensor(b)
    for v, count in zip((a, b), ndim if isinstance(ndim, tuple) else (ndim, ndim)):
        if v.ndim != count:
            which = "every operand" if isinstance(ndim, int) else f"operand {int(v is b)}"
            text = f"{what}: {which} must have {count} axes, got {v.ndim}"
            raise ShapeError(located(text, [a, b], f"{layout}; add axes with dimshuffle"))
    dtype = floating(unify_dtypes([a, b]))
    return ew.cast(a, dtype), ew.cast(b, dtype)


def declared(x: Variable, shape: Any, what: str, name: str) -> Variable:
    """Declare dims of ``x`` given by the user; None and symbolic entries leave a dim unchanged."""
    if shape is None:
        return x
    entries = [d.data.item() if isinstance(d, Constant) else None if isinstance(d, Variable) else d for d in shape]
    if len(entries) != x.ndim:
        raise ValueError(f"{what}: {name} must have {x.ndim} entries (None for what is not known), got {shape!r}")
    return specify_shape(x, entries)
