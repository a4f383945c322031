"""Functions on networks: their layers, parameters, outputs and shapes.

A network is its output layer, several output layers, or a dict of named layers of which the last is the output layer,
as the functions of :mod:`lasagne_like.models` return it.
"""

from collections.abc import Mapping
from typing import Any
from warnings import warn

import symc.compat
import symc.tensor as T
from symc.graph.argument_faults import explain_faults

from ..naming import foreign_argument
from ..utils import as_theano_expression, inspect_kwargs, suggest
from .base import Layer, is_layer
from .inference import agree, refined
from .input import InputLayer
from .parameters import count_params, get_all_param_values, get_all_params, set_all_param_values, summary
from .traversal import (
    Network,
    as_list,
    checked_layers,
    described,
    get_all_layers,
    inputs_of,
    only_input,
    output_of,
    takes_several,
)

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


def _arguments(layer: Any, values: list) -> Any:
    """Arrange one value per input as the methods of a layer expect it."""
    if issubclass(type(layer), Layer):
        return layer._arguments(values)
    return values if takes_several(layer) else values[0]


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
    checked_layers(replacements, "get_output(): the keys of inputs")
    layers = get_all_layers(layer_or_layers, replacements)
    outputs: dict[Any, Any] = {}
    for layer, expression in replacements.items():
        expression = as_theano_expression(expression)
        outputs[layer] = expression if layer is None else _with_shape_of(layer, expression)
    whole = None if inputs is None or isinstance(inputs, Mapping) else as_theano_expression(inputs)
    if whole is not None:
        only_input(layers, "get_output() was called with a single input expression")
    accepted = {"deterministic"}
    for layer in layers:
        if layer in outputs:
            continue
        if isinstance(layer, InputLayer):
            outputs[layer] = _with_shape_of(layer, layer.input_var if whole is None else whole)
            continue
        below = inputs_of(layer)
        missing = [k for k, each in enumerate(below) if each not in outputs]
        if missing:
            raise ValueError(
                "get_output() was called without giving an input expression for the free-floating layer "
                f"{layer!r}. Please call it with a dictionary mapping this layer to an input expression."
            )
        arguments = [outputs[each] for each in below]
        real = issubclass(type(layer), Layer)
        options = layer._options(kwargs) if real else kwargs
        try:
            output = layer.get_output_for(_arguments(layer, arguments), **options)
        except Exception as error:
            error.add_note(f"while computing the output of {described(layer, layers)}")
            raise
        outputs[layer] = refined(layer, output, arguments) if real else output
        accepted |= _keywords_of(layer)
    _warn_of_unused(set(kwargs) - accepted, accepted)
    if is_layer(layer_or_layers):
        return outputs[layer_or_layers]
    return [outputs[layer] for layer in as_list(layer_or_layers)]


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
        return [layer.output_shape for layer in as_list(layer_or_layers)]
    shapes: dict[Any, Any] = dict(input_shapes) if isinstance(input_shapes, Mapping) else {}
    checked_layers(shapes, "get_output_shape(): the keys of input_shapes")
    layers = get_all_layers(layer_or_layers, shapes)
    if not isinstance(input_shapes, Mapping):
        only_input(layers, "get_output_shape() was called with a single input shape")
    for layer in layers:
        if layer in shapes:
            continue
        if isinstance(layer, InputLayer):
            shapes[layer] = layer.shape if isinstance(input_shapes, Mapping) else tuple(input_shapes)
            continue
        known = [shapes.get(each) for each in inputs_of(layer)]
        if issubclass(type(layer), Layer):
            known = [shape if found is None else found for found, shape in zip(known, layer.input_shapes)]
        found = layer.get_output_shape_for(_arguments(layer, known))
        shapes[layer] = tuple(found) if isinstance(found, list) else found
    if is_layer(layer_or_layers):
        return shapes[layer_or_layers]
    return [shapes[layer] for layer in as_list(layer_or_layers)]


explain_faults(globals())
