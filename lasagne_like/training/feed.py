"""Inputs of a network: which array belongs to which input layer, conversion, and advice where they do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ..layers import InputLayer, Layer
from ..layers.inference import agree

__all__ = ["as_array", "check_input", "convert_input", "input_layers", "split_inputs"]


def input_layers(layers: Sequence[Layer], may_be_none: bool = False) -> list[InputLayer]:
    """Return the input layers among the layers of a network.

    Raises
    ------
    ValueError
        If there is none, or one has a fixed batch size.
    """
    found = [layer for layer in layers if isinstance(layer, InputLayer)]
    if not found and not may_be_none:
        raise ValueError("the network has no input layer: build it on lasagne_like.layers.InputLayer((None, ...))")
    for layer in found:
        if layer.shape and layer.shape[0] is not None:
            raise ValueError(
                f"the input layer has shape {layer.shape}, with a fixed batch size: give None as the first "
                "entry, because the last batch may be smaller"
            )
    return found


def as_array(values: Any) -> Any:
    """Return an array; memory-mapped arrays, chunked files (h5py, zarr) and pictures in files are not read."""
    if isinstance(values, np.ndarray) or is_stored(values):
        return values
    return np.asarray(values)


def is_stored(values: Any) -> bool:
    """Whether this behaves like an array that is read when it is indexed: of h5py, zarr, or of pictures in files."""
    if isinstance(values, np.ndarray) or hasattr(values, "iloc"):
        return isinstance(values, np.memmap)
    return isinstance(getattr(values, "dtype", None), np.dtype) and hasattr(values, "shape")


def split_inputs(X: Any, inputs: Sequence[InputLayer]) -> tuple[Any, ...]:
    """Return one array per input layer.

    Parameters
    ----------
    X : array_like, tuple, list or dict
        For one input layer, its array. For several, a tuple or list in the order of the input layers, or a dict from
        the names of the layers (or the layers) to arrays.
    inputs : sequence of InputLayer

    Raises
    ------
    ValueError
        If arrays are missing or left over.
    """
    names = [layer.name or f"input{position}" for position, layer in enumerate(inputs)]
    if isinstance(X, Mapping):
        by_key: dict[Any, int] = {**dict(zip(names, range(len(names)))), **{layer: k for k, layer in enumerate(inputs)}}
        unknown = [key for key in X if key not in by_key]
        places = {by_key[key]: value for key, value in X.items() if key in by_key}
        missing = [name for k, name in enumerate(names) if k not in places]
        if unknown or missing:
            raise ValueError(f"inputs for {list(X)!r}: the network has the input layers {names}")
        return tuple(as_array(places[k]) for k in range(len(names)))
    if len(inputs) == 1:
        if isinstance(X, tuple) and len(X) == 1:
            X = X[0]
        return (as_array(X),)
    if not isinstance(X, (tuple, list)) or len(X) != len(inputs):
        found = f"{len(X)} arrays" if isinstance(X, (tuple, list)) else type(X).__name__
        raise ValueError(
            f"the network has {len(inputs)} input layers ({', '.join(names)}): give a tuple of {len(inputs)} arrays, "
            f"or a dict from these names to arrays; got {found}"
        )
    return tuple(map(as_array, X))


def check_input(X: Any, layer: InputLayer, what: str) -> None:
    """Check shape and dtype of an input.

    Raises
    ------
    ValueError
        If the shape does not fit the input layer. The message says how to convert the array.
    TypeError
        If the dtype cannot be converted to that of the input variable without loss of meaning.
    """
    expected = tuple(layer.shape)
    if X.dtype.kind not in "biuf":
        raise TypeError(f"{what} has dtype {X.dtype}: expected an array of numbers, of shape {expected}")
    if not (len(X.shape) == len(expected) and agree(X.shape[1:], expected[1:])):
        advice = _repair(X.shape, expected)
        raise ValueError(f"{what} has shape {X.shape}, but the network's input is {expected}{advice}")
    if X.dtype.kind == "f" and np.dtype(layer.input_var.dtype).kind in "iu":
        raise TypeError(
            f"{what} has dtype {X.dtype}, but the network's input has dtype {layer.input_var.dtype}: give integers"
        )


def _repair(found: Sequence[int], expected: Sequence[int | None]) -> str:
    """Suggest a conversion that keeps the meaning of the axes."""
    item, wanted = tuple(found[1:]), tuple(expected[1:])
    known = None not in wanted
    if len(item) == len(wanted) == 3 and agree((item[2], item[0], item[1]), wanted):
        return (
            ": the pictures are channels-last, and the network takes channels first: X.transpose(0, 3, 1, 2) "
            "(a reshape would scramble them)"
        )
    if len(item) == len(wanted) == 3 and agree(item[1:], wanted[1:]):
        return f": the pictures have {item[0]} channels and the network takes {wanted[0]}; convert their colours"
    if len(item) == 2 and len(wanted) == 3 and agree((1, *item), wanted):
        return ": add the axis of channels: X[:, None]"
    if tuple(found) and agree(tuple(found), wanted):
        return ": this is a single item; add the axis of items: X[None]"
    if known and len(item) == 1 and item[0] == prod(wanted):  # type: ignore[arg-type]
        return f": the items are flattened; X.reshape(-1, {', '.join(map(str, wanted))})"
    if known and len(wanted) == 1 and prod(item) == wanted[0]:
        return ": flatten the items: X.reshape(len(X), -1)"
    if len(item) == len(wanted) == 3:
        return ": resize the pictures, or build the network with this input_shape"
    if len(item) == len(wanted):
        return f": expected {wanted} per item, got {item}"
    return f": expected items of {len(wanted)} axes, {wanted}, got {item}"


def convert_input(X: np.ndarray, layer: Any, keep_bytes: bool = False) -> np.ndarray:
    """Convert a batch to the dtype of the input variable, as a contiguous array in memory.

    With ``keep_bytes``, bytes stay bytes: the compiled function converts them, which costs no time here, where threads
    that prepare further batches compete for Python, and moves a quarter of the data to a GPU.
    """
    variable = layer.input_var
    if keep_bytes and X.dtype == np.uint8 and variable.owner is None and np.dtype(variable.dtype).kind == "f":
        return np.ascontiguousarray(X)
    return np.ascontiguousarray(X, dtype=variable.dtype)
