"""The expressions of training: predictions, losses of items, and their weighted mean."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.errors import SourceLocation, here
from symc.graph.traversal import toposort

from ..files import all_layers, name_params
from ..layers import Layer, get_all_layers, get_output
from ..precision import mixed_values
from .choices import mean_of_items, name_of
from .feed import input_layers
from .targets import BatchForm, TargetForm
from .tasks import Output

__all__ = ["Graph", "Objective", "output_layers", "output_names", "param_names", "per_output"]


def output_layers(network: Any) -> list[Layer]:
    """Return the output layers of a network: a layer, a list of layers, named layers (the last), or a model."""
    if isinstance(network, Layer):
        return [network]
    if isinstance(network, Mapping):
        layers = list(network.values())
        if layers and all(isinstance(layer, Layer) for layer in layers):
            return [getattr(network, "output_layer", None) or layers[-1]]
    elif isinstance(network, Sequence) and not isinstance(network, str):
        layers = list(network)
        if layers and all(isinstance(layer, Layer) for layer in layers):
            return layers
    raise TypeError(
        f"network: expected a Layer, a list of output layers or a dict of named layers, got {type(network).__name__} "
        f"({str(network)[:60]})"
    )


def output_names(network: Any, layers: Sequence[Layer]) -> list[str]:
    """Return a name for each output: its key, the name of the layer, or its position."""
    keys = {id(layer): key for key, layer in network.items()} if isinstance(network, Mapping) else {}
    names = [keys.get(id(layer)) or layer.name or f"output{k}" for k, layer in enumerate(layers)]
    return names if len(set(names)) == len(names) else [f"output{k}" for k in range(len(layers))]


def per_output(value: Any, names: Sequence[str], argument: str) -> list[Any]:
    """Return one value per output of an argument: of a dict by name, of a list, or the same for all.

    Raises
    ------
    ValueError
        If it does not fit the outputs.
    """
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in names]
        if unknown:
            raise ValueError(f"{argument} for {unknown}: the outputs are {', '.join(names)}")
        return [value.get(name) for name in names]
    if isinstance(value, (list, tuple)):
        if len(value) != len(names):
            raise ValueError(f"{argument} has {len(value)} entries for {len(names)} outputs ({', '.join(names)})")
        return list(value)
    if value is not None and argument == "target_var" and len(names) > 1:
        raise ValueError(f"target_var: give a list of {len(names)} variables, one per output ({', '.join(names)})")
    return [value] * len(names)


def param_names(network: Any, layers: Sequence[Layer]) -> dict[Any, str]:
    """Return the unique name of each parameter, as in weight files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # derived names are fine inside one program
        named = name_params(network)
        known = set(named.values())
        if any(param not in known for layer in layers for param in layer.get_params()):
            named = name_params(list(layers))
    return {param: name for name, param in named.items()}


class Features:
    """The output of a layer that is given, instead of being computed; it stands beside input layers.

    Attributes
    ----------
    layer : Layer
    shape : tuple
    input_var : Variable
    name : str or None
    """

    def __init__(self, layer: Layer) -> None:
        self.layer, self.shape, self.name = layer, layer.output_shape, layer.name
        self.input_var = T.tensor(layer._output_type().dtype, shape=self.shape, name="features")


@dataclass
class Objective:
    """What a network is trained for.

    Attributes
    ----------
    network : Layer, list of Layer, or dict of str to Layer
    outputs : list of Output
        With their losses.
    loss_weights : list of float
        The weight of each output in the sum of the losses.
    penalty : Variable or None
        A scalar that is added.
    target_vars : list of (Variable or None)
        Variables that the user gave for the targets.
    border : tuple of Layer
        Layers whose outputs are given as features, so that nothing below them is computed.
    precision : {"float32", "bfloat16", "float16"}
        To what stored values are rounded in training.
    all_layers, layers : list of Layer
        All layers of the network; those of the border and above.
    inputs : list of (InputLayer or Features)
    """

    network: Any
    outputs: list[Output]
    loss_weights: list[float]
    penalty: Any
    target_vars: list[Any]
    border: tuple[Layer, ...] = ()
    precision: str = "float32"
    layers: list[Layer] = field(init=False)
    inputs: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        tops = [output.layer for output in self.outputs]
        self.all_layers = all_layers(tops)
        self.layers = get_all_layers(tops, treat_as_input=self.border)
        self.inputs = [*map(Features, self.border), *input_layers(self.layers, bool(self.border))]

    def above(self, border: Sequence[Layer]) -> Objective:
        """Return the same objective as a function of the outputs of some layers."""
        return replace(self, border=tuple(border))

    @property
    def names(self) -> dict[Any, str]:
        """Parameter to its unique name."""
        return param_names(self.network, self.all_layers)

    def label(self, layer: Layer) -> str:
        """A name for a layer in messages."""
        return layer.name or str(self.all_layers.index(layer))

    def graph(self, form: BatchForm, deterministic: bool) -> Graph:
        """Build predictions and losses.

        Parameters
        ----------
        form : BatchForm
            The form of the batches.
        deterministic : bool
            Whether noise is off and batch normalisation uses its averages.
        """
        forms, weighted = form.targets, form.weighted
        given = {entry.layer: entry.input_var for entry in self.inputs if isinstance(entry, Features)}
        options = {"deterministic": True} if deterministic else {}
        values = dict(zip(self.layers, get_output(self.layers, given, **options)))
        if self.precision != "float32" and not deterministic:
            values = mixed_values(values, [output.layer for output in self.outputs], self.precision)
        targets = [
            T.tensor(form.dtype, name="target", shape=_known(form, output)) if given is None else given
            for form, output, given in zip(forms, self.outputs, self.target_vars)
        ]
        weight = T.tensor(symc.config.floatX, name="weights", shape=(None,) * weighted) if weighted else None
        predictions = [values[output.layer] for output in self.outputs]
        items = [_items(output, p, t) for output, p, t in zip(self.outputs, predictions, targets)]
        count = T.cast(predictions[0].shape[0], symc.config.floatX) if weight is None else T.sum(weight)
        parts = [weighted_mean(loss, weight) for loss in items]
        total = _sum(self.loss_weights, parts)
        loss = total if deterministic or self.penalty is None else total + self.penalty
        variables = [entry.input_var for entry in self.inputs]
        bytes_at = {
            variable: T.tensor(dtype, name=variable.name, shape=variable.static_shape)
            for variable, dtype in zip(variables, form.inputs)
            if dtype != variable.dtype
        }
        return Graph(variables, bytes_at, targets, weight, values, predictions, items, parts, loss, count, here())


def _known(form: TargetForm, output: Output) -> tuple[int | None, ...]:
    """The shape of the target variable: the sizes of the prediction, where the targets have its axes."""
    if output.kind != "own" and len(form.shape) == len(output.shape):
        return (None, *output.shape[1:])
    return form.shape


def _items(output: Output, prediction: Any, target: Any) -> Any:
    if output.kind != "own":
        return output.loss(prediction, target)
    return applied(output.loss, prediction, target, f"the loss {name_of(output.loss)} of the output {output.name}")


def applied(function: Any, prediction: Any, target: Any, title: str) -> Any:
    """Apply a loss or metric of the user's, which may not broadcast items against items.

    A vector of targets is aligned with a column of predictions if the function would broadcast them otherwise.

    Raises
    ------
    TypeError
        If the function does not return an expression.
    ValueError
        If it broadcasts every prediction against every target.
    """
    result = _called(function, prediction, target, title)
    if not _crosses(result, prediction, target):
        return result
    if target.ndim == 1 and all(size == 1 for size in prediction.static_shape[1:]):
        aligned = target.dimshuffle(0, *["x"] * (prediction.ndim - 1))
        result = _called(function, prediction, aligned, title)
        if not _crosses(result, prediction, aligned):
            return result
    raise ValueError(
        f"{title} broadcasts the prediction of shape {prediction.static_shape} against targets of shape "
        f"{target.static_shape}, every item against every other one: give them the same number of axes, as in "
        "prediction[:, 0] - target, or with lasagne_like.objectives.align_targets(prediction, target)"
    )


def _called(function: Any, prediction: Any, target: Any, title: str) -> Any:
    result = function(prediction, target)
    if not isinstance(result, symc.Variable):
        raise TypeError(
            f"{title} returned {type(result).__name__}, expected an expression with one value per item: write it with "
            "symc.tensor"
        )
    return result


def _crosses(loss: Any, prediction: Any, target: Any) -> bool:
    """Whether an intermediate result has the items of the prediction and those of the target along different axes."""
    if not prediction.ndim or not target.ndim:
        return False
    rows, columns = prediction.type.shape[0], target.type.shape[0]
    nodes = toposort([loss], frozenset((prediction, target)))
    return rows != columns and any(rows in v.type.shape and columns in v.type.shape for n in nodes for v in n.outputs)


def weighted_mean(values: Any, weight: Any) -> Any:
    """Return the mean of values, weighted by item or by element; 0 if all weights are 0."""
    if weight is None:
        return T.mean(values)
    if values.ndim == 0:
        raise ValueError(
            "sample or class weights need a loss with one value per item, but the loss is a scalar: return the losses "
            "of the items, without the mean"
        )
    total = weighted_sum(values, weight)
    if weight.ndim == values.ndim or weight.ndim == 1:
        return total / T.maximum(T.sum(weight), np.finfo(weight.dtype).tiny)
    raise ValueError(f"weights have {weight.ndim} axes, the losses {values.ndim}: expected 1 or {values.ndim}")


def weighted_sum(values: Any, weight: Any) -> Any:
    """Return the sum of values, weighted by item or by element. Further axes are averaged for weights of items."""
    if weight is None:
        return T.sum(mean_of_items(values))
    return T.sum((mean_of_items(values) if weight.ndim == 1 else values) * weight)


def _sum(factors: Sequence[float], parts: Sequence[Any]) -> Any:
    terms = [part if factor == 1 else factor * part for factor, part in zip(factors, parts)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@dataclass
class Graph:
    """The expressions of one mini-batch.

    Attributes
    ----------
    inputs, targets : list of Variable
    bytes_at : dict of Variable to Variable
        Inputs for which functions take bytes, which they convert.
    weight : Variable or None
        The weights of items.
    values : dict of Layer to Variable
        The outputs of all layers.
    predictions, items, parts : list of Variable
        Per output: the prediction, the losses of items, their mean.
    loss : Variable
        The scalar to minimise: the weighted sum of the means, and the penalty in training.
    count : Variable
        The number of items, or the sum of their weights.
    built_at : SourceLocation or None
        The user's line that led to the construction.
    """

    inputs: list[Any]
    bytes_at: dict[Any, Any]
    targets: list[Any]
    weight: Any
    values: dict[Layer, Any]
    predictions: list[Any]
    items: list[Any]
    parts: list[Any]
    loss: Any
    count: Any
    built_at: SourceLocation | None

    @property
    def arguments(self) -> list[Any]:
        """Inputs, targets and weights."""
        return [*self.inputs, *self.targets, *([] if self.weight is None else [self.weight])]

    def function(self, outputs: Any, name: str, **options: Any) -> Any:
        """Compile a function of batches in the form for which this graph was built."""
        return symc.function(
            [self.bytes_at.get(variable, variable) for variable in self.arguments],
            outputs,
            givens={variable: T.cast(given, variable.dtype) for variable, given in self.bytes_at.items()},
            name=name,
            on_unused_input="ignore",
            **options,
        )
