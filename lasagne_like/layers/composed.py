"""Functions that put several layers together: both directions of a sequence, attention to channels, and others."""

from collections.abc import Callable, Sequence
from typing import Any

from symc.graph.argument_faults import explain_faults

from .. import nonlinearities
from .base import Layer, MergeLayer
from .conv import Conv2DLayer
from .dense import DenseLayer
from .inference import agree
from .merge import ConcatLayer, ElemwiseSumLayer
from .noise import DropoutLayer
from .pool import GlobalPoolLayer

__all__ = [
    "ChannelScaleLayer",
    "bidirectional",
    "depthwise_conv2d",
    "separable_conv2d",
    "squeeze_excite",
    "stochastic_depth",
]


def _named(name: str | None, suffix: str) -> str | None:
    return name and f"{name}_{suffix}"


def bidirectional(
    layer_class: Callable, incoming: Any, *args: Any, merge: str = "concat", name: str | None = None, **kwargs: Any
) -> Layer:
    """Apply a recurrent layer in both directions.

    Parameters
    ----------
    layer_class : class
        :class:`LSTMLayer`, :class:`GRULayer`, :class:`RecurrentLayer` or another with the argument ``backwards``.
    incoming : Layer
        The layer feeding into both.
    *args, **kwargs
        Passed to both.
    merge : {'concat', 'sum'}
        How to put the results together: as features side by side, or as their sum.
    name : str, optional
        The name of the result; the layers add ``_forwards`` and ``_backwards``.

    Returns
    -------
    Layer

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, LSTMLayer, bidirectional
    >>> bidirectional(LSTMLayer, InputLayer((None, None, 8)), 16).output_shape
    (None, None, 32)
    """
    if merge not in ("concat", "sum"):
        raise ValueError(f"bidirectional: merge must be 'concat' or 'sum', got {merge!r}")
    if "backwards" in kwargs:
        raise TypeError("bidirectional: the directions are both, backwards= cannot be given")
    both = [
        layer_class(incoming, *args, backwards=backwards, name=_named(name, suffix), **kwargs)
        for backwards, suffix in ((False, "forwards"), (True, "backwards"))
    ]
    if merge == "sum":
        return ElemwiseSumLayer(both, name=name)
    return ConcatLayer(both, axis=len(both[0].output_shape) - 1, name=name)


def stochastic_depth(incoming: Any, p: Any = 0.1, **kwargs: Any) -> DropoutLayer:
    """Leave out a branch at random, separately for each example: dropout of whole examples.

    Put it on the last layer of a residual branch, before the sum; without the branch, the sum is the identity.

    Parameters
    ----------
    incoming : Layer or tuple
        The last layer of the branch.
    p : float or scalar expression
        The probability of leaving the branch out.
    **kwargs
        See :class:`DropoutLayer`.

    Returns
    -------
    DropoutLayer

    References
    ----------
    .. [1] Gao Huang, Yu Sun, Zhuang Liu, Daniel Sedra and Kilian Weinberger (2016): Deep networks with stochastic
           depth. arXiv:1603.09382.
    """
    ndim = len(incoming.output_shape if isinstance(incoming, Layer) else incoming)
    return DropoutLayer(incoming, p, shared_axes=tuple(range(1, ndim)), **kwargs)


class ChannelScaleLayer(MergeLayer):
    """A layer that multiplies the channels of one layer by the units of another.

    Parameters
    ----------
    incomings : list of two (Layer or tuple)
        A layer ``(batch, channels, ...)`` and one ``(batch, channels)``, or the expected input shapes.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """

    def __init__(self, incomings: Any, **kwargs: Any):
        super().__init__(incomings, **kwargs)
        shapes = self.input_shapes
        if len(shapes) != 2 or len(shapes[1]) != 2 or not agree(shapes[0][:2], shapes[1]):
            raise ValueError(
                f"ChannelScaleLayer: expected (batch, channels, ...) and (batch, channels), got {shapes!r}"
            )

    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        input, scales = inputs
        return input * scales.dimshuffle(0, 1, *"x" * (input.ndim - 2))


def squeeze_excite(
    incoming: Layer, ratio: int = 16, nonlinearity: Any = nonlinearities.rectify, name: str | None = None
) -> Layer:
    """Multiply each channel by a number from 0 to 1 that depends on the means of all channels.

    Parameters
    ----------
    incoming : Layer
        A layer ``(batch, channels, ...)``.
    ratio : int
        The hidden layer has ``channels // ratio`` units, at least 1.
    nonlinearity : callable or None
        Of the hidden layer.
    name : str, optional
        The name of the result, and the beginning of those of the layers.

    Returns
    -------
    ChannelScaleLayer

    References
    ----------
    .. [1] Jie Hu, Li Shen and Gang Sun (2018): Squeeze-and-excitation networks. arXiv:1709.01507.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, squeeze_excite
    >>> squeeze_excite(InputLayer((None, 32, 7, 7))).output_shape
    (None, 32, 7, 7)
    """
    shape = incoming.output_shape
    channels = shape[1]
    if channels is None:
        raise ValueError(f"squeeze_excite: the number of channels must be known, got the output shape {shape!r}")
    means = GlobalPoolLayer(incoming, name=_named(name, "squeeze"))
    hidden = DenseLayer(means, max(channels // ratio, 1), nonlinearity=nonlinearity, name=_named(name, "hidden"))
    gates = DenseLayer(hidden, channels, nonlinearity=nonlinearities.sigmoid, name=_named(name, "excite"))
    return ChannelScaleLayer([incoming, gates], name=name)


def depthwise_conv2d(incoming: Any, filter_size: Any, multiplier: int = 1, **kwargs: Any) -> Conv2DLayer:
    """Convolve every channel with filters of its own.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into the new one, or the expected input shape ``(batch, channels, rows, columns)``.
    filter_size : int or pair of int
        The size of the filters.
    multiplier : int
        The number of output channels per input channel.
    **kwargs
        See :class:`Conv2DLayer`.

    Returns
    -------
    Conv2DLayer
        With as many groups as channels.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, depthwise_conv2d
    >>> depthwise_conv2d(InputLayer((None, 32, 7, 7)), 3, pad="same").W.get_value().shape
    (32, 1, 3, 3)
    """
    shape = incoming.output_shape if isinstance(incoming, Layer) else tuple(incoming)
    if shape[1] is None:
        raise ValueError(f"depthwise_conv2d: the number of channels must be known, got the input shape {shape!r}")
    return Conv2DLayer(incoming, shape[1] * multiplier, filter_size, num_groups=shape[1], **kwargs)


def separable_conv2d(
    incoming: Any, num_filters: int, filter_size: Any, multiplier: int = 1, name: str | None = None, **kwargs: Any
) -> Conv2DLayer:
    """Convolve every channel with filters of its own, then mix the channels at each position.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into the new ones, or the expected input shape ``(batch, channels, rows, columns)``.
    num_filters : int
        The number of output channels.
    filter_size, multiplier
        See :func:`depthwise_conv2d`.
    name : str, optional
        The name of the second layer; the first one adds ``_depthwise``.
    **kwargs
        Arguments of :class:`Conv2DLayer`: ``stride`` and ``pad`` are those of the first layer, the others those of the
        second.

    Returns
    -------
    Conv2DLayer

    References
    ----------
    .. [1] Francois Chollet (2017): Xception: deep learning with depthwise separable convolutions. arXiv:1610.02357.
    """
    spatial = {key: kwargs.pop(key) for key in ("stride", "pad", "flip_filters") if key in kwargs}
    deep = depthwise_conv2d(
        incoming, filter_size, multiplier, b=None, nonlinearity=None, name=_named(name, "depthwise"), **spatial
    )
    return Conv2DLayer(deep, num_filters, 1, name=name, **kwargs)


explain_faults(globals())
