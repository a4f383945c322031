"""Builds a network from its description; see :mod:`lasagne_like.files.describe`.

Only what :mod:`lasagne_like.files.vocabulary` lists and what the caller passes as ``custom`` is ever called.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from ..layers import Gate, InputLayer, Layer, MergeLayer
from ..layers.construction import constructor_parameters
from ..lazy import lazy_init
from ..utils import hand_over, shape_of
from .describe import UnknownPartError
from .report import ModelFileError
from .vocabulary import FUNCTIONS, LAYERS, OBJECTS

__all__ = ["rebuilt"]

_DEEPEST = 32
_MOST_LAYERS = 10_000
_LARGEST = 2**40
# Python loops over these, so that a huge number in a file would take forever.
_LIMITS = {("LocalResponseNormalization2DLayer", "n"): 10_001}
_INPUT_DTYPES = {
    "float32",
    "float64",
    "float16",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "bool",
}


class _Builder:
    """Builds layers one after the other.

    Attributes
    ----------
    layers : list of Layer
        The layers built so far, by position.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], custom: Mapping[str, Any]) -> None:
        self.arrays = arrays
        self.custom = custom
        self.layers: list[Layer] = []
        self._variables: dict[str, Any] = {}
        self._nesting = 0

    def add(self, entry: Any) -> None:
        """Build the layer of an entry."""
        _expect_keys(
            "the entry of a layer", entry, {"class", "name", "arguments", "params"}, {"inputs", "dtype", "state"}
        )
        name, arguments = entry["name"], entry["arguments"]
        if not isinstance(name, str | None) or not isinstance(arguments, dict):
            raise ModelFileError("the name or the arguments of a layer are not valid")
        cls = self._class(entry["class"], name)
        self._check_arguments(cls, arguments)
        values = {key: self.value(value) for key, value in arguments.items()}
        if cls is InputLayer:
            layer = self._input(name, values, entry.get("dtype"))
        else:
            layer = cls(self._inputs(cls, entry.get("inputs")), **values, name=name)
        self._set_params(layer, entry["params"], list(values.values()))
        self._set_state(layer, entry.get("state", {}))
        self.layers.append(layer)

    def _class(self, name: Any, layer: str | None) -> Any:
        if isinstance(name, str) and name in self.custom:
            cls = self.custom[name]
            if not (isinstance(cls, type) and issubclass(cls, Layer)):
                raise TypeError(f"custom[{name!r}] must be a subclass of Layer, got {cls!r}")
            return cls
        if isinstance(name, str) and name in LAYERS and LAYERS[name] not in (Layer, MergeLayer):
            return LAYERS[name]
        short = str(name)[:60]
        raise UnknownPartError(
            f"the file contains the custom layer {short} (layer {layer!r}), which the library does not know; pass "
            f"load(path, custom={{{short!r}: {short}}}) with its class"
        )

    def _check_arguments(self, cls: Any, arguments: Mapping[str, Any]) -> None:
        for (owner, key), most in _LIMITS.items():
            value = arguments.get(key)
            if cls.__name__ == owner and isinstance(value, int | float) and value > most:
                raise ModelFileError(f"the argument {key}={value} of {owner} is larger than {most}")
        parameters = constructor_parameters(cls)
        known = {each.name for each in parameters[0 if cls is InputLayer else 1 :]} - {"name", "input_var"}
        takes_more = any(each.kind is each.VAR_KEYWORD for each in parameters)
        unknown = [key for key in arguments if key not in known and not (takes_more and key.isidentifier())]
        if unknown or "name" in arguments:
            raise ModelFileError(f"{cls.__name__} has no argument {str((unknown or ['name'])[0])[:60]!r}")

    def _input(self, name: str | None, values: dict[str, Any], dtype: Any) -> InputLayer:
        shape = values.pop("shape", None)
        sizes = isinstance(shape, tuple | list) and all(size is None or type(size) is int for size in shape)
        if not sizes or values or not isinstance(dtype, str) or dtype not in _INPUT_DTYPES or len(shape) > 32:
            raise ModelFileError("the shape or the dtype of an input layer is not valid")
        label = f"{name}.input" if name else "input"
        return InputLayer(shape, T.tensor(dtype, shape=tuple(shape), name=label), name=name)

    def _inputs(self, cls: Any, entry: Any) -> Any:
        if isinstance(entry, list):
            return [self._input_of(each) for each in entry]
        return self._input_of(entry)

    def _input_of(self, entry: Any) -> Any:
        if isinstance(entry, dict) and set(entry) == {"shape"} and isinstance(entry["shape"], list):
            if all(size is None or type(size) is int for size in entry["shape"]) and len(entry["shape"]) <= 32:
                return tuple(entry["shape"])
        if isinstance(entry, dict) and set(entry) == {"layer"}:
            return self._layer_at(entry["layer"])
        raise ModelFileError("the inputs of a layer are not valid")

    def _layer_at(self, position: Any) -> Layer:
        if type(position) is not int or not 0 <= position < len(self.layers):
            raise ModelFileError("a layer refers to a layer that does not precede it")
        return self.layers[position]

    def _set_params(self, layer: Layer, entries: Any, values: list[Any]) -> None:
        """Set the values of parameters that the constructor made itself, and the tags of all."""
        if not isinstance(entries, list) or len(entries) != len(layer.params):
            raise ModelFileError(f"the file does not have the {len(layer.params)} parameters of {layer!r}")
        for entry, param in zip(entries, list(layer.params)):
            _expect_keys("the entry of a parameter", entry, {"value", "tags"}, set())
            tags = entry["tags"]
            if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
                raise ModelFileError("the tags of a parameter are not valid")
            layer.params[param].clear()
            layer.params[param].update(tags)
            reference = entry["value"]
            if isinstance(param, symc.SharedVariable) and isinstance(reference, dict) and "param" in reference:
                self._adopt(layer, param, reference["param"])
            elif not any(param is value for value in values):
                raise ModelFileError(f"the file does not say what the parameter {param.name} is")

    def _adopt(self, layer: Layer, param: Any, name: Any) -> None:
        if name in self._variables and self._variables[name] is param:
            return
        array = self._array(name)
        if array.shape != shape_of(param):
            raise ModelFileError(f"{name} has the shape {array.shape}, but {layer!r} needs {shape_of(param)}")
        hand_over(param, array)
        self._variables[name] = param

    def _set_state(self, layer: Layer, state: Any) -> None:
        if not isinstance(state, dict) or not set(state) <= set(type(layer).saved_attributes):
            raise ModelFileError(f"the state of {layer!r} is not valid")
        for name, value in state.items():
            setattr(layer, name, self.value(value))

    def value(self, entry: Any, depth: int = 0) -> Any:
        """Return the value that an entry describes."""
        if depth > _DEEPEST:
            raise ModelFileError(f"a value is nested more than {_DEEPEST} deep")
        if isinstance(entry, int | float) and not isinstance(entry, bool) and abs(entry) > _LARGEST:
            raise ModelFileError(f"the number {str(entry)[:40]} is too large")
        if entry is None or isinstance(entry, bool | int | float | str):
            return entry
        if isinstance(entry, list):
            return [self.value(item, depth + 1) for item in entry]
        if not isinstance(entry, dict) or len(entry) != 1:
            raise ModelFileError(f"a value is not valid: {str(entry)[:80]}")
        ((kind, content),) = entry.items()
        builder = _VALUES.get(kind)
        if builder is None:
            raise ModelFileError(f"a value of the unknown kind {kind[:40]!r}")
        return builder(self, content, depth + 1)

    def _tuple(self, content: Any, depth: int) -> tuple:
        if not isinstance(content, list):
            raise ModelFileError("a tuple is not valid")
        return tuple(self.value(item, depth) for item in content)

    def _slice(self, content: Any, depth: int) -> slice:
        parts = self._tuple(content, depth)
        if len(parts) != 3 or not all(each is None or type(each) is int for each in parts):
            raise ModelFileError("a slice is not valid")
        return slice(*parts)

    def _number(self, content: Any, depth: int) -> float:
        if content not in ("inf", "-inf", "nan"):
            raise ModelFileError("a number is not valid")
        return float(content)

    def _dict(self, content: Any, depth: int) -> dict:
        if not isinstance(content, dict):
            raise ModelFileError("a dictionary is not valid")
        return {key: self.value(item, depth) for key, item in content.items()}

    def _function(self, content: Any, depth: int) -> Any:
        if not isinstance(content, str) or content not in FUNCTIONS:
            raise ModelFileError(f"the file names the function {str(content)[:60]!r}, which the library does not know")
        return FUNCTIONS[content]

    def _object(self, content: Any, depth: int) -> Any:
        if not isinstance(content, list) or len(content) != 2 or content[0] not in OBJECTS:
            raise ModelFileError(f"the file names the object {str(content)[:60]!r}, which the library does not know")
        arguments = self._dict(content[1], depth)
        cls = OBJECTS[content[0]]
        if set(arguments) - set(inspect.signature(cls).parameters):
            raise ModelFileError(f"the arguments of {content[0]} are not valid")
        if cls is not Gate and not all(type(value) in (int, float) for value in arguments.values()):
            raise ModelFileError(f"the arguments of {content[0]} are not numbers")
        return cls(**arguments)

    def _custom(self, content: Any, depth: int) -> Any:
        if isinstance(content, str) and content in self.custom:
            return self.custom[content]
        short = str(content)[:60]
        raise UnknownPartError(
            f"the file contains the custom function {short}; pass load(path, custom={{{short!r}: {short}}})"
        )

    def _layer(self, content: Any, depth: int) -> Layer:
        return self._layer_at(content)

    def _network(self, content: Any, depth: int) -> Layer:
        """Build a network that a layer contains, such as the transitions of a recurrent layer."""
        if not isinstance(content, list) or not 0 < len(content) <= _MOST_LAYERS or self._nesting >= _DEEPEST:
            raise ModelFileError("a network inside a layer is not valid")
        inner = _Builder(self.arrays, self.custom)
        inner._variables, inner._nesting = self._variables, self._nesting + 1
        for entry in content:
            inner.add(entry)
        return inner.layers[-1]

    def _param(self, content: Any, depth: int) -> Any:
        if not isinstance(content, str):
            raise ModelFileError("the name of a parameter is not valid")
        if content not in self._variables:
            array = self._array(content)
            # Given by a function, so that the variable owns the array without a copy.
            made = symc.shared(lambda: array, name=content, shape=array.shape, dtype=array.dtype.name)
            self._variables[content] = made
        return self._variables[content]

    def _transposed(self, content: Any, depth: int) -> Any:
        if not isinstance(content, list) or len(content) != 2 or not isinstance(content[1], list):
            raise ModelFileError("a transposed parameter is not valid")
        variable = self._param(content[0], depth)
        if sorted(map(str, content[1])) != sorted(map(str, range(variable.ndim))):
            raise ModelFileError("the axes of a transposed parameter are not valid")
        return variable.dimshuffle(*content[1])

    def _array(self, name: Any) -> np.ndarray:
        if not isinstance(name, str) or name not in self.arrays:
            raise ModelFileError(f"the array {str(name)[:60]!r} is not in the file")
        return self.arrays[name]


_VALUES = {
    "tuple": _Builder._tuple,
    "slice": _Builder._slice,
    "number": _Builder._number,
    "dict": _Builder._dict,
    "function": _Builder._function,
    "object": _Builder._object,
    "custom": _Builder._custom,
    "layer": _Builder._layer,
    "network": _Builder._network,
    "param": _Builder._param,
    "transposed": _Builder._transposed,
    "array": lambda builder, content, depth: builder._array(content).copy(),
    "constant": lambda builder, content, depth: T.constant(builder._array(content)),
    "shared": lambda builder, content, depth: symc.shared(builder._array(content).copy()),
}


def rebuilt(description: Any, arrays: Mapping[str, np.ndarray], custom: Mapping[str, Any]) -> OrderedDict[str, Layer]:
    """Build a network from its description.

    Parameters
    ----------
    description : object
        The result of :func:`lasagne_like.files.describe.described`, as JSON gives it. Anything else is refused.
    arrays : mapping of str to numpy.ndarray
        The arrays to which it refers. The parameters keep them without a copy.
    custom : mapping of str to class or function
        Layers and functions that are not part of the library, by the names in the description.

    Returns
    -------
    OrderedDict of str to Layer

    Raises
    ------
    ModelFileError
        If the description is not valid.
    UnknownPartError
        If it names a layer or function that is neither in the library nor in `custom`.
    """
    _expect_keys("the description", description, {"layers", "names"}, set())
    entries, names = description["layers"], description["names"]
    if not isinstance(entries, list) or not entries or not isinstance(names, list) or not names:
        raise ModelFileError("the description has no layers")
    builder = _Builder(arrays, custom)
    if len(entries) > _MOST_LAYERS:
        raise ModelFileError(f"the description has more than {_MOST_LAYERS} layers")
    # Also constants: an array as large as a damaged file may ask for must not be allocated.
    with lazy_init(constants=True):
        for entry in entries:
            builder.add(entry)
    network: OrderedDict[str, Layer] = OrderedDict()
    for pair in names:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or pair[0] in network:
            raise ModelFileError("the names of the layers are not valid")
        network[pair[0]] = builder._layer_at(pair[1])
    return network


def _expect_keys(what: str, entry: Any, needed: set[str], optional: set[str]) -> None:
    if not isinstance(entry, dict) or not needed <= set(entry) <= needed | optional:
        raise ModelFileError(f"{what} is not a dictionary with the entries {', '.join(sorted(needed))}")
