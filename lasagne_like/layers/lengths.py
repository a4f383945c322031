"""Output lengths of convolutions and pooling operations."""

from typing import Any

from symc.graph.argument_faults import explain_faults

from ..utils import int_types

__all__ = ["conv_input_length", "conv_output_length", "pool_output_length"]


def conv_output_length(input_length: int | None, filter_size: int, stride: int, pad: Any = 0) -> int | None:
    """Compute the output length of a convolution along one axis.

    Parameters
    ----------
    input_length : int or None
        The length of the input.
    filter_size : int
        The size of the filters.
    stride : int
        The distance between adjacent outputs.
    pad : int, 'full', 'same' or 'valid'
        The number of zeros to add at each end; ``'full'`` is ``filter_size - 1``, ``'same'`` is ``filter_size // 2``,
        ``'valid'`` is 0.

    Returns
    -------
    int or None
        None if `input_length` is None.

    Raises
    ------
    ValueError
        If `pad` is invalid.
    """
    if input_length is None:
        return None
    return (input_length + 2 * _zeros(pad, filter_size) - filter_size) // stride + 1


def conv_input_length(output_length: int | None, filter_size: int, stride: int, pad: Any = 0) -> int | None:
    """Compute the minimum input length for which a convolution has a given output length.

    Parameters
    ----------
    output_length : int or None
        The length of the output.
    filter_size, stride, pad
        See :func:`conv_output_length`.

    Returns
    -------
    int or None
        None if `output_length` is None.

    Raises
    ------
    ValueError
        If `pad` is invalid.
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
    """Compute the output length of a pooling operation along one axis.

    Parameters
    ----------
    input_length : int or None
        The length of the input.
    pool_size : int
        The size of the pooling windows.
    stride : int
        The distance between adjacent windows.
    pad : int
        The number of elements to add at each end.
    ignore_border : bool
        Whether to omit windows that extend beyond the input. If False, `pad` must be 0.

    Returns
    -------
    int or None
        None if `input_length` is None.

    Raises
    ------
    ValueError
        If `pad` is not 0 although `ignore_border` is False.
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


explain_faults(globals())
