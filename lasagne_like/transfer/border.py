"""The border of the frozen part of a network: up to where outputs do not change while the network is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from ..files import Network, all_layers
from ..layers import InputLayer, Layer, get_output, get_output_shape
from ..random import draws_restored

__all__ = ["frozen_border"]


def frozen_border(network: Network) -> list[Layer]:
    """Return the layers at which the frozen, non-random part of a network ends.

    The output of such a layer for an example is the same in every training step: no parameter below it is trained,
    nothing below it is random or behaves differently in training, and it does not depend on the other examples of the
    batch. It can therefore be computed once, see :func:`precompute_features`.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The network.

    Returns
    -------
    list of Layer
        The last layers of that part: those that another layer, which is not part of it, reads, and output layers.
        Input layers are not listed, nor are layers without any parameter below them. Empty if there are none.

    Examples
    --------
    >>> from lasagne_like.layers import DenseLayer, DropoutLayer, InputLayer
    >>> base = DenseLayer(InputLayer((None, 4)), 3, name="base")
    >>> out = DenseLayer(DropoutLayer(base), 2, name="out")
    >>> frozen_border(out)
    []
    >>> _ = freeze("base", out)
    >>> frozen_border(out)
    [<DenseLayer 'base'>]
    """
    layers = all_layers(network)
    trained = {param for layer in layers for param in layer.get_params(trainable=True)}
    fixed = _Fixed(trained)
    for layer in layers:
        fixed.examine(layer)
    read = {source for layer in layers if layer not in fixed.outputs for source in layer.input_layers}
    tops = set(layers) - {source for layer in layers for source in layer.input_layers}
    return [
        layer
        for layer in layers
        if layer in fixed.outputs and layer in read | tops and any(each.params for each in all_layers(layer))
    ]


class _Fixed:
    """Finds the layers whose outputs never change, given in topological order.

    Attributes
    ----------
    outputs : dict of Layer to Variable
        Their outputs, as expressions in the variables of the input layers.
    """

    def __init__(self, trained: set[Any]) -> None:
        self.trained = trained
        self.outputs: dict[Any, Any] = {}

    def examine(self, layer: Layer) -> None:
        """Add a layer to ``outputs`` if it belongs there."""
        if isinstance(layer, InputLayer):
            self.outputs[layer] = layer.input_var
            return
        if not layer.input_layers or any(each not in self.outputs for each in layer.input_layers):
            return
        if layer.get_params(trainable=True) or not _keeps_rows(layer):
            return
        inputs = {each: self.outputs[each] for each in layer.input_layers}
        with draws_restored([layer]):
            training, final = get_output(layer, inputs), get_output(layer, inputs, deterministic=True)
        leaves = set(inputs.values())
        changing = any(_changes(variable, self.trained) for variable in _between(training, leaves))
        if not changing and _same(training, final, leaves) and not _mixes_examples(layer):
            self.outputs[layer] = final


def _keeps_rows(layer: Layer) -> bool:
    """Whether the output has one row per example, whatever the number of examples."""
    if any(shape[:1] != (None,) for shape in layer.input_shapes):  # a fixed number of examples
        return layer.output_shape[:1] == layer.input_shapes[0][:1] != ()
    if layer.output_shape[:1] != (None,):
        return False
    for count in (3, 5):
        shapes = {each: (count, *shape[1:]) for each, shape in zip(layer.input_layers, layer.input_shapes)}
        if get_output_shape(layer, shapes)[0] != count:
            return False
    return True


def _between(output: Any, leaves: set[Any]) -> Iterator[Any]:
    """Yield all variables on which an expression depends, without those below ``leaves``."""
    seen: set[Any] = set()
    pending = [output]
    while pending:
        variable = pending.pop()
        if variable in seen or variable in leaves:
            continue
        seen.add(variable)
        yield variable
        if variable.owner is not None:
            pending.extend(variable.owner.inputs)


def _changes(variable: Any, trained: set[Any]) -> bool:
    if variable.owner is None:
        return variable in trained or variable.default_update is not None
    return variable.owner.op.record.carries_updates


def _same(first: Any, second: Any, leaves: set[Any]) -> bool:
    """Whether two expressions apply the same ops to the same variables."""
    done: set[tuple[Any, Any]] = set()
    pending = [(first, second)]
    while pending:
        a, b = pending.pop()
        if a is b or (a, b) in done:
            continue
        done.add((a, b))
        if isinstance(a, symc.Constant) and isinstance(b, symc.Constant):
            if a.type != b.type or a.data.tobytes() != b.data.tobytes():
                return False
        elif a.owner is None or b.owner is None or a in leaves or b in leaves:
            return False
        elif a.owner.op != b.owner.op or a.index != b.index or len(a.owner.inputs) != len(b.owner.inputs):
            return False
        else:
            pending.extend(zip(a.owner.inputs, b.owner.inputs))
    return True


def _mixes_examples(layer: Layer) -> bool:
    """Whether the output for an example depends on the other examples of the batch.

    A layer all of whose intermediate results have one row per example is taken not to; others are tried with numbers.
    """
    if any(shape[:1] != (None,) for shape in layer.input_shapes):
        return False  # the number of examples is fixed: they cannot be tried one by one
    inputs = {each: _placeholder(each) for each in layer.input_layers}
    output = get_output(layer, inputs, deterministic=True)
    count = next(iter(inputs.values())).type.shape[0]
    if all(v.type.shape[:1] == (count,) for v in _dependent(output, set(inputs.values()))):
        return False
    rng = np.random.default_rng(0)
    sizes = [[3, *(4 if size is None else size for size in each.output_shape[1:])] for each in inputs]
    values = [_drawn(rng, size, v.dtype) for size, v in zip(sizes, inputs.values())]
    function = symc.function(list(inputs.values()), output)
    together, alone = function(*values), function(*(value[1:2] for value in values))
    return not np.allclose(together[1:2], alone, rtol=1e-3, atol=1e-5, equal_nan=True)


def _placeholder(layer: Layer) -> Any:
    kind = layer._output_type()
    return T.tensor(kind.dtype, shape=kind.shape)


def _drawn(rng: np.random.Generator, shape: list[int], dtype: str) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _dependent(output: Any, inputs: set[Any]) -> set[Any]:
    """Return the variables that depend on the values of ``inputs``; reading their shapes alone does not count."""
    variables = list(_between(output, inputs))
    readers: dict[Any, list[Any]] = {}
    for variable in variables:
        if variable.owner is not None and variable.owner.op.record.dim_reads != 0:
            for source in variable.owner.inputs:
                readers.setdefault(source, []).append(variable)
    found: set[Any] = set()
    pending = list(inputs)
    while pending:
        fresh = [each for each in readers.get(pending.pop(), ()) if each not in found]
        found.update(fresh)
        pending.extend(fresh)
    return found
