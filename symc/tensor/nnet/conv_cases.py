"""Test cases of the three primitives of convolution, with expected values from the defining sum."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from symc.graph.op import Arg, Case, add_cases
from symc.tensor.nnet.conv import conv2d, conv2d_grad_wrt_inputs, conv2d_grad_wrt_weights
from symc.tensor.nnet.conv_ops import BACKWARD_DATA, BACKWARD_WEIGHTS, CONV2D
from symc.tensor.symbolic_dims import shape_i

__all__ = ["GEOMETRIES", "conv_cases"]

Shape = tuple[int, ...]
Geometry = tuple[Shape, Shape, dict[str, Any], dict[str, Any]]

GEOMETRIES: list[Geometry] = [
    ((2, 3, 6, 5), (4, 3, 3, 2), {}, {}),
    ((2, 3, 5, 6), (2, 3, 3, 3), {"border_mode": "half", "filter_flip": False}, {"before": (1, 1), "after": (1, 1)}),
    ((1, 2, 4, 5), (3, 2, 2, 3), {"border_mode": "full"}, {"before": (1, 2), "after": (1, 2)}),
    ((2, 2, 8, 7), (3, 2, 3, 2), {"subsample": (3, 2), "border_mode": (2, 1)}, {"before": (2, 1), "after": (2, 1)}),
    (
        (1, 2, 9, 8),
        (2, 2, 3, 2),
        {"filter_dilation": (2, 3), "border_mode": 1, "filter_flip": False},
        {"before": (1, 1), "after": (1, 1)},
    ),
    ((2, 4, 5, 6), (6, 2, 2, 3), {"num_groups": 2, "subsample": (1, 2)}, {}),
    ((1, 3, 4, 5), (6, 1, 3, 3), {"num_groups": 3, "border_mode": "half"}, {"before": (1, 1), "after": (1, 1)}),
    (
        (1, 2, 5, 6),
        (3, 2, 3, 3),
        {"border_mode": ((0, 2), (1, 0)), "subsample": (2, 2)},
        {"before": (0, 1), "after": (2, 0)},
    ),
    ((2, 5, 4, 3), (4, 5, 1, 1), {"subsample": (2, 1)}, {}),
    ((1, 1, 1, 7), (2, 1, 1, 3), {"border_mode": (0, 1)}, {"before": (0, 1), "after": (0, 1)}),
]
"""Images, filters, the options of ``conv2d``, and the resulting padding before and after rows and columns.

The dims of a shape differ where possible.
"""


class _Sum:
    """The terms of the sum that defines a convolution, as index tuples into images, filters and maps."""

    def __init__(self, geometry: Geometry) -> None:
        self.images, self.filters, options, zeros = geometry
        before, after = zeros.get("before", (0, 0)), zeros.get("after", (0, 0))
        stride, dilation = options.get("subsample", (1, 1)), options.get("filter_dilation", (1, 1))
        self.groups = options.get("num_groups", 1)
        taps: list[list[list[tuple[int, int]]]] = []  # per axis and position: the pairs (weight, pixel)
        for k in (0, 1):
            size, length = self.filters[2 + k], self.images[2 + k]
            last = length + before[k] + after[k] - (size - 1) * dilation[k]
            places = []
            for start in range(0, last, stride[k]):
                pixels = [start + r * dilation[k] - before[k] for r in range(size)]
                weights = range(size)[::-1] if options.get("filter_flip", True) else range(size)
                places.append([(w, p) for w, p in zip(weights, pixels) if 0 <= p < length])
            taps.append(places)
        self.rows, self.columns = taps
        self.maps = (self.images[0], self.filters[0], len(self.rows), len(self.columns))

    def terms(self) -> Iterator[tuple[Shape, Shape, Shape]]:
        channels, per_group = self.filters[1], self.filters[0] // self.groups
        for n, k, i, j in np.ndindex(*self.maps):
            for (r, y), (s, x), c in itertools.product(self.rows[i], self.columns[j], range(channels)):
                yield (n, k // per_group * channels + c, y, x), (k, c, r, s), (n, k, i, j)

    def forward(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        y = np.zeros(self.maps)
        for image, weight, place in self.terms():
            y[place] += x[image] * w[weight]
        return y

    def data(self, g: np.ndarray, w: np.ndarray, _: np.ndarray) -> np.ndarray:
        dx = np.zeros(self.images)
        for image, weight, place in self.terms():
            dx[image] += g[place] * w[weight]
        return dx

    def weights(self, x: np.ndarray, g: np.ndarray, _: np.ndarray) -> np.ndarray:
        dw = np.zeros(self.filters)
        for image, weight, place in self.terms():
            dw[weight] += g[place] * x[image]
        return dw


def _case(which: str, geometry: Geometry) -> Case:
    by_hand, options = _Sum(geometry), geometry[2]
    x, w, g = (Arg(shape, low=-1, high=1) for shape in (by_hand.images, by_hand.filters, by_hand.maps))
    if which == "forward":
        return Case(lambda x, w: conv2d(x, w, **options), (x, w), by_hand.forward)
    if which == "data":
        return Case(
            lambda g, w, x: conv2d_grad_wrt_inputs(g, w, [shape_i(x, k) for k in range(4)], **options),
            (g, w, x),
            by_hand.data,
        )
    return Case(
        lambda x, g, w: conv2d_grad_wrt_weights(x, g, [shape_i(w, k) for k in range(4)], **options),
        (x, g, w),
        by_hand.weights,
    )


def conv_cases(which: str) -> list[Case]:
    """One case per geometry of the primitive ``which``: "forward", "data" or "weights"."""
    return [_case(which, geometry) for geometry in GEOMETRIES]


for _record, _which in ((CONV2D, "forward"), (BACKWARD_DATA, "data"), (BACKWARD_WEIGHTS, "weights")):
    add_cases(_record, partial(conv_cases, _which))
