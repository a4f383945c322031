"""What optimisers share: gradients of parameters, state of an optimiser, and steps against the gradient."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import symc

from .parameter_rates import rate_of
from .utils import floatX

__all__ = [
    "Updates", "adam_like", "copy_of", "descend", "get_or_compute_grads", "listed", "rate_of", "step_count",
    "zeros_like",
]  # fmt: skip

Updates = OrderedDict
"""Maps shared variables to expressions of their next values."""


def listed(params: Any) -> list:
    """Return the parameters as a list; raise a TypeError if they are a single variable, or no collection."""
    if isinstance(params, symc.Variable):
        text = f"params must be a list of shared variables, got {params!r}; for this one alone write [{params!r}]"
        raise TypeError(text)
    if not isinstance(params, Iterable):
        raise TypeError(
            f"params must be a list of shared variables, got {params!r} of type {type(params).__name__}; those of a "
            "network are lasagne_like.layers.get_all_params(network, trainable=True)"
        )
    return list(params)


def get_or_compute_grads(loss_or_grads: Any, params: Sequence) -> list:
    """Return the gradients of a loss, or the given gradients.

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
        A loss, or one gradient per parameter.
    params : sequence of shared variables

    Returns
    -------
    list of expressions

    Raises
    ------
    TypeError
        If `params` is a single variable.
    ValueError
        If a parameter is not a shared variable and therefore cannot be updated, or if the number of gradients differs
        from the number of parameters.
    """
    params = listed(params)
    for position, param in enumerate(params):
        if not isinstance(param, symc.SharedVariable):
            raise ValueError(
                f"params must contain shared variables only, but params[{position}] is {param!r}. If it contains "
                "parameter expressions, use lasagne_like.utils.collect_shared_vars()."
            )
    if isinstance(loss_or_grads, (list, tuple)):
        if len(loss_or_grads) != len(params):
            raise ValueError(f"Got {len(loss_or_grads)} gradient expressions for {len(params)} parameters")
        return loss_or_grads if isinstance(loss_or_grads, list) else list(loss_or_grads)
    return list(symc.grad(loss_or_grads, params))


def zeros_like(param: Any, role: str) -> Any:
    """Create state of an optimiser for a parameter, named and tagged so that it can be saved: ``adam.m/conv1.W``."""
    return _state(param, role, np.zeros_like(param.get_value(borrow=True)))


def copy_of(param: Any, role: str) -> Any:
    """Create state of an optimiser that begins with the value of a parameter; see :func:`zeros_like`."""
    return _state(param, role, param.get_value())


def _state(param: Any, role: str, value: np.ndarray) -> Any:
    state = symc.shared(value, f"{role}/{param.name}", shape=param.static_shape)
    state.tag.optimiser = role, param
    return state


def step_count(role: str) -> Any:
    """Create a count of steps, a float."""
    count = symc.shared(floatX(0.0), role)
    count.tag.optimiser = role, None
    return count


def descend(loss_or_grads: Any, params: Sequence, step: Callable[[Any, Any, Updates], Any]) -> Updates:
    """Build the updates ``param - step(param, grad, updates)``; `step` adds the updates of its state."""
    params = listed(params)
    updates: Updates = OrderedDict()
    for param, grad in zip(params, get_or_compute_grads(loss_or_grads, params)):
        updates[param] = param - step(param, grad, updates)
    return updates


def adam_like(
    name: str,
    loss_or_grads: Any,
    params: Sequence,
    learning_rate: Any,
    beta1: Any,
    rate_at: Callable[[Any, Any], Any],
    scale: Callable,
) -> Updates:
    """Step by a running mean of the gradients, divided by ``scale(param, grad, updates)``.

    ``rate_at(rate, t)`` is the learning rate of step ``t``, which begins with 1.
    """
    params = listed(params)
    elapsed = step_count(f"{name}.t")
    now = elapsed + 1
    rate_for = rate_of(learning_rate, params)
    at_step: dict[int, Any] = {}

    def rate(param: Any) -> Any:
        given = rate_for(param)
        if id(given) not in at_step:
            at_step[id(given)] = rate_at(given, now)
        return at_step[id(given)]

    def step(param: Any, grad: Any, updates: Updates) -> Any:
        mean = zeros_like(param, f"{name}.m")
        updates[mean] = beta1 * mean + (1 - beta1) * grad
        return rate(param) * updates[mean] / scale(param, grad, updates)

    updates = descend(loss_or_grads, params, step)
    updates[elapsed] = now
    return updates
