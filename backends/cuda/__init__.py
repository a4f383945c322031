"""The CUDA back end: loop IR to CUDA C, compiled by NVRTC, run through PyCUDA, with cuBLAS and cuDNN where they are."""

from __future__ import annotations

from symc_backends.cuda.arrays import space
from symc_backends.cuda.build import build
from symc_backends.cuda.device import problem
from symc_backends.cuda.emit import emit
from symc_backends.cuda.run import run

__all__ = ["build", "emit", "run", "space", "unavailable"]


def unavailable() -> str | None:
    """Why no GPU can be used here, and what to install; None if one can."""
    from symc_backends.cuda import compile

    return problem() or compile.problem()
