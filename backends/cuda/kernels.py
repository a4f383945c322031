"""symc's own kernels for library calls: their text, their loading, and prepared launches.

A kernel is an instance of a template of ``runtime/*.cuh``. Every parameter has 8 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from symc_backends.cuda import compile as compiler

__all__ = [
    "CONV_WORDS",
    "POOL_WORDS",
    "SHAPES",
    "WORKSPACE",
    "KernelSource",
    "PreparedLaunch",
    "Pointer",
    "Shape",
    "blocks",
    "combine",
    "conv",
    "direct",
    "gemm",
    "pool",
    "round_to_bfloat16",
]

THREADS = 256
C_TYPES = {"f32": "float", "f64": "double"}
CONV_WORDS = (
    "N", "C", "H", "W", "K", "R", "S", "OH", "OW",
    "stride_h", "stride_w", "pad_top", "pad_left", "dil_h", "dil_w", "groups", "flip",
)  # fmt: skip
POOL_WORDS = ("N", "H", "W", "OH", "OW", "win_h", "win_w", "stride_h", "stride_w", "pad_h", "pad_w", "mode")
WORKSPACE = -1
"""The number of a ``Pointer`` that denotes the workspace."""


class Shape(NamedTuple):
    """A block's tile of ``rows x cols``, ``thread_rows x thread_cols`` per thread, ``depth`` elements at a time.

    ``rate`` is the throughput of a multiprocessor with it, relative to the largest shape.
    """

    rows: int
    cols: int
    depth: int
    thread_rows: int
    thread_cols: int
    rate: float

    @property
    def label(self) -> str:
        return f"{self.rows}x{self.cols}"


SHAPES: dict[str, tuple[Shape, ...]] = {
    "f32": (
        Shape(128, 128, 8, 8, 8, 1.0),
        Shape(64, 64, 16, 4, 4, 0.7),
        Shape(32, 128, 16, 4, 4, 0.65),
        Shape(128, 32, 16, 4, 4, 0.65),
        Shape(32, 32, 16, 2, 2, 0.4),
        Shape(16, 128, 16, 2, 4, 0.45),
        Shape(128, 16, 16, 4, 2, 0.45),
    ),
    "f64": (
        Shape(64, 64, 8, 4, 4, 1.0),
        Shape(32, 32, 16, 2, 2, 0.6),
        Shape(16, 64, 16, 2, 2, 0.6),
        Shape(64, 16, 16, 2, 2, 0.6),
    ),
}
"""All have 256 threads. The rates are estimates: they choose among shapes, and no result depends on them."""


class KernelSource(NamedTuple):
    """A kernel's name and the text that contains it."""

    name: str
    text: str

    def load(self, device: Any) -> Any:
        """Return the function on the device, compiled and loaded on first use."""
        return _module(device, self.text).get_function(self.name)


@lru_cache(maxsize=512)
def _module(device: Any, text: str) -> Any:
    with device:
        return device.load(compiler.cubin(text, device.arch))


class Pointer(NamedTuple):
    """A parameter that is an address: a buffer of the call or the workspace, and an offset."""

    number: int
    offset: int = 0


class Stage(Protocol):
    """A step of a call: it enqueues work for the buffers at ``pointers``, with scratch memory at ``workspace``."""

    def __call__(self, pointers: Sequence[int], workspace: int) -> None: ...


class PreparedLaunch:
    """A launch in which everything except the addresses is known. It neither allocates nor waits.

    Like all work on the device, it must be called within ``with device:``, which admits one thread at a time.
    """

    def __init__(
        self,
        device: Any,
        kernel: KernelSource,
        grid: tuple[int, int, int],
        parameters: Sequence[int | Pointer],
        threads: int = THREADS,
    ) -> None:
        self.device = device
        self.name = kernel.name
        self.function = kernel.load(device)
        self.grid = grid
        self.block = (threads, 1, 1)
        self.words = np.array([0 if isinstance(p, Pointer) else p for p in parameters], "int64").view("uint64")
        self.slots = [(k, *p) for k, p in enumerate(parameters) if isinstance(p, Pointer)]

    def __call__(self, pointers: Sequence[int], workspace: int) -> None:
        for word, number, offset in self.slots:
            self.words[word] = (workspace if number == WORKSPACE else pointers[number]) + offset
        self.device.launch(self.function, self.grid, self.block, self.words)


def blocks(device: Any, total: int) -> tuple[int, int, int]:
    """A grid for kernels that stride over ``total`` elements: enough blocks to occupy the device, but no idle ones."""
    return (max(1, min(-(-total // THREADS), 8 * device.processors)), 1, 1)


def gemm(dtype: str, shape: Shape, trans_a: bool, trans_b: bool) -> KernelSource:
    """``(C, A, B, rows, cols, depth, lda, ldb, ldc, stride_a, stride_b, stride_c, accumulate, span, piece)``."""
    name = f"symc_gemm_{dtype}_{shape.label}_{'t' if trans_a else 'n'}{'t' if trans_b else 'n'}"
    numbers = ("rows", "cols", "depth", "lda", "ldb", "ldc", "sa", "sb", "sc", "accumulate", "span", "piece")
    body = f"""
  gemm<Tile, {_bool(trans_a)}, {_bool(trans_b)}>(shared, c, a, b, (int)rows, (int)cols, (int)depth, lda, ldb, ldc,
      sa, sb, sc, accumulate != 0, (int)span, piece);"""
    return KernelSource(name, _tiled("gemm.cuh", name, dtype, shape, ("c", "a", "b"), numbers, body))


def combine(dtype: str) -> KernelSource:
    """``(C, pieces, rows, cols, ldc, stride_c, batch, accumulate, count)``: the second stage of a split sum."""
    name = f"symc_combine_{dtype}"
    numbers = ("rows", "cols", "ldc", "sc", "batch", "accumulate", "count")
    body = "\n  combine(c, a, (int)rows, (int)cols, ldc, sc, (int)batch, accumulate != 0, (int)count);"
    return KernelSource(name, _plain("gemm.cuh", name, dtype, ("c", "a"), numbers, body))


def conv(which: str, dtype: str, shape: Shape) -> KernelSource:
    """``conv_forward`` ``(Y, X, W, ...)``, ``conv_backward_data`` ``(dX, dY, W, ...)`` or ``conv_backward_weights``.

    The last is ``(dW, X, dY, ..., span)``; ``...`` are the parameters ``CONV_WORDS``.
    """
    name = f"symc_{which}_{dtype}_{shape.label}"
    weights = which == "conv_backward_weights"
    body = f"{_struct('Conv', CONV_WORDS)}\n  {which}<Tile>(shared, c, a, b, params{', (int)span' * weights});"
    numbers = (*CONV_WORDS, *(("span",) * weights))
    return KernelSource(name, _tiled("conv.cuh", name, dtype, shape, ("c", "a", "b"), numbers, body))


def direct(which: str, dtype: str) -> KernelSource:
    """``direct_forward``, ``direct_backward_data``, ``direct_backward_weights``: parameters as ``conv``, no span."""
    name = f"symc_{which}_{dtype}"
    shared = f"\n  __shared__ {C_TYPES[dtype]} shared[{THREADS}];" * (which == "direct_backward_weights")
    body = f"{shared}{_struct('Conv', CONV_WORDS)}\n  {which}({'shared, ' * bool(shared)}c, a, b, params);"
    return KernelSource(name, _plain("direct.cuh", name, dtype, ("c", "a", "b"), CONV_WORDS, body))


def pool(which: str, dtype: str) -> KernelSource:
    """``pool_forward`` ``(Y, X, ...)``, ``pool_backward`` ``(dX, X, Y, dY, ...)``, ``pool_max_grad_grad``.

    The last is ``(ddY, X, Y, ddX, ...)``; ``...`` are the parameters ``POOL_WORDS``.
    """
    name = f"symc_{which}_{dtype}"
    buffers = ("c", "a") if which == "pool_forward" else ("c", "a", "b", "d")
    body = f"{_struct('Pool', POOL_WORDS, first='int64_t')}\n  {which}({', '.join(buffers)}, params);"
    return KernelSource(name, _plain("pool.cuh", name, dtype, buffers, POOL_WORDS, body))


def round_to_bfloat16() -> KernelSource:
    """``(to, from, rows, cols, lead_from, lead_to, batch, stride_from)``."""
    name = "symc_round_to_bfloat16"
    numbers = ("rows", "cols", "lead_from", "lead_to", "batch", "stride")
    body = f"\n  round_to_bfloat16((uint16_t *)c, a, {', '.join(numbers)});"
    return KernelSource(name, _plain("round.cuh", name, "f32", ("c", "a"), numbers, body))


def _tiled(
    header: str, name: str, dtype: str, shape: Shape, buffers: Sequence[str], numbers: Sequence[str], body: str
) -> str:
    # Two blocks per multiprocessor hide each other's latency; this limits the registers of the largest shape.
    tile = f"Shape<{C_TYPES[dtype]}, {', '.join(map(str, shape[:5]))}>"
    start = f"""
  typedef {tile} Tile;
  __shared__ __align__(16) {C_TYPES[dtype]} shared[{tile}::SHARED];"""
    return _kernel(header, f"__launch_bounds__({THREADS}, 2) {name}", dtype, buffers, numbers, start + body)


def _plain(header: str, name: str, dtype: str, buffers: Sequence[str], numbers: Sequence[str], body: str) -> str:
    return _kernel(header, f"__launch_bounds__({THREADS}) {name}", dtype, buffers, numbers, body)


def _kernel(header: str, declarator: str, dtype: str, buffers: Sequence[str], numbers: Sequence[str], body: str) -> str:
    kind = C_TYPES[dtype]
    pointers = [f"{'const ' if k else ''}{kind} *{name}" for k, name in enumerate(buffers)]
    parameters = ", ".join([*pointers, *(f"int64_t {name}" for name in numbers)])
    return f'#include "{header}"\n\nextern "C" __global__ void {declarator}({parameters}) {{{body}\n}}\n'


def _struct(kind: str, words: Sequence[str], first: str = "int") -> str:
    fields = ", ".join(f"({first if k == 0 else 'int'}){word}" for k, word in enumerate(words))
    return f"\n  const {kind} params = {{{fields}}};"


def _bool(value: bool) -> str:
    return "true" if value else "false"
