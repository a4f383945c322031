"""A small trainer: mini-batches, validation, best weights, early stopping, learning-rate schedules.

:class:`Trainer` compiles one training and one evaluation function with a symbolic batch size and runs them in a loop
that anyone could write; it exists so that nobody has to write again the parts that are easy to get wrong (the smaller
last batch, averages weighted by batch size, the best weights, a loss that is not finite).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from .diagnosis import NonFiniteLossError, Objective, explain_non_finite
from .io import all_layers
from .layers import InputLayer, Layer, get_all_param_values, get_all_params, get_output, set_all_param_values
from .objectives import categorical_crossentropy
from .updates import adam

__all__ = ["Trainer", "NonFiniteLossError", "cosine", "step_decay", "classification_error"]

Schedule = Callable[[int], float]
History = dict[str, list[float]]


def classification_error(prediction: Any, target: Any) -> Any:
    """Return, for each row, 1 where the largest of ``prediction`` (n, classes) is not class ``target`` (n,), else 0."""
    return T.cast(T.neq(T.argmax(prediction, axis=1), target), symc.config.floatX)


def cosine(start: float, epochs: int, end: float = 0.0) -> Schedule:
    r"""Return the schedule :math:`end + (start - end)(1 + \cos(\pi\, epoch / epochs)) / 2`.

    Parameters
    ----------
    start, end : float
        Learning rate of epoch 0, and the one that epoch ``epochs`` would have.
    epochs : int
        Length of the descent.

    References
    ----------
    .. [1] Loshchilov, Hutter (2017): SGDR: stochastic gradient descent with warm restarts. ICLR.
    """
    return partial(_cosine, start, epochs, end)


def _cosine(start: float, epochs: int, end: float, epoch: int) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1)))


def step_decay(start: float, every: int, factor: float = 0.1) -> Schedule:
    """Return the schedule ``start * factor ** (epoch // every)``."""
    return partial(_step_decay, start, every, factor)


def _step_decay(start: float, every: int, factor: float, epoch: int) -> float:
    return start * factor ** (epoch // every)


def _constant(rate: float, epoch: int) -> float:
    return rate


class Trainer:
    """Trains a network of one input layer on arrays in memory.

    Parameters
    ----------
    network : Layer or dict of str to Layer
        Output layer, or named layers of which the last is the output. The batch axis of its one input layer is
        ``None``.
    loss : callable
        ``loss(prediction, target)``: expression of the loss of each item, shape ``(n,)`` or more axes.
    error : callable or None
        ``error(prediction, target)``: expression of an error of each item, for the reports; None for no such thing.
    update : callable
        ``update(loss, params, learning_rate=shared)``: dict of updates, as in :mod:`lasagne_like.updates`.
    learning_rate : float or callable
        A number, or a schedule from the epoch (0, 1, ...) to a number, such as :func:`cosine`.
    penalty : Variable, optional
        Scalar expression added to the loss in training, such as ``1e-4 * regularize_network_params(network, l2)``.
    target_var : Variable, optional
        Variable of the targets; by default an int32 vector of class numbers.
    batch_size : int
        Items in a mini-batch; the last of an epoch may be smaller.
    patience : int, optional
        Stop after so many epochs without a better validation.
    seed : int
        Seed of the order of items. What the layers draw (initial weights, dropout) is seeded by
        :func:`lasagne_like.random.set_rng` before the network is built.
    verbose : bool
        Print a line an epoch; on a terminal also a progress bar.

    Attributes
    ----------
    history : dict of str to list of float
        One entry an epoch over all calls of :meth:`fit`: ``epoch`` (from 1), ``train_loss``, ``learning_rate``,
        ``seconds``, and ``valid_loss``, ``valid_error`` where there are such.
    best_epoch : int or None
        Epoch of the best validation so far (by error, then by loss); its weights are in the network after :meth:`fit`.

    Raises
    ------
    ValueError
        The network has more or fewer than one input layer, a fixed batch size, or no trainable parameter.

    Notes
    -----
    The functions are compiled on first use and once. Freeze layers before, or make a new Trainer.
    """

    def __init__(
        self,
        network: Layer | dict[str, Layer],
        *,
        loss: Callable[[Any, Any], Any] = categorical_crossentropy,
        error: Callable[[Any, Any], Any] | None = classification_error,
        update: Callable[..., dict] = adam,
        learning_rate: float | Schedule = 1e-3,
        penalty: Any = None,
        target_var: Any = None,
        batch_size: int = 128,
        patience: int | None = None,
        seed: int = 0,
        verbose: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: expected at least 1")
        self.network = network
        self.output_layer = network if isinstance(network, Layer) else list(network.values())[-1]
        self.input_layer = _only_input(self.output_layer)
        self.target_var = T.tensor("int32", name="target", shape=(None,)) if target_var is None else target_var
        self.loss, self.error, self.update, self.penalty = loss, error, update, penalty
        schedule: Any = learning_rate if callable(learning_rate) else partial(_constant, learning_rate)
        self.schedule: Schedule = schedule
        self.learning_rate = symc.shared(np.asarray(self.schedule(0), symc.config.floatX), name="learning_rate")
        self.batch_size, self.patience, self.verbose = batch_size, patience, verbose
        self.history: History = {}
        self.best_epoch: int | None = None
        self._best_score: tuple[float, ...] = ()
        self._best_values: list[np.ndarray] = []
        self._rng = np.random.default_rng(seed)
        self._compiled: dict[str, Any] = {}
        self._initial_state: dict[Any, np.ndarray] = {}

    def fit(
        self, X: np.ndarray, y: np.ndarray, epochs: int, validation: tuple[np.ndarray, np.ndarray] | None = None
    ) -> History:
        """Train for some epochs; called again, go on from the weights and the optimiser's state it left.

        Parameters
        ----------
        X : numpy.ndarray
            Inputs, shape ``(n,) + input_shape[1:]``.
        y : numpy.ndarray
            Targets, shape ``(n,)`` or more axes.
        epochs : int
            Passes over the data.
        validation : pair of numpy.ndarray, optional
            Inputs and targets to evaluate after each epoch. With it, the network ends with the weights of its best
            epoch, also when training was interrupted or failed; without, with the last ones.

        Returns
        -------
        dict of str to list of float
            :attr:`history`.

        Raises
        ------
        ValueError
            Inputs and targets have different lengths, none, or another shape than the network's input.
        NonFiniteLossError
            The loss was NaN or infinite. The message names the first layer or parameter that is not finite. The
            optimiser's step was not applied (the batch's running averages were).
        """
        X, y = self._checked(X, y)
        if validation is not None:
            if not isinstance(validation, (tuple, list)) or len(validation) != 2:
                raise ValueError(f"validation must be a pair of inputs and targets, got a {type(validation).__name__}")
            validation = self._checked(*validation)
        first = len(self.history.get("epoch", ()))
        try:
            for epoch in range(first, first + epochs):
                self._epoch(epoch, X, y, validation)
                since_best = 0 if validation is None else epoch + 1 - (self.best_epoch or 0)
                if self.patience and since_best >= self.patience:
                    self._say(f"no better validation for {self.patience} epochs: stopped")
                    break
        finally:
            if validation is not None and self._best_values:
                set_all_param_values(self.output_layer, self._best_values)
        return self.history

    def reset(self, seed: int | None = None) -> None:
        """Forget what training has learnt beside the parameters, so that the next :meth:`fit` starts afresh.

        The optimiser's own state (moments, step counts) returns to its start, history and best weights are dropped.
        The compiled functions stay: setting parameters, then resetting, is the cheap way to train the same network
        many times.

        Parameters
        ----------
        seed : int, optional
            New seed for the order of items.
        """
        for shared, value in self._initial_state.items():
            shared.set_value(value)
        self.history, self.best_epoch, self._best_score, self._best_values = {}, None, (), []
        if seed is not None:
            self._rng = np.random.default_rng(seed)

    def evaluate(self, X: np.ndarray, y: np.ndarray) -> tuple[float, float | None]:
        """Return mean loss and mean error (None without one), with dropout off and stored batch-norm averages."""
        X, y = self._checked(X, y)
        function = self._function("evaluate")
        totals = np.zeros(2)
        for start in range(0, len(X), self.batch_size):
            batch = slice(start, start + self.batch_size)
            results = function(X[batch], y[batch])
            totals[: len(results)] += [float(result) * len(X[batch]) for result in results]
        loss, error = totals / len(X)
        return float(loss), None if self.error is None else float(error)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the network's output for each input, shape ``(n,) + output_shape[1:]``."""
        X = self._checked_inputs(X)
        function = self._function("predict")
        starts = range(0, max(len(X), 1), self.batch_size)  # no inputs at all are one empty batch
        return np.concatenate([function(X[start : start + self.batch_size]) for start in starts])

    def _epoch(self, epoch: int, X: np.ndarray, y: np.ndarray, validation: Any) -> None:
        began = time.perf_counter()
        rate = self.schedule(epoch)
        self.learning_rate.set_value(np.asarray(rate, self.learning_rate.get_value().dtype))
        train = self._function("train")
        total = 0.0
        for number, chosen in enumerate(self._batches(len(X), epoch), start=1):
            inputs, targets = X[chosen], y[chosen]
            loss = float(train(inputs, targets))
            if not math.isfinite(loss):
                raise explain_non_finite(self._objective(), loss, inputs, targets, f"epoch {epoch + 1}, batch {number}")
            total += loss * len(chosen)
        record = {"epoch": epoch + 1, "train_loss": total / len(X), "learning_rate": rate}
        if validation is not None:
            record["valid_loss"], error = self.evaluate(*validation)
            if error is not None:
                record["valid_error"] = error
            self._keep_best(epoch, record)
        record["seconds"] = time.perf_counter() - began
        for name, value in record.items():
            self.history.setdefault(name, []).append(value)
        self._say(_line(record))

    def _batches(self, count: int, epoch: int) -> Iterator[np.ndarray]:
        order = self._rng.permutation(count)
        batches = [order[start : start + self.batch_size] for start in range(0, count, self.batch_size)]
        if self.verbose and sys.stderr.isatty():
            from tqdm import tqdm

            yield from tqdm(batches, desc=f"epoch {epoch + 1}", unit="batch", leave=False)
        else:
            yield from batches

    def _keep_best(self, epoch: int, record: dict[str, float]) -> None:
        scores = [record[name] for name in ("valid_error", "valid_loss") if name in record]
        score = tuple(math.inf if math.isnan(s) else s for s in scores)  # NaN, which is never better, is the worst
        if not self._best_score or score < self._best_score:
            self.best_epoch, self._best_score = epoch + 1, score
            self._best_values = [np.array(value) for value in get_all_param_values(self.output_layer)]

    def _say(self, text: str) -> None:
        if self.verbose:
            print(text, flush=True)

    def _checked_inputs(self, X: np.ndarray) -> np.ndarray:
        X, wanted = np.asarray(X), self.input_layer.shape
        fits = X.ndim == len(wanted) and all(w is None or w == n for w, n in zip(wanted[1:], X.shape[1:]))
        if not fits:
            raise ValueError(f"X has shape {X.shape}, but the network's input is {wanted}: reshape the array")
        return X

    def _checked(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        X, y = self._checked_inputs(X), np.asarray(y)
        if len(X) != len(y):
            raise ValueError(f"X has {len(X)} items and y has {len(y)}: expected as many targets as inputs")
        if not len(X):
            raise ValueError("X holds no item: nothing to train on or to evaluate")
        if y.dtype.kind in "iu":
            classes = self.output_layer.output_shape[-1]
            if self.loss is categorical_crossentropy and classes is not None and not 0 <= y.min() <= y.max() < classes:
                raise ValueError(
                    f"y holds the classes {y.min()} to {y.max()}, but the network has {classes} outputs, for classes 0 "
                    f"to {classes - 1}: renumber the classes or give the last layer more units"
                )
            y = y.astype(self.target_var.dtype)
        return X, y

    def _function(self, name: str) -> Any:
        if name not in self._compiled:
            self._compiled[name] = getattr(self, f"_compile_{name}")()
        return self._compiled[name]

    def _objective(self) -> Objective:
        input_var = self.input_layer.input_var
        return Objective(self.network, self.output_layer, input_var, self.target_var, self.loss, self.penalty)

    def train_loss(self) -> Any:
        """Return the scalar expression that training minimises: mean loss in training mode, plus the penalty."""
        prediction = get_output(self.output_layer)
        loss = T.mean(self.loss(prediction, self.target_var))
        return loss if self.penalty is None else loss + self.penalty

    def _compile_train(self) -> Any:
        params = get_all_params(self.output_layer, trainable=True)
        if not params:
            raise ValueError("the network has no trainable parameter: unfreeze some layer before training")
        loss = self.train_loss()
        updates = self.update(loss, params, learning_rate=self.learning_rate)
        self._initial_state = {shared: shared.get_value() for shared in updates if shared not in set(params)}
        # A step whose loss is not finite is not taken: its origin can then be found in intact parameters.
        finite = T.lt(abs(loss), np.inf)
        guarded = {shared: T.switch(finite, new, shared) for shared, new in updates.items()}
        return symc.function([self.input_layer.input_var, self.target_var], loss, updates=guarded, name="train")

    def _compile_evaluate(self) -> Any:
        prediction = get_output(self.output_layer, deterministic=True)
        outputs = [T.mean(self.loss(prediction, self.target_var))]
        if self.error is not None:
            outputs.append(T.mean(self.error(prediction, self.target_var)))
        return symc.function([self.input_layer.input_var, self.target_var], outputs, name="evaluate")

    def _compile_predict(self) -> Any:
        output = get_output(self.output_layer, deterministic=True)
        return symc.function([self.input_layer.input_var], output, name="predict")


def _only_input(output_layer: Layer) -> InputLayer:
    inputs = [layer for layer in all_layers(output_layer) if isinstance(layer, InputLayer)]
    if len(inputs) != 1:
        names = ", ".join(str(layer.name) for layer in inputs)
        raise ValueError(f"the network has {len(inputs)} input layers ({names}): a Trainer feeds exactly one")
    if inputs[0].shape[0] is not None:
        raise ValueError(
            f"the input layer's shape is {inputs[0].shape}, with a fixed batch size: give None as first entry, so that "
            "the smaller last batch fits too"
        )
    return inputs[0]


def _line(record: dict[str, float]) -> str:
    parts = [f"epoch {record['epoch']:3.0f}", f"train loss {record['train_loss']:.4f}"]
    if "valid_loss" in record:
        parts.append(f"valid loss {record['valid_loss']:.4f}")
    if "valid_error" in record:
        parts.append(f"valid error {100 * record['valid_error']:.2f} %")
    return "  ".join([*parts, f"{record['seconds']:.1f} s"])
