"""Metrics: quantities that are reported, and by which the best epoch is chosen.

A metric is named, as in ``Trainer(network, metrics=["accuracy", "top5", "auc"])``, or given as a function from
prediction and target to one value per item, or as a :class:`Metric`. Two kinds exist: means over items of an
expression, which are computed with the loss, and functions of all predictions and targets, computed with NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from ..naming import names_constructor
from ..objectives import align_targets, categorical_accuracy
from ..utils import suggest
from .choices import mean_of_items, name_of
from .ranking import auc, f1, precision, r2, recall
from .targets import TargetForm
from .tasks import Output

__all__ = ["Metric", "classification_error", "metrics_of"]


def classification_error(prediction: Any, target: Any) -> Any:
    """Return 1 where the largest entry of a row of ``prediction`` is not at the class of ``target``, else 0.

    Parameters
    ----------
    prediction : expression
        ``(n, classes)`` scores.
    target : expression
        ``(n,)`` class labels, or ``(n, classes)`` one-hot rows.

    Returns
    -------
    expression
        ``(n,)`` floats.
    """
    return 1 - T.cast(categorical_accuracy(prediction, target), symc.config.floatX)


@names_constructor
@dataclass(frozen=True)
class Metric:
    """A quantity of predictions and targets.

    Parameters
    ----------
    name : str
        The name in reports and in the history, after ``valid_`` or ``train_``.
    better : str
        ``"min"`` or ``"max"``: which values are better.
    items : callable, optional
        ``items(prediction, target)`` returns an expression with one value per item; the metric is their mean.
    whole : callable, optional
        ``whole(predictions, targets, weights)`` returns a number from all predictions and targets, as NumPy arrays;
        ``weights`` is None, or one weight per item.
    finish : callable, optional
        A function applied to the mean of the items, such as ``math.sqrt``.

    Raises
    ------
    ValueError
        If not exactly one of `items` and `whole` is given, or `better` is neither of the two.

    Examples
    --------
    >>> import numpy as np
    >>> worst = Metric("worst", "min", whole=lambda prediction, target, weights: abs(prediction - target).max())
    >>> worst.name, worst.better
    ('worst', 'min')
    """

    name: str
    better: str = "min"
    items: Callable[[Any, Any], Any] | None = None
    whole: Callable[[np.ndarray, np.ndarray, np.ndarray | None], float] | None = None
    finish: Callable[[float], float] | None = None

    def __post_init__(self) -> None:
        if (self.items is None) == (self.whole is None):
            raise ValueError(f"Metric {self.name!r}: give items, an expression per item, or whole, a NumPy function")
        if not callable(self.whole if self.items is None else self.items):
            raise TypeError(f"Metric {self.name!r}: items and whole are functions of prediction and target")
        if self.better not in ("min", "max"):
            raise ValueError(f"Metric {self.name!r}: better={self.better!r}, expected 'min' or 'max'")


def _thresholded(threshold: float) -> Callable[[Any, Any], Any]:
    return _Thresholded(threshold)


@dataclass(frozen=True)
class _Thresholded:
    """The share of wrong decisions per item of outputs that are compared with a threshold."""

    threshold: float

    def __call__(self, prediction: Any, target: Any) -> Any:
        prediction, target = align_targets(prediction, target)
        wrong = T.neq(T.ge(prediction, self.threshold), T.ge(target, 0.5))
        return mean_of_items(T.cast(wrong, symc.config.floatX))


@dataclass(frozen=True)
class _Top:
    """1 where the class of the target is among the ``k`` largest predictions."""

    k: int

    def __call__(self, prediction: Any, target: Any) -> Any:
        return T.cast(categorical_accuracy(prediction, target, top_k=self.k), symc.config.floatX)


@dataclass(frozen=True)
class _Complement:
    of: Callable[[Any, Any], Any]

    def __call__(self, prediction: Any, target: Any) -> Any:
        return 1 - self.of(prediction, target)


def _squared(prediction: Any, target: Any) -> Any:
    prediction, target = align_targets(prediction, target)
    return mean_of_items(T.sqr(prediction - target))


def _absolute(prediction: Any, target: Any) -> Any:
    prediction, target = align_targets(prediction, target)
    return mean_of_items(abs(prediction - target))


def _classified(output: Output) -> Callable[[Any, Any], Any]:
    """The error of single items, for the task of an output."""
    if output.kind == "classification" or (output.kind == "own" and output.activation == "softmax"):
        return classification_error
    return _thresholded(0.0 if name_of(output.loss) == "binary_hinge_loss" else 0.5)


_CLASSES = ("classification", "binary", "multi-label", "own")
_ANY = (*_CLASSES, "regression")
_BUILDERS: dict[str, tuple[tuple[str, ...], Callable[[Output], Metric]]] = {
    "error": (_CLASSES, lambda o: Metric("error", "min", items=_classified(o))),
    "accuracy": (_CLASSES, lambda o: Metric("accuracy", "max", items=_Complement(_classified(o)))),
    "auc": (_CLASSES, lambda o: Metric("auc", "max", whole=auc)),
    "f1": (_CLASSES, lambda o: Metric("f1", "max", whole=f1)),
    "precision": (_CLASSES, lambda o: Metric("precision", "max", whole=precision)),
    "recall": (_CLASSES, lambda o: Metric("recall", "max", whole=recall)),
    "r2": (("regression", "own"), lambda o: Metric("r2", "max", whole=r2)),
    "rmse": (("regression", "own"), lambda o: Metric("rmse", "min", items=_squared, finish=np.sqrt)),
    "mse": (("regression", "own"), lambda o: Metric("mse", "min", items=_squared)),
    "mae": (("regression", "own"), lambda o: Metric("mae", "min", items=_absolute)),
}
_CALLED_HERE = {
    "acc": "accuracy",
    "top1": "accuracy",
    "top_1": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "binary_accuracy": "accuracy",
    "roc_auc": "auc",
    "f1_score": "f1",
    "r2_score": "r2",
    "r_squared": "r2",
    "root_mean_squared_error": "rmse",
    "mean_squared_error": "mse",
    "squared_error": "mse",
    "mean_absolute_error": "mae",
    "absolute_error": "mae",
    "top_k": "top5",
}


def metrics_of(output: Output, chosen: Any, form: TargetForm) -> list[Metric]:
    """Return the metrics of an output.

    Parameters
    ----------
    output : Output
        The output and its task.
    chosen : None, "auto", or list of (str, callable or Metric)
        The metrics; ``"auto"`` chooses by the task: the error of classifications, the RMSE of regressions. A dict maps
        names to functions.
    form : TargetForm
        The form of the targets; ``"auto"`` gives a loss of the user's no metric if they are not of a known form.

    Raises
    ------
    ValueError
        If a name is unknown or does not fit the task.
    TypeError
        If an entry is neither a name, nor a function, nor a :class:`Metric`.
    """
    if chosen is None:
        return []
    if isinstance(chosen, str) and chosen == "auto":
        return _automatic(output, form)
    if isinstance(chosen, Mapping):
        return [_of_function(name, function) for name, function in chosen.items()]
    entries = [chosen] if isinstance(chosen, (str, Metric)) or callable(chosen) else list(chosen)
    found = [_one(output, entry) for entry in entries]
    names = [metric.name for metric in found]
    if len(set(names)) < len(names):
        raise ValueError(f"metrics={names}: two metrics have the same name; give a dict from names to functions")
    return found


def _automatic(output: Output, form: TargetForm) -> list[Metric]:
    if output.kind == "regression":
        return [_BUILDERS["rmse"][1](output)]
    if output.kind == "own":
        rank = len(output.shape)
        labels = output.activation == "softmax" and form.dtype.startswith("int") and len(form.shape) == rank - 1
        binary = output.activation == "sigmoid" and len(form.shape) == rank
        if not (labels or binary):
            return []
    return [_BUILDERS["error"][1](output)]


def _one(output: Output, entry: Any) -> Metric:
    if isinstance(entry, Metric):
        return entry
    if isinstance(entry, str):
        return _by_name(output, entry)
    if callable(entry) and not isinstance(entry, type):
        return _of_function(name_of(entry), entry)
    raise TypeError(f"metrics: expected names, functions or Metrics, got {type(entry).__name__}: {entry!r}")


def _of_function(name: str, function: Any) -> Metric:
    if isinstance(function, Metric):
        return Metric(name, function.better, function.items, function.whole, function.finish)
    if not callable(function):
        raise TypeError(f"metrics: {name} must be a function of prediction and target, got {function!r}")
    better = "max" if any(word in name for word in ("accuracy", "score", "auc", "f1", "r2")) else "min"
    return Metric(name, better, items=function)


def _by_name(output: Output, name: str) -> Metric:
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    key = _CALLED_HERE.get(key, key)
    top = re.fullmatch(r"top_?(\d+)(_accuracy)?", key)
    if top and int(top.group(1)) > 1:
        if output.kind not in ("classification", "own"):
            raise ValueError(f"metric {name!r} is for classification; the output {output.name} is {output.kind}")
        k, classes = int(top.group(1)), output.shape[-1]
        if classes is not None and k >= classes:
            raise ValueError(f"metric {name!r} is always 1: the output {output.name} has {classes} classes")
        return Metric(f"top{k}", "max", items=_Top(k))
    if key not in _BUILDERS:
        known = [*_BUILDERS, "top5"]
        raise ValueError(
            f"metric {name!r} is unknown{suggest(key, known)}: use {', '.join(known)}, a function of prediction and "
            "target, or a Metric"
        )
    kinds, build = _BUILDERS[key]
    if output.kind not in kinds:
        fitting = [other for other, (theirs, _) in _BUILDERS.items() if output.kind in theirs]
        raise ValueError(
            f"metric {name!r} is not for {output.kind}, which the loss {name_of(output.loss)} of the output "
            f"{output.name} is for: use {', '.join(fitting)}"
        )
    return build(output)


def better(first: float, second: float, which: str) -> bool:
    """Whether a value is better than another one; NaN is never better, and worse than any number."""
    if np.isnan(first):
        return False
    if np.isnan(second):
        return True
    return first < second if which == "min" else first > second


def direction(quantity: str, metrics: Sequence[Metric], mode: str | None = None) -> str:
    """Return whether a quantity of the history should be small (``"min"``) or large (``"max"``).

    Raises
    ------
    ValueError
        If `mode` is given and is neither.
    """
    if mode not in (None, "min", "max"):
        raise ValueError(f"mode={mode!r}: expected 'min' or 'max'")
    if mode is not None:
        return mode
    part = re.sub(r"^(train|valid)_", "", quantity)
    for metric in metrics:
        if part == metric.name or part.endswith(f".{metric.name}"):
            return metric.better
    return "min"
