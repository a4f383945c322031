"""The loop over epochs: one call of ``Trainer.fit``."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from .batches import ArraySource, Batch, IterableSource, Source
from .callbacks import Callback, check_watched
from .core import Core
from .diagnosis import explain_non_finite
from .metrics import better
from .progress import Progress, epoch_line

__all__ = ["Fit"]

STEPS_PER_CHECK = 16
"""The number of steps after which the trainer looks whether a loss was not finite."""

HELD_BYTES = 1 << 26
"""The trainer looks earlier if the batches since the last time, which it keeps for the diagnosis, exceed this size."""


class Fit:
    """The epochs of one call of ``fit``.

    Parameters
    ----------
    trainer : Trainer
    train, valid : Source
        What is used: the data, or features of it.
    callbacks : sequence of Callback
    raw : pair of Source, optional
        The data.
    """

    def __init__(
        self,
        trainer: Core,
        train: Source,
        valid: Source | None,
        callbacks: Sequence[Callback],
        raw: tuple[Source, Source | None] | None = None,
    ) -> None:
        self.trainer, self.train, self.valid, self.callbacks = trainer, train, valid, callbacks
        self.raw = raw
        self.watches_batches = any(
            getattr(callback.on_batch_end, "__func__", None) is not Callback.on_batch_end for callback in callbacks
        )
        check_watched(callbacks, trainer.quantities(valid is not None))
        self.monitor = trainer.monitored(valid is not None)
        self.keeps_best = self.monitor is not None and trainer.restore_best is not False
        if self.monitor is None and (trainer.patience or trainer.restore_best):
            asked = f"patience={trainer.patience}" if trainer.patience else "restore_best=True"
            raise ValueError(
                f"{asked} needs a quantity to watch: give fit(..., validation=...), or choose one of training, as in "
                "Trainer(..., monitor='train_loss')"
            )

    def run(self, last: int) -> None:
        """Train until ``last`` epochs are complete; then restore the best weights and say which weights remain."""
        trainer, run = self.trainer, self.trainer.run
        complete = False
        try:
            for callback in self.callbacks:
                callback.on_train_begin(trainer)
            while trainer.epoch < last and not run.stopped:
                trainer.is_last_epoch = trainer.epoch + 1 == last
                self._epoch()
            complete = True
            if run.stopped:
                trainer.say(f"stopped after epoch {trainer.epoch}: {run.stopped}")
        finally:
            self._restore(complete)
            trainer.between_epochs = True
            for callback in self.callbacks:
                callback.on_train_end(trainer)

    def _restore(self, complete: bool) -> None:
        trainer, run = self.trainer, self.trainer.run
        if self.keeps_best and run.best:
            trainer.assign_params(run.best)
            value = f"{run.scores[0]:.6g}"
            text = f"of epoch {run.best_epoch}, the best by {self.monitor} ({value})"
        elif complete or trainer.between_epochs:
            text = f"of epoch {trainer.epoch}, the last" if trainer.epoch else "those before training"
            if self.monitor is not None and self.keeps_best:
                text += f": {self.monitor} was never a number"
        else:
            text = f"those in the middle of epoch {trainer.epoch + 1}, where training was interrupted"
        trainer.weights_from = text
        trainer.say(f"weights: {text}")

    def _epoch(self) -> None:
        trainer = self.trainer
        began = time.perf_counter()
        if trainer.follow_layers() and self.raw is not None:  # a callback unfroze layers: features may be of no use
            (self.train, self.valid), trainer.active = self.raw, trainer.objective
        rates = trainer.set_rates()
        for callback in self.callbacks:
            callback.on_epoch_begin(trainer, trainer.epoch + 1)
        loss = self._steps(trainer.epoch)
        record: dict[str, float] = {"epoch": trainer.epoch + 1, "train_loss": loss}
        if trainer.train_metrics:
            scores = trainer.scores_of(self._train_again(trainer.epoch))
            record |= {f"train_{name}": value for name, value in scores.items() if name != "loss"}
        record |= rates
        if self.valid is not None:
            record |= {f"valid_{name}": value for name, value in trainer.scores_of(self.valid.ordered()).items()}
        trainer.epoch += 1
        trainer.between_epochs = True
        self._keep_best(record)
        record["seconds"] = time.perf_counter() - began
        trainer.remember(record)
        trainer.say(epoch_line(record))
        self._consider_patience()
        for callback in self.callbacks:
            callback.on_epoch_end(trainer, record)

    def _train_again(self, epoch: int) -> Any:
        return self.train.ordered() if isinstance(self.train, ArraySource) else self.train.epoch(epoch)

    def _steps(self, epoch: int) -> float:
        """Train on the batches of an epoch; return the mean loss."""
        trainer = self.trainer
        held: list[Batch] = []
        step: Any = None
        checked = size = 0
        progress = Progress(self.train.epoch(epoch), len(self.train), f"epoch {epoch + 1}", trainer.verbose)
        try:
            for number, batch in enumerate(progress, start=1):
                if step is None:
                    key = trainer.form_of(batch)
                    step = trainer.training_step(key)
                    step.begin()
                    function, simple = step.function, isinstance(self.train, ArraySource)
                    trainer.between_epochs = False
                elif not simple and trainer.form_of(batch) != key:
                    raise ValueError(
                        f"batch {number} of epoch {epoch + 1} has targets {trainer.form_of(batch)}, earlier batches "
                        f"{key}: all batches of an epoch must have the same dtypes and numbers of axes"
                    )
                function(*batch.arguments)
                held.append(batch)
                size += batch.nbytes
                if len(held) >= STEPS_PER_CHECK or size > HELD_BYTES:
                    self._check(step, held, checked)
                    checked, size = number, 0
                    held = []
                    progress.show(loss=step.mean_loss())
                if self.watches_batches:
                    for callback in self.callbacks:
                        callback.on_batch_end(trainer, number)
            if step is None:
                raise ValueError(f"the source of batches yields no batch in epoch {epoch + 1}{_read_once(self.train)}")
            self._check(step, held, checked)
        finally:
            progress.close()
        return step.mean_loss()

    def _check(self, step: Any, held: Sequence[Batch], first: int) -> None:
        """Raise the error for a loss that was not finite in one of the steps from number ``first`` (from 0) on."""
        failed = step.first_failure()
        if failed is not None:
            where = f"epoch {self.trainer.epoch + 1}, batch {failed + 1}"
            batch = held[failed - first]
            raise explain_non_finite(self.trainer.active, step.graph, step.gradients, batch.arguments, where)

    def _keep_best(self, record: dict[str, float]) -> None:
        if self.monitor is None:
            return
        trainer, run = self.trainer, self.trainer.run
        name = trainer.quantity(self.monitor, record)
        scores = [record[name], record.get("valid_loss", record["train_loss"])]
        directions = [trainer.direction(name, trainer.monitor_mode), "min"]
        if not run.scores or _ahead(scores, run.scores, directions):
            if math.isnan(scores[0]):
                return
            run.best_epoch, run.scores = trainer.epoch, scores
            if self.keeps_best:
                run.best = trainer.param_values(changing=True)

    def _consider_patience(self) -> None:
        trainer, run = self.trainer, self.trainer.run
        if trainer.patience and trainer.epoch - max(run.best_epoch or 0, run.first) >= trainer.patience:
            trainer.stop(f"no improvement of {self.monitor} for {trainer.patience} epochs")


def _ahead(first: Sequence[float], second: Sequence[float], directions: Sequence[str]) -> bool:
    """Whether scores are better than others: by the first, and by the next one if these are equal."""
    for a, b, which in zip(first, second, directions):
        if better(a, b, which):
            return True
        if a != b:
            return False
    return False


def _read_once(source: Source) -> str:
    if isinstance(source, IterableSource) and source.reads_once:
        return ": a generator can be read only once; give a function that returns a new one, or a list"
    return ""
