r"""Mixed precision: values that are stored are rounded to bfloat16 or float16, arithmetic and parameters are float32.

``Trainer(network, precision="bfloat16")`` trains with it. In programs without a Trainer, :func:`mixed_output` takes the
place of :func:`lasagne_like.layers.get_output`, and for float16 a :class:`LossScale` keeps small gradients from
becoming zero::

    prediction = precision.mixed_output(network, x, dtype="float16")
    loss = objectives.categorical_crossentropy(prediction, y).mean()
    scale = precision.LossScale()
    gradients = scale.gradients(loss, params)
    step = scale.guarded(updates.adam(gradients, params), gradients)

Rounded are the parameters, where they are used (the shared variables stay float32: they are the master weights); the
inputs; and the outputs of all layers but the last; and with float16, on the way back, the gradients by each of these.
Within a layer, and in the loss, arithmetic is that of float32. Back ends compute on float32 and keep intermediate
results in it, so that neither speed nor memory changes: a network that was trained in this way keeps its accuracy where
its weights and outputs of layers are stored in 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import symc
import symc.tensor as T
from symc.graph import clone_with
from symc.graph.dtypes import BRAIN, HALF

from .descent import Updates
from .layers import InputLayer, Layer, get_all_layers, get_output
from .utils import floatX

__all__ = ["LossScale", "checked_precision", "mixed_output", "mixed_values", "rounded"]

PRECISIONS = ("float32", BRAIN, HALF)


def checked_precision(dtype: Any) -> str:
    """Return the name of a precision.

    Raises
    ------
    ValueError
        If it is none of float32, bfloat16 and float16.
    """
    if dtype not in PRECISIONS:
        raise ValueError(f"precision={dtype!r}: expected one of {', '.join(PRECISIONS)}")
    return dtype


def rounded(x: Any, dtype: str) -> Any:
    """Round a float32 expression to a 16-bit dtype, and to float16 its gradient as well; return others unchanged."""
    return T.cast(T.cast(x, dtype), "float32") if x.dtype == "float32" and dtype != "float32" else x


def mixed_values(values: Mapping[Layer, Any], outputs: Sequence[Layer], dtype: str) -> dict[Layer, Any]:
    """Rebuild the outputs of layers with parameters and hidden values rounded.

    Parameters
    ----------
    values : mapping of layer to expression
        The outputs of layers, in the order of computation.
    outputs : sequence of Layer
        Layers whose outputs are not rounded.
    dtype : {"float32", "bfloat16", "float16"}

    Returns
    -------
    dict
        In the same order.
    """
    params = [p for layer in values for p in layer.get_params(unwrap_shared=True) if p.dtype == "float32"]
    statistics = {p for layer in values for p in layer.get_params(batch_norm_stat=True)}
    replaced = {p: rounded(p, dtype) for p in params if p not in statistics}
    exact: dict[Any, Any] = {}  # by the variable of a layer, which others may pass on unchanged
    found: dict[Layer, Any] = {}
    for layer, value in values.items():
        if value not in exact:
            exact[value] = clone_with([value], replaced)[0]
        found[layer] = exact[value]
        if layer not in outputs:
            replaced[value] = found[layer] = rounded(exact[value], dtype)
    return found


def mixed_output(layer_or_layers: Any, inputs: Any = None, dtype: str = "bfloat16", **kwargs: Any) -> Any:
    """Compute the outputs of layers as :func:`lasagne_like.layers.get_output` does, in mixed precision.

    Parameters
    ----------
    layer_or_layers : Layer or list of Layer
    inputs : expression, array, or mapping of layer to these, optional
    dtype : {"float32", "bfloat16", "float16"}
        To what stored values are rounded.
    **kwargs
        Passed to the layers, such as ``deterministic=True``.

    Returns
    -------
    Variable or list of Variable
    """
    checked_precision(dtype)
    given = inputs if isinstance(inputs, Mapping) else {}
    tops = layer_or_layers if isinstance(layer_or_layers, (list, tuple)) else [layer_or_layers]
    layers = get_all_layers(list(tops), treat_as_input=[v for v in given if not isinstance(v, InputLayer)] or None)
    values = mixed_values(dict(zip(layers, get_output(layers, inputs, **kwargs))), tops, dtype)
    found = [values[layer] for layer in tops]
    return found if isinstance(layer_or_layers, (list, tuple)) else found[0]


class LossScale:
    r"""A factor of the loss that keeps small float16 gradients from becoming zero, adapted during training.

    Gradients of ``scale * loss`` are divided by the scale. If one of them overflows, the step is left out and the scale
    is divided by `factor`; after `interval` steps without overflow it is multiplied by it.

    Parameters
    ----------
    initial : float
        The first scale, a power of 2.
    factor : float
    interval : int

    Attributes
    ----------
    value, steps : SharedVariable
        The scale, and the number of steps since it changed.
    """

    def __init__(self, initial: float = 2.0**15, factor: float = 2.0, interval: int = 2000) -> None:
        if not (initial >= 1 and factor > 1 and interval >= 1):
            raise ValueError(
                f"LossScale({initial}, {factor}, {interval}): expected a scale and an interval from 1, a factor above 1"
            )
        self.factor, self.interval = factor, interval
        self.value = symc.shared(floatX(initial), "loss_scale")
        self.steps = symc.shared(floatX(0.0), "loss_scale.steps")
        self.value.tag.optimiser = "loss_scale", None
        self.steps.tag.optimiser = "loss_scale.steps", None

    def gradients(self, loss: Any, params: Sequence[Any]) -> list[Any]:
        """The gradients of ``loss``, computed from those of the scaled loss."""
        return [g / self.value for g in symc.grad(loss * self.value, list(params))]

    def finite(self, gradients: Sequence[Any]) -> Any:
        """Whether no gradient has overflowed, a scalar."""
        good: Any = T.constant(True)
        for gradient in gradients:
            good = T.and_(good, T.all(T.lt(abs(gradient), floatX(float("inf")))))
        return good

    def updates(self, finite: Any) -> Updates:
        """The updates of the scale after a step."""
        grown = T.ge(self.steps + 1, self.interval)
        larger = T.switch(grown, self.value * self.factor, self.value)
        smaller = T.maximum(self.value / self.factor, 1.0)
        steps = T.switch(T.and_(finite, T.invert(grown)), self.steps + 1, 0.0)
        pairs = [(self.value, T.switch(finite, larger, smaller)), (self.steps, steps)]
        return Updates((shared, T.cast(new, shared.dtype)) for shared, new in pairs)

    def guarded(self, updates: Mapping[Any, Any], gradients: Sequence[Any]) -> Updates:
        """Updates that change nothing but the scale where a gradient has overflowed, and adapt the scale.

        Parameters
        ----------
        updates : mapping of shared variable to expression
            Those of an optimiser for `gradients`.
        gradients : list of expressions
            What :meth:`gradients` returned.
        """
        finite = self.finite(gradients)
        kept = Updates((shared, T.switch(finite, new, shared)) for shared, new in updates.items())
        kept.update(self.updates(finite))
        return kept
