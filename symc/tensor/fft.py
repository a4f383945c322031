"""Discrete Fourier transforms: those of ``theano.tensor.fft``, and those of ``numpy.fft``.

``rfft`` and ``irfft`` have Theano's meaning: the last axis of a spectrum has length 2 and holds real and imaginary
parts. The others have NumPy's meaning, and spectra of complex dtype: ``numpy.fft.rfft(x)`` is ``rfftn(x, axes=[-1])``,
and ``numpy.fft.irfft(z)`` is ``irfftn(z, axes=[-1])``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symc.errors import DTypeError, ShapeError, located
from symc.graph import Variable, dims
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import complex_of, floating, is_complex, part_of
from symc.graph.op import Op
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor, normalize_axis
from symc.tensor.complex_numbers.parts import stacked, unstacked
from symc.tensor.creation import arange, zeros
from symc.tensor.extra_ops import roll
from symc.tensor.fourier import FFT, IRFFT, RFFT, irfft, rfft, scaled
from symc.tensor.joining import concatenate
from symc.tensor.options import choice
from symc.tensor.symbolic_dims import as_dim, length

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "ifft", "ifft2", "ifftn", "ifftshift", "irfft", "irfftn", "rfft",
    "rfftfreq", "rfftn",
]  # fmt: skip


def fft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The Fourier transform over one axis, as ``numpy.fft.fft``: ``y[k] = sum_j a[j] exp(-2 pi i j k / n)``.

    Parameters
    ----------
    a : tensor_like
        Real or complex.
    n : int or Variable, optional
        The length along ``axis``, to which ``a`` is cropped or padded with zeros; by default its own.
    axis : int
    norm : {None, "backward", "ortho", "forward"}
        Where the division by ``n`` takes place: in the inverse transform (``"backward"``, also None), in this one
        (``"forward"``), or its square root in both (``"ortho"``).

    Returns
    -------
    Variable
        Complex, of the shape of ``a`` except for the length along ``axis``.
    """
    return _transform("fft", a, None if n is None else [n], [axis], norm, False)


def ifft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The inverse of ``fft``, with the same parameters."""
    return _transform("ifft", a, None if n is None else [n], [axis], norm, True)


def fft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Variable:
    """``fftn`` over two axes."""
    return _transform("fft2", a, s, axes, norm, False)


def ifft2(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Variable:
    """The inverse of ``fft2``."""
    return _transform("ifft2", a, s, axes, norm, True)


def fftn(a: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> Variable:
    """The Fourier transform over several axes, as ``numpy.fft.fftn``.

    Parameters
    ----------
    a : tensor_like
        Real or complex.
    s : sequence of int or Variable, optional
        The length along each of ``axes``, to which ``a`` is cropped or padded with zeros.
    axes : sequence of int, optional
        By default the last ``len(s)`` axes, or all.
    norm : {None, "backward", "ortho", "forward"}
        As for ``fft``.
    """
    return _transform("fftn", a, s, axes, norm, False)


def ifftn(a: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> Variable:
    """The inverse of ``fftn``, with the same parameters."""
    return _transform("ifftn", a, s, axes, norm, True)


def rfftn(a: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> Variable:
    """The Fourier transform of real numbers, as ``numpy.fft.rfftn``: along the last of ``axes``, the ``n // 2 + 1``
    frequencies that determine the others. Parameters as for ``fftn``.
    """
    x = as_tensor(a)
    if is_complex(x.dtype):
        raise DTypeError(located("rfftn: expected real numbers", [x], "use fftn"))
    x = ew.cast(x, floating(x.dtype))
    along, lengths = _axes_and_lengths("rfftn", x, s, axes)
    for axis, n in zip(along, lengths):
        x = _resized(x, n, axis)
    y = Op(RFFT, axes=along)(x)
    return unstacked(_normalised("rfftn", y, lengths, norm, False))


def irfftn(a: Any, s: Any = None, axes: Sequence[int] | None = None, norm: str | None = None) -> Variable:
    """The inverse of ``rfftn``: real numbers, as ``numpy.fft.irfftn``.

    Without ``s``, the length along the last axis is even: ``2 (m - 1)`` for ``m`` frequencies.
    """
    z = _as_complex_operand(a)
    along, lengths = _axes_and_lengths("irfftn", z, s, axes)
    if s is None:
        lengths[-1] = (lengths[-1] - 1) * 2
    for axis, n in zip(along, [*lengths[:-1], lengths[-1] // 2 + 1]):
        z = _resized(z, n, axis)
    x = Op(IRFFT, axes=along)(stacked(z), ew.cast(as_tensor(lengths[-1]), "int64"))
    return _normalised("irfftn", x, lengths, norm, True)


def fftshift(x: Any, axes: int | Sequence[int] | None = None) -> Variable:
    """Move frequency 0 to the middle of ``axes`` (all by default), as ``numpy.fft.fftshift``."""
    return _shifted("fftshift", x, axes, lambda n: n // 2)


def ifftshift(x: Any, axes: int | Sequence[int] | None = None) -> Variable:
    """The inverse of ``fftshift``."""
    return _shifted("ifftshift", x, axes, lambda n: -(n // 2))


def fftfreq(n: Any, d: Any = 1.0) -> Variable:
    """The frequencies of ``fft`` of ``n`` samples at intervals ``d``: ``[0, 1, ..., -2, -1] / (d n)``."""
    k = arange(n)
    return ew.switch(ew.lt(k, (as_tensor(n) + 1) // 2), k, k - n) / (as_tensor(d) * n)


def rfftfreq(n: Any, d: Any = 1.0) -> Variable:
    """The frequencies of ``rfftn`` of ``n`` samples at intervals ``d``: ``[0, 1, ..., n // 2] / (d n)``."""
    return arange(n // 2 + 1) / (as_tensor(d) * n)


def _as_complex_operand(a: Any) -> Variable:
    z = as_tensor(a)
    return ew.cast(z, complex_of(part_of(floating(z.dtype))))


def _transform(what: str, a: Any, s: Any, axes: Any, norm: str | None, inverse: bool) -> Variable:
    z = _as_complex_operand(a)
    along, lengths = _axes_and_lengths(what, z, s, axes)
    for axis, n in zip(along, lengths):
        z = _resized(z, n, axis)
    y = Op(FFT, axes=along, inverse=inverse)(stacked(z))
    return unstacked(_normalised(what, y, lengths, norm, inverse))


def _axes_and_lengths(what: str, x: Variable, s: Any, axes: Any) -> tuple[tuple[int, ...], list[Any]]:
    given = None if s is None else list(s)
    if axes is None:
        axes = range(x.ndim) if given is None else range(x.ndim - len(given), x.ndim)
    found = tuple(normalize_axis(k, x.ndim, what, x) for k in axes)
    if not found or len(set(found)) != len(found):
        raise ShapeError(located(f"{what}: expected one or several different axes, got {list(axes)}", [x]))
    if given is not None and len(given) != len(found):
        raise ShapeError(located(f"{what}: {len(given)} lengths for {len(found)} axes", [x]))
    return found, [length(x, k) for k in found] if given is None else given


def _resized(x: Variable, n: Any, axis: int) -> Variable:
    """``x`` cropped or padded with zeros to length ``n`` along ``axis``."""
    have = x.type.shape[axis]
    if dims.equal(have, as_dim(n)) is True:
        return x
    lead = (slice(None),) * axis
    if not (type(have) is int and isinstance(n, int) and have > n):
        more = n - have if type(have) is int and isinstance(n, int) else n
        room = zeros([more if k == axis else length(x, k) for k in range(x.ndim)], x.dtype)
        x = concatenate([x, room], axis=axis)
    return x[(*lead, slice(0, n))]


def _normalised(what: str, y: Variable, lengths: Sequence[Any], norm: str | None, inverse: bool) -> Variable:
    """Divide by the number of elements or its square root, as NumPy's ``norm`` says."""
    choice(what, "norm", norm, (None, "backward", "ortho", "forward"), [y])
    divided = norm == "ortho" or inverse == (norm != "forward")
    return scaled(what, y, lengths, "ortho" if norm == "ortho" else None if divided else "no_norm", True)


def _shifted(what: str, x: Any, axes: int | Sequence[int] | None, by: Callable[[Any], Any]) -> Variable:
    x = as_tensor(x)
    given = range(x.ndim) if axes is None else [axes] if isinstance(axes, int) else axes
    for k in given:
        axis = normalize_axis(k, x.ndim, what, x)
        x = roll(x, by(length(x, axis)), axis)
    return x


explain_faults(globals())
