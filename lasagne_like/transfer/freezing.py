"""Freezing layers: their parameters are not trained, and their running averages are not updated."""

from __future__ import annotations

from typing import Any

from ..files import Network, all_layers
from ..layers import Layer
from .selection import Choice, select_layers

__all__ = ["freeze", "frozen_layers", "unfreeze"]


def freeze(layer_or_pattern: Choice, network: Network | None = None, *, below: bool = False) -> list[Layer]:
    """Exclude the parameters of some layers from training.

    The parameters lose the tag ``trainable``, so that ``get_all_params(network, trainable=True)`` does not list them
    and no updates or gradients are built for them. If all layers below a layer are frozen, the backward pass ends
    there. A frozen layer with running averages, such as batch normalisation, uses them without updating them, in
    training as well; so do your own layers, see :attr:`Layer.frozen`. Dropout in frozen layers stays active.

    ``layer.trainable = False`` freezes a single layer.

    Parameters
    ----------
    layer_or_pattern : Layer, str, list, dict or callable
        The layers: a layer, a shell-style pattern of layer names (``"conv[12]_*"``), a list of these, a dict of
        named layers, or a function from layer to bool.
    network : Layer, list of Layer, or dict of str to Layer, optional
        The network in which patterns and functions select layers, where it is required; the keys of a dict count as
        names, and layers without a name are called after their position and class, such as ``3_DenseLayer``. If given,
        parameters shared with other layers of the network are frozen there as well.
    below : bool
        Whether to freeze all layers below the selected ones as well.

    Returns
    -------
    list of Layer
        The selected layers; each layer follows its inputs.

    Raises
    ------
    ValueError
        If nothing matches a pattern (the message lists similar names), or `network` is required but missing; or if a
        single layer is given that has no parameters, while layers below it have.

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
    if isinstance(layer_or_pattern, Layer) and not below and not layer_or_pattern.params:
        if any(layer.params for layer in all_layers(layer_or_pattern)):
            raise ValueError(
                f"freeze: the layer {layer_or_pattern!r} has no parameters; to freeze the layers below it as well, use "
                "freeze(layer, below=True)"
            )
    for layer in chosen:
        layer.trainable = False
    for layer, param in _holders(chosen, network):
        if "trainable" in layer.params[param]:
            layer.params[param] -= {"trainable"}
            layer.params[param] |= {"frozen"}
    return chosen


def unfreeze(layer_or_pattern: Choice, network: Network | None = None, *, below: bool = False) -> list[Layer]:
    """Undo :func:`freeze`.

    Parameters and errors are those of :func:`freeze`. Layers that are not frozen and parameters that were never
    trainable are not changed.

    Returns
    -------
    list of Layer
        The selected layers.

    Examples
    --------
    Fine-tune the last block of a frozen base::

        unfreeze(last_block(net), net)
        unfreeze("block5*", net)        # the same for VGG, by names
    """
    chosen = select_layers(layer_or_pattern, network, below=below)
    for layer in chosen:
        layer.trainable = True
    for layer, param in _holders(chosen, network):
        if "frozen" in layer.params[param]:
            layer.params[param] -= {"frozen"}
            layer.params[param] |= {"trainable"}
    return chosen


def frozen_layers(network: Network) -> list[Layer]:
    """Return the layers of a network that have parameters and are frozen by :func:`freeze`."""
    return [
        layer
        for layer in all_layers(network)
        if layer.params and (layer.frozen or any("frozen" in tags for tags in layer.params.values()))
    ]


def _holders(chosen: list[Layer], network: Network | None) -> list[tuple[Layer, Any]]:
    """Pair each parameter of the selected layers with every layer of the network that uses it."""
    wanted = {param for layer in chosen for param in layer.params}
    around = chosen if network is None else [*chosen, *all_layers(network)]
    unique = list(dict.fromkeys(around))
    return [(layer, param) for layer in unique for param in layer.params if param in wanted]
