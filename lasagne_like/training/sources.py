"""Which source of batches the arguments of a trainer stand for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .batches import ArraySource, IterableSource, Source, Spec, balanced, class_weighting
from .feed import as_array

__all__ = ["as_source", "input_batches", "with_validation"]


def as_source(
    spec: Spec, X: Any, y: Any, weights: Any, what: str, *, batch_size: int, seed: int, class_weights: Any = None
) -> Source:
    """Return the source of batches for data given as arrays (with ``y``) or as an iterable of batches (without).

    Raises
    ------
    TypeError, ValueError
        If the data is of neither kind, or does not fit the network.
    """
    if y is None and hasattr(X, "images") and hasattr(X, "labels"):
        X, y = X.images, X.labels  # a PictureSet
    if y is None:
        call = {"fit": "fit(X, y, epochs)", "validation": "validation=(X, y)"}.get(what, f"{what}(X, y)")
        if isinstance(X, np.ndarray) or _is_table(X):
            raise TypeError(f"{what}: X is an array, so the targets y are missing: {call}")
        if isinstance(X, (tuple, list)) and len(X) in (2, 3) and all(isinstance(part, np.ndarray) for part in X):
            raise TypeError(f"{what}: got arrays in one {type(X).__name__}: give them as two arguments, {call}")
        if not (isinstance(X, Iterable) or callable(X)) or isinstance(X, (str, bytes, Mapping)):
            raise TypeError(
                f"{what}: expected arrays X and y, or an iterable of batches (inputs, targets), got {type(X).__name__}"
            )
        if weights is not None:
            raise TypeError("sample_weights belong to arrays; an iterable yields (inputs, targets, weights)")
        if isinstance(class_weights, str):
            raise ValueError(f"class_weights={class_weights!r} needs arrays X and y; give a dict from class to weight")
        return IterableSource(spec, X, _weigher(class_weights, spec))
    if isinstance(class_weights, str):
        if class_weights != "balanced":
            raise ValueError(f"class_weights={class_weights!r}: expected a dict, a list, or 'balanced'")
        class_weights = balanced(spec._split(y)[0], spec.outputs[0])
    weigh = _weigher(class_weights, spec)
    return ArraySource(spec, X, y, weights, batch_size=batch_size, seed=seed, weigh=weigh)


def input_batches(spec: Spec, X: Any, batch_size: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the inputs of batches, of arrays or of an iterable of batches."""
    if hasattr(X, "images") and hasattr(X, "labels"):
        X = X.images  # of a PictureSet
    if hasattr(X, "__iter__") and not hasattr(X, "shape") and not isinstance(X, (list, tuple, Mapping)):
        for batch in X:
            yield spec.convert(spec.arrays(batch[0] if isinstance(batch, (tuple, list)) else batch), False)
        return
    parts = spec.arrays(X)
    for start in range(0, max(len(parts[0]), 1), batch_size):  # an empty input is one empty batch
        yield spec.convert([as_array(part[start : start + batch_size]) for part in parts], False)


def _weigher(class_weights: Any, spec: Spec) -> Callable | None:
    if class_weights is None:
        return None
    if len(spec.outputs) != 1:
        raise ValueError(f"class_weights: the network has {len(spec.outputs)} outputs, give sample_weights instead")
    return class_weighting(class_weights, spec.outputs[0])


def _is_table(X: Any) -> bool:
    """Whether this is a data frame of pandas, if that is loaded at all."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(X, (pandas.DataFrame, pandas.Series))


def with_validation(
    spec: Spec, train: Source, validation: Any, *, batch_size: int, seed: int
) -> tuple[Source, Source | None]:
    """Return the sources of training and of validation.

    Parameters
    ----------
    spec : Spec
    train : Source
    validation : None, float, tuple or iterable
        See :meth:`Trainer.fit`. A fraction is taken from `train`, at random by the seed.
    batch_size, seed : int

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or does not fit the network.
    """
    if validation is None:
        return train, None
    if isinstance(validation, (float, int)) and not isinstance(validation, bool):
        if not isinstance(train, ArraySource):
            raise TypeError("validation: a fraction needs arrays X and y; give an iterable of batches instead")
        if not 0 < validation < 1:
            raise ValueError(f"validation={validation}: expected a fraction between 0 and 1, or data")
        order = np.random.default_rng([seed, 0x5EED]).permutation(train.count)
        held = max(1, round(validation * train.count))
        if held >= train.count:
            raise ValueError(f"validation={validation} of {train.count} items leaves none to train on")
        return train.restricted(np.sort(order[held:])), train.restricted(np.sort(order[:held]))
    if isinstance(validation, np.ndarray):
        raise ValueError("validation must be a pair of inputs and targets, got a ndarray")
    options: Any = {"batch_size": batch_size, "seed": seed}
    if _is_pair(validation):
        X, y, *weights = validation
        try:
            return train, as_source(spec, X, y, weights[0] if weights else None, "validation", **options)
        except (TypeError, ValueError) as error:
            text = str(error)
            raise type(error)(text if text.startswith("validation") else f"validation: {text}") from None
    return train, as_source(spec, validation, None, None, "validation", **options)


def _is_pair(validation: Any) -> bool:
    """Whether this is inputs and targets (and weights), and not a list of batches."""
    if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
        return False
    return not (isinstance(validation, list) and all(isinstance(part, (tuple, list)) for part in validation))
