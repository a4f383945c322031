"""Targets: conversion to the form that a loss takes, or an error that says what to do."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import symc

from ..layers.inference import agree

__all__ = ["BatchForm", "TargetForm", "conform"]

Shape = tuple[int | None, ...]


class TargetForm(NamedTuple):
    """The dtype of targets, and their shape, with None for sizes known only at call time."""

    dtype: str
    shape: Shape


class BatchForm(NamedTuple):
    """The forms of targets, the number of axes of weights (0 without), and the dtypes of inputs, of a batch."""

    targets: tuple[TargetForm, ...]
    weighted: int
    inputs: tuple[str, ...]


def conform(targets: Any, kind: str, prediction: Shape, name: str) -> np.ndarray:
    """Convert targets to the dtype and shape that a loss takes.

    Parameters
    ----------
    targets : array_like
        The targets of some items.
    kind : str
        What the output is trained for, see :class:`Output`.
    prediction : tuple
        The shape of the prediction.
    name : str
        The name of the output layer, for errors.

    Returns
    -------
    numpy.ndarray
        int32 labels or floats; the given array if it has this form already. A column ``(n, 1)`` and a vector ``(n,)``
        are converted into each other if the prediction is the other one.

    Raises
    ------
    ValueError
        If the targets do not fit the prediction in shape or values.
    """
    y = targets if isinstance(targets, np.ndarray) else np.asarray(targets)
    if y.dtype.kind not in "biuf":
        raise ValueError(
            f"the targets have dtype {y.dtype}, expected numbers: number the classes with "
            "classes, y = numpy.unique(y, return_inverse=True)"
        )
    if y.ndim == 0:
        raise ValueError("the targets are a single number, expected one entry per item")
    return _CONFORM[kind](y, prediction, name)


def _floats(y: np.ndarray) -> np.ndarray:
    return y.astype(symc.config.floatX, copy=False)


def _labels(y: np.ndarray, prediction: Shape, name: str) -> np.ndarray:
    classes, rank = prediction[-1], len(prediction)
    if y.ndim == rank and y.shape[-1] == 1 and classes != 1:
        y = y[..., 0]
    if y.ndim == rank and agree(y.shape[1:], prediction[1:]):
        return _distributions(y, name)
    if y.ndim != rank - 1 or not agree(y.shape[1:], prediction[1:-1]):
        hint = ""
        if y.ndim == rank:
            hint = f"; the output layer must have {y.shape[-1]} units for one-hot rows of {y.shape[-1]} classes"
        raise ValueError(
            f"the targets have shape {y.shape}, but the output layer {name} predicts {prediction}: give class numbers "
            f"of shape {('n', *prediction[1:-1])} or one-hot rows of shape {('n', *prediction[1:])}{hint}"
        )
    if y.dtype.kind == "f" and y.size:
        finite = np.isfinite(y)
        if not finite.all():
            raise ValueError(f"{(~finite).sum()} of {y.size} class labels are NaN or infinite: remove these items")
        fractions = y != np.floor(y)
        if fractions.any():
            raise ValueError(
                f"the targets are fractions such as {y[fractions].flat[0]:.4g}, but the output layer {name} is for "
                "classes: for numbers to be predicted use an output layer with nonlinearity=linear; for classes give "
                "their numbers (0, 1, ...) or one-hot rows"
            )
    if y.size and classes is not None and not 0 <= y.min() <= y.max() < classes:
        raise ValueError(
            f"y holds the classes {int(y.min())} to {int(y.max())}, but the network has {classes} outputs, for classes "
            f"0 to {classes - 1}: renumber the classes or add units to the last layer"
        )
    return y.astype(np.int32, copy=False)


def _distributions(y: np.ndarray, name: str) -> np.ndarray:
    sums = y.sum(axis=-1, dtype=np.float64)
    if y.size and not (np.abs(sums - 1) < 1e-3).all() and np.isfinite(sums).all():
        several = sums[np.abs(sums - 1) >= 1e-3].flat[0]
        raise ValueError(
            f"rows of the targets sum to {several:.4g}, but the softmax of the output layer {name} predicts one class "
            "per item: one-hot rows sum to 1. If several classes may hold at once, use nonlinearity=sigmoid"
        )
    return _floats(y)


def _between_0_and_1(y: np.ndarray, name: str) -> np.ndarray:
    if y.dtype.kind != "b" and y.size and (y.min() < 0 or y.max() > 1):
        low, high = y.min(), y.max()
        found = sorted({float(value) for value in np.unique(y)[:4]})
        if found == [-1, 1]:
            hint = "convert them with (y + 1) / 2"
        elif len(found) == 2:
            hint = f"convert them with y == {high:g}"
        else:
            hint = "for more than two classes use one unit per class with nonlinearity=softmax"
        raise ValueError(
            f"the targets are from {low:g} to {high:g}, but the sigmoid of the output layer {name} takes 0 and 1: "
            f"{hint}"
        )
    return _floats(y)


def _binary(y: np.ndarray, prediction: Shape, name: str) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 2:
        raise ValueError(
            f"the targets have shape {y.shape}, one-hot rows of two classes, but the output layer {name} has one "
            "sigmoid unit: give y[:, 1], or use two units with nonlinearity=softmax"
        )
    return _between_0_and_1(_aligned(y, prediction, name), name)


def _several(y: np.ndarray, prediction: Shape, name: str) -> np.ndarray:
    if y.ndim == len(prediction) - 1 and y.dtype.kind in "iu":
        raise ValueError(
            f"the targets have shape {y.shape}, one integer per item, but the output layer {name} predicts "
            f"{prediction} with sigmoids, several labels per item: for one class per item use nonlinearity=softmax; "
            f"for several, give a row of {prediction[-1]} zeros and ones per item"
        )
    return _between_0_and_1(_aligned(y, prediction, name), name)


def _numbers(y: np.ndarray, prediction: Shape, name: str) -> np.ndarray:
    if y.dtype.kind in "iu" and y.ndim == len(prediction) - 1 and prediction[-1] != 1:
        raise ValueError(
            f"the targets have shape {y.shape}, one integer per item, but the output layer {name} predicts "
            f"{prediction} numbers: for classes give it nonlinearity=softmax, or name the loss, as in "
            "loss='multiclass_hinge_loss'"
        )
    return _floats(_aligned(y, prediction, name))


def _aligned(y: np.ndarray, prediction: Shape, name: str) -> np.ndarray:
    """Add or remove axes of length 1, so that targets and predictions never broadcast."""
    if y.ndim == len(prediction) and agree(y.shape[1:], prediction[1:]):
        return y
    tail = tuple(size for size in y.shape[1:] if size != 1)
    expected = tuple(size for size in prediction[1:] if size != 1)
    known = None not in prediction[1:]
    if known and tail == expected:
        return y.reshape((len(y), *prediction[1:]))  # type: ignore[arg-type]
    raise ValueError(
        f"the targets have shape {y.shape}, but the output layer {name} predicts {prediction}: expected targets of "
        f"shape {('n', *prediction[1:])}"
    )


def _own(y: np.ndarray, prediction: Shape, name: str) -> np.ndarray:
    """Targets of a loss about which nothing is known keep their shape."""
    if y.dtype.kind == "f":
        return _floats(y)
    if y.dtype.kind in "iu" and y.size and not -(2**31) <= int(y.min()) <= int(y.max()) < 2**31:
        raise ValueError(f"the targets are integers from {y.min()} to {y.max()}, which int32 cannot hold: give floats")
    return y.astype(np.int32, copy=False)


_CONFORM = {
    "classification": _labels,
    "binary": _binary,
    "multi-label": _several,
    "regression": _numbers,
    "own": _own,
}
