"""Optimisers of the time after Lasagne: AdamW, RAdam and Lion. They are functions of :mod:`lasagne_like.updates`."""

from collections.abc import Sequence
from typing import Any

import symc.tensor as T

from .descent import Updates, descend, listed, rate_of, step_count, zeros_like
from .naming import names_arguments

__all__ = ["adamw", "lion", "radam"]


def _decayed(updates: Updates, params: Sequence, rate: Any, weight_decay: Any) -> Updates:
    """Subtract ``rate(param) * weight_decay * param`` from the next values of parameters."""
    for param in params:
        updates[param] = updates[param] - rate(param) * weight_decay * param
    return updates


@names_arguments
def adamw(
    loss_or_grads: Any,
    params: Sequence,
    learning_rate: Any = 0.001,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
    weight_decay: Any = 0.01,
) -> Updates:
    r"""AdamW: Adam with a decay of the weights that is not scaled by the gradients.

    .. math:: m := \beta_1 m + (1 - \beta_1) g, \quad v := \beta_2 v + (1 - \beta_2) g^2, \quad
              \theta := \theta - \eta \lambda \theta -
              \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
    params : sequence of shared variables
    learning_rate : float, scalar expression, mapping or callable
    beta1, beta2, epsilon : float or scalar expression
    weight_decay : float or scalar expression
        The factor :math:`\lambda`. To leave biases undecayed, call the function once for the weights and once, with 0,
        for the biases, and join the two dictionaries.

    Returns
    -------
    OrderedDict
        Maps shared variables to expressions of their next values.

    References
    ----------
    .. [1] Ilya Loshchilov and Frank Hutter (2019): Decoupled weight decay regularization. International Conference on
           Learning Representations. arXiv:1711.05101.
    """
    params = listed(params)
    rate = rate_of(learning_rate, params)
    elapsed = step_count("adamw.t")
    now = elapsed + 1

    def step(param: Any, grad: Any, updates: Updates) -> Any:
        mean, square = zeros_like(param, "adamw.m"), zeros_like(param, "adamw.v")
        updates[mean] = beta1 * mean + (1 - beta1) * grad
        updates[square] = beta2 * square + (1 - beta2) * grad**2
        size = T.sqrt(updates[square] / (1 - beta2**now)) + epsilon
        return rate(param) / (1 - beta1**now) * updates[mean] / size

    updates = descend(loss_or_grads, params, step)
    updates[elapsed] = now
    return _decayed(updates, params, rate, weight_decay)


@names_arguments
def radam(
    loss_or_grads: Any,
    params: Sequence,
    learning_rate: Any = 0.001,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
) -> Updates:
    r"""RAdam: Adam whose first steps, in which the mean square is uncertain, are made smaller.

    With :math:`\rho_\infty = 2 / (1 - \beta_2) - 1` and
    :math:`\rho = \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t)`: while :math:`\rho \le 5`, the step is
    :math:`\eta m / (1 - \beta_1^t)`; then it is that of Adam times

    .. math:: \sqrt{\frac{(\rho - 4)(\rho - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho}}

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
    params : sequence of shared variables
    learning_rate : float, scalar expression, mapping or callable
    beta1, beta2, epsilon : float or scalar expression

    Returns
    -------
    OrderedDict
        Maps shared variables to expressions of their next values.

    References
    ----------
    .. [1] Liyuan Liu et al. (2020): On the variance of the adaptive learning rate and beyond. International Conference
           on Learning Representations. arXiv:1908.03265.
    """
    params = listed(params)
    rate = rate_of(learning_rate, params)
    longest = 2 / (1 - beta2) - 1
    elapsed = step_count("radam.t")
    now = elapsed + 1
    length = longest - 2 * now * beta2**now / (1 - beta2**now)
    certain = T.gt(length, 5)
    safe = T.switch(certain, length, 6.0)
    rectified = T.sqrt((safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe))
    correction = T.sqrt(1 - beta2**now)

    def step(param: Any, grad: Any, updates: Updates) -> Any:
        mean, square = zeros_like(param, "radam.m"), zeros_like(param, "radam.v")
        updates[mean] = beta1 * mean + (1 - beta1) * grad
        updates[square] = beta2 * square + (1 - beta2) * grad**2
        adapted = rectified * correction / (T.sqrt(updates[square]) + epsilon)
        return rate(param) / (1 - beta1**now) * updates[mean] * T.switch(certain, adapted, 1)

    updates = descend(loss_or_grads, params, step)
    updates[elapsed] = now
    return updates


@names_arguments
def lion(
    loss_or_grads: Any,
    params: Sequence,
    learning_rate: Any = 0.0001,
    beta1: Any = 0.9,
    beta2: Any = 0.99,
    weight_decay: Any = 0.0,
) -> Updates:
    r"""Lion: steps of equal size in the direction of the sign of a running mean of the gradients.

    .. math:: \theta := \theta - \eta (\operatorname{sgn}(\beta_1 m + (1 - \beta_1) g) + \lambda \theta), \quad
              m := \beta_2 m + (1 - \beta_2) g

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
    params : sequence of shared variables
    learning_rate : float, scalar expression, mapping or callable
    beta1, beta2 : float or scalar expression
        The learning rate should be 3 to 10 times smaller than that of Adam.
    weight_decay : float or scalar expression
        The factor :math:`\lambda`.

    Returns
    -------
    OrderedDict
        Maps shared variables to expressions of their next values.

    References
    ----------
    .. [1] Xiangning Chen et al. (2023): Symbolic discovery of optimization algorithms. Advances in Neural Information
           Processing Systems. arXiv:2302.06675.
    """
    params = listed(params)
    rate = rate_of(learning_rate, params)

    def step(param: Any, grad: Any, updates: Updates) -> Any:
        mean = zeros_like(param, "lion.m")
        updates[mean] = beta2 * mean + (1 - beta2) * grad
        return rate(param) * T.sgn(beta1 * mean + (1 - beta1) * grad)

    return _decayed(descend(loss_or_grads, params, step), params, rate, weight_decay)
