"""Coordinates of grids: ``mgrid``, ``ogrid`` and ``meshgrid``."""

from __future__ import annotations

from typing import Any

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, unify_dtypes
from symc.tensor.broadcasting import broadcast_together
from symc.tensor.conversion import cast
from symc.tensor.creation import arange

__all__ = ["meshgrid", "mgrid", "ogrid"]


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
    from symc.tensor.extra_ops import linspace

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
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
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
