"""Callbacks: what happens besides training, at the beginning and end of training, epochs and batches."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..naming import check_takes, names_constructor
from ..utils import suggest
from .core import Core
from .metrics import better

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "ReduceOnPlateau", "as_callbacks"]


class Callback:
    """The base class of callbacks. Override the methods of interest; `trainer` is the :class:`Trainer`.

    A callback stops training after the current epoch by calling ``trainer.stop("the reason")``. Its attributes that
    :meth:`state` returns are saved in checkpoints.

    Examples
    --------
    >>> class Shout(Callback):
    ...     def on_epoch_end(self, trainer, record):
    ...         print(f"epoch {record['epoch']}: {record['train_loss']:.3f}!")
    """

    def on_train_begin(self, trainer: Any) -> None:
        """Called by ``fit`` before its first epoch."""

    def on_epoch_begin(self, trainer: Any, epoch: int) -> None:
        """Called before each epoch, with its number, from 1."""

    def on_batch_end(self, trainer: Any, batch: int) -> None:
        """Called after each batch, with its number in the epoch, from 1. Reading the loss waits for the step."""

    def on_epoch_end(self, trainer: Any, record: dict[str, float]) -> None:
        """Called after each epoch, with the new entries of the history."""

    def on_train_end(self, trainer: Any) -> None:
        """Called at the end of ``fit``, when the network has its final weights, also after an error."""

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold to continue, as numbers, strings, lists and dicts."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` returned."""


class _OfFunction(Callback):
    """A function of trainer and record, called after each epoch."""

    def __init__(self, function: Callable[[Any, dict[str, float]], Any]) -> None:
        self.function = function

    def on_epoch_end(self, trainer: Core, record: dict[str, float]) -> None:
        self.function(trainer, record)


_METHODS = {
    "on_train_begin": ("trainer",),
    "on_epoch_begin": ("trainer", "epoch"),
    "on_batch_end": ("trainer", "batch"),
    "on_epoch_end": ("trainer", "record"),
    "on_train_end": ("trainer",),
}
"""The methods of callbacks, and what they are called with."""


def as_callbacks(given: Any) -> list[Any]:
    """Return a list of callbacks from callbacks, objects with some of their methods, and functions.

    They are called in the given order, but checkpoints are saved last.

    Raises
    ------
    TypeError
        If an entry is none of these, or takes other arguments.
    """
    entries: Iterable[Any] = given if isinstance(given, (list, tuple)) else [given]
    result = []
    for entry in entries:
        if isinstance(entry, type):
            raise TypeError(f"callbacks: got the class {entry.__name__}, expected an instance: {entry.__name__}(...)")
        for method, names in _METHODS.items():
            if hasattr(entry, method):
                check_takes(f"callbacks: {type(entry).__name__}", getattr(entry, method), *names)
        if isinstance(entry, Callback):
            result.append(entry)
        elif any(hasattr(entry, method) for method in _METHODS):
            result.append(_Adapted(entry))
        elif callable(entry):
            check_takes("callbacks", entry, "trainer", "record")
            result.append(_OfFunction(entry))
        else:
            raise TypeError(
                f"callbacks: expected Callbacks, objects with {', '.join(_METHODS)}, or functions of trainer and "
                f"record, got {type(entry).__name__}: {entry!r}"
            )
    # A checkpoint holds what the other callbacks made of the epoch.
    return sorted(result, key=lambda callback: isinstance(callback, Checkpoint))


class _Adapted(Callback):
    """An object that has some of the methods of a callback."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        for method in (*_METHODS, "state", "restore"):
            if hasattr(wrapped, method):
                setattr(self, method, getattr(wrapped, method))


class _Watching(Callback):
    """A callback that waits for improvements of a quantity."""

    def __init__(self, monitor: str, patience: int, min_delta: float, mode: str | None) -> None:
        if patience < 1:
            raise ValueError(f"{type(self).__name__}: patience={patience}, expected at least 1")
        if min_delta < 0:
            raise ValueError(f"{type(self).__name__}: min_delta={min_delta}, expected at least 0")
        self.monitor, self.patience, self.min_delta, self.mode = monitor, patience, min_delta, mode
        self.best, self.waited = math.nan, 0

    def on_train_begin(self, trainer: Core) -> None:
        if not trainer.resuming:
            self.best, self.waited = math.nan, 0

    def improved(self, trainer: Core, record: Mapping[str, float]) -> bool:
        name = trainer.quantity(self.monitor, record)
        which = trainer.direction(name, self.mode)
        value = record[name]
        margin = self.min_delta if which == "min" else -self.min_delta
        if better(value + margin, self.best, which):
            self.best, self.waited = value, 0
            return True
        self.waited += 1
        return False

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]


def check_watched(callbacks: Iterable[Any], known: Iterable[str] | None) -> None:
    """Check the quantities that callbacks watch before training, as far as they are known.

    Parameters
    ----------
    callbacks : iterable of Callback
        If there is one that is not of this package, it may add quantities: then nothing is checked.
    known : iterable of str or None
        The quantities of the run.

    Raises
    ------
    ValueError
        If a callback watches another one.
    """
    callbacks = list(callbacks)
    own = any(type(callback).__module__.split(".")[0] != __name__.split(".")[0] for callback in callbacks)
    if known is None or own or any(isinstance(callback, (_OfFunction, _Adapted)) for callback in callbacks):
        return
    known = ["epoch", *known, "learning_rate", "seconds"]
    for callback in callbacks:
        name = callback.monitor if isinstance(callback, _Watching) else None
        if name is not None and name not in known and f"valid_{name}" not in known:
            validated = "valid_loss" in known
            wants = name.startswith("val") and not validated
            hint = "; give fit(..., validation=...)" if wants else suggest(name, known)
            raise ValueError(
                f"{type(callback).__name__}: there is no quantity {name!r}{hint}: there are {', '.join(known)}"
            )


@names_constructor
class EarlyStopping(_Watching):
    """Stop training when a quantity does not improve any more.

    Parameters
    ----------
    monitor : str
        An entry of the history, such as ``"valid_loss"``, ``"valid_auc"`` or ``"train_loss"``.
    patience : int
        Stop after this many epochs without improvement.
    min_delta : float
        Smaller changes are no improvement.
    mode : {"min", "max"}, optional
        Which values are better; by default what the metric says.
    """

    def __init__(
        self, monitor: str = "valid_loss", patience: int = 5, min_delta: float = 0.0, mode: str | None = None
    ) -> None:
        super().__init__(monitor, patience, min_delta, mode)

    def on_epoch_end(self, trainer: Core, record: dict[str, float]) -> None:
        if not self.improved(trainer, record) and self.waited >= self.patience:
            trainer.stop(f"no improvement of {self.monitor} for {self.patience} epochs")


@names_constructor
class ReduceOnPlateau(_Watching):
    """Multiply the learning rates by a factor when a quantity does not improve any more.

    Parameters
    ----------
    monitor : str
        An entry of the history.
    factor : float
        Between 0 and 1.
    patience : int
        Reduce after this many epochs without improvement.
    min_rate : float
        The learning rate is not reduced below this value.
    min_delta : float
        Smaller changes are no improvement.
    mode : {"min", "max"}, optional
        Which values are better; by default what the metric says.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        factor: float = 0.1,
        patience: int = 5,
        min_rate: float = 0.0,
        min_delta: float = 0.0,
        mode: str | None = None,
    ) -> None:
        super().__init__(monitor, patience, min_delta, mode)
        if not 0 < factor < 1:
            raise ValueError(f"ReduceOnPlateau: factor={factor}, expected a number between 0 and 1")
        self.factor, self.min_rate = factor, min_rate

    def on_epoch_end(self, trainer: Core, record: dict[str, float]) -> None:
        if self.improved(trainer, record) or self.waited < self.patience:
            return
        self.waited = 0
        largest = max(trainer.rates().values())
        if largest > self.min_rate:
            trainer.rate_factor *= max(self.factor, self.min_rate / largest)
            trainer.say(f"learning rate times {self.factor:g}: no improvement of {self.monitor}")


@names_constructor
class Checkpoint(Callback):
    """Save the state of training, so that a run that was killed can be continued with the same result.

    ::

        trainer = Trainer(network)
        if os.path.exists("run.safetensors"):
            trainer.load("run.safetensors")
        trainer.fit(X, y, 50, callbacks=[Checkpoint("run.safetensors")], resume=True)

    Parameters
    ----------
    path : path
        The file, which is replaced atomically. ``{epoch}`` in its name is replaced by the number of the epoch.
    every : int
        Save after every so many epochs, and after the last one.
    """

    def __init__(self, path: str | os.PathLike, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"Checkpoint: every={every}, expected at least 1")
        if Path(path).suffix != ".safetensors":
            raise ValueError(f"Checkpoint: {os.fspath(path)!r}: expected a name that ends in .safetensors")
        self.path, self.every = os.fspath(path), every

    def on_train_begin(self, trainer: Core) -> None:
        folder = Path(self.path).parent
        if not folder.is_dir():
            raise FileNotFoundError(f"Checkpoint: there is no folder {folder}; create it first")

    def on_epoch_end(self, trainer: Core, record: dict[str, float]) -> None:
        epoch = int(record["epoch"])
        if epoch % self.every == 0 or trainer.is_last_epoch or trainer.run.stopped:
            trainer.save(self.path.replace("{epoch}", str(epoch)))
