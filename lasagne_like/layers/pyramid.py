"""Pooling to a fixed number of values, and competition between channels."""

from collections.abc import Callable
from typing import Any

import symc.tensor as T

from ..utils import int_types
from .arrays import takes_arrays
from .axes import chosen_axes
from .base import Layer
from .inference import Shape

__all__ = ["FeatureWTALayer", "SpatialPyramidPoolingLayer"]


class FeatureWTALayer(Layer):
    """A layer that keeps the largest of every group of adjacent channels and sets the others to zero.

    "Winner takes all": of equal values, the first one wins.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    pool_size : int
        The number of channels per group.
    axis : int
        The axis of the channels.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the number of channels is unknown or not a multiple of `pool_size`.

    References
    ----------
    .. [1] Rupesh Srivastava, Jonathan Masci, Sohrob Kazerounian, Faustino Gomez and Juergen Schmidhuber (2013): Compete
           to compute. Advances in Neural Information Processing Systems.

    Examples
    --------
    >>> import numpy as np
    >>> from lasagne_like.layers import FeatureWTALayer, InputLayer, get_output
    >>> x = np.array([[1, 5, 4, 2]], "float32")
    >>> get_output(FeatureWTALayer(InputLayer((None, 4)), pool_size=2), x).eval()
    array([[0., 5., 4., 0.]], dtype=float32)
    """

    def __init__(self, incoming: Any, pool_size: int, axis: int = 1, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self.pool_size = pool_size
        (self.axis,) = chosen_axes(axis, len(self.input_shape), ())
        channels = self.input_shape[self.axis]
        if channels is None or channels % pool_size:
            raise ValueError(
                f"Number of input feature maps ({channels}) is not a multiple of the region size "
                f"(pool_size={pool_size})"
            )
        self._groups = channels // pool_size

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        sizes = [input.shape[axis] if size is None else size for axis, size in enumerate(input.static_shape)]
        grouped = input.reshape(
            (*sizes[: self.axis], self._groups, self.pool_size, *sizes[self.axis + 1 :]), ndim=input.ndim + 1
        )
        winner = T.argmax(grouped, axis=self.axis + 1, keepdims=True)
        places = T.arange(self.pool_size).dimshuffle(*"x" * (self.axis + 1), 0, *"x" * (input.ndim - self.axis - 1))
        return T.switch(T.eq(places, winner), grouped, 0).reshape(tuple(sizes), ndim=input.ndim)


class SpatialPyramidPoolingLayer(Layer):
    """A layer that pools images of any size to the same number of values per channel.

    For every `d` of `pool_dims`, the image is divided into ``d x d`` regions, each of which gives one value.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``. Rows and
        columns may be None.
    pool_dims : list of int
        The numbers of regions along each axis.
    mode : {'max', 'average_inc_pad', 'average_exc_pad', 'sum'}
        The reduction of each region. There is no padding: both averages are the same.
    implementation : {'fast', 'kaiming'}
        How `s` rows are divided into `d` regions. ``'kaiming'``: from the `i`-th of them, rounded down, to the next,
        rounded up, as in the reference; the regions cover the image. ``'fast'``: windows of ``s / d`` rows, rounded up,
        every ``s / d`` rows, rounded down, which leaves out the last rows if `s` is no multiple of `d`.
    **kwargs
        See :class:`Layer`.

    References
    ----------
    .. [1] Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun (2015): Spatial pyramid pooling in deep convolutional
           networks for visual recognition. IEEE Transactions on Pattern Analysis and Machine Intelligence 37(9).

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, SpatialPyramidPoolingLayer
    >>> SpatialPyramidPoolingLayer(InputLayer((None, 8, None, None))).output_shape
    (None, 8, 21)
    """

    def __init__(
        self,
        incoming: Any,
        pool_dims: Any = (4, 2, 1),
        mode: str = "max",
        implementation: str = "fast",
        **kwargs: Any,
    ):
        super().__init__(incoming, **kwargs)
        if len(self.input_shape) != 4:
            raise ValueError(
                f"Tried to create a SPP layer with input shape {self.input_shape!r}. Expected 4 input dimensions "
                "(batchsize, channels, 2 spatial dimensions)."
            )
        modes: dict[str, Callable] = {"max": T.max, "average_inc_pad": T.mean, "average_exc_pad": T.mean, "sum": T.sum}
        if mode not in modes:
            raise ValueError(
                "SpatialPyramidPoolingLayer: Mode must be either 'max', 'average_inc_pad' or 'average_exc_pad'. "
                f"Got {mode!r} (and 'sum' is possible)"
            )
        if implementation not in ("fast", "kaiming"):
            raise ValueError(f"implementation must be either 'fast' or 'kaiming', got {implementation!r}")
        self.pool_dims: list[Any] = [pool_dims] if isinstance(pool_dims, int_types) else list(pool_dims)
        if any(not isinstance(d, int_types) or d < 1 for d in self.pool_dims) or not self.pool_dims:
            raise ValueError(f"SpatialPyramidPoolingLayer: pool_dims must be positive integers, got {pool_dims!r}")
        small = [size for size in self.input_shape[2:] if size is not None and size < max(self.pool_dims)]
        if small and implementation == "fast":
            raise ValueError(
                f"SpatialPyramidPoolingLayer: {small[0]} pixels cannot be divided into {max(self.pool_dims)} regions; "
                "use smaller pool_dims, or implementation='kaiming'"
            )
        self.mode = mode
        self.implementation = implementation
        self._reduce = modes[mode]

    def get_output_shape_for(self, input_shape: Shape) -> Shape:
        return (*input_shape[:2], sum(d * d for d in self.pool_dims))

    def _regions(self, size: Any, parts: int) -> list[slice]:
        """The regions of an axis; `size` is an int or an expression."""
        if self.implementation == "fast":
            step, width = size // parts, (size + parts - 1) // parts
            return [slice(k * step, k * step + width) for k in range(parts)]
        return [slice(k * size // parts, ((k + 1) * size + parts - 1) // parts) for k in range(parts)]

    def _windows(self, input: Any, rows: int, columns: int, parts: int) -> Any:
        """The regions of the fast division of known sizes, as one pooling."""
        found = T.signal.pool.pool_2d(
            input,
            ws=((rows + parts - 1) // parts, (columns + parts - 1) // parts),
            stride=(rows // parts, columns // parts),
            ignore_border=True,
            mode=self.mode,
        )
        return found[:, :, :parts, :parts].flatten(3)

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        rows, columns = (own or input.shape[axis] for axis, own in zip((2, 3), input.static_shape[2:]))
        if self.implementation == "fast" and None not in input.static_shape[2:]:
            return T.concatenate([self._windows(input, rows, columns, parts) for parts in self.pool_dims], axis=2)
        return T.stack(
            [
                self._reduce(input[:, :, vertical, horizontal], axis=(2, 3))
                for parts in self.pool_dims
                for vertical in self._regions(rows, parts)
                for horizontal in self._regions(columns, parts)
            ],
            axis=2,
        )
