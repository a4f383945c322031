"""Oracles of Fourier transforms and of complex numbers: NumPy's."""

from __future__ import annotations

import numpy as np

import symc.tensor as T
from symc.tensor import fft

from . import Table, draw, example

PAIR, PAIRS2 = draw(2, 4, 2), draw(2, 3, 4, 2)


def pairs(z):
    return np.stack([z.real, z.imag], axis=-1)


def joined(p):
    return p[..., 0] + 1j * p[..., 1]


X, Y = draw(3, 4), draw(3, 4, seed=1)
Z, W = X + 1j * Y, Y + 0.5j * X[::-1]


def of_numpy(name, *values, **options):
    """An example of a function of ``numpy.fft`` under the same name."""
    return example(lambda x: getattr(fft, name)(x, **options), lambda x: getattr(np.fft, name)(x, **options), *values)


def rebuilt(w, v):
    """The matrix with these eigenvalues and eigenvectors."""
    return T.matmul(v * w.dimshuffle("x", 0), T.nlinalg.matrix_inverse(v))


NORMS = {None: "backward", "ortho": "ortho"}

TABLE: Table = {
    "fft.rfft": [
        example(lambda x, k=k: fft.rfft(x, k), lambda x, v=v: pairs(np.fft.rfft(x, norm=v)), draw(3, n))
        for k, v in NORMS.items()
        for n in (1, 2, 5, 6)
    ]
    + [
        example(fft.rfft, lambda x: pairs(np.fft.rfftn(x, axes=(1, 2))), draw(2, 3, 4)),
        example(
            lambda x: fft.rfft(x, "ortho"),
            lambda x: pairs(np.fft.rfftn(x, axes=(1, 2, 3), norm="ortho")),
            draw(2, 3, 2, 5),
        ),
        example(lambda x: fft.rfft(x, "no_norm"), lambda x: pairs(np.fft.rfft(x)), draw(3, 5)),
    ],
    "fft.irfft": [
        example(
            lambda p, k=k, odd=odd: fft.irfft(p, k, odd),
            lambda p, v=v, odd=odd: np.fft.irfft(joined(p), 6 + odd, norm=v),
            PAIR,
        )
        for k, v in {**NORMS, "no_norm": "forward"}.items()
        for odd in (False, True)
    ]
    + [
        example(fft.irfft, lambda p: np.fft.irfftn(joined(p), axes=(1, 2)), PAIRS2),
        example(
            lambda p: fft.irfft(p, "ortho", True),
            lambda p: np.fft.irfftn(joined(p), (3, 7), axes=(1, 2), norm="ortho"),
            PAIRS2,
        ),
    ],
    **{
        f"fft.{name}": [
            of_numpy(name, Z),
            of_numpy(name, X, n=7),
            of_numpy(name, Z, n=2, axis=0, norm="ortho"),
            of_numpy(name, Z, norm="forward"),
        ]
        for name in ("fft", "ifft")
    },
    **{
        f"fft.{name}": [
            of_numpy(name, Z),
            of_numpy(name, X, s=(2, 6), axes=(1, 0)),
            of_numpy(name, Z, axes=(0, 1), norm="ortho"),
        ]
        for name in ("fft2", "ifft2", "fftn", "ifftn")
    },
    "fft.rfftn": [of_numpy("rfftn", X), of_numpy("rfftn", Y, axes=[0]), of_numpy("rfftn", X, s=(5, 3), axes=(0, 1))],
    "fft.irfftn": [of_numpy("irfftn", Z), of_numpy("irfftn", W, s=[5], axes=[0], norm="ortho")],
    "fft.fftshift": [of_numpy("fftshift", X), of_numpy("fftshift", Z, axes=0)],
    "fft.ifftshift": [of_numpy("ifftshift", X), of_numpy("ifftshift", Z, axes=0)],
    "fft.fftfreq": [
        example(lambda n, k=k: fft.fftfreq(n, k), lambda n, k=k: np.fft.fftfreq(int(n), k), np.array(7))
        for k in (1.0, 0.5)
    ],
    "fft.rfftfreq": [
        example(lambda n, k=k: fft.rfftfreq(n, k), lambda n, k=k: np.fft.rfftfreq(int(n), k), np.array(6))
        for k in (1.0, 0.5)
    ],
    "complex": [
        example(T.complex, lambda x, y: x + 1j * y, X, Y),
        example(lambda x, y: T.complex(x, y[0]), lambda x, y: x + 1j * y[0], X, Y),
    ],
    "complex_from_polar": [example(T.complex_from_polar, lambda r, a: r * np.exp(1j * a), np.abs(X), Y)],
    "real": [example(T.real, np.real, Z), example(T.real, np.real, X)],
    "imag": [example(T.imag, np.imag, Z), example(T.imag, np.imag, X)],
    "conj": [example(T.conj, np.conj, Z), example(T.conj, np.conj, X)],
    "angle": [example(T.angle, np.angle, Z), example(T.angle, np.angle, X)],
    "hypot": [
        example(T.hypot, np.hypot, X, Y),
        example(T.hypot, np.hypot, [0.0, 3e30, -np.inf, np.inf, np.nan, 1e-40], [0.0, 4e30, 1.0, np.nan, 1.0, 1e-40]),
    ],
    "nlinalg.eig": [example(lambda a: T.real(rebuilt(*T.nlinalg.eig(a))), lambda a: a, draw(3, 3))],
    "nlinalg.eigvals": [
        example(lambda a: abs(T.nlinalg.eigvals(a)).sum(), lambda a: np.abs(np.linalg.eigvals(a)).sum(), draw(3, 3)),
    ],
}
