"""Averages of weights over the steps of an optimiser. They are functions of :mod:`lasagne_like.updates`."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import symc
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .descent import Updates, copy_of, step_count

__all__ = ["average_weights", "lookahead"]


def _chosen(function: str, updates: Mapping, params: Iterable | None) -> list:
    chosen = list(params) if params is not None else [each for each in updates if not hasattr(each.tag, "optimiser")]
    for param in chosen:
        if not isinstance(param, symc.SharedVariable):
            raise TypeError(f"{function}: params must be shared variables, got {param!r}")
    return chosen


def average_weights(
    updates: Mapping, params: Iterable | None = None, decay: Any = 0.999, debias: bool = True
) -> tuple[Updates, OrderedDict]:
    r"""Add a running average of the weights to updates.

    .. math:: a := d_t a + (1 - d_t) \theta, \quad d_t = \min\left(d, \frac{1 + t}{10 + t}\right)

    with the new :math:`\theta`. The average often generalises better than the last weights.

    Parameters
    ----------
    updates : mapping of shared variable to expression
        The updates of an optimiser.
    params : iterable of shared variables, optional
        The parameters to average; by default all keys of `updates` but the state of the optimiser. Parameters without
        an update, such as running averages of batch normalisation, may be among them.
    decay : float or scalar expression
        The factor :math:`d`: averages are over about ``1 / (1 - decay)`` steps.
    debias : bool
        Whether the first steps use a smaller factor, as in the formula; else :math:`d_t = d`.

    Returns
    -------
    OrderedDict
        A copy of `updates` with those of the averages.
    OrderedDict
        The shared variable of the average of each parameter, for use with ``givens`` of :func:`symc.function` or
        :func:`symc.clone`::

            updates, averages = average_weights(adam(loss, params))
            train = symc.function([x, y], loss, updates=updates)
            test = symc.function([x], prediction, givens=averages)

    References
    ----------
    .. [1] Boris Polyak and Anatoli Juditsky (1992): Acceleration of stochastic approximation by averaging. SIAM Journal
           on Control and Optimization 30(4).
    """
    result: Updates = OrderedDict(updates)
    averages = OrderedDict((param, copy_of(param, "average")) for param in _chosen("average_weights", updates, params))
    if debias:
        elapsed = step_count("average.t")
        result[elapsed] = elapsed + 1
        decay = T.minimum(decay, (1 + elapsed) / (10 + elapsed))
    for param, average in averages.items():
        result[average] = average + (1 - decay) * (result.get(param, param) - average)
    return result, averages


def lookahead(updates: Mapping, params: Iterable | None = None, steps: int = 5, alpha: Any = 0.5) -> Updates:
    r"""Let slow weights follow the steps of an optimiser, which starts anew from them after every few steps.

    After every `k` steps, :math:`\phi := \phi + \alpha (\theta - \phi)` and :math:`\theta := \phi`.

    Parameters
    ----------
    updates : mapping of shared variable to expression
        The updates of an optimiser.
    params : iterable of shared variables, optional
        The parameters; by default all keys of `updates` but the state of the optimiser.
    steps : int
        The number of steps :math:`k`.
    alpha : float or scalar expression
        How far the slow weights :math:`\phi` follow.

    Returns
    -------
    OrderedDict
        A copy of `updates` with those of the slow weights.

    Raises
    ------
    ValueError
        If `steps` is smaller than 1.

    References
    ----------
    .. [1] Michael Zhang, James Lucas, Geoffrey Hinton and Jimmy Ba (2019): Lookahead optimizer: k steps forward, 1 step
           back. Advances in Neural Information Processing Systems. arXiv:1907.08610.
    """
    if steps < 1:
        raise ValueError(f"lookahead: steps must be at least 1, got {steps!r}")
    result: Updates = OrderedDict(updates)
    elapsed = step_count("lookahead.t")
    result[elapsed] = T.switch(T.ge(elapsed + 1, steps), 0, elapsed + 1)
    last = T.ge(elapsed + 1, steps)
    for param in _chosen("lookahead", updates, params):
        slow = copy_of(param, "lookahead.slow")
        result[slow] = T.switch(last, slow + alpha * (result[param] - slow), slow)
        result[param] = T.switch(last, result[slow], result[param])
    return result


explain_faults(globals())
