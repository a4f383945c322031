"""Features of a frozen base: computed once before training, where nothing below them is trained or random."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from symc.graph.traversal import graph_inputs, is_input

from ..layers import Layer
from ..transfer import frozen_border, precompute_features
from .batches import ArraySource, Batch, IterableSource, Source, Spec
from .graphs import Objective

__all__ = ["border_for", "with_features"]


def border_for(objective: Objective, source: Source, validation: Source | None) -> list[Layer]:
    """Return the layers whose outputs can be computed once for the data, or an empty list.

    Parameters
    ----------
    objective : Objective
    source, validation : Source
        Arrays, or Loaders that do not augment.
    """
    layers = objective.layers
    if not any(layer.params and not layer.get_params(trainable=True) for layer in layers) or len(objective.inputs) > 1:
        return []
    if not all(part is None or isinstance(part, ArraySource) or _repeats(part) for part in (source, validation)):
        return []
    penalty = objective.penalty
    if penalty is not None and any(map(is_input, graph_inputs([penalty]))):
        return []  # the penalty depends on the inputs
    border = frozen_border(objective.network)
    above = objective.above(border)
    if not border or len(above.inputs) > len(border):
        return []  # nothing to compute, or layers above need the inputs as well
    size = 0
    for layer in border:
        shape = [n for n in layer.output_shape[1:] if n is not None]
        if len(shape) < len(layer.output_shape) - 1:
            return []
        size += 4 * prod(shape)
    items = sum(_count(part) for part in (source, validation) if part is not None)
    return border if items * size <= _memory() / 4 else []


def _repeats(source: IterableSource) -> bool:
    """Whether this is a Loader that yields the same inputs in every epoch, in another order."""
    loader = source.source
    return (
        all(hasattr(loader, name) for name in ("augment", "mixing", "order", "shuffle", "batch_size", "y"))
        and not loader.augment
        and not loader.mixing
        and loader.y is not None
    )


def _count(source: Source) -> int:
    return source.count if isinstance(source, ArraySource) else source.source.count


def _memory() -> int:
    """The size of the machine's memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 1 << 33


def with_features(
    objective: Objective, border: Sequence[Layer], sources: Sequence[Source | None], batch_size: int
) -> tuple[Objective, list[Source | None]]:
    """Compute the outputs of layers for all items of some sources.

    Returns
    -------
    objective : Objective
        As a function of these outputs.
    sources : list of (Source or None)
        Sources of the same batches, with these outputs as inputs.
    """
    above = objective.above(border)
    known: dict[int, tuple[np.ndarray, ...]] = {}
    made: list[Source | None] = []
    for source in sources:
        if source is None:
            made.append(None)
            continue
        spec = Spec(above.inputs, above.outputs, above.target_vars)
        if isinstance(source, ArraySource):
            X = source.inputs[0]
            if id(X) not in known:
                known[id(X)] = tuple(_computed(objective, source, layer, batch_size) for layer in border)
            made.append(source.with_inputs(spec, known[id(X)]))
        else:
            made.append(_LoaderFeatures(spec, source, objective, border))
    return above, made


def _computed(objective: Objective, source: ArraySource, layer: Layer, batch_size: int) -> np.ndarray:
    X: Any = source.inputs[0]
    if source.spec.are_pictures(X):
        parts = (X[start : start + batch_size] for start in range(0, len(X), batch_size))
        inputs = (source.spec.convert([part], False)[0] for part in parts)
        return precompute_features(objective.network, inputs, at=layer)
    return precompute_features(objective.network, X, at=layer, batch_size=batch_size)


class _LoaderFeatures(IterableSource):
    """The batches of a Loader that does not augment, with features as inputs."""

    def __init__(self, spec: Spec, source: IterableSource, objective: Objective, border: Sequence[Layer]) -> None:
        super().__init__(spec, source.source, source.weigh)
        ordered = copy.copy(source.source)
        ordered.shuffle = ordered.drop_last = False
        ordered.set_epoch(0)
        self.features = tuple(precompute_features(objective.network, ordered, at=layer) for layer in border)

    def epoch(self, number: int) -> Iterator[Batch]:
        loader = self.source
        order, size = loader.order(number), loader.batch_size
        end = len(order) - len(order) % size if loader.drop_last else len(order)
        for start in range(0, end, size):
            rows = order[start : start + size]
            y, weights = _rows(loader.y, rows), loader.weights
            inputs = tuple(values[rows] for values in self.features)
            yield self.spec.batch(inputs, y, None if weights is None else weights[rows], self.weigh)


def _rows(y: Any, rows: np.ndarray) -> Any:
    if isinstance(y, dict):
        return {name: _rows(part, rows) for name, part in y.items()}
    return tuple(_rows(part, rows) for part in y) if isinstance(y, tuple) else y[rows]
