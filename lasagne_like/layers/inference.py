"""Shape inference: the output type of a layer, from applying it to symbolic placeholders."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import symc
import symc.tensor as T
from symc.errors import ShapeError

from ..utils import as_theano_expression

__all__ = ["OutputType", "Shape", "agree", "infer", "infer_other", "refined"]

Shape = tuple[int | None, ...]
"""One entry per axis; None for a size known only at call time."""


class OutputType(NamedTuple):
    """The shape and dtype of a layer's output.

    ``certain`` is False if the dtype is an assumption, because only the shape of an input of the network is given.
    """

    shape: Shape
    dtype: str
    certain: bool = True


def agree(first: Sequence[int | None], second: Sequence[int | None]) -> bool:
    """Whether two shapes have the same number of axes and no sizes known to differ."""
    return len(first) == len(second) and all(a is None or b is None or a == b for a, b in zip(first, second))


def infer(layer: Any, input_shapes: Sequence[Shape]) -> Any:
    """Apply a layer to placeholders.

    Parameters
    ----------
    layer : Layer
    input_shapes : sequence of tuple
        One shape per input.

    Returns
    -------
    expression
        The output of the layer. Its type contains all that follows from the shapes of inputs and parameters. A list of
        expressions if a layer that states its output shape returns one.

    Raises
    ------
    Exception
        The exception raised by the ``get_output_for`` of the layer, with a note that names the layer.
    """
    dtypes = list(layer._input_dtypes)
    dtypes += [(symc.config.floatX, False)] * (len(input_shapes) - len(dtypes))  # of shapes for further inputs
    types = [OutputType(tuple(shape), *known) for shape, known in zip(input_shapes, dtypes)]
    try:
        if any(getattr(each, "_gives_several", False) is True for each in layer.input_layers):
            outputs = _network_outputs(layer)
            return _applied(layer, [outputs[each] for each in layer.input_layers])
        return _applied(layer, [_placeholder(each, layer.input_dtype) for each in types])
    except Exception as error:
        for inputs in _other_inputs(layer, types, error):
            try:
                return _applied(layer, inputs)
            except Exception:  # the first error is the one to report
                continue
        error.add_note(
            f"while inferring the output shape of {type(layer).__name__} (name={layer.name!r}) "
            f"for input shapes {[each.shape for each in types]!r}"
            + (f", made at {layer.created_at}" if layer.created_at else "")
        )
        raise


def infer_other(layer: Any, input_shape: Shape) -> Shape:
    """Infer the output shape of a layer with one input for an input shape that its parameters may not fit.

    Sizes that they contradict count as unknown: first that of the second axis, then those of all but the first one.

    Raises
    ------
    Exception
        That of :func:`infer` for `input_shape`, if nothing helps.
    """
    try:
        return infer(layer, [input_shape]).static_shape
    except ShapeError:
        unknown = (None,) * (len(input_shape) - 2)
        for other in ((*input_shape[:1], None, *input_shape[2:]), (*input_shape[:1], None, *unknown)):
            try:
                return infer(layer, [other[: len(input_shape)]]).static_shape
            except ShapeError:
                continue
        raise


def refined(layer: Any, output: Any, inputs: Sequence[Any]) -> Any:
    """Declare the sizes of an output that follow from the shapes with which the parameters were registered.

    Parameters
    ----------
    layer : Layer
    output : expression
        The output of the layer for `inputs`.
    inputs : sequence of expressions

    Returns
    -------
    expression
        `output` itself if its shape is known, or if the types of all parameters include their shapes.
    """
    if not isinstance(output, symc.Variable) or not _partly_known(layer) or None not in output.static_shape:
        return output
    try:
        inferred = infer(layer, [each.static_shape for each in inputs]).static_shape
    except Exception:  # the output exists: inference only adds to its type
        return output
    wanted = tuple(own if own is not None else size for own, size in zip(output.static_shape, inferred))
    return T.specify_shape(output, wanted)


def _partly_known(layer: Any) -> dict[Any, Shape]:
    """Return the parameters whose types do not include the shapes with which they were registered."""
    return {param: shape for param, shape in layer._param_shapes.items() if param.static_shape != shape}


def _placeholder(of: OutputType, dtype: str | None = None) -> Any:
    return T.tensor(dtype or of.dtype, shape=of.shape)


def _applied(layer: Any, inputs: Sequence[Any]) -> Any:
    parameters = inspect.signature(layer.get_output_for).parameters
    options = {}
    if "deterministic" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        # Inference must not draw from random streams or build updates of running averages.
        options["deterministic"] = True
    output = layer.get_output_for(layer._arguments(inputs), **options)
    if layer._states_shape() and isinstance(output, (list, tuple)) and _all_expressions(output):
        return output
    output = as_theano_expression(output)
    replaced: dict[Any, Any] = {p: T.tensor(p.dtype, shape=shape) for p, shape in _partly_known(layer).items()}
    if replaced:
        output = symc.clone(output, {each: each for each in inputs} | replaced)
    return output


def _all_expressions(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(v, symc.Variable) for v in values)


def _other_inputs(layer: Any, types: Sequence[OutputType], error: Exception) -> Iterator[list[Any]]:
    """Yield further inputs to try if a layer does not accept independent placeholders of the assumed dtypes."""
    if isinstance(error, TypeError) and not all(each.certain for each in types):
        yield [_placeholder(each, None if each.certain else "int32") for each in types]
    if layer._constructed and None not in layer.input_layers and [t.shape for t in types] == list(layer.input_shapes):
        try:
            outputs = _network_outputs(layer)
        except Exception:
            return
        yield [outputs[each] for each in layer.input_layers]


def _network_outputs(layer: Any) -> dict[Any, Any]:
    """Compute the outputs of all layers below a layer from placeholders for the inputs of the network.

    Unlike placeholders for the inputs of the layer, they depend on each other, as layers that compute gradients
    require.
    """
    outputs: dict[Any, Any] = {}
    stack = list(layer.input_layers)
    while stack:
        current = stack[-1]
        below = [each for each in current.input_layers if each is not None and each not in outputs]
        if below:
            stack.extend(below)
            continue
        stack.pop()
        if current in outputs:
            continue
        if not current.input_layers:
            outputs[current] = _placeholder(current._output_type())
            continue
        own = [OutputType(shape, *known) for shape, known in zip(current.input_shapes, current._input_dtypes)]
        inputs = [
            _placeholder(each, current.input_dtype) if source is None else outputs[source]
            for source, each in zip(current.input_layers, own)
        ]
        outputs[current] = _applied(current, inputs)
    return outputs
