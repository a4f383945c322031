"""``set_subtensor`` and ``inc_subtensor``: replace or increment a part of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.errors import DTypeError, TypeMismatchError, located
from symc.graph import Constant, Variable, dims
from symc.graph.dtypes import BRAIN, is_complex, is_float, is_held, is_integer
from symc.graph.op import Op
from symc.graph.variables import Apply
from symc.tensor import elementwise as ew
from symc.tensor.axes import DIMSHUFFLE, dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.bfloat16 import packed, wide
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.complex_numbers.parts import held, parts, real_sources
from symc.tensor.indices.gathers import GATHER, SCATTER
from symc.tensor.indices.indexing import PARTS, advanced_subtensor1, read, subtensor
from symc.tensor.indices.selection import mask_of
from symc.tensor.indices.slices import SLICE, WRITE_SLICE
from symc.tensor.indices.stretching import stretch
from symc.tensor.reshaping import RESHAPE, reshape_like

__all__ = ["advanced_inc_subtensor", "advanced_inc_subtensor1", "inc_subtensor", "set_subtensor"]


def set_subtensor(x: Variable, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Variable:
    """Return the indexed tensor with the part ``x`` replaced by ``y``.

    Parameters
    ----------
    x : Variable
        An index expression such as ``a[1:3]``; it may be followed by transposes and reshapes.
    y : tensor_like
        Must broadcast to the shape of ``x``. As in NumPy, an axis whose length is 1 at call time is also broadcast.
    inplace, tolerate_inplace_aliasing : bool
        Have no effect: the compiler decides where memory is shared. Accepted for old programs.

    Returns
    -------
    Variable
        The shape and dtype of ``a``.

    Notes
    -----
    At repeated indices, the last write, in the order of the elements of ``y``, stays. Only it has a gradient.
    """
    return _write(x, y, True, "set_subtensor")


def inc_subtensor(
    x: Variable,
    y: Any,
    inplace: bool = False,
    set_instead_of_inc: bool = False,
    tolerate_inplace_aliasing: bool = False,
) -> Variable:
    """Return the indexed tensor with ``y`` added to the part ``x``.

    At repeated indices, all values are added. ``set_instead_of_inc=True`` means ``set_subtensor``. Other parameters and
    the result are those of ``set_subtensor``.
    """
    return _write(x, y, set_instead_of_inc, "inc_subtensor")


def advanced_inc_subtensor1(x: Any, y: Any, indices: Any) -> Variable:
    """``x`` with ``y`` added at ``x[indices]``, for a vector of integers."""
    return inc_subtensor(advanced_subtensor1(x, indices), y)


def advanced_inc_subtensor(x: Any, y: Any, *indices: Any) -> Variable:
    """``x`` with ``y`` added at ``x[indices]``."""
    return inc_subtensor(subtensor(x, indices), y)


def _write(part: Variable, y: Any, replace: bool, what: str) -> Variable:
    wrong = f"{what}: the first argument must be an indexing such as a[1:3]"
    if not isinstance(part, Variable):
        raise TypeError(located(f"{wrong}, got {part!r}"))
    if part.indexed is not None:
        part = read(*part.indexed)
    steps = _steps_to(real_sources(part)[0] if is_held(part.dtype) else part)
    if not steps or steps[-1].op.record not in (SLICE, GATHER):
        raise TypeError(located(wrong, [part], "write x[:], or x[i] of the tensor to change"))
    y = _of_dtype(as_tensor(y), part, what)
    if part.dtype == BRAIN:
        return packed(_write(wide(part), wide(y), replace, what))
    if is_complex(part.dtype):
        return held(*(_write(p, v, replace, what) for p, v in zip(parts(part), parts(y))))
    if y.ndim > part.ndim:
        raise TypeMismatchError(located(f"{what}: the value has more axes than the part it is written to", [part, y]))
    mask = _selecting(steps, y)
    if mask is not None:
        x = steps[0].inputs[0]
        y = stretch(what, broadcast_like(y, x), x)
        return ew.switch(mask, y if replace else x + y, x)
    return _through(steps, stretch(what, broadcast_like(y, part), part), replace)


def _selecting(steps: list[Apply], y: Variable) -> Variable | None:
    """The mask of the elements that are written, lined up with the tensor, if each takes the same of ``y``.

    Then nothing needs to be counted: the result is a choice between two values.
    """
    node, x = steps[0], steps[0].inputs[0]
    if len(steps) > 1 or node.op.record is not GATHER:
        return None
    axes, place = node.op["axes"], node.op["place"]
    behind = x.ndim - place - len(axes)
    mask = mask_of(node.inputs[1:])
    if mask is None or y.ndim > behind or tuple(axes) != tuple(range(place, place + len(axes))):
        return None
    if not dims.same_shape(mask.type.shape, [x.type.shape[a] for a in axes]):
        return None
    return dimshuffle(mask, ["x"] * place + list(range(mask.ndim)) + ["x"] * behind)


def _of_dtype(y: Variable, part: Variable, what: str) -> Variable:
    """Convert the value to the dtype of the part, if no fraction and no known number is lost."""
    dtype = part.dtype
    if is_float(dtype) or is_complex(dtype) or y.dtype == dtype:
        return ew.cast(y, dtype)
    if isinstance(y, Constant):
        with np.errstate(all="ignore"):
            fits = np.array_equal(y.data.astype(dtype), y.data)
    else:
        fits = not is_float(y.dtype) and (dtype != "bool" or is_integer(y.dtype))
    if not fits:
        text = f"{what}: a value of dtype {y.dtype} cannot be written into a tensor of dtype {dtype} without a loss"
        raise DTypeError(located(text, [part, y], "cast the value, or the tensor before it is indexed"))
    return ew.cast(y, dtype)


def _steps_to(part: Variable) -> list[Apply]:
    """The applications of the last index expression that ``part`` was computed by, outermost first.

    An index expression begins with a slice, or with a gather from a tensor that is not itself indexed or rearranged.
    """
    steps: list[Apply] = []
    v = part
    while v.owner is not None and v.owner.op.record in PARTS:
        steps.append(v.owner)
        v = v.owner.inputs[0]
        if steps[-1].op.record is SLICE:
            break
    return steps


def _through(steps: list[Apply], value: Variable, replace: bool) -> Variable:
    """Write ``value`` through the steps, from the last one back to the indexed tensor."""
    for node in steps:
        source = node.inputs[0]
        if node.op.record is DIMSHUFFLE:
            order = node.op["order"]
            value = dimshuffle(value, [order.index(a) if a in order else "x" for a in range(source.ndim)])
        elif node.op.record is RESHAPE:
            value = reshape_like(value, source)
        else:
            primitive = WRITE_SLICE if node.op.record is SLICE else SCATTER
            value = Op(primitive, **node.op.attrs, replace=replace)(source, value, *node.inputs[1:])
            replace = True
    return value
