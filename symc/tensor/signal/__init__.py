"""Signal processing: pooling."""

from __future__ import annotations

from symc.tensor.signal import pool

__all__ = ["pool"]
