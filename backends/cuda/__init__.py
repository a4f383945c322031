"""The CUDA back end: loop IR to CUDA C, compiled by NVRTC, run through PyCUDA, with cuBLAS and cuDNN if installed."""

from __future__ import annotations

from symc.compiler.target import Target
from symc_backends.cuda.arrays import space
from symc_backends.cuda.build import build
from symc_backends.cuda.device import problem
from symc_backends.cuda.emit import emit
from symc_backends.cuda.examination import examine
from symc_backends.cuda.footprint import footprint
from symc_backends.cuda.run import run

__all__ = ["build", "emit", "examine", "footprint", "run", "space", "target", "unavailable"]

target = Target(
    min_rows=512, long_row=8192, block=1024, tile=32, columns=32, keep_limit=8192, parts=256, split_above=8192,
    rows=1024, row_threads=256,
)  # fmt: skip
"""Hundreds of thread groups are needed to occupy a GPU: long reductions are split into many parts, and units of work
are small."""


def unavailable() -> str | None:
    """Return why no GPU can be used on this machine, and what to install; None if one can."""
    from symc_backends.cuda import compile

    return problem() or compile.problem()
