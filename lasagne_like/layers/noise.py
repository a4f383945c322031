"""Noise layers, for regularisation during training."""

from collections.abc import Iterable
from numbers import Real
from typing import Any

from symc.graph.argument_faults import explain_faults
from symc.tensor.shared_randomstreams import RandomStreams

from ..random import get_rng
from .axes import chosen_axes
from .base import Layer
from .construction import check_number

__all__ = [
    "DropoutLayer",
    "GaussianNoiseLayer",
    "dropout",
    "dropout_channels",
    "dropout_locations",
    "spatial_dropout",
]


def new_streams() -> RandomStreams:
    """Create symbolic random streams, seeded by the random number generator of the library."""
    return RandomStreams(int(get_rng().randint(1, 2147462579)))


class DropoutLayer(Layer):
    r"""A dropout layer, which sets values to zero at random.

    .. math:: y = \frac{m x}{1 - p}

    with a random binary mask :math:`m`.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    p : float or scalar expression
        The probability of setting a value to zero.
    rescale : bool
        Whether to divide by ``1 - p`` during training, which preserves the mean.
    shared_axes : tuple of int
        Axes over which the mask is shared: ``(2, 3)`` drops whole channels of images.
    **kwargs
        See :class:`Layer`.

    Notes
    -----
    With ``get_output(..., deterministic=True)`` the output is the input.

    References
    ----------
    .. [1] Geoffrey Hinton, Nitish Srivastava, Alex Krizhevsky, Ilya Sutskever and Ruslan Salakhutdinov (2012):
           Improving neural networks by preventing co-adaptation of feature detectors. arXiv:1207.0580.
    .. [2] Nitish Srivastava, Geoffrey Hinton, Alex Krizhevsky, Ilya Sutskever and Ruslan Salakhutdinov (2014):
           Dropout: A simple way to prevent neural networks from overfitting. Journal of Machine Learning Research 15.
    """

    def __init__(
        self, incoming: Any, p: Any = 0.5, rescale: bool = True, shared_axes: Iterable[int] = (), **kwargs: Any
    ):
        super().__init__(incoming, **kwargs)
        check_number(type(self), "p", p)
        if isinstance(p, Real) and not 0 <= float(p) <= 1:
            raise ValueError(f"{type(self).__name__}: p must be a probability from 0 to 1, got {p!r}")
        self._srng = new_streams()
        self.p = p
        self.rescale = rescale
        self.shared_axes = tuple(shared_axes)

    def get_output_for(self, input: Any, deterministic: bool = False, **kwargs: Any) -> Any:
        if deterministic or (isinstance(self.p, Real) and self.p == 0):
            return input
        retain = 1 - self.p
        shared = chosen_axes(self.shared_axes, input.ndim, ())
        mask_shape = tuple(1 if axis in shared else input.shape[axis] for axis in range(input.ndim))
        mask = self._srng.binomial(mask_shape, p=retain, dtype=input.dtype)
        # With p = 1 all values are dropped, and there is no mean to preserve.
        if self.rescale and not (isinstance(retain, Real) and retain == 0):
            input = input / retain
        return input * mask


dropout = DropoutLayer


def dropout_channels(incoming: Any, p: Any = 0.5, rescale: bool = True, **kwargs: Any) -> DropoutLayer:
    """Drop whole channels: a :class:`DropoutLayer` whose mask is shared over all axes after the second.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, ...)``.
    p, rescale, **kwargs
        See :class:`DropoutLayer`.

    Returns
    -------
    DropoutLayer
    """
    ndim = len(getattr(incoming, "output_shape", incoming))
    return DropoutLayer(incoming, p, rescale, tuple(range(2, ndim)), **kwargs)


spatial_dropout = dropout_channels


def dropout_locations(incoming: Any, p: Any = 0.5, rescale: bool = True, **kwargs: Any) -> DropoutLayer:
    """Drop all channels of a position: a :class:`DropoutLayer` whose mask is shared over the second axis.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, channels, ...)``.
    p, rescale, **kwargs
        See :class:`DropoutLayer`.

    Returns
    -------
    DropoutLayer
    """
    return DropoutLayer(incoming, p, rescale, (1,), **kwargs)


class GaussianNoiseLayer(Layer):
    r"""A layer that adds Gaussian noise, :math:`y = x + \mathcal{N}(0, \sigma^2)`.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape.
    sigma : float or scalar expression
        The standard deviation of the noise.
    **kwargs
        See :class:`Layer`.

    Notes
    -----
    With ``get_output(..., deterministic=True)`` the output is the input.

    References
    ----------
    .. [1] K.-C. Jim, C. Giles and B. Horne (1996): An analysis of noise in recurrent neural networks: convergence and
           generalization. IEEE Transactions on Neural Networks 7.
    """

    def __init__(self, incoming: Any, sigma: Any = 0.1, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        check_number(type(self), "sigma", sigma)
        self._srng = new_streams()
        self.sigma = sigma

    def get_output_for(self, input: Any, deterministic: bool = False, **kwargs: Any) -> Any:
        if deterministic or (isinstance(self.sigma, Real) and self.sigma == 0):
            return input
        shape = tuple(input.shape[axis] for axis in range(input.ndim))
        # Scaling noise of unit variance allows a symbolic sigma.
        return input + self.sigma * self._srng.normal(shape, avg=0.0, std=1.0, dtype=input.dtype)


explain_faults(globals())
