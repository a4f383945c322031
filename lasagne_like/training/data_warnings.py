"""Warnings about data that a network learns little from, before training begins."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ..layers import (
    BatchNormLayer,
    DropoutLayer,
    GaussianNoiseLayer,
    InputLayer,
    Layer,
    augmentation,
    get_all_layers,
    pool,
    shape,
)
from .batches import ArraySource, Source

__all__ = ["warn_of_data"]

_SAME_RANGE = (InputLayer, DropoutLayer, GaussianNoiseLayer)
_SAME_RANGE_MODULES = (augmentation.__name__, pool.__name__, shape.__name__)


def warn_of_data(train: Source, layers: Sequence[Layer]) -> None:
    """Warn of batches of one item below batch normalisation, and of pictures of bytes that nothing scales.

    Parameters
    ----------
    train : Source
        The data. Only arrays are checked: an iterable may be read only once.
    layers : sequence of Layer
        The layers of the network.
    """
    if isinstance(train, ArraySource):
        _warn_of_single_vectors(train, layers)
        _warn_of_bytes(train, layers)


def _warn_of_single_vectors(train: ArraySource, layers: Sequence[Layer]) -> None:
    """Batch normalisation of one value per statistic has a constant output."""
    if min(train.batch_size, len(train.rows)) > 1:
        return
    for layer in layers:
        if not isinstance(layer, BatchNormLayer) or layer.frozen or layer.use_averages:
            continue
        if all(axis == 0 or layer.input_shape[axis] == 1 for axis in layer.axes):
            warnings.warn(
                f"fit: every mini-batch has one item, so that the batch normalisation of {layer.name or layer!r} makes "
                "its output constant and learns no averages: use larger mini-batches",
                stacklevel=4,
            )
            return


def _warn_of_bytes(train: ArraySource, layers: Sequence[Layer]) -> None:
    """Weights drawn for values of about 1 learn slowly, or diverge, from values up to 255."""
    spec = train.spec
    for source, part in zip(spec.inputs, train.inputs):
        if part.dtype != np.uint8 or part.ndim < 4 or spec.are_pictures(part):
            continue
        if source.input_var.dtype.startswith("float") and part[:8].max(initial=0) > 8:
            for layer in _reading(source, layers):
                warnings.warn(
                    f"fit: X has pictures with bytes from 0 to 255, and {layer.name or layer!r} reads them unscaled: "
                    "put a RescaleLayer after the input, or give the Model a preprocess=data.Preprocess(...)",
                    stacklevel=4,
                )
                return


def _reading(source: Layer, layers: Sequence[Layer]) -> list[Layer]:
    """The trainable layers with weights that get the values of an input in the range that these have."""
    normalised = {layer.input_layer for layer in layers if isinstance(layer, BatchNormLayer)}
    found = []
    for layer in layers:
        if layer in normalised or not layer.get_params(trainable=True, regularizable=True) or layer.frozen:
            continue
        below = [each for each in get_all_layers(layer) if each is not layer]
        if source in below and all(map(_keeps_range, below)):
            found.append(layer)
    return found


def _keeps_range(layer: Layer) -> bool:
    if isinstance(layer, augmentation.RescaleLayer):
        return False
    return isinstance(layer, _SAME_RANGE) or type(layer).__module__ in _SAME_RANGE_MODULES
