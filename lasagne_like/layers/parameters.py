"""Functions on the parameters of networks: lists, counts, values; summaries."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any
from warnings import warn

import numpy as np

from symc.graph.argument_faults import explain_faults

from ..utils import shape_of, suggest, unique
from .traversal import Network, described, get_all_layers

__all__ = [
    "count_params",
    "get_all_param_values",
    "get_all_params",
    "set_all_param_values",
    "summary",
]


TAGS = ("batch_norm_stat", "regularizable", "trainable")
"""The tags of parameters that the library uses."""


def get_all_params(layer: Network, unwrap_shared: bool = True, **tags: bool) -> list:
    """List the parameters of all layers that one or several output layers depend on.

    Parameters
    ----------
    layer : Layer, iterable of Layer, or dict of str to Layer
        The output layer or layers.
    unwrap_shared : bool
        How to list parameters that are expressions, see :meth:`Layer.get_params`.
    **tags
        Select parameters by tags, see :meth:`Layer.get_params`; ``trainable=True`` selects those to be optimised.

    Returns
    -------
    list of shared variables or expressions
        Without duplicates, in the order of :func:`get_all_layers`.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, DenseLayer
    >>> l1 = DenseLayer(InputLayer((100, 20)), num_units=50)
    >>> get_all_params(l1) == [l1.W, l1.b]
    True
    """
    layers = get_all_layers(layer)
    _warn_of_misspelt(tags, layers)
    return unique(param for each in layers for param in each.get_params(unwrap_shared, **tags))


def _warn_of_misspelt(tags: Iterable[str], layers: Iterable[Any]) -> None:
    """Warn of tags that no parameter has, and that are spelt almost like one that the library uses."""
    for tag in sorted(set(tags) - set(TAGS)):
        hint = suggest(tag, TAGS)
        if hint and not any(tag in has for each in layers for has in getattr(each, "params", {}).values()):
            warn(f"no parameter of the network has the tag {tag!r}{hint}", stacklevel=3)


def count_params(layer: Network, **tags: bool) -> int:
    """Count the elements of the parameters of all layers that the given layers depend on.

    Parameters
    ----------
    layer : Layer, iterable of Layer, or dict of str to Layer
        The output layer or layers.
    **tags
        Select parameters by tags, see :meth:`Layer.get_params`.

    Returns
    -------
    int
    """
    return sum(map(_size, get_all_params(layer, **tags)))


def _size(param: Any) -> int:
    return prod(shape_of(param))


def get_all_param_values(layer: Network, **tags: bool) -> list[np.ndarray]:
    """Return copies of the parameter values of all layers that the given layers depend on.

    Parameters
    ----------
    layer : Layer, iterable of Layer, or dict of str to Layer
        The output layer or layers.
    **tags
        Select parameters by tags, see :meth:`Layer.get_params`.

    Returns
    -------
    list of numpy.ndarray
        In the order of :func:`get_all_params`.
    """
    return [param.get_value() for param in get_all_params(layer, **tags)]


def set_all_param_values(layer: Network, values: Sequence, **tags: bool) -> None:
    """Set the parameter values of all layers that the given layers depend on.

    Parameters
    ----------
    layer : Layer, iterable of Layer, or dict of str to Layer
        The output layer or layers.
    values : sequence of array_like
        In the order of :func:`get_all_params`.
    **tags
        Select parameters by tags, see :meth:`Layer.get_params`.

    Raises
    ------
    ValueError
        If the number or the shapes of the values do not match the parameters. No parameter is changed.
    """
    params = get_all_params(layer, **tags)
    values = [np.asarray(value) for value in values]
    if len(params) != len(values):
        if len(params) > len(values):
            left = f"the first parameter without a value is {params[len(values)].name}"
        else:
            left = f"the first value without a parameter has shape {values[len(params)].shape}"
        raise ValueError(f"mismatch: got {len(values)} values to set {len(params)} parameters; {left}")
    for param, value in zip(params, values):
        expected = shape_of(param)
        if expected != value.shape:
            layers = get_all_layers(layer)
            owner = next((each for each in layers if any(p is param for p in each.get_params())), None)
            raise ValueError(
                f"mismatch: parameter {param.name} has shape {expected!r} but value to set has shape {value.shape!r}"
                + (f"; it belongs to {described(owner, layers)}" if owner is not None else "")
            )
    for param, value in zip(params, values):
        param.set_value(value)


class _Table(str):
    """A string that interactive sessions display without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def summary(layer: Network) -> str:
    """Return a table of the layers of a network with their output shapes and parameters.

    Parameters
    ----------
    layer : Layer, iterable of Layer, or dict of str to Layer
        The output layer or layers.

    Returns
    -------
    str
        One line per layer, and the numbers of parameters. A parameter shared by several layers counts once.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, DenseLayer
    >>> summary(DenseLayer(InputLayer((None, 20), name="in"), num_units=5, name="out"))
    name  layer       output shape  parameters
    ------------------------------------------
    in    InputLayer  (None, 20)             0
    out   DenseLayer  (None, 5)            105  W (20, 5), b (5,)
    ------------------------------------------
    parameters 105, trainable 105, not trainable 0
    """
    rows = [("name", "layer", "output shape", "parameters", "")]
    for each in get_all_layers(layer):
        params = each.get_params()
        listed = ", ".join(f"{_short(p.name)} {shape_of(p)}" for p in params)
        count = f"{sum(map(_size, params)):,}"
        rows.append((each.name or "-", type(each).__name__, str(each.output_shape), count, listed))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths)), row[3].rjust(widths[3]), row[4]])
        for row in rows
    ]
    rule = "-" * (sum(widths) + 6)
    total, trainable = count_params(layer), count_params(layer, trainable=True)
    foot = f"parameters {total:,}, trainable {trainable:,}, not trainable {total - trainable:,}"
    return _Table("\n".join(line.rstrip() for line in [lines[0], rule, *lines[1:], rule, foot]))


def _short(name: str | None) -> str:
    return "?" if name is None else name.rpartition(".")[2]


explain_faults(globals())
