r"""Initialisers: the initial values of parameters.

An initialiser is a callable object. Called with a shape, it draws from :func:`lasagne_like.random.get_rng` and returns
an array of dtype ``symc.config.floatX``.

>>> from lasagne_like.layers import DenseLayer
>>> from lasagne_like.init import Constant, HeNormal
>>> layer = DenseLayer((100, 20), num_units=50, W=HeNormal("relu"), b=Constant(0.1))
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from symc.graph.argument_faults import explain_faults

from .errors import _NotDefined
from .foreign_names import INITIALISERS
from .naming import canonical, is_nonlinearity, missing_name, unknown_name
from .random import get_rng
from .utils import floatX

__all__ = [
    "Constant",
    "Glorot",
    "GlorotNormal",
    "GlorotUniform",
    "He",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "Normal",
    "Orthogonal",
    "Sparse",
    "Uniform",
]


class Initializer:
    """Base class of initialisers. Subclasses override :meth:`sample`.

    Attributes
    ----------
    deferrable : bool
        Whether the call is deferred until the value is needed in :func:`lasagne_like.lazy.lazy_init`.
    """

    deferrable = True

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        """Return a sample; equivalent to :meth:`sample`.

        Parameters
        ----------
        shape : sequence of int
            The shape of the parameter.
        """
        return self.sample(shape)

    def sample(self, shape: Sequence[int]) -> np.ndarray:
        """Draw an initial value; subclasses override this method.

        Parameters
        ----------
        shape : sequence of int
            The shape of the parameter.

        Returns
        -------
        numpy.ndarray
            ``shape``, dtype ``symc.config.floatX``.
        """
        raise _NotDefined(f"{type(self).__name__} must define sample(shape), as every Initializer does")


class Normal(Initializer):
    """Draw from the normal distribution with given mean and standard deviation.

    Parameters
    ----------
    std : float
        The standard deviation.
    mean : float
        The mean.
    """

    def __init__(self, std: float = 0.01, mean: float = 0.0):
        self.std = std
        self.mean = mean

    def sample(self, shape: Sequence[int]) -> np.ndarray:
        return floatX(get_rng().normal(self.mean, self.std, size=shape))


class Uniform(Initializer):
    """Draw from a uniform distribution.

    Parameters
    ----------
    range : float or tuple of two floats
        The interval ``(a, b)``; a number `r` denotes ``(-r, r)``. Ignored if `std` is given.
    std : float, optional
        The standard deviation; the interval is then ``(mean - sqrt(3) * std, mean + sqrt(3) * std)``.
    mean : float
        The centre of the interval; only used with `std`.

    Raises
    ------
    ValueError
        If `range` is neither a number nor a pair of numbers.
    """

    def __init__(self, range: float | tuple[float, float] = 0.01, std: float | None = None, mean: float = 0.0):
        if std is not None:
            low, high = mean - np.sqrt(3) * std, mean + np.sqrt(3) * std
        elif isinstance(range, str) or np.shape(range) not in ((), (2,)) or np.asarray(range).dtype.kind not in "fiu":
            raise ValueError(f"Uniform: range must be a number or a pair (low, high) of numbers, got {range!r}")
        else:
            ends: Any = range
            low, high = ends if np.ndim(ends) else (-ends, ends)
        self.range = (low, high)

    def sample(self, shape: Sequence[int]) -> np.ndarray:
        return floatX(get_rng().uniform(low=self.range[0], high=self.range[1], size=shape))


def _gain(gain: float | str) -> float:
    if gain == "relu":
        return float(np.sqrt(2))
    if isinstance(gain, str):
        raise ValueError(f"gain must be a number or 'relu', got {gain!r}")
    return gain


def _check_scaled(initializer: Any, shape: Sequence[int]) -> None:
    """Check a shape that determines a standard deviation."""
    if initializer.c01b and len(shape) != 4:
        raise RuntimeError(f"If c01b is True, only shapes of length 4 are accepted, got {tuple(shape)!r}")
    if len(shape) < 2:
        raise RuntimeError(
            f"{type(initializer).__name__} only works with shapes of length >= 2, got {tuple(shape)!r}; "
            "use Normal, Uniform or Constant for vectors and scalars"
        )


class Glorot(Initializer):
    r"""Scale weights by the number of inputs and outputs of a layer (Xavier initialisation).

    .. math:: \sigma = \mathrm{gain} \sqrt{\frac{2}{(n_{in} + n_{out}) \cdot \mathrm{receptive\ field}}}

    Parameters
    ----------
    initializer : class of Initializer
        Called as ``initializer(std=...)``: :class:`Normal` or :class:`Uniform`.
    gain : float or 'relu'
        1.0 for linear and sigmoid units, ``'relu'`` (the square root of 2) for rectifiers,
        ``sqrt(2 / (1 + alpha**2))`` for leaky rectifiers of leakiness `alpha`.
    c01b : bool
        Whether filters are stored as ``(channels, rows, columns, filters)``.

    Raises
    ------
    RuntimeError
        If the parameter has fewer than two axes.

    Notes
    -----
    A matrix is ``(inputs, units)``; filters are ``(filters, channels, ...)``.

    References
    ----------
    .. [1] Xavier Glorot and Yoshua Bengio (2010): Understanding the difficulty of training deep feedforward neural
           networks. International Conference on Artificial Intelligence and Statistics.
    """

    def __init__(self, initializer: Any, gain: float | str = 1.0, c01b: bool = False):
        self.initializer = initializer
        self.gain = _gain(gain)
        self.c01b = c01b

    def sample(self, shape: Sequence[int]) -> np.ndarray:
        _check_scaled(self, shape)
        if self.c01b:
            fans, receptive_field = shape[0] + shape[3], shape[1] * shape[2]
        else:
            fans, receptive_field = shape[0] + shape[1], int(np.prod(shape[2:]))
        std = self.gain * np.sqrt(2.0 / (fans * receptive_field))
        return self.initializer(std=std).sample(shape)


class GlorotNormal(Glorot):
    """:class:`Glorot` with normally distributed weights."""

    def __init__(self, gain: float | str = 1.0, c01b: bool = False):
        super().__init__(Normal, gain, c01b)


class GlorotUniform(Glorot):
    """:class:`Glorot` with uniformly distributed weights."""

    def __init__(self, gain: float | str = 1.0, c01b: bool = False):
        super().__init__(Uniform, gain, c01b)


class He(Initializer):
    r"""Scale weights by the number of inputs of a unit.

    .. math:: \sigma = \mathrm{gain} \sqrt{\frac{1}{n_{in} \cdot \mathrm{receptive\ field}}}

    Parameters
    ----------
    initializer : class of Initializer
        Called as ``initializer(std=...)``: :class:`Normal` or :class:`Uniform`.
    gain : float or 'relu'
        1.0 for linear and sigmoid units, ``'relu'`` (the square root of 2) for rectifiers.
    c01b : bool
        Whether filters are stored as ``(channels, rows, columns, filters)``.

    Raises
    ------
    RuntimeError
        If the parameter has fewer than two axes.

    References
    ----------
    .. [1] Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun (2015): Delving deep into rectifiers: Surpassing
           human-level performance on ImageNet classification. arXiv:1502.01852.
    """

    def __init__(self, initializer: Any, gain: float | str = 1.0, c01b: bool = False):
        self.initializer = initializer
        self.gain = _gain(gain)
        self.c01b = c01b

    def sample(self, shape: Sequence[int]) -> np.ndarray:
        _check_scaled(self, shape)
        if self.c01b:
            fan_in = math.prod(shape[:3])
        elif len(shape) == 2:
            fan_in = shape[0]
        else:
            fan_in = math.prod(shape[1:])
        return self.initializer(std=self.gain * np.sqrt(1.0 / fan_in)).sample(shape)


class HeNormal(He):
    """:class:`He` with normally distributed weights."""

    def __init__(self, gain: float | str = 1.0, c01b: bool = False):
        super().__init__(Normal, gain, c01b)


class HeUniform(He):
    """:class:`He` with uniformly distributed weights."""

    def __init__(self, gain: float | str = 1.0, c01b: bool = False):
        super().__init__(Uniform, gain, c01b)


class Constant(Initializer):
    """Fill the parameter with a constant.

    Parameters
    ----------
    val : float
        The value.
    """

    deferrable = False  # nothing is drawn

    def __init__(self, val: float = 0.0):
        self.val = val

    def sample(self, shape: Sequence[int]) -> np.ndarray:
        return floatX(np.full(shape, self.val))


class Sparse(Initializer):
    """Connect every unit to a random subset of its inputs, with normally distributed weights.

    Parameters
    ----------
    sparsity : float
        The fraction of the inputs to which a unit is connected, from 0 to 1.
    std : float
        The standard deviation of the non-zero weights.

    Raises
    ------
    ValueError
        If `sparsity` is no fraction.
    RuntimeError
        If the parameter is not a matrix ``(inputs, units)``.

    References
    ----------
    .. [1] James Martens (2010): Deep learning via Hessian-free optimization. International Conference on Machine
           Learning.
    """

    def __init__(self, sparsity: float = 0.1, std: float = 0.01):
        if not 0 <= sparsity <= 1:
            raise ValueError(f"Sparse: sparsity must be a fraction from 0 to 1, got {sparsity!r}")
        self.sparsity = sparsity
        self.std = std

    def sample(self, shape: Sequence[int]) -> np.ndarray:
        if len(shape) != 2:
            raise RuntimeError(f"sparse initializer only works with shapes of length 2, got {tuple(shape)!r}")
        rng = get_rng()
        weights = np.zeros(shape)
        inputs, units = shape
        connections = int(self.sparsity * inputs)
        for unit in range(units):
            order = np.arange(inputs)
            rng.shuffle(order)
            weights[order[:connections], unit] = rng.normal(0.0, self.std, size=connections)
        return floatX(weights)


class Orthogonal(Initializer):
    """Fill the parameter with a random orthogonal matrix.

    Parameters with more than two axes are treated as matrices ``(shape[0], prod(shape[1:]))``. A rectangular matrix has
    orthonormal rows or columns, whichever are fewer.

    Parameters
    ----------
    gain : float or 'relu'
        The factor by which the matrix is scaled; ``'relu'`` denotes the square root of 2.

    Raises
    ------
    RuntimeError
        If the parameter has fewer than two axes.

    References
    ----------
    .. [1] Andrew M. Saxe, James L. McClelland and Surya Ganguli (2013): Exact solutions to the nonlinear dynamics of
           learning in deep linear neural networks. arXiv:1312.6120.
    """

    def __init__(self, gain: float | str = 1.0):
        self.gain = _gain(gain)

    def sample(self, shape: Sequence[int]) -> np.ndarray:
        if len(shape) < 2:
            raise RuntimeError(f"Only shapes of length 2 or more are supported, got {tuple(shape)!r}")
        flat_shape = (shape[0], int(np.prod(shape[1:])))
        sample = get_rng().normal(0.0, 1.0, flat_shape)
        left, _, right = np.linalg.svd(sample, full_matrices=False)
        matrix = left if left.shape == flat_shape else right
        return floatX(self.gain * matrix.reshape(shape))


def resolve(spec: Any) -> Any:
    """Return the initialiser that a string stands for; anything else is returned unchanged.

    Parameters
    ----------
    spec : str or other
        The name of a class of this module, which is created with default arguments; or one of ``"zeros"``, ``"ones"``,
        ``"glorot_uniform"``, ``"glorot_normal"`` (also ``"glorot"``, ``"xavier"``), ``"he_uniform"`` and
        ``"he_normal"`` (also ``"he"``, ``"kaiming"``), of which the last two have the gain of rectifiers.

    Returns
    -------
    Initializer or other

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if not isinstance(spec, str):
        return spec
    named: dict[str, Callable[[], Any]] = {
        "zeros": partial(Constant, 0.0),
        "ones": partial(Constant, 1.0),
        "glorot_uniform": GlorotUniform,
        "glorot_normal": GlorotNormal,
        "he_uniform": partial(HeUniform, "relu"),
        "he_normal": partial(HeNormal, "relu"),
    }
    classes = (GlorotUniform, GlorotNormal, HeUniform, HeNormal, Normal, Uniform, Orthogonal, Sparse)
    exact: dict[str, Callable[[], Any]] = {each.__name__: each for each in classes}
    if spec in exact:
        return exact[spec]()
    found = canonical(spec, named | exact, INITIALISERS)
    if found is None:
        if is_nonlinearity(spec):
            raise ValueError(f"the initial value={spec!r} is the name of a nonlinearity: pass nonlinearity={spec!r}")
        raise unknown_name("the initial value", spec, named | exact, INITIALISERS)
    return (named | exact)[found]()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)


explain_faults(globals())
