r"""Nonlinearities: elementwise functions that layers apply to their activations.

Each maps an expression to an expression of the same shape. Nonlinearities with parameters are classes whose instances
are callable (:class:`ScaledTanH`, :class:`LeakyRectify`, :class:`SELU`).
"""

from typing import TYPE_CHECKING, Any

import numpy as np

import symc.compat
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .foreign_names import NONLINEARITIES
from .naming import canonical, missing_name, unknown_name

__all__ = [
    "LeakyRectify",
    "SELU",
    "ScaledTanH",
    "ScaledTanh",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "identity",
    "leaky_rectify",
    "linear",
    "mish",
    "rectify",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "very_leaky_rectify",
]


def sigmoid(x: Any) -> Any:
    r"""Logistic function :math:`\varphi(x) = \frac{1}{1 + e^{-x}}`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        Values in ``[0, 1]``.
    """
    return T.nnet.sigmoid(x)


def softmax(x: Any) -> Any:
    r"""Softmax over the last axis, :math:`\varphi(x)_j = \frac{e^{x_j}}{\sum_k e^{x_k}}`.

    Parameters
    ----------
    x : expression
        ``(batch, classes)`` activations.

    Returns
    -------
    expression
        Values in ``[0, 1]``; each row sums to 1.
    """
    return T.nnet.softmax(x)


def tanh(x: Any) -> Any:
    r"""Hyperbolic tangent :math:`\varphi(x) = \tanh(x)`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        Values in ``[-1, 1]``.
    """
    return T.tanh(x)


class ScaledTanH:
    r"""Scaled hyperbolic tangent :math:`\varphi(x) = \beta \tanh(\alpha x)`.

    Parameters
    ----------
    scale_in : float
        The scale :math:`\alpha` of the input.
    scale_out : float
        The scale :math:`\beta` of the output.

    Notes
    -----
    LeCun et al. recommend ``ScaledTanH(scale_in=2. / 3, scale_out=1.7159)`` for inputs of unit variance: it satisfies
    :math:`\varphi(\pm 1) = \pm 1`.

    References
    ----------
    .. [1] Yann LeCun, Leon Bottou, Genevieve B. Orr and Klaus-Robert Mueller (1998): Efficient BackProp.
           Neural Networks: Tricks of the Trade.
    """

    def __init__(self, scale_in: float = 1, scale_out: float = 1):
        self.scale_in = scale_in
        self.scale_out = scale_out

    def __call__(self, x: Any) -> Any:
        return T.tanh(x * self.scale_in) * self.scale_out


ScaledTanh = ScaledTanH


def rectify(x: Any) -> Any:
    r"""Rectifier :math:`\varphi(x) = \max(0, x)`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
    """
    if symc.compat.installed() and isinstance(x, np.ndarray):
        return np.maximum(x, 0)  # as in Lasagne
    return T.nnet.relu(x)


def relu6(x: Any) -> Any:
    r"""Rectifier with an upper bound, :math:`\varphi(x) = \min(\max(0, x), 6)`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        Values in ``[0, 6]``.
    """
    return T.minimum(T.nnet.relu(x), 6)


class LeakyRectify:
    r"""Leaky rectifier, :math:`\varphi(x) = \max(\alpha x, x)`.

    Parameters
    ----------
    leakiness : float
        The slope :math:`\alpha` for negative inputs, from 0 (the standard rectifier) to 1 (the identity).

    References
    ----------
    .. [1] Andrew L. Maas, Awni Y. Hannun and Andrew Y. Ng (2013): Rectifier nonlinearities improve neural network
           acoustic models. International Conference on Machine Learning.
    """

    def __init__(self, leakiness: float = 0.01):
        self.leakiness = leakiness

    def __call__(self, x: Any) -> Any:
        return T.nnet.relu(x, self.leakiness)


leaky_rectify = LeakyRectify()
very_leaky_rectify = LeakyRectify(1.0 / 3)


def elu(x: Any) -> Any:
    r"""Exponential linear unit :math:`\varphi(x) = x` for :math:`x > 0`, else :math:`e^x - 1`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        Values greater than -1.

    References
    ----------
    .. [1] Djork-Arne Clevert, Thomas Unterthiner and Sepp Hochreiter (2015): Fast and accurate deep network learning
           by exponential linear units (ELUs). arXiv:1511.07289.
    """
    return T.nnet.elu(x)


class SELU:
    r"""Scaled exponential linear unit, for activations that converge towards zero mean and unit variance.

    .. math:: \varphi(x) = \lambda x \ \text{for}\ x > 0, \quad \lambda \alpha (e^x - 1) \ \text{otherwise}

    Parameters
    ----------
    scale : float
        The scale :math:`\lambda`, greater than 1.
    scale_neg : float
        The scale :math:`\alpha` for negative inputs.

    References
    ----------
    .. [1] Guenter Klambauer, Thomas Unterthiner, Andreas Mayr and Sepp Hochreiter (2017): Self-normalizing neural
           networks. arXiv:1706.02515.
    """

    def __init__(self, scale: float = 1, scale_neg: float = 1):
        self.scale = scale
        self.scale_neg = scale_neg

    def __call__(self, x: Any) -> Any:
        return self.scale * T.switch(x > 0, x, self.scale_neg * T.expm1(T.minimum(x, 0)))


selu = SELU(scale=1.0507009873554804934193349852946, scale_neg=1.6732632423543772848170429916717)


def gelu(x: Any) -> Any:
    r"""Gaussian error linear unit :math:`\varphi(x) = x \Phi(x)`, with the normal distribution function :math:`\Phi`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression

    References
    ----------
    .. [1] Dan Hendrycks and Kevin Gimpel (2016): Gaussian error linear units. arXiv:1606.08415.
    """
    return x * T.erfc(-x * (0.5**0.5)) / 2


def silu(x: Any) -> Any:
    r"""Sigmoid linear unit ("swish") :math:`\varphi(x) = x / (1 + e^{-x})`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression

    References
    ----------
    .. [1] Prajit Ramachandran, Barret Zoph and Quoc Le (2017): Searching for activation functions. arXiv:1710.05941.
    """
    return x * T.nnet.sigmoid(x)


def mish(x: Any) -> Any:
    r"""Mish :math:`\varphi(x) = x \tanh(\log(1 + e^x))`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression

    References
    ----------
    .. [1] Diganta Misra (2020): Mish: a self regularized non-monotonic activation function. arXiv:1908.08681.
    """
    return x * T.tanh(T.nnet.softplus(x))


def hard_sigmoid(x: Any) -> Any:
    r"""Piecewise linear sigmoid :math:`\varphi(x) = \min(\max(0, x / 6 + 1/2), 1)`.

    ``symc.tensor.nnet.hard_sigmoid`` is Theano's, with a slope of 1/5.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        Values in ``[0, 1]``.
    """
    return T.clip(x / 6 + 0.5, 0, 1)


def hard_tanh(x: Any) -> Any:
    r"""Piecewise linear hyperbolic tangent :math:`\varphi(x) = \min(\max(-1, x), 1)`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        Values in ``[-1, 1]``.
    """
    return T.clip(x, -1, 1)


def hard_silu(x: Any) -> Any:
    r"""Sigmoid linear unit with a piecewise linear sigmoid ("hard swish"): ``x * hard_sigmoid(x)``.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression

    References
    ----------
    .. [1] Andrew Howard et al. (2019): Searching for MobileNetV3. arXiv:1905.02244.
    """
    return x * hard_sigmoid(x)


def softplus(x: Any) -> Any:
    r"""Softplus function :math:`\varphi(x) = \log(1 + e^x)`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        Positive values.
    """
    return T.nnet.softplus(x)


def linear(x: Any) -> Any:
    r"""Identity function :math:`\varphi(x) = x`.

    Parameters
    ----------
    x : expression

    Returns
    -------
    expression
        `x` itself.
    """
    return x


identity = linear


def resolve(nonlinearity: Any) -> Any:
    """Return the nonlinearity that an argument of a layer stands for.

    Parameters
    ----------
    nonlinearity : callable, str or None
        A function, which is returned; the name of a function of this module, or what other libraries call it
        (``"relu"`` is :func:`rectify`); or None for :func:`identity`.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If a name is unknown.
    TypeError
        If the argument is neither a function nor a name; or a class, such as :class:`LeakyRectify`, of which an
        instance is needed.
    """
    if nonlinearity is None:
        return identity
    if isinstance(nonlinearity, str):
        functions = [name for name in __all__ if not isinstance(globals()[name], type)]
        found = canonical(nonlinearity, functions, NONLINEARITIES)
        if found is None:
            raise unknown_name("nonlinearity", nonlinearity, functions, NONLINEARITIES)
        return globals()[found]
    if isinstance(nonlinearity, type):
        raise TypeError(
            f"nonlinearity is the class {nonlinearity.__name__}: pass an instance, {nonlinearity.__name__}()"
        )
    if not callable(nonlinearity) and not symc.compat.installed():  # Lasagne finds that out when it is applied
        raise TypeError(f"nonlinearity={nonlinearity!r}: expected a function of an expression, its name, or None")
    return nonlinearity


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)


explain_faults(globals())
