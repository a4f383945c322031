"""Required equalities of lengths: the value is passed through, and a call in which lengths differ raises an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import Variable, dims
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = ["require_lengths"]


def _infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    x, *lengths = inputs
    for text, left, right in zip(op["texts"], lengths[::2], lengths[1::2]):
        require_equal(as_dim(left), as_dim(right), text, [x], op["repair"])
    return x.type


def _numpy(op: Op, x: np.ndarray, *lengths: np.ndarray) -> np.ndarray:
    for text, left, right in zip(op["texts"], lengths[::2], lengths[1::2]):
        if int(left) != int(right):
            raise ValueError(text)
    return x


REQUIRED = record(
    "require_lengths",
    partwise=True,
    infer=_infer,
    numpy=_numpy,
    grad=lambda op, inputs, outputs, gs: [gs[0], *[None] * (len(inputs) - 1)],
    specialise=lambda op, inputs, types: inputs[0],
    cases=lambda: [
        Case(
            lambda x, y: require_lengths(x, [(shape_i(x, 0), shape_i(y, 0), "differ")]) * 2,
            (Arg((2,)), Arg((2,))),
            lambda x, y: 2 * x,
        )
    ],
)


def require_lengths(x: Any, pairs: Sequence[tuple[Any, Any, str]], repair: str | None = None) -> Variable:
    """Require lengths to be equal, and return ``x``.

    Parameters
    ----------
    x : tensor_like
    pairs : sequence of (left, right, text)
        Integers or integer scalars that must be equal, and the message if they differ.
    repair : str, optional
        The likely repair, for the error message.

    Raises
    ------
    ShapeError
        If two are known to differ; values known only at call time are checked there.
    """
    x = as_tensor(x)
    open_pairs = []
    for left, right, text in pairs:
        require_equal(as_dim(left), as_dim(right), text, [x], repair)
        if dims.equal(as_dim(left), as_dim(right)) is not True:
            open_pairs.append((left, right, text))
    if not open_pairs:
        return x
    lengths = [as_tensor(v) for left, right, _ in open_pairs for v in (left, right)]
    return Op(REQUIRED, texts=tuple(text for *_, text in open_pairs), repair=repair)(x, *lengths)
