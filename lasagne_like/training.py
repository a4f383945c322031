"""A trainer with mini-batches, validation, early stopping and learning-rate schedules.

:class:`Trainer` compiles a training and an evaluation function with a symbolic batch size and runs them in a simple
loop. It takes care of details that are easy to get wrong: the smaller last batch, averages weighted by batch size,
restoring the best weights, non-finite losses.
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
    """Return 1 where the largest entry of a row of ``prediction`` is not at class ``target``, else 0.

    Parameters
    ----------
    prediction : expression
        ``(n, classes)`` scores.
    target : expression
        ``(n,)`` class labels.

    Returns
    -------
    expression
        ``(n,)`` floats.
    """
    return T.cast(T.neq(T.argmax(prediction, axis=1), target), symc.config.floatX)


def cosine(start: float, epochs: int, end: float = 0.0) -> Schedule:
    r"""Return the schedule :math:`end + (start - end)(1 + \cos(\pi\, epoch / epochs)) / 2`.

    Parameters
    ----------
    start, end : float
        The learning rate of epoch 0, and that of epoch ``epochs``.
    epochs : int
        The number of epochs over which the rate decreases.

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
    """Train a network with one input layer on arrays in memory.

    Parameters
    ----------
    network : Layer or dict of str to Layer
        The output layer, or named layers of which the last is the output layer. The batch size of the input layer must
        be None.
    loss : callable
        ``loss(prediction, target)`` returns the losses of the items, of shape ``(n,)`` or with more axes.
    error : callable or None
        ``error(prediction, target)`` returns the errors of the items, for reports. None disables it.
    update : callable
        ``update(loss, params, learning_rate=shared)`` returns a dict of updates, see :mod:`lasagne_like.updates`.
    learning_rate : float or callable
        A number, or a schedule: a function from the epoch (0, 1, ...) to a number, such as :func:`cosine`.
    penalty : Variable, optional
        A scalar expression added to the training loss, such as ``1e-4 * regularize_network_params(network, l2)``.
    target_var : Variable, optional
        The variable of the targets; by default an int32 vector of class labels.
    batch_size : int
        The number of items per mini-batch; the last batch of an epoch may be smaller.
    patience : int, optional
        Stop after this many epochs without improvement of the validation error or loss.
    seed : int
        The seed of the order of items. To seed initial weights and noise layers, call
        :func:`lasagne_like.random.set_rng` before building the network.
    verbose : bool
        Whether to print one line per epoch and, on a terminal, a progress bar.

    Attributes
    ----------
    history : dict of str to list of float
        One entry per epoch over all calls of :meth:`fit`: ``epoch`` (from 1), ``train_loss``, ``learning_rate``,
        ``seconds`` and, if available, ``valid_loss`` and ``valid_error``.
    best_epoch : int or None
        The epoch with the best validation result so far (by error, then by loss). The network has the weights of that
        epoch after :meth:`fit`.

    Raises
    ------
    ValueError
        If the network does not have exactly one input layer, has a fixed batch size, or has no trainable parameters.

    Notes
    -----
    Each function is compiled once, on first use. To freeze layers afterwards, create a new Trainer.
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
        """Train for a number of epochs. Further calls continue with the weights and the state of the optimiser.

        Parameters
        ----------
        X : numpy.ndarray
            The inputs, of shape ``(n,) + input_shape[1:]``.
        y : numpy.ndarray
            The targets, of shape ``(n,)`` or with more axes.
        epochs : int
            The number of passes over the data.
        validation : pair of numpy.ndarray, optional
            Inputs and targets to evaluate after each epoch. If given, the weights of the best epoch are restored at the
            end, also if training is interrupted or fails.

        Returns
        -------
        dict of str to list of float
            :attr:`history`.

        Raises
        ------
        ValueError
            If inputs and targets have different lengths or are empty, or if the inputs do not have the input shape of
            the network.
        NonFiniteLossError
            If the loss is NaN or infinite. The message names the first layer or parameter that is not finite. The
            update of the optimiser is not applied; updates of running averages are.
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
                    self._say(f"stopped: no improvement for {self.patience} epochs")
                    break
        finally:
            if validation is not None and self._best_values:
                set_all_param_values(self.output_layer, self._best_values)
        return self.history

    def reset(self, seed: int | None = None) -> None:
        """Reset the state of training, but not the parameters.

        The state of the optimiser (moments, step counts) is set to its initial value; history and best weights are
        discarded. The compiled functions are kept: to train the same network repeatedly, set its parameters and reset.

        Parameters
        ----------
        seed : int, optional
            A new seed of the order of items.
        """
        for shared, value in self._initial_state.items():
            shared.set_value(value)
        self.history, self.best_epoch, self._best_score, self._best_values = {}, None, (), []
        if seed is not None:
            self._rng = np.random.default_rng(seed)

    def evaluate(self, X: np.ndarray, y: np.ndarray) -> tuple[float, float | None]:
        """Return the mean loss and the mean error (None if disabled) of the network in deterministic mode."""
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
        """Return the outputs of the network in deterministic mode, of shape ``(n,) + output_shape[1:]``."""
        X = self._checked_inputs(X)
        function = self._function("predict")
        starts = range(0, max(len(X), 1), self.batch_size)  # an empty input is one empty batch
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
        score = tuple(math.inf if math.isnan(s) else s for s in scores)  # NaN counts as the worst score
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
            raise ValueError(f"X has {len(X)} items and y has {len(y)}: expected equal numbers of inputs and targets")
        if not len(X):
            raise ValueError("X holds no items: there is nothing to train on or to evaluate")
        if y.dtype.kind in "iu":
            classes = self.output_layer.output_shape[-1]
            if self.loss is categorical_crossentropy and classes is not None and not 0 <= y.min() <= y.max() < classes:
                raise ValueError(
                    f"y holds the classes {y.min()} to {y.max()}, but the network has {classes} outputs, for classes "
                    f"0 to {classes - 1}: renumber the classes or add units to the last layer"
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
        """Return the training loss as a scalar expression: the mean loss in training mode plus the penalty."""
        prediction = get_output(self.output_layer)
        loss = T.mean(self.loss(prediction, self.target_var))
        return loss if self.penalty is None else loss + self.penalty

    def _compile_train(self) -> Any:
        params = get_all_params(self.output_layer, trainable=True)
        if not params:
            raise ValueError("the network has no trainable parameters: unfreeze a layer before training")
        loss = self.train_loss()
        updates = self.update(loss, params, learning_rate=self.learning_rate)
        self._initial_state = {shared: shared.get_value() for shared in updates if shared not in set(params)}
        # Skip the update if the loss is not finite, so that the diagnosis can use the parameters that led to it.
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
        raise ValueError(f"the network has {len(inputs)} input layers ({names}): a Trainer supports exactly one")
    if inputs[0].shape[0] is not None:
        raise ValueError(
            f"the input layer has shape {inputs[0].shape}, with a fixed batch size: give None as the first "
            "entry, because the last batch may be smaller"
        )
    return inputs[0]


def _line(record: dict[str, float]) -> str:
    parts = [f"epoch {record['epoch']:3.0f}", f"train loss {record['train_loss']:.4f}"]
    if "valid_loss" in record:
        parts.append(f"valid loss {record['valid_loss']:.4f}")
    if "valid_error" in record:
        parts.append(f"valid error {100 * record['valid_error']:.2f} %")
    return "  ".join([*parts, f"{record['seconds']:.1f} s"])
