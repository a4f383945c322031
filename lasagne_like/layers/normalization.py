"""Normalisation layers."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

from collections.abc import Iterable
from typing import Any

import symc
import symc.compat
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .. import init, nonlinearities
from ..errors import _NotSupported
from .arrays import takes_arrays
from .axes import all_but_second, chosen_axes, spread, unshared_shape
from .base import Layer
from .shape import padded
from .special import BiasLayer, NonlinearityLayer, ScaleLayer

__all__ = [
    "BatchNormLayer",
    "LocalResponseNormalization2DLayer",
    "StandardizationLayer",
    "batch_norm",
    "instance_norm",
    "layer_norm",
]


class LocalResponseNormalization2DLayer(Layer):
    r"""A local response normalisation layer over adjacent channels.

    .. math:: y_i = \frac{x_i}{\left(k + \alpha \sum_j x_j^2\right)^\beta}

    where the sum is over the `n` channels centred at :math:`i`, at the same position.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, rows, columns)``.
    alpha, k, beta : float
        The coefficients of the formula.
    n : int
        The number of channels in the sum. It must be odd.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If `n` is even.

    References
    ----------
    .. [1] Alex Krizhevsky, Ilya Sutskever and Geoffrey Hinton (2012): ImageNet classification with deep convolutional
           neural networks. Advances in Neural Information Processing Systems.
    """

    def __init__(self, incoming: Any, alpha: float = 1e-4, k: float = 2, beta: float = 0.75, n: int = 5, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        if n % 2 == 0:
            raise _NotSupported(f"LocalResponseNormalization2DLayer requires an odd n, got n={n}")
        self.alpha = alpha
        self.k = k
        self.beta = beta
        self.n = n

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        half = self.n // 2
        squares = padded(input**2, [(0, 0), (half, half), (0, 0), (0, 0)])
        known = input.static_shape[1]
        channels = input.shape[1] if known is None else known
        total = sum(squares[:, start : start + channels] for start in range(self.n))
        return input / (self.k + self.alpha * total) ** self.beta


class BatchNormLayer(Layer):
    r"""A batch normalisation layer: normalise each channel over the batch, then apply a learned scale and shift.

    .. math:: y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \gamma + \beta

    In training, :math:`\mu` and :math:`\sigma^2` are the statistics of the mini-batch, and running averages of the mean
    and of the inverse standard deviation are updated. In deterministic mode, the running averages are used instead.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    axes : 'auto', int or tuple of int
        The axes to normalise over; ``'auto'`` denotes all but the second, that is, the batch and all positions.
    epsilon : float
        Added to the variance for numerical stability.
    alpha : float
        The weight of the current mini-batch in the running averages, from 0 to 1.
    beta : number, array, expression, shared variable, callable or None
        The shift :math:`\beta`, whose shape is that of the input without `axes`. None disables it, for example if the
        following layer has biases.
    gamma : number, array, expression, shared variable, callable or None
        The scale :math:`\gamma`, of the same shape. None disables it, for example if the following layer is linear.
    mean : number, array, expression, shared variable or callable
        The running average of the mean, of the same shape.
    inv_std : number, array, expression, shared variable or callable
        The running average of :math:`1 / \sqrt{\sigma^2 + \epsilon}`, of the same shape.
    **kwargs
        See :class:`Layer`.

    Attributes
    ----------
    use_averages, update_averages : bool or None
        If not None, override the arguments of :func:`get_output`. A frozen layer (:func:`lasagne_like.transfer.freeze`)
        uses its averages without updating them, whatever these say.

    Raises
    ------
    ValueError
        If the size of an axis that is not normalised over is None.

    Notes
    -----
    The running averages have the tag ``batch_norm_stat``: ``get_all_params(network, batch_norm_stat=True)`` lists them.

    ``get_output(..., deterministic=True)`` uses the averages without updating them. The keyword arguments
    ``batch_norm_use_averages`` and ``batch_norm_update_averages`` control both independently of `deterministic`.

    The updates of the averages are attached to the output expression: every function compiled from an output in
    training mode updates the averages. A mini-batch with one value per statistic, such as a last batch of one
    vector, does not change them: its variance of zero says nothing about the data.

    Use :func:`batch_norm` to insert the layer between another layer and its nonlinearity.

    References
    ----------
    .. [1] Sergey Ioffe and Christian Szegedy (2015): Batch normalization: Accelerating deep network training by
           reducing internal covariate shift. arXiv:1502.03167.
    """

    saved_attributes = ("frozen", "use_averages", "update_averages")

    def __init__(
        self,
        incoming: Any,
        axes: Any = "auto",
        epsilon: float = 1e-4,
        alpha: float = 0.1,
        beta: Any = init.Constant(0),
        gamma: Any = init.Constant(1),
        mean: Any = init.Constant(0),
        inv_std: Any = init.Constant(1),
        **kwargs: Any,
    ):
        super().__init__(incoming, **kwargs)
        ndim = len(self.input_shape)
        self.axes = chosen_axes(axes, ndim, all_but_second(ndim))
        self.epsilon = epsilon
        self.alpha = alpha
        self.use_averages: bool | None = None
        self.update_averages: bool | None = None
        shape = unshared_shape("BatchNormLayer", self.input_shape, self.axes)
        self.beta = None if beta is None else self.add_param(beta, shape, "beta", regularizable=False)
        self.gamma = None if gamma is None else self.add_param(gamma, shape, "gamma")
        tags = {"trainable": False, "regularizable": False, "batch_norm_stat": True}
        self.mean = self.add_param(mean, shape, "mean", **tags)
        self.inv_std = self.add_param(inv_std, shape, "inv_std", **tags)

    @takes_arrays
    def get_output_for(
        self,
        input: Any,
        deterministic: bool = False,
        batch_norm_use_averages: bool | None = None,
        batch_norm_update_averages: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        use_averages = self.frozen or _first(self.use_averages, batch_norm_use_averages, deterministic)
        update_averages = not self.frozen and _first(
            self.update_averages, batch_norm_update_averages, not deterministic
        )
        mean, inv_std = self.mean, self.inv_std
        if not use_averages or update_averages:
            batch_mean = input.mean(self.axes)
            batch_inv_std = 1 / T.sqrt(input.var(self.axes) + self.epsilon)
            if not use_averages:
                mean, inv_std = batch_mean, batch_inv_std
            if update_averages:
                several = self._has_several_values(input)
                mean = self._update(mean, self.mean, batch_mean, several)
                inv_std = self._update(inv_std, self.inv_std, batch_inv_std, several)
        scale = inv_std if self.gamma is None else self.gamma * inv_std
        normalized = (input - spread(mean, input.ndim, self.axes)) * spread(scale, input.ndim, self.axes)
        return normalized if self.beta is None else normalized + spread(self.beta, input.ndim, self.axes)

    def _has_several_values(self, input: Any) -> Any:
        """Whether each statistic is of more than one value: True, or a condition if it is known only at call time."""
        sizes = [input.static_shape[axis] for axis in self.axes]
        if any(size is not None and size > 1 for size in sizes):
            return True
        count = input.shape[self.axes[0]]
        for axis in self.axes[1:]:
            count = count * input.shape[axis]
        return T.gt(count, 1)

    def _update(self, used: Any, average: Any, of_batch: Any, several: Any) -> Any:
        """Attach the update of `average` to `used`, which all outputs and gradients depend on."""
        if not isinstance(average, symc.SharedVariable):
            return used
        # Update a clone: functions that only read the average must not update it.
        running = average.clone()
        new = (1 - self.alpha) * running + self.alpha * of_batch
        if several is not True:
            new = T.switch(several, new, running)
        return T.carry_updates(used, {running: T.cast(new, running.dtype)})


def _first(*choices: bool | None) -> bool:
    return next(choice for choice in choices if choice is not None)


def _take_nonlinearity(layer: Any) -> Any:
    nonlinearity = getattr(layer, "nonlinearity", None)
    if nonlinearity is not None:
        layer.nonlinearity = nonlinearities.identity
    return nonlinearity


def _drop_bias(layer: Any) -> None:
    if getattr(layer, "b", None) is not None:
        del layer.params[layer.b]
        layer.b = None


def batch_norm(layer: Layer, **kwargs: Any) -> Layer:
    """Insert batch normalisation between a layer and its nonlinearity.

    The nonlinearity is moved to a new layer, and the biases are removed, because the normalisation cancels them.

    Parameters
    ----------
    layer : Layer
        The layer to normalise. It is modified in place.
    **kwargs
        Passed to :class:`BatchNormLayer`. By default, ``name`` is the name of the layer with the suffix ``_bn``.

    Returns
    -------
    BatchNormLayer or NonlinearityLayer
        The topmost new layer.

    Examples
    --------
    >>> from lasagne_like.layers import DenseLayer, InputLayer, batch_norm
    >>> from lasagne_like.nonlinearities import tanh
    >>> l1 = batch_norm(DenseLayer(InputLayer((None, 20)), num_units=5, nonlinearity=tanh))
    """
    nonlinearity = _take_nonlinearity(layer)
    _drop_bias(layer)
    own = getattr(layer, "name", None)
    name = kwargs.pop("name", None) or (own and own + "_bn")
    layer = BatchNormLayer(layer, name=name, **kwargs)
    return _nonlinearity_on_top(layer, nonlinearity, name)


def _nonlinearity_on_top(layer: Layer, nonlinearity: Any, name: str | None) -> Layer:
    if nonlinearity is None:
        return layer
    return NonlinearityLayer(layer, nonlinearity, name=name and name + "_nonlin")


class StandardizationLayer(Layer):
    r"""A layer that normalises its input to zero mean and unit variance over some axes, without parameters.

    .. math:: y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    axes : 'auto', 'spatial', 'features', int or tuple of int
        The axes to normalise over. ``'spatial'``: all axes from the third on, separately for each channel of each
        example. ``'features'``: all axes but the first, separately for each example. ``'auto'``: ``'features'`` for
        matrices, ``'spatial'`` otherwise.
    epsilon : float
        Added to the variance for numerical stability.
    **kwargs
        See :class:`Layer`.

    References
    ----------
    .. [1] Dmitry Ulyanov, Andrea Vedaldi and Victor Lempitsky (2016): Instance normalization: The missing ingredient
           for fast stylization. arXiv:1607.08022.
    .. [2] Jimmy Ba, Jamie Kiros and Geoffrey Hinton (2016): Layer normalization. arXiv:1607.06450.
    """

    def __init__(self, incoming: Any, axes: Any = "auto", epsilon: float = 1e-4, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        ndim = len(self.input_shape)
        if axes == "auto":
            axes = "features" if ndim == 2 else "spatial"
        if axes == "spatial":
            axes = tuple(range(2, ndim))
        elif axes == "features":
            axes = tuple(range(1, ndim))
        self.axes = chosen_axes(axes, ndim, ())
        if not self.axes and not symc.compat.installed():  # Lasagne gives zeros
            raise ValueError(
                f"StandardizationLayer has no axes to normalise over for input shape {self.input_shape!r}; "
                "use axes='features' or specify the axes"
            )
        self.epsilon = epsilon

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        mean = input.mean(self.axes, keepdims=True)
        return (input - mean) / T.sqrt(input.var(self.axes, keepdims=True) + self.epsilon)


def _standardized(layer: Layer, suffix: str, axes: Any, extra: Iterable, kwargs: dict) -> Layer:
    """Stack a StandardizationLayer, further layers and the nonlinearity of `layer` on top of it."""
    nonlinearity = _take_nonlinearity(layer)
    _drop_bias(layer)
    name = kwargs.pop("name", None) or (layer.name and layer.name + suffix)
    layer = StandardizationLayer(layer, axes=axes, name=name, **kwargs)
    for layer_class, ending in extra:
        layer = layer_class(layer, name=name and name + ending)
    return _nonlinearity_on_top(layer, nonlinearity, name)


def instance_norm(layer: Layer, learn_scale: bool = True, learn_bias: bool = True, **kwargs: Any) -> Layer:
    """Insert instance normalisation between a layer and its nonlinearity: over each channel of each example.

    The nonlinearity is moved to a new layer, and the biases are removed, because the normalisation cancels them.

    Parameters
    ----------
    layer : Layer
        The layer to normalise. It is modified in place.
    learn_scale, learn_bias : bool
        Whether to add a :class:`ScaleLayer` and a :class:`BiasLayer`, with one parameter per channel.
    **kwargs
        Passed to :class:`StandardizationLayer`. By default, ``name`` is the name of the layer with the suffix
        ``_in``.

    Returns
    -------
    Layer
        The topmost new layer.
    """
    extra = [(ScaleLayer, "_scale")] * learn_scale + [(BiasLayer, "_bias")] * learn_bias
    axes = kwargs.pop("axes", "spatial")
    return _standardized(layer, "_in", axes, extra, kwargs)


def layer_norm(layer: Layer, **kwargs: Any) -> Layer:
    """Insert layer normalisation between a layer and its nonlinearity: over all features of each example.

    The nonlinearity is moved to a new layer, and the biases are removed. A :class:`ScaleLayer` and a
    :class:`BiasLayer` with one parameter per channel are added.

    Parameters
    ----------
    layer : Layer
        The layer to normalise. It is modified in place.
    **kwargs
        Passed to :class:`StandardizationLayer`. By default, ``name`` is the name of the layer with the suffix
        ``_ln``.

    Returns
    -------
    Layer
        The topmost new layer.
    """
    axes = kwargs.pop("axes", "features")
    return _standardized(layer, "_ln", axes, [(ScaleLayer, "_scale"), (BiasLayer, "_bias")], kwargs)


explain_faults(globals())
