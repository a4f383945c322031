"""bfloat16, the upper half of float32, which NumPy lacks: conversions between its bits and floats."""

from __future__ import annotations

import numpy as np

__all__ = ["bits_of", "shown", "values_of"]


def bits_of(x: np.ndarray) -> np.ndarray:
    """The bits of floats rounded to bfloat16, to nearest with ties to even; NaN stays NaN. Of uint16."""
    x = np.asarray(x)
    if x.dtype.name == "bfloat16":
        return x.view(np.uint16)
    with np.errstate(over="ignore"):
        narrow = x.astype(np.float32)
    bits = narrow.view(np.uint32)
    if x.dtype.itemsize > 4 or x.dtype.kind in "iu":  # round once: the last bit tells whether anything was lost
        wide = x.astype(np.float64)
        back = narrow.astype(np.float64)
        with np.errstate(invalid="ignore"):
            lost = (back != wide) & ~np.isnan(wide) & np.isfinite(narrow)
            bits = np.where(lost, (bits - (np.abs(back) > np.abs(wide))) | np.uint32(1), bits).astype(np.uint32)
    with np.errstate(over="ignore"):
        rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.asarray(np.where(np.isnan(narrow), quiet, rounded).astype(np.uint16))


def values_of(bits: np.ndarray) -> np.ndarray:
    """The numbers with these bits, as float32, which holds all of them."""
    return np.asarray((np.asarray(bits, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32))


def shown(bits: np.ndarray) -> np.ndarray:
    """An array for the user: if ``ml_dtypes`` is installed, of its ``bfloat16``, in the same memory; else float32."""
    try:
        import ml_dtypes
    except ImportError:
        return values_of(bits)
    return bits.view(ml_dtypes.bfloat16)
