"""Losses and optimisers by name, and what is called differently in other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import symc.tensor as T

from .. import foreign_names, objectives, updates
from ..foreign_methods import TRAINER, TRAINER_ATTRIBUTES
from ..naming import canonical, unknown_name
from ..objectives import absolute_error
from ..utils import suggest

__all__ = ["LOSSES", "OPTIMISERS", "absolute_error", "chosen", "refuse_unknown"]

LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "categorical_crossentropy": objectives.categorical_crossentropy,
    "binary_crossentropy": objectives.binary_crossentropy,
    "squared_error": objectives.squared_error,
    "absolute_error": objectives.absolute_error,
    "huber_loss": objectives.huber_loss,
    "binary_hinge_loss": objectives.binary_hinge_loss,
    "multiclass_hinge_loss": objectives.multiclass_hinge_loss,
}

OPTIMISERS: dict[str, Callable[..., Mapping]] = {
    name: getattr(updates, name)
    for name in ("sgd momentum nesterov_momentum adagrad rmsprop adadelta adam adamax amsgrad adamw radam lion").split()
}


_SETTABLE = (
    "learning_rate",
    "batch_size",
    "patience",
    "monitor",
    "monitor_mode",
    "restore_best",
    "train_metrics",
    "verbose",
)
_ASSIGNED = (
    "lr",
    "rate",
    "scheduler",
    "lr_scheduler",
    "optimizer",
    "optimiser",
    "weight_decay",
    "early_stopping",
    "stop_training",
    "validation_data",
)


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
        synonyms = foreign_names.LOSSES if table is LOSSES else foreign_names.OPTIMISERS
        found = canonical(value.strip(), table, synonyms)
        if found is None:
            raise unknown_name(argument, value, table, synonyms)
        return table[found]
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
        if name in TRAINER:
            raise TypeError(f"{function} has no argument {name!r}; here it is {TRAINER[name]}")
        raise TypeError(f"{function} has no argument {name!r}{suggest(name, known)}: it has {', '.join(known)}")


def instead_of(attribute: str) -> str:
    """Return a hint for an attribute that a Trainer lacks: what it is called here, or an empty string."""
    if attribute.startswith("_"):
        return ""
    known = TRAINER_ATTRIBUTES.get(attribute)
    near = get_close_matches(attribute, _SETTABLE, n=1, cutoff=0.85)
    return f"; here it is {known}" if known else f"; perhaps you meant {near[0]}" if near else ""


def is_mistaken(attribute: str) -> bool:
    """Whether an attribute assigned to a Trainer is one of :data:`_SETTABLE` under another name, or misspelt."""
    if attribute.startswith("_") or attribute in _SETTABLE:
        return False
    return attribute in _ASSIGNED or bool(get_close_matches(attribute, _SETTABLE, n=1, cutoff=0.85))


def name_of(function: Any) -> str:
    """Return the name of a function, of the function in a partial, or of the class of a callable."""
    function = getattr(function, "func", function)
    return getattr(function, "__name__", type(function).__name__)


def mean_of_items(loss: Any) -> Any:
    """Return one loss per item: the mean over all axes but the first."""
    return loss if loss.ndim <= 1 else T.mean(loss, axis=tuple(range(1, loss.ndim)))
