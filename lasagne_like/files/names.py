"""Unique names of the parameters of a network."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from ..layers import Layer, get_all_layers

__all__ = ["Network", "all_layers", "name_params"]

Network = Layer | Sequence[Layer] | Mapping[str, Layer]


def name_params(network: Network, warn: bool = True) -> OrderedDict[str, Any]:
    """Assign a unique name to each parameter of a network.

    A parameter keeps its own name (``layer.W`` for a layer named ``layer``). Where names are missing or not unique, as
    in networks of unnamed layers, a name is derived from the key in the dictionary of layers, the name of the layer, or
    its position and class (``3_DenseLayer.W``). This issues a warning, because positions change with the architecture.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The output layer or layers, or named layers as returned by :func:`lasagne_like.models.vgg16`. All layers below
        them are part of the network.
    warn : bool
        Whether to warn of derived names.

    Returns
    -------
    OrderedDict of str to shared variable
        In the order of :func:`lasagne_like.layers.get_all_params`.

    Raises
    ------
    TypeError
        If `network` is none of these.
    """
    layers = all_layers(network)
    keys = {id(layer): key for key, layer in network.items()} if isinstance(network, Mapping) else {}
    owners: OrderedDict[Any, tuple[int, Layer]] = OrderedDict()
    for position, layer in enumerate(layers):
        for param in layer.get_params():
            owners.setdefault(param, (position, layer))
    taken: dict[str | None, int] = {}
    for param in owners:
        taken[param.name] = taken.get(param.name, 0) + 1
    names: OrderedDict[str, Any] = OrderedDict()
    derived: list[str] = []
    for param, (position, layer) in owners.items():
        name = param.name
        if not name or taken[name] > 1:
            label = keys.get(id(layer)) or layer.name
            name = _derive(param, layer, label, position, {*names, *filter(None, taken)})
            derived.append(name)
        names[name] = param
    if derived and warn:
        warnings.warn(
            f"{len(derived)} parameters have no name or share it with another; the names "
            f"{', '.join(derived[:4])}{', ...' if len(derived) > 4 else ''} are derived. Name the layers (name='...') "
            "to make weight files independent of positions",
            stacklevel=3,
        )
    return names


def _derive(param: Any, layer: Layer, label: str | None, position: int, taken: set[str]) -> str:
    short = (param.name or "").rpartition(".")[2]
    if not short:
        attributes = (key for key, value in vars(layer).items() if value is param)
        short = next(attributes, f"param{layer.get_params().index(param)}")
    by_position = f"{position}_{type(layer).__name__}"
    for owner in (label, by_position):
        if owner and f"{owner}.{short}" not in taken:
            return f"{owner}.{short}"
    return f"{by_position}.{short}_{layer.get_params().index(param)}"


def all_layers(network: Network) -> list[Layer]:
    """Return the layers of a network given by its outputs or by a dict of layers; each layer follows its inputs."""
    if isinstance(network, Layer):
        return get_all_layers(network)
    layers = list(network.values()) if isinstance(network, Mapping) else network
    if isinstance(layers, Sequence) and layers and all(isinstance(layer, Layer) for layer in layers):
        fed = {id(below) for layer in get_all_layers(list(layers)) for below in getattr(layer, "input_layers", ())}
        # Start from the outputs: the order must be that of get_all_params(output), independent of the dict.
        return get_all_layers([layer for layer in layers if id(layer) not in fed])
    raise TypeError(
        f"network: expected a Layer, a list of layers or a dict of named layers, got {type(network).__name__} "
        f"({str(network)[:60]})"
    )
