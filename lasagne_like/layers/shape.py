"""Layers that change the shape of their input."""

import math
from collections.abc import Sequence
from typing import Any

import symc.compat
import symc.tensor as T

from ..utils import int_types
from .arrays import takes_arrays
from .axes import chosen_axes
from .base import Layer
from .construction import check_number

__all__ = [
    "DimshuffleLayer",
    "FlattenLayer",
    "PadLayer",
    "ReshapeLayer",
    "SliceLayer",
    "dimshuffle",
    "flatten",
    "pad",
    "reshape",
]


class FlattenLayer(Layer):
    """A layer that flattens trailing axes.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    outdim : int
        The number of axes of the output: the first ``outdim - 1`` axes are kept, the others are flattened.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If `outdim` is not positive.

    Examples
    --------
    >>> from lasagne_like.layers import FlattenLayer, InputLayer
    >>> FlattenLayer(InputLayer((None, 3, 4, 5))).output_shape
    (None, 60)
    """

    def __init__(self, incoming: Any, outdim: int = 2, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self.outdim = outdim
        if outdim < 1:
            raise ValueError(f"Dim must be >0, was {outdim}")

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return input.flatten(self.outdim)


flatten = FlattenLayer


class ReshapeLayer(Layer):
    """A layer that reshapes its input.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    shape : tuple
        One entry per axis of the output:

        * a positive int, the size;
        * ``[i]``, the size of the input's axis ``i``;
        * -1, for at most one axis: the size is inferred from the number of elements;
        * a scalar integer expression.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If `shape` contains anything else, or is incompatible with the input shape.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, ReshapeLayer
    >>> ReshapeLayer(InputLayer((None, 30, 20)), ([0], 5, -1)).output_shape
    (None, 5, 120)
    """

    def __init__(self, incoming: Any, shape: Sequence, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        shape = tuple(shape)
        for entry in shape:
            self._check(entry)
        if sum(isinstance(entry, int_types) and entry == -1 for entry in shape) > 1:
            raise ValueError(f"`shape` cannot contain multiple -1, got {shape!r}")
        self.shape = shape
        # Report an incompatible shape when the layer is created.
        self.output_shape  # noqa: B018
        self._check_elements()

    def _check(self, entry: Any) -> None:
        if isinstance(entry, int_types):
            if entry == 0 or entry < -1:
                raise ValueError(f"`shape` integers must be positive or -1, got {entry!r}")
        elif isinstance(entry, list):
            if len(entry) != 1 or not isinstance(entry[0], int_types) or int(entry[0]) < 0:
                raise ValueError(f"`shape` input references must be single-element lists of int >= 0, got {entry!r}")
            if int(entry[0]) >= len(self.input_shape):
                raise ValueError(f"`shape` refers to input axis {entry!r}, but the input shape is {self.input_shape!r}")
        elif isinstance(entry, symc.Variable):
            if entry.ndim != 0:
                raise ValueError(
                    f"A symbolic variable in a shape specification must be a scalar, but had {entry.ndim} dimensions"
                )
        else:
            raise ValueError(f"`shape` must be a tuple of int, [int] and/or scalar expressions, got {entry!r}")

    def _check_elements(self) -> None:
        """Compare the numbers of elements of input and output, without the axes that both have.

        Of an input of unknown batch size, ``([0], 7, -1)`` is known to fit or not, unless the batch is empty.
        """
        kept: set[int] = set()
        wanted: list[int | None] = []
        for entry in self.shape:
            if isinstance(entry, symc.Variable):
                return
            if isinstance(entry, list) and entry[0] not in kept:
                kept.add(entry[0])
            else:
                wanted.append(self.input_shape[entry[0]] if isinstance(entry, list) else int(entry))
        sizes = [size for axis, size in enumerate(self.input_shape) if axis not in kept]
        if None in sizes or None in wanted:
            return
        have, want = (math.prod(size for size in each if size and size > 0) for each in (sizes, wanted))
        if have % want if -1 in wanted else have != want:
            raise ValueError(
                f"`shape` {self.shape!r} does not match the input shape {self.input_shape!r}: {have} elements cannot "
                f"be arranged {'in groups of' if -1 in wanted else 'as'} {want}"
            )

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        sizes = []
        for entry in self.shape:
            if isinstance(entry, list):
                known = input.static_shape[entry[0]]
                sizes.append(input.shape[entry[0]] if known is None else known)
            else:
                sizes.append(entry)
        return input.reshape(tuple(sizes), ndim=len(sizes))


reshape = ReshapeLayer


class DimshuffleLayer(Layer):
    """A layer that permutes axes, and inserts or removes axes of size 1.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    pattern : tuple
        One entry per axis of the output: the number of an input axis, or ``'x'`` for a new axis of size 1. Omitted
        input axes must have size 1; unknown sizes are checked when a function is called.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If `pattern` contains anything else, repeats an axis, or omits an axis of another size than 1.

    Examples
    --------
    >>> from lasagne_like.layers import DimshuffleLayer, InputLayer
    >>> DimshuffleLayer(InputLayer((2, 3, 5, 7)), (3, 2, 1, "x", 0)).output_shape
    (7, 5, 3, 1, 2)
    """

    def __init__(self, incoming: Any, pattern: Sequence, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        pattern = tuple(pattern)
        axes = [entry for entry in pattern if entry != "x"]
        if not all(isinstance(axis, int_types) for axis in axes):
            raise ValueError(f"pattern must consist of axis numbers and 'x', got {pattern!r}")
        if len(set(axes)) != len(axes):
            raise ValueError(f"pattern names an axis twice: {pattern!r}")
        for axis in axes:
            if not 0 <= axis < len(self.input_shape):
                raise ValueError(f"pattern contains {axis}, but the input shape is {self.input_shape!r}")
        self._dropped = [axis for axis in range(len(self.input_shape)) if axis not in axes]
        if any(self.input_shape[axis] not in (1, None) for axis in self._dropped):
            raise ValueError(
                f"pattern {pattern!r} leaves out an axis whose size is not 1; the input shape is {self.input_shape!r}"
            )
        self.pattern = pattern

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        unknown = [axis for axis in self._dropped if input.static_shape[axis] is None]
        if unknown:
            input = T.specify_shape(input, [1 if axis in unknown else None for axis in range(input.ndim)])
        return input.dimshuffle(*self.pattern)


dimshuffle = DimshuffleLayer


def padded(x: Any, width: Sequence[tuple[int, int]], val: Any = 0) -> Any:
    """Pad an expression with a constant value.

    Parameters
    ----------
    x : expression
    width : sequence of pairs of int
        The number of elements to insert before and after, per axis.
    val : float or scalar expression

    Returns
    -------
    expression
    """
    if not any(before or after for before, after in width):
        return x
    sizes, inner = [], []
    for axis, (before, after) in enumerate(width):
        known = x.static_shape[axis]
        size = x.shape[axis] if known is None else known
        sizes.append(size + (before + after) if before + after else size)
        inner.append(slice(before, before + size) if before + after else slice(None))
    frame = T.alloc(T.cast(val, x.dtype), *sizes)
    return T.set_subtensor(frame[tuple(inner)], x)


class PadLayer(Layer):
    """A layer that pads its input with a constant value.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    width : int, or iterable of (int or pair of int)
        The number of elements to insert: one number for all axes and ends; or, for each axis after the batch axes, a
        number for both ends or a pair ``(before, after)``. With fewer entries, the last axes are not padded.
    val : float or scalar expression
        The value of the inserted elements.
    batch_ndim : int
        The number of leading axes that are not padded.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If `width` has more entries than there are axes, or negative ones.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, PadLayer
    >>> PadLayer(InputLayer((None, 3, 8, 8)), width=((1, 2), 3)).output_shape
    (None, 3, 11, 14)
    """

    def __init__(self, incoming: Any, width: Any, val: Any = 0, batch_ndim: int = 2, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self.width = width
        self.val = val
        self.batch_ndim = batch_ndim
        if len(self.input_shape) >= batch_ndim or not symc.compat.installed():  # there, shapes are advice
            self._pairs(len(self.input_shape))

    def _pairs(self, ndim: int) -> list[tuple[int, int]]:
        """Return the numbers of elements to insert before and after, per axis."""
        axes = ndim - self.batch_ndim
        widths = (self.width,) * axes if isinstance(self.width, int_types) else tuple(self.width)
        pairs = [(each, each) if isinstance(each, int_types) else tuple(each) for each in widths]
        if len(pairs) > axes or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
            raise ValueError(
                f"width must be a non-negative number, or have one such number or pair for each of the {axes} "
                f"axes after batch_ndim={self.batch_ndim}, got {self.width!r} for input shape {self.input_shape!r}"
            )
        return [(0, 0)] * self.batch_ndim + pairs + [(0, 0)] * (axes - len(pairs))

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return padded(input, self._pairs(input.ndim), self.val)


pad = PadLayer


class SliceLayer(Layer):
    """A layer that slices its input along one axis.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    indices : int or slice
        An int selects one entry and removes the axis; a slice selects a range.
    axis : int
        The axis to slice.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, SliceLayer
    >>> SliceLayer(InputLayer((2, 3, 4)), indices=0, axis=1).output_shape
    (2, 4)
    >>> SliceLayer(InputLayer((2, 3, 4)), indices=slice(0, 2), axis=-1).output_shape
    (2, 3, 2)
    """

    def __init__(self, incoming: Any, indices: Any, axis: int = -1, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        if not isinstance(indices, slice):
            check_number(type(self), "indices", indices, whole=True)
        self.slice = indices
        self.axis = axis

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        (axis,) = chosen_axes(self.axis, input.ndim, ())
        return input[(slice(None),) * axis + (self.slice,)]
