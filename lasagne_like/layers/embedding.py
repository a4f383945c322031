"""Embedding layers."""
# Initialisers never change, so they are safe as default arguments.
# ruff: noqa: B008

from typing import Any

from .. import init
from .arrays import takes_arrays
from .base import Layer

__all__ = ["EmbeddingLayer"]


class EmbeddingLayer(Layer):
    """An embedding layer, which maps integers to learned vectors.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape. The input must be of an integer dtype, with
        values from 0 to ``input_size - 1``.
    input_size : int
        The number of different integers.
    output_size : int
        The size of the vectors.
    W : array, expression, shared variable or callable
        The embedding matrix, ``(input_size, output_size)``.
    **kwargs
        See :class:`Layer`.

    Examples
    --------
    >>> import symc.tensor as T
    >>> from lasagne_like.layers import EmbeddingLayer, InputLayer
    >>> l_in = InputLayer((None, 3), input_var=T.imatrix())
    >>> EmbeddingLayer(l_in, input_size=7, output_size=5).output_shape
    (None, 3, 5)
    """

    input_dtype = "int32"

    def __init__(self, incoming: Any, input_size: int, output_size: int, W: Any = init.Normal(), **kwargs: Any):
        super().__init__(incoming, **kwargs)
        self.input_size = input_size
        self.output_size = output_size
        self.W = self.add_param(W, (input_size, output_size), name="W")

    @takes_arrays
    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        if input.dtype.startswith("float"):
            raise TypeError(
                f"{type(self).__name__} (name={self.name!r}) needs an input of an integer dtype, got {input.dtype}; "
                "pass an integer input_var to its InputLayer, such as T.imatrix()"
            )
        return self.W[input]
