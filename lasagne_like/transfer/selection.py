"""Transfer learning: freeze layers, replace the head of a trained network, copy weights between networks.

Typical use, for a trained network ``net`` (a dict of named layers)::

    new = replace_head(net, "pool5", lambda trunk: DenseLayer(trunk, 5, nonlinearity=softmax, name="out"))
    freeze("*", new)
    unfreeze("out", new)       # train the head only
    Trainer(new).fit(...)
    unfreeze("*", new)         # then fine-tune all layers
    Trainer(new, learning_rate=1e-4).fit(...)

Freezing changes the tags of parameters: call it before compiling the training function.

References
----------
.. [1] Yosinski, Clune, Bengio, Lipson (2014): How transferable are features in deep neural networks? NIPS.
"""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from ..io import LoadReport, Network, all_layers, assign_weights, name_params
from ..layers import BatchNormLayer, Layer

__all__ = ["freeze", "unfreeze", "frozen_layers", "select_layers", "replace_head", "copy_weights"]

Choice = str | Layer | Iterable[str | Layer] | Mapping[str, Layer] | Callable[[Layer], bool]


def freeze(layer_or_pattern: Choice, network: Network | None = None, *, below: bool = False) -> list[Layer]:
    """Exclude the parameters of some layers from training.

    The parameters lose the tag ``trainable``, so that ``get_all_params(network, trainable=True)`` does not list them
    and no updates or gradients are built for them. If all layers below a layer are frozen, the backward pass ends
    there. A frozen batch normalisation layer uses its stored averages without updating them, in training as well.

    Parameters
    ----------
    layer_or_pattern : Layer, str, list, dict or callable
        The layers: a layer, a shell-style pattern of layer names (``"conv[12]_*"``), a list of these, a dict of
        named layers, or a function from layer to bool.
    network : Layer, list of Layer, or dict of str to Layer, optional
        The network in which patterns and functions select layers, where it is required; the keys of a dict count as
        names. If given, parameters shared with other layers of the network are frozen there as well.
    below : bool
        Whether to freeze all layers below the selected ones as well.

    Returns
    -------
    list of Layer
        The selected layers; each layer follows its inputs.

    Raises
    ------
    ValueError
        If nothing matches a pattern (the message lists similar names), or `network` is required but missing.

    Examples
    --------
    >>> from lasagne_like.layers import DenseLayer, InputLayer, get_all_params
    >>> hidden = DenseLayer(InputLayer((None, 4)), 3, name="hidden")
    >>> out = DenseLayer(hidden, 2, name="out")
    >>> [layer.name for layer in freeze("hid*", out)]
    ['hidden']
    >>> [param.name for param in get_all_params(out, trainable=True)]
    ['out.W', 'out.b']
    """
    chosen = select_layers(layer_or_pattern, network, below=below)
    for layer, param in _holders(chosen, network):
        if "trainable" in layer.params[param]:
            layer.params[param] -= {"trainable"}
            layer.params[param] |= {"frozen"}
    for layer in chosen:
        _hold_averages(layer)
    return chosen


def unfreeze(layer_or_pattern: Choice, network: Network | None = None, *, below: bool = False) -> list[Layer]:
    """Undo :func:`freeze`.

    Parameters and errors are those of :func:`freeze`. Layers that are not frozen and parameters that were never
    trainable are not changed.

    Returns
    -------
    list of Layer
        The selected layers.
    """
    chosen = select_layers(layer_or_pattern, network, below=below)
    for layer, param in _holders(chosen, network):
        if "frozen" in layer.params[param]:
            layer.params[param] -= {"frozen"}
            layer.params[param] |= {"trainable"}
    for layer in chosen:
        _release_averages(layer)
    return chosen


def frozen_layers(network: Network) -> list[Layer]:
    """Return the layers of a network that are frozen by :func:`freeze`."""
    return [
        layer
        for layer in all_layers(network)
        if _holds_averages(layer) or any("frozen" in tags for tags in layer.params.values())
    ]


def _holders(chosen: list[Layer], network: Network | None) -> list[tuple[Layer, Any]]:
    """Pair each parameter of the selected layers with every layer of the network that uses it."""
    wanted = {param for layer in chosen for param in layer.params}
    around = chosen if network is None else [*chosen, *all_layers(network)]
    unique = list(dict.fromkeys(around))
    return [(layer, param) for layer in unique for param in layer.params if param in wanted]


def _hold_averages(layer: Layer) -> None:
    """Make a batch normalisation layer use its stored averages without updating them, overriding get_output."""
    if isinstance(layer, BatchNormLayer) and layer.told_before_freezing is None:
        layer.told_before_freezing = layer.use_averages, layer.update_averages
        layer.use_averages, layer.update_averages = True, False


def _release_averages(layer: Layer) -> None:
    if isinstance(layer, BatchNormLayer) and layer.told_before_freezing is not None:
        layer.use_averages, layer.update_averages = layer.told_before_freezing
        layer.told_before_freezing = None


def _holds_averages(layer: Layer) -> bool:
    return isinstance(layer, BatchNormLayer) and layer.told_before_freezing is not None


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
    named = _names(network)
    if callable(item):
        matches = [layer for layer in named if item(layer)]
        if not matches:
            raise ValueError(f"the function {item!r} chose none of the network's {len(named)} layers")
        return matches
    matches = [layer for layer, name in named.items() if name is not None and fnmatchcase(name, item)]
    if not matches:
        names = [name for name in named.values() if name is not None]
        near = difflib.get_close_matches(item, names, n=5, cutoff=0.4)
        listed = f"names: {', '.join(names)}" if names else "no layer has a name"
        hint = f"near names: {', '.join(near)}" if near else listed
        raise ValueError(f"no layer's name matches {item!r}; {hint}")
    return matches


def _names(network: Network) -> dict[Layer, str | None]:
    keys = {layer: key for key, layer in network.items()} if isinstance(network, Mapping) else {}
    return {layer: keys.get(layer, layer.name) for layer in all_layers(network)}


def replace_head(
    network: Network, cut: str | Layer, build: Callable[[Layer], Layer | Mapping[str, Layer]]
) -> OrderedDict[str, Layer]:
    """Replace the layers above a given layer of a network.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The trained network. It is not changed. The new network shares its layers and parameters up to `cut`.
    cut : str or Layer
        The last layer to keep, or its name.
    build : callable
        Called with that layer; returns the new output layer, or a dict of new named layers of which the last is the
        output layer.

    Returns
    -------
    OrderedDict of str to Layer
        The kept layers under their names, followed by the new layers; unnamed layers are named after their position and
        class. The last entry is the output layer.

    Raises
    ------
    ValueError
        If `cut` does not match exactly one layer, if the result of `build` is not connected to it, or if a new layer
        has the name of a kept layer.

    Examples
    --------
    >>> from lasagne_like.layers import DenseLayer, InputLayer
    >>> trained = DenseLayer(DenseLayer(InputLayer((None, 4), name="input"), 3, name="hidden"), 10, name="out")
    >>> list(replace_head(trained, "hidden", lambda trunk: DenseLayer(trunk, 2, name="out")))
    ['input', 'hidden', 'out']
    """
    found = select_layers(cut, network)
    if len(found) != 1:
        names = ", ".join(str(layer.name) for layer in found)
        raise ValueError(f"cut={cut!r} matches {len(found)} layers ({names}), expected one")
    trunk = found[0]
    built = build(trunk)
    head_names = {layer: name for name, layer in built.items()} if isinstance(built, Mapping) else {}
    top = list(built.values())[-1] if isinstance(built, Mapping) else built
    layers = all_layers(top)
    if trunk not in layers:
        raise ValueError(f"the result of build does not rest on {cut!r}: build on the layer passed to it")
    kept, old_names = set(all_layers(trunk)), _names(network)
    result: OrderedDict[str, Layer] = OrderedDict()
    for position, layer in enumerate(layers):
        name = old_names.get(layer) if layer in kept else head_names.get(layer, layer.name)
        name = name or f"{position}_{type(layer).__name__}"
        if name in result:
            raise ValueError(f"two layers would be called {name!r}: give the new layer another name")
        result[name] = layer
    return result


def copy_weights(
    source: Network, target: Network, pattern: str | Iterable[str] = "*", *, strict: bool = True
) -> LoadReport:
    """Copy parameter values from one network to another, by name.

    Parameters
    ----------
    source, target : Layer, list of Layer, or dict of str to Layer
        The networks; see :func:`lasagne_like.io.name_params` for the names of their parameters.
    pattern : str or list of str
        Shell-style patterns of the parameter names to copy, such as ``"conv*"``.
    strict : bool
        Whether the selected parameters must match in names and shapes. If False, those that match are copied.

    Returns
    -------
    LoadReport
        What was copied and what was not.

    Raises
    ------
    lasagne_like.io.WeightsMismatchError
        If `strict` is True and names or shapes do not match. Nothing is copied.
    ValueError
        If the pattern matches no parameter of the source.
    """
    patterns = [pattern] if isinstance(pattern, str) else list(pattern)

    def chosen(network: Network) -> dict[str, Any]:
        named = name_params(network)
        return {name: param for name, param in named.items() if any(fnmatchcase(name, p) for p in patterns)}

    values = {name: param.get_value() for name, param in chosen(source).items()}
    if not values:
        raise ValueError(f"pattern={pattern!r} matches no parameter of the source: {', '.join(name_params(source))}")
    return assign_weights(values, chosen(target), strict=strict, source="the source network")
