"""Networks as estimators of scikit-learn: in pipelines, grid searches and cross-validation.

They require scikit-learn 1.6 or newer (``pip install symc[sklearn]``)::

    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from lasagne_like.estimators import NeuralNetClassifier

    model = make_pipeline(StandardScaler(), NeuralNetClassifier((64, 32), random_state=0))
    print(cross_val_score(model, X, y))
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from . import layers, nonlinearities, objectives, random, regularization, updates
from .foreign_names import OPTIMISERS
from .naming import canonical, names_arguments, unknown_name
from .training import Trainer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "lasagne_like.estimators requires scikit-learn 1.6 or newer: pip install 'scikit-learn>=1.6' (or symc[sklearn])"
    ) from error

__all__ = ["NeuralNetClassifier", "NeuralNetRegressor"]


@dataclass
class _Machine:
    """A network and its trainer, with the compiled functions."""

    network: Any
    trainer: Trainer

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        layers.set_all_param_values(self.network, weights)

    def weights(self) -> list[np.ndarray]:
        return [np.array(value) for value in layers.get_all_param_values(self.network)]


class _Pool:
    """Idle machines by structure, so that fits of equal structure compile once."""

    def __init__(self, limit: int) -> None:
        self.limit, self.idle, self.lock = limit, OrderedDict[Any, list[_Machine]](), threading.Lock()

    def take(self, key: Any) -> _Machine | None:
        with self.lock:
            machines = self.idle.get(key)
            return machines.pop() if machines else None

    def give_back(self, key: Any, machine: _Machine) -> None:
        with self.lock:
            self.idle.setdefault(key, []).append(machine)
            self.idle.move_to_end(key)
            while len(self.idle) > self.limit:
                self.idle.popitem(last=False)


_pool = _Pool(limit=32)
_building = threading.Lock()  # networks draw their weights from the one generator of the library


class _NeuralNet(BaseEstimator):
    """What both estimators share; a subclass defines the output layer, the loss and the meaning of targets."""

    _output: Callable
    _loss: Callable

    @names_arguments
    def __init__(
        self,
        network: Any = (100,),
        *,
        nonlinearity: Any = "rectify",
        dropout: float = 0.0,
        l2: float = 1e-4,
        update: Any = "adam",
        learning_rate: Any = 0.005,
        epochs: int = 200,
        batch_size: int = 32,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.network = network
        self.nonlinearity = nonlinearity
        self.dropout = dropout
        self.l2 = l2
        self.update = update
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    # --- the network --------------------------------------------------------------------------------------------------

    def _outputs(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define _outputs(self)")

    def _target_var(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _target_var(self)")

    def _key(self) -> Any:
        """What determines the compiled functions; None if that is not known, or a network has state of its own."""
        if callable(self.network) or self.dropout or callable(self.update) or callable(self.learning_rate):
            return None
        activation = self.nonlinearity
        fixed = (type(self), self.input_shape_, self._outputs(), tuple(self._hidden()), float(self.l2), self.update)
        return (*fixed, activation, float(self.learning_rate), int(self.batch_size), self.patience, bool(self.verbose))

    def _hidden(self) -> list[int]:
        sizes = [self.network] if isinstance(self.network, (int, np.integer)) else list(self.network)
        if not all(isinstance(size, (int, np.integer)) and size > 0 for size in sizes):
            raise ValueError(
                f"{type(self).__name__}: network={self.network!r}: expected the sizes of the hidden layers, such as "
                "(64, 32), or a function network(input_shape, outputs) that returns the output layer"
            )
        return [int(size) for size in sizes]

    def _built(self) -> Any:
        """Build the network, with new weights."""
        shape = (None, *self.input_shape_)
        if callable(self.network):
            built = self.network(shape, self._outputs())
            layer = list(built.values())[-1] if isinstance(built, dict) else built
            if not isinstance(layer, layers.Layer):
                raise TypeError(f"{type(self).__name__}: network{shape} returned {built!r}, expected the output layer")
            if layer.output_shape != (None, self._outputs()):
                raise ValueError(
                    f"{type(self).__name__}: the output layer has shape {layer.output_shape}, expected "
                    f"{(None, self._outputs())}: give it as many units as network(input_shape, outputs) is told"
                )
            return layer
        layer = layers.InputLayer(shape)
        activation = nonlinearities.resolve(self.nonlinearity)
        for size in self._hidden():
            layer = layers.DenseLayer(layer, size, nonlinearity=activation)
            if self.dropout:
                layer = layers.DropoutLayer(layer, self.dropout)
        return layers.DenseLayer(layer, self._outputs(), nonlinearity=type(self)._output)

    def _machine(self, rng: np.random.RandomState) -> _Machine:
        """A network with new weights and its trainer, compiled or not."""
        with _building:
            before = random.get_rng()
            random.set_rng(rng)
            try:
                network = self._built()
            finally:
                random.set_rng(before)
        seed = int(rng.randint(2**31 - 1))
        idle = _pool.take(self._key())
        if idle is not None:
            idle.set_weights(layers.get_all_param_values(network))
            idle.trainer.reset(seed)
            return idle
        penalty = self.l2 * regularization.regularize_network_params(network, regularization.l2) if self.l2 else None
        trainer = Trainer(
            network,
            loss=type(self)._loss,
            error=None,
            update=_optimiser(self.update),
            learning_rate=self.learning_rate,
            penalty=penalty,
            target_var=self._target_var(),
            batch_size=self.batch_size,
            patience=self.patience if self.validation_fraction else None,
            seed=seed,
            verbose=bool(self.verbose),
        )
        return _Machine(network, trainer)

    def _train(self, X: np.ndarray, y: np.ndarray, stratify: Any = None) -> None:
        if self.epochs < 1 or int(self.epochs) != self.epochs:
            raise ValueError(f"{type(self).__name__}: epochs={self.epochs!r}: expected a positive whole number")
        if self.patience is not None and not self.validation_fraction:
            raise ValueError(
                f"{type(self).__name__}: patience={self.patience!r} has no effect without data held out: set "
                "validation_fraction, such as 0.1"
            )
        self.input_shape_ = X.shape[1:]
        rng = check_random_state(self.random_state)
        machine = self._machine(rng)
        validation = None
        if self.validation_fraction:
            from .data.split import split_indices

            train, held = split_indices(len(X), self.validation_fraction, int(rng.randint(2**31 - 1)), stratify)
            validation, X, y = (X[held], y[held]), X[train], y[train]
        history = machine.trainer.fit(X, y, int(self.epochs), validation=validation)
        self.history_ = {name: list(values) for name, values in history.items()}
        self.n_iter_ = len(self.history_["train_loss"])
        self.weights_ = machine.weights()
        self._leave(machine)

    def _leave(self, machine: _Machine) -> None:
        key = self._key()
        if key is None:
            self._own = machine
        else:
            _pool.give_back(key, machine)

    def _fitted(self) -> _Machine:
        """A machine with the weights of this estimator; it must be left afterwards."""
        machine = self.__dict__.pop("_own", None)
        if machine is None:
            machine = self._machine(np.random.RandomState(0))
            machine.set_weights(self.weights_)
        return machine

    def _predicted(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, allow_nd=True, reset=False)
        if X.shape[1:] != self.input_shape_:
            raise ValueError(f"X has items of shape {X.shape[1:]}, but the network was fitted to {self.input_shape_}")
        machine = self._fitted()
        try:
            return np.asarray(machine.trainer.predict(X))
        finally:
            self._leave(machine)

    @property
    def network_(self) -> Any:
        """The output layer of a network with the fitted weights, for saving or further training."""
        check_is_fitted(self)
        network = self._built()
        layers.set_all_param_values(network, self.weights_)
        return network

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_own"}


_OPTIMISERS = ("sgd", "momentum", "nesterov_momentum", "adagrad", "rmsprop", "adadelta", "adam", "adamax", "amsgrad")


def _optimiser(update: Any) -> Any:
    if not isinstance(update, str):
        return update
    found = canonical(update, _OPTIMISERS, OPTIMISERS)
    if found is None:
        raise unknown_name("update", update, _OPTIMISERS, OPTIMISERS)
    return getattr(updates, found)


_PARAMETERS = """Parameters
    ----------
    network : tuple of int, int or callable
        The sizes of the hidden layers; or a function ``network(input_shape, outputs)`` that returns the output layer,
        with `outputs` units, of a new network for inputs of ``input_shape = (None, ...)``.{output}
    nonlinearity : str or callable
        The nonlinearity of hidden layers, or its name in :mod:`lasagne_like.nonlinearities`.
    dropout : float
        The probability of dropping units of hidden layers.
    l2 : float
        The factor of the sum of squared weights in the loss.
    update : str or callable
        The optimiser, or its name in :mod:`lasagne_like.updates`.
    learning_rate : float or callable
        The learning rate, or a schedule: a function from the epoch (0, 1, ...) to it.
    epochs : int
        The number of passes over the data.
    batch_size : int
        The number of items per mini-batch.
    validation_fraction : float
        The fraction of the training data that is held out to choose the best epoch, whose weights are kept. 0 trains
        on all data and keeps the last weights.
    patience : int, optional
        Stop after this many epochs without improvement on the data held out.
    random_state : int, RandomState or None
        Determines initial weights, the order of items, dropout, and which data are held out.
    verbose : bool
        Whether to print one line per epoch.

    Attributes
    ----------
    weights_ : list of numpy.ndarray
        The weights, in the order of :func:`lasagne_like.layers.get_all_params`.
    network_ : Layer
        The output layer of a network with these weights; each access builds a new one.
    history_ : dict of str to list of float
        Losses per epoch, see :class:`lasagne_like.training.Trainer`.
    n_iter_ : int
        The number of epochs trained.
    n_features_in_ : int
        The number of features (the size of axis 1 of X)."""


def _documented(cls: type, output: str) -> None:
    """Insert the documentation of the common parameters into that of a class."""
    cls.__doc__ = (cls.__doc__ or "").replace("{parameters}", _PARAMETERS.format(output=output))


class NeuralNetClassifier(ClassifierMixin, _NeuralNet):
    """A neural network for classification, as an estimator of scikit-learn.

    {parameters}
    classes_ : numpy.ndarray
        The class labels, in the order of the columns of :meth:`predict_proba`.

    Notes
    -----
    Networks train best on standardised inputs: put a ``StandardScaler`` before this estimator in a pipeline.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> model = make_pipeline(StandardScaler(), NeuralNetClassifier((20,), epochs=50, random_state=0))
    >>> bool(cross_val_score(model, *load_iris(return_X_y=True), cv=3).mean() > 0.9)
    True
    """

    _output = staticmethod(nonlinearities.softmax)
    _loss = staticmethod(objectives.categorical_crossentropy)

    def fit(self, X: Any, y: Any) -> NeuralNetClassifier:
        """Train on inputs ``(n, features)`` (or with more axes) and class labels ``(n,)`` of any type."""
        X, y = validate_data(self, X, y, dtype=np.float32, allow_nd=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"NeuralNetClassifier: y holds 1 class, {self.classes_[0]!r}: expected at least two")
        self._train(X, labels.astype(np.int32), labels)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes, ``(n, classes)``."""
        return self._predicted(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each item, ``(n,)``."""
        best = self._predicted(X).argmax(axis=1)
        return self.classes_[best]

    def _outputs(self) -> int:
        return len(self.classes_)

    def _target_var(self) -> Any:
        return T.tensor("int32", name="target", shape=(None,))


class NeuralNetRegressor(RegressorMixin, _NeuralNet):
    """A neural network for regression, as an estimator of scikit-learn.

    {parameters}

    Notes
    -----
    Networks train best on standardised inputs: put a ``StandardScaler`` before this estimator in a pipeline.
    Targets are standardised internally: predictions have their units, while losses in ``history_`` are relative to
    their variance.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> model = NeuralNetRegressor((30,), random_state=0).fit(X, 100 * X[:, 0] ** 2)
    >>> bool(model.score(X, 100 * X[:, 0] ** 2) > 0.95)
    True
    """

    _output = staticmethod(nonlinearities.linear)
    _loss = staticmethod(objectives.squared_error)

    def fit(self, X: Any, y: Any) -> NeuralNetRegressor:
        """Train on inputs ``(n, features)`` (or with more axes) and targets ``(n,)`` or ``(n, targets)``."""
        X, y = validate_data(self, X, y, dtype=np.float32, allow_nd=True, multi_output=True, y_numeric=True)
        y = np.asarray(y, np.float64)
        self._flat = y.ndim == 1
        columns = y.reshape(len(y), -1)
        self._mean, spread = columns.mean(axis=0), columns.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._train(X, ((columns - self._mean) / self._spread).astype(np.float32))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return predictions, ``(n,)`` or ``(n, targets)`` like the targets of the fit."""
        standardised = self._predicted(X)
        result = standardised * self._spread + self._mean
        return result[:, 0] if self._flat else result

    def _outputs(self) -> int:
        return len(self._mean)

    def _target_var(self) -> Any:
        return T.tensor(symc.config.floatX, name="target", shape=(None, None))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


_documented(
    NeuralNetClassifier,
    "\n        The output layer has one unit per class and the nonlinearity softmax, also for two.",
)
_documented(NeuralNetRegressor, "\n        The output layer has one linear unit per target.")
