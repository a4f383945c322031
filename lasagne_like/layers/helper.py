"""Functions on networks: their layers, parameters, outputs and shapes.

A network is its output layer, several output layers, or a dict of named layers of which the last is the output layer,
as the functions of :mod:`lasagne_like.models` return it.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any
from warnings import warn

import numpy as np

import symc.compat
import symc.tensor as T

from ..naming import foreign_argument
from ..utils import as_theano_expression, inspect_kwargs, shape_of, suggest, unique
from .base import Layer, MergeLayer, is_layer
from .inference import agree, refined
from .input import InputLayer

__all__ = [
    "count_params",
    "get_all_layers",
    "get_all_param_values",
    "get_all_params",
    "get_output",
    "get_output_shape",
    "set_all_param_values",
    "summary",
]


TAGS = ("batch_norm_stat", "regularizable", "trainable")
"""The tags of parameters that the library uses."""

Network = Layer | Iterable[Layer] | Mapping[str, Layer]


def output_of(network: Any) -> Any:
    """Return the layer or layers that a network stands for: of a dict of layers, such as a model, the last one.

    Raises
    ------
    TypeError
        If the dict is empty, or its values are not layers.
    """
    if not isinstance(network, Mapping):
        return network
    output = getattr(network, "output_layer", None) or next(reversed(list(network.values())), None)
    if not is_layer(output):
        raise TypeError(f"expected a dict of layers, of which the last is the output layer, got {network!r}")
    return output


def _as_list(network: Any) -> list:
    network = output_of(network)
    return [network] if is_layer(network) else list(network)


def _inputs_of(layer: Any) -> list:
    """Return the layers that feed into a layer, or into an object that stands for one."""
    if issubclass(type(layer), Layer):
        return layer.input_layers
    if isinstance(layer, InputLayer):
        return []
    if _takes_several(layer):
        return list(layer.input_layers)
    return [layer.input_layer] if hasattr(layer, "input_layer") else []


def _takes_several(layer: Any) -> bool:
    """Return whether an object that stands for a layer takes a list of inputs."""
    return isinstance(layer, MergeLayer) or isinstance(getattr(layer, "input_layers", None), list | tuple)


def _arguments(layer: Any, values: list) -> Any:
    """Arrange one value per input as the methods of a layer expect it."""
    if issubclass(type(layer), Layer):
        return layer._arguments(values)
    return values if _takes_several(layer) else values[0]


def get_all_layers(layer: Network, treat_as_input: Iterable[Layer] | None = None) -> list[Layer]:
    """List all layers that one or several output layers depend on, including these.

    Parameters
    ----------
    layer : Layer, iterable of Layer, or dict of str to Layer
        The output layer or layers.
    treat_as_input : iterable of Layer, optional
        Layers to treat as input layers: the layers below them are not listed.

    Returns
    -------
    list of Layer
        Without duplicates, in topological order; the inputs of a layer are visited from left to right.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, DenseLayer
    >>> l_in = InputLayer((100, 20))
    >>> l1 = DenseLayer(l_in, num_units=50)
    >>> get_all_layers(l1) == [l_in, l1]
    True
    >>> get_all_layers(l1, treat_as_input=[l_in]) == [l_in, l1]
    True
    """
    entered = set(_checked_layers(treat_as_input or (), "treat_as_input"))
    left: set = set()
    result = []
    stack = _as_list(layer)[::-1]
    while stack:
        current = stack[-1]
        if current is None:
            stack.pop()
        elif current not in entered:
            if not is_layer(current):
                raise TypeError(f"expected layers, got {current!r} of type {type(current).__name__}")
            entered.add(current)
            stack.extend(reversed(_inputs_of(current)))
        else:
            stack.pop()
            if current not in left:
                left.add(current)
                result.append(current)
    return result


def _checked_layers(keys: Iterable, what: str) -> list:
    """Return `keys` if all are layers, or None, which stands for the missing inputs of free-floating layers."""
    keys = list(keys)
    for key in keys:
        if key is not None and not is_layer(key):
            raise TypeError(f"{what} must name layers, got {key!r} of type {type(key).__name__}")
    return keys


def _only_input(layers: Iterable[Layer], given: str) -> None:
    inputs = [layer for layer in layers if isinstance(layer, InputLayer)]
    if len(inputs) > 1:
        raise ValueError(
            f"{given} for a network with multiple input layers: {inputs!r}. Please call it with a dictionary from "
            "these layers instead."
        )


def get_output(layer_or_layers: Network, inputs: Any = None, **kwargs: Any) -> Any:
    """Build the output expression of a network.

    Parameters
    ----------
    layer_or_layers : Layer, iterable of Layer, or dict of str to Layer
        The layer or layers whose output to compute.
    inputs : expression, array or dict, optional
        The input of a network with a single input layer: an expression (or array) that takes the place of its
        ``input_var``; or a dictionary from layers, of any kind, to expressions that take the place of their outputs.
        Input layers for which nothing is given use their ``input_var``.
    **kwargs
        Passed to all layers. The layers of the library support ``deterministic=True``, which disables noise and makes
        batch normalisation use its running averages, and ``batch_norm_use_averages`` and
        ``batch_norm_update_averages``, see :class:`BatchNormLayer`.

    Returns
    -------
    expression, or list of expressions if several layers are given

    Raises
    ------
    TypeError
        If a key of `inputs` is not a layer.
    ValueError
        If a single expression is given for several input layers, if a layer that was given a shape instead of an
        incoming layer has no expression in `inputs`, or if an expression in `inputs` does not fit the shape of its
        layer.

    Warns
    -----
    UserWarning
        If a keyword argument is not supported by any layer.

    Notes
    -----
    Noise is sampled separately for each call: the outputs of two calls for a noisy layer differ.

    The shape of an input layer is checked when a function is called, and compiled code relies on it. In programs that
    run through :mod:`symc.compat` it is advice, as in Lasagne: a batch of another size is computed.
    """
    layer_or_layers = output_of(layer_or_layers)
    replacements = inputs if isinstance(inputs, Mapping) else {}
    _checked_layers(replacements, "get_output(): the keys of inputs")
    layers = get_all_layers(layer_or_layers, replacements)
    outputs: dict[Any, Any] = {}
    for layer, expression in replacements.items():
        expression = as_theano_expression(expression)
        outputs[layer] = expression if layer is None else _with_shape_of(layer, expression)
    whole = None if inputs is None or isinstance(inputs, Mapping) else as_theano_expression(inputs)
    if whole is not None:
        _only_input(layers, "get_output() was called with a single input expression")
    accepted = {"deterministic"}
    for layer in layers:
        if layer in outputs:
            continue
        if isinstance(layer, InputLayer):
            outputs[layer] = _with_shape_of(layer, layer.input_var if whole is None else whole)
            continue
        below = _inputs_of(layer)
        missing = [k for k, each in enumerate(below) if each not in outputs]
        if missing:
            raise ValueError(
                "get_output() was called without giving an input expression for the free-floating layer "
                f"{layer!r}. Please call it with a dictionary mapping this layer to an input expression."
            )
        arguments = [outputs[each] for each in below]
        real = issubclass(type(layer), Layer)
        options = layer._options(kwargs) if real else kwargs
        output = layer.get_output_for(_arguments(layer, arguments), **options)
        outputs[layer] = refined(layer, output, arguments) if real else output
        accepted |= _keywords_of(layer)
    _warn_of_unused(set(kwargs) - accepted, accepted)
    if is_layer(layer_or_layers):
        return outputs[layer_or_layers]
    return [outputs[layer] for layer in _as_list(layer_or_layers)]


def _keywords_of(layer: Any) -> set[str]:
    """Return the keywords that a layer understands."""
    try:
        understood = set(inspect_kwargs(layer.get_output_for))
    except TypeError:  # its signature is not known
        understood = set()
    more = getattr(layer, "get_output_kwargs", ())
    return understood | set(more if isinstance(more, list | tuple | set) else ())


def _with_shape_of(layer: Layer, expression: Any) -> Any:
    """Declare the sizes of `expression` that are known from the output shape of `layer`."""
    if symc.compat.installed():
        return expression  # Lasagne takes the shape of a layer as advice
    shape = layer.output_shape
    known = expression.static_shape
    if not agree(known, shape):
        raise ValueError(
            f"the expression {expression!r} of shape {known!r} does not fit {layer!r} of output shape {shape!r}; "
            "set the shape of the InputLayer to that of the data, with None for sizes that vary"
        )
    if all(b is None or a == b for a, b in zip(known, shape)):
        return expression
    return T.specify_shape(expression, shape)


def _warn_of_unused(unused: set[str], accepted: set[str]) -> None:
    if unused:
        listed = "\n\t".join(f"{name}{_hint(name, accepted)}" for name in sorted(unused))
        warn(f"get_output() was called with unused kwargs:\n\t{listed}", stacklevel=3)


def _hint(name: str, accepted: set[str]) -> str:
    instead = foreign_argument("get_output", name, accepted)
    return f" (here it is {instead})" if instead else suggest(name, accepted)


def get_output_shape(layer_or_layers: Network, input_shapes: Any = None) -> Any:
    """Compute the output shape of a network for given input shapes.

    Parameters
    ----------
    layer_or_layers : Layer, iterable of Layer, or dict of str to Layer
        The layer or layers whose output shape to compute.
    input_shapes : tuple or dict, optional
        The shape of the input of a network with a single input layer; or a dictionary from layers, of any kind, to the
        shapes of their outputs. By default the shapes with which the network was built.

    Returns
    -------
    tuple, or list of tuples if several layers are given

    Raises
    ------
    TypeError
        If a key of `input_shapes` is not a layer.
    ValueError
        If a single shape is given for several input layers.
    """
    layer_or_layers = output_of(layer_or_layers)
    if not input_shapes:
        if is_layer(layer_or_layers):
            return layer_or_layers.output_shape
        return [layer.output_shape for layer in _as_list(layer_or_layers)]
    shapes: dict[Any, Any] = dict(input_shapes) if isinstance(input_shapes, Mapping) else {}
    _checked_layers(shapes, "get_output_shape(): the keys of input_shapes")
    layers = get_all_layers(layer_or_layers, shapes)
    if not isinstance(input_shapes, Mapping):
        _only_input(layers, "get_output_shape() was called with a single input shape")
    for layer in layers:
        if layer in shapes:
            continue
        if isinstance(layer, InputLayer):
            shapes[layer] = layer.shape if isinstance(input_shapes, Mapping) else tuple(input_shapes)
            continue
        known = [shapes.get(each) for each in _inputs_of(layer)]
        if issubclass(type(layer), Layer):
            known = [shape if found is None else found for found, shape in zip(known, layer.input_shapes)]
        found = layer.get_output_shape_for(_arguments(layer, known))
        shapes[layer] = tuple(found) if isinstance(found, list) else found
    if is_layer(layer_or_layers):
        return shapes[layer_or_layers]
    return [shapes[layer] for layer in _as_list(layer_or_layers)]


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
            raise ValueError(
                f"mismatch: parameter {param.name} has shape {expected!r} but value to set has shape {value.shape!r}"
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
