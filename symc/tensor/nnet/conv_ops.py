"""The primitives of convolution: one linear map and its two adjoints.

The three primitives share one geometry (``Geometry``). The gradients of each are the two others, so derivatives of any
order exist. An adjoint that needs the shape of its result takes a *template* of which only the shape is read;
``specialise`` replaces the template by dims.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Apply, Variable, dims
from symc.graph.dtypes import is_float
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal, require_windows
from symc.graph.op import LibraryCall, Op, Record, Scaling, record
from symc.graph.types import TensorType
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import any

__all__ = [
    "BACKWARD_DATA",
    "BACKWARD_WEIGHTS",
    "CONV2D",
    "Geometry",
    "forward_geometry",
    "geometry",
    "geometry_parameters",
    "padding",
]


class Geometry(NamedTuple):
    """The dims of a convolution.

    Images are ``(n, c, h, w)``, filters ``(k, c / groups, r, s)``, maps ``(n, k, oh, ow)``.
    """

    images: tuple[dims.Dim, ...]
    filters: tuple[dims.Dim, ...]
    maps: tuple[dims.Dim, ...]
    pads: tuple[tuple[dims.Dim, dims.Dim], ...]


def padding(pad: Any, axis: int, extent: dims.Dim) -> tuple[dims.Dim, dims.Dim]:
    """The padding before and after an image's axis (0: rows, 1: columns) for a filter that covers ``extent`` pixels."""
    if pad == "full":
        return dims.sub(extent, 1), dims.sub(extent, 1)
    if pad == "half":
        return dims.floordiv(extent, 2), dims.floordiv(extent, 2)
    return pad[axis]


def geometry(op: Op, images: Sequence[dims.Dim], filters: Sequence[dims.Dim], operands: Sequence[Variable]) -> Geometry:
    """Compute the shape of the maps, and check that images and filters are compatible."""
    groups = op["groups"]
    for what, count in (("channels of the images", images[1]), ("filters", filters[0])):
        if type(count) is int and count % groups:
            raise ShapeError(located(f"{op.name}: {count} {what} cannot be divided into {groups} groups", operands))
    require_equal(
        images[1],
        dims.mul(filters[1], groups),
        lambda: located(
            f"{op.name}: the images have {dims.show(images[1])} channels, "
            f"the filters expect {dims.show(dims.mul(filters[1], groups))} "
            f"({dims.show(filters[1])} in each of {groups} groups)",
            operands,
            "filters have the shape (number of filters, channels / num_groups, rows, columns)",
        ),
    )
    pads, out = [], []
    for axis, word in enumerate(("rows", "columns")):
        length, size = images[2 + axis], filters[2 + axis]
        extent = dims.add(dims.mul(dims.sub(size, 1), op["dilation"][axis]), 1)
        before, after = padding(op["pad"], axis, extent)
        padded = dims.add(length, dims.add(before, after))
        count = dims.add(dims.floordiv(dims.sub(padded, extent), op["stride"][axis]), 1)
        count = require_windows(count, partial(_too_small, op, word, extent, padded, operands))
        pads.append((before, after))
        out.append(count)
    return Geometry(tuple(images), tuple(filters), (images[0], filters[0], *out), tuple(pads))


def _check_maps(op: Op, found: Sequence[dims.Dim], wanted: Sequence[dims.Dim], operands: Sequence[Variable]) -> None:
    for have, want, word in zip(found, wanted, ("batch", "filters", "rows", "columns")):
        require_equal(have, want, partial(_wrong_maps, op, word, have, want, operands))


def _too_small(op: Op, word: str, extent: dims.Dim, padded: dims.Dim, operands: Sequence[Variable]) -> str:
    text = f"a filter covers {dims.show(extent)} {word}, but the padded images have only {dims.show(padded)}"
    return located(f"{op.name}: {text}", operands, "pad more (border_mode), or use smaller filters")


def _wrong_maps(op: Op, word: str, have: dims.Dim, want: dims.Dim, operands: Sequence[Variable]) -> str:
    made = f"images and filters of these shapes make {dims.show(want)}"
    text = f"{op.name}: the maps have {dims.show(have)} as their number of {word}; {made}"
    return located(text, operands, "check the given shape, border_mode, subsample and filter_dilation")


def _check_operands(op: Op, operands: Sequence[Variable]) -> None:
    for v in operands:
        if v.ndim != 4:
            raise ShapeError(
                located(
                    f"{op.name}: every operand must have 4 axes, got {v.ndim}",
                    operands,
                    "images are (batch, channels, rows, columns), filters (filters, channels, rows, columns)",
                )
            )
        if not is_float(v.dtype) or v.dtype != operands[0].dtype:
            raise DTypeError(located(f"{op.name}: operands must have one float dtype", operands, "cast one of them"))


# --- the three primitives ---------------------------------------------------------------------------------------------


def forward_geometry(op: Op, inputs: Sequence[Variable]) -> Geometry:
    """The geometry of a forward convolution of ``(images, filters)``; raises if they do not fit."""
    _check_operands(op, inputs)
    return geometry(op, inputs[0].type.shape, inputs[1].type.shape, inputs)


def _adjoint_geometry(op: Op, inputs: Sequence[Variable]) -> Geometry:
    """The geometry of both adjoints, whose result has the shape of the template or of the attribute ``shape``."""
    _check_operands(op, inputs)
    made = op["shape"] if op["shape"] is not None else inputs[2].type.shape
    if op.record is BACKWARD_DATA:
        found = geometry(op, made, inputs[1].type.shape, inputs)
        _check_maps(op, inputs[0].type.shape, found.maps, inputs)
    else:
        found = geometry(op, inputs[0].type.shape, made, inputs)
        _check_maps(op, inputs[1].type.shape, found.maps, inputs)
    return found


def geometry_parameters(find: Callable[[Op, Sequence[Variable]], Geometry]) -> Callable[[Apply], list[dims.Dim]]:
    """The parameters of the library calls for convolutions, from the function that finds the geometry."""

    def parameters(node: Apply) -> list[dims.Dim]:
        op = node.op
        g = find(op, node.inputs)
        return [
            *g.images,
            g.filters[0],
            *g.filters[2:],
            *g.maps[2:],
            *op["stride"],
            g.pads[0][0],
            g.pads[1][0],
            *op["dilation"],
            op["groups"],
            int(op["flip"]),
        ]

    return parameters


def _other(op: Op, kind: Any, *inputs: Variable, template: Variable | None = None) -> Variable:
    """Apply another of the three primitives with the attributes of ``op``."""
    attrs = {k: v for k, v in op.attrs.items() if k != "shape"}
    if template is None:
        return Op(kind, **attrs)(*inputs)
    return Op(kind, **attrs, shape=None)(*inputs, template)


def _with_known_shape(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Variable:
    return Op(op.record, **{**op.attrs, "shape": types[0].shape})(*inputs[:2])


def _plain_pads(op: Op, filters: Sequence[int]) -> list[tuple[int, int]]:
    return [padding(op["pad"], k, (filters[2 + k] - 1) * op["dilation"][k] + 1) for k in (0, 1)]


def _patches(op: Op, x: np.ndarray, filters: Sequence[int]) -> np.ndarray:
    """The pixels under the filter at every position, as a view of the padded images.

    The shape is ``(n, groups, c / groups, oh, ow, r, s)``.
    """
    (dh, dw), (sh, sw), groups = op["dilation"], op["stride"], op["groups"]
    padded = np.pad(x, [(0, 0), (0, 0), *_plain_pads(op, filters)])
    extent = [(filters[2] - 1) * dh + 1, (filters[3] - 1) * dw + 1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, extent, (2, 3), writeable=True)[
        :, :, ::sh, ::sw, ::dh, ::dw
    ]
    return windows.reshape(x.shape[0], groups, x.shape[1] // groups, *windows.shape[2:])


def _grouped_filters(op: Op, w: np.ndarray) -> np.ndarray:
    """Reshape filters to ``(groups, k / groups, c / groups, r, s)``."""
    w = w[:, :, ::-1, ::-1] if op["flip"] else w
    return w.reshape(op["groups"], -1, *w.shape[1:])


def _forward_numpy(op: Op, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    patches = _patches(op, x.astype("float64"), w.shape)
    y = np.einsum("ngcyxrs,gkcrs->ngkyx", patches, _grouped_filters(op, w.astype("float64")))
    return y.reshape(len(x), len(w), *y.shape[3:]).astype(x.dtype)


def _data_numpy(op: Op, g: np.ndarray, w: np.ndarray, *template: np.ndarray) -> np.ndarray:
    n, c, h, width = template[0].shape if template else op["shape"]
    (top, bottom), (left, right) = _plain_pads(op, w.shape)
    padded = np.zeros((n, c, h + top + bottom, width + left + right))
    grouped = _grouped_filters(op, w.astype("float64"))
    maps = g.astype("float64").reshape(n, op["groups"], -1, *g.shape[2:])
    (sh, sw), (dh, dw) = op["stride"], op["dilation"]
    for y, x in np.ndindex(*g.shape[2:]):
        rows, cols = y * sh + dh * np.arange(w.shape[2]), x * sw + dw * np.arange(w.shape[3])
        spread = np.einsum("ngk,gkcrs->ngcrs", maps[:, :, :, y, x], grouped)
        padded[:, :, rows[:, None], cols] += spread.reshape(n, c, *w.shape[2:])
    return padded[:, :, top : top + h, left : left + width].astype(g.dtype)


def _weights_numpy(op: Op, x: np.ndarray, g: np.ndarray, *template: np.ndarray) -> np.ndarray:
    shape = template[0].shape if template else op["shape"]
    maps = g.astype("float64").reshape(len(g), op["groups"], -1, *g.shape[2:])
    dw = np.einsum("ngcyxrs,ngkyx->gkcrs", _patches(op, x.astype("float64"), shape), maps).reshape(shape)
    return (dw[:, :, ::-1, ::-1] if op["flip"] else dw).astype(x.dtype)


def _reach(images: bool, filters: bool) -> Reach:
    """Whole images and whole filters count if any element computed from them does.

    The two arguments state which of the operands correspond to an axis of the result: its first, of images or filters.
    """

    def find(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Any]:
        anything = any(counts, axis=(0, 1, 2, 3), keepdims=True)
        first = any(counts, axis=(1, 2, 3), keepdims=True)
        if images and filters:
            second = dimshuffle(any(counts, axis=(0, 2, 3), keepdims=True), (1, 0, 2, 3))
            found = [first, second]
        else:
            found = [first, anything] if images else [anything, dimshuffle(first, (1, 0, 2, 3))]
        return [*found, *[None] * (len(inputs) - 2)]

    return Reach(find, mixes=True)


def _scaled_filters(op: Op, position: int, filters: Variable, factors: Variable) -> Variable:
    """Scale the maps that the filters make."""
    return filters * dimshuffle(factors, (0, "x", "x", "x"))


def _scaled_adjoint(op: Op, position: int, filters: Variable, factors: Variable) -> Variable:
    """Scale the channels of the images that the adjoint makes of maps."""
    return filters * dimshuffle(factors, ("x", 0, "x", "x"))


CONV2D: Record = record(
    "conv2d",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, forward_geometry(op, inputs).maps),
    numpy=_forward_numpy,
    grad=lambda op, inputs, outputs, gs: [
        _other(op, BACKWARD_DATA, gs[0], inputs[1], template=inputs[0]),
        _other(op, BACKWARD_WEIGHTS, inputs[0], gs[0], template=inputs[1]),
    ],
    reach=_reach(images=True, filters=True),
    linear="separately",
    scaling=Scaling(((1, 1),), _scaled_filters),
    bounded_slope=True,
    lower=LibraryCall("conv2d_forward", geometry_parameters(forward_geometry)),
)

BACKWARD_DATA: Record = record(
    "conv2d_backward_data",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _adjoint_geometry(op, inputs).images),
    numpy=_data_numpy,
    grad=lambda op, inputs, outputs, gs: [
        _other(op, CONV2D, gs[0], inputs[1]),
        _other(op, BACKWARD_WEIGHTS, gs[0], inputs[0], template=inputs[1]),
        *[None] * (len(inputs) - 2),
    ],
    reach=_reach(images=True, filters=False),
    linear="separately",
    scaling=Scaling(((1, 1),), _scaled_adjoint, applies=lambda op: op["groups"] == 1),
    bounded_slope=True,
    lower=LibraryCall("conv2d_backward_data", geometry_parameters(_adjoint_geometry)),
    specialise=_with_known_shape,
)

BACKWARD_WEIGHTS: Record = record(
    "conv2d_backward_weights",
    infer=lambda op, inputs: TensorType(inputs[0].dtype, _adjoint_geometry(op, inputs).filters),
    numpy=_weights_numpy,
    grad=lambda op, inputs, outputs, gs: [
        _other(op, BACKWARD_DATA, inputs[1], gs[0], template=inputs[0]),
        _other(op, CONV2D, inputs[0], gs[0]),
        *[None] * (len(inputs) - 2),
    ],
    reach=_reach(images=False, filters=True),
    linear="separately",
    bounded_slope=True,
    lower=LibraryCall("conv2d_backward_weights", geometry_parameters(_adjoint_geometry)),
    specialise=_with_known_shape,
)
