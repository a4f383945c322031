"""Attention over sequences, and embeddings of positions."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

from collections.abc import Sequence
from typing import Any

import numpy as np

import symc.tensor as T

from .. import init
from ..utils import floatX
from .base import Layer, MergeLayer
from .inference import Shape

__all__ = ["MultiHeadAttentionLayer", "PositionalEmbeddingLayer"]


class MultiHeadAttentionLayer(MergeLayer):
    r"""A layer that looks up values by the similarity of queries and keys, in several ways at once.

    For each head, with queries :math:`Q = x W_q + b_q`, keys :math:`K = z W_k + b_k` and values
    :math:`V = z W_v + b_v` of `d` features each:

    .. math:: \operatorname{softmax}\left(\frac{Q K^T}{\sqrt{d}}\right) V

    The results of the heads are joined and multiplied by :math:`W_o`.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer :math:`x` of the queries, or the expected input shape ``(batch, time, features)``.
    memory : Layer or tuple, optional
        The layer :math:`z` of the keys and values, ``(batch, length, features)``; by default `incoming`
        (self-attention).
    num_heads : int
        The number of heads.
    num_units : int, optional
        The number of features of the output, a multiple of `num_heads`; by default that of `incoming`.
    mask_input : Layer, optional
        A layer ``(batch, length)``. What is 0 in it is not looked at. If an example has nothing to look at, its result
        is the mean of all values.
    causal : bool
        Whether a time sees only itself and those before it.
    W_query, W_key, W_value : number, array, expression, shared variable or callable
        The weights, ``(features, num_units)``.
    W_output : number, array, expression, shared variable or callable
        The weights of the output, ``(num_units, num_units)``.
    b_query, b_key, b_value, b_output : number, array, expression, shared variable, callable or None
        The biases, ``(num_units,)``. None for none.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If `num_units` is not a multiple of `num_heads`, or an input is not a sequence of known features.

    References
    ----------
    .. [1] Ashish Vaswani et al. (2017): Attention is all you need. Advances in Neural Information Processing Systems.
           arXiv:1706.03762.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, MultiHeadAttentionLayer
    >>> MultiHeadAttentionLayer(InputLayer((None, None, 64)), num_heads=4).output_shape
    (None, None, 64)
    """

    def __init__(
        self,
        incoming: Any,
        memory: Any = None,
        num_heads: int = 8,
        num_units: int | None = None,
        mask_input: Any = None,
        causal: bool = False,
        W_query: Any = init.GlorotUniform(),
        W_key: Any = init.GlorotUniform(),
        W_value: Any = init.GlorotUniform(),
        W_output: Any = init.GlorotUniform(),
        b_query: Any = init.Constant(0.0),
        b_key: Any = init.Constant(0.0),
        b_value: Any = init.Constant(0.0),
        b_output: Any = init.Constant(0.0),
        **kwargs: Any,
    ):
        more = [each for each in (memory, mask_input) if each is not None]
        super().__init__([incoming, *more], **kwargs)
        self.memory = memory
        self.mask_input = mask_input
        query, source = self.input_shapes[0], self.input_shapes[0 if memory is None else 1]
        for shape in (query, source):
            if len(shape) != 3 or shape[2] is None:
                raise ValueError(
                    f"MultiHeadAttentionLayer needs inputs (batch, time, features) of known features, got {shape!r}"
                )
        self.num_units = num_units or query[2]
        self.num_heads = num_heads
        if num_heads < 1 or self.num_units % num_heads:  # type: ignore[operator]
            raise ValueError(
                f"MultiHeadAttentionLayer: num_units={self.num_units} must be a multiple of num_heads={num_heads!r}"
            )
        if mask_input is not None and len(self.input_shapes[-1]) != 2:
            raise ValueError(
                f"MultiHeadAttentionLayer: mask_input must be (batch, length), got the shape {self.input_shapes[-1]!r}"
            )
        self.causal = causal
        for name, size, W, b in (
            ("query", query[2], W_query, b_query),
            ("key", source[2], W_key, b_key),
            ("value", source[2], W_value, b_value),
            ("output", self.num_units, W_output, b_output),
        ):
            setattr(self, f"W_{name}", self.add_param(W, (size, self.num_units), f"W_{name}"))
            bias = None if b is None else self.add_param(b, (self.num_units,), f"b_{name}", regularizable=False)
            setattr(self, f"b_{name}", bias)

    def get_output_shape_for(self, input_shapes: Sequence[Shape]) -> Shape:
        return (*input_shapes[0][:2], self.num_units)

    def _mapped(self, input: Any, name: str) -> Any:
        found = T.dot(input, getattr(self, f"W_{name}"))
        bias = getattr(self, f"b_{name}")
        return found if bias is None else found + bias

    def _heads(self, input: Any, name: str) -> Any:
        """``(batch, heads, time, features of a head)``."""
        batch, time = (own or input.shape[axis] for axis, own in enumerate(input.static_shape[:2]))
        shape = (batch, time, self.num_heads, self.num_units // self.num_heads)  # type: ignore[operator]
        return self._mapped(input, name).reshape(shape).dimshuffle(0, 2, 1, 3)

    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        source = inputs[0 if self.memory is None else 1]
        query, key, value = self._heads(inputs[0], "query"), self._heads(source, "key"), self._heads(source, "value")
        scores = T.matmul(query, key.dimshuffle(0, 1, 3, 2)) * floatX(query.static_shape[-1] ** -0.5)
        far = T.cast(-1e30 if scores.dtype != "float16" else -6e4, scores.dtype)
        if self.mask_input is not None:
            scores = T.switch(T.neq(inputs[-1], 0).dimshuffle(0, "x", "x", 1), scores, far)
        if self.causal:
            now, then = T.arange(scores.shape[2]), T.arange(scores.shape[3])
            scores = T.switch(
                T.ge(now.dimshuffle(0, "x"), then.dimshuffle("x", 0)).dimshuffle("x", "x", 0, 1), scores, far
            )
        found = T.matmul(T.nnet.softmax(scores), value).dimshuffle(0, 2, 1, 3)
        return self._mapped(found.flatten(3), "output")


class PositionalEmbeddingLayer(Layer):
    r"""A layer that adds to every time of a sequence a vector that stands for its position.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape ``(batch, time, features)``.
    max_length : int, optional
        The largest number of times, for trained vectors. Not needed for fixed ones.
    W : None, array, expression, shared variable or callable
        The trained vectors, ``(max_length, features)``. None for fixed vectors:
        :math:`\sin(t / 10000^{2 k / n})` and :math:`\cos(t / 10000^{2 k / n})` for feature `2 k` and `2 k + 1` of `n`.
    **kwargs
        See :class:`Layer`.

    Raises
    ------
    ValueError
        If the number of features is unknown, or if `W` is given without `max_length`.

    References
    ----------
    .. [1] Ashish Vaswani et al. (2017): Attention is all you need. arXiv:1706.03762.

    Examples
    --------
    >>> from lasagne_like.init import Normal
    >>> from lasagne_like.layers import InputLayer, PositionalEmbeddingLayer
    >>> PositionalEmbeddingLayer(InputLayer((None, 20, 64)), 20, W=Normal(0.02)).W.get_value().shape
    (20, 64)
    """

    def __init__(self, incoming: Any, max_length: int | None = None, W: Any = None, **kwargs: Any):
        super().__init__(incoming, **kwargs)
        shape = self.input_shape
        if len(shape) != 3 or shape[2] is None:
            raise ValueError(f"PositionalEmbeddingLayer needs an input (batch, time, features), got {shape!r}")
        self.max_length = max_length
        self.W = None
        if W is not None:
            if max_length is None:
                raise ValueError("PositionalEmbeddingLayer: trained vectors W need max_length, the number of them")
            if shape[1] is not None and shape[1] > max_length:
                raise ValueError(
                    f"PositionalEmbeddingLayer: the input has {shape[1]} times, but max_length is {max_length}"
                )
            self.W = self.add_param(W, (max_length, shape[2]), "W")

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        time = input.static_shape[1] or input.shape[1]
        if self.W is not None:
            return input + self.W[:time].dimshuffle("x", 0, 1)
        features = input.static_shape[2]
        k = np.arange(features)
        rates = floatX(10000.0 ** (-(k - k % 2) / features))
        shifts = floatX(np.where(k % 2, np.pi / 2, 0.0))  # a cosine is a shifted sine
        angles = T.cast(T.arange(time), input.dtype).dimshuffle(0, "x") * rates + shifts
        return input + T.sin(angles).dimshuffle("x", 0, 1)
