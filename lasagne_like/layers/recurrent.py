"""Recurrent layers whose transitions are networks of other layers, and the names of all recurrent layers."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

from collections.abc import Callable, Sequence
from typing import Any

from .. import init, nonlinearities
from .base import Layer
from .dense import DenseLayer
from .gates import Gate, GRULayer, LSTMLayer
from .helper import get_output
from .inference import Shape, agree
from .input import InputLayer
from .recurrent_base import BaseRecurrentLayer
from .traversal import get_all_layers, inputs_of

__all__ = ["BaseRecurrentLayer", "CustomRecurrentLayer", "GRULayer", "Gate", "LSTMLayer", "RecurrentLayer"]


class CustomRecurrentLayer(BaseRecurrentLayer):
    r"""A recurrent layer with arbitrary networks from input to hidden state and from hidden state to hidden state.

    .. math:: h_t = \sigma(f_i(x_t) + f_h(h_{t-1}))

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, time, ...)``.
    input_to_hidden : Layer
        The output layer of :math:`f_i`, a network on an input ``(batch, ...)``.
    hidden_to_hidden : Layer
        The output layer of :math:`f_h`, a network whose input and output have the shape of the hidden state.
    nonlinearity : callable or None
        :math:`\sigma`. None for the identity.
    hid_init : Layer, number, array, expression, shared variable or callable
        The initial state: a layer ``(batch, ...)``, or a parameter ``(1, ...)``.
    backwards, learn_init, gradient_steps, grad_clipping, unroll_scan, precompute_input, mask_input, only_return_final
        See :class:`BaseRecurrentLayer`.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the networks have several inputs, or if their output shapes differ from each other or from the input of
        `hidden_to_hidden`.

    Examples
    --------
    A recurrent convolutional layer over sequences of pictures:

    >>> from lasagne_like.layers import Conv2DLayer, CustomRecurrentLayer, InputLayer
    >>> frames = InputLayer((None, 5, 3, 16, 16))
    >>> of_input = Conv2DLayer(InputLayer((None, 3, 16, 16)), 7, 3, pad="same", nonlinearity=None)
    >>> of_hidden = Conv2DLayer(InputLayer(of_input.output_shape), 7, 3, pad="same", nonlinearity=None)
    >>> CustomRecurrentLayer(frames, of_input, of_hidden).output_shape
    (None, 5, 7, 16, 16)
    """

    def __init__(
        self,
        incoming: Any,
        input_to_hidden: Layer,
        hidden_to_hidden: Layer,
        nonlinearity: Callable | None = nonlinearities.rectify,
        hid_init: Any = init.Constant(0.0),
        backwards: bool = False,
        learn_init: bool = False,
        gradient_steps: int = -1,
        grad_clipping: float = 0,
        unroll_scan: bool = False,
        precompute_input: bool = True,
        mask_input: Any = None,
        only_return_final: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            incoming, [hid_init], backwards, learn_init, gradient_steps, grad_clipping, unroll_scan, precompute_input,
            mask_input, only_return_final, **kwargs,
        )  # fmt: skip
        self.input_to_hidden = input_to_hidden
        self.hidden_to_hidden = hidden_to_hidden
        self.nonlinearity = nonlinearities.resolve(nonlinearity)
        state = _state_shape(self.input_shapes[0], input_to_hidden, hidden_to_hidden)
        _check_batch(self.input_shapes[0], input_to_hidden, hidden_to_hidden, precompute_input)
        self.hid_init = self.add_state(hid_init, state, "hid_init")
        self.hid_init_incoming_index = self._incoming_index("hid_init")
        for layer in get_all_layers([input_to_hidden, hidden_to_hidden]):
            self._param_shapes |= getattr(layer, "_param_shapes", {})  # others than layers may stand for them
            for param, tags in getattr(layer, "params", {}).items():
                self.params.setdefault(param, tags)  # the same set: a layer that is frozen freezes its networks

    def prepare(self, input: Any, **kwargs: Any) -> Any:
        if not self.precompute_input:
            return input
        sizes = [own or input.shape[axis] for axis, own in enumerate(input.static_shape)]
        rows = input.reshape((-1, *sizes[2:]), ndim=input.ndim - 1)
        found = get_output(self.input_to_hidden, rows, **kwargs)
        return found.reshape((*sizes[:2], *self._states[-1][2]), ndim=found.ndim + 1)

    def step(self, input: Any, states: Sequence[Any], constants: Sequence[Any], **kwargs: Any) -> list:
        of_hidden = get_output(self.hidden_to_hidden, states[0], **kwargs)
        of_input = input if self.precompute_input else get_output(self.input_to_hidden, input, **kwargs)
        return [self.nonlinearity(self.clipped(of_hidden + of_input))]


def _state_shape(input_shape: Shape, input_to_hidden: Layer, hidden_to_hidden: Layer) -> tuple[int, ...]:
    """The shape of the hidden state without the batch, after a check of the two networks."""
    for name, network in (("input_to_hidden", input_to_hidden), ("hidden_to_hidden", hidden_to_hidden)):
        if not isinstance(network, Layer):
            raise TypeError(f"CustomRecurrentLayer: {name} must be a layer, got {network!r}")
    inputs, state = input_to_hidden.output_shape, hidden_to_hidden.output_shape
    if not agree(inputs[1:], state[1:]):
        raise ValueError(
            "The output shape for input_to_hidden and hidden_to_hidden must be equal after the first dimension, but "
            f"input_to_hidden.output_shape={inputs!r} and hidden_to_hidden.output_shape={state!r}"
        )
    taken = _input_shape(hidden_to_hidden)
    if taken is not None and not agree(taken[1:], state[1:]):
        raise ValueError(
            "The output shape of hidden_to_hidden must be equal to its input shape after the first dimension, but "
            f"the input shape is {taken!r} and hidden_to_hidden.output_shape={state!r}"
        )
    taken = _input_shape(input_to_hidden)
    if taken is not None and not agree(taken[1:], input_shape[2:]):
        raise ValueError(
            f"input_to_hidden takes inputs of the shape {taken!r}, but one time of the input shape {input_shape!r} is "
            f"{(input_shape[0], *input_shape[2:])!r}"
        )
    known = tuple(a if a is not None else b for a, b in zip(state[1:], inputs[1:]))
    if None in known:
        raise ValueError(f"The shape of the hidden state must be known except for the batch, got {(None, *known)!r}")
    return known  # type: ignore[return-value]


def _check_batch(shape: Shape, input_to_hidden: Layer, hidden_to_hidden: Layer, precomputed: bool) -> None:
    """Check the batch sizes that the two networks are made for."""
    rows, (batch, times) = input_to_hidden.output_shape[0], shape[:2]
    if not precomputed:
        if not agree((rows,), hidden_to_hidden.output_shape[:1]):
            raise ValueError(
                "With precompute_input=False, the batch sizes of input_to_hidden and hidden_to_hidden must be equal, "
                f"but are {rows} and {hidden_to_hidden.output_shape[0]}"
            )
    elif rows is not None and batch is not None and times is not None and rows != batch * times:
        raise ValueError(
            "With precompute_input=True, input_to_hidden is applied to all times at once: its batch size must be None "
            f"or {batch} * {times} = {batch * times}, got {rows}"
        )


def _input_shape(network: Layer) -> Shape | None:
    """The shape of the only input of a network; None if a shape was given instead of a layer."""
    inputs = []
    stack = [network]
    while stack:
        layer = stack.pop()
        if isinstance(layer, InputLayer):
            inputs.append(layer)
        stack += [each for each in inputs_of(layer) if each is not None]
    return inputs[0].shape if len(set(inputs)) == 1 else None


class RecurrentLayer(CustomRecurrentLayer):
    r"""A layer of fully connected recurrent units.

    .. math:: h_t = \sigma(x_t W_x + h_{t-1} W_h + b)

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, time, ...)``.
    num_units : int
        The number of units.
    W_in_to_hid : number, array, expression, shared variable or callable
        The weights of the input, ``(num_inputs, num_units)``.
    W_hid_to_hid : number, array, expression, shared variable or callable
        The weights of the hidden state, ``(num_units, num_units)``.
    b : number, array, expression, shared variable, callable or None
        The biases, ``(num_units,)``. None for none.
    nonlinearity : callable or None
        :math:`\sigma`. None for the identity.
    hid_init : Layer, number, array, expression, shared variable or callable
        The initial state: a layer ``(batch, num_units)``, or a parameter ``(1, num_units)``.
    backwards, learn_init, gradient_steps, grad_clipping, unroll_scan, precompute_input, mask_input, only_return_final
        See :class:`BaseRecurrentLayer`.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, RecurrentLayer
    >>> RecurrentLayer(InputLayer((None, None, 8)), num_units=16).output_shape
    (None, None, 16)
    """

    def __init__(
        self,
        incoming: Any,
        num_units: int,
        W_in_to_hid: Any = init.Uniform(),
        W_hid_to_hid: Any = init.Uniform(),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.rectify,
        hid_init: Any = init.Constant(0.0),
        backwards: bool = False,
        learn_init: bool = False,
        gradient_steps: int = -1,
        grad_clipping: float = 0,
        unroll_scan: bool = False,
        precompute_input: bool = True,
        mask_input: Any = None,
        only_return_final: bool = False,
        **kwargs: Any,
    ):
        shape = incoming.output_shape if isinstance(incoming, Layer) else tuple(incoming)
        prefix = f"{kwargs['name']}." if kwargs.get("name") else ""
        of_input = DenseLayer(
            InputLayer((None, *shape[2:])), num_units, W_in_to_hid, b, None, name=f"{prefix}input_to_hidden"
        )
        of_hidden = DenseLayer(
            InputLayer((None, num_units)), num_units, W_hid_to_hid, None, None, name=f"{prefix}hidden_to_hidden"
        )
        super().__init__(
            incoming, of_input, of_hidden, nonlinearity, hid_init, backwards, learn_init, gradient_steps, grad_clipping,
            unroll_scan, precompute_input, mask_input, only_return_final, **kwargs,
        )  # fmt: skip
        self.num_units = num_units
        self.W_in_to_hid = of_input.W
        self.W_hid_to_hid = of_hidden.W
        self.b = of_input.b
