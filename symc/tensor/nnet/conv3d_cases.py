"""Test cases of convolution of volumes, with expected values from the defining sum."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np

from symc.graph.op import Arg, Case, add_cases
from symc.tensor.nnet.conv3d import (
    DEPTH_SUMS,
    DEPTH_WINDOWS,
    conv3d,
    conv3d_grad_wrt_inputs,
    conv3d_grad_wrt_weights,
)
from symc.tensor.symbolic_dims import shape_i

__all__ = ["conv3d_cases"]

Shape = tuple[int, ...]

GEOMETRIES: list[tuple[Shape, Shape, dict[str, Any], Shape, Shape]] = [
    ((1, 2, 4, 3, 5), (2, 2, 2, 2, 3), {}, (0, 0, 0), (0, 0, 0)),
    (
        (2, 1, 4, 3, 3), (2, 1, 3, 2, 2),
        {"border_mode": "full", "subsample": (2, 1, 2), "filter_flip": False}, (2, 1, 1), (2, 1, 1),
    ),
    (
        (1, 2, 5, 4, 3), (2, 1, 2, 3, 1),
        {"border_mode": (1, (0, 1), 0), "filter_dilation": (2, 1, 1), "num_groups": 2}, (1, 0, 0), (1, 1, 0),
    ),
]  # fmt: skip
"""Volumes, filters, the options of ``conv3d``, and the resulting padding before and after."""


def _terms(x: Shape, w: Shape, options: dict[str, Any], before: Shape, after: Shape) -> Any:
    """All (map position, filter position, volume position) of nonzero terms of the defining sum, and the maps."""
    stride, dilation = options.get("subsample", (1, 1, 1)), options.get("filter_dilation", (1, 1, 1))
    flip, groups = options.get("filter_flip", True), options.get("num_groups", 1)
    out = [
        (n + b + a - (t - 1) * d - 1) // s + 1
        for n, t, b, a, s, d in zip(x[2:], w[2:], before, after, stride, dilation)
    ]
    found = []
    for i, t in itertools.product(np.ndindex(*out), np.ndindex(*w[2:])):
        taps = [size - 1 - u if flip else u for u, size in zip(t, w[2:])]
        at = [p * s + u * d - b for p, s, u, d, b in zip(i, stride, taps, dilation, before)]
        if all(0 <= a < size for a, size in zip(at, x[2:])):
            found.append((i, t, tuple(at)))
    return found, (x[0], w[0], *out), groups


def _forward(geometry: Any, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    terms, shape, groups = _terms(*geometry)
    y = np.zeros(shape)
    for i, t, at in terms:
        for k in range(shape[1]):
            first = k // (shape[1] // groups) * w.shape[1]
            channels = slice(first, first + w.shape[1])
            y[:, k][(..., *i)] += x[:, channels][(..., *at)] @ w[k][(..., *t)].astype("float64")
    return y


def _to_volumes(geometry: Any, g: np.ndarray, w: np.ndarray) -> np.ndarray:
    terms, shape, groups = _terms(*geometry)
    dx = np.zeros(geometry[0])
    for i, t, at in terms:
        for k in range(shape[1]):
            first = k // (shape[1] // groups) * w.shape[1]
            for c in range(w.shape[1]):
                dx[:, first + c][(..., *at)] += g[:, k][(..., *i)] * w[k, c][t]
    return dx


def _to_filters(geometry: Any, x: np.ndarray, g: np.ndarray) -> np.ndarray:
    terms, shape, groups = _terms(*geometry)
    dw = np.zeros(geometry[1])
    for i, t, at in terms:
        for k in range(shape[1]):
            first = k // (shape[1] // groups) * dw.shape[1]
            for c in range(dw.shape[1]):
                dw[k, c][t] += np.dot(g[:, k][(..., *i)], x[:, first + c][(..., *at)])
    return dw


def conv3d_cases(which: int) -> list[Case]:
    """Cases of the convolution (0), or of one of its adjoints: by volumes (1) and by filters (2)."""
    made = []
    for geometry in GEOMETRIES:
        x, w, options = geometry[:3]
        maps = _terms(*geometry)[1]
        if which == 0:
            made.append(
                Case(
                    lambda a, b, o=options: conv3d(a, b, **o), (Arg(x), Arg(w)), partial(_forward, geometry), rtol=1e-4
                )
            )
        elif which == 1:
            made.append(
                Case(
                    lambda g, b, a, o=options: conv3d_grad_wrt_inputs(g, b, [shape_i(a, k) for k in range(5)], **o),
                    (Arg(maps), Arg(w), Arg(x)),
                    lambda g, b, a, geometry=geometry: _to_volumes(geometry, g, b),
                    rtol=1e-4,
                )
            )
        else:
            made.append(
                Case(
                    lambda a, g, b, o=options: conv3d_grad_wrt_weights(a, g, [shape_i(b, k) for k in range(5)], **o),
                    (Arg(x), Arg(maps), Arg(w)),
                    lambda a, g, b, geometry=geometry: _to_filters(geometry, a, g),
                    rtol=1e-4,
                )
            )
    return made


add_cases(DEPTH_WINDOWS, lambda: [*conv3d_cases(0), *conv3d_cases(2)])
add_cases(DEPTH_SUMS, lambda: conv3d_cases(1))
