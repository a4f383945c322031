"""Convolution of images, with Theano's interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Constant, Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.op import Op
from symc.tensor.creation import alloc
from symc.tensor.nnet.conv_operands import declared, operands
from symc.tensor.nnet.conv_ops import BACKWARD_DATA, BACKWARD_WEIGHTS, CONV2D
from symc.tensor.nnet.unshared import inputs_of_unshared, unshared_conv2d, weights_of_unshared
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "conv2d", "conv2d_grad_wrt_inputs", "conv2d_grad_wrt_weights", "conv2d_transpose", "separable_conv2d",
    "whole_number",
]  # fmt: skip

Pair = tuple[int, int]
_LAYOUT = "images are (batch, channels, rows, columns), filters (filters, channels, rows, columns)"
_UNSHARED = "images and maps have 4 axes, unshared filters (filters, map rows, map columns, channels, rows, columns)"


def whole_number(value: Any, what: str, name: str, least: int) -> int:
    """Convert an option to an integer of at least ``least``; the error names the function and the option."""
    if isinstance(value, Constant) and value.ndim == 0:
        value = value.data.item()
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(located(f"{what}: {name} must be made of integers from {least}, got {value!r}"))
    return int(value)


def _pair(value: Any, what: str, name: str, least: int) -> Pair:
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(entries) != 2:
        raise ValueError(located(f"{what}: {name} must be an integer or a pair (rows, columns), got {value!r}"))
    return whole_number(entries[0], what, name, least), whole_number(entries[1], what, name, least)


def _border(value: Any, what: str) -> Any:
    """Convert ``border_mode`` to ``"full"``, ``"half"`` or ``((top, bottom), (left, right))``."""
    if value in ("full", "half"):
        return value
    if value == "valid":
        return (0, 0), (0, 0)
    if value == "same":
        raise ValueError(located(f"{what}: border_mode has no 'same'", (), "'half' keeps the size, for odd filters"))
    if isinstance(value, str):
        text = f"{what}: border_mode must be 'valid', 'full', 'half', an integer or a pair, got {value!r}"
        raise ValueError(located(text))
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(entries) != 2:
        text = f"{what}: border_mode must have an entry for rows and one for columns, got {value!r}"
        raise ValueError(located(text))
    rows, columns = (
        _pair(e, what, "border_mode", 0)
        if isinstance(e, (tuple, list))
        else (whole_number(e, what, "border_mode", 0),) * 2
        for e in entries
    )
    return rows, columns


def _attributes(
    what: str,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
) -> dict[str, Any]:
    return {
        "pad": _border(border_mode, what),
        "stride": _pair(subsample, what, "subsample", 1),
        "dilation": _pair(filter_dilation, what, "filter_dilation", 1),
        "groups": whole_number(num_groups, what, "num_groups", 1),
        "flip": bool(filter_flip),
    }


def _template(shape: Any, defaults: Sequence[Any], dtype: str, what: str, name: str) -> Variable:
    """A tensor of which only the shape is read."""
    count = len(defaults)
    entries = [shape[k] for k in range(count)] if isinstance(shape, Variable) else list(shape)
    if len(entries) != count:
        raise ValueError(f"{what}: {name} must have {count} entries, got {shape!r}")
    full = [default if entry is None else entry for entry, default in zip(entries, defaults)]
    if any(entry is None for entry in full):
        raise ValueError(
            f"{what}: {name} must state the number of rows and columns, got {shape!r}: several sizes give the same maps"
        )
    return alloc(Constant(0, dtype), *full)


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    r"""Convolve images with filters.

    With :math:`d` the dilation, :math:`s` the stride and :math:`p` the padding before the first row and column,

    .. math:: y_{n,k,i,j} = \sum_{c,r,t} w_{k,c,r,t} \,
        x_{n,\, c,\, i s_h + (R - 1 - r) d_h - p_h,\, j s_w + (S - 1 - t) d_w - p_w},

    and with ``filter_flip=False`` the same with :math:`r` and :math:`t` in place of :math:`R - 1 - r` and :math:`S -
    1 - t`.

    Parameters
    ----------
    input : tensor_like
        Images, ``(batch, channels, rows, columns)``.
    filters : tensor_like
        ``(filters, channels / num_groups, filter rows, filter columns)``.
    input_shape, filter_shape : sequence of int or None, optional
        Known dims of the shapes: checked at call time, and used to specialise the code.
    border_mode : {'valid', 'full', 'half'}, int or pair
        Zero padding of the images: none; ``extent - 1``; ``extent // 2``; or a number, a pair (rows, columns), or
        ``((top, bottom), (left, right))``. ``extent`` is ``(size - 1) * dilation + 1``.
    subsample : int or pair of int
        The stride, (rows, columns).
    filter_flip : bool
        Flip the filters (a convolution), or not (a correlation).
    image_shape : optional
        Old name of ``input_shape``.
    filter_dilation : int or pair of int
        Distance of neighbouring weights, in pixels.
    num_groups : int
        The number of groups into which channels and filters are divided, each convolved separately.
    unshared : bool
        Use separate filters for every position of the maps, which share no weights. ``filters`` is then ``(filters, map
        rows, map columns, channels / num_groups, filter rows, filter columns)``.

    Returns
    -------
    Variable
        Maps, ``(batch, filters, (rows + pad - extent) // stride + 1, ...)``, in the operands' common float dtype.

    Raises
    ------
    ShapeError
        If the operands do not have 4 axes, channels do not match, or a filter is larger than the padded images.
    ValueError
        For an unknown ``border_mode``, or a stride, dilation or padding that is not an integer.

    References
    ----------
    .. [1] Vincent Dumoulin and Francesco Visin (2016): A guide to convolution arithmetic for deep learning.
    arXiv:1603.07285.

    Examples
    --------
    >>> import symc.tensor as T
    >>> x, w = T.tensor4("x", shape=(None, 3, 32, 32)), T.tensor4("w", shape=(16, 3, 5, 5))
    >>> T.nnet.conv2d(x, w, border_mode="half", subsample=2).static_shape
    (None, 16, 16, 16)
    """
    if image_shape is not None:
        if input_shape is not None:
            raise ValueError("conv2d: image_shape is the old name of input_shape: give one of them")
        input_shape = image_shape
    attrs = _attributes("conv2d", border_mode, subsample, filter_flip, filter_dilation, num_groups)
    x, w = operands("conv2d", input, filters, (4, 6) if unshared else 4, _UNSHARED if unshared else _LAYOUT)
    x, w = declared(x, input_shape, "conv2d", "input_shape"), declared(w, filter_shape, "conv2d", "filter_shape")
    return unshared_conv2d(x, w, attrs) if unshared else Op(CONV2D, **attrs)(x, w)


def conv2d_grad_wrt_inputs(
    output_grad: Any,
    filters: Any,
    input_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """The gradient of :func:`conv2d` by its images: the adjoint of the convolution as a map of images.

    Parameters
    ----------
    output_grad : tensor_like
        Gradient of the maps, ``(batch, filters, map rows, map columns)``.
    filters : tensor_like
        ``(filters, channels / num_groups, filter rows, filter columns)``.
    input_shape : sequence of int, integer scalar or None
        The shape of the images; None is permitted for batch and channels, which follow from the operands.
    filter_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared
        As in :func:`conv2d`.

    Returns
    -------
    Variable
        ``input_shape``.

    Raises
    ------
    ShapeError
        If the convolution of images of ``input_shape`` does not have the shape of ``output_grad``.
    """
    what = "conv2d_grad_wrt_inputs"
    attrs = _attributes(what, border_mode, subsample, filter_flip, filter_dilation, num_groups)
    g, w = operands(what, output_grad, filters, (4, 6) if unshared else 4, _UNSHARED if unshared else _LAYOUT)
    w = declared(w, filter_shape, what, "filter_shape")
    defaults = [shape_i(g, 0), shape_i(w, 3 if unshared else 1) * attrs["groups"], None, None]
    images = _template(input_shape, defaults, g.dtype, what, "input_shape")
    if unshared:
        return inputs_of_unshared(g, w, images, attrs)
    return Op(BACKWARD_DATA, **attrs, shape=None)(g, w, images)


def conv2d_grad_wrt_weights(
    input: Any,
    output_grad: Any,
    filter_shape: Any,
    input_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """The gradient of :func:`conv2d` by its filters: the adjoint of the convolution as a map of filters.

    Parameters
    ----------
    input : tensor_like
        Images, ``(batch, channels, rows, columns)``.
    output_grad : tensor_like
        Gradient of the maps, ``(batch, filters, map rows, map columns)``.
    filter_shape : sequence of int, integer scalar or None
        The shape of the filters; None is permitted for the first two entries, which follow from the operands.
    input_shape, border_mode, subsample, filter_flip, filter_dilation, num_groups, unshared
        As in :func:`conv2d`.

    Returns
    -------
    Variable
        ``filter_shape``.

    Raises
    ------
    ShapeError
        If the convolution with filters of ``filter_shape`` does not have the shape of ``output_grad``.
    """
    what = "conv2d_grad_wrt_weights"
    attrs = _attributes(what, border_mode, subsample, filter_flip, filter_dilation, num_groups)
    x, g = operands(what, input, output_grad, 4, _LAYOUT)
    x = declared(x, input_shape, what, "input_shape")
    channels = shape_i(x, 1) // attrs["groups"]
    positions = [shape_i(g, 2), shape_i(g, 3)] if unshared else []
    defaults = [shape_i(g, 1), *positions, channels, None, None]
    weights = _template(filter_shape, defaults, x.dtype, what, "filter_shape")
    if unshared:
        return weights_of_unshared(x, g, weights, attrs)
    return Op(BACKWARD_WEIGHTS, **attrs, shape=None)(x, g, weights)


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    input_dilation: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """A transposed ("fractionally strided") convolution: the adjoint of a convolution with stride ``input_dilation``.

    Parameters
    ----------
    input : tensor_like
        ``(batch, input channels, rows, columns)``.
    filters : tensor_like
        ``(input channels, output channels / num_groups, filter rows, filter columns)``; note the order of the first
        two.
    output_shape : sequence of int, integer scalar or None
        ``(batch, output channels, output rows, output columns)``; the first two may be None.
    filter_shape, border_mode, filter_flip, filter_dilation, num_groups, unshared
        As in :func:`conv2d`.
    input_dilation : int or pair of int
        The distance of neighbouring pixels of ``input`` in the output.

    Returns
    -------
    Variable
        ``output_shape``.

    References
    ----------
    .. [1] Matthew D. Zeiler, Dilip Krishnan, Graham W. Taylor and Rob Fergus (2010): Deconvolutional networks. CVPR.
    """
    return conv2d_grad_wrt_inputs(
        input,
        filters,
        output_shape,
        filter_shape,
        border_mode,
        input_dilation,
        filter_flip,
        filter_dilation,
        num_groups,
        unshared,
    )


def separable_conv2d(
    input: Any,
    depthwise_filters: Any,
    pointwise_filters: Any,
    num_channels: int,
    input_shape: Any = None,
    depthwise_filter_shape: Any = None,
    pointwise_filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
) -> Variable:
    """Convolve each channel separately, then convolve across channels with 1 x 1 filters.

    Parameters
    ----------
    input : tensor_like
        Images, ``(batch, channels, rows, columns)``.
    depthwise_filters : tensor_like
        ``(channels * multiplier, 1, filter rows, filter columns)``.
    pointwise_filters : tensor_like
        ``(filters, channels * multiplier, 1, 1)``.
    num_channels : int
        Channels of ``input``.

    Returns
    -------
    Variable
        ``(batch, filters, map rows, map columns)``.

    References
    ----------
    .. [1] François Chollet (2017): Xception: deep learning with depthwise separable convolutions. CVPR.
    """
    depth = conv2d(
        input,
        depthwise_filters,
        input_shape,
        depthwise_filter_shape,
        border_mode,
        subsample,
        filter_flip,
        filter_dilation=filter_dilation,
        num_groups=num_channels,
    )
    return conv2d(depth, pointwise_filters, None, pointwise_filter_shape)


explain_faults(globals())
