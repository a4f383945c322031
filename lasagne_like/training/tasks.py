"""What a network's output is trained for: the loss, the metric and the form of the targets that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from .. import nonlinearities, objectives
from ..layers import DimshuffleLayer, DropoutLayer, FlattenLayer, Layer, ReshapeLayer
from .choices import LOSSES, chosen, name_of
from .targets import TargetForm, conform

__all__ = ["Output", "activation_of"]

KINDS: dict[Any, str] = {
    objectives.categorical_crossentropy: "classification",
    T.nnet.categorical_crossentropy: "classification",
    objectives.multiclass_hinge_loss: "classification",
    objectives.binary_crossentropy: "binary",
    T.nnet.binary_crossentropy: "binary",
    objectives.binary_hinge_loss: "binary",
    objectives.squared_error: "regression",
    objectives.huber_loss: "regression",
    LOSSES["absolute_error"]: "regression",
}

_PROBABILITIES = {
    objectives.categorical_crossentropy: "softmax",
    T.nnet.categorical_crossentropy: "softmax",
    objectives.binary_crossentropy: "sigmoid",
    T.nnet.binary_crossentropy: "sigmoid",
}

_KNOWN: dict[Any, str] = {
    nonlinearities.softmax: "softmax",
    T.nnet.softmax: "softmax",
    nonlinearities.sigmoid: "sigmoid",
    T.nnet.sigmoid: "sigmoid",
    nonlinearities.linear: "linear",
    None: "linear",
    nonlinearities.tanh: "tanh",
    T.tanh: "tanh",
    nonlinearities.rectify: "rectify",
    T.nnet.relu: "rectify",
    nonlinearities.elu: "elu",
    nonlinearities.softplus: "softplus",
}


def activation_of(layer: Layer) -> str:
    """Return the name of the nonlinearity that gives a layer's output.

    Parameters
    ----------
    layer : Layer
        Layers that only rearrange their input are passed over.

    Returns
    -------
    str
        ``"softmax"``, ``"sigmoid"``, ``"linear"``, the name of another nonlinearity, or ``""`` if it is unknown. A
        function that is not known by name is compared with softmax, sigmoid and the identity by its values.
    """
    rearranged = False
    while True:
        if hasattr(layer, "nonlinearity"):
            found = _classify(layer.nonlinearity)
            return "" if found == "softmax" and rearranged else found
        if not isinstance(layer, (DropoutLayer, FlattenLayer, ReshapeLayer, DimshuffleLayer)):
            return ""
        if layer.input_layer is None:
            return ""
        rearranged = rearranged or not isinstance(layer, DropoutLayer)
        layer = layer.input_layer


def _classify(function: Any) -> str:
    applied: Callable[[Any], Any] = function
    try:
        if function in _KNOWN:
            return _KNOWN[function]
    except TypeError:  # an unhashable callable
        pass
    if isinstance(function, (nonlinearities.LeakyRectify, nonlinearities.SELU, nonlinearities.ScaledTanH)):
        return type(function).__name__
    probe = np.array([[-2.0, 0.5, 1.0], [3.0, -1.0, 0.25]], symc.config.floatX)
    try:
        x = T.tensor(symc.config.floatX, shape=(None, None))
        values = symc.function([x], applied(x))(probe)
    except Exception:  # it expects another number of axes or a given width; then nothing is known about it
        return ""
    shifted = np.exp(probe - probe.max(axis=1, keepdims=True))
    for name, expected in (
        ("softmax", shifted / shifted.sum(axis=1, keepdims=True)),
        ("sigmoid", 1 / (1 + np.exp(-probe))),
        ("linear", probe),
    ):
        if np.shape(values) == expected.shape and np.allclose(values, expected, rtol=1e-4, atol=1e-6):
            return name
    return name_of(function)


@dataclass(frozen=True)
class Output:
    """One output of a network, with its loss.

    Attributes
    ----------
    layer : Layer
        The output layer.
    name : str
        Its name, or its position.
    kind : str
        ``"classification"``, ``"binary"``, ``"multi-label"`` or ``"regression"``; ``"own"`` for a loss of the user's.
    loss : callable
        ``loss(prediction, target)``: the losses of the items.
    activation : str
        See :func:`activation_of`.
    """

    layer: Layer
    name: str
    kind: str
    loss: Callable[[Any, Any], Any]
    activation: str

    @classmethod
    def of(cls, layer: Layer, name: str, loss: Any) -> Output:
        """Create the output for a layer; a loss of None follows from the nonlinearity of the layer.

        Raises
        ------
        ValueError
            If the loss is unknown, or needs probabilities that the layer does not give, or if the layer is a softmax
            over one unit.
        """
        activation, shape = activation_of(layer), layer.output_shape
        units = None if None in shape[1:] else prod(shape[1:])  # type: ignore[arg-type]
        if activation == "softmax" and len(shape) > 1 and shape[-1] == 1:
            raise ValueError(
                f"the output layer {name} is a softmax over one unit, which is always 1: use "
                "nonlinearity=sigmoid for two classes with one unit, or one unit per class"
            )
        if loss is None:
            by_activation: dict[str, Any] = {
                "softmax": objectives.categorical_crossentropy,
                "sigmoid": objectives.binary_crossentropy,
            }
            function = by_activation.get(activation, objectives.squared_error)
        else:
            function = chosen(loss, LOSSES, "loss")
        kind = KINDS.get(function, "own")
        if kind == "binary" and units != 1:
            kind = "multi-label"
        wanted = _PROBABILITIES.get(function)
        if wanted and activation in ("linear", "tanh", "rectify", "elu", "softplus"):
            raise ValueError(
                f"loss={name_of(function)} needs probabilities, but the output layer {name} has the nonlinearity "
                f"{activation}: give it nonlinearity={wanted}"
                + ("" if loss is None or kind != "classification" else ", or use loss='multiclass_hinge_loss'")
            )
        if wanted == "sigmoid" and activation == "softmax":
            raise ValueError(
                f"loss=binary_crossentropy does not fit the softmax of the output layer {name}: use "
                "categorical_crossentropy, or nonlinearity=sigmoid"
            )
        return cls(layer, name, kind, function, activation)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of the prediction; None for the number of items."""
        return self.layer.output_shape

    def conform(self, targets: Any) -> np.ndarray:
        """Convert targets to the dtype and shape that the loss takes, or refuse them; see :func:`targets.conform`."""
        return conform(targets, self.kind, self.shape, self.name)

    def form(self, targets: np.ndarray) -> TargetForm:
        """Return dtype and shape of the variable for these targets."""
        return TargetForm(str(targets.dtype), (None, *(None for _ in targets.shape[1:])))

    def describe(self, targets: TargetForm) -> str:
        """Describe task, loss and targets for the report."""
        units = self.shape[-1] if len(self.shape) > 1 else 1
        labels = targets.dtype.startswith("int")
        text = {
            "classification": f"classification into {units} classes",
            "binary": "binary classification",
            "multi-label": f"multi-label classification, {units} labels",
            "regression": "regression" + (f" of {units} values" if units != 1 else ""),
            "own": "training",
        }[self.kind]
        kind = "labels" if labels else "one-hot targets" if self.kind == "classification" else "targets"
        return f"{text}: loss {name_of(self.loss)}, {targets.dtype} {kind}"
