"""Complex numbers at the boundary of compiled functions, whose arguments and results are real.

A complex input, shared variable or result is a real array with a last axis of length 2, in the same memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symc.graph import SharedVariable, Variable
from symc.graph.dtypes import is_complex
from symc.graph.variables import as_complex, twin
from symc.runtime.arguments import In
from symc.tensor.complex_parts import parts, real_sources, stacked

__all__ = ["joined", "real_form", "real_pairs", "sources_of", "whole"]

Updates = list[tuple[SharedVariable, Variable]]


def whole(v: Variable) -> Variable:
    """The complex variable in whose place ``v`` stands, or ``v`` itself."""
    return v.__dict__.get("_whole", v)  # type: ignore[no-any-return]


def sources_of(v: Variable) -> tuple[Variable, ...]:
    """The real variables of which ``v`` is made."""
    return real_sources(v) if is_complex(v.dtype) else (v,)


def real_pairs(old: Variable, new: Variable) -> list[tuple[Variable, Variable]]:
    """What to replace in real graphs to replace ``old`` by ``new``, of the same dtype."""
    if not is_complex(old.dtype):
        return [(old, new)]
    found = real_sources(old)
    return list(zip(found, parts(new) if len(found) == 2 else (stacked(new),)))


def _real(v: Variable) -> Variable:
    return stacked(v) if is_complex(v.dtype) else v


def real_form(
    specs: Sequence[In], outputs: Sequence[Variable], updates: Updates
) -> tuple[list[In], list[Variable], Updates, list[bool]]:
    """Inputs, outputs and updates without complex numbers, and which outputs are pairs."""
    complex_results = [is_complex(v.dtype) for v in outputs]
    found = []
    for spec in specs:
        if is_complex(spec.variable.dtype):
            spec = spec.copy()
            spec.declared, spec.variable = spec.variable, twin(spec.variable)
            spec.update = None if spec.update is None else stacked(spec.update)
        found.append(spec)
    pairs = [(twin(s) if is_complex(s.dtype) else s, _real(v)) for s, v in updates]
    return found, [_real(v) for v in outputs], pairs, complex_results  # type: ignore[return-value]


def joined(results: Sequence[Any], are_pairs: Sequence[bool]) -> list[Any]:
    """Results, with arrays of complex numbers in place of pairs."""
    return [
        as_complex(r) if pair and isinstance(r, np.ndarray) and r.dtype.kind == "f" else r
        for r, pair in zip(results, are_pairs)
    ]
