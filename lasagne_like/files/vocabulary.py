"""The functions and classes that a model file may name. Nothing else in a file is ever called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import symc.tensor as T

from .. import layers, nonlinearities
from ..layers import Layer

__all__ = ["FUNCTIONS", "LAYERS", "OBJECTS", "function_name", "object_arguments"]

_TENSOR = (
    "abs add argmax argmin clip concatenate cos exp expm1 log log1p max maximum mean min minimum mul neg prod sgn sin "
    "sqr sqrt std sub sum tanh true_div var"
).split()
_NNET = "conv2d elu relu sigmoid softmax softplus".split()

#: Name to layer class.
LAYERS: dict[str, type[Layer]] = {
    name: cls
    for name, cls in vars(layers).items()
    if inspect.isclass(cls) and issubclass(cls, Layer) and cls.__name__ == name
}

#: Name to function, or to an instance such as ``leaky_rectify``.
FUNCTIONS: dict[str, Any] = {
    **{f"tensor.{name}": getattr(T, name) for name in _TENSOR if hasattr(T, name)},
    **{f"tensor.nnet.{name}": getattr(T.nnet, name) for name in _NNET},
    **{
        f"nonlinearities.{name}": getattr(nonlinearities, name)
        for name in nonlinearities.__all__
        if not inspect.isclass(getattr(nonlinearities, name)) and name != "identity"
    },
}

#: Name to a class of callable objects with numbers as arguments, or to a gate.
OBJECTS: dict[str, type] = {
    f"nonlinearities.{cls.__name__}": cls
    for cls in (getattr(nonlinearities, name) for name in nonlinearities.__all__)
    if inspect.isclass(cls)
} | {"layers.Gate": layers.Gate}


def function_name(function: Any) -> str | None:
    """Return the name of a function in :data:`FUNCTIONS`, or None."""
    return next((name for name, known in FUNCTIONS.items() if known is function), None)


def object_arguments(value: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the name of the class of an object in :data:`OBJECTS` and its arguments, or None."""
    for name, cls in OBJECTS.items():
        if type(value) is cls:
            return name, {each: getattr(value, each) for each in inspect.signature(cls).parameters}
    return None
