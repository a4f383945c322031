"""The input layer of a network."""

from collections.abc import Iterable, Sequence
from typing import Any

import symc
import symc.tensor as T

from ..utils import int_types
from .base import Layer
from .inference import OutputType, Shape

__all__ = ["InputLayer"]


class InputLayer(Layer):
    """The input layer, which represents a symbolic variable.

    Parameters
    ----------
    shape : tuple of (int or None)
        The shape of the input; None for sizes that may vary, such as the batch size.
    input_var : expression, optional
        The variable or expression to use as input. By default a new variable of dtype ``symc.config.floatX``.
    name : str, optional
        The name of the layer; a new variable is named ``'name.input'``.

    Raises
    ------
    ValueError
        If a size is not positive, or the number of axes of `input_var` is not the length of `shape`.

    Notes
    -----
    The first axis is usually the batch. The output of the layer is ``specify_shape(input_var, shape)``: the sizes in
    `shape` are known to all layers and to the compiler, and are checked when a function is called. In programs that
    run through :mod:`symc.compat` they are advice, as in Lasagne.

    Examples
    --------
    >>> InputLayer((100, 20)).output_shape
    (100, 20)
    """

    def __init__(self, shape: Sequence[int | None], input_var: Any = None, name: str | None = None, **kwargs: Any):
        super().__init__((), name, **kwargs)
        if not isinstance(shape, Iterable) or not all(size is None or isinstance(size, int_types) for size in shape):
            raise TypeError(
                f"InputLayer: shape={shape!r}: expected a tuple with a size (or None) for each axis, such as "
                "(None, 3, 160, 160) for pictures or (None, 20) for vectors"
            )
        self.shape: Shape = tuple(shape)
        if any(size is not None and size <= 0 for size in self.shape):
            raise ValueError(
                "Cannot create InputLayer with a non-positive shape dimension. "
                f"shape={self.shape!r}, self.name={name!r}"
            )
        self._dtype_given = input_var is not None
        if input_var is None:
            sizes = [n if n == 1 else None for n in self.shape] if symc.compat.installed() else self.shape
            input_var = T.tensor(symc.config.floatX, shape=sizes, name=f"{name}.input" if name else "input")
        elif input_var.ndim != len(self.shape):
            raise ValueError(
                f"shape has {len(self.shape)} dimensions, but variable has {input_var.ndim}: "
                f"shape={self.shape!r}, input_var={input_var!r}"
            )
        self.input_var = input_var

    def _incomings(self, incoming: Any) -> Sequence:
        return ()

    def _output_type(self) -> OutputType:
        return OutputType(self.shape, self.input_var.dtype, self._dtype_given)

    def get_output_shape_for(self, input_shape: Shape) -> Shape:
        return input_shape
