"""Parameters that some axes of the input share."""

from collections.abc import Iterable, Sequence
from typing import Any

from ..utils import int_types

__all__ = ["chosen_axes", "spread", "unshared_shape"]


def chosen_axes(axes: Any, ndim: int, auto: Iterable[int]) -> tuple[int, ...]:
    """Read an argument that names axes: ``'auto'``, ``'all'``, one number or several; negative ones count from the end.

    Parameters
    ----------
    axes : str, int or iterable of int
    ndim : int
        The number of axes of the input.
    auto : iterable of int
        The meaning of ``'auto'``.

    Returns
    -------
    tuple of int

    Raises
    ------
    ValueError
        If `axes` is another string, or an axis does not exist.
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
    """The axes over which per-channel parameters are shared: the batch and all positions."""
    return (0, *range(2, ndim))


def unshared_shape(owner: str, input_shape: Sequence[int | None], shared_axes: Iterable[int]) -> tuple[int, ...]:
    """Compute the shape of a parameter: the sizes of all axes that do not share it.

    Parameters
    ----------
    owner : str
        The kind of layer, for the error message.
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
    """Give a parameter the axes of the input, with size 1 on those that share it.

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
