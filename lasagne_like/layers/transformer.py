"""Spatial transformers: layers that sample images at positions which another network computes."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

import symc.tensor as T

from ..utils import as_tuple, floatX
from .arrays import takes_arrays
from .base import MergeLayer
from .inference import Shape

__all__ = ["TPSTransformerLayer", "TransformerLayer"]

_BORDERS = ("nearest", "mirror", "wrap")


class _SamplingLayer(MergeLayer):
    """Base class: samples an image bilinearly at positions that depend on the output of a second layer."""

    def __init__(
        self, incoming: Any, localization_network: Any, downsample_factor: Any, border_mode: str, **kwargs: Any
    ):
        super().__init__([incoming, localization_network], **kwargs)
        self.localization_network = localization_network
        self.downsample_factor = as_tuple(downsample_factor, 2, Real)
        if border_mode not in _BORDERS:
            raise ValueError(f"{type(self).__name__}: border_mode must be one of {_BORDERS}, got {border_mode!r}")
        self.border_mode = border_mode
        if len(self.input_shapes[0]) != 4:
            raise ValueError(
                f"The input network must have a 4-dimensional output shape: (batch_size, num_input_channels, "
                f"input_rows, input_columns), got {self.input_shapes[0]!r}"
            )

    def _check_parameters(self, number: int) -> None:
        shape = self.input_shapes[1]
        if len(shape) != 2 or shape[1] not in (number, None):
            raise ValueError(
                f"{type(self).__name__}: the localization network must have output shape: (batch_size, {number}), "
                f"got {shape!r}"
            )

    def get_output_shape_for(self, input_shapes: Sequence[Shape]) -> Shape:
        batch, channels, *sizes = input_shapes[0]
        scaled = (None if size is None else int(size // by) for size, by in zip(sizes, self.downsample_factor))
        return (batch, channels, *scaled)

    def _output_sizes(self, input: Any) -> list:
        """The numbers of rows and columns to sample; expressions where they are known only at call time."""
        found: list[Any] = []
        for axis, by in zip((2, 3), self.downsample_factor):
            size = input.static_shape[axis]
            whole = int(by) == by
            if size is not None:
                found.append(int(size // by))
            else:
                found.append(input.shape[axis] // int(by) if whole else T.cast(input.shape[axis] / by, "int64"))
        return found


def _coordinates(count: Any) -> Any:
    """Equidistant numbers from -1 to 1; 0 alone if there is one. `count` is an int or an expression."""
    if isinstance(count, int):
        return T.constant(floatX(np.linspace(-1, 1, count) if count > 1 else np.zeros(count)))
    return T.arange(count) * floatX(2.0) / T.maximum(count - 1, 1) - T.switch(T.gt(count, 1), floatX(1.0), floatX(0.0))


def _at_border(index: Any, size: Any, mode: str) -> Any:
    """Map positions outside an image to positions inside it."""
    if mode == "wrap":
        return index % size
    if mode == "mirror":
        period = T.maximum(2 * (size - 1), 1)
        return T.minimum(index % period, -index % period)
    return T.clip(index, 0, size - 1)


def _sample(input: Any, x: Any, y: Any, mode: str) -> Any:
    """Interpolate images bilinearly.

    Parameters
    ----------
    input : expression
        ``(batch, channels, rows, columns)``.
    x, y : expressions
        ``(batch, output rows, output columns)``: where to sample, -1 for the first column or row and 1 for the last.
    mode : {'nearest', 'mirror', 'wrap'}

    Returns
    -------
    expression
        ``(batch, channels, output rows, output columns)``.
    """
    rows, columns = (own or input.shape[axis] for axis, own in zip((2, 3), input.static_shape[2:]))
    x, y = (x + 1) / 2 * T.cast(columns - 1, x.dtype), (y + 1) / 2 * T.cast(rows - 1, y.dtype)
    left, top = T.floor(x), T.floor(y)
    across, down = x - left, y - top
    batch = T.arange(input.shape[0]).dimshuffle(0, "x", "x")
    last = input.dimshuffle(0, 2, 3, 1)
    total: Any = 0
    for row, weight_row in ((top, 1 - down), (top + 1, down)):
        for column, weight_column in ((left, 1 - across), (left + 1, across)):
            r = _at_border(T.cast(row, "int64"), rows, mode)
            c = _at_border(T.cast(column, "int64"), columns, mode)
            total = total + (weight_row * weight_column).dimshuffle(0, 1, 2, "x") * last[batch, r, c]
    return total.dimshuffle(0, 3, 1, 2)


class TransformerLayer(_SamplingLayer):
    r"""A spatial transformer: samples images on a grid that an affine map moves, scales, rotates and shears.

    For an output pixel at :math:`(x, y)`, both from -1 to 1, the image is interpolated at

    .. math::

        \begin{pmatrix} x' \\ y' \end{pmatrix} =
        \begin{pmatrix} \theta_1 & \theta_2 & \theta_3 \\ \theta_4 & \theta_5 & \theta_6 \end{pmatrix}
        \begin{pmatrix} x \\ y \\ 1 \end{pmatrix}

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    localization_network : Layer or tuple
        The layer that computes :math:`\theta`, ``(batch, 6)``. Its weights should begin with zeros and its biases with
        the identity ``(1, 0, 0, 0, 1, 0)``.
    downsample_factor : float or pair of float
        The number by which rows and columns of the output are fewer than those of the input.
    border_mode : {'nearest', 'mirror', 'wrap'}
        What lies outside the image: the nearest pixel of it, its mirror image, or its other side.
    **kwargs
        See :class:`Layer`.

    References
    ----------
    .. [1] Max Jaderberg, Karen Simonyan, Andrew Zisserman and Koray Kavukcuoglu (2015): Spatial transformer networks.
           Advances in Neural Information Processing Systems. arXiv:1506.02025.

    Examples
    --------
    >>> import numpy as np
    >>> from lasagne_like.init import Constant
    >>> from lasagne_like.layers import DenseLayer, InputLayer, TransformerLayer
    >>> images = InputLayer((None, 3, 28, 28))
    >>> identity = np.array([1, 0, 0, 0, 1, 0], "float32")
    >>> theta = DenseLayer(images, 6, W=Constant(0.0), b=identity, nonlinearity=None)
    >>> TransformerLayer(images, theta, downsample_factor=2).output_shape
    (None, 3, 14, 14)
    """

    def __init__(
        self,
        incoming: Any,
        localization_network: Any,
        downsample_factor: Any = 1,
        border_mode: str = "nearest",
        **kwargs: Any,
    ):
        super().__init__(incoming, localization_network, downsample_factor, border_mode, **kwargs)
        self._check_parameters(6)

    @takes_arrays
    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        input, theta = inputs
        rows, columns = map(_coordinates, self._output_sizes(input))
        y, x = rows.dimshuffle("x", 0, "x"), columns.dimshuffle("x", "x", 0)
        a = [theta[:, k].dimshuffle(0, "x", "x") for k in range(6)]
        return _sample(input, a[0] * x + a[1] * y + a[2], a[3] * x + a[4] * y + a[5], self.border_mode)


class TPSTransformerLayer(_SamplingLayer):
    r"""A spatial transformer that bends images: a thin plate spline through control points.

    The control points form a square grid from -1 to 1. The localization network moves each of them; between them, the
    positions to sample are interpolated by the smoothest map,

    .. math:: f(p) = A p + b + \sum_k w_k U(\lVert p - c_k \rVert), \quad U(r) = r^2 \log r^2.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    localization_network : Layer or tuple
        The layer that computes the displacements, ``(batch, 2 * control_points)``: all in `x`, then all in `y`, row by
        row of the grid.
    downsample_factor : float or pair of float
        The number by which rows and columns of the output are fewer than those of the input.
    control_points : int
        The number of control points: the square of an integer, at least 4.
    precompute_grid : 'auto' or bool
        Kept for compatibility: what depends on known sizes alone is always computed while compiling. True asserts that
        the numbers of rows and columns are known.
    border_mode : {'nearest', 'mirror', 'wrap'}
        What lies outside the image: the nearest pixel of it, its mirror image, or its other side.
    **kwargs
        See :class:`Layer`.

    References
    ----------
    .. [1] Fred Bookstein (1989): Principal warps: thin-plate splines and the decomposition of deformations. IEEE
           Transactions on Pattern Analysis and Machine Intelligence 11(6).
    .. [2] Max Jaderberg, Karen Simonyan, Andrew Zisserman and Koray Kavukcuoglu (2015): Spatial transformer networks.
           arXiv:1506.02025.

    Examples
    --------
    >>> from lasagne_like.init import Constant
    >>> from lasagne_like.layers import DenseLayer, InputLayer, TPSTransformerLayer
    >>> images = InputLayer((None, 1, 28, 28))
    >>> moves = DenseLayer(images, 32, W=Constant(0.0), nonlinearity=None)
    >>> TPSTransformerLayer(images, moves, downsample_factor=2).output_shape
    (None, 1, 14, 14)
    """

    def __init__(
        self,
        incoming: Any,
        localization_network: Any,
        downsample_factor: Any = 1,
        control_points: int = 16,
        precompute_grid: Any = "auto",
        border_mode: str = "nearest",
        **kwargs: Any,
    ):
        super().__init__(incoming, localization_network, downsample_factor, border_mode, **kwargs)
        self.control_points = control_points
        self.precompute_grid = precompute_grid
        if precompute_grid is True and None in self.input_shapes[0][2:]:
            raise ValueError(
                "The grid can only be precomputed if rows and columns are known, but the input shape is "
                f"{self.input_shapes[0]!r}; use precompute_grid='auto'"
            )
        side = math.isqrt(max(control_points, 0))
        if side * side != control_points or side < 2:
            raise ValueError(
                "The number of control points must be a perfect square, at least 4, got "
                f"control_points={control_points!r}"
            )
        self._check_parameters(2 * control_points)
        at = np.linspace(-1, 1, side)
        self._sources = np.stack([each.ravel() for each in np.meshgrid(at, at)])
        # The coefficients (2, points + 3) of a spline through `points` (2, points) are points @ self._solve.
        system = np.zeros((control_points + 3,) * 2)
        system[0, 3:], system[1:3, 3:] = 1, self._sources
        system[3:, 0], system[3:, 1:3] = 1, self._sources.T
        squares = ((self._sources[:, :, None] - self._sources[:, None]) ** 2).sum(0)
        system[3:, 3:] = squares * np.log(np.where(squares > 0, squares, 1))
        self._solve = np.linalg.inv(system)[:, 3:].T

    @takes_arrays
    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        input, moves = inputs
        rows, columns = self._output_sizes(input)
        y = T.repeat(_coordinates(rows), columns)
        x = T.tile(_coordinates(columns), rows)
        dx, dy = (here.dimshuffle("x", 0) - floatX(there)[:, None] for here, there in zip((x, y), self._sources))
        squares = dx**2 + dy**2
        bends = squares * T.log(T.switch(T.gt(squares, 0), squares, 1))
        basis = T.concatenate([T.ones_like(x).dimshuffle("x", 0), T.stack([x, y]), bends])
        points = moves.reshape((-1, 2, self.control_points)) + floatX(self._sources)
        found = T.dot(T.dot(points, floatX(self._solve)), basis)
        sizes = (moves.static_shape[0] or moves.shape[0], rows, columns)
        return _sample(input, found[:, 0].reshape(sizes), found[:, 1].reshape(sizes), self.border_mode)
