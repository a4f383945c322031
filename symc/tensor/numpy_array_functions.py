"""NumPy's other functions on variables: ``np.mean(x, axis=0)`` is ``mean(x, axis=0)``.

Every entry of ``FUNCTIONS`` has the parameters of NumPy's function of that name, as far as they have a meaning here.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Any

import numpy as np

from symc.graph import Variable
from symc.tensor import (
    creation,
    cumulative,
    extra_ops,
    fft,
    grids,
    joining,
    linalg,
    ordering,
    repeating,
    shaping,
    sorting,
)
from symc.tensor import elementwise as ew
from symc.tensor import numpy_compositions as compose
from symc.tensor import numpy_sequences as sequences
from symc.tensor import numpy_statistics as statistics
from symc.tensor import reduce as reductions
from symc.tensor.basic import as_tensor
from symc.tensor.complex_numbers import parts as complex_parts
from symc.tensor.indices import selection
from symc.tensor.linear_algebra import (
    decompositions,
    determinants,
    factorisations,
    least_squares,
    linear_systems,
    matrix_functions,
)
from symc.tensor.numpy_compositions import NONE
from symc.tensor.numpy_functions import refuse, truth
from symc.tensor.special.bessel import i0
from symc.tensor.symbolic_dims import shape_i

__all__ = ["FUNCTIONS", "apply_function"]


def _angle(z: Any, deg: bool = False) -> Variable:
    found = complex_parts.angle(z)
    return ew.rad2deg(found) if deg else found


def _one(n: Any) -> list[Any] | None:
    return None if n is None else [n]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    # reductions
    "sum": lambda a, axis=None, dtype=None, out=None, keepdims=False, initial=NONE, where=NONE: reductions.sum(
        a, axis=axis, dtype=dtype, keepdims=compose.flag(keepdims)),
    "prod": lambda a, axis=None, dtype=None, out=None, keepdims=False, initial=NONE, where=NONE: reductions.prod(
        a, axis=axis, dtype=dtype, keepdims=compose.flag(keepdims)),
    "mean": lambda a, axis=None, dtype=None, out=None, keepdims=False, where=NONE: reductions.mean(
        a, axis=axis, dtype=dtype, keepdims=compose.flag(keepdims)),
    "var": lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, where=NONE: reductions.var(
        compose.typed(a, dtype), axis=axis, ddof=ddof, keepdims=compose.flag(keepdims)),
    "std": lambda a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, where=NONE: reductions.std(
        compose.typed(a, dtype), axis=axis, ddof=ddof, keepdims=compose.flag(keepdims)),
    "max": lambda a, axis=None, out=None, keepdims=False, initial=NONE, where=NONE: reductions.max(
        a, axis=axis, keepdims=compose.flag(keepdims)),
    "min": lambda a, axis=None, out=None, keepdims=False, initial=NONE, where=NONE: reductions.min(
        a, axis=axis, keepdims=compose.flag(keepdims)),
    "amax": lambda a, axis=None, out=None, keepdims=False, initial=NONE, where=NONE: reductions.max(
        a, axis=axis, keepdims=compose.flag(keepdims)),
    "amin": lambda a, axis=None, out=None, keepdims=False, initial=NONE, where=NONE: reductions.min(
        a, axis=axis, keepdims=compose.flag(keepdims)),
    "argmax": lambda a, axis=None, out=None, keepdims=False: reductions.argmax(a, axis, compose.flag(keepdims)),
    "argmin": lambda a, axis=None, out=None, keepdims=False: reductions.argmin(a, axis, compose.flag(keepdims)),
    "any": lambda a, axis=None, out=None, keepdims=False, where=NONE: reductions.any(
        truth(a), axis=axis, keepdims=compose.flag(keepdims)),
    "all": lambda a, axis=None, out=None, keepdims=False, where=NONE: reductions.all(a, axis, compose.flag(keepdims)),
    "ptp": lambda a, axis=None, out=None, keepdims=False: ew.sub(
        reductions.max(a, axis, compose.flag(keepdims)), reductions.min(a, axis, compose.flag(keepdims))),
    "nansum": compose.without_nan(reductions.sum, 0), "nanprod": compose.without_nan(reductions.prod, 1),
    "nanmean": compose.nan_mean,
    "nanmax": compose.nan_extreme(reductions.max, -np.inf), "nanmin": compose.nan_extreme(reductions.min, np.inf),
    "average": compose.average, "median": compose.median, "count_nonzero": compose.count_nonzero,
    "quantile": statistics.quantile, "percentile": statistics.percentile,
    "nanvar": statistics.nanvar, "nanstd": statistics.nanstd, "nanmedian": statistics.nanmedian,
    "nanquantile": statistics.nanquantile, "nanpercentile": statistics.nanpercentile,
    "nanargmax": sequences.nan_position(reductions.argmax, -np.inf),
    "nanargmin": sequences.nan_position(reductions.argmin, np.inf),
    "histogram": sequences.histogram,
    "cumulative_sum": sequences.cumulative_sum, "cumulative_prod": sequences.cumulative_prod,
    "nancumsum": sequences.nan_running(cumulative.cumsum, 0), "nancumprod": sequences.nan_running(
        cumulative.cumprod, 1),
    "corrcoef": lambda x, y=None, rowvar=True, *, dtype=None: sequences.corrcoef(x, y, rowvar),
    "cumsum": lambda a, axis=None, dtype=None, out=None: cumulative.cumsum(compose.typed(a, dtype), axis),
    "cumprod": lambda a, axis=None, dtype=None, out=None: cumulative.cumprod(compose.typed(a, dtype), axis),
    "cov": lambda m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None: sequences.covariance(
        m, y, rowvar, bias, ddof),
    # shapes
    "shape": lambda a: shaping.shape(a), "ndim": lambda a: a.ndim,
    "size": lambda a, axis=None: shaping.size(a) if axis is None else shape_i(a, axis),
    "reshape": compose.reshape, "ravel": compose.ravel, "transpose": compose.transpose,
    "matrix_transpose": lambda x: shaping.swapaxes(x, -1, -2), "linalg.matrix_transpose": lambda x, /: (
        shaping.swapaxes(x, -1, -2)),
    "swapaxes": lambda a, axis1, axis2: shaping.swapaxes(a, axis1, axis2), "rollaxis": compose.rollaxis,
    "moveaxis": lambda a, source, destination: shaping.moveaxis(a, source, destination),
    "squeeze": lambda a, axis=None: shaping.squeeze(a, axis), "expand_dims": shaping.expand_dims,
    "broadcast_to": compose.broadcast_to, "broadcast_arrays": compose.broadcast_arrays,
    "atleast_1d": compose.each(lambda x: compose.at_least(x, 1)),
    "atleast_2d": compose.each(lambda x: compose.at_least(x, 2)),
    "atleast_3d": compose.each(lambda x: compose.at_least(x, 3)),
    # joining, splitting, repeating
    "concatenate": compose.concatenate, "vstack": compose.vstack, "hstack": compose.hstack, "block": compose.block,
    "stack": lambda arrays, axis=0, out=None, *, dtype=None, casting="same_kind": joining.stack(
        [compose.typed(a, dtype) for a in arrays], axis),
    "dstack": lambda tup: compose.concatenate([compose.at_least(a, 3) for a in tup], 2),
    "column_stack": lambda tup: compose.concatenate([compose.at_least(a, 2, columns=True) for a in tup], 1),
    "append": lambda arr, values, axis=None: compose.concatenate([arr, values], axis),
    "split": lambda ary, indices_or_sections, axis=0: compose.split(ary, indices_or_sections, axis),
    "array_split": lambda ary, indices_or_sections, axis=0: compose.split(ary, indices_or_sections, axis, equal=False),
    "vsplit": compose.along(lambda x: 0), "dsplit": compose.along(lambda x: 2),
    "hsplit": compose.along(lambda x: min(x.ndim - 1, 1)),
    "tile": lambda A, reps: repeating.tile(A, reps), "repeat": lambda a, repeats, axis=None: repeating.repeat(
        a, repeats, axis),
    "roll": compose.roll, "flip": compose.flipped, "fliplr": lambda m: compose.flipped(m, 1),
    "flipud": lambda m: compose.flipped(m, 0),
    "delete": sequences.delete, "insert": sequences.insert, "resize": sequences.resize, "unstack": sequences.unstack,
    "rot90": compose.rot90, "pad": compose.pad, "copy": lambda a, order="K", subok=False: as_tensor(a),
    # new tensors
    "zeros_like": lambda a, dtype=None, order="K", subok=True: creation.zeros_like(a, dtype),
    "ones_like": lambda a, dtype=None, order="K", subok=True: creation.ones_like(a, dtype),
    "empty_like": lambda prototype, dtype=None, order="K", subok=True: creation.zeros_like(prototype, dtype),
    "full_like": lambda a, fill_value, dtype=None, order="K", subok=True: creation.full_like(a, fill_value, dtype),
    "linspace": lambda start, stop, num=50, endpoint=True, retstep=False, dtype=None: extra_ops.linspace(
        start, stop, num, endpoint, dtype),
    "logspace": lambda start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0: sequences.logspace(
        start, stop, num, endpoint, base, dtype),
    "geomspace": lambda start, stop, num=50, endpoint=True, dtype=None, axis=0: sequences.geomspace(
        start, stop, num, endpoint, dtype),
    "vander": sequences.vander, "diagflat": lambda v, k=0: extra_ops.diag(shaping.flatten(v), k),
    # reading and choosing
    "isin": statistics.isin, "interp": statistics.interp,
    "where": compose.chosen, "take": compose.take, "take_along_axis": compose.take_along_axis,
    "compress": compose.compress, "select": compose.select,
    "choose": lambda a, choices, out=None, mode="raise": extra_ops.choose(a, choices, out, mode),
    "clip": compose.clipped,
    "diagonal": extra_ops.diagonal, "diag": extra_ops.diag, "tril": creation.tril, "triu": creation.triu,
    "trace": lambda a, offset=0, axis1=0, axis2=1, dtype=None, out=None: extra_ops.trace(
        compose.typed(a, dtype), offset, axis1, axis2),
    "nonzero": lambda a: tuple(selection.nonzero(a)), "flatnonzero": selection.flatnonzero,
    "argwhere": selection.argwhere, "extract": lambda condition, arr: compose.compress(shaping.flatten(condition), arr),
    "sort": lambda a, axis=-1, kind=None, order=None: sorting.sort(a, axis),
    "argsort": lambda a, axis=-1, kind=None, order=None: sorting.argsort(a, axis),
    "partition": lambda a, kth, axis=-1, kind=None, order=None: sorting.sort(a, axis),
    "argpartition": lambda a, kth, axis=-1, kind=None, order=None: sorting.argsort(a, axis),
    "lexsort": sequences.lexsort, "union1d": sequences.union1d, "intersect1d": lambda ar1, ar2, assume_unique=False: (
        sequences.intersect1d(ar1, ar2)), "setdiff1d": sequences.setdiff1d,
    "unique": lambda ar, return_index=False, return_inverse=False, return_counts=False, axis=None: ordering.unique(
        ar, return_index, return_inverse, return_counts, axis),
    "searchsorted": lambda a, v, side="left", sorter=None: ordering.searchsorted(a, v, side, sorter),
    "digitize": lambda x, bins, right=False: ordering.digitize(x, bins, right),
    "meshgrid": lambda *xi, copy=True, sparse=False, indexing="xy": grids.meshgrid(
        *xi, copy=copy, sparse=sparse, indexing=indexing),
    "bincount": lambda x, /, weights=None, minlength=0: extra_ops.bincount(x, weights, minlength or None),
    "unravel_index": lambda indices, shape, order="C": extra_ops.unravel_index(indices, shape, order),
    "ravel_multi_index": lambda multi_index, dims, mode="raise", order="C": extra_ops.ravel_multi_index(
        multi_index, dims, mode, order),
    # arithmetic and products
    "round": compose.rounded, "around": compose.rounded, "fix": lambda x, out=None: ew.trunc(x),
    "nan_to_num": compose.nan_to_num,
    "real": complex_parts.real, "imag": complex_parts.imag, "angle": _angle, "sinc": compose.sinc,
    "isclose": extra_ops.isclose, "allclose": extra_ops.allclose, "array_equal": compose.array_equal,
    "isposinf": lambda x, out=None: ew.and_(ew.isinf(x), ew.gt(x, 0)),
    "isneginf": lambda x, out=None: ew.and_(ew.isinf(x), ew.lt(x, 0)),
    "i0": i0, "iscomplex": sequences.iscomplex, "isreal": lambda x: ew.invert(sequences.iscomplex(x)),
    "convolve": sequences.convolve, "correlate": sequences.correlate, "gradient": sequences.gradient,
    "ediff1d": sequences.ediff1d,
    "diff": compose.diff, "trapezoid": compose.trapezoid, "polyval": compose.polyval, "cross": compose.cross,
    "dot": lambda a, b, out=None: linalg.dot(a, b), "vdot": compose.vdot, "inner": compose.inner,
    "outer": lambda a, b, out=None: linalg.outer(shaping.flatten(a), shaping.flatten(b)),
    "tensordot": lambda a, b, axes=2: linalg.tensordot(a, b, axes), "einsum": compose.sum_of_products,
    "kron": lambda a, b: matrix_functions.kron(a, b),
    # Fourier transforms
    "fft.fft": lambda a, n=None, axis=-1, norm=None, out=None: fft.fft(a, n, axis, norm),
    "fft.ifft": lambda a, n=None, axis=-1, norm=None, out=None: fft.ifft(a, n, axis, norm),
    "fft.fft2": lambda a, s=None, axes=(-2, -1), norm=None, out=None: fft.fft2(a, s, axes, norm),
    "fft.ifft2": lambda a, s=None, axes=(-2, -1), norm=None, out=None: fft.ifft2(a, s, axes, norm),
    "fft.fftn": lambda a, s=None, axes=None, norm=None, out=None: fft.fftn(a, s, axes, norm),
    "fft.ifftn": lambda a, s=None, axes=None, norm=None, out=None: fft.ifftn(a, s, axes, norm),
    "fft.rfft": lambda a, n=None, axis=-1, norm=None, out=None: fft.rfftn(a, _one(n), [axis], norm),
    "fft.irfft": lambda a, n=None, axis=-1, norm=None, out=None: fft.irfftn(a, _one(n), [axis], norm),
    "fft.rfft2": lambda a, s=None, axes=(-2, -1), norm=None, out=None: fft.rfftn(a, s, axes, norm),
    "fft.irfft2": lambda a, s=None, axes=(-2, -1), norm=None, out=None: fft.irfftn(a, s, axes, norm),
    "fft.rfftn": lambda a, s=None, axes=None, norm=None, out=None: fft.rfftn(a, s, axes, norm),
    "fft.irfftn": lambda a, s=None, axes=None, norm=None, out=None: fft.irfftn(a, s, axes, norm),
    "fft.fftshift": lambda x, axes=None: fft.fftshift(x, axes), "fft.ifftshift": lambda x, axes=None: fft.ifftshift(
        x, axes),
    # linear algebra
    "linalg.norm": lambda x, ord=None, axis=None, keepdims=False: matrix_functions.norm(x, ord, axis, keepdims),
    "linalg.vector_norm": compose.vector_norm, "linalg.matrix_norm": compose.matrix_norm,
    "linalg.det": lambda a: determinants.det(a), "linalg.slogdet": lambda a: determinants.slogdet(a),
    "linalg.inv": lambda a: linear_systems.matrix_inverse(a),
    "linalg.solve": lambda a, b: linear_systems.solve_general(a, b),
    "linalg.cond": lambda x, p=None: matrix_functions.cond(x, p),
    "linalg.lstsq": lambda a, b, rcond=None: least_squares.lstsq(a, b, rcond),
    "linalg.matrix_rank": lambda A, tol=None, hermitian=False, *, rtol=NONE: matrix_functions.matrix_rank(
        A, tol, hermitian),
    "linalg.pinv": lambda a, rcond=None, hermitian=False, *, rtol=NONE: decompositions.pinv(
        a, 1e-15 if rcond is None else rcond),
    "linalg.cholesky": compose.cholesky, "linalg.qr": lambda a, mode="reduced": decompositions.qr(a, mode),
    "linalg.svd": lambda a, full_matrices=True, compute_uv=True, hermitian=False: factorisations.svd(
        a, full_matrices and compute_uv, compute_uv),
    "linalg.svdvals": lambda x, /: factorisations.svd(x, compute_uv=False),
    "linalg.eigh": lambda a, UPLO="L": decompositions.eigh(a, UPLO),
    "linalg.eigvalsh": lambda a, UPLO="L": decompositions.eigh(a, UPLO)[0],
    "linalg.matrix_power": lambda a, n: matrix_functions.matrix_power(a, n),
    "linalg.multi_dot": lambda arrays, *, out=None: matrix_functions.matrix_dot(*arrays),
    "linalg.tensorinv": lambda a, ind=2: matrix_functions.tensorinv(a, ind),
    "linalg.tensorsolve": lambda a, b, axes=None: matrix_functions.tensorsolve(a, b, axes),
    "linalg.trace": lambda x, /, *, offset=0, dtype=None: extra_ops.trace(compose.typed(x, dtype), offset, -2, -1),
    "linalg.diagonal": lambda x, /, *, offset=0: extra_ops.diagonal(x, offset, -2, -1),
    "linalg.outer": lambda x1, x2, /: linalg.outer(x1, x2), "linalg.cross": lambda x1, x2, /, *, axis=-1: compose.cross(
        x1, x2, axis=axis),
    "linalg.matmul": lambda x1, x2, /: linalg.matmul(x1, x2), "linalg.vecdot": lambda x1, x2, /, *, axis=-1: (
        reductions.sum(ew.mul(complex_parts.conj(x1), x2), axis=axis)),
    "linalg.tensordot": lambda x1, x2, /, *, axes=2: linalg.tensordot(x1, x2, axes),
}  # fmt: skip
"""Functions by name."""

REFUSED = {
    "out": "expressions are not written into arrays: use the result",
    "where": "write where(condition, x, neutral) before the reduction",
    "initial": "join or combine the first value with the result", "casting": "cast with x.astype(dtype)",
    "order": "elements are always in C order", "kind": "sorting is always stable", "retstep": "compute the step",
    "fweights": "repeat the observations", "aweights": "compute the weighted mean and products",
    "hermitian": "leave it out", "rtol": "give rcond or tol", "prepend": "concatenate first",
    "append": "concatenate first",
    "method": "only linear interpolation is available", "period": "take x modulo the period first",
    "equal_nan": "compare with isclose(..., equal_nan=True)", "overwrite_input": "leave it out",
}  # fmt: skip
"""Parameters of NumPy's functions without a meaning for expressions, and what to do instead."""
_HARMLESS = {"kind", "order", "copy", "subok", "casting"}
_NEUTRAL = {"order": ("C", "K", "A", None), "kind": ("stable", "quicksort", "mergesort", "heapsort", None)}


def _names() -> dict[Any, str]:
    """NumPy's functions, with the name under which the table has them."""
    found: dict[Any, str] = {}
    for name in FUNCTIONS:
        home, _, last = name.rpartition(".")
        function = getattr(getattr(np, home) if home else np, last, None)
        if function is not None:  # older versions of NumPy lack some
            found.setdefault(function, name)
    return found


_NAMES = _names()


def apply_function(self: Variable, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Apply the symbolic equivalent of a function of NumPy; called by NumPy if a variable is among the arguments."""
    if not all(issubclass(t, (Variable, np.ndarray, np.generic)) for t in types):
        return NotImplemented
    module = function.__module__.removeprefix("numpy").lstrip(".")
    full = f"{module}.{function.__name__}" if module else function.__name__
    operands = [*args, *kwargs.values()]
    name = _NAMES.get(function)
    if name is None:
        near = get_close_matches(function.__name__, FUNCTIONS, 1, 0.8)
        repair = f"is {near[0]} what you mean?" if near and near[0] != function.__name__ else ""
        raise refuse(full, operands, "", repair and f"{repair} Or write it with symc.tensor's functions")
    build = FUNCTIONS[name]
    try:
        bound = signature(build).bind(*args, **kwargs)
    except TypeError as problem:
        raise refuse(name, operands, f": {problem}") from None
    for parameter, value in bound.arguments.items():
        if parameter in REFUSED and not _is_neutral(signature(build).parameters[parameter], value):
            raise refuse(name, operands, f" with {parameter}=", REFUSED[parameter])
    return build(*bound.args, **bound.kwargs)


def _is_neutral(parameter: Parameter, value: Any) -> bool:
    """Whether an argument without a meaning here changes nothing."""
    if value is parameter.default or value is NONE or value is None:
        return True
    if parameter.name in _NEUTRAL:
        return value in _NEUTRAL[parameter.name]
    return parameter.name in _HARMLESS or isinstance(value, (bool, str)) and value == parameter.default
