"""The slices of volumes under a filter, side by side, and their sums: what makes a volume an image with more channels.

``depth_windows`` is ``(n, c, d, p) -> (n, od, c, kd, p)`` up to the order of axes, ``depth_sums`` its adjoint. Each is
the gradient of the other, so derivatives of any order exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Variable, dims
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_windows
from symc.graph.op import Indexed, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, const, index, maximum, minimum, select
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import any, sum

__all__ = ["DEPTH_SUMS", "DEPTH_WINDOWS"]


def _padding(op: Op, taps: dims.Dim) -> tuple[dims.Dim, dims.Dim]:
    """The slices of zeros before and after a volume."""
    extent = dims.add(dims.mul(dims.sub(taps, 1), op["dilation"]), 1)
    if op["pad"] == "full":
        return dims.sub(extent, 1), dims.sub(extent, 1)
    if op["pad"] == "half":
        return dims.floordiv(extent, 2), dims.floordiv(extent, 2)
    return op["pad"]


def _taps(op: Op, inputs: Sequence[Variable]) -> dims.Dim:
    """The depth of the filters: the attribute ``taps``, or that of the template behind the first input."""
    return op["taps"] if op["taps"] is not None else inputs[1].type.shape[2]


def _windows_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    n, c, depth, plane = inputs[0].type.shape
    taps = _taps(op, inputs)
    before, after = _padding(op, taps)
    extent = dims.add(dims.mul(dims.sub(taps, 1), op["dilation"]), 1)
    padded = dims.add(depth, dims.add(before, after))
    count = dims.add(dims.floordiv(dims.sub(padded, extent), op["stride"]), 1)
    count = require_windows(count, partial(_too_small, extent, padded, inputs))
    return TensorType(inputs[0].dtype, (n, count, c, taps, plane))


def _too_small(extent: dims.Dim, padded: dims.Dim, inputs: Sequence[Variable]) -> str:
    text = f"conv3d: a filter covers {dims.show(extent)} slices, but the padded volumes have only {dims.show(padded)}"
    return located(text, inputs, "pad more (border_mode), or use smaller filters")


def _places(op: Op, count: int, taps: int) -> np.ndarray:
    """The slice of the padded volume at (window, tap)."""
    tap = np.arange(taps)[::-1] if op["flip"] else np.arange(taps)
    return np.arange(count)[:, None] * op["stride"] + tap * op["dilation"]


def _windows_numpy(op: Op, x: np.ndarray, *template: np.ndarray) -> np.ndarray:
    taps = template[0].shape[2] if template else int(op["taps"])
    before, after = (int(p) for p in _padding(op, taps))
    padded = np.pad(x, [(0, 0), (0, 0), (before, after), (0, 0)])
    count = (padded.shape[2] - (taps - 1) * op["dilation"] - 1) // op["stride"] + 1
    return np.moveaxis(padded[:, :, _places(op, count, taps)], 2, 1)


def _tap_offset(op: Op, tap: Expr, taps: Expr) -> Expr:
    return (taps - 1 - tap if op["flip"] else tap) * op["dilation"]


def _windows_element(node: Any, at: tuple[Expr, ...], read: Callable[..., Expr], size: Callable[[Any], Expr]) -> Expr:
    op, x = node.op, node.inputs[0]
    n, window, c, tap, p = at
    taps = _taps(op, node.inputs)
    depth = size(x.type.shape[2])
    place = window * op["stride"] + _tap_offset(op, tap, size(taps)) - size(_padding(op, taps)[0])
    value = read(0, [n, c, maximum(minimum(place, depth - 1), index(0)), p])
    return select((place >= 0) & (place < depth), value, const(0, x.dtype))


def _samples(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], counts: Variable) -> list[Any]:
    """All of a sample matters as soon as one element of its result does."""
    rest = tuple(range(1, counts.ndim))
    row = any(counts, axis=rest)
    return [dimshuffle(row, (0, *["x"] * (inputs[0].ndim - 1))), *[None] * (len(inputs) - 1)]


DEPTH_WINDOWS: Record = record(
    "depth_windows",
    infer=_windows_infer,
    numpy=_windows_numpy,
    grad=lambda op, inputs, outputs, gs: [
        Op(DEPTH_SUMS, **op.attrs, shape=None)(gs[0], inputs[1], inputs[0]),
        None,
    ],
    reach=Reach(_samples),
    linear="jointly",
    bounded_slope=True,
    lower=Indexed(_windows_element),
    specialise=lambda op, inputs, types: Op(op.record, **{**op.attrs, "taps": types[0].shape[3]})(inputs[0]),
)


def _sums_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    """The type of (maps of windows, filters, volumes): that of the volumes, of which only the shape is read."""
    return TensorType(inputs[0].dtype, inputs[-1].type.shape)


def _sums_numpy(op: Op, y: np.ndarray, filters: np.ndarray, volumes: np.ndarray) -> np.ndarray:
    taps = y.shape[3]
    before, after = (int(p) for p in _padding(op, taps))
    n, c, depth, plane = volumes.shape
    padded = np.zeros((n, c, depth + before + after, plane), y.dtype)
    for window, places in enumerate(_places(op, y.shape[1], taps)):
        padded[:, :, places] += y[:, window]
    return padded[:, :, before : before + depth]


def _spread_element(node: Any, at: tuple[Expr, ...], read: Callable[..., Expr], size: Callable[[Any], Expr]) -> Expr:
    """What window the slice ``d`` is in at ``tap``: one at most."""
    op, y = node.op, node.inputs[0]
    n, c, d, tap, p = at
    count, taps = size(y.type.shape[1]), y.type.shape[3]
    place = d + size(_padding(op, taps)[0]) - _tap_offset(op, tap, size(taps))
    window = place // op["stride"]
    inside = (place >= 0) & (window < count)
    if op["stride"] > 1:
        inside = inside & (window * op["stride"] >= place) & (window * op["stride"] <= place)
    value = read(0, [n, maximum(minimum(window, count - 1), index(0)), c, tap, p])
    return select(inside, value, const(0, y.dtype))


def _spread_numpy(op: Op, y: np.ndarray) -> np.ndarray:
    n, count, c, taps, plane = y.shape
    before, after = (int(p) for p in _padding(op, taps))
    depth = int(op["shape"][2])
    padded = np.zeros((n, c, depth + before + after, taps, plane), y.dtype)
    padded[:, :, _places(op, count, taps), np.arange(taps)] = np.moveaxis(y, 1, 2)
    return padded[:, :, before : before + depth]


_spread = record(
    "depth_spread",
    infer=lambda op, inputs: TensorType(
        inputs[0].dtype, (*op["shape"][:3], inputs[0].type.shape[3], op["shape"][3])
    ),
    numpy=_spread_numpy,
    lower=Indexed(_spread_element),
)  # fmt: skip

DEPTH_SUMS: Record = record(
    "depth_sums",
    infer=_sums_infer,
    numpy=_sums_numpy,
    grad=lambda op, inputs, outputs, gs: [
        Op(DEPTH_WINDOWS, **{k: v for k, v in op.attrs.items() if k != "shape"})(gs[0], inputs[1]),
        None,
        None,
    ],
    reach=Reach(_samples),
    linear="first",
    bounded_slope=True,
    specialise=lambda op, inputs, types: sum(
        Op(_spread, **{**op.attrs, "shape": types[0].shape})(inputs[0]), axis=3
    ),
)  # fmt: skip
