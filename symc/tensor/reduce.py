"""Reductions: six primitives (``sum``, ``prod``, ``max``, ``min``, ``any``, ``all``) and functions built on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.errors import ShapeError, blamed, located
from symc.graph import Constant, Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import as_dtype, computing, floating, is_complex, is_float, is_integer
from symc.graph.gradient_flow import Reach, Selected
from symc.graph.guards import Guard, state_guard
from symc.graph.op import Arg, Case, Op, Reduction, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.broadcasting import any, restore, sum
from symc.tensor.indices.positions import iota
from symc.tensor.keywords import also_named
from symc.tensor.recurrence import product_of_others
from symc.tensor.reduction_records import (
    Axis,
    accumulated,
    checked_accumulator,
    logic_cases,
    normalize_axes,
    oracle_of,
    reduce_over,
    reduced_type,
    reduction_cases,
    reduction_reach,
    with_axes_kept,
)
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "all", "any", "argmax", "argmin", "max", "max_and_argmax", "mean", "min", "prod", "ptp", "std", "sum",
    "var",
]  # fmt: skip


def _infer_extreme(op: Op, inputs: Sequence[Variable]) -> TensorType:
    """Infer the type of an extremum, and require that no reduced axis is empty."""
    (x,) = inputs
    for k in op["axes"]:
        least = dims.minimum(x.type.shape[k], 1)
        if dims.equal(least, 1) is not True:
            text = f"{op.name}: axis {k} has no elements, so there is no {op.name}"
            state_guard(Guard(least, 1, partial(located, text, [x]), blamed()))
    return reduced_type(op, inputs)


def _prod_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    (x,), axes = inputs, op["axes"]
    if not is_float(x.dtype):
        return [restore(gs[0], x, axes) * product_of_others(ew.cast(x, gs[0].dtype), axes)]
    return [restore(ew.cast(gs[0], x.dtype), x, axes) * product_of_others(x, axes)]


def _extreme_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    (x,), axes = inputs, op["axes"]
    return [Selected(ew.eq(restore(outputs[0], x, axes), x), restore(gs[0], x, axes))]


def _lowest(dtype: str) -> Any:
    return -np.inf if is_float(dtype) else np.iinfo(dtype).min if is_integer(dtype) else False


def _highest(dtype: str) -> Any:
    return np.inf if is_float(dtype) else np.iinfo(dtype).max if is_integer(dtype) else True


@also_named(input="x")
def prod(
    x: Any,
    axis: Axis = None,
    dtype: str | None = None,
    keepdims: bool = False,
    acc_dtype: str | None = None,
    no_zeros_in_input: bool = False,
) -> Variable:
    """Product over ``axis`` (None: all); derivatives of every order are exact at zeros. Dtypes as for ``sum``.

    ``no_zeros_in_input``, a hint in Theano, has no effect.
    """
    return accumulated(PROD, x, axis, dtype, keepdims, acc_dtype)


PROD = record(
    "prod",
    infer=reduced_type,
    numpy=oracle_of(np.prod, True),
    grad=_prod_grad,
    reach=Reach(reduction_reach),
    bounded_slope=True,
    lower=Reduction("mul", lambda dtype: 1),
    nonnegative="all",
    cases=reduction_cases(lambda x, **k: prod(x, **k), np.prod, 0.3),
)
MAX = record(
    "max",
    infer=_infer_extreme,
    numpy=oracle_of(np.max, False),
    grad=_extreme_grad,
    reach=Reach(reduction_reach),
    linear="jointly",
    lower=Reduction("max", _lowest),
    nonnegative="all",
    cases=reduction_cases(lambda x, **k: max(x, **k), np.max, distinct=True),
)
MIN = record(
    "min",
    infer=_infer_extreme,
    numpy=oracle_of(np.min, False),
    grad=_extreme_grad,
    reach=Reach(reduction_reach),
    linear="jointly",
    lower=Reduction("min", _highest),
    nonnegative="all",
    cases=reduction_cases(lambda x, **k: min(x, **k), np.min, distinct=True),
)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Whether all elements along ``axis`` are true."""
    return reduce_over(ALL, ew.cast(x, "bool"), axis, keepdims, None)


ALL = record(
    "all",
    infer=reduced_type,
    numpy=oracle_of(np.all, False),
    lower=Reduction("and", lambda dtype: True),
    cases=logic_cases(lambda x, **k: all(x, **k), np.all),
)


def _check_not_empty(x: Variable, axis: Axis, what: str) -> None:
    for k in normalize_axes(axis, x, what):
        if x.type.shape[k] == 0 and type(x.type.shape[k]) is int:
            raise ShapeError(located(f"{what}: axis {k} has no elements, so there is no {what}", [x]))


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Largest element over ``axis`` (None: all); NaN if there is one."""
    x = as_tensor(x)
    _check_not_empty(x, axis, "max")
    return reduce_over(MAX, x, axis, keepdims, None)


def largest(x: Variable, axis: Axis) -> Variable:
    """Largest element over ``axis``, kept with length 1; unlike ``max``, without a check for empty axes."""
    return reduce_over(MAX, x, axis, True, None)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Smallest element over ``axis`` (None: all); NaN if there is one."""
    x = as_tensor(x)
    _check_not_empty(x, axis, "min")
    return reduce_over(MIN, x, axis, keepdims, None)


def count(x: Variable, axes: Sequence[int], dtype: str) -> Variable:
    """The number of elements that a reduction of ``x`` over ``axes`` combines, as a scalar of ``dtype``."""
    known = dims.product(x.type.shape[k] for k in axes)
    if type(known) is int:
        return Constant(known, dtype)
    total: Variable | None = None
    for k in axes:
        n = ew.cast(shape_i(x, k), dtype)
        total = n if total is None else total * n
    assert total is not None
    return total


@also_named(input="x")
def mean(
    x: Any,
    axis: Axis = None,
    dtype: str | None = None,
    keepdims: bool = False,
    acc_dtype: str | None = None,
    op: bool = False,
) -> Variable:
    """Arithmetic mean over ``axis``, in a float dtype; ``acc_dtype``, also a float dtype, is that of the sum.

    ``op``, the choice of an implementation in Theano, has no effect.
    """
    x = as_tensor(x)
    dtype = floating(as_dtype(dtype) if dtype else x.dtype)
    acc_dtype = computing(dtype) if acc_dtype is None else checked_accumulator("mean", x, acc_dtype)
    if as_dtype(acc_dtype) != dtype:  # float16 could not hold the sum, nor the number of its terms
        return ew.cast(mean(x, axis, floating(as_dtype(acc_dtype)), keepdims), dtype)
    x = ew.cast(x, dtype)
    axes = normalize_axes(axis, x, "mean")
    return sum(x, axes, keepdims=keepdims) / count(x, axes, dtype)


def _variance_oracle(op: Op, x: np.ndarray) -> np.ndarray:
    count_ = int(np.prod([x.shape[k] for k in op["axes"]], dtype=int))
    with np.errstate(all="ignore"):
        wide = x.astype("float64")
        squares = np.square(wide - np.mean(wide, axis=op["axes"], keepdims=True)).sum(axis=op["axes"])
        return np.asarray(squares / np.float64(np.maximum(count_ - op["ddof"], 0))).astype(x.dtype)


def _degrees(x: Variable, axes: Sequence[int], dtype: str, ddof: int) -> Variable:
    """The number of elements less ``ddof``, at least 0 as in NumPy."""
    n = count(x, axes, dtype)
    return ew.maximum(n - ddof, 0) if ddof > 0 else n - ddof


def _variance_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    """d var / d x = 2 (x - mean) / (n - ddof)."""
    (x,), axes = inputs, op["axes"]
    dtype = computing(x.dtype)
    wide = ew.cast(x, dtype)
    scaled = restore(ew.cast(gs[0], dtype), wide, axes) * 2 / _degrees(wide, axes, dtype, op["ddof"])
    return [ew.cast(scaled * (wide - mean(wide, axes, keepdims=True)), x.dtype)]


def _variance_decompose(op: Op, inputs: Sequence[Variable]) -> list[Variable]:
    """For float64: mean first, then squared distances. For float32: sums of x and x ** 2 in one pass, in float64.

    The float64 difference of the two sums has more correct digits than float32, up to means of a million deviations.
    """
    (x,), axes = inputs, op["axes"]
    n, degrees = count(x, axes, "float64"), _degrees(x, axes, "float64", op["ddof"])
    if x.dtype == "float64":
        squares = sum(ew.sqr(x - mean(x, axes, keepdims=True)), axes)
        return [squares / degrees]
    wide = ew.cast(x, "float64")
    total = sum(wide, axes)
    squares = sum(ew.sqr(wide), axes)
    centred = ew.maximum(squares - ew.sqr(total) / n, 0)
    return [ew.cast(centred / degrees, x.dtype)]


@also_named(input="x")
def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Variable:
    """Variance over ``axis``: the sum of squared distances from the mean, divided by ``n - ddof``.

    That of complex numbers is real.

    ``corrected`` has no effect: the result is always as accurate as that of the two-pass algorithm.
    """
    x = as_tensor(x)
    x = ew.cast(x, floating(x.dtype))
    axes = normalize_axes(axis, x, "var")
    if is_complex(x.dtype):
        squares = ew.sqr(ew.abs_(x - mean(x, axes, keepdims=True)))
        return sum(squares, axes, keepdims=keepdims) / _degrees(x, axes, squares.dtype, ddof)
    out = Op(_variance, axes=axes, ddof=ddof)(x)
    return with_axes_kept(out, x, axes) if keepdims else out


_variance = record(
    "var",
    infer=reduced_type,
    numpy=_variance_oracle,
    grad=_variance_grad,
    reach=Reach(reduction_reach),
    bounded_slope=True,
    decompose=_variance_decompose,
    cases=lambda: [
        *reduction_cases(lambda x, **k: var(x, **k), np.var)(),
        Case(
            lambda x: var(x, axis=0, ddof=1),
            (Arg((5, 3)),),
            expect=lambda x: np.var(x.astype("float64"), axis=0, ddof=1),
        ),
        Case(
            lambda x: var(x),
            (Arg((1000,), low=99.0, high=101.0),),
            lambda x: np.var(x.astype("float64")),
            grad=False,
            label="mean of many deviations",
            rtol=1e-4,
        ),
    ],
)


@also_named(input="x")
def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Variable:
    """Standard deviation over ``axis``: the square root of ``var``."""
    return ew.sqrt(var(x, axis, ddof, keepdims))


@also_named(a="x")
def ptp(x: Any, axis: Axis = None) -> Variable:
    """Largest minus smallest element over ``axis``."""
    return max(x, axis) - min(x, axis)


# --- positions ----------------------------------------------------------------------------------------------------


def _position(x: Variable, best: Variable, axis: int) -> Variable:
    """The first position along ``axis`` where ``x`` equals ``best`` (or is NaN if ``best`` is)."""
    here = ew.eq(x, restore(best, x, (axis,)))
    if is_float(x.dtype):
        here = here | ew.isnan(x)
    return reduce_over(MIN, ew.switch(here, iota(x, axis), np.iinfo("int64").max), (axis,), False, None)


def _arg(x: Any, axis: Axis, keepdims: bool, extreme: Callable[..., Variable], what: str) -> Variable:
    x = as_tensor(x)
    if axis is None:
        flat = x.flatten() if x.ndim != 1 else x
        out = _position(flat, extreme(flat, 0), 0)
        return dimshuffle(out, ["x"] * x.ndim) if keepdims else out
    axes = normalize_axes(axis, x, what)
    rest = [k for k in range(x.ndim) if k not in axes]
    lined_up = x if len(axes) == 1 else dimshuffle(x, [*rest, *axes]).flatten(len(rest) + 1)
    k = axes[0] if len(axes) == 1 else len(rest)
    out = _position(lined_up, extreme(lined_up, k), k)
    return with_axes_kept(out, x, axes) if keepdims else out


def argmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Index (int64) of the largest element along ``axis``, the first of equal ones.

    ``axis=None`` means ``x`` flattened; several axes are treated as one flattened axis.
    """
    return _arg(x, axis, keepdims, max, "argmax")


def argmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Index (int64) of the smallest element along ``axis``, the first of equal ones; ``axis`` as for ``argmax``."""
    return _arg(x, axis, keepdims, min, "argmin")


@also_named(a="x")
def max_and_argmax(x: Any, axis: Axis = None, keepdims: bool = False) -> list[Variable]:
    """``[max(x, axis), argmax(x, axis)]``."""
    return [max(x, axis, keepdims), argmax(x, axis, keepdims)]


explain_faults(globals())
