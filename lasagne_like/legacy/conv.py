"""One-dimensional convolutions under the names that ``lasagne.theano_extensions.conv`` gave their implementations."""

from collections.abc import Sequence
from typing import Any

import symc.tensor as T

__all__ = ["conv1d_mc0", "conv1d_mc1", "conv1d_md", "conv1d_sc", "conv1d_sd", "conv1d_unstrided"]


def conv1d_mc0(
    input: Any,
    filters: Any,
    image_shape: Sequence[int | None] | None = None,
    filter_shape: Sequence[int | None] | None = None,
    border_mode: Any = "valid",
    subsample: Sequence[int] = (1,),
    filter_flip: bool = True,
    num_groups: int = 1,
) -> Any:
    """Convolve signals with filters.

    Parameters
    ----------
    input : tensor_like
        ``(batch, channels, length)``.
    filters : tensor_like
        ``(filters, channels, filter length)``.
    image_shape, filter_shape : sequence of int or None, optional
        Their shapes, as far as they are known.
    border_mode : {'valid', 'full', 'half'}, int or tuple of int
        As in ``T.nnet.conv2d``, for one axis.
    subsample : tuple of int
        The stride.
    filter_flip : bool
        Whether to flip the filters.
    num_groups : int
        The number of groups of channels that are convolved separately.

    Returns
    -------
    expression
        ``(batch, filters, output length)``.
    """
    mode = border_mode if isinstance(border_mode, str) else (0, _only(border_mode))
    maps = T.nnet.conv2d(
        T.as_tensor_variable(input).dimshuffle(0, 1, "x", 2),
        T.as_tensor_variable(filters).dimshuffle(0, 1, "x", 2),
        _with_row(image_shape),
        _with_row(filter_shape),
        border_mode=mode,
        subsample=(1, subsample[0]),
        filter_flip=filter_flip,
        num_groups=num_groups,
    )
    return maps[:, :, 0, :]


def _only(mode: Any) -> int:
    return mode[0] if isinstance(mode, tuple | list) else mode


def _with_row(shape: Sequence[int | None] | None) -> tuple | None:
    return None if shape is None else (shape[0], shape[1], 1, shape[2])


conv1d_mc1 = conv1d_mc0


def _refuse(name: str, border_mode: Any) -> None:
    if border_mode not in ("valid", 0, (0,)):
        raise RuntimeError(f"Unsupported border_mode for {name}: {border_mode}; conv1d_mc0 supports every mode")


def conv1d_sc(
    input: Any,
    filters: Any,
    image_shape: Sequence[int | None] | None = None,
    filter_shape: Sequence[int | None] | None = None,
    border_mode: Any = "valid",
    subsample: Sequence[int] = (1,),
    filter_flip: bool = True,
) -> Any:
    """:func:`conv1d_mc0` with ``border_mode='valid'``; a RuntimeError for others."""
    _refuse("conv1d_sc", border_mode)
    return conv1d_mc0(input, filters, image_shape, filter_shape, "valid", subsample, filter_flip)


def _in_steps(name: str) -> Any:
    def convolve(
        input: Any,
        filters: Any,
        image_shape: Sequence[int | None],
        filter_shape: Sequence[int | None],
        border_mode: Any = "valid",
        subsample: Sequence[int] = (1,),
        filter_flip: bool = True,
        **ignored: Any,
    ) -> Any:
        _refuse(name, border_mode)
        length, stride = filter_shape[2], subsample[0]
        if length is not None and length % stride:
            raise RuntimeError(f"Filter length ({length}) is not a multiple of the stride ({stride})")
        return conv1d_mc0(input, filters, image_shape, filter_shape, "valid", subsample, filter_flip)

    convolve.__name__ = convolve.__qualname__ = name
    convolve.__doc__ = (
        ":func:`conv1d_mc0` with ``border_mode='valid'``, for a filter length that is a multiple of the stride."
    )
    return convolve


conv1d_sd, conv1d_md = _in_steps("conv1d_sd"), _in_steps("conv1d_md")
conv1d_unstrided = _in_steps("conv1d_unstrided")
