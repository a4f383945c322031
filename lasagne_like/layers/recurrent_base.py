"""What recurrent layers share: the order of axes, initial states, masks, the direction, the loop.

All of them read sequences ``(batch, time, ...)`` and repeat a step over time::

    state_t = step(x_t, state_{t-1})

A layer states its parameters and its step. The loop is :func:`symc.scan`, or a copy of the step for every time.
"""

import math
from collections.abc import Sequence
from typing import Any

import symc
import symc.tensor as T
from symc.gradient import grad_clip

from ..utils import unroll_scan
from .arrays import takes_arrays
from .base import Layer, MergeLayer
from .inference import Shape

__all__ = ["BaseRecurrentLayer"]


class BaseRecurrentLayer(MergeLayer):
    """Base class of recurrent layers, to be subclassed for new kinds of steps.

    A subclass creates its parameters in its constructor, then its initial states with :meth:`add_state`, the hidden
    state last, and defines :meth:`step`; it may define :meth:`prepare`, which is applied to all times at once, and
    :meth:`constants`.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, time, ...)``.
    initial : list of Layer
        The layers that give initial states, instead of parameters.
    backwards : bool
        Whether to go through the sequence from its end. The output at time `t` then depends on the inputs from `t` on.
    learn_init : bool
        Whether initial states are trained.
    gradient_steps : int
        The number of times that gradients go back through; -1 for all.
    grad_clipping : float
        If not 0, gradients are clipped to this magnitude where they flow into a step's sum of inputs, element by
        element.
    unroll_scan : bool
        Whether to write the step out for every time instead of compiling a loop. Compiling takes longer; the number of
        times must be known.
    precompute_input : bool
        Whether the products with the inputs of all times are computed at once, before the loop.
    mask_input : Layer, optional
        A layer ``(batch, time)``. Where it is 0, the states of a sequence are kept.
    only_return_final : bool
        Whether to return the last hidden state alone.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the input has no time axis, if `unroll_scan` is used for a number of times that is unknown or with
        `gradient_steps`.
    """

    def __init__(
        self,
        incoming: Any,
        initial: Sequence[Any] = (),
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
        layers = [each for each in initial if isinstance(each, Layer)]
        super().__init__([incoming, *([] if mask_input is None else [mask_input]), *layers], **kwargs)
        self._given_layers = {id(layer): k for k, layer in enumerate(self.input_layers)}
        self.mask_incoming_index = -1 if mask_input is None else 1
        self.backwards = backwards
        self.learn_init = learn_init
        self.gradient_steps = gradient_steps
        self.grad_clipping = grad_clipping
        self.unroll_scan = unroll_scan
        self.precompute_input = precompute_input
        self.mask_input = mask_input
        self.only_return_final = only_return_final
        self._states: list[tuple[str, int, tuple[int, ...]]] = []
        self._check_time()

    def _check_time(self) -> None:
        name, shape = type(self).__name__, self.input_shapes[0]
        if len(shape) < 2:
            raise ValueError(f"{name} needs an input (batch, time, ...), got the input shape {shape!r}")
        if self.unroll_scan and self.gradient_steps != -1:
            raise ValueError(
                f"{name}: gradient steps must be -1 when unroll_scan is True, got gradient_steps={self.gradient_steps}"
            )
        if self.unroll_scan and shape[1] is None:
            raise ValueError(
                f"{name}: input sequence length cannot be specified as None when unroll_scan is True; the input shape "
                f"is {shape!r}: give the InputLayer the number of times, or leave unroll_scan out"
            )
        if self.mask_input is not None and len(self.input_shapes[1]) != 2:
            raise ValueError(f"{name}: mask_input must be (batch, time), got the shape {self.input_shapes[1]!r}")

    def _inputs_per_time(self) -> int:
        sizes = [size for size in self.input_shapes[0][2:] if size is not None]
        if len(sizes) < len(self.input_shapes[0]) - 2:
            raise ValueError(
                f"{type(self).__name__} needs known sizes of all axes after the first two, got the input shape "
                f"{self.input_shapes[0]!r}"
            )
        return math.prod(sizes)

    def add_state(self, spec: Any, shape: tuple[int, ...], name: str) -> Any:
        """Add a state, after the parameters.

        Parameters
        ----------
        spec : Layer, number, array, expression, shared variable or callable
            The initial value: a layer ``(batch, *shape)``, or what a parameter ``(1, *shape)`` is made from.
        shape : tuple of int
            The shape of the state, without the batch.
        name : str
            The name of the parameter.

        Returns
        -------
        Layer, shared variable or expression
            `spec` if it is a layer, else the parameter.
        """
        if isinstance(spec, Layer):
            index = self._given_layers[id(spec)]
            found = self.input_shapes[index]
            if len(found) != len(shape) + 1 or any(a not in (None, b) for a, b in zip(found[1:], shape)):
                raise ValueError(
                    f"{type(self).__name__}: {name} is a layer with the output shape {found!r}, but the state has the "
                    f"shape {(None, *shape)!r}"
                )
            self._states.append((name, index, shape))
            return spec
        self._states.append((name, -1, shape))
        return self.add_param(spec, (1, *shape), name=name, trainable=self.learn_init, regularizable=False)

    def _incoming_index(self, name: str) -> int:
        return next(index for known, index, _ in self._states if known == name)

    def get_output_shape_for(self, input_shapes: Sequence[Shape]) -> Shape:
        batch, time = input_shapes[0][:2]
        state = self._states[-1][2]
        return (batch, *state) if self.only_return_final else (batch, time, *state)

    def prepare(self, input: Any, **kwargs: Any) -> Any:
        """Apply to ``(time, batch, ...)`` what does not depend on states; by default nothing."""
        return input

    def constants(self) -> list:
        """List the expressions that the step gets after the states, such as joined weights; by default none."""
        return []

    def step(self, input: Any, states: Sequence[Any], constants: Sequence[Any], **kwargs: Any) -> list:
        """Compute the states after a step; subclasses define this method.

        Parameters
        ----------
        input : expression
            ``(batch, ...)``, one time of what :meth:`prepare` returned.
        states : list of expressions
            The states before the step, ``(batch, ...)``.
        constants : list of expressions
            Those of :meth:`constants`.
        **kwargs
            The keyword arguments of :func:`get_output`.

        Returns
        -------
        list of expressions
            The states after it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(self, input, states, constants, **kwargs)")

    def clipped(self, activation: Any) -> Any:
        """Return an expression whose gradient is clipped to `grad_clipping`."""
        return grad_clip(activation, -self.grad_clipping, self.grad_clipping) if self.grad_clipping else activation

    @takes_arrays
    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        input = inputs[0]
        batch = input.static_shape[0] or input.shape[0]
        sequences = [self.prepare(input.dimshuffle(1, 0, *range(2, input.ndim)), **kwargs)]
        if self.mask_incoming_index > 0:
            sequences.append(inputs[self.mask_incoming_index].dimshuffle(1, 0))
        initial = [
            inputs[index] if index > 0 else T.zeros((batch, *shape), dtype=input.dtype) + getattr(self, name)[0]
            for name, index, shape in self._states
        ]
        hidden = self._run(sequences, initial, kwargs)[-1]
        if self.only_return_final:
            return hidden[-1]
        in_time = hidden[::-1] if self.backwards else hidden
        return in_time.dimshuffle(1, 0, *range(2, hidden.ndim))

    def _run(self, sequences: list, initial: list, kwargs: dict[str, Any]) -> list:
        """Repeat the step over the first axis; the states are stacked in the order of the steps."""
        masked = len(sequences) > 1
        number = len(initial)

        def one(input: Any, *rest: Any) -> list:
            mask, states, constants = (
                rest[0] if masked else None, list(rest[masked:][:number]), list(rest[masked:][number:])
            )  # fmt: skip
            after = self.step(input, states, constants, **kwargs)
            if mask is None:
                return after
            return [T.switch(T.neq(mask, 0).dimshuffle(0, *"x" * (b.ndim - 1)), a, b) for a, b in zip(after, states)]

        constants = self.constants()
        if self.unroll_scan:
            steps = self.input_shapes[0][1] or 0
            return unroll_scan(one, sequences, initial, constants, steps, go_backwards=self.backwards)
        found, _ = symc.scan(
            one,
            sequences=sequences,
            outputs_info=initial,
            non_sequences=constants,
            go_backwards=self.backwards,
            truncate_gradient=self.gradient_steps,
        )
        return list(found) if isinstance(found, list | tuple) else [found]
