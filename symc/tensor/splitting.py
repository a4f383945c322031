"""``split``: a tensor cut into pieces along an axis."""

from __future__ import annotations

from typing import Any

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.requirements import require_lengths
from symc.tensor.shape_arguments import shape_entries
from symc.tensor.symbolic_dims import length

__all__ = ["split"]


def split(x: Any, splits_size: Any, n_splits: int | None = None, axis: int = 0) -> list[Variable]:
    """Split ``x`` along ``axis`` into pieces.

    Parameters
    ----------
    x : tensor_like
    splits_size : sequence of int or integer scalars, or integer vector
        The lengths of the pieces, which are non-negative and add up to the length of the axis.
    n_splits : int, optional
        The number of pieces; needed if ``splits_size`` is a vector of unknown length.
    axis : int

    Returns
    -------
    list of Variable

    Raises
    ------
    ShapeError
        If the lengths are known to be wrong; lengths known only at call time are checked there.
    """
    x = as_tensor(x)
    place = normalize_axis(axis, x.ndim, "split", x)
    sizes = shape_entries(splits_size, "split", n_splits if isinstance(splits_size, Variable) else None)
    if n_splits is not None and len(sizes) != n_splits:
        text = f"split: n_splits={n_splits} pieces wanted, {len(sizes)} lengths given in splits_size"
        raise ShapeError(located(text, [x], "leave n_splits out, or give one length per piece"))
    if not sizes:
        raise ValueError(located("split: no lengths are given", [x]))
    checks: list[tuple[Any, Any, str]] = [
        (ew.minimum(s, 0) if isinstance(s, Variable) else min(s, 0), 0, f"split: the length of piece {k} is negative")
        for k, s in enumerate(sizes)
    ]
    total = sum(sizes[1:], sizes[0])
    shown = sizes if all(isinstance(s, int) for s in sizes) else "given"
    checks.append((total, length(x, place), f"split: the lengths {shown} do not add up to axis {place}"))
    x = require_lengths(x, checks, "lengths must be 0 or more and add up to the length of the axis")
    pieces: list[Variable] = []
    start: Any = 0
    for s in sizes:
        pieces.append(x[(slice(None),) * place + (slice(start, start + s),)])
        start = start + s
    return pieces


explain_faults(globals())
