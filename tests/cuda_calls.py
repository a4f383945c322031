"""Library calls on a device, with various arrays, compared with their NumPy implementations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.loops.calls import CALLS
from symc_backends.cuda import library_calls
from symc_backends.cuda.convolutions import Conv

DTYPES = {"f32": np.dtype("float32"), "f64": np.dtype("float64")}
TOLERANCE = {"f32": 2e-5, "f64": 1e-12}
GUARD = 16
"""Elements around every buffer that no kernel may touch."""


class Buffers:
    """Arrays on the device, each between two guards."""

    def __init__(self, gpu: Any, arrays: Sequence[np.ndarray]) -> None:
        self.gpu = gpu
        self.hosts = [np.concatenate([np.full(GUARD, 7, a.dtype), a, np.full(GUARD, 7, a.dtype)]) for a in arrays]
        self.memory = [gpu.empty(host.nbytes) for host in self.hosts]
        for memory, host in zip(self.memory, self.hosts):
            gpu.driver.memcpy_htod(int(memory), host)

    @property
    def pointers(self) -> list[int]:
        return [int(memory) + GUARD * host.itemsize for memory, host in zip(self.memory, self.hosts)]

    def fetch(self, number: int) -> np.ndarray:
        self.gpu.stream.synchronize()
        found = np.empty_like(self.hosts[number])
        self.gpu.driver.memcpy_dtoh(found, int(self.memory[number]))
        assert (found[:GUARD] == 7).all() and (found[-GUARD:] == 7).all(), "something was written beside the buffer"
        return found[GUARD:-GUARD]


def launch(gpu: Any, bound: library_calls.Bound, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """What a bound call makes of its first array; the others must stay as they are."""
    with gpu:
        buffers = Buffers(gpu, arrays)
        space = gpu.empty(bound.workspace) if bound.workspace else None
        bound(buffers.pointers, int(space) if space else 0)
        for k, array in enumerate(arrays[1:], 1):
            np.testing.assert_array_equal(buffers.fetch(k), array)
        result = buffers.fetch(0)
        del buffers, space  # while the device is ours
    return result


def meaning(which: str, params: dict[str, int], arrays: Sequence[np.ndarray]) -> np.ndarray:
    out = arrays[0].copy()
    with np.errstate(all="ignore"):
        CALLS[which].numpy([out], arrays[1:], params)
    return out


def check(
    gpu: Any, which: str, dtype: str, params: dict[str, int], arrays: Sequence[np.ndarray], libraries: bool = False
) -> library_calls.Bound:
    bound = library_calls.bind(f"{which}_{dtype}", [params[key] for key in CALLS[which].params], gpu, libraries)
    found = launch(gpu, bound, arrays)
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(found, meaning(which, params, arrays), tolerance, 20 * tolerance, err_msg=str(params))
    return bound


def kernel_names(bound: library_calls.Bound) -> list[str]:
    return [stage.name for stage in bound._stages]


def draw(rng: np.random.Generator, dtype: str, *lengths: int) -> list[np.ndarray]:
    return [rng.standard_normal(n).astype(DTYPES[dtype]) for n in lengths]


def product(
    rng: np.random.Generator, dtype: str, m: int, n: int, k: int, trans: tuple[int, int] = (0, 0),
    accumulate: int = 0, wider: int = 0,
) -> tuple[dict[str, int], list[np.ndarray]]:  # fmt: skip
    """Parameters and arrays (C, A, B) of ``gemm``; rows are ``wider`` than they need be."""
    (ta, tb), lda, ldb = trans, (m if trans[0] else k) + wider, (k if trans[1] else n) + wider
    params = dict(transA=ta, transB=tb, M=m, N=n, K=k, lda=lda, ldb=ldb, ldc=n + wider, accumulate=accumulate)
    return params, draw(rng, dtype, m * (n + wider), (k if ta else m) * lda, (n if tb else k) * ldb)


CONVOLUTIONS = ("conv2d_forward", "conv2d_backward_data", "conv2d_backward_weights")
PLAIN = Conv(2, 3, 7, 6, 5, 3, 2, 5, 5, 1, 1, 0, 0, 1, 1, 1, 0)


def filled(c: Conv, after: tuple[int, int] = (0, 0)) -> Conv:
    """``c`` with the output that it has when ``after`` elements are padded at the bottom and on the right."""
    height = max((c.H + c.pad_top + after[0] - (c.R - 1) * c.dil_h - 1) // c.stride_h + 1, 0)
    width = max((c.W + c.pad_left + after[1] - (c.S - 1) * c.dil_w - 1) // c.stride_w + 1, 0)
    return c._replace(OH=height, OW=width)


def convolve(gpu: Any, which: str, dtype: str, c: Conv, libraries: bool = False) -> library_calls.Bound:
    rng = np.random.default_rng(0)
    image, filters, slope = c.N * c.C * c.H * c.W, c.K * c.cg * c.taps, c.N * c.K * c.OH * c.OW
    lengths = {
        "conv2d_forward": (slope, image, filters),
        "conv2d_backward_data": (image, slope, filters),
        "conv2d_backward_weights": (filters, image, slope),
    }[which]
    return check(gpu, which, dtype, c._asdict(), draw(rng, dtype, *lengths), libraries)
