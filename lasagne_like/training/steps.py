"""Compiled functions of a trainer: a training step, and the evaluation of a batch.

A training step returns nothing. It adds the loss of the batch to shared totals, which the trainer reads from time to
time: on a GPU, steps do not wait for each other's losses. If a loss or a gradient is not finite, this step and all
later ones change nothing but the number of the step, so that the network, the averages of batch normalisation and the
random streams are those that led to it when the trainer finds out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.runtime.updates import update_pairs, with_default_updates
from symc.tensor.shared_randomstreams import RandomStreams

from ..layers import Layer
from ..precision import LossScale
from .choices import OPTIMISERS
from .graphs import Graph, Objective, applied, weighted_mean, weighted_sum
from .metrics import Metric

__all__ = ["EvaluationStep", "Group", "TrainingStep"]


class Group:
    """Parameters that share a learning rate and have been trained for equally many steps.

    Attributes
    ----------
    params : list of SharedVariable
    rate : SharedVariable
        The learning rate.
    generation : int
        Parameters that are unfrozen later belong to a later generation: their optimiser starts anew.
    """

    def __init__(self, params: list[Any], rate: Any, generation: int) -> None:
        self.params, self.rate, self.generation = params, rate, generation


class TrainingStep:
    """A compiled training step with its state.

    Attributes
    ----------
    graph : Graph
    states : dict of str to list of SharedVariable
        The state of the optimiser (``adam.m/conv1.W``), of random streams (``random/dropout.0``) and of other shared
        variables that a step updates, but not the parameters.
    """

    def __init__(self, objective: Objective, graph: Graph, groups: Sequence[Group], update: Any) -> None:
        self.graph, self.objective = graph, objective
        explicit: dict[Any, Any] = {}
        self.states: dict[str, list[Any]] = {}
        names = objective.names
        params = [param for group in groups for param in group.params]
        self.scale = LossScale() if objective.precision == "float16" else None
        found = symc.grad(graph.loss, params) if self.scale is None else self.scale.gradients(graph.loss, params)
        self.gradients = dict(zip(params, found))
        self._clips = self.scale is None and getattr(update, "func", update) not in OPTIMISERS.values()
        for group in groups:
            target = graph.loss if self._clips else [self.gradients[param] for param in group.params]
            updates = update(target, group.params, learning_rate=group.rate)
            if not isinstance(updates, Mapping):
                raise TypeError(f"update returned {type(updates).__name__}, expected a dict of updates")
            self._name_states(group, updates, names)
            explicit.update(updates)
        for shared in () if self.scale is None else (self.scale.value, self.scale.steps):
            self.states[shared.tag.optimiser[0]] = [shared]
        self._initial = [(shared, shared.get_value()) for held in self.states.values() for shared in held]
        pairs = with_default_updates([graph.loss], update_pairs(explicit), False, {}, frozenset(graph.arguments))
        self._name_streams(pairs, names)
        self._pairs = pairs
        self._function: Any = None
        self.totals = symc.shared(np.zeros(2), "sums of losses and weights")
        self.number = symc.shared(np.int64(0), "number of the step")
        self.failed = symc.shared(np.int64(-1), "first step whose loss is not finite")

    def _name_states(self, group: Group, updates: Mapping, names: Mapping[Any, str]) -> None:
        suffix = f"@{group.generation}" if group.generation else ""
        unnamed = 0
        for shared in updates:
            if shared in names:
                continue
            role, param = getattr(shared.tag, "optimiser", (None, None))
            if role is None:
                first = names[group.params[0]]
                key, unnamed = f"optimiser.{unnamed}/{first}{suffix}", unnamed + 1
            else:
                key = f"{role}/{names[param]}" if param in names else f"{role}{suffix}"
            self.states.setdefault(key, []).append(shared)

    def _name_streams(self, pairs: Sequence[tuple[Any, Any]], names: Mapping[Any, str]) -> None:
        known = {id(param.storage) for param in names}
        known |= {id(shared.storage) for held in self.states.values() for shared in held}
        owners = {id(state.storage): label for label, state in _streams(self.objective)}
        counts: dict[str, int] = {}
        rest = [shared for shared, _ in pairs if id(shared.storage) not in known]
        for shared in sorted(rest, key=lambda shared: shared.serial):
            label = owners.get(id(shared.storage), "other")
            counts[label] = counts.get(label, -1) + 1
            self.states[f"random/{label}.{counts[label]}"] = [shared]

    @property
    def function(self) -> Any:
        """The compiled step; compiled on first use."""
        if self._function is None:
            loss = self.graph.loss
            good = running = T.and_(T.lt(abs(loss), np.inf), T.lt(self.failed, 0))
            for gradient in self.gradients.values():
                # An update of the user's may clip what is infinite; nothing makes a number of NaN.
                sound = T.invert(T.isnan(gradient)) if self._clips else T.lt(abs(gradient), np.inf)
                good = T.and_(good, T.all(sound))
            updates = {shared: T.switch(good, value, shared) for shared, value in self._pairs}
            count = T.cast(self.graph.count, "float64")
            sums = T.stack([T.cast(loss, "float64") * count, count])
            updates[self.totals] = T.switch(good, self.totals + sums, self.totals)
            goes_on = good
            if self.scale is not None:  # gradients that overflow are no failure before the scale is 1
                goes_on = T.or_(good, T.and_(running, T.gt(self.scale.value, 1)))
                adapted = self.scale.updates(good)
                updates |= {shared: T.switch(running, new, shared) for shared, new in adapted.items()}
            updates[self.failed] = T.switch(T.or_(goes_on, T.ge(self.failed, 0)), self.failed, self.number)
            updates[self.number] = self.number + 1
            self._function = self.graph.function([], "train", updates=updates, no_default_updates=True)
        return self._function

    @property
    def changed(self) -> set[int]:
        """The identities of the storages that a step updates."""
        return {id(shared.storage) for shared, _ in self._pairs}

    def begin(self) -> None:
        """Set the totals to zero."""
        self.totals.set_value(np.zeros(2))
        self.number.set_value(np.int64(0))
        self.failed.set_value(np.int64(-1))

    def first_failure(self) -> int | None:
        """The number of the first step since :meth:`begin` whose loss was not finite, or None."""
        found = int(self.failed.get_value(borrow=True))
        return None if found < 0 else found

    def mean_loss(self) -> float:
        """The mean loss since :meth:`begin`, weighted by the numbers or weights of items."""
        total, count = self.totals.get_value(borrow=True)
        return float(total / count) if count else 0.0

    def restart_optimiser(self) -> None:
        """Set the state of the optimiser to its initial values; random streams go on."""
        for shared, value in self._initial:
            shared.set_value(value)

    def values(self) -> dict[str, np.ndarray]:
        """Copies of all states."""
        return {name: np.array(held[0].get_value()) for name, held in self.states.items()}

    def assign(self, values: Mapping[str, np.ndarray]) -> list[str]:
        """Set the states of these names that have this shape and dtype; return the names of the others."""
        left = []
        for name, value in values.items():
            held = self.states.get(name, [])
            if not held or any(s.get_value(borrow=True).shape != value.shape or s.dtype != value.dtype for s in held):
                left.append(name)
                continue
            for shared in held:
                shared.set_value(value)
        return left


def _streams(objective: Objective) -> list[tuple[str, Any]]:
    """The states of the random streams of all layers, with the names of the layers."""
    found = []
    for layer in objective.layers:
        for value in vars(layer).values():
            if isinstance(value, RandomStreams):
                found += [(objective.label(layer), state) for state, _ in value.state_updates]
    return found


def signature(layers: Sequence[Layer]) -> tuple:
    """Return what compiled functions depend on besides the values of parameters: tags, and settings of layers.

    It differs after ``freeze``, ``layer.trainable = False`` or ``layer.p = 0.3``.
    """
    parts: list[Any] = []
    for layer in layers:
        settings = tuple(
            (name, value if isinstance(value, (bool, int, float, str)) or value is None else _identity(value))
            for name, value in vars(layer).items()
            if name != "name" and not isinstance(value, (list, dict, set, np.ndarray))
        )
        tags = tuple((id(param), frozenset(tags)) for param, tags in layer.params.items())
        parts.append((id(layer), settings, tags))
    return tuple(parts)


def _identity(value: Any) -> Any:
    return repr(value) if isinstance(value, tuple) else id(value)


class EvaluationStep:
    """The evaluation of a batch in deterministic mode.

    Attributes
    ----------
    metrics : list of list of Metric
        Per output.
    """

    def __init__(self, objective: Objective, graph: Graph, metrics: Sequence[Sequence[Metric]]) -> None:
        self.objective, self.metrics, self.graph = objective, metrics, graph
        weight = graph.weight
        outputs = [T.cast(graph.count, "float64")]
        outputs += [T.cast(weighted_mean(loss, weight), "float64") for loss in graph.items]
        self.counts: list[list[int | None]] = []
        for output, prediction, target, chosen in zip(objective.outputs, graph.predictions, graph.targets, metrics):
            places: list[int | None] = []
            for metric in chosen:
                if metric.items is None:
                    places.append(None)
                    continue
                values = applied(metric.items, prediction, target, f"the metric {metric.name} of {output.name}")
                places.append(len(outputs))
                outputs.append(_sum_of(values, weight, prediction))
            self.counts.append(places)
        self.items_at = len(outputs)
        self.outputs_at: dict[int, int] = {}
        for position, chosen in enumerate(metrics):
            if any(metric.whole is not None for metric in chosen):
                self.outputs_at[position] = len(outputs)
                outputs.append(graph.predictions[position])
        self.function = graph.function(outputs, "evaluate")

    def run(self, batches: Any) -> dict[str, float]:
        """Evaluate batches; return the losses and metrics by name."""
        total, count, several = np.zeros(self.items_at), 0.0, len(self.metrics) > 1
        kept: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {k: [] for k in self.outputs_at}
        weights: list[np.ndarray] = []
        items = 0
        for batch in batches:
            results = self.function(*batch.arguments)
            share = float(results[0])
            row = np.array([float(result) for result in results[: self.items_at]])
            row[1 : 1 + len(self.metrics)] *= share
            total, count, items = total + row, count + share, items + batch.size
            for position, place in self.outputs_at.items():
                kept[position].append((np.asarray(results[place]), batch.targets[position]))
            if self.outputs_at and batch.weights is not None:
                weights.append(batch.weights)
        if not items:
            raise ValueError("there are no items to evaluate: the source yields no batches")
        means = total / count if count else np.zeros_like(total)
        losses = means[1 : 1 + len(self.metrics)]
        record = {"loss": float(np.dot(self.objective.loss_weights, losses))}
        for position, output in enumerate(self.objective.outputs):
            prefix = f"{output.name}." if several else ""
            if several:
                record[f"{prefix}loss"] = float(losses[position])
            for metric, at in zip(self.metrics[position], self.counts[position]):
                if metric.whole is not None:
                    predictions, targets = (np.concatenate(part) for part in zip(*kept[position]))
                    value: Any = metric.whole(predictions, targets, np.concatenate(weights) if weights else None)
                else:
                    value = means[at]
                record[prefix + metric.name] = float(value if metric.finish is None else metric.finish(value))
        return record


def _sum_of(values: Any, weight: Any, prediction: Any) -> Any:
    values = T.cast(values, symc.config.floatX)
    if values.ndim == 0:
        if weight is not None:
            raise ValueError("sample or class weights need metrics with one value per item")
        return T.cast(values * T.cast(prediction.shape[0], symc.config.floatX), "float64")
    return T.cast(weighted_sum(values, weight), "float64")
