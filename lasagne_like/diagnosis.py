"""Find the origin of a loss that is not finite."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from .io import all_layers, name_params
from .layers import InputLayer, Layer, get_output

__all__ = ["NonFiniteLossError", "Objective", "explain_non_finite"]


@dataclass(frozen=True)
class Objective:
    """What a training loss is computed from.

    Attributes
    ----------
    network : Layer or dict of str to Layer
        The output layer, or named layers that include it.
    output_layer : Layer
        The layer that gives the prediction.
    input_var, target_var : Variable
        The variables of inputs and targets.
    loss : callable
        ``loss(prediction, target)``: the loss of each item.
    penalty : Variable or None
        A scalar added to the mean loss.
    """

    network: Layer | dict[str, Layer]
    output_layer: Layer
    input_var: Any
    target_var: Any
    loss: Callable[[Any, Any], Any]
    penalty: Any = None


class NonFiniteLossError(ArithmeticError):
    """A training loss was NaN or infinite.

    Attributes
    ----------
    origin : str
        The first value, in the order of computation, that is not finite: ``"input"``, ``"target"``,
        ``"parameter <name>"``, ``"output of layer <name>"``, ``"penalty"``, ``"loss"``, or ``"unknown"`` if a second
        evaluation was finite (random layers draw again).
    where : str
        Epoch and batch.
    """

    def __init__(self, message: str, origin: str, where: str) -> None:
        super().__init__(message)
        self.origin = origin
        self.where = where


_REPAIRS = {
    "input": "clean the data: look for NaN, infinities and divisions by zero in its preparation",
    "target": "clean the targets",
    "parameter": "an earlier step's gradient was not finite or the steps are too large: lower the learning rate, bound "
    "the gradient with updates.total_norm_constraint, or look for sqrt(0), x / 0 or log(0) in the loss",
    "output": "the values before it are finite, so the layer overflows or is undefined there: lower the learning rate, "
    "scale the input, or check its nonlinearity's domain",
    "penalty": "check the regularisation term and its weight",
    "loss": "the prediction is finite, so the loss is undefined there: log(0) or a division by zero; use a stable form "
    "such as softmax with categorical_crossentropy, or clip the prediction",
    "unknown": "a second evaluation of the same batch was finite: random layers drew other numbers. Lower the learning "
    "rate",
}


def explain_non_finite(
    objective: Objective, loss: float, inputs: np.ndarray, targets: np.ndarray, where: str
) -> NonFiniteLossError:
    """Find the first value that is not finite in the computation of the loss of one batch.

    Parameters
    ----------
    objective : Objective
        Its network must still have the parameters with which the loss was computed.
    loss : float
        The loss that was computed.
    inputs, targets : numpy.ndarray
        The batch.
    where : str
        Epoch and batch, for the message.

    Returns
    -------
    NonFiniteLossError
        For the caller to raise; its message names the origin, counts the values that are not finite and suggests a
        repair.
    """
    origin, detail = "unknown", ""
    for name, values in _stations(objective, inputs, targets):
        values = np.asarray(values)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            origin, detail = name, f" ({_count_bad(values)})"
            break
    repair = _REPAIRS[origin.split(" ")[0]]
    message = f"the loss is {loss} in {where}. First value that is not finite: {origin}{detail}.\n{repair}"
    return NonFiniteLossError(message, origin, where)


def _stations(objective: Objective, inputs: np.ndarray, targets: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Yield the inputs and intermediate results of the loss in the order of computation, as (origin, values)."""
    yield "input", inputs
    yield "target", targets
    layers = all_layers(objective.output_layer)
    outputs = _layer_outputs(objective, layers, inputs)
    names = {param: name for name, param in name_params(objective.network).items()}
    for position, layer in enumerate(layers):
        for param in layer.get_params():
            yield f"parameter {names[param]}", param.get_value(borrow=True)
        if not isinstance(layer, InputLayer):
            yield f"output of layer {layer.name or position} ({type(layer).__name__})", outputs[layer]
    if objective.penalty is not None:
        yield "penalty", symc.function([], objective.penalty)()
    prediction = T.tensor(str(outputs[layers[-1]].dtype), shape=(None,) * outputs[layers[-1]].ndim, name="prediction")
    of_items = symc.function([prediction, objective.target_var], objective.loss(prediction, objective.target_var))
    yield "loss", of_items(outputs[layers[-1]], targets)


def _layer_outputs(objective: Objective, layers: list[Layer], inputs: np.ndarray) -> dict[Layer, np.ndarray]:
    keeps = any("batch_norm_update_averages" in inspect.signature(layer.get_output_for).parameters for layer in layers)
    # The diagnosis must not change the running averages.
    options = {"batch_norm_update_averages": False} if keeps else {}
    computed = [layer for layer in layers if not isinstance(layer, InputLayer)]
    function = symc.function([objective.input_var], get_output(computed, **options), name="diagnosis")
    return dict(zip(computed, function(inputs)))


def _count_bad(values: np.ndarray) -> str:
    nans, infinities = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    parts = [f"{count} {kind}" for count, kind in ((nans, "NaN"), (infinities, "infinite")) if count]
    return f"{' and '.join(parts)} of {values.size} values, shape {values.shape}"
