"""Describes a network in terms of JSON: the classes, arguments and connections of its layers, and their parameters.

A value of an argument is described by itself, if JSON has it, or by a dictionary with a single key that says what it
is: ``{"tuple": [...]}``, ``{"slice": [...]}``, ``{"number": "inf"}``, ``{"function": "nonlinearities.rectify"}``,
``{"object": ["nonlinearities.LeakyRectify", {...}]}``, ``{"custom": "name"}``, ``{"layer": 3}``,
``{"network": [...]}``, ``{"param": "conv1.W"}``, ``{"transposed": ["conv1.W", [1, 0]]}``, ``{"constant": "..."}``,
``{"shared": "..."}``, ``{"array": "..."}`` or ``{"dict": {...}}``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import symc

from ..layers import InputLayer, Layer, MergeLayer
from ..layers.construction import constructor_parameters
from .names import all_layers, name_params
from .report import ModelFileError
from .vocabulary import LAYERS, function_name, object_arguments

__all__ = ["UnknownPartError", "described"]


class UnknownPartError(ModelFileError):
    """A part of a network cannot be described, or is not known where it is to be rebuilt."""


@dataclass
class _Context:
    """What a description refers to: positions of layers, names of parameters and of custom functions, arrays."""

    positions: dict[Layer, int]
    names: dict[Any, str]
    custom: Mapping[str, Any]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def described(network: Mapping[str, Layer], custom: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Describe a network.

    Parameters
    ----------
    network : dict of str to Layer
        The network; the last layer is the output layer.
    custom : mapping of str to callable or class
        The names of functions that are not part of the library.

    Returns
    -------
    (dict, dict of str to numpy.ndarray)
        The description: the entries ``layers``, one dictionary per layer, each after its inputs, and ``names``, pairs
        of key and position in the order of `network`. The arrays, by name.

    Raises
    ------
    UnknownPartError
        If a layer has an argument that cannot be described; the message names both and the repair.
    """
    layers = all_layers(network)
    params = name_params(network, warn=False)  # the file contains the architecture that they are derived from
    context = _Context(
        {layer: position for position, layer in enumerate(layers)},
        {param: name for name, param in params.items()},
        custom,
        OrderedDict((name, np.asarray(param.get_value(borrow=True))) for name, param in params.items()),
    )
    entries = [_layer(layer, context) for layer in layers]
    names = [[key, context.positions[layer]] for key, layer in network.items()]
    return {"layers": entries, "names": names}, context.arrays


def _layer(layer: Layer, context: _Context) -> dict[str, Any]:
    entry: dict[str, Any] = {"class": _class_name(layer, context), "name": layer.name}
    if isinstance(layer, InputLayer):
        entry["dtype"] = _input_dtype(layer)
    else:
        entry["inputs"] = _inputs(layer, context)
    arguments = _arguments(layer)
    entry["arguments"] = {name: _value(value, _where(layer, name), context) for name, value in arguments.items()}
    entry["params"] = [
        {"value": _param(param, layer, context), "tags": sorted(tags)} for param, tags in layer.params.items()
    ]
    values = ((name, getattr(layer, name)) for name in type(layer).saved_attributes)
    state = {name: value for name, value in values if value is not getattr(type(layer), name, None)}
    if state:
        entry["state"] = {name: _value(value, _where(layer, name), context) for name, value in state.items()}
    return entry


def _input_dtype(layer: InputLayer) -> str:
    variable = layer.input_var
    if variable.owner is not None or isinstance(variable, symc.Constant | symc.SharedVariable):
        raise UnknownPartError(
            f"the input of the layer {layer!r} is {variable}, not a variable without a value; build the network on a "
            "plain InputLayer, and apply the expression in an ExpressionLayer"
        )
    return variable.dtype


def _where(layer: Layer, name: str) -> str:
    return f"argument {name!r} of the layer {layer!r}"


def _class_name(layer: Layer, context: _Context) -> str:
    cls = type(layer)
    for name, known in context.custom.items():
        if known is cls:
            return name
    if cls.__name__ in LAYERS and LAYERS[cls.__name__] is not cls:
        raise UnknownPartError(
            f"the class of {layer!r} has the name of a layer of the library: give it another one, or pass "
            f"custom={{'name': {cls.__name__}}}"
        )
    return cls.__name__


def _inputs(layer: Layer, context: _Context) -> Any:
    """Return the layers below as positions, and missing ones as shapes: a list for a class that takes a list."""
    found = [
        {"shape": list(shape)} if below is None else {"layer": context.positions[below]}
        for below, shape in zip(layer.input_layers, layer.input_shapes)
    ]
    first = constructor_parameters(type(layer))[0].name
    return found if isinstance(layer, MergeLayer) and first == "incomings" else found[0]


def _arguments(layer: Layer) -> dict[str, Any]:
    """Return the arguments with which the constructor gives the layer as it is now; defaults are left out."""
    attributes, given = vars(layer), getattr(layer, "_given", {})
    stars = [name for name in given if name.startswith("*")]
    if stars:
        raise UnknownPartError(f"the constructor of {layer!r} takes *args, which a model file cannot describe")
    every = constructor_parameters(type(layer))
    parameters = [each for each in every if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    names = dict.fromkeys([*(each.name for each in parameters[0 if isinstance(layer, InputLayer) else 1 :]), *given])
    defaults = {each.name: each.default for each in parameters}
    result = {}
    for name in names:
        if name in ("name", "input_var"):
            continue
        if name in attributes or name in given:
            value = attributes[name] if name in attributes else given[name]
            default = defaults.get(name)
            # Only values of one type are compared: True equals 1, and arrays have no truth value.
            if value is default or (type(value) is type(default) and isinstance(value, str | int) and value == default):
                continue
            result[name] = value
    return result


def _param(param: Any, layer: Layer, context: _Context) -> Any:
    if param in context.names:
        return {"param": context.names[param]}
    return _expression(param, f"a parameter of the layer {layer!r}", context)


def _expression(value: Any, where: str, context: _Context) -> Any:
    if isinstance(value, symc.Constant):
        return {"constant": _array(np.asarray(value.data), context)}
    if isinstance(value, symc.SharedVariable):
        return {"shared": _array(np.asarray(value.get_value()), context)}
    transposed = _transposed(value)
    if transposed is not None and transposed[0] in context.names:
        return {"transposed": [context.names[transposed[0]], list(transposed[1])]}
    raise UnknownPartError(
        f"{where} is the expression {value}, which a model file cannot describe; use a shared variable, or "
        "save_weights and the code that builds the network"
    )


def _transposed(value: Any) -> tuple[Any, tuple[int, ...]] | None:
    """Return the variable and the order of axes, if an expression is a transposed variable, as in tied weights."""
    owner = getattr(value, "owner", None)
    order = None if owner is None else owner.op.attrs.get("order")
    if owner is None or order is None or len(owner.inputs) != 1 or sorted(order) != list(range(owner.inputs[0].ndim)):
        return None
    if value.ndim != owner.inputs[0].ndim:
        return None
    return owner.inputs[0], tuple(order)


def _array(array: np.ndarray, context: _Context) -> str:
    name = f"__array__/{len(context.arrays)}"
    context.arrays[name] = array
    return name


def _value(value: Any, where: str, context: _Context) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else {"number": repr(float(value))}
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, list | tuple):
        items = [_value(item, where, context) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, slice):
        return {"slice": [_value(each, where, context) for each in (value.start, value.stop, value.step)]}
    if isinstance(value, dict):
        return {"dict": {str(key): _value(item, where, context) for key, item in value.items()}}
    if isinstance(value, Layer):
        return {"layer": context.positions[value]} if value in context.positions else _network(value, context)
    if isinstance(value, symc.Variable):
        return {"param": context.names[value]} if value in context.names else _expression(value, where, context)
    if isinstance(value, np.ndarray):
        return {"array": _array(value, context)}
    return _named(value, where, context)


def _network(output: Layer, context: _Context) -> dict[str, Any]:
    """Describe a network that a layer contains and that is no part of the network around it."""
    layers = all_layers(output)
    inner = replace(context, positions={layer: position for position, layer in enumerate(layers)})
    return {"network": [_layer(layer, inner) for layer in layers]}


def _named(value: Any, where: str, context: _Context) -> Any:
    for key, known in context.custom.items():
        if known is value:
            return {"custom": key}
    if (name := function_name(value)) is not None:
        return {"function": name}
    if (found := object_arguments(value)) is not None:
        return {"object": [found[0], {key: _value(item, where, context) for key, item in found[1].items()}]}
    if isinstance(value, type(np.add)) or not callable(value):
        raise UnknownPartError(f"{where} is {value!r}, which a model file cannot describe")
    short = getattr(value, "__name__", "")
    if not short.isidentifier():
        raise UnknownPartError(
            f"{where} is the function {value!r}, which has no name. A model file contains no code: pass "
            "custom={'name': function} to save and to load"
        )
    return {"custom": short}
