"""Layers that are applied to arrays by their user."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

import symc.tensor as T

__all__ = ["takes_arrays"]

Method = TypeVar("Method", bound=Callable)


def takes_arrays(method: Method) -> Method:
    """Let ``get_output_for`` of a layer take arrays: they become constants.

    :func:`get_output` passes expressions. A layer whose formula consists of functions and operators gives an array for
    an array and needs nothing; one that uses methods of expressions is decorated with this function.

    Parameters
    ----------
    method : callable
        ``get_output_for(self, input, ...)`` or ``get_output_for(self, inputs, ...)``.

    Returns
    -------
    callable
    """

    @wraps(method)
    def get_output_for(self: Any, input: Any, *args: Any, **kwargs: Any) -> Any:
        return method(self, _expressions(input), *args, **kwargs)

    return get_output_for  # type: ignore[return-value]


def _expressions(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_expressions(each) for each in value]
    return T.constant(value) if isinstance(value, np.ndarray) else value
