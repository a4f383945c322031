"""The trainer: a network, what it is trained for, and how."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import symc

from ..layers import Layer, get_output
from ..precision import checked_precision
from .batches import Spec
from .callbacks import as_callbacks
from .choices import OPTIMISERS, chosen, instead_of, is_mistaken, refuse_unknown
from .core import AUTO, Core, History
from .data_warnings import warn_of_data
from .fitting import Fit
from .graphs import Objective, output_layers, output_names, per_output
from .rates import Rates
from .run import Run
from .scores import Scores
from .sources import as_source, input_batches, with_validation
from .tasks import Output

__all__ = ["Trainer"]


class Trainer(Core):
    """Train a network on arrays, or on any iterable of mini-batches.

    Loss, metric and dtype of the targets follow from the nonlinearity of the output layer, unless they are given:

    ==================  =====================================  ======================================  =========
    output              targets                                loss                                    metric
    ==================  =====================================  ======================================  =========
    softmax             class numbers or one-hot rows          ``categorical_crossentropy``            ``error``
    sigmoid, one unit   0 and 1                                ``binary_crossentropy``                 ``error``
    sigmoid, several    a row of 0 and 1 per item              ``binary_crossentropy`` (multi-label)   ``error``
    linear and others   numbers                                ``squared_error`` (regression)          ``rmse``
    ==================  =====================================  ======================================  =========

    Parameters
    ----------
    network : Layer, list of Layer, dict of str to Layer, or Model
        The output layer; several output layers; or named layers of which the last is the output layer. The batch size
        of the input layers must be None.
    loss : str or callable, optional
        The name of a loss, such as ``"squared_error"``, or ``loss(prediction, target)``, which returns the losses of
        the items, of shape ``(n,)`` or with more axes. For several outputs, a list or a dict by name of output layer.
    metrics : list of (str, callable or Metric), or None
        ``"accuracy"``, ``"error"``, ``"top5"``, ``"auc"``, ``"f1"``, ``"precision"``, ``"recall"``, ``"r2"``,
        ``"rmse"``, ``"mse"``, ``"mae"``; functions of prediction and target; or :class:`Metric`. None disables them. A
        dict maps names to functions. For several outputs, a dict by name of output layer, or a list for all of them.
    error : callable or None
        ``error(prediction, target)``: the same as ``metrics={"error": error}``. None disables metrics.
    update : str or callable
        The name of an optimiser, or ``update(loss, params, learning_rate=shared)``, which returns a dict of updates,
        see :mod:`lasagne_like.updates`.
    learning_rate : float, callable, or mapping of str to these
        A number; or a schedule, a function from the epoch (0, 1, ...) to a number, such as :class:`Cosine`; or a
        mapping from patterns of layer names to these, as in ``{"block5*": 1e-5, "*": 1e-3}``, of which the first
        pattern that matches a layer counts.
    penalty : Variable, optional
        A scalar expression added to the training loss, such as ``1e-4 * regularize_network_params(network, l2)``.
    target_var : Variable, optional
        The variable of the targets, if a loss of your own or the penalty refers to it. For several outputs, a list.
    loss_weights : list or dict, optional
        The weight of each output in the sum of the losses; by default 1.
    batch_size : int
        The number of items per mini-batch of arrays; the last batch of an epoch may be smaller.
    patience : int, optional
        Stop after this many epochs without improvement of the monitored quantity.
    monitor : str, optional
        The entry of the history by which the best epoch is chosen, such as ``"valid_auc"`` or ``"train_loss"``. By
        default the first metric on the validation data, or their loss.
    monitor_mode : {"min", "max"}, optional
        Which values of it are better; by default what the metric says.
    restore_best : bool or str, optional
        Whether the network gets the weights of the best epoch at the end of :meth:`fit`; by default if there is a
        monitored quantity. A string is a short form of ``monitor=``.
    train_metrics : bool
        Whether to evaluate the metrics on the training data as well after each epoch, in deterministic mode.
    precompute : bool
        Whether :meth:`fit` may compute the outputs of a frozen base once instead of in every epoch: if nothing below
        them is random, the data are arrays or a Loader that does not augment, there are several epochs, and the outputs
        take up less than a quarter of the memory.
    precision : {"float32", "bfloat16", "float16"}
        To what parameters, inputs and outputs of hidden layers are rounded in training steps, see
        :mod:`lasagne_like.precision`. With float16, the loss is scaled, and an `update` of your own gets gradients.
        Parameters stay float32, and so does the network outside of training steps.
    seed : int
        The seed of the order of items, which is a function of seed and epoch. To seed initial weights and noise layers,
        call :func:`lasagne_like.random.set_rng` before building the network.
    verbose : bool
        Whether to print one line per epoch and, on a terminal or in a notebook, a progress bar.

    Attributes
    ----------
    history : dict of str to list of float
        One entry per epoch over all calls of :meth:`fit`: ``epoch`` (from 1), ``train_loss``, ``learning_rate``,
        ``seconds`` and, with validation data, ``valid_loss`` and one entry per metric, such as ``valid_error``. NaN in
        epochs without a value.
    epoch : int
        The number of complete epochs.
    best_epoch : int or None
        The best epoch of the last call of :meth:`fit` by the monitored quantity.
    weights_from : str
        Which weights the network has since the last call of :meth:`fit`.
    learning_rate : float or dict
        The learning rate of the next epoch. Assign a number, a schedule or a mapping to change it.

    Raises
    ------
    ValueError, TypeError
        If loss, metrics and network do not fit each other, or a name is unknown.

    Notes
    -----
    ``freeze``, ``unfreeze`` and changes of layers take effect at the next call of :meth:`fit`. The state of the
    optimiser is kept for parameters that are still trained; it starts anew for parameters that are trained again.

    The mean loss of a mini-batch with weights is the sum of weighted losses divided by the sum of weights.

    Examples
    --------
    >>> import numpy as np
    >>> from lasagne_like.layers import DenseLayer, InputLayer
    >>> from lasagne_like.nonlinearities import softmax
    >>> X = np.random.default_rng(0).standard_normal((100, 2))
    >>> network = DenseLayer(InputLayer((None, 2)), 2, nonlinearity=softmax)
    >>> trainer = Trainer(network, learning_rate=0.1, verbose=False)
    >>> history = trainer.fit(X, X[:, 0] > X[:, 1], epochs=10, validation=0.2)
    >>> history["valid_error"][-1] < 0.2
    True
    """

    def __init__(
        self,
        network: Any,
        *,
        loss: Any = None,
        metrics: Any = AUTO,
        error: Any = AUTO,
        update: str | Callable[..., Any] = "adam",
        learning_rate: Any = 1e-3,
        penalty: Any = None,
        target_var: Any = None,
        loss_weights: Any = None,
        batch_size: int = 128,
        patience: int | None = None,
        monitor: str | None = None,
        monitor_mode: str | None = None,
        restore_best: bool | str | None = None,
        train_metrics: bool = False,
        precompute: bool = True,
        precision: str = "float32",
        seed: int = 0,
        verbose: bool = True,
        **unknown: Any,
    ) -> None:
        refuse_unknown("Trainer", unknown, ("network", *(Trainer.__init__.__kwdefaults__ or ())))
        _check_integer("batch_size", batch_size, 1)
        _check_integer("seed", seed, 0)
        if patience is not None:
            _check_integer("patience", patience, 1, ", or None to disable it")
        _check_penalty(penalty)
        self.network = network
        layers = output_layers(network)
        names = output_names(network, layers)
        losses = per_output(loss, names, "loss")
        outputs = [Output.of(*each) for each in zip(layers, names, losses)]
        weights = [1.0 if w is None else float(w) for w in per_output(loss_weights, names, "loss_weights")]
        targets = per_output(target_var, names, "target_var")
        checked_precision(precision)
        self.objective = self.active = Objective(network, outputs, weights, penalty, targets, precision=precision)
        if isinstance(restore_best, str):
            monitor, restore_best = monitor or restore_best, True
        if error is not AUTO and metrics is not AUTO:
            raise TypeError("Trainer: give metrics or error, not both")
        self.metrics = metrics if error is AUTO else None if error is None else {"error": error}
        self._metrics_per_output(None)
        self.update = chosen(update, OPTIMISERS, "update")
        self._rates = Rates(learning_rate, self.objective)
        self.rate_factor = 1.0
        self.batch_size, self.patience, self.verbose, self.seed = batch_size, patience, verbose, seed
        self.monitor, self.monitor_mode, self.restore_best = monitor, monitor_mode, restore_best
        self.train_metrics, self.precompute = train_metrics, precompute
        self.callbacks = []
        self.resuming = self.is_last_epoch = False
        self._forget_functions()
        self._begin_anew()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what attributes of trainers of other libraries are called here."""
            if hasattr(type(self), name):
                return object.__getattribute__(self, name)  # a property that raises: once more, for its own message
            raise AttributeError(f"Trainer has no attribute {name!r}{instead_of(name)}", name=name, obj=self)

        def __setattr__(self, name: str, value: Any) -> None:
            """Refuse names that mean an attribute under another name, and would otherwise have no effect."""
            if is_mistaken(name) and not hasattr(type(self), name):
                raise AttributeError(f"Trainer has no attribute {name!r}{instead_of(name)}", name=name, obj=self)
            object.__setattr__(self, name, value)

    # --- properties ---------------------------------------------------------------------------------------------------

    @property
    def output_layer(self) -> Layer:
        """The output layer, or the first of several."""
        return self.objective.outputs[0].layer

    @property
    def input_layer(self) -> Layer:
        """The input layer, or the first of several."""
        return self.objective.inputs[0]

    @property
    def best_epoch(self) -> int | None:
        return self.run.best_epoch

    @property
    def learning_rate(self) -> Any:
        rates = self.rates()
        return rates["*"] if list(rates) == ["*"] else rates

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._rates = Rates(value, self.objective, self._rates.shared)
        self.rate_factor = 1.0
        self._introduced = False

    @property
    def schedule(self) -> Any:
        """The schedule of the learning rate, or a dict of schedules by pattern."""
        return self._rates.schedule

    @schedule.setter
    def schedule(self, value: Any) -> None:
        self.learning_rate = value

    @property
    def running_loss(self) -> float:
        """The mean loss of the current epoch so far. Reading it waits for the last step."""
        return math.nan if self._step is None else self._step.mean_loss()

    # --- training -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        epochs: int | None = None,
        validation: Any = None,
        *,
        sample_weights: Any = None,
        class_weights: Any = None,
        callbacks: Any = (),
        resume: bool = False,
        **unknown: Any,
    ) -> History:
        """Train for a number of epochs. Further calls continue with the weights and the state of the optimiser.

        Each call has a best epoch and a patience of its own, unless it resumes. At the end, a line says which weights
        the network has.

        Parameters
        ----------
        X : array_like, tuple or dict of these, or iterable
            The inputs, of shape ``(n,) + input_shape[1:]``; for several input layers, a tuple in their order or a dict
            by their names. Or, without `y`, an iterable of batches ``(inputs, targets)`` or ``(inputs, targets,
            weights)``; if it has a method ``set_epoch``, this is called before each epoch. Memory-mapped and chunked
            arrays are read batch by batch. Pictures of uint8 pass through the ``preprocess`` of a Model that has one.
        y : array_like, tuple or dict of these
            The targets; for several outputs, a tuple or a dict by the names of the output layers.
        epochs : int
            The number of passes over the data.
        validation : float, tuple or iterable, optional
            The data to evaluate after each epoch: ``(X, y)``, ``(X, y, weights)``, an iterable of batches, or the
            fraction of the items to hold out, chosen at random by the seed.
        sample_weights : array_like, optional
            ``(n,)`` weights of the items in the loss.
        class_weights : dict, sequence or "balanced", optional
            The weight of the items of each class; ``"balanced"`` is inversely proportional to their number.
        callbacks : Callback, callable, or list of these, optional
            Functions are called after each epoch with the trainer and the record of the epoch.
        resume : bool
            Continue the last call of :meth:`fit`, as saved by :meth:`save` or interrupted: best epoch, patience and
            callbacks go on, and `epochs` counts from the beginning of that call. Without an earlier call, the same as
            False.

        Returns
        -------
        dict of str to list of float
            :attr:`history`.

        Raises
        ------
        ValueError, TypeError
            If the data does not fit the network; the message says how to convert it. Nothing is trained.
        NonFiniteLossError
            If the loss is NaN or infinite. The message names the layer, the op and the line of the first value that is
            not finite. This step changes nothing.
        """
        refuse_unknown("fit", unknown, (*(Trainer.fit.__kwdefaults__ or ()), "X", "y", "epochs", "validation"))
        if epochs is None and isinstance(y, (int, np.integer)) and not isinstance(y, bool):
            y, epochs = None, int(y)
        if epochs is None or isinstance(epochs, bool) or int(epochs) != epochs or epochs < 0:
            raise TypeError(f"fit: epochs={epochs!r}, expected the number of passes over the data: fit(X, y, 10)")
        options: Any = {"batch_size": self.batch_size, "seed": self.seed}
        train = as_source(self._spec(), X, y, sample_weights, "fit", class_weights=class_weights, **options)
        train, valid = with_validation(self._spec(), train, validation, **options)
        if epochs > 1 and getattr(train, "reads_once", False):
            raise ValueError(
                "fit: a generator can be read only once, but there are several epochs: give a list of batches, or a "
                "function that returns a new generator"
            )
        for part in (train, valid):
            if part is not None and getattr(part, "reads_once", False) and (part is valid or self.train_metrics):
                raise ValueError("fit: a generator can be read only once: give a list of batches instead")
        self.follow_layers()
        warn_of_data(train, self.objective.layers)
        made = as_callbacks(callbacks)
        Fit(self, train, valid, made)  # checks first: features may take long
        active, data, held = self._features(train, valid, int(epochs))
        fit = Fit(self, data, held, made, raw=(train, valid))
        self.callbacks, self.resuming = made, bool(resume) and self._begun
        if not self.resuming:
            self.run, self.rate_factor = Run(self.epoch), 1.0
        else:
            for callback, state in zip(self.callbacks, self._callback_states):
                callback.restore(state)
        self._begun = True
        self.active = active
        try:
            fit.run(self.run.first + int(epochs))
        finally:
            self.active = self.objective
            self._callback_states = [callback.state() for callback in self.callbacks]
        return self.history

    def _spec(self) -> Spec:
        preprocess = getattr(self.network, "preprocess", None) if isinstance(self.network, Mapping) else None
        return Spec(self.objective.inputs, self.objective.outputs, self.objective.target_vars, preprocess)

    def reset(self, seed: int | None = None) -> None:
        """Reset the state of training, but not the parameters.

        The state of the optimiser (moments, step counts) is set to its initial value; history and best weights are
        discarded. The compiled functions are kept: to train the same network repeatedly, set its parameters and reset.

        Parameters
        ----------
        seed : int, optional
            A new seed of the order of items.
        """
        if self._step is not None:
            self._step.restart_optimiser()
        if any(self._generations.values()):
            self._forget_functions()
        self._begin_anew()
        self.rate_factor = 1.0
        if seed is not None:
            self.seed = seed

    # --- evaluation ---------------------------------------------------------------------------------------------------

    def evaluate(self, X: Any, y: Any = None, sample_weights: Any = None) -> Scores:
        """Evaluate the network in deterministic mode.

        Parameters
        ----------
        X, y, sample_weights
            As in :meth:`fit`.

        Returns
        -------
        Scores
            The mean loss, without penalty, and the metrics, by position and by name: ``scores["error"]``.
        """
        self.follow_layers()
        source = as_source(self._spec(), X, y, sample_weights, "evaluate", batch_size=self.batch_size, seed=self.seed)
        return Scores(self.scores_of(source.ordered()))

    def predict(self, X: Any) -> Any:
        """Return the outputs of the network in deterministic mode.

        Parameters
        ----------
        X : array_like, tuple or dict of these, or iterable of batches
            As in :meth:`fit`.

        Returns
        -------
        numpy.ndarray, or list of numpy.ndarray for several outputs
            Of shape ``(n,) + output_shape[1:]``.
        """
        self.follow_layers()
        if self._predict is None:
            layers = [output.layer for output in self.objective.outputs]
            outputs = get_output(layers, deterministic=True)
            self._predict = symc.function([each.input_var for each in self.objective.inputs], outputs, name="predict")
        found = [self._predict(*inputs) for inputs in input_batches(self._spec(), X, self.batch_size)]
        results = [np.concatenate(parts) for parts in zip(*found)]
        return results[0] if len(results) == 1 else results


def _check_penalty(penalty: Any) -> None:
    if penalty is None:
        return
    if not isinstance(penalty, symc.Variable):
        raise TypeError(
            f"penalty={penalty!r}: expected a scalar expression, such as 1e-4 * "
            "regularization.regularize_network_params(network, regularization.l2)"
        )
    if penalty.ndim != 0:
        raise ValueError(f"penalty has {penalty.ndim} axes: expected a scalar expression; take its sum")


def _check_integer(name: str, value: Any, least: int, hint: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}={value!r}: expected an integer, at least {least}{hint}")
    if value < least:
        raise ValueError(f"{name}={value}: expected at least {least}{hint}")
