"""Inputs of networks, given as arrays, several arrays, or batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import symc

from ..layers import InputLayer

__all__ = ["arrays_of", "batches_of", "converted", "plain", "preprocessed", "root"]


def preprocessed(values: Any, preprocess: Callable[[Any], Any] | None) -> Any:
    """Convert pictures of uint8, files and PIL images by a model's preprocessing; anything else is inputs already."""
    kind = np.asarray(values).dtype
    return preprocess(plain(values)) if preprocess is not None and (kind == np.uint8 or kind.kind in "UO") else values


def plain(values: Any) -> Any:
    """Return a list for an array of files or objects."""
    return list(values) if np.asarray(values).dtype.kind in "UO" else values


def root(layer: InputLayer) -> Any:
    """Return the variable that an input layer's expression depends on."""
    pending, found, seen = [layer.input_var], [], set()
    while pending:
        variable = pending.pop()
        if variable in seen:
            continue
        seen.add(variable)
        if variable.owner is not None:
            pending.extend(variable.owner.inputs)
        elif not isinstance(variable, (symc.Constant, symc.SharedVariable)):
            found.append(variable)
    if len(found) != 1:
        raise ValueError(f"the input expression of {layer!r} depends on {len(found)} variables, expected one")
    return found[0]


def converted(values: Any, variable: Any, layer: InputLayer) -> np.ndarray:
    """Convert values to an array of the variable's dtype, which fits the input layer."""
    array = np.asarray(values)
    dtype = np.dtype(variable.dtype)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"inputs of {layer!r} must be numbers, got an array of dtype {array.dtype}")
    if dtype.kind != "f" and array.dtype.kind == "f":
        raise ValueError(f"inputs of {layer!r} must be integers ({dtype}), got {array.dtype}")
    if variable is layer.input_var:
        wanted = layer.shape
        if array.ndim != len(wanted) or any(w not in (None, n) for w, n in zip(wanted[1:], array.shape[1:])):
            raise ValueError(f"inputs of {layer!r} have shape {array.shape}, expected {wanted}{_repair(array, wanted)}")
    return array.astype(dtype, copy=False)


def _repair(array: np.ndarray, wanted: Sequence[int | None]) -> str:
    if len(wanted) == 4 and array.ndim == 4 and array.shape[-1] == wanted[1]:
        return ": pictures are channels-first here, so pass X.transpose(0, 3, 1, 2)"
    if array.ndim == len(wanted) - 1:
        return ": for a single example, pass X[None]"
    return ""


def batches_of(X: Any, inputs: Sequence[InputLayer], size: int) -> tuple[Iterator[tuple[list[Any], Any]], int | None]:
    """Return an iterator of (inputs, targets), and the number of examples if it is known."""
    arrays = arrays_of(X, inputs)
    if arrays is None:
        return (_split(batch, inputs) for batch in X), None
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"the inputs hold {lengths} examples: expected equal numbers")
    if not lengths[0]:
        raise ValueError("X holds no examples")
    starts = range(0, lengths[0], size)
    return (([array[start : start + size] for array in arrays], None) for start in starts), lengths[0]


def arrays_of(X: Any, inputs: Sequence[InputLayer]) -> list[Any] | None:
    """Return one array per input layer, or None if X is an iterable of batches."""
    if isinstance(X, Mapping):
        return _by_name(X, inputs)
    if isinstance(X, tuple):
        if len(X) != len(inputs):
            raise ValueError(
                f"X is a tuple of {len(X)} arrays, but {len(inputs)} input layers lie below the "
                "layer; pass an array for one input layer, or an iterable of batches"
            )
        return [_sliceable(each) for each in X]
    if _is_array(X) or (isinstance(X, list) and not any(isinstance(each, (tuple, Mapping)) for each in X)):
        if len(inputs) != 1:
            raise ValueError(f"X is one array, but {len(inputs)} input layers lie below the layer")
        return [_sliceable(X)]
    if not isinstance(X, Iterable):
        raise TypeError(f"X must be arrays or an iterable of batches, got {type(X).__name__}")
    return None


def _is_array(X: Any) -> bool:
    return hasattr(X, "__array__") or (hasattr(X, "shape") and hasattr(X, "dtype") and hasattr(X, "__getitem__"))


def _sliceable(X: Any) -> Any:
    """Convert lists and the like; arrays, memory maps and arrays in files stay where they are."""
    array = X if hasattr(X, "shape") and hasattr(X, "__getitem__") else np.asarray(X)
    if not array.shape:
        raise ValueError("X is a number: expected an array of examples")
    return array


def _by_name(values: Mapping[Any, Any], inputs: Sequence[InputLayer]) -> list[Any]:
    """Arrange a dict by the names of input layers, or the layers themselves."""
    keys = [next((key for key in (layer, layer.name) if key in values), None) for layer in inputs]
    missing = [str(layer.name or layer) for layer, key in zip(inputs, keys) if key is None]
    if missing:
        given = ", ".join(map(str, values))
        raise ValueError(f"X has no entry for {', '.join(missing)}; it has {given}")
    return [_sliceable(values[key]) for key in keys]


def _split(batch: Any, inputs: Sequence[InputLayer]) -> tuple[list[Any], Any]:
    """Split a batch into one array per input layer, and targets or None."""
    target = None
    if isinstance(batch, (tuple, list)) and len(batch) in (1, 2, 3) and not isinstance(batch[0], (int, float)):
        target = batch[1] if len(batch) > 1 else None
        batch = batch[0]
    found = arrays_of(batch, inputs)
    if found is None:
        raise TypeError(f"a batch must hold arrays, got {type(batch).__name__}")
    return found, target
