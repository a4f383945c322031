"""Regularisation penalties on parameters, to be added to the loss.

>>> import lasagne_like
>>> from lasagne_like.layers import DenseLayer, InputLayer
>>> network = DenseLayer(InputLayer((None, 20)), num_units=3)
>>> penalty = 1e-4 * regularize_network_params(network, l2)
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import symc
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .layers import Layer, get_all_params
from .layers.traversal import Network, as_list
from .naming import check_takes, missing_name

__all__ = [
    "apply_penalty",
    "l1",
    "l2",
    "regularize_layer_params",
    "regularize_layer_params_weighted",
    "regularize_network_params",
]


def l1(x: Any) -> Any:
    """Return the sum of absolute values.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        A scalar.
    """
    return T.sum(abs(x))


def l2(x: Any) -> Any:
    """Return the sum of squares, without a factor of one half and without a square root.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        A scalar.
    """
    return T.sum(x**2)


def apply_penalty(tensor_or_tensors: Any, penalty: Callable, **kwargs: Any) -> Any:
    """Apply a penalty to an expression, or sum it over several expressions.

    Parameters
    ----------
    tensor_or_tensors : expression or iterable of expressions
    penalty : callable
        Maps an expression to a scalar.
    **kwargs
        Passed to `penalty`.

    Returns
    -------
    expression
        A scalar; the number 0 if there are no expressions.
    """
    check_takes("penalty, such as lasagne_like.regularization.l2", penalty, "x", **kwargs)
    if isinstance(tensor_or_tensors, symc.Variable):
        return penalty(tensor_or_tensors, **kwargs)
    return sum(penalty(x, **kwargs) for x in tensor_or_tensors)


def regularize_layer_params(
    layer: Network,
    penalty: Callable,
    tags: Mapping[str, bool] | None = None,
    **kwargs: Any,
) -> Any:
    """Apply a penalty to the parameters of one or several layers, excluding the layers below them.

    Parameters
    ----------
    layer : Layer, iterable of Layer, or dict of str to Layer
    penalty : callable
        Maps an expression to a scalar.
    tags : mapping, optional
        Tags that select the parameters, see :meth:`Layer.get_params`; ``{'regularizable': True}`` by default.
    **kwargs
        Passed to `penalty`.

    Returns
    -------
    expression
        A scalar.
    """
    tags = {"regularizable": True} if tags is None else tags
    layers = layer.values() if isinstance(layer, Mapping) else as_list(layer)
    return apply_penalty([param for each in layers for param in each.get_params(**tags)], penalty, **kwargs)


def regularize_layer_params_weighted(
    layers: Mapping[Layer, Any], penalty: Callable, tags: Mapping[str, bool] | None = None, **kwargs: Any
) -> Any:
    """Apply a penalty with one coefficient per layer.

    Parameters
    ----------
    layers : mapping of Layer to number or scalar expression
        The coefficients.
    penalty : callable
        Maps an expression to a scalar.
    tags : mapping, optional
        See :func:`regularize_layer_params`.
    **kwargs
        Passed to `penalty`.

    Returns
    -------
    expression
        A scalar.
    """
    return sum(
        coefficient * regularize_layer_params(layer, penalty, tags, **kwargs) for layer, coefficient in layers.items()
    )


def regularize_network_params(
    layer: Network,
    penalty: Callable,
    tags: Mapping[str, bool] | None = None,
    **kwargs: Any,
) -> Any:
    """Apply a penalty to the parameters of a network: of the given layers and all layers below them.

    Parameters
    ----------
    layer : Layer, iterable of Layer, or dict of str to Layer
        The output layer or layers of the network.
    penalty : callable
        Maps an expression to a scalar.
    tags : mapping, optional
        Tags that select the parameters; ``{'regularizable': True}`` by default.
    **kwargs
        Passed to `penalty`.

    Returns
    -------
    expression
        A scalar.
    """
    tags = {"regularizable": True} if tags is None else tags
    return apply_penalty(get_all_params(layer, **tags), penalty, **kwargs)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)


explain_faults(globals())
