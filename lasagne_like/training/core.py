"""What the loop over epochs and callbacks need of a trainer: compiled functions, quantities and parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symc.errors import warn

from ..layers import get_all_params
from ..utils import suggest
from .batches import Batch, Source
from .choices import name_of
from .features import border_for, with_features
from .graphs import Objective
from .metrics import direction, metrics_of
from .rates import Rates
from .run import Run
from .saving import Saving
from .steps import EvaluationStep, Group, TrainingStep, signature
from .targets import BatchForm, TargetForm

__all__ = ["AUTO", "Core", "History"]

History = dict[str, list[float]]
AUTO: Any = "auto"


class Core(Saving):
    """The state of a trainer, and what is computed from it."""

    objective: Objective
    active: Objective
    metrics: Any
    update: Callable[..., Any]
    monitor: str | None
    monitor_mode: str | None
    train_metrics: bool
    verbose: bool
    _rates: Rates
    _predict: Any
    resuming: bool
    is_last_epoch: bool
    patience: int | None
    restore_best: bool | None
    precompute: bool
    batch_size: int

    def _forget_functions(self) -> None:
        self._step: TrainingStep | None = None
        self._step_key: Any = None
        self._evaluations: dict[Any, EvaluationStep] = {}
        self._predict: Any = None
        self._signature: Any = None
        self._introduced = False

    def _begin_anew(self) -> None:
        self.history: History = {}
        self.epoch = 0
        self.between_epochs = True
        self.run = Run(0)
        self._begun = False
        self.weights_from = "those before training"
        self._generations: dict[Any, int] = {}
        self._pending: dict[str, np.ndarray] = {}
        self._loaded = False
        self._callback_states: list[Any] = []

    def rates(self) -> dict[str, float]:
        """Return the learning rates of the next epoch by pattern; the only one has the pattern ``"*"``."""
        return {pattern: self.rate_factor * rate for pattern, rate in self._rates.at(self.epoch).items()}

    def scores_of(self, batches: Any) -> dict[str, float]:
        """Return losses and metrics over batches by name; for callbacks and the loop over epochs."""
        first = next(iter(batches := iter(batches)), None)
        if first is None:
            raise ValueError("there are no items to evaluate: the source yields no batches")
        key = self.form_of(first)
        step = self._evaluations.get((key, self.active.border))
        if step is None:
            graph = self.active.graph(key, deterministic=True)
            step = EvaluationStep(self.active, graph, self._metrics_per_output(key.targets))
            self._evaluations[key, self.active.border] = step
        return step.run(_chained(first, batches))

    def _metrics_per_output(self, forms: Sequence[TargetForm] | None) -> list[list[Any]]:
        outputs = self.objective.outputs
        names = [output.name for output in outputs]
        several = len(outputs) > 1 and isinstance(self.metrics, Mapping) and set(self.metrics) <= set(names)
        specs = [self.metrics.get(name) for name in names] if several else [self.metrics] * len(outputs)
        unknown = TargetForm("", ())
        return [metrics_of(*each) for each in zip(outputs, specs, forms or [unknown] * len(outputs))]

    # --- compiled functions -------------------------------------------------------------------------------------------

    def form_of(self, batch: Batch) -> BatchForm:
        """The form of a batch: what functions are compiled for."""
        forms = tuple(output.form(y) for output, y in zip(self.objective.outputs, batch.targets))
        weighted = 0 if batch.weights is None else batch.weights.ndim
        return BatchForm(forms, weighted, tuple(x.dtype.name for x in batch.inputs))

    def follow_layers(self) -> bool:
        """Discard compiled functions if layers or their tags were changed since; states are kept."""
        now = signature(self.objective.layers)
        changed = self._signature is not None and self._signature != now
        if changed:
            self._keep_states()
            self._forget_functions()
        self._signature = now
        return changed

    def _keep_states(self) -> None:
        if self._step is not None:
            self._pending = self._step.values()

    def training_step(self, key: Any) -> TrainingStep:
        """Return the training step for targets of a form, compiled on first use."""
        full = key, self._rates.patterns, self.active.border
        if self._step is None or self._step_key != full:
            self._keep_states()
            self._step = self._new_step(key)
            self._step_key = full
            self._refuse_other_optimiser(self._step)
            self._step.assign(self._pending)  # but for states of parameters that are frozen now
            self._pending, self._loaded = {}, False
            self._signature = signature(self.objective.layers)
        if not self._introduced:
            self._introduce(key)
        return self._step

    def _refuse_other_optimiser(self, step: TrainingStep) -> None:
        """Refuse to continue from a file with the state of another optimiser."""
        there, here = (
            {name.partition("/")[0].partition("@")[0] for name in names if not name.startswith("random/")}
            for names in (self._pending, step.states)
        )
        if self._loaded and there - here:
            self._step = None
            raise ValueError(
                f"the loaded state is that of another optimiser: it holds {', '.join(sorted(there))}, but the update "
                f"{name_of(self.update)} has {', '.join(sorted(here)) or 'no state'}; create the Trainer with the "
                "update that the state was saved with"
            )

    def _new_step(self, key: Any) -> TrainingStep:
        layers = [output.layer for output in self.objective.outputs]
        params = get_all_params(layers, trainable=True)
        if not params:
            raise ValueError("the network has no trainable parameters: unfreeze a layer before training")
        later = max(self._generations.values(), default=-1) + 1
        self._generations = {param: self._generations.get(param, later) for param in params}
        groups: dict[tuple[str, int], list[Any]] = {}
        for param, pattern in self._rates.assign(params).items():
            groups.setdefault((pattern, self._generations[param]), []).append(param)
        made = [Group(held, self._rates.shared[p], generation) for (p, generation), held in groups.items()]
        graph = self.active.graph(key, deterministic=False)
        return TrainingStep(self.active, graph, made, self.update)

    def _features(self, train: Source, valid: Source | None, epochs: int) -> tuple[Objective, Source, Source | None]:
        """Compute the outputs of a frozen base once, if they are the same in every epoch and there are several."""
        border = border_for(self.objective, train, valid) if self.precompute and epochs > 1 else []
        if not border:
            return self.objective, train, valid
        self.say(f"computing the outputs of {', '.join(map(self.objective.label, border))} once: all below is frozen")
        active, sources = with_features(self.objective, border, (train, valid), self.batch_size)
        assert sources[0] is not None
        return active, sources[0], sources[1]

    # --- for the loop over epochs and callbacks -----------------------------------------------------------------------

    def set_rates(self) -> dict[str, float]:
        """Set the learning rates of the next epoch; return their entries of the history."""
        rates = self.rates()
        if not any(rates.values()) and self.epoch == self.run.first and any(self._rates.at(0).values()):
            warn(
                f"the learning rate is 0 from epoch {self.epoch + 1} on, because its schedule counts the epochs of all "
                "calls of fit: nothing will be learnt. Assign trainer.learning_rate"
            )
        self._rates.set(rates)
        single = list(rates) == ["*"]
        return {"learning_rate" if single else f"learning_rate {name}": rate for name, rate in rates.items()}

    def remember(self, record: Mapping[str, float]) -> None:
        """Add the record of an epoch to the history."""
        length = len(self.history.get("epoch", ()))
        for name in record:
            self.history.setdefault(name, [math.nan] * length)
        for name, column in self.history.items():
            column.append(record.get(name, math.nan))

    def stop(self, reason: str = "a callback asked for it") -> None:
        """Stop training after the current epoch; for callbacks."""
        self.run.stopped = reason

    def say(self, text: str) -> None:
        """Print a line, if the trainer is verbose."""
        if self.verbose:
            print(text, flush=True)

    def _metric_names(self) -> list[str]:
        return [
            f"{output.name}.{metric.name}" if len(self.objective.outputs) > 1 else metric.name
            for output, metrics in zip(self.objective.outputs, self._metrics_per_output(None))
            for metric in metrics
        ]

    def quantities(self, validated: bool) -> list[str] | None:
        """The quantities of a run, with or without validation data; None if they are known only after an epoch."""
        if len(self.objective.outputs) > 1 or self.objective.outputs[0].kind == "own":
            return None
        kinds = [*(["valid"] if validated else []), *(["train"] if self.train_metrics else [])]
        known = ["train_loss", *[f"{kind}_{name}" for kind in kinds for name in ("loss", *self._metric_names())]]
        return list(dict.fromkeys(known))

    def monitored(self, validated: bool) -> str | None:
        """The quantity by which the best epoch is chosen, or None."""
        names = self._metric_names()
        if self.monitor is None:
            if not validated:
                return None
            return f"valid_{names[0]}" if len(self.objective.outputs) == 1 and names else "valid_loss"
        kinds = [*(["valid"] if validated else []), *(["train"] if self.train_metrics else [])]
        known = ["train_loss", *[f"{kind}_{name}" for kind in kinds for name in ("loss", *names)]]
        known = list(dict.fromkeys(known))
        found = self.monitor if self.monitor in known else f"valid_{self.monitor}"
        own = any(output.kind == "own" for output in self.objective.outputs)
        if found not in known and not own and len(self.objective.outputs) == 1:
            hint = suggest(self.monitor, known) if validated else ": give fit(..., validation=...)"
            raise ValueError(
                f"monitor={self.monitor!r} is no quantity of this run{hint}; there are {', '.join(known)}; name "
                "further metrics in Trainer(..., metrics=[...])"
            )
        return found if found in known else self.monitor

    def quantity(self, name: str, record: Mapping[str, float]) -> str:
        """Return the name in the record of a quantity, which may be given without ``valid_``.

        Raises
        ------
        ValueError
            If there is no such quantity.
        """
        for candidate in (name, f"valid_{name}"):
            if candidate in record:
                return candidate
        if name.startswith("valid_") and "valid_loss" in record and not self._metrics_known(name):
            return "valid_loss"  # an automatic metric that targets of a loss of the user's do not have
        raise ValueError(f"there is no quantity {name!r}{suggest(name, record)}: there are {', '.join(record)}")

    def _metrics_known(self, name: str) -> bool:
        return self.monitor is not None or self.metrics is not AUTO or name != self.monitored(True)

    def direction(self, name: str, mode: str | None = None) -> str:
        """Return ``"min"`` or ``"max"``: which values of a quantity are better."""
        return direction(name, [m for metrics in self._metrics_per_output(None) for m in metrics], mode)

    def param_values(self, changing: bool = False) -> dict[str, np.ndarray]:
        """Return copies of parameters by name: of all, or of those that a training step changes."""
        changed = self._step.changed if changing and self._step is not None else None
        return {
            name: np.array(param.get_value())
            for param, name in self.objective.names.items()
            if changed is None or id(param.storage) in changed
        }

    def assign_params(self, values: Mapping[str, np.ndarray]) -> None:
        """Set parameters by name."""
        for param, name in self.objective.names.items():
            if name in values:
                param.set_value(values[name])

    def _introduce(self, key: Any) -> None:
        """Say once what is trained, for what and how."""
        self._introduced = True
        forms, weighted = key.targets, key.weighted
        parts = []
        for output, form, metrics in zip(self.objective.outputs, forms, self._metrics_per_output(forms)):
            prefix = f"{output.name}: " if len(forms) > 1 else ""
            listed = ", ".join(metric.name for metric in metrics)
            parts.append(prefix + output.describe(form) + (f", metric {listed}" if listed else ""))
        trained = sum(param.get_value(borrow=True).size for param in self._generations)
        held = (layer.get_params(frozen=True) for layer in self.objective.layers)
        frozen = {param for params in held for param in params} - set(self._generations)
        total = trained + sum(param.get_value(borrow=True).size for param in frozen)
        amount = f"all {total:,}" if trained == total else f"{trained:,} of {total:,}"
        weights = ", weighted" if weighted else ""
        self.say(f"{'; '.join(parts)}{weights}; {name_of(self.update)}, {amount} parameters{self._rates.describe()}")


def _chained(first: Batch, rest: Any) -> Any:
    yield first
    yield from rest
