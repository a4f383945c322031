"""Convolution of volumes, with Theano's interface.

The slices under a filter are laid side by side as channels, so that one convolution of images does the rest::

    (n, c, d, h, w) -> (n * od, c * kd, h, w) -> (n * od, k, oh, ow) -> (n, k, od, oh, ow)

``depth_windows`` is the first step, ``depth_sums`` its adjoint. Each is the gradient of the other, so derivatives of
any order exist.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from symc.errors import ShapeError, located
from symc.graph import Constant, Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.guards import require_equal
from symc.graph.op import Op
from symc.tensor.axes import dimshuffle
from symc.tensor.creation import alloc
from symc.tensor.nnet.conv import whole_number
from symc.tensor.nnet.conv_operands import declared, operands
from symc.tensor.nnet.conv_ops import BACKWARD_DATA, BACKWARD_WEIGHTS, CONV2D
from symc.tensor.nnet.depth_windows import DEPTH_SUMS, DEPTH_WINDOWS
from symc.tensor.requirements import require_lengths
from symc.tensor.reshaping import reshape
from symc.tensor.symbolic_dims import length

__all__ = ["conv3d", "conv3d_grad_wrt_inputs", "conv3d_grad_wrt_weights", "separable_conv3d"]

_LAYOUT = "volumes are (batch, channels, depth, rows, columns), filters (filters, channels, depth, rows, columns)"


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
        raise ValueError(located(f"{what}: border_mode must be {text}, got {value!r}"))
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


explain_faults(globals())
