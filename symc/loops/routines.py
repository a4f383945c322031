"""Routines that replace a ``Host`` node: their buffers and parameters.

A back end may have a routine that computes what the callback of a ``Host`` node computes. It has the node's buffers,
outputs first, and integer parameters in this order. A routine may refuse at call time, if it lacks a library or if the
matrix cannot be factorised; the callback is then called, and raises the error. Outputs are written by either.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ROUTINES", "Routine"]


class Routine(NamedTuple):
    """The signature of a routine: output buffers, input buffers, integer parameters.

    ``dtypes`` are those of the first input for which the routine exists; ``lapack``, whether it may call LAPACK.
    """

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32", "float64")
    lapack: bool = True


_ALL = (
    "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
_LINES = ("outer", "n", "inner")
_FACTORS = ("LU", "pivots", "A")

ROUTINES: dict[str, Routine] = {
    "cholesky": Routine(("L",), ("A",), ("batch", "n", "lower", "nan")),
    "lu": Routine(("LU", "pivots"), ("A",), ("batch", "n")),
    "lu_solve": Routine(("X",), (*_FACTORS, "B"), ("batch", "n", "k", "turned")),
    "lu_inverse": Routine(("X",), _FACTORS, ("batch", "n", "nan")),
    "lu_det": Routine(("d",), _FACTORS, ("batch", "n")),
    "lu_slogdet": Routine(("sign", "log"), _FACTORS, ("batch", "n")),
    "lu_cofactors": Routine(("X",), _FACTORS, ("batch", "n")),
    "triangular": Routine(("X",), ("A", "B"), ("batch", "n", "k", "lower", "turned")),
    "svd": Routine(("U", "s", "Vt"), ("A",), ("batch", "m", "n", "full")),
    "singular_values": Routine(("s",), ("A",), ("batch", "m", "n")),
    "pinv": Routine(("X",), ("A", "rcond"), ("batch", "m", "n")),
    "eigh": Routine(("w", "V"), ("A",), ("batch", "n", "lower")),
    "eigenvalues_symmetric": Routine(("w",), ("A",), ("batch", "n", "lower")),
    "qr": Routine(("Q", "R"), ("A",), ("batch", "m", "n")),
    "expm": Routine(("X",), ("A",), ("batch", "n")),
    "sort": Routine(("Y",), ("X",), _LINES, _ALL, False),
    "argsort": Routine(("places",), ("X",), _LINES, _ALL, False),
    "topk": Routine(("Y", "places"), ("X", "count"), (*_LINES, "k", "largest"), _ALL, False),
}
"""By name, without the suffix for the dtype."""
