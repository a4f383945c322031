"""The C back end: loop IR to C with explicit vectors, compiled by the system's compiler, loaded with cffi."""

from __future__ import annotations

from symc_backends.c import store
from symc_backends.c.build import build
from symc_backends.c.emit import emit
from symc_backends.c.examination import examine
from symc_backends.c.footprint import footprint
from symc_backends.c.launch import empty, launch
from symc_backends.c.library import multiplies_blocks
from symc_backends.c.run import run
from symc_backends.c.toolchain import missing as unavailable

__all__ = [
    "build", "emit", "empty", "examine", "footprint", "launch", "multiplies_blocks", "run", "store", "unavailable",
]  # fmt: skip
