"""Layers that apply a single operation, with or without parameters."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .. import init, nonlinearities
from ..naming import check_takes
from .axes import all_but_second, chosen_axes, spread, unshared_shape
from .base import Layer, MergeLayer
from .inference import Shape, infer
from .noise import new_streams

__all__ = [
    "BiasLayer",
    "ExpressionLayer",
    "InverseLayer",
    "NonlinearityLayer",
    "ParametricRectifierLayer",
    "RandomizedRectifierLayer",
    "ScaleLayer",
    "prelu",
    "rrelu",
    "standardize",
]


class NonlinearityLayer(Layer):
    """A layer that applies a nonlinearity.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    nonlinearity : callable or None
        The nonlinearity. None for the identity.
    **kwargs
        See :class:`Layer`.
    """

    def __init__(self, incoming: Any, nonlinearity: Callable | None = nonlinearities.rectify, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self.nonlinearity = nonlinearities.resolve(nonlinearity)

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return self.nonlinearity(input)


class BiasLayer(Layer):
    """A layer that adds biases.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    b : number, array, expression, shared variable, callable or None
        The biases, whose shape is that of the input without the shared axes. None for the identity.
    shared_axes : 'auto', int or tuple of int
        The axes over which biases are shared; ``'auto'`` denotes all but the second.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the size of an axis that is not shared is None.

    Examples
    --------
    >>> BiasLayer((20, 30, 40, 50), shared_axes=(0, 2)).b.get_value().shape
    (30, 50)
    """

    def __init__(self, incoming: Any, b: Any = init.Constant(0), shared_axes: Any = "auto", **kwargs: Any):
        super().__init__(incoming, **kwargs)
        ndim = len(self.input_shape)
        self.shared_axes = chosen_axes(shared_axes, ndim, all_but_second(ndim))
        self.b = None
        if b is not None:
            shape = unshared_shape("BiasLayer", self.input_shape, self.shared_axes)
            self.b = self.add_param(b, shape, "b", regularizable=False)

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return input if self.b is None else input + spread(self.b, input.ndim, self.shared_axes)


class ScaleLayer(Layer):
    """A layer that multiplies by scales.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    scales : number, array, expression, shared variable or callable
        The scales, whose shape is that of the input without the shared axes.
    shared_axes : 'auto', int or tuple of int
        The axes over which scales are shared; ``'auto'`` denotes all but the second.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the size of an axis that is not shared is None.
    """

    def __init__(self, incoming: Any, scales: Any = init.Constant(1), shared_axes: Any = "auto", **kwargs: Any):
        super().__init__(incoming, **kwargs)
        ndim = len(self.input_shape)
        self.shared_axes = chosen_axes(shared_axes, ndim, all_but_second(ndim))
        shape = unshared_shape("ScaleLayer", self.input_shape, self.shared_axes)
        self.scales = self.add_param(scales, shape, "scales", regularizable=False)

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return input * spread(self.scales, input.ndim, self.shared_axes)


def standardize(layer: Any, offset: Any, scale: Any, shared_axes: Any = "auto") -> ScaleLayer:
    """Subtract a fixed offset and divide by a fixed scale, such as mean and standard deviation of the training data.

    Parameters
    ----------
    layer : Layer or tuple
        The layer feeding into the new layers, or the expected input shape.
    offset, scale : array, expression or shared variable
        The offset and the scale, whose shape is that of the input without the shared axes.
    shared_axes : 'auto', int or tuple of int
        The axes over which offset and scale are shared; ``'auto'`` denotes all but the second.

    Returns
    -------
    ScaleLayer
        The topmost of the new layers, stacked on a :class:`BiasLayer`. Their parameters are not trainable.
    """
    layer = BiasLayer(layer, -offset, shared_axes)
    layer.params[layer.b].discard("trainable")
    layer = ScaleLayer(layer, 1 / (scale if isinstance(scale, symc.Variable) else np.asarray(scale)), shared_axes)
    layer.params[layer.scales].discard("trainable")
    return layer


class ExpressionLayer(Layer):
    """A layer that applies a user-defined function.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    function : callable
        Maps the input expression to the output expression.
    output_shape : None, 'auto', tuple or callable
        None if the output has the shape of the input; ``'auto'`` to infer the shape from the function; a tuple, with
        None for sizes that may vary; or a function of the input shape. Given shapes are checked.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import ExpressionLayer, InputLayer
    >>> ExpressionLayer(InputLayer((32, 100, 20)), lambda x: x.mean(-1), output_shape="auto").output_shape
    (32, 100)
    """

    def __init__(self, incoming: Any, function: Callable, output_shape: Any = None, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        if isinstance(output_shape, str) and output_shape != "auto":
            raise ValueError(f"output_shape must be None, 'auto', a tuple or a callable, got {output_shape!r}")
        check_takes("ExpressionLayer: function", function, "input")
        self.function = function
        self._stated = output_shape

    def _states_shape(self) -> bool:
        return not isinstance(self._stated, str)

    def get_output_shape_for(self, input_shape: Shape) -> Shape:
        if not self._states_shape():
            return infer(self, [input_shape]).static_shape
        if self._stated is None:
            return input_shape
        return self._stated(input_shape) if callable(self._stated) else tuple(self._stated)

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return self.function(input)


class InverseLayer(MergeLayer):
    """A layer that approximates the inverse of another layer by the gradient with respect to its input.

    The inverse of a :class:`DenseLayer` multiplies by the transposed weights, that of a convolutional layer is a
    transposed convolution, and that of a max-pooling layer is unpooling. The derivative of the nonlinearity of the
    layer is included.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape; its shape must be the output shape of `layer`.
    layer : Layer
        The layer to invert. It must have a single input.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import DenseLayer, InputLayer, InverseLayer
    >>> l_in = InputLayer((None, 20))
    >>> l1 = DenseLayer(l_in, num_units=5)
    >>> InverseLayer(l1, l1).output_shape
    (None, 20)
    """

    def __init__(self, incoming: Any, layer: Layer, **kwargs: Any):
        super().__init__([incoming, layer, layer.input_layer], **kwargs)

    def get_output_shape_for(self, input_shapes: Sequence[Shape]) -> Shape:
        return input_shapes[2]

    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        input, layer_out, layer_in = inputs
        return symc.grad(None, wrt=layer_in, known_grads={layer_out: input})


class ParametricRectifierLayer(Layer):
    r"""A parametric rectifier layer, with learned slopes for negative inputs.

    .. math:: y = \max(0, x) + \alpha \min(0, x)

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    alpha : number, array, expression, shared variable or callable
        The slopes, whose shape is that of the input without the shared axes.
    shared_axes : 'auto', 'all', int or tuple of int
        The axes over which slopes are shared; ``'auto'`` denotes all but the second.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the size of an axis that is not shared is None.

    References
    ----------
    .. [1] Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun (2015): Delving deep into rectifiers: Surpassing
           human-level performance on ImageNet classification. arXiv:1502.01852.
    """

    def __init__(self, incoming: Any, alpha: Any = init.Constant(0.25), shared_axes: Any = "auto", **kwargs: Any):
        super().__init__(incoming, **kwargs)
        ndim = len(self.input_shape)
        self.shared_axes = chosen_axes(shared_axes, ndim, all_but_second(ndim))
        shape = unshared_shape("ParametricRectifierLayer", self.input_shape, self.shared_axes)
        self.alpha = self.add_param(alpha, shape, name="alpha", regularizable=False)

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        return T.nnet.relu(input, spread(self.alpha, input.ndim, self.shared_axes))


def prelu(layer: Any, **kwargs: Any) -> ParametricRectifierLayer:
    """Replace the nonlinearity of a layer by a parametric rectifier.

    Parameters
    ----------
    layer : Layer
        The layer. It is modified in place.
    **kwargs
        Passed to :class:`ParametricRectifierLayer`.

    Returns
    -------
    ParametricRectifierLayer
    """
    if getattr(layer, "nonlinearity", None) is not None:
        layer.nonlinearity = nonlinearities.identity
    return ParametricRectifierLayer(layer, **kwargs)


class RandomizedRectifierLayer(Layer):
    """A randomised leaky rectifier layer, which samples slopes during training.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    lower, upper : float or scalar expression
        The bounds of the uniform distribution of the slopes. With ``deterministic=True`` their mean is used.
    shared_axes : 'auto', 'all', int or tuple of int
        The axes over which slopes are shared; ``'auto'`` denotes all but the second.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If `lower` is greater than `upper`.

    References
    ----------
    .. [1] Bing Xu, Naiyan Wang, Tianqi Chen and Mu Li (2015): Empirical evaluation of rectified activations in
           convolutional network. arXiv:1505.00853.
    """

    def __init__(self, incoming: Any, lower: Any = 0.3, upper: Any = 0.8, shared_axes: Any = "auto", **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self._srng = new_streams()
        if isinstance(lower, Real) and isinstance(upper, Real) and lower > upper:
            raise ValueError(
                "RandomizedRectifierLayer: the upper bound must not be less than the lower bound, "
                f"got lower={lower!r}, upper={upper!r}"
            )
        self.lower = lower
        self.upper = upper
        ndim = len(self.input_shape)
        self.shared_axes = chosen_axes(shared_axes, ndim, all_but_second(ndim))

    def get_output_for(self, input: Any, deterministic: bool = False, **kwargs: Any) -> Any:
        if deterministic:
            return T.nnet.relu(input, (self.lower + self.upper) / 2.0)
        shape = tuple(1 if axis in self.shared_axes else input.shape[axis] for axis in range(input.ndim))
        unit = self._srng.uniform(shape, low=0.0, high=1.0, dtype=input.dtype)
        return T.nnet.relu(input, self.lower + (self.upper - self.lower) * unit)


def rrelu(layer: Any, **kwargs: Any) -> RandomizedRectifierLayer:
    """Replace the nonlinearity of a layer by a randomised leaky rectifier.

    Parameters
    ----------
    layer : Layer
        The layer. It is modified in place.
    **kwargs
        Passed to :class:`RandomizedRectifierLayer`.

    Returns
    -------
    RandomizedRectifierLayer
    """
    if getattr(layer, "nonlinearity", None) is not None:
        layer.nonlinearity = nonlinearities.identity
    return RandomizedRectifierLayer(layer, **kwargs)


explain_faults(globals())
