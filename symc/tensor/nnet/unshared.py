"""Convolutions of images with separate filters for every position of the maps ("locally connected")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symc.errors import ShapeError, located
from symc.gradient.reverse import grad
from symc.graph import Variable, dims
from symc.graph.guards import require_equal
from symc.tensor import elementwise as ew
from symc.tensor.creation import arange
from symc.tensor.einsum import einsum
from symc.tensor.indices.indexing import take
from symc.tensor.nnet.conv_ops import padding
from symc.tensor.symbolic_dims import shape_i

__all__ = ["inputs_of_unshared", "unshared_conv2d", "weights_of_unshared"]


def _check(x: Variable, w: Variable, attrs: Mapping[str, Any]) -> None:
    """Raise a ShapeError for operands that are known not to fit; others fail at call time, in the product."""
    groups = attrs["groups"]
    for what, count in (("channels of the images", x.type.shape[1]), ("filters", w.type.shape[0])):
        if type(count) is int and count % groups:
            raise ShapeError(located(f"conv2d: {count} {what} cannot be divided into {groups} groups", [x, w]))
    for axis, word in enumerate(("rows", "columns")):
        extent = dims.add(dims.mul(dims.sub(w.type.shape[4 + axis], 1), attrs["dilation"][axis]), 1)
        before, after = padding(attrs["pad"], axis, extent)
        rest = dims.sub(dims.add(x.type.shape[2 + axis], dims.add(before, after)), extent)
        count = dims.add(dims.floordiv(rest, attrs["stride"][axis]), 1)
        text = f"conv2d: the maps have {dims.show(count)} {word}, the unshared filters are for "
        require_equal(
            count,
            w.type.shape[1 + axis],
            text + dims.show(w.type.shape[1 + axis]),
            [x, w],
            "filters are (filters, map rows, map columns, channels / num_groups, filter rows, filter columns)",
        )


def _places(n: Any, taps: Any, which: int, attrs: Mapping[str, Any]) -> Variable:
    """The pixel, ``(positions, taps)``, that each tap of a filter is applied to along an axis of length ``n``."""
    stride, dilation, pad = attrs["stride"][which], attrs["dilation"][which], attrs["pad"]
    extent = (taps - 1) * dilation + 1
    if isinstance(pad, str):
        before = after = extent - 1 if pad == "full" else extent // 2
    else:
        before, after = pad[which]
    count = ew.maximum((n + before + after - extent) // stride + 1, 0)
    return arange(count).dimshuffle(0, "x") * stride + arange(taps).dimshuffle("x", 0) * dilation - before


def unshared_conv2d(x: Variable, w: Variable, attrs: Mapping[str, Any]) -> Variable:
    """Convolve images with filters of their own for every position.

    Parameters
    ----------
    x : Variable
        Images, ``(batch, channels, rows, columns)``.
    w : Variable
        ``(filters, map rows, map columns, channels / groups, filter rows, filter columns)``.
    attrs : mapping
        The attributes of ``CONV2D``: ``pad``, ``stride``, ``dilation``, ``groups``, ``flip``.

    Returns
    -------
    Variable
        Maps, ``(batch, filters, map rows, map columns)``.
    """
    _check(x, w, attrs)
    groups = attrs["groups"]
    if attrs["flip"]:
        w = w[..., ::-1, ::-1]
    seen, axis = x, 2
    for which in range(2):  # an axis of the images becomes two: position and tap
        n = shape_i(x, 2 + which)
        place = _places(n, shape_i(w, 4 + which), which, attrs)
        seen = take(seen, ew.clip(place, 0, ew.maximum(n - 1, 0)), axis=axis)
        inside = ew.and_(ew.ge(place, 0), ew.lt(place, n))
        inside = inside.dimshuffle(*["x"] * axis, 0, 1, *["x"] * (seen.ndim - axis - 2))
        seen = ew.switch(inside, seen, 0)
        axis += 2
    batch, channels = shape_i(x, 0), shape_i(x, 1)
    if groups == 1:
        return einsum("ncirjt,kijcrt->nkij", seen, w)
    seen = seen.reshape([batch, groups, channels // groups, *[shape_i(seen, k) for k in range(2, 6)]], ndim=7)
    filters = shape_i(w, 0)
    grouped = w.reshape([groups, filters // groups, *[shape_i(w, k) for k in range(1, 6)]], ndim=7)
    maps = einsum("ngcirjt,gkijcrt->ngkij", seen, grouped)
    return maps.reshape([batch, filters, shape_i(maps, 3), shape_i(maps, 4)], ndim=4)


def inputs_of_unshared(g: Variable, w: Variable, images: Variable, attrs: Mapping[str, Any]) -> Variable:
    """The gradient of :func:`unshared_conv2d` by its images; of ``images`` only the shape is read."""
    return grad(None, images, known_grads={unshared_conv2d(images, w, attrs): g})


def weights_of_unshared(x: Variable, g: Variable, filters: Variable, attrs: Mapping[str, Any]) -> Variable:
    """The gradient of :func:`unshared_conv2d` by its filters; of ``filters`` only the shape is read."""
    return grad(None, filters, known_grads={unshared_conv2d(x, filters, attrs): g})
