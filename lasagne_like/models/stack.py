"""A network under construction, and what all builders have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import symc

from ..layers import BatchNormLayer, Conv2DLayer, DenseLayer, DropoutLayer, InputLayer, Layer, NonlinearityLayer
from ..network import Model
from ..nonlinearities import rectify, softmax

__all__ = ["Stack", "checked_classes_and_shape"]


class Stack:
    """A chain or graph of named layers under construction.

    Attributes
    ----------
    layers : Model
        The layers.
    top : Layer
        The layer added last, on which the next one is put.
    """

    def __init__(self, name: str, shape: Sequence[int | None], input_var: Any = None) -> None:
        self.layers = Model(name=name)
        self.top: Layer = InputLayer(shape, input_var, name="input")
        self.layers["input"] = self.top

    def add(self, name: str, kind: Callable[..., Layer], *args: Any, on: Any = None, **kwargs: Any) -> Layer:
        """Add a layer on the last one, or on the layer or layers `on`."""
        self.top = self.layers[name] = kind(self.top if on is None else on, *args, name=name, **kwargs)
        return self.top

    def conv(self, name: str, filters: int, size: int, **kwargs: Any) -> Layer:
        """Add a correlation with square filters, padded by half their size, without bias and nonlinearity."""
        options = {"pad": size // 2, "b": None, "nonlinearity": None, "flip_filters": False} | kwargs
        return self.add(name, Conv2DLayer, filters, size, **options)

    def norm(self, name: str, epsilon: float = 1e-5, **kwargs: Any) -> Layer:
        """Add batch normalisation with the constants of PyTorch."""
        return self.add(name, BatchNormLayer, epsilon=epsilon, **kwargs)

    def relu(self, name: str) -> Layer:
        """Add a rectifier."""
        return self.add(name, NonlinearityLayer, rectify)

    def classifier(self, name: str, num_classes: int, dropout: float = 0.0) -> None:
        """Add dropout, the last dense layer, and the softmax layer ``prob``."""
        if dropout:
            self.add(f"{name}_dropout", DropoutLayer, p=dropout)
        self.add(name, DenseLayer, num_classes, nonlinearity=None)
        self.add("prob", NonlinearityLayer, softmax)


def checked_classes_and_shape(
    builder: str, weights: Any, input_shape: Any, num_classes: Any, include_top: bool, default: int = 1000
) -> int:
    """Check the arguments that all builders have in common; return the number of classes."""
    if isinstance(weights, symc.Variable):
        raise TypeError(f"{builder}: weights is a symbolic variable; pass it as input_var={weights}")
    if not isinstance(weights, str | os.PathLike | None):
        raise TypeError(f"{builder}: weights={weights!r} must be 'imagenet', another name, the path of a file, or None")
    if num_classes is not None and not include_top:
        raise ValueError(
            f"{builder}: num_classes={num_classes} has no effect with include_top=False; use include_top=True, or put "
            "a new head on the base with lasagne_like.transfer.replace_head"
        )
    sizes = tuple(input_shape) if isinstance(input_shape, Sequence) and not isinstance(input_shape, str) else ()
    valid = len(sizes) == 3 and sizes[0] is not None
    if not valid or not all(n is None or isinstance(n, Integral) and int(n) > 0 for n in sizes):
        hint = ""
        if len(sizes) == 4:
            hint = f"; leave out the batch: {sizes[1:]}"
        elif len(sizes) == 2:
            hint = f"; add the channels: {(3, *sizes)}"
        raise ValueError(f"{builder}: input_shape={input_shape!r} must be (channels, rows, columns){hint}")
    if sizes[2] in (1, 3) and sizes[0] not in (1, 3):
        raise ValueError(
            f"{builder}: input_shape={input_shape!r}: pictures are channels-first here: {(sizes[2], *sizes[:2])}"
        )
    if num_classes is None:
        return default
    if not isinstance(num_classes, Integral) or int(num_classes) < 1:
        raise ValueError(f"{builder}: num_classes={num_classes!r} must be a positive integer")
    return int(num_classes)
