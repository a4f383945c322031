"""Normalisation over groups of channels and by the root mean square; weights given by direction and length."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .. import init
from ..utils import floatX
from .axes import chosen_axes, spread, unshared_shape
from .base import Layer

__all__ = ["GroupNormLayer", "RMSNormLayer", "weight_norm"]


class GroupNormLayer(Layer):
    r"""A layer that normalises groups of channels of each example to zero mean and unit variance.

    .. math:: y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \gamma + \beta

    with mean and variance over all positions of the channels of a group. It does not depend on the other examples, and
    is the same in training and testing.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, ...)``.
    num_groups : int
        The number of groups. 1 is layer normalisation, the number of channels is instance normalisation.
    epsilon : float
        Added to the variance.
    beta, gamma : number, array, expression, shared variable, callable or None
        The shift and the scale of each channel, ``(channels,)``. None for none.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the number of channels is unknown or not a multiple of `num_groups`.

    References
    ----------
    .. [1] Yuxin Wu and Kaiming He (2018): Group normalization. arXiv:1803.08494.

    Examples
    --------
    >>> from lasagne_like.layers import GroupNormLayer, InputLayer
    >>> GroupNormLayer(InputLayer((None, 8, 5, 5)), num_groups=4).output_shape
    (None, 8, 5, 5)
    """

    def __init__(
        self,
        incoming: Any,
        num_groups: int = 32,
        epsilon: float = 1e-5,
        beta: Any = init.Constant(0),
        gamma: Any = init.Constant(1),
        **kwargs: Any,
    ):
        super().__init__(incoming, **kwargs)
        channels = self.input_shape[1] if len(self.input_shape) > 1 else None
        if channels is None or num_groups < 1 or channels % num_groups:
            raise ValueError(
                f"GroupNormLayer: the number of channels must be known and a multiple of num_groups={num_groups!r}, "
                f"got the input shape {self.input_shape!r}"
            )
        self.num_groups = num_groups
        self.epsilon = epsilon
        self.beta = None if beta is None else self.add_param(beta, (channels,), "beta", regularizable=False)
        self.gamma = None if gamma is None else self.add_param(gamma, (channels,), "gamma", regularizable=False)

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        sizes = [own or input.shape[axis] for axis, own in enumerate(input.static_shape)]
        grouped = input.reshape((sizes[0], self.num_groups, -1), ndim=3)
        centred = grouped - grouped.mean(axis=2, keepdims=True)
        normal = centred / T.sqrt(grouped.var(axis=2, keepdims=True) + self.epsilon)
        output = normal.reshape(tuple(sizes), ndim=input.ndim)
        shared = (0, *range(2, input.ndim))
        if self.gamma is not None:
            output = output * spread(self.gamma, input.ndim, shared)
        return output if self.beta is None else output + spread(self.beta, input.ndim, shared)


class RMSNormLayer(Layer):
    r"""A layer that divides its input by its root mean square over some axes.

    .. math:: y = \frac{x}{\sqrt{\frac{1}{n} \sum_j x_j^2 + \epsilon}} \gamma

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    axes : int or tuple of int
        The axes of the mean; by default the last one, as in transformers.
    epsilon : float
        Added to the mean square.
    gamma : number, array, expression, shared variable, callable or None
        The scale, with the sizes of `axes`. None for none.
    **kwargs
        See :class:`Layer`.

    References
    ----------
    .. [1] Biao Zhang and Rico Sennrich (2019): Root mean square layer normalization. arXiv:1910.07467.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, RMSNormLayer
    >>> RMSNormLayer(InputLayer((None, 20, 64))).gamma.get_value().shape
    (64,)
    """

    def __init__(
        self, incoming: Any, axes: Any = -1, epsilon: float = 1e-6, gamma: Any = init.Constant(1), **kwargs: Any
    ):
        super().__init__(incoming, **kwargs)
        ndim = len(self.input_shape)
        self.axes = chosen_axes(axes, ndim, ())
        self.epsilon = epsilon
        self._others = tuple(axis for axis in range(ndim) if axis not in self.axes)
        self.gamma = None
        if gamma is not None:
            shape = unshared_shape("RMSNormLayer", self.input_shape, self._others)
            self.gamma = self.add_param(gamma, shape, "gamma", regularizable=False)

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        output = input / T.sqrt((input**2).mean(axis=self.axes, keepdims=True) + self.epsilon)
        return output if self.gamma is None else output * spread(self.gamma, input.ndim, self._others)


def weight_norm(layer: Layer, name: str = "W", axis: int | None = None) -> Layer:
    r"""Let weights of a layer follow from a direction and a length, which are trained instead: :math:`W = g v / |v|`.

    Parameters
    ----------
    layer : Layer
        A layer with weights. It is modified in place; its output stays the same.
    name : str
        The attribute with the weights.
    axis : int, optional
        The axis of the weights with one length per entry: by default the last for matrices, the first otherwise.

    Returns
    -------
    Layer
        `layer`.

    Raises
    ------
    ValueError
        If the layer has no such parameter, or if it is an expression already.

    Notes
    -----
    ``layer.W`` becomes an expression. A model file cannot describe it: save the weights, and the code.

    References
    ----------
    .. [1] Tim Salimans and Diederik Kingma (2016): Weight normalization: a simple reparameterization to accelerate
           training of deep neural networks. arXiv:1602.07868.
    """
    weights = getattr(layer, name, None)
    if not isinstance(weights, symc.SharedVariable) or weights not in layer.params:
        raise ValueError(f"weight_norm: {layer!r} has no shared variable {name!r} among its parameters")
    value = weights.get_value()
    if axis is None:
        axis = value.ndim - 1 if value.ndim == 2 else 0
    others = tuple(k for k in range(value.ndim) if k != axis % value.ndim)
    tags = layer.params.pop(weights)
    lengths = np.sqrt((value.astype("float64") ** 2).sum(axis=others))
    g = layer.add_param(
        floatX(lengths), lengths.shape, f"{name}_length", **dict.fromkeys(tags - {"regularizable"}, True)
    )
    v = layer.add_param(value, value.shape, f"{name}_direction", **dict.fromkeys(tags, True))
    layer.params[g].discard("regularizable")
    direction = v / T.sqrt((v**2).sum(axis=others, keepdims=True))
    setattr(layer, name, direction * spread(g, value.ndim, others))
    return layer


explain_faults(globals())
