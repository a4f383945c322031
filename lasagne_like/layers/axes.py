"""Helpers for parameters that are shared over some axes of the input."""

from collections.abc import Iterable, Sequence
from typing import Any

from ..utils import int_types

__all__ = ["chosen_axes", "spread", "unshared_shape"]


def chosen_axes(axes: Any, ndim: int, auto: Iterable[int]) -> tuple[int, ...]:
    """Normalise an argument that specifies axes to a tuple of non-negative axis numbers.

    Parameters
    ----------
    axes : 'auto', 'all', int or iterable of int
        Negative numbers count from the last axis.
    ndim : int
        The number of axes of the input.
    auto : iterable of int
        The axes denoted by ``'auto'``.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        If `axes` is another string, or an axis is out of range.
    """
    if isinstance(axes, str):
        if axes not in ("auto", "all"):
            raise ValueError(f"axes must be 'auto', 'all', an int or a tuple of int, got {axes!r}")
        return tuple(auto) if axes == "auto" else tuple(range(ndim))
    chosen = (axes,) if isinstance(axes, int_types) else tuple(axes)
    if any(not -ndim <= axis < ndim for axis in chosen):
        raise ValueError(f"axes {chosen!r} do not exist in an input of {ndim} dimensions")
    return tuple(axis % ndim for axis in chosen)


def all_but_second(ndim: int) -> tuple[int, ...]:
    """Return the axes over which per-channel parameters are shared: all but the second."""
    return (0, *range(2, ndim))


def unshared_shape(owner: str, input_shape: Sequence[int | None], shared_axes: Iterable[int]) -> tuple[int, ...]:
    """Compute the shape of a parameter: the sizes of all axes over which it is not shared.

    Parameters
    ----------
    owner : str
        The name of the layer class, for the error message.
    input_shape : sequence of (int or None)
    shared_axes : iterable of int

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        If one of the sizes is None.
    """
    sizes = [size for axis, size in enumerate(input_shape) if axis not in shared_axes]
    shape = tuple(size for size in sizes if size is not None)
    if len(shape) < len(sizes):
        raise ValueError(
            f"{owner} needs specified input sizes for all axes that are not shared: the input shape is "
            f"{tuple(input_shape)!r}, shared are the axes {tuple(shared_axes)!r}"
        )
    return shape


def spread(param: Any, ndim: int, shared_axes: Iterable[int]) -> Any:
    """Expand a parameter to the axes of the input, with size 1 on those over which it is shared.

    Parameters
    ----------
    param : expression
    ndim : int
        The number of axes of the input.
    shared_axes : iterable of int

    Returns
    -------
    expression
    """
    own = iter(range(param.ndim))
    return param.dimshuffle(*("x" if axis in shared_axes else next(own) for axis in range(ndim)))
