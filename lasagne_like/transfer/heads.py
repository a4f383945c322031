"""Heads: what a network computes from the features of its base."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import symc.tensor as T

from ..files import Network, all_layers
from ..init import HeNormal
from ..layers import DenseLayer, DropoutLayer, FlattenLayer, GlobalPoolLayer, InputLayer, Layer
from ..network import checked_classes
from ..nonlinearities import rectify, sigmoid, softmax
from .selection import layer_names, select_layers

__all__ = ["last_block", "replace_head"]

Build = Callable[[Layer], Layer | Mapping[str, Layer]]


def replace_head(
    network: Network,
    cut: str | Layer | None = None,
    build: Build | None = None,
    *,
    num_classes: int | None = None,
    classes: Sequence[str] | None = None,
    pool: str | None = "average",
    hidden: int | Sequence[int] = (),
    dropout: float = 0.0,
    nonlinearity: Any = "auto",
) -> OrderedDict[str, Layer]:
    """Put a new head on the base of a network.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The trained network, with or without a head. It is not changed. The new network shares its layers and parameters
        up to `cut`.
    cut : str or Layer, optional
        The last layer to keep, or its name. By default the last layer whose output has spatial axes (for VGG, the last
        pooling layer); in networks without spatial axes, the layer below the last layer with parameters.
    build : callable, optional
        Called with that layer; returns the new output layer, or a dict of new named layers of which the last is the
        output layer. Instead of it, the following describe the head.
    num_classes : int, optional
        The number of units of the output layer, ``top``.
    classes : sequence of str, optional
        The names of the classes; their number is `num_classes`.
    pool : {'average', 'max', None}
        How spatial axes are pooled, in the layer ``top_pool``. None makes a vector of all values.
    hidden : int or sequence of int
        The numbers of units of rectified dense layers (``top_hidden1``, ...) between pooling and output layer.
    dropout : float
        The probability of dropout before each dense layer.
    nonlinearity : callable, None or 'auto'
        That of the output layer: by default softmax, for a single unit the sigmoid.

    Returns
    -------
    OrderedDict of str to Layer
        The kept layers under their names, followed by the new layers; unnamed layers are named after their position and
        class. The last entry is the output layer. From a :class:`lasagne_like.models.Model`, a model with the same
        preprocessing, without a margin that is cropped off (:meth:`lasagne_like.data.Preprocess.whole`).

    Raises
    ------
    ValueError
        If `cut` does not match exactly one layer, if the result of `build` is not connected to it, or if a new layer
        has the name of a kept layer.
    TypeError
        If neither `build` nor `num_classes` or `classes` is given, or both are.

    Examples
    --------
    >>> from lasagne_like.layers import Conv2DLayer, DenseLayer, InputLayer
    >>> base = Conv2DLayer(InputLayer((None, 3, 8, 8), name="input"), 4, 3, name="conv")
    >>> list(replace_head(base, num_classes=2))
    ['input', 'conv', 'top_pool', 'top']
    >>> list(replace_head(base, "conv", lambda base: DenseLayer(base, 2, name="out")))
    ['input', 'conv', 'out']
    """
    if classes is not None:
        classes = checked_classes(classes)
    if classes is not None and num_classes is None and build is None:
        num_classes = len(classes)
    _check_description(build, num_classes, classes)
    base = _base(network) if cut is None else _only(cut, network)
    if build is None:
        assert num_classes is not None
        widths = [hidden] if isinstance(hidden, int) else list(hidden)
        top: Any = _standard_head(base, num_classes, pool, widths, dropout, nonlinearity)
    else:
        top = build(base)
    named = {layer: name for name, layer in top.items()} if isinstance(top, Mapping) else {}
    top = list(top.values())[-1] if isinstance(top, Mapping) else top
    if not isinstance(top, Layer):
        raise TypeError(f"replace_head: build must return a layer or a dict of layers, got {type(top).__name__}")
    if base not in all_layers(top):
        raise ValueError(f"the result of build does not rest on {cut or base!r}: build on the layer passed to it")
    return _as_given(network, _all_named(network, base, top, named), classes)


def _check_description(build: Any, num_classes: int | None, classes: Sequence[str] | None) -> None:
    if build is None and num_classes is None:
        raise TypeError("replace_head: pass num_classes=2 (or classes=[...]), or build=, a function from base to head")
    if build is not None and (num_classes is not None or not callable(build)):
        raise TypeError("replace_head: build is a function from the base to the head, which replaces num_classes")
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"replace_head: num_classes={num_classes}: expected at least 1")
    named = num_classes if classes is None else len(classes)
    if num_classes is not None and num_classes != named and (num_classes, named) != (1, 2):
        raise ValueError(
            f"replace_head: num_classes={num_classes} does not fit the {named} classes {list(classes or ())}"
        )


def _only(cut: str | Layer, network: Network) -> Layer:
    found = select_layers(cut, network)
    if len(found) != 1:
        names = ", ".join(str(layer.name) for layer in found)
        raise ValueError(f"cut={cut!r} matches {len(found)} layers ({names}), expected one")
    return found[0]


def _base(network: Network) -> Layer:
    """Return the last layer of the base of a network."""
    layers = all_layers(network)
    spatial = [layer for layer in layers if len(layer.output_shape) > 2 and not isinstance(layer, InputLayer)]
    if spatial:
        return spatial[-1]
    weighted = [layer for layer in layers if layer.params and len(layer.input_layers) == 1]
    if not weighted or len(weighted) == 1:
        raise ValueError(
            "replace_head: the network has no base below its last layer with parameters: pass cut=, the last layer to "
            "keep"
        )
    return weighted[-1].input_layer


def _standard_head(
    base: Layer, num_classes: int, pool: str | None, hidden: Sequence[int], dropout: float, nonlinearity: Any
) -> Layer:
    top = base
    if len(base.output_shape) > 2:
        top = _pooled(base, pool)
    for number, units in enumerate([*hidden, num_classes], start=1):
        last = number > len(hidden)
        if dropout:
            top = DropoutLayer(top, p=dropout, name="top_dropout" if last else f"top_dropout{number}")
        if last:
            chosen = (sigmoid if num_classes == 1 else softmax) if nonlinearity == "auto" else nonlinearity
            top = DenseLayer(top, units, nonlinearity=chosen, name="top")
        else:
            top = DenseLayer(top, units, W=HeNormal("relu"), nonlinearity=rectify, name=f"top_hidden{number}")
    return top


def _pooled(base: Layer, pool: str | None) -> Layer:
    if pool is None:
        return FlattenLayer(base, name="top_flatten")
    functions: dict[str, Any] = {"average": T.mean, "max": T.max}
    if pool not in functions:
        raise ValueError(f"replace_head: pool={pool!r}: expected 'average', 'max' or None (all values)")
    return GlobalPoolLayer(base, pool_function=functions[pool], name="top_pool")


def _all_named(network: Network, base: Layer, top: Layer, named: Mapping[Layer, str]) -> OrderedDict[str, Layer]:
    kept, old_names = set(all_layers(base)), layer_names(network)
    result: OrderedDict[str, Layer] = OrderedDict()
    for position, layer in enumerate(all_layers(top)):
        name = old_names.get(layer) if layer in kept else named.get(layer, layer.name)
        name = name or f"{position}_{type(layer).__name__}"
        if name in result:
            raise ValueError(f"two layers would be called {name!r}: give the new layer another name")
        result[name] = layer
    return result


def _as_given(network: Network, layers: OrderedDict[str, Layer], classes: Sequence[str] | None) -> Any:
    """Return a model for a model, with its preprocessing."""
    if classes is None and not hasattr(network, "preprocess"):
        return layers
    from ..models import Model

    preprocess = getattr(network, "preprocess", None)
    return Model(layers, preprocess=preprocess and preprocess.whole(), classes=classes)


def last_block(network: Network, count: int = 1) -> list[Layer]:
    """Return the layers of the last blocks of a network's base, those to fine-tune first.

    Blocks are told by the first number in the names of layers, before a separator: ``conv5_3``, ``bn5_3`` and ``pool5``
    belong to block 5, and so do ``block5_conv1``, ``block5a_conv`` and ``layer5.0.conv2``.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The network.
    count : int
        The number of blocks.

    Returns
    -------
    list of Layer
        All layers with spatial axes from the beginning of these blocks, of which those with parameters count, to the
        end of the base. A head on pooled or flattened features does not belong to them.

    Raises
    ------
    ValueError
        If fewer blocks are found.

    Examples
    --------
    >>> from lasagne_like.models import small_vgg
    >>> net = small_vgg()
    >>> [layer.name for layer in last_block(net)]
    ['conv2_1', 'bn2_1', 'relu2_1', 'conv2_2', 'bn2_2', 'relu2_2', 'pool2']
    """
    blocks: dict[int, list[Layer]] = {}
    for layer, name in layer_names(network).items():
        found = re.match(r"\D+(\d+)[a-z]?(?:[._]|$)", name)
        if found and len(layer.output_shape) > 2:
            blocks.setdefault(int(found[1]), []).append(layer)
    weighted = [number for number, layers in blocks.items() if any(layer.params for layer in layers)]
    if count < 1 or len(weighted) < count:
        listed = ", ".join(map(str, weighted)) or "none"
        raise ValueError(
            f"last_block: expected at least {max(count, 1)} numbered blocks of layers with spatial axes, found "
            f"{listed}: select layers by name, for example unfreeze('conv5*', network)"
        )
    order = [layer for layer in all_layers(network) if len(layer.output_shape) > 2]
    first = min(order.index(layer) for number in weighted[-count:] for layer in blocks[number])
    return order[first:]
