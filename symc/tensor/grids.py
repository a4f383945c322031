"""Evenly spaced numbers, and coordinates of grids: ``linspace``, ``mgrid``, ``ogrid`` and ``meshgrid``."""

from __future__ import annotations

from typing import Any

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import is_float
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.broadcasting import broadcast_together
from symc.tensor.conversion import cast
from symc.tensor.creation import arange
from symc.tensor.options import choice, integer

__all__ = ["linspace", "meshgrid", "mgrid", "ogrid"]


def linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: str | None = None) -> Variable:
    """``num`` evenly spaced numbers from ``start`` to ``stop``, in ``dtype`` (default floatX).

    ``num`` is an integer or an integer scalar; at call time, a negative one counts as 0.
    """
    if not isinstance(num, Variable):
        num = integer("linspace", "num", num, least=0)
    elif num.ndim or is_float(num.dtype):
        raise DTypeError(located("linspace: num must be an integer or an integer scalar", [num], "cast it to int64"))
    start, stop = as_tensor(start), as_tensor(stop)
    if start.ndim or stop.ndim:
        raise ShapeError(located("linspace: start and stop must be scalars", [start, stop]))
    start, stop = (v if is_float(v.dtype) else ew.cast(v, "float64") for v in (start, stop))  # no overflow below 0
    steps: Any
    if isinstance(num, Variable):
        num = ew.cast(num, "int64")  # divided by an int64, float32 would become float64
        steps = ew.cast(ew.maximum(num - int(endpoint), 1), dtype if dtype and is_float(dtype) else "floatX")
    else:
        steps = float(max(num - int(endpoint), 1))
    place = ew.cast(arange(num), dtype or "floatX")
    made = start + place * ((stop - start) / steps)
    if endpoint:  # exactly, as in NumPy, whatever the rounding of the step
        made = ew.where(ew.eq(place, steps), stop, made)
    return ew.cast(made, dtype or "floatX")


class _Grid:
    """``mgrid`` and ``ogrid``: indexed with one slice ``start:stop:step`` per axis.

    A step ``nj``, an imaginary number, means n numbers from start to stop, both included.
    """

    def __init__(self, full: bool) -> None:
        self.full = full

    def __getitem__(self, slices: Any) -> Any:
        given = slices if isinstance(slices, tuple) else (slices,)
        along = [_along(s) for s in given]
        if len(along) == 1 and not isinstance(slices, tuple):
            return along[0]
        spread = _spread(along)
        if not self.full:
            return spread
        dtype = unify_dtypes(spread)
        return broadcast_together("mgrid", [cast(v, dtype) for v in spread])


def _along(s: Any) -> Variable:
    if not isinstance(s, slice) or s.stop is None:
        raise TypeError(f"mgrid and ogrid take slices start:stop:step, got {s!r}")
    start = 0 if s.start is None else s.start
    if isinstance(s.step, complex):
        return linspace(start, s.stop, int(abs(s.step)), dtype="float64")
    return arange(start, s.stop, 1 if s.step is None else s.step)


def _spread(along: list[Variable]) -> list[Variable]:
    return [dimshuffle(v, ["x"] * k + [0] + ["x"] * (len(along) - k - 1)) for k, v in enumerate(along)]


mgrid, ogrid = _Grid(True), _Grid(False)


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> list[Variable]:
    """The coordinates of the points of a grid, one tensor per vector in ``xi``.

    Parameters
    ----------
    *xi : tensor_like
        Vectors, or scalars as vectors of one element: the coordinates along each axis.
    copy : bool
        Has no effect.
    sparse : bool
        Leave axes along which nothing changes at length 1.
    indexing : {'xy', 'ij'}
        The order of axes: with ``'xy'``, the first two are swapped.
    """
    choice("meshgrid", "indexing", indexing, ("xy", "ij"))
    along = [as_tensor(v) for v in xi]
    along = [dimshuffle(v, ("x",)) if v.ndim == 0 else v for v in along]
    for v in along:
        if v.ndim != 1:
            raise ShapeError(located(f"meshgrid: expected vectors, got {v.ndim} axes", along))
    found = _spread(along)
    if indexing == "xy" and len(found) > 1:
        order = [1, 0, *range(2, len(found))]
        found = [dimshuffle(v, order) for v in found]
    return found if sparse else broadcast_together("meshgrid", found)


explain_faults(globals())
