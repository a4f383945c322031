"""Helper functions for layers, optimisers and user code."""

import inspect
import numbers
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

import symc
import symc.compat
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from .errors import _UnknownType, _WrongShape
from .lazy import deferred_value
from .naming import is_nonlinearity, missing_name

__all__ = [
    "as_theano_expression",
    "as_tuple",
    "collect_shared_vars",
    "compute_norms",
    "create_param",
    "floatX",
    "hand_over",
    "inspect_kwargs",
    "int_types",
    "one_hot",
    "shape_of",
    "shared_empty",
    "unique",
    "unroll_scan",
]

int_types = (numbers.Integral, np.integer)


def floatX(arr: Any) -> np.ndarray:
    """Convert a number or an array to the default floating-point dtype.

    Parameters
    ----------
    arr : array_like
        Anything ``numpy.asarray`` accepts.

    Returns
    -------
    numpy.ndarray
        The values, converted to dtype ``symc.config.floatX``.
    """
    return np.asarray(arr, dtype=symc.config.floatX)


def shared_empty(dim: int = 2, dtype: str | None = None) -> Any:
    """Create a shared variable whose value is set later.

    Parameters
    ----------
    dim : int
        The number of axes.
    dtype : str, optional
        The element type; ``symc.config.floatX`` by default.

    Returns
    -------
    shared variable
        Its value is a zero of shape ``(1,) * dim``; ``set_value`` may change the size of each axis.
    """
    dtype = symc.config.floatX if dtype is None else dtype
    return symc.shared(np.zeros((1,) * dim, dtype=dtype), shape=(None,) * dim)


def as_theano_expression(input: Any) -> Any:
    """Convert a value to a symbolic constant, unless it is an expression.

    Parameters
    ----------
    input : expression, number or array_like

    Returns
    -------
    expression

    Raises
    ------
    TypeError
        If `input` is not an expression and cannot be converted.
    """
    if isinstance(input, symc.Variable):
        return input
    try:
        return T.constant(input)
    except Exception as error:
        raise TypeError(
            f"Input of type {type(input).__name__} is not a symbolic expression and cannot be wrapped as a constant "
            f"(original exception: {error})"
        ) from error


def collect_shared_vars(expressions: Any) -> list:
    """List the shared variables that expressions depend on.

    Parameters
    ----------
    expressions : expression or iterable of expressions

    Returns
    -------
    list of shared variables
        Without duplicates, in the order of a depth-first, left-to-right traversal of the expressions.
    """
    stack = [expressions] if isinstance(expressions, symc.Variable) else list(expressions)
    stack.reverse()
    seen: set[int] = set()
    found = []
    while stack:
        variable = stack.pop()
        if id(variable) in seen:
            continue
        seen.add(id(variable))
        if isinstance(variable, symc.SharedVariable):
            found.append(variable)
        elif variable.owner is not None:
            stack.extend(reversed(variable.owner.inputs))
    return found


def one_hot(x: Any, m: int | None = None) -> Any:
    """Encode class labels as one-hot rows.

    Parameters
    ----------
    x : expression or array, integer vector
        ``(n,)`` class labels from 0 to ``m - 1``.
    m : int or scalar expression, optional
        The number of classes; ``max(x) + 1`` by default.

    Returns
    -------
    expression
        ``(n, m)`` matrix of dtype ``symc.config.floatX``.
    """
    x = as_theano_expression(x)
    classes = T.arange(T.cast(T.max(x) + 1, "int32") if m is None else m)
    return T.cast(T.eq(x.dimshuffle(0, "x"), classes.dimshuffle("x", 0)), symc.config.floatX)


def unique(l: Iterable) -> list:
    """Remove duplicates, preserving the order of first occurrence.

    Parameters
    ----------
    l : iterable of hashable

    Returns
    -------
    list
    """
    return list(dict.fromkeys(l))


def as_tuple(x: Any, N: int, t: type | tuple | None = None) -> tuple:
    """Convert a value to a tuple of a given length.

    Parameters
    ----------
    x : value or iterable
        An iterable is converted to a tuple; any other value is repeated `N` times.
    N : int
        The length of the tuple.
    t : type or tuple of types, optional
        The required type of the elements.

    Returns
    -------
    tuple

    Raises
    ------
    TypeError
        If an element is not of type `t`.
    ValueError
        If `x` is an iterable of a different length.
    """
    if isinstance(x, str):
        repair = f": to set a nonlinearity, pass nonlinearity={x!r}" if is_nonlinearity(x) else ""
        raise TypeError(f"expected a number or an iterable of {N} numbers, got {x!r}{repair}")
    try:
        values = tuple(x)
    except TypeError:
        values = (x,) * N
    if t is not None and not all(isinstance(v, t) for v in values):
        kind = "int" if t is int_types else getattr(t, "__name__", str(t))
        raise TypeError(f"expected a single value or an iterable of {kind}, got {x!r} instead")
    if len(values) != N:
        raise ValueError(f"expected a single value or an iterable with length {N}, got {x!r} instead")
    return values


def unroll_scan(
    fn: Callable,
    sequences: Any,
    outputs_info: Sequence,
    non_sequences: Sequence,
    n_steps: int,
    go_backwards: bool = False,
) -> list:
    """Repeat a step a known number of times by writing it out, with the interface of :func:`symc.scan`.

    Parameters
    ----------
    fn : callable
        ``fn(*sequences at t, *states, *non_sequences)`` returns the states after a step, one or a list.
    sequences : expression or list of expressions
        Each step reads one entry of each along the first axis.
    outputs_info : list of expressions
        The initial states.
    non_sequences : list of expressions
        Passed to every step.
    n_steps : int
        The number of steps, at least 1.
    go_backwards : bool
        Whether the steps begin with the last entry of the sequences.

    Returns
    -------
    list of expressions
        The states after every step, ``(n_steps, ...)``, in the order of the steps.

    Raises
    ------
    ValueError
        If `n_steps` is smaller than 1.
    """
    if n_steps < 1:
        raise ValueError(f"unroll_scan: n_steps must be at least 1, got {n_steps!r}")
    sequences = list(sequences) if isinstance(sequences, list | tuple) else [sequences]
    states, history = list(outputs_info), []
    for t in reversed(range(n_steps)) if go_backwards else range(n_steps):
        found = fn(*(each[t] for each in sequences), *states, *non_sequences)
        states = list(found) if isinstance(found, list | tuple) else [found]
        history.append(states)
    return [T.stack(list(each)) for each in zip(*history)]


def inspect_kwargs(func: Callable) -> list[str]:
    """List the names of the keyword arguments of a function.

    Parameters
    ----------
    func : callable

    Returns
    -------
    list of str
        The parameters with a default value and the keyword-only ones, without ``*args`` and ``**kwargs``.
    """
    return [
        name
        for name, parameter in inspect.signature(func).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty
    ]


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``" (perhaps you meant ...)"`` with the known word most similar to `word`, or an empty string."""
    near = get_close_matches(word, sorted(known), n=1)
    return f" (perhaps you meant {near[0]})" if near else ""


def norm_axes_of(ndim: int, norm_axes: Sequence[int] | None) -> tuple[int, ...]:
    """Return the axes of a weight tensor over which the incoming weights of a unit extend.

    Parameters
    ----------
    ndim : int
        The number of axes of the tensor.
    norm_axes : sequence of int, optional
        Returned unchanged if given.

    Returns
    -------
    tuple of int
        Axis 0 of a matrix (dense layers); all but axis 0 of tensors with 3 to 5 axes (convolutions).

    Raises
    ------
    ValueError
        If there is no convention for `ndim` axes and `norm_axes` is not given.
    """
    if norm_axes is not None:
        return tuple(norm_axes)
    if ndim == 2:
        return (0,)
    if ndim in (3, 4, 5):
        return tuple(range(1, ndim))
    raise ValueError(f"Unsupported tensor dimensionality {ndim}. Must specify `norm_axes`")


def compute_norms(array: Any, norm_axes: Sequence[int] | None = None) -> Any:
    """Compute the Euclidean norm of the incoming weights of each unit.

    Parameters
    ----------
    array : numpy.ndarray or expression
        The weights.
    norm_axes : sequence of int, optional
        The axes to sum over. By default axis 0 of a matrix ``(inputs, units)`` and all axes but the first of
        the weights of a convolution, ``(filters, channels, ...)``.

    Returns
    -------
    numpy.ndarray or expression
        One norm per unit; an array or an expression like `array`.

    Raises
    ------
    TypeError
        If `array` is neither an array nor an expression.
    ValueError
        If `array` does not have 1 to 5 axes and `norm_axes` is not given.

    Examples
    --------
    >>> import numpy as np
    >>> compute_norms(np.ones((4, 3)))
    array([2., 2., 2.])
    >>> compute_norms(np.ones((4, 9)), norm_axes=(1,))
    array([3., 3., 3., 3.])
    """
    if not isinstance(array, (np.ndarray, symc.Variable)):
        raise _UnknownType(f"Unsupported type {type(array).__name__}. Only symbolic variables and arrays are supported")
    if array.ndim == 1 and norm_axes is None:
        return abs(array)
    axes = norm_axes_of(array.ndim, norm_axes)
    library = np if isinstance(array, np.ndarray) else T
    return library.sqrt(library.sum(array**2, axis=axes))


def create_param(spec: Any, shape: Iterable[int | None], name: str | None = None) -> Any:
    """Create the variable of a parameter from any supported specification.

    Parameters
    ----------
    spec : number, array, expression, shared variable or callable
        * A number or an array of shape `shape`, from which a shared variable is created. Floating-point values are
          converted to ``symc.config.floatX``, so that a float64 array does not make the whole network float64. In
          programs that run through :mod:`symc.compat` arrays keep their dtype, as in Lasagne.
        * A shared variable or an expression, which is used as it is. It must have ``len(shape)`` axes, and no size
          that is known to differ from `shape`.
        * A callable, such as an initialiser from :mod:`lasagne_like.init`, which is called with `shape` and must
          return one of the above.
    shape : iterable of int
        The shape of the parameter.
    name : str, optional
        The name of the new variable. A given variable that has a name keeps it.

    Returns
    -------
    shared variable or expression
        Shared variables created here have a static shape.

    Raises
    ------
    TypeError
        If `spec` is of another type.
    ValueError
        If a size in `shape` is unknown or not positive, or the shape of the value is not `shape`.
    """
    shape = tuple(shape)
    for size in shape:
        if size is not None and not isinstance(size, int_types):
            raise TypeError(f"Cannot create param with the size {size!r} in shape={shape!r}, name={name!r}: not an int")
    if any(size is None for size in shape):
        raise ValueError(
            f"Cannot create param with an unknown dimension. Tried to create param with shape={shape!r}, "
            f"name={name!r}. Use fixed sizes for these axes in the incoming layer."
        )
    if any(size is not None and size <= 0 for size in shape):
        raise ValueError(
            "Cannot create param with a non-positive shape dimension. "
            f"Tried to create param with shape={shape!r}, name={name!r}"
        )

    if (deferred := deferred_value(spec, shape)) is not None:
        return symc.shared(deferred, name=name, shape=shape, dtype=symc.config.floatX)
    given = "the provided value" if not callable(spec) else "the result of the provided callable"
    expected = "a number, an array or an expression"
    if callable(spec):
        spec = spec(shape)
    else:
        expected += ", or a callable that returns one"
    prefix = f"cannot initialize parameter {name}: {given}"

    if isinstance(spec, symc.Variable):
        return _adopt(spec, shape, name, prefix)
    if isinstance(spec, (numbers.Number, np.generic, np.ndarray)):
        return _share(np.asarray(spec), isinstance(spec, numbers.Number), shape, name, prefix)
    raise _UnknownType(f"{prefix} is {type(spec).__name__}, not {expected}")


def shape_of(param: Any) -> tuple[int, ...]:
    """Return the shape of a shared variable's value, without computing a value that was deferred by ``lazy_init``."""
    shape = param.static_shape
    return param.get_value(borrow=True).shape if None in shape else shape


def hand_over(param: Any, array: np.ndarray) -> None:
    """Make an array that nobody else keeps the value of a shared variable, without a copy.

    Unlike after ``set_value(array, borrow=True)``, the variable need not expect that the array changes.

    Raises
    ------
    ValueError
        If the shape is not that of the parameter.
    """
    if array.shape != shape_of(param):
        raise ValueError(f"{param.name} has the shape {shape_of(param)}, the new value {array.shape}")
    param.storage.write(np.require(array, param.dtype, ["C", "W", "A"]))


def _adopt(variable: Any, shape: tuple, name: str | None, prefix: str) -> Any:
    if variable.ndim != len(shape):
        raise _WrongShape(f"{prefix} has {variable.ndim} dimensions, should have {len(shape)} (shape {shape!r})")
    if any(known is not None and known != size for known, size in zip(variable.static_shape, shape)):
        raise _WrongShape(f"{prefix} has shape {variable.static_shape!r}, should be {shape!r}")
    if not variable.name:
        variable.name = name
    return variable


def _share(value: np.ndarray, is_number: bool, shape: tuple, name: str | None, prefix: str) -> Any:
    if value.shape != shape:
        repair = f"; use lasagne_like.init.Constant({value}) to fill the whole parameter" if value.ndim == 0 else ""
        raise _WrongShape(f"{prefix} has shape {value.shape!r}, should be {shape!r}{repair}")
    if is_number or value.dtype.kind == "f" and not symc.compat.installed():  # Lasagne keeps the dtype of an array
        value = floatX(value)
    return symc.shared(value, name=name, shape=shape)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing_name(__name__, name, __all__)


explain_faults(globals())
