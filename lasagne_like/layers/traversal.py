"""The layers of a network, in the order in which they are computed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import symc
from symc.graph.argument_faults import explain_faults

from .base import Layer, MergeLayer, is_layer
from .input import InputLayer

__all__ = [
    "Network",
    "as_list",
    "checked_layers",
    "described",
    "get_all_layers",
    "inputs_of",
    "only_input",
    "output_of",
    "takes_several",
]


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


def as_list(network: Any) -> list:
    """Return the output layers that a network stands for.

    Raises
    ------
    TypeError
        If it is neither a layer nor a collection of layers.
    """
    network = output_of(network)
    if is_layer(network):
        return [network]
    if isinstance(network, symc.Variable) or not isinstance(network, Iterable):
        raise TypeError(f"expected a layer or a list of layers, got {network!r} of type {type(network).__name__}")
    return list(network)


def inputs_of(layer: Any) -> list:
    """Return the layers that feed into a layer, or into an object that stands for one."""
    if issubclass(type(layer), Layer):
        return layer.input_layers
    if isinstance(layer, InputLayer):
        return []
    if takes_several(layer):
        return list(layer.input_layers)
    return [layer.input_layer] if hasattr(layer, "input_layer") else []


def takes_several(layer: Any) -> bool:
    """Return whether an object that stands for a layer takes a list of inputs."""
    return isinstance(layer, MergeLayer) or isinstance(getattr(layer, "input_layers", None), list | tuple)


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
    entered = set(checked_layers(treat_as_input or (), "treat_as_input"))
    left: set = set()
    result = []
    stack = as_list(layer)[::-1]
    while stack:
        current = stack[-1]
        if current is None:
            stack.pop()
        elif not is_layer(current):
            raise TypeError(f"expected layers, got {current!r} of type {type(current).__name__}")
        elif current not in entered:
            entered.add(current)
            stack.extend(reversed(inputs_of(current)))
        else:
            stack.pop()
            if current not in left:
                left.add(current)
                result.append(current)
    return result


def described(layer: Any, layers: Sequence = ()) -> str:
    """Name a layer in a message: its place among `layers`, its class, its name, and the line that made it."""
    place = f"layer {layers.index(layer) + 1} of {len(layers)}, " if layer in layers else ""
    name = getattr(layer, "name", None)
    made = getattr(layer, "created_at", None)
    return f"{place}{type(layer).__name__} (name={name!r}){f', made at {made}' if made else ''}"


def checked_layers(keys: Iterable, what: str) -> list:
    """Return `keys` if all are layers, or None, which stands for the missing inputs of free-floating layers."""
    keys = list(keys)
    for key in keys:
        if key is not None and not is_layer(key):
            raise TypeError(f"{what} must name layers, got {key!r} of type {type(key).__name__}")
    return keys


def only_input(layers: Iterable[Layer], given: str) -> None:
    inputs = [layer for layer in layers if isinstance(layer, InputLayer)]
    if len(inputs) > 1:
        raise ValueError(
            f"{given} for a network with multiple input layers: {inputs!r}. Please call it with a dictionary from "
            "these layers instead."
        )


explain_faults(globals())
