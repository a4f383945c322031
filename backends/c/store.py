"""Where plans of functions are kept (``symc.runtime.kept_plans``): in the cache, per compiler and processor."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from symc.runtime.kept_plans import sources_of
from symc_backends.c import toolchain
from symc_backends.cache import read, write

__all__ = ["identity", "read", "write"]


def identity() -> str:
    """The compiler, flags and processor, and a digest of the sources of this back end."""
    return toolchain.identity() + _sources()


@lru_cache(maxsize=1)
def _sources() -> str:
    return sources_of(Path(__file__).parents[1])
