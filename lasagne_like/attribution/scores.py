"""Class scores as functions of pictures."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from ..files import Network, all_layers
from ..layers import InputLayer, Layer, NonlinearityLayer, get_output
from ..nonlinearities import linear, sigmoid, softmax

__all__ = ["Scores", "batched"]


class Scores:
    """The class scores of a network as functions of its pictures.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The network; of several output layers, the last.
    rebuild : callable, optional
        ``rebuild(scores, pictures)`` returns the expression to differentiate in place of the scores.
    """

    def __init__(self, network: Network, rebuild: Callable[[Any, Any], Any] | None = None) -> None:
        self.network = network
        self.output = _output_layer(network)
        self.layers = all_layers(self.output)
        inputs = [layer for layer in self.layers if isinstance(layer, InputLayer)]
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise ValueError(
                f"the network must have one input layer for pictures (batch, channels, rows, columns), got {inputs!r}"
            )
        self.input_layer = inputs[0]
        self.head, self.squash = _without_squashing(self.output)
        self.rebuild = rebuild
        self.x = T.tensor(inputs[0].input_var.dtype, shape=inputs[0].shape)
        self.size: tuple[int, int] = (0, 0)
        self._compiled: dict[Any, Any] = {}

    def inputs(self, pictures: Any) -> np.ndarray:
        """Convert pictures to inputs of the network."""
        wanted = self.input_layer.shape
        preprocess = getattr(self.network, "preprocess", None)
        raw = not isinstance(pictures, np.ndarray) or pictures.dtype.kind in "iub"
        array = np.asarray(preprocess(pictures) if preprocess is not None and raw else pictures)
        if array.ndim == 3:
            array = array[None]
        fits = array.ndim == 4 and all(w in (None, n) for w, n in zip(wanted[1:], array.shape[1:]))
        if not fits or not len(array):
            hint = ": pictures are channels-first here" if array.ndim == 4 and array.shape[3] == wanted[1] else ""
            raise ValueError(f"pictures have shape {array.shape}, expected {wanted}{hint}")
        self.size = array.shape[2], array.shape[3]
        return array.astype(self.input_layer.input_var.dtype, copy=False)

    def classes(self, pictures: Any, target: Any, batch_size: int) -> np.ndarray:
        """Return the index of the class of each picture."""
        inputs = self.inputs(pictures)
        count = self.output.output_shape[1]
        single = count == 1
        if target is None:
            values = np.concatenate(list(batched(self._scores, inputs, batch_size)))
            return (values[:, 0] > 0).astype(int) if single else values.argmax(axis=1)
        names = getattr(self.network, "classes", None) or ()
        given = [target] if isinstance(target, (str, int, np.integer)) else list(target)
        indices = np.array([_index(each, names) for each in given])
        if len(indices) not in (1, len(inputs)):
            raise ValueError(f"target has {len(indices)} classes for {len(inputs)} pictures: expected one, or as many")
        highest = 1 if single else int(count or 0) - 1
        wrong = [int(k) for k in indices if not 0 <= k <= highest]
        if wrong:
            raise ValueError(f"target={wrong[0]}: the network's classes are 0 to {highest}")
        return np.broadcast_to(indices, len(inputs))

    def probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Compute the outputs; of one sigmoid unit, the probabilities of class 0 and class 1."""
        if "outputs" not in self._compiled:
            self._compiled["outputs"] = symc.function([self.x], self._output(self.output))
        values = self._compiled["outputs"](inputs)
        if values.shape[1] == 1:
            rest = 1 - values if self.squash is sigmoid else -values
            return np.concatenate([rest, values], axis=1)
        return values

    def values(self, layers: Sequence[Layer], pictures: Any, batch_size: int) -> list[np.ndarray]:
        """Compute outputs of layers."""
        function = symc.function([self.x], self._output(layers))
        parts = list(batched(function, self.inputs(pictures), batch_size))
        return [np.concatenate(list(each)) for each in zip(*parts)]

    def gradients(self, pictures: Any, target: Any, batch_size: int) -> np.ndarray:
        """Compute the gradient of the chosen scores by the inputs."""
        inputs = self.inputs(pictures)
        classes = self.classes(inputs, target, batch_size)
        x, k = self.x, _class_variable()
        scores = self._output(self.head)
        if self.rebuild is not None:
            scores = self.rebuild(scores, x)
        slope = symc.grad(_chosen(scores, k).sum(), x)
        function = symc.function([x, k], slope, name="gradient")
        starts = range(0, len(inputs), batch_size)
        return np.concatenate(
            [function(inputs[s : s + batch_size], classes[s : s + batch_size].astype("int32")) for s in starts]
        )

    def at(self, layer: Layer, pictures: Any, target: Any, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Compute the outputs of a layer, and the gradients of the chosen scores by them."""
        inputs = self.inputs(pictures)
        classes = self.classes(inputs, target, batch_size)
        x, k = self.x, _class_variable()
        maps = self._output(layer)
        scores = get_output(self.head, {layer: maps, self.input_layer: x}, deterministic=True)
        slope = symc.grad(_chosen(scores, k).sum(), maps)
        function = symc.function([x, k], [maps, slope], name="gradient")
        starts = range(0, len(inputs), batch_size)
        parts = [function(inputs[s : s + batch_size], classes[s : s + batch_size].astype("int32")) for s in starts]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _output(self, layers: Any) -> Any:
        return get_output(layers, {self.input_layer: self.x}, deterministic=True)

    def _scores(self, inputs: np.ndarray) -> np.ndarray:
        if "scores" not in self._compiled:
            self._compiled["scores"] = symc.function([self.x], self._output(self.head))
        return self._compiled["scores"](inputs)


def _class_variable() -> Any:
    return T.tensor("int32", shape=(None,), name="target")


def batched(function: Callable[[np.ndarray], Any], inputs: np.ndarray, size: int) -> Iterator[Any]:
    """Yield the results of a function for consecutive batches of at most `size` inputs.

    Raises
    ------
    ValueError
        If `size` is less than 1; at once, and not when the first batch is computed.
    """
    if size < 1:
        raise ValueError(f"batch_size={size}: expected at least 1")
    return (function(inputs[start : start + size]) for start in range(0, len(inputs), size))


def _output_layer(network: Network) -> Layer:
    layers = [network] if isinstance(network, Layer) else network
    found = list(layers.values() if isinstance(layers, Mapping) else layers)[-1]
    if len(found.output_shape) != 2 or found.output_shape[1] is None:
        raise ValueError(
            f"the output layer {found!r} has the shape {found.output_shape}, expected scores (batch, classes)"
        )
    return found


def _without_squashing(output: Layer) -> tuple[Layer, Any]:
    """Return the output layer without its softmax or sigmoid, and that function."""
    squash = getattr(output, "nonlinearity", None)
    if squash not in (softmax, sigmoid, T.nnet.softmax, T.nnet.sigmoid):
        return output, None
    kind = softmax if squash in (softmax, T.nnet.softmax) else sigmoid
    if isinstance(output, NonlinearityLayer):
        return output.input_layer, kind
    head = copy.copy(output)
    head.nonlinearity = linear  # type: ignore[attr-defined]
    return head, kind


def _index(given: Any, names: Sequence[str]) -> int:
    if not isinstance(given, str):
        return int(given)
    if given not in names:
        known = ", ".join(list(names)[:10]) or "none: pass an index"
        raise ValueError(f"target={given!r} is no class of the network; its classes are {known}")
    return list(names).index(given)


def _chosen(scores: Any, k: Any) -> Any:
    """The score of class ``k`` of each picture; of one unit, its negative for class 0."""
    if scores.static_shape[1] == 1:
        return scores[:, 0] * T.cast(2 * k - 1, scores.dtype)
    return scores[T.arange(k.shape[0]), k]
