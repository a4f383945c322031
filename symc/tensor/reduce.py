"""Reductions: six primitives (``sum``, ``prod``, ``max``, ``min``, ``any``, ``all``) and what is built from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.errors import ShapeError, located
from symc.graph import Variable, dims
from symc.graph.dtypes import as_dtype, floating, is_float, is_integer
from symc.graph.gradient_flow import Reach, Selected
from symc.graph.guards import require_equal
from symc.graph.op import Arg, Case, Indexed, Op, Reduction, record
from symc.graph.types import TensorType
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.broadcasting import broadcast_like
from symc.tensor.symbolic_dims import shape_i

__all__ = [
    "all", "any", "argmax", "argmin", "iota", "max", "max_and_argmax", "mean", "min", "prod", "ptp", "std", "sum",
    "var",
]  # fmt: skip

Axis = Any


def normalize_axes(axis: Axis, x: Variable, what: str) -> tuple[int, ...]:
    """``axis`` (None, a whole number or a sequence of them) as a sorted tuple counted from the front."""
    if axis is None:
        return tuple(range(x.ndim))
    entries = axis if isinstance(axis, (tuple, list)) else [axis]
    found = sorted(normalize_axis(a, x.ndim, what, x) for a in entries)
    if len(set(found)) != len(found):
        raise ShapeError(located(f"{what}: an axis is given twice in {tuple(entries)}", [x]))
    return tuple(found)


def _infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (x,) = inputs
    return TensorType(op.attrs.get("dtype") or x.dtype, [d for k, d in enumerate(x.type.shape) if k not in op["axes"]])


def _infer_extreme(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (x,) = inputs
    for k in op["axes"]:
        dim = x.type.shape[k]
        if type(dim) is not int:
            what = f"{op.name}: axis {k} has no elements, so there is no {op.name}"
            require_equal(dims.minimum(dim, 1), 1, what, [x])
    return _infer(op, inputs)


def restore(g: Variable, x: Variable, axes: Sequence[int]) -> Variable:
    """A reduction's result (or its gradient) repeated along the reduced ``axes`` to the shape of ``x``."""
    kept = iter(range(g.ndim))
    return broadcast_like(dimshuffle(g, ["x" if k in axes else next(kept) for k in range(x.ndim)]), x)


def reduction_reach(op: Op, inputs: Sequence[Variable], outputs: Any, counts: Variable) -> list[Variable]:
    """The elements that are reduced to one all count where that does."""
    return [_kept(counts, inputs[0], op["axes"])]


def _oracle(function: Callable[..., Any], wide: bool) -> Callable[..., np.ndarray]:
    def oracle(op: Op, x: np.ndarray) -> np.ndarray:
        dtype = op.attrs.get("dtype") or x.dtype.name
        with np.errstate(all="ignore"):
            if wide and is_float(dtype):
                return np.asarray(function(x.astype("float64"), axis=op["axes"])).astype(dtype)
            return np.asarray(function(x.astype(dtype), axis=op["axes"])).astype(dtype)

    return oracle


def _reduction_cases(
    function: Callable[..., Variable], oracle: Callable[..., Any], low: float = -2, distinct: bool = False
) -> Callable[[], list[Case]]:
    def wide(x: np.ndarray, **options: Any) -> Any:
        return oracle(x.astype("float64") if x.dtype.kind == "f" else x, **options)

    def cases() -> list[Case]:
        shapes = [
            ((3, 4), 1),
            ((3, 4), 0),
            ((2, 3, 5), (0, 2)),
            ((2, 3, 5), 1),
            ((2, 3, 4), None),
            ((40, 33), 0),
            ((3, 70), 1),
            ((5,), 0),
        ]
        made = [
            Case(
                lambda x, axis=axis: function(x, axis=axis),
                (Arg(shape, low=low, distinct=distinct),),
                lambda x, axis=axis: wide(x, axis=axis),
                grad=bool(np.prod(shape) < 50),
            )
            for shape, axis in shapes
        ]
        made.append(
            Case(
                lambda x: function(x, axis=1, keepdims=True),
                (Arg((3, 4), low=low, distinct=distinct),),
                lambda x: wide(x, axis=1, keepdims=True),
            )
        )
        special = Arg((2, 3), values=[1, np.nan, np.inf, 2, 3, -np.inf])
        made += [
            Case(lambda x: function(x, axis=0), (arg,), lambda x: wide(x, axis=0), grad=False)
            for arg in (Arg((3, 4), "int32", -5, 5), special)
        ]
        return made

    return cases


def _sum_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Any]:
    (x,) = inputs
    return [restore(ew.cast(gs[0], x.dtype) if is_float(x.dtype) else gs[0], x, op["axes"])]


def _prod_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    from symc.tensor.recurrence import product_of_others

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


_sum = record(
    "sum",
    infer=_infer,
    numpy=_oracle(np.sum, True),
    grad=_sum_grad,
    reach=Reach(reduction_reach),
    linear="jointly",
    lower=Reduction("add", lambda dtype: 0),
    nonnegative="all",
    cases=_reduction_cases(lambda x, **k: sum(x, **k), np.sum),
)
_prod = record(
    "prod",
    infer=_infer,
    numpy=_oracle(np.prod, True),
    grad=_prod_grad,
    reach=Reach(reduction_reach),
    bounded_slope=True,
    lower=Reduction("mul", lambda dtype: 1),
    nonnegative="all",
    cases=_reduction_cases(lambda x, **k: prod(x, **k), np.prod, 0.3),
)
_max = record(
    "max",
    infer=_infer_extreme,
    numpy=_oracle(np.max, False),
    grad=_extreme_grad,
    reach=Reach(reduction_reach),
    linear="jointly",
    lower=Reduction("max", _lowest),
    nonnegative="all",
    cases=_reduction_cases(lambda x, **k: max(x, **k), np.max, distinct=True),
)
_min = record(
    "min",
    infer=_infer_extreme,
    numpy=_oracle(np.min, False),
    grad=_extreme_grad,
    reach=Reach(reduction_reach),
    linear="jointly",
    lower=Reduction("min", _highest),
    nonnegative="all",
    cases=_reduction_cases(lambda x, **k: min(x, **k), np.min, distinct=True),
)


def _logic_cases(function: Callable[..., Variable], oracle: Callable[..., Any]) -> Callable[[], list[Case]]:
    return lambda: [
        Case(lambda x: function(x, axis=1), (Arg((4, 3), "bool"),), lambda x: oracle(x, axis=1), grad=False),
        Case(lambda x: function(x), (Arg((40,), "bool"),), oracle, grad=False),
    ]


_any = record(
    "any",
    infer=_infer,
    numpy=_oracle(np.any, False),
    lower=Reduction("or", lambda dtype: False),
    cases=_logic_cases(lambda x, **k: any(x, **k), np.any),
)
_all = record(
    "all",
    infer=_infer,
    numpy=_oracle(np.all, False),
    lower=Reduction("and", lambda dtype: True),
    cases=_logic_cases(lambda x, **k: all(x, **k), np.all),
)


def _reduce(kind: Any, x: Any, axis: Axis, keepdims: bool, dtype: str | None) -> Variable:
    x = as_tensor(x)
    axes = normalize_axes(axis, x, kind.name)
    out = Op(kind, axes=axes, dtype=dtype)(ew.cast(x, dtype) if dtype else x)
    return _kept(out, x, axes) if keepdims else out


def _kept(out: Variable, x: Variable, axes: Sequence[int]) -> Variable:
    remaining = iter(range(out.ndim))
    return dimshuffle(out, ["x" if k in axes else next(remaining) for k in range(x.ndim)])


def _accumulator(x: Variable, dtype: str | None) -> str | None:
    if dtype is not None:
        return as_dtype(dtype)
    if x.dtype == "bool" or x.dtype.startswith("int"):
        return "int64" if x.dtype != "int64" else None
    return "uint64" if x.dtype.startswith("uint") and x.dtype != "uint64" else None


def _accumulated(kind: Any, x: Any, axis: Axis, dtype: str | None, keepdims: bool, acc_dtype: str | None) -> Variable:
    """A sum or product in ``dtype``, worked out in ``acc_dtype`` where that is given."""
    x = as_tensor(x)
    wanted = _accumulator(x, dtype)
    if acc_dtype is None:
        return _reduce(kind, x, axis, keepdims, wanted)
    return ew.cast(_reduce(kind, x, axis, keepdims, as_dtype(acc_dtype)), wanted or x.dtype)


def sum(
    x: Any, axis: Axis = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: str | None = None
) -> Variable:
    """Sum over ``axis`` (None: all).

    Integers narrower than 64 bits are added up in 64, unless ``dtype`` names another. ``acc_dtype`` is the dtype in
    which elements are added up before the result is converted.
    """
    return _accumulated(_sum, x, axis, dtype, keepdims, acc_dtype)


def prod(
    x: Any, axis: Axis = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: str | None = None
) -> Variable:
    """Product over ``axis``; its derivatives of every order are right at zeros. Dtypes as for ``sum``."""
    return _accumulated(_prod, x, axis, dtype, keepdims, acc_dtype)


def _check_not_empty(x: Variable, axis: Axis, what: str) -> None:
    for k in normalize_axes(axis, x, what):
        if x.type.shape[k] == 0 and type(x.type.shape[k]) is int:
            raise ShapeError(located(f"{what}: axis {k} has no elements, so there is no {what}", [x]))


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Largest element over ``axis``; NaN if there is one."""
    x = as_tensor(x)
    _check_not_empty(x, axis, "max")
    return _reduce(_max, x, axis, keepdims, None)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Smallest element over ``axis``; NaN if there is one."""
    x = as_tensor(x)
    _check_not_empty(x, axis, "min")
    return _reduce(_min, x, axis, keepdims, None)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Does ``x`` (as bool) hold anywhere along ``axis``?"""
    return _reduce(_any, ew.cast(x, "bool"), axis, keepdims, None)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Does ``x`` (as bool) hold everywhere along ``axis``?"""
    return _reduce(_all, ew.cast(x, "bool"), axis, keepdims, None)


def count(x: Variable, axes: Sequence[int], dtype: str) -> Variable:
    """How many elements a reduction of ``x`` over ``axes`` runs over, as a scalar of ``dtype``."""
    known = dims.product(x.type.shape[k] for k in axes)
    if type(known) is int:
        return as_tensor(np.asarray(known, dtype))
    total: Variable | None = None
    for k in axes:
        n = ew.cast(shape_i(x, k), dtype)
        total = n if total is None else total * n
    assert total is not None
    return total


def mean(
    x: Any, axis: Axis = None, dtype: str | None = None, keepdims: bool = False, acc_dtype: str | None = None
) -> Variable:
    """Arithmetic mean over ``axis``, in a float dtype; ``acc_dtype``, a float one too, is that of the sum."""
    x = as_tensor(x)
    dtype = floating(as_dtype(dtype) if dtype else x.dtype)
    if acc_dtype is not None and as_dtype(acc_dtype) != dtype:
        return ew.cast(mean(x, axis, floating(as_dtype(acc_dtype)), keepdims), dtype)
    x = ew.cast(x, dtype)
    axes = normalize_axes(axis, x, "mean")
    return _reduce(_sum, x, axes, keepdims, None) / count(x, axes, dtype)


def _variance_oracle(op: Op, x: np.ndarray) -> np.ndarray:
    count_ = int(np.prod([x.shape[k] for k in op["axes"]], dtype=int))
    with np.errstate(all="ignore"):
        wide = x.astype("float64")
        squares = np.square(wide - np.mean(wide, axis=op["axes"], keepdims=True)).sum(axis=op["axes"])
        return np.asarray(squares / (np.float64(count_) - op["ddof"])).astype(x.dtype)


def _variance_grad(op: Op, inputs: Sequence[Variable], outputs: Any, gs: Sequence[Variable]) -> list[Variable]:
    """d var / d x = 2 (x - mean) / (n - ddof)."""
    (x,), axes = inputs, op["axes"]
    scaled = restore(gs[0], x, axes) * 2 / (count(x, axes, x.dtype) - op["ddof"])
    return [scaled * (x - mean(x, axes, keepdims=True))]


def _variance_decompose(op: Op, inputs: Sequence[Variable]) -> list[Variable]:
    """float64: mean first, then the squared distances. float32: sums of x and of its square in one walk, in float64.

    In float64 the difference of the two sums keeps more digits than float32 has, up to means of a million deviations.
    """
    (x,), axes = inputs, op["axes"]
    n = count(x, axes, "float64")
    if x.dtype == "float64":
        squares = _reduce(_sum, ew.sqr(x - mean(x, axes, keepdims=True)), axes, False, None)
        return [squares / (n - op["ddof"])]
    wide = ew.cast(x, "float64")
    total = _reduce(_sum, wide, axes, False, None)
    squares = _reduce(_sum, ew.sqr(wide), axes, False, None)
    centred = ew.maximum(squares - ew.sqr(total) / n, 0)
    return [ew.cast(centred / (n - op["ddof"]), x.dtype)]


_variance = record(
    "var",
    infer=_infer,
    numpy=_variance_oracle,
    grad=_variance_grad,
    reach=Reach(reduction_reach),
    bounded_slope=True,
    decompose=_variance_decompose,
    cases=lambda: [
        *_reduction_cases(lambda x, **k: var(x, **k), np.var)(),
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


def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Variable:
    """Variance over ``axis``: the mean of squared distances from the mean, over ``n - ddof``.

    ``corrected`` is accepted for old programs: the result is always as accurate as the two-pass algorithm's.
    """
    x = as_tensor(x)
    x = ew.cast(x, floating(x.dtype))
    axes = normalize_axes(axis, x, "var")
    out = Op(_variance, axes=axes, ddof=ddof)(x)
    return _kept(out, x, axes) if keepdims else out


def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Variable:
    """Standard deviation over ``axis``: the root of ``var``."""
    return ew.sqrt(var(x, axis, ddof, keepdims))


def ptp(x: Any, axis: Axis = None) -> Variable:
    """Largest minus smallest element over ``axis``."""
    return max(x, axis) - min(x, axis)


# --- positions ----------------------------------------------------------------------------------------------------


def _iota_numpy(op: Op, x: np.ndarray) -> np.ndarray:
    shape = [1] * x.ndim
    shape[op["axis"]] = -1
    return np.broadcast_to(np.arange(x.shape[op["axis"]], dtype="int64").reshape(shape), x.shape)


_iota_at = record(
    "iota_at",
    infer=lambda op, inputs: TensorType("int64", op["shape"]),
    numpy=lambda op: np.broadcast_to(
        np.arange(op["shape"][op["axis"]]).reshape([-1 if k == op["axis"] else 1 for k in range(len(op["shape"]))]),
        op["shape"],
    ),
    grad=lambda op, inputs, outputs, gs: [],
    lower=Indexed(lambda node, idx, read, size: idx[node.op["axis"]], recompute=True),
)

_iota = record(
    "iota",
    infer=lambda op, inputs: TensorType("int64", inputs[0].type.shape),
    numpy=_iota_numpy,
    grad=lambda op, inputs, outputs, gs: [None],
    specialise=lambda op, inputs, types: Op(_iota_at, axis=op["axis"], shape=types[0].shape)(),
    cases=lambda: [
        Case(lambda x: iota(x, 1), (Arg((2, 3)),), lambda x: np.indices((2, 3))[1], grad=False),
        Case(lambda x: iota(x, 0), (Arg((4,)),), lambda x: np.arange(4), grad=False),
    ],
)


def iota(x: Any, axis: int) -> Variable:
    """An int64 tensor of the shape of ``x`` whose elements are their own position along ``axis``."""
    x = as_tensor(x)
    return Op(_iota, axis=normalize_axis(axis, x.ndim, "iota", x))(x)


def _position(x: Variable, best: Variable, axis: int) -> Variable:
    """The first position along ``axis`` where ``x`` equals ``best`` (or is NaN when that is)."""
    here = ew.eq(x, restore(best, x, (axis,)))
    if is_float(x.dtype):
        here = here | ew.isnan(x)
    return _reduce(_min, ew.switch(here, iota(x, axis), np.iinfo("int64").max), (axis,), False, None)


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
    return _kept(out, x, axes) if keepdims else out


def argmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Position (int64) of the largest element along ``axis``, the first of equals.

    None looks at ``x`` flattened, and several axes are looked at as one that is flattened from them.
    """
    return _arg(x, axis, keepdims, max, "argmax")


def argmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """Position (int64) of the smallest element along ``axis``, the first of equals; ``axis`` as for ``argmax``."""
    return _arg(x, axis, keepdims, min, "argmin")


def max_and_argmax(x: Any, axis: Axis = None, keepdims: bool = False) -> list[Variable]:
    """``[max(x, axis), argmax(x, axis)]``."""
    return [max(x, axis, keepdims), argmax(x, axis, keepdims)]
