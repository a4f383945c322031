"""Fully connected layers."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

import math
from collections.abc import Callable
from typing import Any

import symc.tensor as T

from .. import init, nonlinearities
from .arrays import takes_arrays
from .base import Layer

__all__ = ["DenseLayer", "NINLayer"]


class DenseLayer(Layer):
    r"""A fully connected layer, :math:`y = \varphi(x W + b)`.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    num_units : int
        The number of units of the layer.
    W : number, array, expression, shared variable or callable
        The weights, ``(num_inputs, num_units)``, where ``num_inputs`` is the product of the sizes of the trailing axes;
        see :func:`lasagne_like.utils.create_param`.
    b : number, array, expression, shared variable, callable or None
        The biases, ``(num_units,)``. None disables them.
    nonlinearity : callable or None
        Applied to the activations. None for a linear layer.
    num_leading_axes : int
        The number of leading axes, including the batch, along which the weights are applied separately. The remaining
        axes are flattened. A negative number specifies the number of trailing axes instead: -1 applies the weights to
        the last axis only.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If `num_leading_axes` leaves no trailing axis, or if the size of a trailing axis is None.

    Notes
    -----
    Inputs with more than ``num_leading_axes + 1`` axes are flattened.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, DenseLayer
    >>> l_in = InputLayer((100, 20))
    >>> DenseLayer(l_in, num_units=50).output_shape
    (100, 50)
    >>> DenseLayer(InputLayer((None, 10, 20)), num_units=50, num_leading_axes=2).output_shape
    (None, 10, 50)
    """

    def __init__(
        self,
        incoming: Any,
        num_units: int,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        num_leading_axes: int = 1,
        **kwargs: Any,
    ):
        super().__init__(incoming, **kwargs)
        self.nonlinearity = nonlinearities.resolve(nonlinearity)
        self.num_units = num_units
        ndim = len(self.input_shape)
        if num_leading_axes >= ndim:
            raise ValueError(
                f"Got num_leading_axes={num_leading_axes} for a {ndim}-dimensional input, "
                "leaving no trailing axes for the dot product"
                + ("; the first axis is the batch: InputLayer((None, features))" if ndim == 1 else ".")
            )
        if num_leading_axes < -ndim:
            raise ValueError(
                f"Got num_leading_axes={num_leading_axes} for a {ndim}-dimensional input, "
                "requesting more trailing axes than there are input dimensions."
            )
        self.num_leading_axes = num_leading_axes
        trailing = self.input_shape[num_leading_axes:]
        sizes = [size for size in trailing if size is not None]
        if len(sizes) < len(trailing):
            raise ValueError(
                "A DenseLayer requires a fixed input shape (except for the leading axes). "
                f"Got {self.input_shape!r} for num_leading_axes={num_leading_axes}."
            )
        self.W = self.add_param(W, (math.prod(sizes), num_units), name="W")
        self.b = None if b is None else self.add_param(b, (num_units,), name="b", regularizable=False)

    def _shape_by_units(self, input_shape: Any) -> Any:
        leading = self.num_leading_axes % len(input_shape) if self.num_leading_axes < 0 else self.num_leading_axes
        return (*input_shape[:leading], self.num_units)

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        leading = self.num_leading_axes % input.ndim if self.num_leading_axes < 0 else self.num_leading_axes
        if input.ndim > leading + 1:
            input = input.flatten(leading + 1)
        activation = T.dot(input, self.W)
        if self.b is not None:
            activation = activation + self.b
        return self.nonlinearity(activation)


class NINLayer(Layer):
    """A fully connected layer over the channels, applied at each position ("network in network").

    It is equivalent to a convolution with filters of size 1, for any number of spatial axes.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, ...)``.
    num_units : int
        The number of units (output channels).
    untie_biases : bool
        Whether to use separate biases for each position.
    W : number, array, expression, shared variable or callable
        The weights, ``(channels, num_units)``.
    b : number, array, expression, shared variable, callable or None
        The biases, ``(num_units,)`` or, if untied, ``(num_units, ...)`` with the spatial sizes. None disables them.
    nonlinearity : callable or None
        Applied to the activations. None for a linear layer.
    **kwargs
        See :class:`Layer`.

    References
    ----------
    .. [1] Min Lin, Qiang Chen and Shuicheng Yan (2013): Network in network. arXiv:1312.4400.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, NINLayer
    >>> NINLayer(InputLayer((100, 20, 10, 3)), num_units=5).output_shape
    (100, 5, 10, 3)
    """

    def __init__(
        self,
        incoming: Any,
        num_units: int,
        untie_biases: bool = False,
        W: Any = init.GlorotUniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        **kwargs: Any,
    ):
        super().__init__(incoming, **kwargs)
        self.nonlinearity = nonlinearities.resolve(nonlinearity)
        self.num_units = num_units
        self.untie_biases = untie_biases
        self.W = self.add_param(W, (self.input_shape[1], num_units), name="W")
        bias_shape = (num_units, *(self.input_shape[2:] if untie_biases else ()))
        self.b = None if b is None else self.add_param(b, bias_shape, name="b", regularizable=False)

    def _shape_by_units(self, input_shape: Any) -> Any:
        return (input_shape[0], self.num_units, *input_shape[2:])

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        spatial = range(2, input.ndim)
        channels_last = T.dot(input.dimshuffle(0, *spatial, 1), self.W)
        activation = channels_last.dimshuffle(0, input.ndim - 1, *range(1, input.ndim - 1))
        if self.b is not None:
            axes = range(1, input.ndim - 1) if self.untie_biases else ["x"] * len(spatial)
            activation = activation + self.b.dimshuffle("x", 0, *axes)
        return self.nonlinearity(activation)
