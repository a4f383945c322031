"""Find the origin of a loss that is not finite: layer, op and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import symc
from symc.errors import SourceLocation
from symc.graph.traversal import toposort

from ..layers import Layer
from .graphs import Graph, Objective

__all__ = ["NonFiniteLossError", "explain_non_finite"]


class NonFiniteLossError(ArithmeticError):
    """A training loss or its gradient was NaN or infinite.

    Attributes
    ----------
    origin : str
        The first value, in the order of computation, that is not finite: ``"input"``, ``"target"``, ``"weights"``,
        ``"parameter <name>"``, ``"output of layer <name> (<class>)"``, ``"penalty"``, ``"loss"``, ``"gradient through
        layer <name> (<class>)"``, ``"gradient of the loss"``, or ``"unknown"`` if a second evaluation was finite.
    where : str
        Epoch and batch.
    op : str
        The op that computed the first value that is not finite from finite ones, or an empty string.
    line : str
        The line of the user's program that this op or its layer comes from, or an empty string.
    """

    def __init__(self, message: str, origin: str, where: str, op: str = "", line: str = "") -> None:
        super().__init__(message)
        self.origin = origin
        self.where = where
        self.op = op
        self.line = line

    def __reduce__(self) -> tuple:
        return type(self), (str(self), self.origin, self.where, self.op, self.line)


_REPAIRS = {
    "input": "clean the data: look for NaN, infinities and divisions by zero in its preparation",
    "target": "clean the targets",
    "weights": "clean the weights of the items",
    "parameter": "an earlier step's gradient was not finite or the steps are too large: lower the learning rate, bound "
    "the gradient with updates.total_norm_constraint, or look for sqrt(0), x / 0 or log(0) in the loss",
    "output": "the values before it are finite, so the layer overflows or is undefined there: lower the learning rate, "
    "scale the input, or check its nonlinearity's domain",
    "penalty": "check the regularisation term and its weight",
    "loss": "the prediction is finite, so the loss is undefined there: log(0) or a division by zero; use a stable form "
    "such as softmax with categorical_crossentropy, or clip the prediction",
    "gradient": "the loss is finite, but its slope is not, as that of sqrt(x) and of x ** 0.5 at 0, or of a norm of "
    "zeros: add a small constant inside, or clip the values",
    "unknown": "a second evaluation of the same batch was finite. Lower the learning rate",
}


def explain_non_finite(
    objective: Objective, graph: Graph, gradients: Mapping[Any, Any], arguments: Sequence[np.ndarray], where: str
) -> NonFiniteLossError:
    """Find the first value that is not finite in the computation of the loss of one batch and of its gradients.

    Parameters
    ----------
    objective : Objective
        Its network must still have the parameters with which the loss was computed.
    graph : Graph
        The expressions of the training step.
    gradients : dict of SharedVariable to Variable
        The gradients of the loss by the parameters.
    arguments : sequence of numpy.ndarray
        The batch: inputs, targets, weights.
    where : str
        Epoch and batch, for the message.

    Returns
    -------
    NonFiniteLossError
        For the caller to raise; its message names the origin, the op and the line, counts the values that are not
        finite, and suggests a repair.
    """
    arguments = [np.asarray(array, variable.dtype) for array, variable in zip(arguments, graph.arguments)]
    loss = _loss_of(graph, arguments)
    what = f"the loss is {loss}" if not np.isfinite(loss) else f"the loss is {loss:.6g}, but a gradient is not finite,"
    for origin, values, segment, layer in _stations(objective, graph, arguments):
        if _bad(values):
            op, line = _blamed(graph, arguments, segment, layer) if segment else ("", "")
            if origin == "loss":
                line = line or _line_of_loss(objective)
            return _error(what, where, origin, f" ({_count_bad(values)})", op, line)
    return _of_gradients(objective, graph, gradients, arguments, what, where)


def _bad(values: Any) -> bool:
    values = np.asarray(values)
    return values.dtype.kind == "f" and not np.isfinite(values).all()


def _of_gradients(
    objective: Objective,
    graph: Graph,
    gradients: Mapping[Any, Any],
    arguments: Sequence[np.ndarray],
    what: str,
    where: str,
) -> NonFiniteLossError:
    """Blame the first layer, from the output down, that turns a finite gradient into one that is not finite."""
    values = _evaluate(graph, arguments, list(gradients.values()))
    names = objective.names
    found = {param: value for param, value in zip(gradients, values) if _bad(value)}
    if not found:
        return _error(what, where, "unknown", "", "", "")
    param, value = list(found.items())[-1]
    layers = [layer for layer in objective.layers if layer.input_layers and layer in graph.values]
    slopes = symc.grad(graph.loss, [graph.values[layer] for layer in layers], disconnected_inputs="ignore")
    through = dict(zip(layers, map(_bad, _evaluate(graph, arguments, slopes))))
    guilty = None
    for layer in layers:
        below_bad = any(through.get(below, False) for below in layer.input_layers)
        own_bad = any(held in found for held in layer.get_params())
        if not through[layer] and (below_bad or own_bad):
            guilty = layer
    if guilty is None:
        origin, line = "gradient of the loss", _line_of_loss(objective)
    else:
        origin = f"gradient through layer {objective.label(guilty)} ({type(guilty).__name__})"
        line = str(getattr(guilty, "created_at", None) or "")
    detail = f" ({_count_bad(value)}, by {names[param]})"
    op, own_line = _blamed(graph, arguments, [gradients[held] for held in found], None)
    return _error(what, where, origin, detail, op, own_line or line)


def _line_of_loss(objective: Objective) -> str:
    """The line of the first loss that the user wrote."""
    codes = [getattr(output.loss, "__code__", None) for output in objective.outputs if output.kind == "own"]
    return next((str(SourceLocation(code.co_filename, code.co_firstlineno)) for code in codes if code), "")


def _error(what: str, where: str, origin: str, detail: str, op: str, line: str) -> NonFiniteLossError:
    message = f"{what} in {where}. First value that is not finite: {origin}{detail}."
    if op:
        message += f"\nIt comes from the op {op}, whose operands are finite"
        message += f", at {line}." if line else "."
    message += f"\n{_REPAIRS[origin.split(' ')[0]]}"
    return NonFiniteLossError(message, origin, where, op, line)


_Station = tuple[str, Any, list[Any], Layer | None]


def _stations(objective: Objective, graph: Graph, arguments: Sequence[np.ndarray]) -> Iterator[_Station]:
    """Yield inputs and intermediate results in the order of computation: name, values, expressions, layer."""
    several = len(objective.inputs) > 1
    for source, values in zip(objective.inputs, arguments):
        yield f"input {source.name or objective.inputs.index(source)}" if several else "input", values, [], None
    several = len(objective.outputs) > 1
    for output, values in zip(objective.outputs, arguments[len(graph.inputs) :]):
        yield f"target {output.name}" if several else "target", values, [], None
    if graph.weight is not None:
        yield "weights", arguments[-1], [], None
    given = {*objective.border, *objective.inputs}
    computed = [layer for layer in objective.layers if layer not in given]
    outputs = dict(zip(computed, _evaluate(graph, arguments, [graph.values[layer] for layer in computed])))
    names = objective.names
    for layer in objective.layers:
        for param in layer.get_params():
            yield f"parameter {names[param]}", param.get_value(borrow=True), [], None
        if layer in outputs:
            name = f"output of layer {objective.label(layer)} ({type(layer).__name__})"
            yield name, outputs[layer], [graph.values[layer]], layer
    if objective.penalty is not None:
        (penalty,) = _evaluate(graph, arguments, [objective.penalty])
        yield "penalty", penalty, [objective.penalty], None
    rest = [*graph.items, *graph.parts, graph.loss]
    for expression, values in zip(rest, _evaluate(graph, arguments, rest)):
        yield "loss", values, [expression], None


def _evaluate(graph: Graph, arguments: Sequence[np.ndarray], expressions: list[Any]) -> list[np.ndarray]:
    """Evaluate expressions on the batch; nothing is updated, and random streams draw what the step drew."""
    function = symc.function(
        graph.arguments, expressions, name="diagnosis", no_default_updates=True, on_unused_input="ignore"
    )
    return [np.asarray(value) for value in function(*arguments)]


def _loss_of(graph: Graph, arguments: Sequence[np.ndarray]) -> float:
    return float(_evaluate(graph, arguments, [graph.loss])[0])


def _blamed(graph: Graph, arguments: Sequence[np.ndarray], segment: list[Any], layer: Layer | None) -> tuple[str, str]:
    """Find the first op of a segment of the computation that makes a value that is not finite from finite ones.

    Returns
    -------
    op, line : str
        Empty if no single op can be blamed.
    """
    stop = frozenset(value for owner, value in graph.values.items() if owner is not layer)
    nodes = toposort(segment, stop)
    floats = [v for node in nodes for v in node.outputs if np.dtype(v.dtype).kind == "f"]
    try:
        values = dict(zip(floats, _evaluate(graph, arguments, floats)))
    except symc.errors.SymcError:  # an intermediate result that cannot be an output: the layer is named without the op
        return "", ""
    for node in nodes:
        bad = [v for v in node.outputs if v in values and not np.isfinite(values[v]).all()]
        if bad and all(v not in values or np.isfinite(values[v]).all() for v in node.inputs):
            line = bad[0].location
            if line is None or line == graph.built_at:  # an op of the library
                line = getattr(layer, "created_at", None)
            return node.op.name, "" if line is None else str(line)
    return "", ""


def _count_bad(values: np.ndarray) -> str:
    nans, infinities = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    parts = [f"{count} {kind}" for count, kind in ((nans, "NaN"), (infinities, "infinite")) if count]
    return f"{' and '.join(parts)} of {values.size} values, shape {values.shape}"
