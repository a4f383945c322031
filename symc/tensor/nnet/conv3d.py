"""Convolution of volumes, with Theano's interface.

The slices under a filter are laid side by side as channels, so that one convolution of images does the rest::

    (n, c, d, h, w) -> (n * od, c * kd, h, w) -> (n * od, k, oh, ow) -> (n, k, od, oh, ow)

``depth_windows`` is the first step, ``depth_sums`` its adjoint. Each is the gradient of the other, so derivatives of
any order exist.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Constant, Variable, dims
from symc.graph.gradient_flow import Reach
from symc.graph.guards import require_equal
from symc.graph.op import Indexed, Op, Record, record
from symc.graph.types import TensorType
from symc.loops.expr import Expr, const, index, maximum, minimum, select
from symc.tensor.axes import dimshuffle
from symc.tensor.broadcasting import any, sum
from symc.tensor.creation import alloc
from symc.tensor.nnet.conv import whole_number
from symc.tensor.nnet.conv_operands import declared, operands
from symc.tensor.nnet.conv_ops import BACKWARD_DATA, BACKWARD_WEIGHTS, CONV2D
from symc.tensor.requirements import require_lengths
from symc.tensor.reshaping import reshape
from symc.tensor.symbolic_dims import length

__all__ = ["conv3d", "conv3d_grad_wrt_inputs", "conv3d_grad_wrt_weights", "separable_conv3d"]

_LAYOUT = "volumes are (batch, channels, depth, rows, columns), filters (filters, channels, depth, rows, columns)"


# --- slices side by side --------------------------------------------------------------------------------------------


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
    require_equal(dims.minimum(count, 1), 1, partial(_too_small, extent, padded, inputs))
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


# --- public functions -----------------------------------------------------------------------------------------------


def _three(value: Any, what: str, name: str, least: int) -> tuple[int, int, int]:
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value,) * 3
    if len(entries) != 3:
        text = "an integer or three (depth, rows, columns)"
        raise ValueError(f"{what}: {name} must be {text}, got {value!r}")
    d, r, c = (whole_number(e, what, name, least) for e in entries)
    return d, r, c


def _border(value: Any, what: str) -> tuple[Any, Any]:
    """Convert ``border_mode`` to the padding of the depth and that of rows and columns."""
    if value in ("full", "half"):
        return value, value
    if value == "valid":
        return (0, 0), ((0, 0), (0, 0))
    if isinstance(value, str):
        text = "'valid', 'full', 'half', an integer or three of them"
        raise ValueError(f"{what}: border_mode must be {text}, got {value!r}")
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value,) * 3
    if len(entries) != 3:
        raise ValueError(f"{what}: border_mode must have an entry for depth, rows and columns, got {value!r}")
    pads = []
    for e in entries:
        both = tuple(e) if isinstance(e, (tuple, list)) else (e, e)
        if len(both) != 2:
            raise ValueError(f"{what}: an entry of border_mode is a number or (before, after), got {e!r}")
        pads.append(tuple(whole_number(p, what, "border_mode", 0) for p in both))
    return pads[0], (pads[1], pads[2])


class _Settings:
    """The options of a convolution of volumes, as attributes of the ops of its two steps."""

    def __init__(
        self, what: str, border_mode: Any, subsample: Any, filter_flip: bool, filter_dilation: Any, num_groups: Any
    ) -> None:
        depth_pad, plane_pad = _border(border_mode, what)
        stride = _three(subsample, what, "subsample", 1)
        dilation = _three(filter_dilation, what, "filter_dilation", 1)
        self.groups = whole_number(num_groups, what, "num_groups", 1)
        self.depth = {"pad": depth_pad, "stride": stride[0], "dilation": dilation[0], "flip": bool(filter_flip)}
        self.plane = {
            "pad": plane_pad, "stride": stride[1:], "dilation": dilation[1:], "flip": bool(filter_flip),
            "groups": self.groups,
        }  # fmt: skip


def _of_these_channels(what: str, x: Variable, w: Variable, groups: int) -> Variable:
    """Require as many channels of ``x`` as ``w`` expects, and return ``x``."""
    channels, expected = x.type.shape[1], dims.mul(w.type.shape[1], groups)
    require_equal(
        channels,
        expected,
        lambda: located(
            f"{what}: the volumes have {dims.show(channels)} channels, the filters expect {dims.show(expected)} "
            f"({dims.show(w.type.shape[1])} in each of {groups} groups)",
            [x, w],
            _LAYOUT,
        ),
    )
    for name, count in (("channels", channels), ("filters", w.type.shape[0])):
        if type(count) is int and count % groups:
            raise ShapeError(located(f"{what}: {count} {name} cannot be divided into {groups} groups", [x, w]))
    text = f"{what}: the volumes must have as many channels as the filters expect in all groups"
    return require_lengths(x, [(length(x, 1), length(w, 1) * groups, text)], _LAYOUT)


def _lengths(x: Variable) -> list[Any]:
    return [length(x, k) for k in range(x.ndim)]


def _as_planes(x: Variable) -> Variable:
    """``(n, c, d, h, w)`` as ``(n, c, d, h * w)``."""
    n, c, d, h, w = _lengths(x)
    return reshape(x, [n, c, d, h * w])


def _windows(x: Variable, w: Variable, settings: _Settings) -> tuple[Variable, list[Any]]:
    """The images ``(n * od, c * kd, h, w)``, and ``[n, od, c, kd, h, w]``."""
    found = Op(DEPTH_WINDOWS, **settings.depth, taps=None)(_as_planes(x), w)
    n, od, c, kd, _ = _lengths(found)
    h, columns = _lengths(x)[3:]
    return reshape(found, [n * od, c * kd, h, columns]), [n, od, c, kd, h, columns]


def _as_filters(w: Variable) -> Variable:
    """``(k, c, kd, r, s)`` as ``(k, c * kd, r, s)``."""
    k, c, kd, r, s = _lengths(w)
    return reshape(w, [k, c * kd, r, s])


def _as_images(maps: Variable) -> Variable:
    """``(n, k, od, oh, ow)`` as ``(n * od, k, oh, ow)``."""
    n, k, od, oh, ow = _lengths(maps)
    return reshape(dimshuffle(maps, (0, 2, 1, 3, 4)), [n * od, k, oh, ow])


def conv3d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1,
) -> Variable:
    r"""Convolve volumes with filters.

    .. math:: y_{n,k,i} = \sum_{c,t} w_{k,c,t} \, x_{n,\, c,\, i s + (T - 1 - t) d - p}

    where :math:`i` and :math:`t` are positions (depth, row, column), :math:`T` is the size of the filters, :math:`s`
    the stride, :math:`d` the dilation and :math:`p` the padding before the first slice, row and column. With
    ``filter_flip=False``, :math:`t` takes the place of :math:`T - 1 - t`.

    Parameters
    ----------
    input : tensor_like
        Volumes, ``(batch, channels, depth, rows, columns)``.
    filters : tensor_like
        ``(filters, channels / num_groups, filter depth, filter rows, filter columns)``.
    input_shape, filter_shape : sequence of int or None, optional
        Known dims of the shapes: checked at call time, and used to specialise the code.
    border_mode : {'valid', 'full', 'half'}, int or three entries
        Zero padding of the volumes: none; ``extent - 1``; ``extent // 2``; or a number, or three (depth, rows,
        columns), each a number or ``(before, after)``. ``extent`` is ``(size - 1) * dilation + 1``.
    subsample : int or three int
        The stride, (depth, rows, columns).
    filter_flip : bool
        Flip the filters (a convolution), or not (a correlation).
    filter_dilation : int or three int
        Distance of neighbouring weights.
    num_groups : int
        The number of groups into which channels and filters are divided, each convolved separately.

    Returns
    -------
    Variable
        Maps, ``(batch, filters, (depth + pad - extent) // stride + 1, ...)``, in the operands' common float dtype.

    Raises
    ------
    ShapeError
        If the operands do not have 5 axes, channels do not match, or a filter is larger than the padded volumes.
    ValueError
        For an unknown ``border_mode``, or a stride, dilation or padding that is not an integer.

    Examples
    --------
    >>> import symc.tensor as T
    >>> x, w = T.tensor5("x", shape=(None, 2, 8, 16, 16)), T.tensor5("w", shape=(4, 2, 3, 3, 3))
    >>> T.nnet.conv3d(x, w, border_mode="half", subsample=(1, 2, 2)).static_shape
    (None, 4, 8, 8, 8)
    """
    settings = _Settings("conv3d", border_mode, subsample, filter_flip, filter_dilation, num_groups)
    x, w = operands("conv3d", input, filters, 5, _LAYOUT)
    x, w = declared(x, input_shape, "conv3d", "input_shape"), declared(w, filter_shape, "conv3d", "filter_shape")
    x = _of_these_channels("conv3d", x, w, settings.groups)
    images, (n, od, *_) = _windows(x, w, settings)
    maps = Op(CONV2D, **settings.plane)(images, _as_filters(w))
    _, k, oh, ow = _lengths(maps)
    return dimshuffle(reshape(maps, [n, od, k, oh, ow]), (0, 2, 1, 3, 4))


def _template(shape: Any, defaults: Sequence[Any], dtype: str, what: str, name: str) -> Variable:
    """A tensor of which only the shape is read."""
    entries = [shape[k] for k in range(5)] if isinstance(shape, Variable) else list(shape)
    if len(entries) != 5:
        raise ValueError(f"{what}: {name} must have 5 entries, got {shape!r}")
    full = [default if entry is None else entry for entry, default in zip(entries, defaults)]
    if builtins.any(e is None for e in full):
        raise ValueError(
            f"{what}: {name} must state depth, rows and columns, got {shape!r}: several sizes are possible"
        )
    return alloc(Constant(0, dtype), *full)


def _of_these_maps(what: str, maps: Variable, volumes: Variable, windows: Variable) -> Variable:
    """Require as many samples and slices of ``maps`` as there are windows, and return ``maps``."""
    pairs = []
    for have, want, word in ((0, 0, "samples"), (1, 2, "slices")):
        given, made = maps.type.shape[want], windows.type.shape[have]
        text = f"{what}: the maps have {dims.show(given)} {word}; volumes and filters of these shapes make "
        require_equal(given, made, located(f"{text}{dims.show(made)}", [maps, volumes]))
        text = f"{what}: the maps do not have the {word} that volumes and filters of these shapes make"
        pairs.append((length(maps, want), length(windows, have), text))
    return require_lengths(maps, pairs)


def conv3d_grad_wrt_inputs(
    output_grad: Any,
    filters: Any,
    input_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1,
) -> Variable:
    """The gradient of :func:`conv3d` by its volumes: the adjoint of the convolution, a transposed convolution.

    Parameters
    ----------
    output_grad : tensor_like
        Gradient of the maps, ``(batch, filters, map depth, map rows, map columns)``.
    filters : tensor_like
        As in :func:`conv3d`.
    input_shape : sequence of int, integer scalar or None
        The shape of the volumes; None is permitted for batch and channels, which follow from the operands.
    filter_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups
        As in :func:`conv3d`.

    Returns
    -------
    Variable
        ``input_shape``.

    Raises
    ------
    ShapeError
        If the convolution of volumes of ``input_shape`` does not have the shape of ``output_grad``.
    """
    what = "conv3d_grad_wrt_inputs"
    settings = _Settings(what, border_mode, subsample, filter_flip, filter_dilation, num_groups)
    g, w = operands(what, output_grad, filters, 5, _LAYOUT)
    w = declared(w, filter_shape, what, "filter_shape")
    defaults = [length(g, 0), length(w, 1) * settings.groups, None, None, None]
    x = _template(input_shape, defaults, g.dtype, what, "input_shape")
    x = _of_these_channels(what, x, w, settings.groups)
    planes = _as_planes(x)
    g = _of_these_maps(what, g, x, Op(DEPTH_WINDOWS, **settings.depth, taps=None)(planes, w))
    template, (n, od, c, kd, h, columns) = _windows(x, w, settings)
    images = Op(BACKWARD_DATA, **settings.plane, shape=None)(_as_images(g), _as_filters(w), template)
    windows = reshape(images, [n, od, c, kd, h * columns])
    found = Op(DEPTH_SUMS, **settings.depth, taps=None, shape=None)(windows, w, planes)
    return reshape(found, _lengths(x))


def conv3d_grad_wrt_weights(
    input: Any,
    output_grad: Any,
    filter_shape: Any,
    input_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1,
) -> Variable:
    """The gradient of :func:`conv3d` by its filters: the adjoint of the convolution as a map of filters.

    Parameters
    ----------
    input : tensor_like
        Volumes, ``(batch, channels, depth, rows, columns)``.
    output_grad : tensor_like
        Gradient of the maps, ``(batch, filters, map depth, map rows, map columns)``.
    filter_shape : sequence of int, integer scalar or None
        The shape of the filters; None is permitted for the first two entries, which follow from the operands.
    input_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups
        As in :func:`conv3d`.

    Returns
    -------
    Variable
        ``filter_shape``.

    Raises
    ------
    ShapeError
        If the convolution with filters of ``filter_shape`` does not have the shape of ``output_grad``.
    """
    what = "conv3d_grad_wrt_weights"
    settings = _Settings(what, border_mode, subsample, filter_flip, filter_dilation, num_groups)
    x, g = operands(what, input, output_grad, 5, _LAYOUT)
    x = declared(x, input_shape, what, "input_shape")
    defaults = [length(g, 1), length(x, 1) // settings.groups, None, None, None]
    w = _template(filter_shape, defaults, x.dtype, what, "filter_shape")
    x = _of_these_channels(what, x, w, settings.groups)
    g = _of_these_maps(what, g, x, Op(DEPTH_WINDOWS, **settings.depth, taps=None)(_as_planes(x), w))
    images, _ = _windows(x, w, settings)
    found = Op(BACKWARD_WEIGHTS, **settings.plane, shape=None)(images, _as_images(g), _as_filters(w))
    return reshape(found, _lengths(w))


def separable_conv3d(
    input: Any,
    depthwise_filters: Any,
    pointwise_filters: Any,
    num_channels: int,
    input_shape: Any = None,
    depthwise_filter_shape: Any = None,
    pointwise_filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
) -> Variable:
    """Convolve each channel of volumes separately, then convolve across channels with filters of one element.

    Parameters
    ----------
    input : tensor_like
        Volumes, ``(batch, channels, depth, rows, columns)``.
    depthwise_filters : tensor_like
        ``(channels * multiplier, 1, filter depth, filter rows, filter columns)``.
    pointwise_filters : tensor_like
        ``(filters, channels * multiplier, 1, 1, 1)``.
    num_channels : int
        Channels of ``input``.

    Returns
    -------
    Variable
        ``(batch, filters, map depth, map rows, map columns)``.
    """
    maps = conv3d(
        input,
        depthwise_filters,
        input_shape,
        depthwise_filter_shape,
        border_mode,
        subsample,
        filter_flip,
        filter_dilation,
        num_channels,
    )
    return conv3d(maps, pointwise_filters, None, pointwise_filter_shape)
