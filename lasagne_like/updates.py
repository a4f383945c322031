r"""Optimisers: functions from a loss to a dictionary of updates.

An optimiser takes a scalar loss, or a list of gradients, and a list of shared variables. It returns an ``OrderedDict``
that maps shared variables (the parameters, and the state of the optimiser) to their next values, for use as
``symc.function(..., updates=...)``:

* :func:`sgd`, :func:`momentum`, :func:`nesterov_momentum`, :func:`adagrad`, :func:`rmsprop`, :func:`adadelta`,
  :func:`adam`, :func:`adamax`, :func:`amsgrad`, :func:`adamw`, :func:`radam`, :func:`lion`;
* :func:`apply_momentum` and :func:`apply_nesterov_momentum` add momentum to the updates of any optimiser;
* :func:`lookahead` follows the updates of any optimiser slowly, :func:`average_weights` averages over them;
* :func:`norm_constraint` and :func:`total_norm_constraint` bound the norm of one or several tensors.

All hyperparameters may be symbolic. A shared learning rate can be changed during training without recompiling::

    rate = symc.shared(floatX(0.001))
    updates = adam(loss, params, learning_rate=rate)
    train = symc.function([x, y], loss, updates=updates)
    rate.set_value(floatX(0.0001))

``learning_rate`` may also be a dictionary of rates, whose keys are parameters, layers or patterns of the names of
parameters, of which the first that matches counts, or a function from a parameter to its rate::

    updates = adam(loss, params, learning_rate={first_layer: 1e-5, "*.b": 2e-3, "*": 1e-3})

In the formulas, :math:`g` is the gradient, :math:`\theta` the parameter and :math:`\eta` the learning rate.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .averages import average_weights, lookahead
from .constraints import norm_constraint, total_norm_constraint
from .decoupled import adamw, lion, radam
from .descent import Updates, adam_like, descend, get_or_compute_grads, listed, rate_of, zeros_like
from .naming import missing_name, names_arguments

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "apply_momentum",
    "apply_nesterov_momentum",
    "average_weights",
    "get_or_compute_grads",
    "lion",
    "lookahead",
    "momentum",
    "nesterov_momentum",
    "norm_constraint",
    "radam",
    "rmsprop",
    "sgd",
    "total_norm_constraint",
]


@names_arguments
def sgd(loss_or_grads: Any, params: Sequence, learning_rate: Any) -> Updates:
    r"""Stochastic gradient descent, :math:`\theta := \theta - \eta g`.

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
    params : sequence of shared variables
    learning_rate : float, scalar expression, mapping or callable

    Returns
    -------
    OrderedDict
        Maps shared variables to expressions of their next values.
    """
    params = listed(params)
    rate = rate_of(learning_rate, params)
    return descend(loss_or_grads, params, lambda param, grad, updates: rate(param) * grad)


def apply_momentum(updates: Mapping, params: Iterable | None = None, momentum: Any = 0.9) -> Updates:
    r"""Add momentum to updates.

    .. math:: v := \mu v + (u - \theta), \quad \theta := \theta + v

    where :math:`u` is the next value in `updates`.

    Parameters
    ----------
    updates : mapping of shared variable to expression
    params : iterable of shared variables, optional
        The parameters to which momentum is added; by default all keys of `updates`.
    momentum : float or scalar expression
        The decay factor :math:`\mu` of the velocity. A higher momentum results in larger effective steps; multiply the
        learning rate by ``1 - momentum`` to compensate.

    Returns
    -------
    OrderedDict
        A copy of `updates` with momentum applied, including the updates of the velocities.
    """
    result: Updates = OrderedDict(updates)
    for param in list(updates) if params is None else params:
        velocity = zeros_like(param, "momentum.v")
        moved = momentum * velocity + result[param]
        result[velocity] = moved - param
        result[param] = moved
    return result


@names_arguments
def momentum(loss_or_grads: Any, params: Sequence, learning_rate: Any, momentum: Any = 0.9) -> Updates:
    r"""Gradient descent with momentum.

    .. math:: v := \mu v - \eta g, \quad \theta := \theta + v

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
    params : sequence of shared variables
    learning_rate : float, scalar expression, mapping or callable
    momentum : float or scalar expression
        See :func:`apply_momentum`.

    Returns
    -------
    OrderedDict
        Maps shared variables to expressions of their next values.
    """
    return apply_momentum(sgd(loss_or_grads, params, learning_rate), momentum=momentum)


def apply_nesterov_momentum(updates: Mapping, params: Iterable | None = None, momentum: Any = 0.9) -> Updates:
    r"""Add Nesterov momentum to updates.

    .. math:: v := \mu v + (u - \theta), \quad \theta := \theta + \mu v + (u - \theta)

    where :math:`u` is the next value in `updates` and the second formula uses the new :math:`v`.

    Parameters
    ----------
    updates : mapping of shared variable to expression
    params : iterable of shared variables, optional
        The parameters to which momentum is added; by default all keys of `updates`.
    momentum : float or scalar expression
        The decay factor :math:`\mu` of the velocity.

    Returns
    -------
    OrderedDict
        A copy of `updates` with momentum applied, including the updates of the velocities.

    Notes
    -----
    Nesterov momentum evaluates the gradient at the position to which the velocity leads. Here the stored parameters
    are those look-ahead positions, so that the gradient is evaluated at the current parameters [1]_.

    References
    ----------
    .. [1] Yoshua Bengio, Nicolas Boulanger-Lewandowski and Razvan Pascanu (2012): Advances in optimizing recurrent
           networks. arXiv:1212.0901.
    """
    result: Updates = OrderedDict(updates)
    for param in list(updates) if params is None else params:
        velocity = zeros_like(param, "nesterov_momentum.v")
        new_velocity = momentum * velocity + result[param] - param
        result[velocity] = new_velocity
        result[param] = momentum * new_velocity + result[param]
    return result


@names_arguments
def nesterov_momentum(loss_or_grads: Any, params: Sequence, learning_rate: Any, momentum: Any = 0.9) -> Updates:
    r"""Gradient descent with Nesterov momentum.

    .. math:: v := \mu v - \eta g, \quad \theta := \theta + \mu v - \eta g

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
    params : sequence of shared variables
    learning_rate : float, scalar expression, mapping or callable
    momentum : float or scalar expression
        See :func:`apply_nesterov_momentum`.

    Returns
    -------
    OrderedDict
        Maps shared variables to expressions of their next values.
    """
    return apply_nesterov_momentum(sgd(loss_or_grads, params, learning_rate), momentum=momentum)


@names_arguments
def adagrad(loss_or_grads: Any, params: Sequence, learning_rate: Any = 1.0, epsilon: Any = 1e-6) -> Updates:
    r"""Adagrad: scale steps by the root of the accumulated squared gradients.

    .. math:: a := a + g^2, \quad \theta := \theta - \frac{\eta}{\sqrt{a + \epsilon}} g

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
    params : sequence of shared variables
    learning_rate : float, scalar expression, mapping or callable
    epsilon : float or scalar expression

    Returns
    -------
    OrderedDict
        Maps shared variables to expressions of their next values.

    References
    ----------
    .. [1] John Duchi, Elad Hazan and Yoram Singer (2011): Adaptive subgradient methods for online learning and
           stochastic optimization. Journal of Machine Learning Research 12.
    """

    params = listed(params)
    rate = rate_of(learning_rate, params)

    def step(param: Any, grad: Any, updates: Updates) -> Any:
        total = zeros_like(param, "adagrad.a")
        updates[total] = total + grad**2
        return rate(param) * grad / T.sqrt(updates[total] + epsilon)

    return descend(loss_or_grads, params, step)


@names_arguments
def rmsprop(
    loss_or_grads: Any, params: Sequence, learning_rate: Any = 1.0, rho: Any = 0.9, epsilon: Any = 1e-6
) -> Updates:
    r"""RMSprop: scale steps by a running root mean square of the gradients.

    .. math:: r := \rho r + (1 - \rho) g^2, \quad \theta := \theta - \frac{\eta}{\sqrt{r + \epsilon}} g

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
    params : sequence of shared variables
    learning_rate : float, scalar expression, mapping or callable
    rho, epsilon : float or scalar expression
        A `rho` close to 1 averages over more steps.

    Returns
    -------
    OrderedDict
        Maps shared variables to expressions of their next values.

    References
    ----------
    .. [1] Tijmen Tieleman and Geoffrey Hinton (2012): Neural networks for machine learning, lecture 6.5. Coursera.
    """

    params = listed(params)
    rate = rate_of(learning_rate, params)

    def step(param: Any, grad: Any, updates: Updates) -> Any:
        average = zeros_like(param, "rmsprop.r")
        updates[average] = rho * average + (1 - rho) * grad**2
        return rate(param) * grad / T.sqrt(updates[average] + epsilon)

    return descend(loss_or_grads, params, step)


@names_arguments
def adadelta(
    loss_or_grads: Any, params: Sequence, learning_rate: Any = 1.0, rho: Any = 0.95, epsilon: Any = 1e-6
) -> Updates:
    r"""Adadelta: scale steps by the ratio of running root mean squares of past steps and gradients.

    .. math:: r := \rho r + (1 - \rho) g^2, \quad
              \Delta = \frac{\sqrt{s + \epsilon}}{\sqrt{r + \epsilon}} g, \quad
              s := \rho s + (1 - \rho) \Delta^2, \quad \theta := \theta - \eta \Delta

    Parameters
    ----------
    loss_or_grads : scalar expression, or list of expressions
    params : sequence of shared variables
    learning_rate : float, scalar expression, mapping or callable
    rho, epsilon : float or scalar expression

    Returns
    -------
    OrderedDict
        Maps shared variables to expressions of their next values.

    References
    ----------
    .. [1] Matthew D. Zeiler (2012): ADADELTA: An adaptive learning rate method. arXiv:1212.5701.
    """

    params = listed(params)
    rate = rate_of(learning_rate, params)

    def step(param: Any, grad: Any, updates: Updates) -> Any:
        gradients, steps = zeros_like(param, "adadelta.r"), zeros_like(param, "adadelta.s")
        updates[gradients] = rho * gradients + (1 - rho) * grad**2
        delta = grad * T.sqrt(steps + epsilon) / T.sqrt(updates[gradients] + epsilon)
        updates[steps] = rho * steps + (1 - rho) * delta**2
        return rate(param) * delta

    return descend(loss_or_grads, params, step)


@names_arguments
def adam(
    loss_or_grads: Any,
    params: Sequence,
    learning_rate: Any = 0.001,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
) -> Updates:
    r"""Adam: bias-corrected running means of the gradients and of their squares.

    .. math:: m := \beta_1 m + (1 - \beta_1) g, \quad v := \beta_2 v + (1 - \beta_2) g^2, \quad
              \theta := \theta - \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \frac{m}{\sqrt{v} + \epsilon}

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
    .. [1] Diederik Kingma and Jimmy Ba (2014): Adam: A method for stochastic optimization. arXiv:1412.6980.
    """

    def scale(param: Any, grad: Any, updates: Updates) -> Any:
        square = zeros_like(param, "adam.v")
        updates[square] = beta2 * square + (1 - beta2) * grad**2
        return T.sqrt(updates[square]) + epsilon

    def rate_at(rate: Any, t: Any) -> Any:
        return rate * T.sqrt(1 - beta2**t) / (1 - beta1**t)

    return adam_like("adam", loss_or_grads, params, learning_rate, beta1, rate_at, scale)


@names_arguments
def adamax(
    loss_or_grads: Any,
    params: Sequence,
    learning_rate: Any = 0.002,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
) -> Updates:
    r"""AdaMax: the variant of Adam based on the infinity norm of the gradients.

    .. math:: m := \beta_1 m + (1 - \beta_1) g, \quad u := \max(\beta_2 u, |g|), \quad
              \theta := \theta - \frac{\eta}{1 - \beta_1^t} \frac{m}{u + \epsilon}

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
    .. [1] Diederik Kingma and Jimmy Ba (2014): Adam: A method for stochastic optimization. arXiv:1412.6980.
    """

    def scale(param: Any, grad: Any, updates: Updates) -> Any:
        largest = zeros_like(param, "adamax.u")
        updates[largest] = T.maximum(beta2 * largest, abs(grad))
        return updates[largest] + epsilon

    return adam_like(
        "adamax", loss_or_grads, params, learning_rate, beta1, lambda rate, t: rate / (1 - beta1**t), scale
    )


@names_arguments
def amsgrad(
    loss_or_grads: Any,
    params: Sequence,
    learning_rate: Any = 0.001,
    beta1: Any = 0.9,
    beta2: Any = 0.999,
    epsilon: Any = 1e-8,
) -> Updates:
    r"""AMSGrad: the variant of Adam that divides by the maximum of the running mean squares.

    .. math:: v := \beta_2 v + (1 - \beta_2) g^2, \quad \hat{v} := \max(\hat{v}, v)

    with :math:`\hat{v}` in place of :math:`v` in the step of :func:`adam`.

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
    .. [1] Sashank J. Reddi, Satyen Kale and Sanjiv Kumar (2018): On the convergence of Adam and beyond.
           International Conference on Learning Representations.
    """

    def scale(param: Any, grad: Any, updates: Updates) -> Any:
        square, largest = zeros_like(param, "amsgrad.v"), zeros_like(param, "amsgrad.v_max")
        updates[square] = beta2 * square + (1 - beta2) * grad**2
        updates[largest] = T.maximum(largest, updates[square])
        return T.sqrt(updates[largest]) + epsilon

    def rate_at(rate: Any, t: Any) -> Any:
        return rate * T.sqrt(1 - beta2**t) / (1 - beta1**t)

    return adam_like("amsgrad", loss_or_grads, params, learning_rate, beta1, rate_at, scale)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)


explain_faults(globals())
