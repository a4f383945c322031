"""Test cases of the primitives of pooling, with expected values from loops over the windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from symc.gradient.reverse import grad
from symc.graph import Variable
from symc.graph.op import Arg, Case, add_cases
from symc.tensor import elementwise as ew
from symc.tensor.broadcasting import sum
from symc.tensor.signal.pool import MODES, POOL, POOL_GRAD, POOL_MAX_GRAD_GRAD, pool_2d

__all__ = ["pool_cases"]

GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, int], dict[str, Any]]] = [
    ((2, 3, 6, 5), (2, 2), {}),
    ((1, 2, 7, 8), (3, 2), {"stride": (2, 1)}),
    ((2, 5, 6), (3, 3), {"stride": (2, 2), "pad": (1, 2)}),
    ((5, 7), (2, 3), {"ignore_border": False}),
    ((2, 7, 6), (3, 2), {"ignore_border": False, "stride": (2, 3)}),
    ((1, 2, 2, 6, 4), (2, 4), {"stride": (3, 1)}),
    ((1, 1, 2, 3), (3, 4), {"ignore_border": False, "stride": (1, 2)}),
    ((2, 4, 3), (5, 2), {}),
]
"""Input, window and the options of ``pool_2d``."""


class _Windows:
    """Pooling of a geometry, one window at a time."""

    def __init__(self, shape: tuple[int, ...], window: tuple[int, int], options: dict[str, Any]) -> None:
        stride, pad = options.get("stride", window), options.get("pad", (0, 0))
        self.axes = []
        for length, size, step, zeros in zip(shape[-2:], window, stride, pad):
            end = length + 2 * zeros
            starts = [s for s in range(0, end, step) if s + size <= end]
            if not options.get("ignore_border", True):  # one more, truncated at the edge, if it contains new elements
                following = starts[-1] + step if starts else 0
                if following < length and (not starts or starts[-1] + size < length):
                    starts.append(following)
            self.axes.append([(s - zeros, min(s + size, end) - zeros) for s in starts])

    def __iter__(self) -> Iterator[tuple[tuple[int, int], tuple[Any, slice, slice], int]]:
        """Iterate over windows: the position in the result, the slices of the input, and the size with padding."""
        for i, (top, bottom) in enumerate(self.axes[0]):
            for j, (left, right) in enumerate(self.axes[1]):
                part = (..., slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0)))
                yield (i, j), part, (bottom - top) * (right - left)

    def pooled(self, x: np.ndarray, mode: str) -> np.ndarray:
        out = np.zeros((*x.shape[:-2], *map(len, self.axes)))
        for (i, j), part, size in self:
            seen = x[part]
            total = seen.sum((-2, -1), dtype="float64")
            counted = seen.shape[-2] * seen.shape[-1]
            out[..., i, j] = {
                "max": seen.max((-2, -1)),
                "sum": total,
                "average_inc_pad": total / size,
                "average_exc_pad": total / counted,
            }[mode]
        return out

    def slope(self, x: np.ndarray) -> np.ndarray:
        """The gradient of max pooling for the output gradient ``cos(3 y)``."""
        dx = np.zeros(x.shape)
        for _, part, _ in self:
            top = x[part].max((-2, -1), keepdims=True)
            dx[part] += (x[part] == top) * np.cos(3.0 * top)
        return dx

    def bend(self, x: np.ndarray) -> np.ndarray:
        """The gradient of ``sum(slope(x) * sin(x))`` by the output gradient: the sine at each maximum."""
        out = np.zeros((*x.shape[:-2], *map(len, self.axes)))
        for (i, j), part, _ in self:
            top = x[part].max((-2, -1), keepdims=True)
            out[..., i, j] = ((x[part] == top) * np.sin(x[part])).sum((-2, -1))
        return out


def _slope(y: Variable, x: Variable) -> tuple[Variable, Variable]:
    """The gradient of pooling for a varying output gradient, and that output gradient."""
    weights = ew.cos(y * 3.0)
    return grad(None, x, known_grads={y: weights}), weights


def _bend(y: Variable, x: Variable) -> Variable:
    dx, weights = _slope(y, x)
    return grad(sum(dx * ew.sin(x)), weights)


def pool_cases(order: int) -> list[Case]:
    """Cases of pooling (order 0), of its gradient (1), and of the derivative of that by the output gradient (2)."""
    made = []
    for shape, ws, options in GEOMETRIES:
        windows, args = _Windows(shape, ws, options), (Arg(shape, distinct=True),)
        for mode in MODES if order == 0 else ("max",):

            def pooled(x: Variable, ws: Any = ws, given: Any = (options, mode)) -> Variable:
                return pool_2d(x, ws, **{"ignore_border": True, **given[0], "mode": given[1]})

            builds: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
                (pooled, lambda x, w=windows, mode=mode: w.pooled(x, mode)),
                (lambda x, p=pooled: _slope(p(x), x)[0], windows.slope),
                (lambda x, p=pooled: _bend(p(x), x), windows.bend),
            ]
            build, expect = builds[order]
            made.append(Case(build, args, expect, grad=order == 0))
    return made


for _order, _record in enumerate((POOL, POOL_GRAD, POOL_MAX_GRAD_GRAD)):
    add_cases(_record, partial(pool_cases, _order))
