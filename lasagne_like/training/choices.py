"""Losses and optimisers by name, and what is called differently in other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import symc.tensor as T

from .. import objectives, updates
from ..utils import suggest

__all__ = ["LOSSES", "OPTIMISERS", "absolute_error", "chosen", "refuse_unknown"]


def absolute_error(predictions: Any, targets: Any) -> Any:
    """Absolute difference of predictions and targets, per element."""
    predictions, targets = objectives.align_targets(predictions, targets)
    return abs(predictions - targets)


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "categorical_crossentropy": objectives.categorical_crossentropy,
    "binary_crossentropy": objectives.binary_crossentropy,
    "squared_error": objectives.squared_error,
    "absolute_error": absolute_error,
    "huber_loss": objectives.huber_loss,
    "binary_hinge_loss": objectives.binary_hinge_loss,
    "multiclass_hinge_loss": objectives.multiclass_hinge_loss,
}

OPTIMISERS: dict[str, Callable[..., Mapping]] = {
    name: getattr(updates, name)
    for name in ("sgd", "momentum", "nesterov_momentum", "adagrad", "rmsprop", "adadelta", "adam", "adamax", "amsgrad")
}

_CALLED_HERE = {
    "crossentropy": "categorical_crossentropy",
    "cross_entropy": "categorical_crossentropy",
    "sparse_categorical_crossentropy": "categorical_crossentropy",
    "nll": "categorical_crossentropy",
    "bce": "binary_crossentropy",
    "log_loss": "binary_crossentropy",
    "mse": "squared_error",
    "l2": "squared_error",
    "mean_squared_error": "squared_error",
    "mae": "absolute_error",
    "l1": "absolute_error",
    "mean_absolute_error": "absolute_error",
    "huber": "huber_loss",
    "hinge": "binary_hinge_loss",
    "nesterov": "nesterov_momentum",
    "nag": "nesterov_momentum",
}

_ARGUMENTS = {
    "optimizer": "update='adam' or a function of lasagne_like.updates, in Trainer(...)",
    "optimiser": "update='adam' or a function of lasagne_like.updates, in Trainer(...)",
    "lr": "learning_rate, in Trainer(...)",
    "learning_rate": "Trainer(..., learning_rate=...) or trainer.learning_rate = ...",
    "criterion": "loss, in Trainer(...)",
    "metrics": "Trainer(..., metrics=[...])",
    "batch_size": "Trainer(..., batch_size=...)",
    "validation_data": "validation=(X_valid, y_valid), in fit(...)",
    "validation_split": "validation=0.2, in fit(...): the fraction of the items to hold out",
    "valid": "validation, in fit(...)",
    "nb_epoch": "epochs, in fit(...)",
    "num_epochs": "epochs, in fit(...)",
    "n_epochs": "epochs, in fit(...)",
    "max_epochs": "epochs, in fit(...)",
    "epochs": "fit(X, y, epochs)",
    "class_weight": "class_weights, in fit(...)",
    "sample_weight": "sample_weights, in fit(...)",
    "class_weights": "fit(..., class_weights=...)",
    "sample_weights": "fit(..., sample_weights=...)",
    "callbacks": "fit(..., callbacks=[...])",
    "initial_epoch": "fit(..., resume=True) after trainer.load(path)",
    "shuffle": "a list of batches or a lasagne_like.data.Loader with shuffle=False: arrays are always shuffled",
    "x": "X, the first argument of fit(X, y, epochs)",
    "data": "X, the first argument of fit(X, y, epochs)",
    "early_stopping": "Trainer(..., patience=5) or callbacks=[EarlyStopping(...)]",
    "early_stopping_patience": "Trainer(..., patience=5)",
    "weight_decay": "penalty=1e-4 * regularize_network_params(network, l2), in Trainer(...)",
    "regularization": "penalty, in Trainer(...)",
    "regularizer": "penalty, in Trainer(...)",
    "random_state": "seed, in Trainer(...)",
    "model": "network, the first argument of Trainer(...)",
    "net": "network, the first argument of Trainer(...)",
    "device": "symc.config.device = 'cuda' before the Trainer is created",
    "loss_weights": "loss_weights, in Trainer(...)",
}


def chosen(value: Any, table: Mapping[str, Callable], argument: str) -> Callable:
    """Look up a function by its name, or return a given function.

    Parameters
    ----------
    value : str or callable
        A name in the table, a common name that other libraries use for one of its entries, or a function.
    table : mapping of str to callable
        :data:`LOSSES` or :data:`OPTIMISERS`.
    argument : str
        The name of the argument, for error messages.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the known ones.
    TypeError
        If the value is neither a string nor callable.
    """
    if isinstance(value, str):
        key = value.strip().lower().replace("-", "_").replace(" ", "_")
        key = _CALLED_HERE.get(key, key)
        if key in table:
            return table[key]
        raise ValueError(f"{argument}={value!r} is unknown{suggest(key, table)}: use {', '.join(table)} or a function")
    if not callable(value):
        raise TypeError(
            f"{argument} must be a name ({', '.join(table)}) or a function, got {type(value).__name__}: {value!r}"
        )
    if isinstance(value, type):
        raise TypeError(f"{argument} must be a function, got the class {value.__name__}: create an instance of it")
    return value


def refuse_unknown(function: str, unknown: Iterable[str], known: Iterable[str]) -> None:
    """Raise the error for keyword arguments that a function does not have, with the names used here.

    Raises
    ------
    TypeError
        If there is an unknown argument.
    """
    known = list(known)
    for name in unknown:
        if name in _ARGUMENTS:
            raise TypeError(f"{function} has no argument {name!r}; here it is {_ARGUMENTS[name]}")
        raise TypeError(f"{function} has no argument {name!r}{suggest(name, known)}: it has {', '.join(known)}")


def name_of(function: Any) -> str:
    """Return the name of a function, of the function in a partial, or of the class of a callable."""
    function = getattr(function, "func", function)
    return getattr(function, "__name__", type(function).__name__)


def mean_of_items(loss: Any) -> Any:
    """Return one loss per item: the mean over all axes but the first."""
    return loss if loss.ndim <= 1 else T.mean(loss, axis=tuple(range(1, loss.ndim)))
