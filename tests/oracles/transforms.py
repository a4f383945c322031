"""Oracles of Fourier transforms: NumPy's."""

from __future__ import annotations

import numpy as np

from symc.tensor import fft

from . import Table, draw, example

PAIR, PAIRS2 = draw(2, 4, 2), draw(2, 3, 4, 2)


def pairs(z):
    return np.stack([z.real, z.imag], axis=-1)


def joined(p):
    return p[..., 0] + 1j * p[..., 1]


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
}
