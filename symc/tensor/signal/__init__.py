"""Signal processing: pooling."""

from __future__ import annotations

from symc.tensor.signal import pool, pool_cases  # noqa: F401 (test cases of the records)

__all__ = ["pool"]
