"""Selecting layers of a network by name, pattern or function."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

from ..files import Network, all_layers
from ..layers import Layer

__all__ = ["Choice", "layer_names", "select_layers"]

Choice = str | Layer | Iterable[str | Layer] | Mapping[str, Layer] | Callable[[Layer], bool]


def select_layers(choice: Choice, network: Network | None = None, *, below: bool = False) -> list[Layer]:
    """Select layers as described for :func:`freeze`.

    Parameters
    ----------
    choice : Layer, str, list, dict or callable
        The layers.
    network : Layer, list of Layer, or dict of str to Layer, optional
        The network in which patterns and functions select layers.
    below : bool
        Whether to add all layers below the selected ones.

    Returns
    -------
    list of Layer
        Without duplicates; each layer follows its inputs.

    Raises
    ------
    ValueError
        If nothing matches, or `network` is required but missing.
    TypeError
        If `choice` is of another type.
    """
    if isinstance(network, str):
        raise TypeError(f"the layers come first, then the network they are in: call it with ({network!r}, network)")
    if isinstance(choice, Mapping):
        choice = list(choice.values())
    items = list(choice) if isinstance(choice, Iterable) and not isinstance(choice, str) else [choice]
    found: dict[Layer, None] = {}
    for item in items:
        for layer in [item] if isinstance(item, Layer) else _matching(item, network):
            found.update(dict.fromkeys(all_layers(layer) if below else [layer]))
    order = all_layers(network) if network is not None else all_layers(list(found)) if found else []
    return [layer for layer in order if layer in found] + [layer for layer in found if layer not in set(order)]


def _matching(item: object, network: Network | None) -> list[Layer]:
    if not isinstance(item, str) and not callable(item):
        raise TypeError(
            f"expected layers, names, or a function from layer to bool, got {type(item).__name__}: {item!r}"
        )
    if network is None:
        raise ValueError(f"{item!r} needs the network to look in: pass network=... (an output layer or a dict)")
    named = layer_names(network)
    if callable(item):
        matches = [layer for layer in named if item(layer)]
        if not matches:
            raise ValueError(f"the function {item!r} chose none of the network's {len(named)} layers")
        return matches
    matches = [layer for layer, name in named.items() if fnmatchcase(name, item)]
    if not matches:
        names = list(named.values())
        near = difflib.get_close_matches(item, names, n=5, cutoff=0.4)
        hint = f"near names: {', '.join(near)}" if near else f"names: {', '.join(names)}"
        raise ValueError(f"no layer's name matches {item!r}; {hint}")
    return matches


def layer_names(network: Network) -> dict[Layer, str]:
    """Map the layers of a network to their names.

    The keys of a dict of layers take precedence. Layers without a name are called after their position and class.
    """
    keys = {layer: key for key, layer in network.items()} if isinstance(network, Mapping) else {}
    return {
        layer: keys.get(layer) or layer.name or f"{position}_{type(layer).__name__}"
        for position, layer in enumerate(all_layers(network))
    }
