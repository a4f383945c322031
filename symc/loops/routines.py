"""Functions of the run-time library that compute what a ``Host`` does: their buffers and parameters.

A routine has the node's buffers, outputs first, and integer parameters in this order. It may fail at call time, if it
lacks a library or if a matrix cannot be factorised; the callback is then called, and raises the error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from symc.graph import Apply
from symc.graph.dims import Dim
from symc.graph.op import Op
from symc.loops.ir import Native

__all__ = ["ROUTINES", "Routine", "RoutineCall", "named", "suffix"]


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

_FACTORISATIONS: dict[str, Routine] = {
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
    "qr": Routine(("Q", "R"), ("A",), ("batch", "m", "n", "complete")),
    "eig": Routine(("w", "V"), ("A",), ("batch", "n")),
    "eigenvalues": Routine(("w",), ("A",), ("batch", "n")),
    "expm": Routine(("X",), ("A",), ("batch", "n")),
}

ROUTINES: dict[str, Routine] = {
    **_FACTORISATIONS,
    **{f"complex_{name}": facts for name, facts in _FACTORISATIONS.items()},
    "sort": Routine(("Y",), ("X",), _LINES, _ALL, False),
    "argsort": Routine(("places",), ("X",), _LINES, _ALL, False),
    "topk": Routine(("Y", "places"), ("X", "count"), (*_LINES, "k", "largest"), _ALL, False),
    "searchsorted": Routine(("places",), ("A", "X"), ("n", "count", "after"), _ALL, False),
    "digitize": Routine(("places",), ("A", "X"), ("n", "count", "after"), _ALL, False),
}
"""By name, without the suffix for the dtype. Complex matrices are arrays with a last axis of length 2."""


@dataclass(frozen=True)
class RoutineCall:
    """What the ``native`` of a ``HostCall`` is for a routine; for dtypes without the routine it returns None.

    Attributes
    ----------
    name : str, or function of the op
    params : callable
        ``params(node)``, the dims that become its parameters.
    """

    name: str | Callable[[Op], str]
    params: Callable[[Apply], Sequence[Dim]]

    def __call__(self, node: Apply) -> Native | None:
        name = self.name if isinstance(self.name, str) else self.name(node.op)
        facts, dtype = ROUTINES[name], node.inputs[0].dtype
        if dtype not in facts.dtypes:
            return None
        return Native(f"symc_{name}_{suffix(dtype)}", tuple(self.params(node)), lapack=facts.lapack)


def named(native: Native) -> Routine | None:
    """The signature of a function of the run-time library; None if there is no such function."""
    return ROUTINES.get(native.name.removeprefix("symc_").rpartition("_")[0])


def suffix(dtype: str) -> str:
    """``f32`` for float32 and so on, as in the names of library calls."""
    return {"float32": "f32", "float64": "f64"}.get(dtype) or dtype[0].replace("b", "u8") + dtype.lstrip("uintbol")
