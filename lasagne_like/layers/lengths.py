"""How long the outputs of sliding windows are."""

from typing import Any

from ..utils import int_types

__all__ = ["conv_input_length", "conv_output_length", "pool_output_length"]


def conv_output_length(input_length: int | None, filter_size: int, stride: int, pad: Any = 0) -> int | None:
    """Compute the size of the output of a convolution along one axis.

    Parameters
    ----------
    input_length : int or None
        The size of the input.
    filter_size : int
        The size of the filters.
    stride : int
        The distance of neighbouring outputs.
    pad : int, 'full', 'same' or 'valid'
        The number of zeros at both ends; ``'full'`` is ``filter_size - 1``, ``'same'`` is ``filter_size // 2``,
        ``'valid'`` is 0.

    Returns
    -------
    int or None
        None if `input_length` is None.

    Raises
    ------
    ValueError
        If `pad` is something else.
    """
    if input_length is None:
        return None
    return (input_length + 2 * _zeros(pad, filter_size) - filter_size) // stride + 1


def conv_input_length(output_length: int | None, filter_size: int, stride: int, pad: Any = 0) -> int | None:
    """Compute the smallest size of the input from which a convolution gives an output of some size.

    Parameters
    ----------
    output_length : int or None
        The size of the output.
    filter_size, stride, pad
        As for :func:`conv_output_length`.

    Returns
    -------
    int or None
        None if `output_length` is None.

    Raises
    ------
    ValueError
        If `pad` is none of those known.
    """
    if output_length is None:
        return None
    return (output_length - 1) * stride - 2 * _zeros(pad, filter_size) + filter_size


def _zeros(pad: Any, filter_size: int) -> int:
    if isinstance(pad, int_types):
        return int(pad)
    named = {"valid": 0, "full": filter_size - 1, "same": filter_size // 2}
    if pad not in named:
        raise ValueError(f"Invalid pad: {pad!r}; expected an integer, 'full', 'same' or 'valid'")
    return named[pad]


def pool_output_length(
    input_length: int | None, pool_size: int, stride: int, pad: int, ignore_border: bool
) -> int | None:
    """Compute the size of the output of a pooling operation along one axis.

    Parameters
    ----------
    input_length : int or None
        The size of the input.
    pool_size : int
        The size of the pooling windows.
    stride : int
        The distance of neighbouring windows.
    pad : int
        How many elements are added at both ends.
    ignore_border : bool
        Whether windows that the input does not fill are left out. If false, `pad` must be 0.

    Returns
    -------
    int or None
        None if `input_length` is None.

    Raises
    ------
    ValueError
        If `pad` is not 0 although `ignore_border` is false.
    """
    if input_length is None or pool_size is None:
        return None
    if ignore_border:
        return (input_length + 2 * pad - pool_size) // stride + 1
    if pad != 0:
        raise ValueError(f"pad must be 0 if ignore_border is False, got pad={pad!r}")
    if stride >= pool_size:
        return -(-input_length // stride)
    return max(0, -(-(input_length - pool_size) // stride)) + 1
