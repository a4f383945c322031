"""Features: outputs of the frozen part of a network, computed once."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import symc

from ..files import Network, all_layers
from ..layers import InputLayer, Layer, get_output
from .border import frozen_border
from .inputs import batches_of, converted, plain, preprocessed, root
from .selection import select_layers

__all__ = ["MixedExamplesError", "precompute_features"]


class MixedExamplesError(ValueError):
    """The output for an example depends on the other examples of the batch, so that it cannot be computed once."""


def precompute_features(
    network: Network,
    X: Any,
    at: str | Layer | None = None,
    *,
    batch_size: int = 64,
    preprocess: Callable[[Any], Any] | str | None = "auto",
    out: str | os.PathLike | np.ndarray | None = None,
    targets: bool = False,
    progress: bool | None = None,
) -> Any:
    """Compute the outputs of a layer for many examples, in batches and in deterministic mode.

    A network whose lower layers are frozen computes the same features in every epoch. Computed once, they are the
    inputs of a small network that trains many times faster.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The network.
    X : array_like, tuple or dict of array_like, or iterable of batches
        The inputs of the network: an array or memory map of shape ``(n, ...)`` and of any real dtype, which is
        converted batch by batch; a tuple (in the order of the input layers) or a dict (by their names) of such arrays
        for several input layers; or an iterable of batches, which are such inputs or tuples ``(inputs, targets)`` or
        ``(inputs, targets, weights)``, such as a :class:`lasagne_like.data.Loader`.
    at : str or Layer, optional
        The layer, or its name. By default the layer where the frozen part ends (:func:`frozen_border`) or, if nothing
        is frozen, the output layer.
    batch_size : int
        The number of examples per batch, if `X` consists of arrays.
    preprocess : callable, None or 'auto'
        What turns a batch of `X` into inputs. By default, as in training, pictures of uint8 (and files and PIL images)
        pass through the ``preprocess`` of a :class:`lasagne_like.models.Model` that has one; anything else, and with
        None everything, are inputs.
    out : path or numpy.ndarray, optional
        Where to write the features: a path, for a ``.npy`` file that is returned as a memory map, for features larger
        than memory; or an array of shape ``(n,) + output_shape[1:]``.
    targets : bool
        Whether to return the targets of an iterable of batches as well.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal and in a notebook.

    Returns
    -------
    numpy.ndarray, or pair of numpy.ndarray
        The features, of shape ``(n,) + output_shape[1:]``, in the order of the examples; with ``targets=True``, also
        the targets.

    Raises
    ------
    MixedExamplesError
        If the features of an example depend on the other examples of its batch.
    ValueError
        If `at` does not select one layer, there are several borders, `X` is empty, its arrays differ in length, or it
        does not fit the inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from lasagne_like.layers import DenseLayer, InputLayer
    >>> base = DenseLayer(InputLayer((None, 4)), 3, name="base")
    >>> precompute_features(DenseLayer(base, 2), np.zeros((5, 4), "uint8"), at="base").shape
    (5, 3)
    """
    if batch_size < 1:
        raise ValueError(f"precompute_features: batch_size={batch_size}: expected at least 1")
    layer = _layer_at(network, at)
    if isinstance(preprocess, str) and preprocess != "auto":
        raise ValueError(f"precompute_features: preprocess={preprocess!r}: expected a callable, None or 'auto'")
    compute = _Features(layer, preprocess, getattr(network, "preprocess", None))
    batches, total = batches_of(X, compute.inputs, batch_size)
    if targets and total is not None:
        raise ValueError("precompute_features: targets=True needs an iterable of batches (inputs, targets), got arrays")
    found: list[np.ndarray] = []
    with _sink(out, total) as sink, _bar(progress, total) as bar:
        for inputs, wanted in batches:
            features = compute(inputs)
            sink.add(features)
            bar.update(len(features))
            if targets:
                if wanted is None:
                    raise ValueError("precompute_features: targets=True, but the batches hold inputs alone")
                found.append(np.array(wanted))
        result = sink.result()
    return (result, np.concatenate(found)) if targets else result


def _layer_at(network: Network, at: str | Layer | None) -> Layer:
    if at is None:
        border = frozen_border(network)
        if not border:
            tops = (
                [network]
                if isinstance(network, Layer)
                else list(network.values() if isinstance(network, Mapping) else network)
            )
            return tops[-1]
        found, given = border, "the frozen part of the network ends at"
    else:
        found, given = select_layers(at, network), f"at={at!r} selects"
    if len(found) != 1:
        names = ", ".join(str(layer.name or layer) for layer in found)
        raise ValueError(f"precompute_features: {given} {len(found)} layers ({names}): pass at= one of them")
    if found[0] not in all_layers(network):
        raise ValueError(f"precompute_features: at={at!r} is not a layer of the network")
    return found[0]


class _Features:
    """The compiled function from inputs to the output of a layer; checks the first batch."""

    def __init__(self, layer: Layer, preprocess: Any, of_model: Callable[[Any], Any] | None) -> None:
        self.layer = layer
        self.preprocess, self.of_model = preprocess, of_model
        self.inputs = [each for each in all_layers(layer) if isinstance(each, InputLayer)]
        self.variables = [root(each) for each in self.inputs]
        self.fixed = next((each.shape[0] for each in self.inputs if each.shape[0] is not None), None)
        self.function: Any = None
        self.checked = False

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        inputs = [self._preprocessed(each) for each in inputs]
        try:
            arrays = [converted(each, v, layer) for each, v, layer in zip(inputs, self.variables, self.inputs)]
        except ValueError as error:
            raise ValueError(f"precompute_features: {error}") from None
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"precompute_features: the inputs of a batch hold {lengths} examples: expected equal numbers"
            )
        if self.function is None:
            output = get_output(self.layer, deterministic=True)
            self.function = symc.function(self.variables, output, name="features")
        features = self._whole(arrays) if self.fixed is None else self._in_parts(arrays, self.fixed)
        if len(features) != lengths[0]:
            raise MixedExamplesError(
                f"precompute_features: {self.layer!r} has {len(features)} rows for {lengths[0]} examples: expected one "
                "row per example"
            )
        if not self.checked and self.fixed is None and lengths[0] > 1:
            self._check(arrays, features)
            self.checked = True
        return features

    def _preprocessed(self, values: Any) -> Any:
        if self.preprocess != "auto":
            return values if self.preprocess is None else self.preprocess(plain(values))
        return preprocessed(values, self.of_model) if len(self.inputs) == 1 else values

    def _whole(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        return self.function(*arrays)

    def _in_parts(self, arrays: Sequence[np.ndarray], size: int) -> np.ndarray:
        """Compute batches of a fixed size; the last one is filled up with copies of an example."""
        results = []
        for start in range(0, len(arrays[0]), size):
            parts = [array[start : start + size] for array in arrays]
            count = len(parts[0])
            filled = [np.concatenate([part, np.repeat(part[-1:], size - count, axis=0)]) for part in parts]
            results.append(self._whole(filled)[:count])
        return np.concatenate(results)

    def _check(self, arrays: Sequence[np.ndarray], features: np.ndarray) -> None:
        alone = self._whole([array[:1] for array in arrays])
        scale = max(float(np.abs(alone[np.isfinite(alone)]).max(initial=0)), 1e-30)
        if not np.allclose(features[:1], alone, rtol=0.01, atol=0.01 * scale, equal_nan=True):
            raise MixedExamplesError(
                f"precompute_features: the output of {self.layer!r} for an example depends on the other examples of "
                "its batch (statistics of the batch, for example): it cannot be computed once"
            )


class _Collected:
    """Collects features in memory: in one array if the number of examples is known."""

    def __init__(self, total: int | None, array: np.ndarray | None = None) -> None:
        self.total, self.array, self.given = total, array, array is not None
        self.parts: list[np.ndarray] = []
        self.count = 0

    def __enter__(self) -> _Collected:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def add(self, features: np.ndarray) -> None:
        if self.array is None and self.total is not None:
            self.array = np.empty((self.total, *features.shape[1:]), features.dtype)
        if self.array is None:
            self.parts.append(np.array(features))
        else:
            end = self.count + len(features)
            if self.array.shape[1:] != features.shape[1:] or end > len(self.array):
                raise ValueError(
                    f"precompute_features: out has shape {self.array.shape}, but the features have shape "
                    f"({self.total or f'at least {end}'}, {', '.join(map(str, features.shape[1:]))})"
                )
            self.array[self.count : end] = features
        self.count += len(features)

    def result(self) -> np.ndarray:
        if not self.count:
            raise ValueError("precompute_features: X holds no batches; an iterator can be read only once")
        if self.array is None:
            return np.concatenate(self.parts)
        if self.count != len(self.array):
            raise ValueError(f"precompute_features: out has {len(self.array)} rows, but X holds {self.count} examples")
        return self.array


class _File:
    """Writes features to a ``.npy`` file of yet unknown length, under another name until it is complete."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fspath(path)
        self.partial = f"{self.path}.part"
        self.count = 0
        self.shape: tuple[int, ...] = ()
        self.dtype = np.dtype("float32")
        self.file: Any = None

    def __enter__(self) -> _File:
        self.file = open(self.partial, "wb")
        return self

    def __exit__(self, *error: Any) -> None:
        self.file.close()
        if os.path.exists(self.partial):
            os.remove(self.partial)

    def _header(self, count: int) -> None:
        self.file.seek(0)
        fields = {"descr": self.dtype.str, "fortran_order": False, "shape": (count, *self.shape)}
        # a header has room for any number of rows, so that it may be written again
        np.lib.format.write_array_header_2_0(self.file, fields)

    def add(self, features: np.ndarray) -> None:
        if not self.count:
            self.shape, self.dtype = features.shape[1:], features.dtype
            self._header(0)
        if features.shape[1:] != self.shape:
            raise ValueError(
                f"precompute_features: features of shapes {self.shape} and {features.shape[1:]} in one file"
            )
        self.file.write(np.ascontiguousarray(features).data)
        self.count += len(features)

    def result(self) -> np.ndarray:
        if not self.count:
            raise ValueError("precompute_features: X holds no batches; an iterator can be read only once")
        self._header(self.count)
        self.file.close()
        os.replace(self.partial, self.path)
        return np.load(self.path, mmap_mode="r")


def _sink(out: str | os.PathLike | np.ndarray | None, total: int | None) -> _Collected | _File:
    if out is None or isinstance(out, np.ndarray):
        return _Collected(total, out)
    return _File(out)


def _bar(progress: bool | None, total: int | None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without widgets gets the bar of a terminal
        from tqdm.auto import tqdm

    shown = _watched() if progress is None else progress
    return tqdm(total=total, desc="features", unit="example", leave=False, disable=not shown)


def _watched() -> bool:
    """Whether a person sees standard error: a terminal, or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules
