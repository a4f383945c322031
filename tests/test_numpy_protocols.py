"""NumPy's functions on variables: each call with arrays, and with variables of the same values."""

import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.tensor.numpy_array_functions import FUNCTIONS
from symc.tensor.numpy_functions import REDUCED, UFUNCS

RNG = np.random.default_rng(11)
FACTOR = RNG.normal(size=(3, 3))
VALUES = {
    "v": RNG.uniform(0.1, 0.9, 6), "w": RNG.uniform(1.1, 3, 6), "s": np.array([-2.5, -1.0, -0.0, 0.0, 0.5, 1.5]),
    "m": RNG.normal(size=(3, 4)), "p": RNG.normal(size=(3, 4)), "q": FACTOR @ FACTOR.T + 4 * np.eye(3),
    "t": RNG.normal(size=(2, 3, 4)), "holes": np.array([[1.0, np.nan, 3.0], [np.nan, 2.0, -4.0]]),
    "i": np.array([3, 1, 0, 2, 2, 5]), "j": np.array([7, -3, 4, 9, -8, 1]), "b": np.array([1, 0, 1, 1, 0, 0], bool),
    "c": np.array([0, 1, 1, 0, 1, 0], bool), "r": np.array([[2, 0, 1, 1], [0, 1, 2, 0], [1, 1, 0, 2]]),
    "far": np.array([np.inf, -np.inf, np.nan, 1.0, -2.0, 0.0]),
}  # fmt: skip

UNARY = "negative positive absolute fabs sign conjugate square rint floor ceil trunc exp exp2 expm1 sin cos tan sinh cosh tanh arcsinh arctan deg2rad radians rad2deg degrees cbrt isnan isinf isfinite signbit modf".split()  # noqa: E501
UNIT = "sqrt reciprocal log log2 log10 log1p arcsin arccos arctanh".split()
BINARY = "add subtract multiply divide maximum minimum fmax fmin power float_power arctan2 hypot logaddexp logaddexp2 copysign heaviside less less_equal greater greater_equal equal not_equal vecdot fmod floor_divide remainder divmod".split()  # noqa: E501
WHOLE = "floor_divide remainder fmod divmod add maximum gcd lcm".split()
BITS = "bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor".split()


def ufunc_examples():
    for name in UNARY:
        yield name, lambda d, f=name: getattr(np, f)(d.s)
    for name in ("absolute", "sign", "rint", "sqrt", "isfinite", "trunc", "signbit", "cbrt"):
        yield name, lambda d, f=name: getattr(np, f)(d.far)
    for name in UNIT:
        yield name, lambda d, f=name: getattr(np, f)(d.v)
    for name in BINARY:
        yield name, lambda d, f=name: getattr(np, f)(d.v, d.w)
    for name in ("fmax", "fmin", "maximum", "hypot", "copysign", "heaviside", "nextafter"):
        yield name, lambda d, f=name: getattr(np, f)(d.far, d.s)
    for name in WHOLE:
        yield name, lambda d, f=name: getattr(np, f)(d.j, d.i + 1)
    for name in BITS:
        yield name, lambda d, f=name: getattr(np, f)(d.b, d.c)
    yield "gcd", lambda d: np.gcd(d.r, d.i[:4] * 6)
    yield "lcm", lambda d: np.lcm(d.j, 0)
    yield "nextafter", lambda d: np.nextafter(d.m, 0)
    yield "arccosh", lambda d: np.arccosh(d.w)
    yield "invert", lambda d: np.invert(d.j)
    yield "logical_not", lambda d: np.logical_not(d.s)
    yield "ldexp", lambda d: np.ldexp(d.v, d.i)
    for name in ("s", "w", "far", "j"):
        yield "frexp", lambda d, k=name: np.frexp(getattr(d, k))
    yield "frexp", lambda d: np.frexp(d.s * 2.0**-1050)
    yield "left_shift", lambda d: np.left_shift(d.j, d.i)
    yield "right_shift", lambda d: np.right_shift(d.j, d.i)
    yield "matmul", lambda d: np.matmul(d.q, d.m)
    yield "matvec", lambda d: np.matvec(d.q, d.m[:, 0])
    yield "vecmat", lambda d: np.vecmat(d.m[:, 0], d.q)
    yield "add", lambda d: np.add(d.m, 2.5, dtype="float64")
    yield "subtract", lambda d: VALUES["v"] - d.w
    yield "matmul", lambda d: VALUES["q"] @ d.m
    yield "multiply", lambda d: np.multiply.outer(d.v, d.m)
    yield "add", lambda d: np.add.accumulate(d.m)
    yield "multiply", lambda d: np.multiply.accumulate(d.m, axis=1)
    for name in REDUCED:
        yield name, lambda d, f=name: getattr(np, f).reduce(d.m > 0 if f.startswith("log") else d.m)
        yield name, lambda d, f=name: getattr(np, f).reduce(d.t, axis=(0, 2), keepdims=True)


REDUCTIONS = [
    *((n, lambda d, f=n: getattr(np, f)(d.m)) for n in "sum prod mean var std max min argmax argmin any all ptp median average count_nonzero nansum nanprod nanmax nanmin nanmean".split()),  # noqa: E501
    *((n, lambda d, f=n: getattr(np, f)(d.t, axis=1)) for n in "sum prod mean var std max min argmax argmin any all ptp median average count_nonzero nansum nanprod nanmax nanmin nanmean cumsum cumprod".split()),  # noqa: E501
    *((n, lambda d, f=n: getattr(np, f)(d.t, axis=-1, keepdims=True)) for n in "sum prod mean var std max min argmax any all median average nansum nanmax nanmean count_nonzero".split()),  # noqa: E501
    *((n, lambda d, f=n: getattr(np, f)(d.holes, 1)) for n in "nansum nanprod nanmax nanmin nanmean median".split()),
    ("sum", lambda d: np.sum(d.i, dtype="float64")), ("var", lambda d: np.var(d.m, 0, ddof=1)),
    ("cumsum", lambda d: np.cumsum(d.i)), ("cov", lambda d: np.cov(d.m)),
    ("amax", lambda d: np.amax(d.m, 0)), ("amin", lambda d: np.amin(d.m)),
    ("average", lambda d: np.average(d.m, 1, weights=np.arange(1.0, 5))),
    ("average", lambda d: np.average(d.m, weights=d.p + 9)), ("average", lambda d: np.average(d.m, 0, returned=True)),
    ("average", lambda d: np.average(d.m, 1, np.arange(1.0, 5), returned=True)),
    ("quantile", lambda d: np.quantile(d.m, 0.3)), ("quantile", lambda d: np.quantile(d.t, [0, 0.4, 1], axis=1)),
    ("quantile", lambda d: np.quantile(d.t, [[0.1], [0.9]], axis=(0, -1), keepdims=True)),
    ("quantile", lambda d: np.quantile(d.holes, d.v, axis=0)), ("percentile", lambda d: np.percentile(d.i, 62.5)),
    ("percentile", lambda d: np.percentile(d.m, [5, 95], axis=-1, method="linear")),
    ("nanmedian", lambda d: np.nanmedian(d.holes, 1)), ("nanmedian", lambda d: np.nanmedian(d.t, (0, 2))),
    ("nanquantile", lambda d: np.nanquantile(d.holes, [[0.2, 0.9]], 0, keepdims=True)),
    ("nanquantile", lambda d: np.nanquantile(d.holes, d.v)), ("nanpercentile", lambda d: np.nanpercentile(d.holes, 30)),
    ("nanargmax", lambda d: np.nanargmax(d.holes, 1)), ("nanargmin", lambda d: np.nanargmin(d.holes)),
    ("histogram", lambda d: np.histogram(d.m)), ("histogram", lambda d: np.histogram(d.i, 3, range=(1, 4))),
    ("histogram", lambda d: np.histogram(d.v, [0.2, 0.5, 0.8], weights=d.w, density=True)),
    ("histogram", lambda d: np.histogram(d.j, d.i.shape[0])),
    ("histogram", lambda d: np.histogram(d.c * 3.0, [3.0, 3.0])),
    ("cumulative_sum", lambda d: np.cumulative_sum(d.v)), ("cumulative_sum", lambda d: np.cumulative_sum(
        d.m, axis=1, include_initial=True)),
    ("cumulative_prod", lambda d: np.cumulative_prod(d.j, include_initial=True)),
    ("nancumsum", lambda d: np.nancumsum(d.holes, 1)), ("nancumprod", lambda d: np.nancumprod(d.holes)),
    ("corrcoef", lambda d: np.corrcoef(d.m)), ("corrcoef", lambda d: np.corrcoef(d.m, d.p, rowvar=False)),
    ("corrcoef", lambda d: np.corrcoef(d.v)), ("cov", lambda d: np.cov(d.v, ddof=0)),
    ("nanvar", lambda d: np.nanvar(d.holes, 1, ddof=1)), ("nanvar", lambda d: np.nanvar(d.m, keepdims=True)),
    ("nanstd", lambda d: np.nanstd(d.holes, 0)), ("nanstd", lambda d: np.nanstd(d.i)),
    ("isin", lambda d: np.isin(d.i, [2, 5])), ("isin", lambda d: np.isin(d.r, d.i, invert=True)),
    ("interp", lambda d: np.interp(d.m, d.s, d.w)), ("interp", lambda d: np.interp(d.far[3:], d.s[:2], d.v[:2], -5, 7)),
    ("interp", lambda d: np.interp(d.v, [0.2, 0.5, 0.6], [1, -1, 4])), ("interp", lambda d: np.interp(d.s, [1], [2])),
]  # fmt: skip
SHAPES = [
    ("shape", lambda d: np.array(np.shape(d.t)) if isinstance(d.t, np.ndarray) else np.shape(d.t)),
    ("ndim", lambda d: np.ndim(d.t)), ("size", lambda d: np.size(d.t)), ("size", lambda d: np.size(d.t, 1)),
    ("reshape", lambda d: np.reshape(d.m, (2, -1))), ("ravel", lambda d: np.ravel(d.m)),
    ("transpose", lambda d: np.transpose(d.t)), ("transpose", lambda d: np.transpose(d.t, (1, 0, 2))),
    ("matrix_transpose", lambda d: np.matrix_transpose(d.t)),
    ("linalg.matrix_transpose", lambda d: np.linalg.matrix_transpose(d.t)),
    ("swapaxes", lambda d: np.swapaxes(d.t, 0, 2)), ("moveaxis", lambda d: np.moveaxis(d.t, 0, -1)),
    ("rollaxis", lambda d: np.rollaxis(d.t, 2)), ("rollaxis", lambda d: np.rollaxis(d.t, 0, 3)),
    ("squeeze", lambda d: np.squeeze(d.m[:1], 0)), ("expand_dims", lambda d: np.expand_dims(d.m, (0, 2))),
    ("broadcast_to", lambda d: np.broadcast_to(d.v, (2, 6))),
    ("broadcast_arrays", lambda d: np.broadcast_arrays(d.v, np.ones((2, 1)))),
    *((n, lambda d, f=n: getattr(np, f)(d.v)) for n in ("atleast_1d", "atleast_2d", "atleast_3d")),
    *((n, lambda d, f=n: getattr(np, f)(d.v, d.m)) for n in ("atleast_1d", "atleast_2d", "atleast_3d")),
]  # fmt: skip
JOINING = [
    ("concatenate", lambda d: np.concatenate([d.m, d.p], axis=1)),
    ("concatenate", lambda d: np.concatenate([d.m, d.p], None)),
    ("unique", lambda d: np.unique(d.i)), ("unique", lambda d: np.unique(d.m, True, True, True, axis=0)),
    ("searchsorted", lambda d: np.searchsorted(np.sort(d.v), d.m, side="right")),
    ("digitize", lambda d: np.digitize(d.v, np.array([-1.0, 0.5]))), ("meshgrid", lambda d: np.meshgrid(d.v, d.i)),
    ("stack", lambda d: np.stack([d.v, d.w], axis=1)), ("vstack", lambda d: np.vstack([d.v, d.w])),
    ("hstack", lambda d: np.hstack([d.m, d.p])), ("hstack", lambda d: np.hstack((d.v, d.w, [1.0, 2.0]))),
    ("dstack", lambda d: np.dstack([d.m, d.p])), ("column_stack", lambda d: np.column_stack([d.v, d.w])),
    ("unstack", lambda d: np.unstack(np.reshape(d.m, (2, 6)))),
    ("unstack", lambda d: np.unstack(np.reshape(d.m, (6, 2)), axis=1)),
    ("append", lambda d: np.append(d.m, d.p, 0)), ("append", lambda d: np.append(d.v, d.m)),
    ("block", lambda d: np.block([[d.q, d.m], [d.m.T, np.zeros((4, 4))]])),
    ("split", lambda d: np.split(d.v, 3)), ("split", lambda d: np.split(d.t, [1, 3], axis=2)),
    ("array_split", lambda d: np.array_split(d.m, [1], 1)), ("vsplit", lambda d: np.vsplit(d.m, [1])),
    ("hsplit", lambda d: np.hsplit(d.m, 2)), ("dsplit", lambda d: np.dsplit(d.t, 2)),
    ("tile", lambda d: np.tile(d.m, (2, 1))), ("repeat", lambda d: np.repeat(d.m, 2, axis=0)),
    ("roll", lambda d: np.roll(d.m, 2)), ("roll", lambda d: np.roll(d.m, (1, -2), axis=(0, 1))),
    ("flip", lambda d: np.flip(d.t, (0, 2))), ("flip", lambda d: np.flip(d.m)), ("fliplr", lambda d: np.fliplr(d.m)),
    ("flipud", lambda d: np.flipud(d.m)), *(("rot90", lambda d, k=k: np.rot90(d.m, k)) for k in range(4)),
    *(("pad", lambda d, mode=mode: np.pad(d.m, ((1, 2), (3, 2)), mode)) for mode in ("constant", "edge", "wrap", "reflect", "symmetric")),  # noqa: E501
    ("pad", lambda d: np.pad(d.v, 2, constant_values=(3, 4))), ("copy", lambda d: np.copy(d.m)),
    ("delete", lambda d: np.delete(d.v, -1)), ("delete", lambda d: np.delete(d.m, [0, 2, 2], 1)),
    ("delete", lambda d: np.delete(d.t, slice(None, None, 2), -1)), ("delete", lambda d: np.delete(d.m, 5)),
    ("insert", lambda d: np.insert(d.m, 1, d.v[:3], axis=1)), ("insert", lambda d: np.insert(d.v, -2, [7, 8])),
    ("insert", lambda d: np.insert(d.m, 3, 5.0, axis=0)), ("resize", lambda d: np.resize(d.v, (3, 5))),
    ("resize", lambda d: np.resize(d.m, 7)), ("logspace", lambda d: np.logspace(d.v[0], d.w[0], 5, base=2)),
    ("geomspace", lambda d: np.geomspace(-d.v[0], -d.w[0], 6)), ("vander", lambda d: np.vander(d.v)),
    ("vander", lambda d: np.vander(d.j, 3, increasing=True)), ("diagflat", lambda d: np.diagflat(d.m, 1)),
    ("zeros_like", lambda d: np.zeros_like(d.m)), ("ones_like", lambda d: np.ones_like(d.m, dtype="int32")),
    ("empty_like", lambda d: np.empty_like(d.m) * 0), ("full_like", lambda d: np.full_like(d.m, 2.5)),
    ("linspace", lambda d: np.linspace(d.v[0], d.w[0], 7)),
]  # fmt: skip
READING = [
    ("where", lambda d: np.where(d.v > 0.5, d.v, d.w)), ("where", lambda d: np.where(d.m > 0)),
    ("take", lambda d: np.take(d.v, d.i)), ("take", lambda d: np.take(d.m, [0, 2], axis=0)),
    ("take_along_axis", lambda d: np.take_along_axis(d.m, d.r, 1)),
    ("compress", lambda d: np.compress(d.b, d.v)), ("extract", lambda d: np.extract(d.m > 0, d.m)),
    ("select", lambda d: np.select([d.v > 0.6, d.v > 0.3], [d.v, d.w], 9.0)),
    ("choose", lambda d: np.choose(d.i % 2, [d.v, d.w])), ("clip", lambda d: np.clip(d.m, -0.5, 0.5)),
    ("clip", lambda d: np.clip(d.m, None, 0.25)), ("diagonal", lambda d: np.diagonal(d.t, 1, 1, 2)),
    ("diag", lambda d: np.diag(d.v)), ("diag", lambda d: np.diag(d.m, 1)), ("tril", lambda d: np.tril(d.m, -1)),
    ("triu", lambda d: np.triu(d.m)), ("trace", lambda d: np.trace(d.m)), ("nonzero", lambda d: np.nonzero(d.b)),
    ("flatnonzero", lambda d: np.flatnonzero(d.m > 0)), ("argwhere", lambda d: np.argwhere(d.m > 0)),
    ("partition", lambda d: np.sort(np.partition(d.v, 2)[:3])), ("lexsort", lambda d: np.lexsort((d.j, d.i, d.b))),
    ("argpartition", lambda d: np.sort(np.argpartition(d.v, 2)[:3])), ("union1d", lambda d: np.union1d(d.i, d.r)),
    ("intersect1d", lambda d: np.intersect1d(d.i, d.r)), ("setdiff1d", lambda d: np.setdiff1d(d.i, d.r)),
    ("setdiff1d", lambda d: np.setdiff1d(d.i, d.j % 3, assume_unique=True)),
    ("sort", lambda d: np.sort(d.m, 0)), ("argsort", lambda d: np.argsort(d.m)),
    ("bincount", lambda d: np.bincount(d.i)),
    ("unravel_index", lambda d: np.unravel_index(d.i, (2, 3))),
    ("ravel_multi_index", lambda d: np.ravel_multi_index((d.i % 2, d.i % 3), (2, 3))),
]  # fmt: skip
ARITHMETIC = [
    ("round", lambda d: np.round(d.m, 1)), ("round", lambda d: np.round(d.s)), ("around", lambda d: np.around(d.j, -1)),
    ("fix", lambda d: np.fix(d.s)), ("nan_to_num", lambda d: np.nan_to_num(d.far)),
    ("nan_to_num", lambda d: np.nan_to_num(d.far, nan=7.0, posinf=1.0, neginf=-1.0)), ("real", lambda d: np.real(d.m)),
    ("imag", lambda d: np.imag(d.m)),
    ("angle", lambda d: np.angle(d.m)),
    ("angle", lambda d: np.angle(d.m, deg=True)),
    ("sinc", lambda d: np.sinc(d.s)), ("isclose", lambda d: np.isclose(d.v, d.w)),
    ("allclose", lambda d: np.allclose(d.v, d.v)), ("array_equal", lambda d: np.array_equal(d.v, d.w)),
    ("isposinf", lambda d: np.isposinf(d.far)), ("isneginf", lambda d: np.isneginf(d.far)),
    *(("convolve", lambda d, m=m: np.convolve(d.w, d.m[0], m)) for m in ("full", "same", "valid")),
    *(("convolve", lambda d, m=m: np.convolve(d.m[0, :3], d.j, m)) for m in ("full", "same", "valid")),
    *(("correlate", lambda d, m=m, n=n: np.correlate(d.w[:n], d.s[:4], m)) for m in ("full", "same", "valid") for n in (1, 2, 3, 4, 5, 6)),  # noqa: E501
    *(("correlate", lambda d, m=m, n=n: np.correlate(d.w[:n], d.s[:3], m)) for m in ("full", "same", "valid") for n in (1, 2, 4, 6)),  # noqa: E501
    ("gradient", lambda d: np.gradient(d.v)), ("gradient", lambda d: np.gradient(d.m, 0.5, d.s[:4] + d.w[:4].cumsum())),
    ("gradient", lambda d: np.gradient(d.m, 2.0)), ("gradient", lambda d: np.gradient(d.t, axis=(1, -1))),
    ("ediff1d", lambda d: np.ediff1d(d.m, 9.0, [7.0, 8.0])), ("i0", lambda d: np.i0(d.m)),
    ("isreal", lambda d: np.isreal(d.s + 1j * d.i)), ("iscomplex", lambda d: np.iscomplex(d.m)),
    ("diff", lambda d: np.diff(d.m)), ("diff", lambda d: np.diff(d.m, 2, axis=0)),
    ("trapezoid", lambda d: np.trapezoid(d.m, dx=0.5)), ("trapezoid", lambda d: np.trapezoid(d.m, [0.0, 1, 3], axis=0)),
    ("polyval", lambda d: np.polyval([1.0, -2, 3], d.v)), ("cross", lambda d: np.cross(d.q, d.m.T[:3])),
    ("dot", lambda d: np.dot(d.q, d.m)), ("vdot", lambda d: np.vdot(d.m, d.p)), ("inner", lambda d: np.inner(d.m, d.p)),
    ("outer", lambda d: np.outer(d.v, d.m)), ("tensordot", lambda d: np.tensordot(d.t, d.m, axes=[[1, 2], [0, 1]])),
    ("einsum", lambda d: np.einsum("ij,kij->k", d.m, d.t)), ("kron", lambda d: np.kron(d.q, d.m)),
]  # fmt: skip
LINALG = [
    *((f"linalg.{n}", lambda d, f=n: getattr(np.linalg, f)(d.q)) for n in "norm det slogdet inv pinv cholesky svdvals eigvalsh matrix_norm trace diagonal".split()),  # noqa: E501
    ("linalg.norm", lambda d: np.linalg.norm(d.m, axis=1)), ("linalg.norm", lambda d: np.linalg.norm(d.v, 3)),
    ("linalg.vector_norm", lambda d: np.linalg.vector_norm(d.m)),
    ("linalg.vector_norm", lambda d: np.linalg.vector_norm(d.m, axis=0, ord=1)),
    ("linalg.vector_norm", lambda d: np.linalg.vector_norm(d.m, keepdims=True)),
    ("linalg.solve", lambda d: np.linalg.solve(d.q, d.m)),
    ("linalg.cond", lambda d: np.linalg.cond(d.q, 1)), ("linalg.matrix_rank", lambda d: np.linalg.matrix_rank(d.q)),
    ("linalg.lstsq", lambda d: tuple(np.linalg.lstsq(d.m, d.m[:, 0]))),
    ("linalg.matrix_power", lambda d: np.linalg.matrix_power(d.q, 3)),
    ("linalg.cholesky", lambda d: np.linalg.cholesky(d.q, upper=True)),
    ("linalg.qr", lambda d: (lambda found: (found[0] @ found[1], abs(found[1])))(np.linalg.qr(d.m))),
    ("linalg.svd", lambda d: (lambda found: (found[0] * found[1]) @ found[2])(np.linalg.svd(d.m, full_matrices=False))),
    ("linalg.eigh", lambda d: (lambda found: found[0])(np.linalg.eigh(d.q))),
    ("linalg.multi_dot", lambda d: np.linalg.multi_dot([d.q, d.m, d.m.T])),
    ("linalg.tensorinv", lambda d: np.linalg.tensorinv(d.q, ind=1)),
    ("linalg.tensorsolve", lambda d: np.linalg.tensorsolve(d.q, d.m[:, 0])),
    ("linalg.outer", lambda d: np.linalg.outer(d.v, d.w)), ("linalg.cross", lambda d: np.linalg.cross(d.q, d.m.T[:3])),
    ("linalg.matmul", lambda d: np.linalg.matmul(d.q, d.m)), ("linalg.vecdot", lambda d: np.linalg.vecdot(d.m, d.p)),
    ("linalg.tensordot", lambda d: np.linalg.tensordot(d.m, d.p, axes=2)),
]  # fmt: skip
FOURIER = [
    *((f"fft.{n}", lambda d, f=n: getattr(np.fft, f)(d.t)) for n in "fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn fftshift ifftshift".split()),  # noqa: E501
    ("fft.rfft", lambda d: np.fft.rfft(d.m, 5, 0, "ortho")), ("fft.irfft", lambda d: np.fft.irfft(d.m, 5)),
    ("fft.fft", lambda d: np.fft.fft(d.m, 6, axis=0, norm="forward")),
]  # fmt: skip
GROUPS = {
    "fourier": FOURIER, "ufuncs": list(ufunc_examples()), "reductions": REDUCTIONS, "shapes": SHAPES,
    "joining": JOINING, "reading": READING, "arithmetic": ARITHMETIC, "linalg": LINALG,
}  # fmt: skip


def as_list(found):
    return list(found) if isinstance(found, (list, tuple)) else [found]


def available(name):
    home, _, last = name.rpartition(".")
    return hasattr(getattr(np, home) if home else np, last)


@pytest.mark.parametrize("group", GROUPS)
def test_functions_of_numpy(group):
    """The dtypes agree in kind; the arrays are also given with lengths known only at call time."""
    examples = [(n, f) for n, f in GROUPS[group] if available(n)]
    arrays = SimpleNamespace(**VALUES)
    with symc.config.change(floatX="float64"):
        inputs = {k: T.tensor(v.dtype.name, shape=[None] * v.ndim, name=k) for k, v in VALUES.items()}
        variables, wants, labels = [], [], []
        for name, f in examples:
            with np.errstate(all="ignore"):
                want = as_list(f(arrays))
            have = as_list(f(SimpleNamespace(**inputs)))
            assert len(have) == len(want), name
            variables += map(T.as_tensor, have)
            wants += want
            labels += [name] * len(want)
        f = symc.function(list(inputs.values()), variables, device="interp", on_unused_input="ignore")
    for name, have, want in zip(labels, f(*VALUES.values()), wants):
        want = np.asarray(want)
        assert have.shape == want.shape and have.dtype.kind == want.dtype.kind, (name, have, want)
        np.testing.assert_allclose(have, want, rtol=1e-11, atol=1e-13, err_msg=name)


def test_every_function_of_the_tables_is_run():
    run = {name for examples in GROUPS.values() for name, _ in examples}
    assert not [n for n in (*UFUNCS, *FUNCTIONS) if n not in run]


def test_lists_of_scalars():
    x = T.matrix("x")
    assert np.prod([x.shape[0], 3]).eval({x: np.ones((2, 5))}) == 6
    assert np.sum([x.sum(), x.shape[1], 1]).eval({x: np.ones((2, 5))}) == 16
    table = np.array([x.min(), x.max()])
    assert table.dtype == object
    np.testing.assert_array_equal(T.as_tensor(table).eval({x: [[3, 8]]}), [3, 8])
    assert T.as_tensor(np.asarray(x.sum())).eval({x: [[3, 8]]}) == 11


def test_gradients_pass_through():
    x = T.dvector("x")
    slope = symc.grad(np.sum(np.exp(x) * np.linalg.norm(x) ** 2), x)
    at = np.array([0.5, -1.0])
    want = np.exp(at) * (at @ at) + np.exp(at).sum() * 2 * at
    np.testing.assert_allclose(slope.eval({x: at}), want)


def test_equality_with_an_array_is_identity_unless_the_variable_is_first():
    x = T.dvector("x")
    assert (np.ones(2) == x) is False and (np.ones(2) != x) is True
    np.testing.assert_array_equal(np.equal(x, [1, 2]).eval({x: [1, 3]}), [True, False])


def test_in_place_operators_rebind():
    x, total = T.dvector("x"), np.ones(2)
    total += x
    np.testing.assert_array_equal(total.eval({x: [1, 2]}), [2, 3])


REFUSED = [
    (lambda x: np.exp(x, out=np.empty(3)), r"numpy.exp does not work on symbolic variables with out="),
    (lambda x: np.add(x, 1, where=np.array([True])), r"numpy.add .* with where="),
    (lambda x: np.sum(x, out=np.empty(())), r"numpy.sum .* with out=(.|\n)*use the result"),
    (lambda x: np.sum(x, initial=3.0), r"numpy.sum .* with initial="),
    (lambda x: np.sum(x, where=[True]), r"numpy.sum .* with where=(.|\n)*where\(condition"),
    (lambda x: np.reshape(x, (1, -1), order="F"), r"numpy.reshape .* with order="),
    (lambda x: np.add.at(x, [0], 1), r"numpy.add.at does not work"),
    (lambda x: np.add.reduce(x, initial=2), r"numpy.add.reduce .* with initial="),
    (lambda x: np.subtract.reduce(x), r"numpy.subtract.reduce does not work"),
    (lambda x: np.spacing(x), r"numpy.spacing does not work"),
    (lambda x: np.unwrap(x), r"numpy.unwrap does not work on symbolic variables"),
    (lambda x: np.interp(x, [0, 1], [0, 1], period=2), r"numpy.interp .* with period="),
    (lambda x: np.quantile(x, 0.5, method="lower"), r"numpy.quantile .* with method="),
    (lambda x: range(x.sum()), r"is no int(.|\n)*eval"),
    (lambda x: np.linalg.matrix_rank(x, rtol=1e-3), r"numpy.linalg.matrix_rank .* with rtol="),
    (lambda x: np.nanmax(x, where=[True]), r"numpy.nanmax .* with where="),
    (lambda x: np.polyfit(x, x, 1), r"numpy.polyfit does not work"),
    (lambda x: np.asarray(x), r"is no NumPy array(.|\n)*eval"), (lambda x: float(x.sum()), r"is no float"),
    (lambda x: np.array([x, x]), r"is no NumPy array"),
]  # fmt: skip


@pytest.mark.parametrize("call, message", REFUSED)
def test_what_has_no_counterpart(call, message):
    """The message names NumPy's function, the variable and the user's line."""
    with pytest.raises(TypeError, match=message) as caught:
        call(T.dvector("x"))
    assert "x: float64" in str(caught.value) or "sum" in str(caught.value)
    assert "test_numpy_protocols" in str(caught.value)


def test_other_libraries_are_asked_first():
    """A function with an argument of another class that has the protocol is left to that class."""

    class Other:
        def __array_function__(self, function, types, args, kwargs):
            return "other"

    assert np.concatenate([T.dvector("x"), Other()]) == "other"


def computed(function, *arrays):
    """The function of variables with these values, with its dtypes."""
    inputs = [T.TensorType(a.dtype.name, [n == 1 for n in a.shape])() for a in arrays]
    found = function(*inputs)
    return symc.function(inputs, list(found) if isinstance(found, tuple) else found, device="interp")(*arrays)


@pytest.mark.parametrize("name", ["vdot", "vecdot", "linalg.vecdot", "vecmat"])
@pytest.mark.parametrize("dtypes", [("complex128", "complex128"), ("complex128", "float64"), ("float64", "complex128")])
def test_the_first_operand_is_conjugated(name, dtypes):
    a, b = (RNG.normal(size=(3, 3)) + (1j * RNG.normal(size=(3, 3)) if "complex" in d else 0) for d in dtypes)
    function = np.linalg.vecdot if "." in name else getattr(np, name)
    np.testing.assert_allclose(computed(function, a, b), function(a, b))


SHIFTED = {
    "int8": [-128, -5, -1, 0, 1, 5, 127], "uint8": [0, 1, 5, 200, 255], "int64": [-(2**63), -7, -1, 0, 9, 2**63 - 1],
}  # fmt: skip


@pytest.mark.parametrize("narrow", ["uint8", "int8"])
@pytest.mark.parametrize("dtype", SHIFTED)
@pytest.mark.parametrize("shift", [np.left_shift, np.right_shift])
def test_shifts_by_any_number_of_bits(shift, dtype, narrow):
    x, n = np.array(SHIFTED[dtype], dtype)[:, None], np.arange(80, dtype=narrow)
    np.testing.assert_array_equal(computed(shift, x, n), shift(x, n))


def test_dtypes_of_integers_and_truth_values():
    whole, far = np.array([[-3, 0], [7, 2]], "int64"), np.array([[1, 200], [0, 11]], "uint8")
    for function in (np.rint, np.fabs, np.modf, lambda x: np.copysign(x, -1.0)):
        for got, want in zip(np.atleast_2d(computed(function, whole)), np.atleast_2d(function(whole))):
            assert np.asarray(got).dtype.kind == "f"
            np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(computed(np.ldexp, whole, far), np.ldexp(whole.astype("float32"), far))
    tiny, by = np.array([0.0, 5e-324, 1e300, -1.5, np.inf]), np.array([2000, 2090, -2000, 1023, -9999])
    np.testing.assert_array_equal(computed(np.ldexp, tiny, by), np.ldexp(tiny, by))
    for function in (np.tril, np.triu):
        got = computed(function, whole > 0)
        assert got.dtype == bool
        np.testing.assert_array_equal(got, function(whole > 0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("shape", [(0,), (1,), (2,), (3,)])
def test_variance_of_fewer_elements_than_are_subtracted(shape, dtype):
    x = RNG.normal(size=shape).astype(dtype)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning) if len(x) < 3 else nullcontext():
        want = np.var(x, ddof=2)
    np.testing.assert_allclose(computed(lambda v: T.var(v, ddof=2), x), want, rtol=1e-5)


def test_differences_of_truth_values():
    x = RNG.random((4, 5)) < 0.5
    for n in (0, 1, 2, 6):
        got = computed(lambda v, n=n: np.diff(v, n, axis=1), x)
        assert got.dtype == bool
        np.testing.assert_array_equal(got, np.diff(x, n, axis=1))


def test_quantiles_and_interpolation_have_gradients():
    x, xp, fp = T.dvectors("x", "xp", "fp")
    at, points, values = np.array([0.3, -1.0, 2.5, 0.9]), np.array([0.0, 0.5, 2.0]), np.array([1.0, -1.0, 3.0])
    line = np.interp(x, xp, fp)
    f = symc.function([x, xp, fp], [line, *symc.grad(line.sum(), [x, fp])])
    found, by_x, by_values = f(at, points, values)
    np.testing.assert_allclose(found, np.interp(at, points, values))
    np.testing.assert_allclose(by_x, [-4, 0, 0, 8 / 3])
    np.testing.assert_allclose(by_values, [0.4 + 1, 0.6 + 1.1 / 1.5, 0.4 / 1.5 + 1])
    q = T.dscalar("q")  # and fractions written as numbers are those of float64, whatever floatX is
    f = symc.function(
        [x, q], [np.quantile(x, q), *symc.grad(np.quantile(x, [0.1, 0.4]).sum(), [x])], on_unused_input="ignore"
    )
    found, slope = f(at, 0.7)
    np.testing.assert_allclose(found, np.quantile(at, 0.7), rtol=1e-14)
    np.testing.assert_allclose(slope, [0.3 + 0.8, 0.7, 0, 0.2], rtol=1e-14)
    with pytest.raises(ValueError, match="fractions must be from 0 to 1"):
        np.quantile(x, 30)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("widths", [0, 1, ((1, 0), (0, 2)), ((3, 0), (0, 0)), ((0, 0), (2, 1))])
def test_pad_whether_lengths_are_known_or_not(mode, widths):
    for shape in ((4, 5), (1, 1), (2, 7)):
        value = RNG.normal(size=shape)
        for declared in (shape, (None, None)):
            x = T.TensorType("float64", declared)("x")
            f = symc.function(
                [x], [np.pad(x, widths, mode=mode), symc.grad((np.pad(x, widths, mode=mode) ** 2).sum(), x)]
            )
            got, slope = f(value)
            want = np.pad(value, widths, mode=mode)
            np.testing.assert_array_equal(got, want)
            np.testing.assert_allclose((slope * value).sum(), 2 * (want**2).sum())
    if mode == "constant":
        f = symc.function([x], np.pad(x, widths, constant_values=3))
        np.testing.assert_array_equal(f(value), np.pad(value, widths, constant_values=3))
        x = T.TensorType("float64", (3, 40, 50))("x")
        text = symc.printing.debugprint(
            symc.function([x], np.pad(x, ((0, 0), (1, 1), (2, 2)))), stage="loops", file="str"
        )
        assert "temp" not in text  # the result is written in one pass


def test_pad_refuses_negative_widths():
    with pytest.raises(ValueError, match="cannot be negative"):
        np.pad(T.vector("x"), (-1, 2))


def test_linspace_ends_exactly_at_its_end():
    a, b, n = T.dscalar("a"), T.dscalar("b"), T.lscalar("n")
    f = symc.function([a, b, n], T.linspace(a, b, n, dtype="float64"))
    rng = np.random.default_rng(0)
    for k in (2, 3, 7, 50):
        for start, stop in rng.normal(size=(20, 2)):
            assert f(start, stop, k)[-1] == stop and f(start, stop, k)[0] == start
    assert f(0.5, 2.0, 1) == [0.5]
    x = T.dvector("x")  # so that the largest element falls into the last bin
    counts, edges = symc.function([x], np.histogram(x))(rng.normal(size=100))
    assert counts.sum() == 100 and edges.dtype == np.float64


def test_histograms_convolutions_and_differences_have_gradients():
    x, w = T.dvector("x"), T.dvector("w")
    at, by = np.array([0.3, 1.2, 2.5, 2.9]), np.array([1.0, -2.0, 0.5])
    weighted = np.histogram(x, [0.0, 1.0, 3.0], weights=x**2)[0][1]
    smooth, slope = np.convolve(x, w, "same")[1], np.gradient(x)[0]
    f = symc.function([x, w], [symc.grad(v, x) for v in (weighted, smooth, slope)], on_unused_input="ignore")
    for found, want in zip(f(at, by), ([0, 2.4, 5, 5.8], [0.5, -2, 1, 0], [-1, 1, 0, 0])):
        np.testing.assert_allclose(found, want, atol=1e-15)


@pytest.mark.parametrize("function", [np.median, np.nanmedian])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (1, 2), (4, 3)])
def test_the_median_of_nothing_is_nan(function, shape):
    x = T.dmatrix("x") if len(shape) == 2 else T.dvector("x")
    values = np.random.default_rng(3).standard_normal(shape)
    for axis in (None, *range(len(shape))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = function(values, axis=axis)
        np.testing.assert_allclose(symc.function([x], function(x, axis=axis))(values), want, rtol=1e-12)


@pytest.mark.parametrize("function", [np.nanargmax, np.nanargmin])
def test_positions_of_extremes_refuse_lines_of_nothing_but_nan(function):
    x, i = T.dmatrix("x"), T.lmatrix("i")
    f = symc.function([x], function(x, axis=1))
    np.testing.assert_array_equal(f([[np.nan, 2.0], [3.0, np.nan]]), [1, 0])
    with pytest.raises(ValueError, match="All-NaN slice"):
        f([[np.nan, np.nan], [3.0, np.nan]])
    assert symc.function([i], function(i))([[4, 4], [4, 4]]) == 0


def test_divisors_and_multiples_are_of_integers():
    i, b = T.vector("i", dtype="int8"), T.vector("b", dtype="bool")
    f = symc.function([i, b], [np.gcd(i, np.int16(300)), np.lcm(i, 7), np.gcd(b, 2), np.lcm(b, i)])
    for got, want in zip(f([-128, 0, 100], [1, 0, 1]), ([4, 300, 100], [-128, 0, -68], [1, 2, 1], [-128, 0, 100])):
        np.testing.assert_array_equal(got, want)
    for function in (np.gcd, np.lcm):
        with pytest.raises(TypeError, match="works on integers, got float64"):
            function(T.dvector("x"), 2)


def test_a_scalar_may_be_reduced_over_its_last_axis():
    x = T.dscalar("x")
    for function in (np.sum, np.prod, np.max, np.min, np.any, np.all):
        for axis in (0, -1):
            assert function(x, axis=axis).eval({x: 3.0}) == function(np.float64(3.0), axis=axis)
        with pytest.raises(symc.errors.AxisError):
            function(x, axis=1)
    assert symc.grad(T.sum(x * x, axis=-1), x).eval({x: 3.0}) == 6
