"""What a gradient rule may answer besides a variable."""

from __future__ import annotations

__all__ = ["ZERO", "Zero"]


class Zero:
    """The output depends on this input, with a derivative of zero almost everywhere (comparisons, rounding)."""

    def __repr__(self) -> str:
        return "ZERO"


ZERO = Zero()
