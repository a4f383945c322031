"""Recurrent layers with gates: long short-term memory, gated recurrent units."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

from collections.abc import Callable, Sequence
from typing import Any

import symc.tensor as T

from .. import init, nonlinearities
from .recurrent_base import BaseRecurrentLayer

__all__ = ["GRULayer", "Gate", "LSTMLayer"]


class Gate:
    """The parameters and the nonlinearity of one gate of a recurrent layer.

    A gate computes ``nonlinearity(x_t W_in + h_{t-1} W_hid + c W_cell + b)`` from the input, the hidden state and, if
    it has peepholes, the cell state.

    Parameters
    ----------
    W_in : number, array, expression, shared variable or callable
        The weights of the input, ``(num_inputs, num_units)``.
    W_hid : number, array, expression, shared variable or callable
        The weights of the hidden state, ``(num_units, num_units)``.
    W_cell : number, array, expression, shared variable, callable or None
        The weights of the cell state, ``(num_units,)``. None for a gate that has none.
    b : number, array, expression, shared variable or callable
        The biases, ``(num_units,)``.
    nonlinearity : callable or None
        None for the identity.

    References
    ----------
    .. [1] Felix Gers, Nicol Schraudolph and Juergen Schmidhuber (2002): Learning precise timing with LSTM recurrent
           networks. Journal of Machine Learning Research 3.

    Examples
    --------
    >>> from lasagne_like.layers import Gate, InputLayer, LSTMLayer
    >>> from lasagne_like.init import Constant
    >>> LSTMLayer(InputLayer((None, 7, 3)), 5, forgetgate=Gate(b=Constant(1.0))).b_forgetgate.get_value()
    array([1., 1., 1., 1., 1.], dtype=float32)
    """

    def __init__(
        self,
        W_in: Any = init.Normal(0.1),
        W_hid: Any = init.Normal(0.1),
        W_cell: Any = init.Normal(0.1),
        b: Any = init.Constant(0.0),
        nonlinearity: Callable | None = nonlinearities.sigmoid,
    ):
        self.W_in = W_in
        self.W_hid = W_hid
        self.W_cell = W_cell
        self.b = b
        self.nonlinearity = nonlinearities.resolve(nonlinearity)


def _flat(input: Any, axes: int) -> Any:
    return input.flatten(axes) if input.ndim > axes else input


class _GatedLayer(BaseRecurrentLayer):
    """A recurrent layer of gates, whose products with inputs and hidden states are computed side by side."""

    def _set_gates(self, num_units: int, gates: dict[str, Any], order: Sequence[str]) -> None:
        """Create the parameters of the gates, in the order of `gates`; columns are joined in `order`."""
        for name, gate in gates.items():
            if not isinstance(gate, Gate):
                raise TypeError(
                    f"{type(self).__name__}: expected a Gate for {name!r}, got {gate!r}; "
                    "such as Gate(b=lasagne_like.init.Constant(1.0))"
                )
        self.num_units = num_units
        self._order = tuple(order)
        inputs = self._inputs_per_time()
        for name, gate in gates.items():
            setattr(self, f"W_in_to_{name}", self.add_param(gate.W_in, (inputs, num_units), name=f"W_in_to_{name}"))
            hidden = self.add_param(gate.W_hid, (num_units, num_units), name=f"W_hid_to_{name}")
            setattr(self, f"W_hid_to_{name}", hidden)
            setattr(self, f"b_{name}", self.add_param(gate.b, (num_units,), name=f"b_{name}", regularizable=False))
            setattr(self, f"nonlinearity_{name}", gate.nonlinearity)

    def _gate(self, name: str, W_cell: Any = None) -> Gate:
        """The gate as it is now: with the parameters of the layer."""
        return Gate(
            getattr(self, f"W_in_to_{name}"),
            getattr(self, f"W_hid_to_{name}"),
            W_cell,
            getattr(self, f"b_{name}"),
            getattr(self, f"nonlinearity_{name}"),
        )

    def _joined(self, what: str) -> Any:
        return T.concatenate([getattr(self, f"{what}_{name}") for name in self._order], axis=-1)

    def _slice(self, joined: Any, name: str) -> Any:
        start = self._order.index(name) * self.num_units
        return joined[:, start : start + self.num_units]

    def prepare(self, input: Any, **kwargs: Any) -> Any:
        input = _flat(input, 3) if input.ndim > 2 else input.dimshuffle(0, 1, "x")
        return T.dot(input, self._joined("W_in_to")) + self._joined("b") if self.precompute_input else input

    def constants(self) -> list:
        joined = [self._joined("W_hid_to")]
        return joined if self.precompute_input else [*joined, self._joined("W_in_to"), self._joined("b")]

    def _of_input(self, input: Any, constants: Sequence[Any]) -> Any:
        return input if self.precompute_input else T.dot(input, constants[1]) + constants[2]


class LSTMLayer(_GatedLayer):
    r"""A layer of long short-term memory.

    With the input :math:`x_t`, the hidden state :math:`h_t` and the cell state :math:`c_t`:

    .. math::

        i_t &= \sigma_i(x_t W_{xi} + h_{t-1} W_{hi} + w_{ci} \odot c_{t-1} + b_i) \\
        f_t &= \sigma_f(x_t W_{xf} + h_{t-1} W_{hf} + w_{cf} \odot c_{t-1} + b_f) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot \sigma_c(x_t W_{xc} + h_{t-1} W_{hc} + b_c) \\
        o_t &= \sigma_o(x_t W_{xo} + h_{t-1} W_{ho} + w_{co} \odot c_t + b_o) \\
        h_t &= o_t \odot \sigma_h(c_t)

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, time, ...)``.
    num_units : int
        The number of units.
    ingate, forgetgate, cell, outgate : Gate
        The parameters and nonlinearities of :math:`i`, :math:`f`, the new cell values, and :math:`o`.
    nonlinearity : callable or None
        :math:`\sigma_h`. None for the identity.
    cell_init, hid_init : Layer, number, array, expression, shared variable or callable
        The initial states: a layer ``(batch, num_units)``, or a parameter ``(1, num_units)``.
    backwards, learn_init, gradient_steps, grad_clipping, unroll_scan, precompute_input, mask_input, only_return_final
        See :class:`BaseRecurrentLayer`. `learn_init` concerns both states.
    peepholes : bool
        Whether the gates see the cell state (the terms with :math:`w_c`).
    **kwargs
        See :class:`Layer`.

    References
    ----------
    .. [1] Sepp Hochreiter and Juergen Schmidhuber (1997): Long short-term memory. Neural Computation 9(8).
    .. [2] Alex Graves (2013): Generating sequences with recurrent neural networks. arXiv:1308.0850.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, LSTMLayer
    >>> LSTMLayer(InputLayer((None, None, 8)), num_units=16).output_shape
    (None, None, 16)
    >>> LSTMLayer(InputLayer((None, 20, 8)), num_units=16, only_return_final=True).output_shape
    (None, 16)
    """

    W_cell_to_ingate: Any
    W_cell_to_forgetgate: Any
    W_cell_to_outgate: Any
    nonlinearity_ingate: Callable
    nonlinearity_forgetgate: Callable
    nonlinearity_cell: Callable
    nonlinearity_outgate: Callable

    def __init__(
        self,
        incoming: Any,
        num_units: int,
        ingate: Gate = Gate(),
        forgetgate: Gate = Gate(),
        cell: Gate = Gate(W_cell=None, nonlinearity=nonlinearities.tanh),
        outgate: Gate = Gate(),
        nonlinearity: Callable | None = nonlinearities.tanh,
        cell_init: Any = init.Constant(0.0),
        hid_init: Any = init.Constant(0.0),
        backwards: bool = False,
        learn_init: bool = False,
        peepholes: bool = True,
        gradient_steps: int = -1,
        grad_clipping: float = 0,
        unroll_scan: bool = False,
        precompute_input: bool = True,
        mask_input: Any = None,
        only_return_final: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            incoming, [hid_init, cell_init], backwards, learn_init, gradient_steps, grad_clipping, unroll_scan,
            precompute_input, mask_input, only_return_final, **kwargs,
        )  # fmt: skip
        self.nonlinearity = nonlinearities.resolve(nonlinearity)
        self.peepholes = peepholes
        gates = {"ingate": ingate, "forgetgate": forgetgate, "cell": cell, "outgate": outgate}
        self._set_gates(num_units, gates, tuple(gates))
        for name in ("ingate", "forgetgate", "outgate") if peepholes else ():
            if gates[name].W_cell is None:
                raise ValueError(f"LSTMLayer: {name} has W_cell=None; use peepholes=False, or give it weights")
            weights = self.add_param(gates[name].W_cell, (num_units,), name=f"W_cell_to_{name}")
            setattr(self, f"W_cell_to_{name}", weights)
        self.cell_init = self.add_state(cell_init, (num_units,), "cell_init")
        self.hid_init = self.add_state(hid_init, (num_units,), "hid_init")
        self.cell_init_incoming_index = self._incoming_index("cell_init")
        self.hid_init_incoming_index = self._incoming_index("hid_init")
        for name in gates:
            setattr(self, name, self._gate(name, getattr(self, f"W_cell_to_{name}", None)))

    def step(self, input: Any, states: Sequence[Any], constants: Sequence[Any], **kwargs: Any) -> list:
        cell, hidden = states
        gates = self.clipped(self._of_input(input, constants) + T.dot(hidden, constants[0]))
        ingate, forgetgate, update, outgate = (self._slice(gates, name) for name in self._order)
        if self.peepholes:
            ingate = ingate + cell * self.W_cell_to_ingate
            forgetgate = forgetgate + cell * self.W_cell_to_forgetgate
        ingate, forgetgate = self.nonlinearity_ingate(ingate), self.nonlinearity_forgetgate(forgetgate)
        cell = forgetgate * cell + ingate * self.nonlinearity_cell(update)
        if self.peepholes:
            outgate = outgate + cell * self.W_cell_to_outgate
        return [cell, self.nonlinearity_outgate(outgate) * self.nonlinearity(cell)]


class GRULayer(_GatedLayer):
    r"""A layer of gated recurrent units.

    With the input :math:`x_t` and the hidden state :math:`h_t`:

    .. math::

        r_t &= \sigma_r(x_t W_{xr} + h_{t-1} W_{hr} + b_r) \\
        u_t &= \sigma_u(x_t W_{xu} + h_{t-1} W_{hu} + b_u) \\
        c_t &= \sigma_c(x_t W_{xc} + r_t \odot (h_{t-1} W_{hc}) + b_c) \\
        h_t &= (1 - u_t) \odot h_{t-1} + u_t \odot c_t

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, time, ...)``.
    num_units : int
        The number of units.
    resetgate, updategate, hidden_update : Gate
        The parameters and nonlinearities of :math:`r`, :math:`u` and :math:`c`. `W_cell` is not used.
    hid_init : Layer, number, array, expression, shared variable or callable
        The initial state: a layer ``(batch, num_units)``, or a parameter ``(1, num_units)``.
    backwards, learn_init, gradient_steps, grad_clipping, unroll_scan, precompute_input, mask_input, only_return_final
        See :class:`BaseRecurrentLayer`.
    **kwargs
        See :class:`Layer`.

    Notes
    -----
    The reset gate is applied to the product with the hidden state, as in [2]_, so that one product serves all gates.

    References
    ----------
    .. [1] Kyunghyun Cho et al. (2014): On the properties of neural machine translation: encoder-decoder approaches.
           arXiv:1409.1259.
    .. [2] Junyoung Chung, Caglar Gulcehre, KyungHyun Cho and Yoshua Bengio (2014): Empirical evaluation of gated
           recurrent neural networks on sequence modeling. arXiv:1412.3555.

    Examples
    --------
    >>> from lasagne_like.layers import GRULayer, InputLayer
    >>> GRULayer(InputLayer((None, None, 8)), num_units=16).output_shape
    (None, None, 16)
    """

    nonlinearity_resetgate: Callable
    nonlinearity_updategate: Callable
    nonlinearity_hidden_update: Callable

    def __init__(
        self,
        incoming: Any,
        num_units: int,
        resetgate: Gate = Gate(W_cell=None),
        updategate: Gate = Gate(W_cell=None),
        hidden_update: Gate = Gate(W_cell=None, nonlinearity=nonlinearities.tanh),
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
        gates = {"updategate": updategate, "resetgate": resetgate, "hidden_update": hidden_update}
        self._set_gates(num_units, gates, ("resetgate", "updategate", "hidden_update"))
        self.hid_init = self.add_state(hid_init, (num_units,), "hid_init")
        self.hid_init_incoming_index = self._incoming_index("hid_init")
        for name in gates:
            setattr(self, name, self._gate(name))

    def step(self, input: Any, states: Sequence[Any], constants: Sequence[Any], **kwargs: Any) -> list:
        (hidden,) = states
        of_input = self.clipped(self._of_input(input, constants))
        of_hidden = self.clipped(T.dot(hidden, constants[0]))

        def total(name: str, factor: Any = 1) -> Any:
            return self._slice(of_input, name) + factor * self._slice(of_hidden, name)

        reset = self.nonlinearity_resetgate(total("resetgate"))
        update = self.nonlinearity_updategate(total("updategate"))
        new = self.nonlinearity_hidden_update(self.clipped(total("hidden_update", reset)))
        return [(1 - update) * hidden + update * new]
