"""The arguments of random draws: sizes, dtypes, parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import DTypeError, ShapeError, located
from symc.graph import Constant, Variable
from symc.graph.dtypes import FLOATS, as_dtype
from symc.tensor import elementwise as ew
from symc.tensor.basic import constant
from symc.tensor.options import integer
from symc.tensor.requirements import require_lengths
from symc.tensor.shape_arguments import shape_entries
from symc.tensor.symbolic_dims import shape_i

__all__ = ["check_probabilities", "counts", "float_dtype", "is_number", "of_shape", "shape_of"]


def float_dtype(dtype: str | None, what: str) -> str:
    found = as_dtype(config.floatX if dtype is None else dtype)
    if found not in FLOATS:
        raise DTypeError(
            f"{what}: dtype must be float16, float32 or float64, got {found}; cast the result, or use random_integers"
        )
    return found


def is_number(value: Any, number: int) -> bool:
    if isinstance(value, Constant) and value.ndim == 0:
        value = value.data.item()
    return isinstance(value, (int, np.integer)) and value == number


def counts(values: Sequence[Any], what: str) -> list[Any]:
    """Check shape entries: non-negative integers, or integer scalars."""
    entries = shape_entries(list(values), what)
    for e in entries:
        if isinstance(e, int) and e < 0:
            raise ValueError(f"{what} cannot be negative, got {e}")
    return list(entries)


def of_shape(drawn: Variable, shape: Sequence[Any], what: str, parameters: Sequence[Variable]) -> Variable:
    """Require ``drawn`` to have ``shape``: parameters are broadcast to it, but it is not broadcast to them."""
    if drawn.ndim != len(shape):
        text = f"{what}: the parameters have more axes than the size, which has {len(shape)}"
        raise ShapeError(located(text, parameters, "give a size of the shape in which the parameters meet, or none"))
    text = f"{what}: the parameters do not fit the size on axis"
    pairs = [(shape_i(drawn, k), n, f"{text} {k}") for k, n in enumerate(shape)]
    return require_lengths(drawn, pairs, "the parameters must broadcast to the size")


def check_probabilities(p: Variable, what: str) -> None:
    if isinstance(p, Constant) and not (np.all(p.data >= 0) and np.all(p.data <= 1)):
        raise ValueError(f"{what}: p must be a probability from 0 to 1, got {p.data}")


def shape_of(size: Any, ndim: int | None, what: str, parameters: Sequence[Variable]) -> list[Any]:
    """Convert ``size`` to integers and integer scalars; None means the broadcast shape of the parameters."""
    if ndim is not None:
        ndim = integer(what, "ndim", ndim, parameters, least=0)
    if size is not None:
        entries = list(shape_entries(size, what, ndim))
        for e in entries:
            if isinstance(e, int) and e < 0:
                raise ValueError(f"{what}: a dim cannot be negative, got {e}")
        return entries
    meeting = parameters[0] if parameters else constant(0)
    for other in parameters[1:]:
        meeting = ew.add(meeting, other)
    if ndim is not None and meeting.ndim != ndim:
        raise ShapeError(located(f"{what}: ndim={ndim}, but without a size the result has {meeting.ndim}", parameters))
    return [shape_i(meeting, k) for k in range(meeting.ndim)]
