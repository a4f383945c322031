"""Shapes of convolutions from the shapes of their operands, with Theano's names.

Entries are integers, integer scalars, or None for what is not known; an entry that depends on None is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.graph.argument_faults import explain_faults

__all__ = [
    "get_conv_gradinputs_shape", "get_conv_gradweights_shape", "get_conv_output_shape", "get_conv_shape_1axis",
]  # fmt: skip

Shape = Sequence[Any]


def _padding(mode: Any, extent: Any) -> Any:
    """The number of elements that are added to an axis, at both ends together."""
    named = {"valid": 0, "full": 2 * (extent - 1), "half": 2 * (extent // 2)}
    if isinstance(mode, str):
        if mode not in named:
            raise ValueError(f"border_mode must be 'valid', 'full', 'half', an integer or a pair, got {mode!r}")
        return named[mode]
    ends = mode if isinstance(mode, (tuple, list)) else (mode, mode)
    if any(isinstance(e, int) and e < 0 for e in ends):
        raise ValueError(f"border_mode must be >= 0, got {mode!r}")
    return ends[0] + ends[1]


def get_conv_shape_1axis(
    image_shape: Any, kernel_shape: Any, border_mode: Any, subsample: Any, dilation: Any = 1
) -> Any:
    """The length of the maps along one axis: ``(image + padding - extent) // stride + 1``.

    Parameters
    ----------
    image_shape, kernel_shape : int, integer scalar or None
        The lengths of the images and the filters.
    border_mode : {'valid', 'full', 'half'}, int or pair of int
    subsample, dilation : int
    """
    if None in (image_shape, kernel_shape, border_mode, subsample, dilation):
        return None
    extent = (kernel_shape - 1) * dilation + 1
    return (image_shape + _padding(border_mode, extent) - extent) // subsample + 1


def _per_axis(mode: Any, count: int) -> list[Any]:
    return list(mode) if isinstance(mode, (tuple, list)) else [mode] * count


def get_conv_output_shape(
    image_shape: Shape, kernel_shape: Shape, border_mode: Any, subsample: Shape, filter_dilation: Shape | None = None
) -> tuple[Any, ...]:
    """The shape of the maps of a convolution.

    Parameters
    ----------
    image_shape : sequence
        ``(batch, channels, ...)`` with one entry per spatial axis.
    kernel_shape : sequence
        ``(filters, channels, ...)``, or with the positions of unshared filters between.
    border_mode : {'valid', 'full', 'half'}, or sequence of int or pair of int
    subsample, filter_dilation : sequence of int

    Returns
    -------
    tuple
        ``(batch, filters, ...)``.
    """
    n = len(image_shape) - 2
    lengths = zip(image_shape[2:], kernel_shape[-n:], _per_axis(border_mode, n), subsample, filter_dilation or (1,) * n)
    return (image_shape[0], kernel_shape[0], *[get_conv_shape_1axis(*each) for each in lengths])


def get_conv_gradweights_shape(
    image_shape: Shape,
    top_shape: Shape,
    border_mode: Any,
    subsample: Shape,
    filter_dilation: Shape | None = None,
    num_groups: int = 1,
    unshared: bool = False,
) -> tuple[Any, ...]:
    """The shape of the filters of a convolution, as far as it follows from images and maps.

    Several lengths of filters give the same maps if the stride is not 1 or the padding ``'half'``: these are None.

    Returns
    -------
    tuple
        ``(filters, channels / num_groups, ...)``; with ``unshared=True`` the positions follow the filters.
    """
    n = len(image_shape) - 2
    rest = zip(image_shape[2:], top_shape[2:], _per_axis(border_mode, n), subsample, filter_dilation or (1,) * n)
    lengths = tuple(_kernel_length(*each) for each in rest)
    channels = None if image_shape[1] is None else image_shape[1] // num_groups
    return (top_shape[1], *(top_shape[2:] if unshared else ()), channels, *lengths)


def _kernel_length(image: Any, top: Any, mode: Any, stride: Any, dilation: Any) -> Any:
    if None in (image, top, mode, stride, dilation) or stride != 1 or mode == "half":
        return None
    grown = top - image if mode == "full" else image + _padding(mode, 1) - top
    return grown // dilation + 1


def get_conv_gradinputs_shape(
    kernel_shape: Shape,
    top_shape: Shape,
    border_mode: Any,
    subsample: Shape,
    filter_dilation: Shape | None = None,
    num_groups: int = 1,
) -> tuple[Any, ...]:
    """The shape of the images of a convolution, as far as it follows from filters and maps.

    Several lengths of images give the same maps if the stride is not 1: these are None.

    Returns
    -------
    tuple
        ``(batch, channels, ...)``.
    """
    n = len(top_shape) - 2
    rest = zip(kernel_shape[-n:], top_shape[2:], _per_axis(border_mode, n), subsample, filter_dilation or (1,) * n)
    channels = None if kernel_shape[-n - 1] is None else kernel_shape[-n - 1] * num_groups
    return (top_shape[0], channels, *[_image_length(*each) for each in rest])


def _image_length(kernel: Any, top: Any, mode: Any, stride: Any, dilation: Any) -> Any:
    if None in (kernel, top, mode, stride, dilation) or stride != 1:
        return None
    extent = (kernel - 1) * dilation + 1
    return top - 1 + extent - _padding(mode, extent)


explain_faults(globals())
