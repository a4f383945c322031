"""Names of ``theano.scalar``: types without axes, and the promotion of dtypes."""

from __future__ import annotations

from symc.graph.dtypes import ALL, COMPLEX, as_dtype, promote
from symc.graph.types import TensorType

__all__ = ["upcast", *ALL, *COMPLEX]

bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64 = (TensorType(d) for d in ALL[:9])
float16, float32, float64 = (TensorType(d) for d in ("float16", "float32", "float64"))
complex64, complex128 = (TensorType(d) for d in COMPLEX)


def upcast(dtype: str, *dtypes: str) -> str:
    """The dtype to which operands of these dtypes are promoted.

    That is NumPy's, except that integers beside float32 give float32, and no float64 appears that is not among them.

    Examples
    --------
    >>> symc.scalar.upcast("int8", "int16")
    'int16'
    >>> symc.scalar.upcast("int64", "float32")
    'float32'
    """
    return promote([as_dtype(d) for d in (dtype, *dtypes)])
