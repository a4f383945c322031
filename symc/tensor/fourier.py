"""The records of discrete Fourier transforms, and the functions of ``theano.tensor.fft``.

Complex numbers are pairs here: the last axis of a spectrum has length 2 and holds real and imaginary parts. The records
compute unscaled sums, by NumPy; scaling is a division outside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import floating, is_complex
from symc.graph.op import Arg, Case, HostCall, Op, Record, record
from symc.graph.types import TensorType
from symc.graph.variables import as_complex
from symc.tensor import elementwise as ew
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.creation import arange
from symc.tensor.options import choice
from symc.tensor.symbolic_dims import as_dim, length

__all__ = ["FFT", "IRFFT", "RFFT", "irfft", "rfft", "scaled"]


def _as_pairs(z: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Real and imaginary parts of ``z`` along a new last axis."""
    return np.stack([z.real, z.imag], axis=-1).astype(dtype, copy=False)


def _check_lengths(op: Op, x: Variable, lengths: Sequence[dims.Dim]) -> None:
    for dim in lengths:
        if type(dim) is int and dim < 1:
            raise ShapeError(located(f"{op.name}: cannot transform an axis of length {dim}", [x]))


# --- unscaled sums --------------------------------------------------------------------------------------------------


def _rfft_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (x,) = inputs
    axes, shape = op["axes"], list(x.type.shape)
    _check_lengths(op, x, [shape[a] for a in axes])
    shape[axes[-1]] = dims.add(dims.floordiv(shape[axes[-1]], 2), 1)
    return TensorType(x.dtype, (*shape, 2))


def _rfft_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    """``dx = irfft(dy w)``: the inverse counts twice all frequencies but 0 and n / 2, so ``w`` is 1/2 there."""
    n = length(inputs[0], op["axes"][-1])
    return [Op(IRFFT, axes=op["axes"])(gs[0] / _multiplicity(gs[0], op["axes"][-1], n), as_tensor(n))]


RFFT: Record = record(
    "rfft",
    infer=_rfft_infer,
    numpy=lambda op, x: _as_pairs(np.fft.rfftn(x, axes=op["axes"]), x.dtype),
    grad=_rfft_grad,
    linear="jointly",
    lower=HostCall(),
    cases=lambda: [
        Case(lambda x: rfft(x), (Arg((2, 5)),), expect=lambda x: _by_sums(x, (1,))),
        Case(lambda x: rfft(x, "ortho"), (Arg((2, 4, 3)),), expect=lambda x: _by_sums(x, (1, 2)) / np.sqrt(12)),
        Case(lambda x: rfft(x), (Arg((2, 3, 4)),), expect=lambda x: _by_sums(x, (1, 2))),
        Case(lambda x: rfft(x), (Arg((0, 4)),), expect=lambda x: np.zeros((0, 3, 2), x.dtype), grad=False),
    ],
)


def _irfft_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    p, n = inputs
    shape = list(p.type.shape[:-1])
    shape[op["axes"][-1]] = as_dim(n)
    _check_lengths(op, p, [shape[a] for a in op["axes"]])
    return TensorType(p.dtype, shape)


def _irfft_numpy(op: Op, p: np.ndarray, n: np.ndarray) -> np.ndarray:
    lengths = [*(p.shape[a] for a in op["axes"][:-1]), int(n)]
    if lengths[-1] // 2 + 1 != p.shape[op["axes"][-1]]:
        raise ValueError(f"a signal of length {n} has {n // 2 + 1} frequencies, not {p.shape[op['axes'][-1]]}")
    return np.fft.irfftn(as_complex(p), lengths, op["axes"], norm="forward").astype(p.dtype, copy=False)


def _irfft_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    found = Op(RFFT, axes=op["axes"])(gs[0])
    return [found * _multiplicity(found, op["axes"][-1], inputs[1]), None]


IRFFT: Record = record(
    "irfft",
    infer=_irfft_infer,
    numpy=_irfft_numpy,
    grad=_irfft_grad,
    linear="first",
    lower=HostCall(),
    cases=lambda: [
        Case(lambda p: irfft(p), (Arg((2, 3, 2)),), expect=lambda p: _hermitian_sums(p, 4, 1) / 4),
        Case(
            lambda p: irfft(p, "ortho", is_odd=True), (Arg((2, 3, 2)),),
            expect=lambda p: _hermitian_sums(p, 5, 1) / np.sqrt(5),
        ),
        Case(
            lambda p: irfft(p, is_odd=True), (Arg((2, 3, 3, 2)),),
            expect=lambda p: np.fft.irfft(np.fft.ifft(p[..., 0] + 1j * p[..., 1], axis=1), 5, axis=2),
        ),
    ],
)  # fmt: skip


def _fft_infer(op: Op, inputs: Sequence[Variable]) -> TensorType:
    (p,) = inputs
    _check_lengths(op, p, [p.type.shape[a] for a in op["axes"]])
    return p.type


def _fft_numpy(op: Op, p: np.ndarray) -> np.ndarray:
    z = as_complex(p)
    if op["inverse"]:
        return _as_pairs(np.fft.ifftn(z, axes=op["axes"], norm="forward"), p.dtype)
    return _as_pairs(np.fft.fftn(z, axes=op["axes"]), p.dtype)


FFT: Record = record(
    "fft",
    infer=_fft_infer,
    numpy=_fft_numpy,
    grad=lambda op, inputs, outputs, gs: [Op(FFT, axes=op["axes"], inverse=not op["inverse"])(gs[0])],
    linear="jointly",
    lower=HostCall(),
    cases=lambda: [
        Case(
            lambda p, inverse=inverse: Op(FFT, axes=(1,), inverse=inverse)(p),
            (Arg((2, 3, 2)),),
            expect=lambda p, sign=sign: _complex_sums(p, sign),
        )
        for inverse, sign in ((False, -1), (True, 1))
    ],
)


def _multiplicity(p: Variable, axis: int, n: Any) -> Variable:
    """How often the full spectrum has a frequency of the half one: once for 0 and ``n / 2``, twice for others."""
    k = arange(length(p, axis))
    found = ew.switch(ew.or_(ew.eq(k, 0), ew.eq(2 * k, n)), 1.0, 2.0)
    return dimshuffle(ew.cast(found, p.dtype), ["x"] * axis + [0] + ["x"] * (p.ndim - axis - 1))


def _roots(n: int, frequencies: int, sign: int) -> np.ndarray:
    """``exp(sign 2 pi i j k / n)``: the matrix of a transform, by ``j`` and ``k``."""
    angle = 2 * np.pi * np.outer(np.arange(n), np.arange(frequencies)) / n
    return np.asarray(np.cos(angle) + sign * 1j * np.sin(angle))


def _by_sums(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """The transform of a real signal, as its definition is written."""
    for axis in reversed(axes):
        n = x.shape[axis]
        count = n // 2 + 1 if axis == axes[-1] else n
        x = np.moveaxis(np.tensordot(x, _roots(n, count, -1), (axis, 0)), -1, axis)
    return np.stack([x.real, x.imag], -1)


def _hermitian_sums(p: np.ndarray, n: int, axis: int) -> np.ndarray:
    """The unscaled inverse transform over one axis of a spectrum whose missing half is the conjugate."""
    half = np.moveaxis(p[..., 0] + 1j * p[..., 1], axis, -1)
    rest = half[..., 1 : n - half.shape[-1] + 1][..., ::-1].conj()
    full = np.concatenate([half, rest], -1)
    return np.asarray(np.moveaxis((full @ _roots(n, n, 1)).real, -1, axis))


def _complex_sums(p: np.ndarray, sign: int) -> np.ndarray:
    n = p.shape[1]
    z = (p[..., 0] + 1j * p[..., 1]) @ _roots(n, n, sign)
    return np.stack([z.real, z.imag], -1)


def _operand(what: str, x: Any, least: int, wanted: str) -> Variable:
    x = as_tensor(x)
    if x.ndim < least:
        text = f"{what}: expected {wanted}, got {x.ndim} axes"
        raise ShapeError(located(text, [x], "add an axis of batches with dimshuffle('x', 0)" if x.ndim else ""))
    dtype = floating(x.dtype)
    return ew.cast(x, dtype)


def scaled(what: str, y: Variable, lengths: Sequence[Any], norm: str | None, inverse: bool) -> Variable:
    """Divide by the number of elements or its square root, as Theano's ``norm`` says."""
    choice(what, "norm", norm, (None, "ortho", "no_norm"), [y])
    if norm == "no_norm" or norm is None and not inverse:
        return y
    count = as_tensor(1.0)
    for n in lengths:
        count = count * ew.cast(as_tensor(n), y.dtype)
    return y / (ew.sqrt(count) if norm == "ortho" else count)


# --- Theano's functions ---------------------------------------------------------------------------------------------


def rfft(inp: Any, norm: str | None = None) -> Variable:
    """The Fourier transforms of real signals, over all axes but the first.

    ``y[k] = sum_j x[j] exp(-2 pi i j k / n)`` per axis, for the ``n // 2 + 1`` frequencies of the last axis that
    determine the others.

    Parameters
    ----------
    inp : tensor_like
        ``(batch, ..., n)``, of real numbers.
    norm : {None, "ortho", "no_norm"}
        With ``"ortho"`` the result is divided by the square root of the number of elements of a signal. The others do
        not scale it.

    Returns
    -------
    Variable
        ``(batch, ..., n // 2 + 1, 2)``: real and imaginary parts along the last axis.

    Notes
    -----
    The derivative is an ``irfft``. For other axes, and for spectra of complex dtype, use ``rfftn``.
    """
    x = _operand("rfft", inp, 2, "signals of shape (batch, ..., n)")
    if is_complex(x.dtype):
        raise DTypeError(located("rfft: expected real numbers", [x], "use symc.tensor.fft.fft for complex numbers"))
    axes = tuple(range(1, x.ndim))
    lengths = [length(x, a) for a in axes]
    return scaled("rfft", Op(RFFT, axes=axes)(x), lengths, norm, False)


def irfft(inp: Any, norm: str | None = None, is_odd: bool = False) -> Variable:
    """The real signals with the given halves of spectra: the inverse of ``rfft``.

    Parameters
    ----------
    inp : tensor_like
        ``(batch, ..., m, 2)``: real and imaginary parts of spectra along the last axis.
    norm : {None, "ortho", "no_norm"}
        With None the result is divided by the number of elements of a signal, with ``"ortho"`` by its square root, and
        with ``"no_norm"`` it is not scaled.
    is_odd : bool
        Whether the signals are of odd length ``2 m - 1`` along the last axis instead of ``2 (m - 1)``.

    Returns
    -------
    Variable
        ``(batch, ..., n)``. Imaginary parts that a real signal cannot have are ignored.
    """
    if is_odd not in (True, False):
        raise ValueError(located(f"irfft: is_odd must be True or False, got {is_odd!r}"))
    p = _operand("irfft", inp, 3, "spectra of shape (batch, ..., m, 2)")
    if is_complex(p.dtype):
        repair = "use symc.tensor.fft.irfftn for complex numbers"
        raise DTypeError(located("irfft: expected pairs of real and imaginary parts", [p], repair))
    if type(p.type.shape[-1]) is int and p.type.shape[-1] != 2:
        text = f"irfft: expected real and imaginary parts along the last axis, got length {p.type.shape[-1]}"
        raise ShapeError(located(text, [p], "stack([real, imag], axis=-1)"))
    axes = tuple(range(1, p.ndim - 1))
    n = (length(p, axes[-1]) - 1) * 2 + int(is_odd)
    lengths = [*(length(p, a) for a in axes[:-1]), n]
    return scaled("irfft", Op(IRFFT, axes=axes)(p, as_tensor(n)), lengths, norm, True)


explain_faults(globals())
