"""Dtypes of the language alone at the boundary of compiled functions.

Compiled functions know neither complex numbers nor bfloat16. A complex input, shared variable or result is a real array
with a last axis of length 2, in the same memory; one of bfloat16 is an array of its bits, of uint16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from symc.graph import SharedVariable, Variable, ancestors, clone_with
from symc.graph.bfloat16 import bits_of, shown, values_of
from symc.graph.dtypes import BRAIN, is_complex, is_held
from symc.graph.shared_variables import twin
from symc.graph.types import TensorType
from symc.graph.variables import as_complex, as_pairs
from symc.runtime.arguments import In
from symc.tensor.bfloat16 import bits, from_bits, wide
from symc.tensor.complex_numbers.parts import parts, real_sources, stacked

__all__ = ["as_given", "as_held", "joined", "real_form", "real_pairs", "sources_of", "stored", "whole"]

V = TypeVar("V", bound=Variable)
Updates = list[tuple[SharedVariable, Variable]]


def whole(v: Variable) -> Variable:
    """The variable of the language in whose place ``v`` stands, or ``v`` itself."""
    return v.__dict__.get("_whole", v)  # type: ignore[no-any-return]


def sources_of(v: Variable) -> tuple[Variable, ...]:
    """The variables of which ``v`` is made."""
    return real_sources(v) if is_held(v.dtype) else (v,)


def real_pairs(old: Variable, new: Variable) -> list[tuple[Variable, Variable]]:
    """What to replace in graphs to replace ``old`` by ``new``, of the same dtype."""
    if not is_held(old.dtype):
        return [(old, new)]
    found = real_sources(old)
    if old.dtype == BRAIN:
        return [(found[0], wide(new))]
    return list(zip(found, parts(new) if len(found) == 2 else (stacked(new),)))


def _real(v: Variable) -> Variable:
    """What a function computes for a result ``v``."""
    return bits(v) if v.dtype == BRAIN else stacked(v) if is_complex(v.dtype) else v


def stored(v: V) -> V:
    """The variable of a function's arguments or shared variables in the place of ``v``, which has no owner."""
    if v.dtype != BRAIN:
        return twin(v) if is_complex(v.dtype) else v  # type: ignore[return-value]
    found = v.__dict__.get("_bits")
    if found is None:
        type = TensorType("uint16", v.type.shape)
        if isinstance(v, SharedVariable):
            found = SharedVariable(type, v.storage, v.name)
        else:
            found = Variable(type, None, 0, v.name, v.location)
        found.__dict__["_whole"] = v
        v.__dict__["_bits"] = found
    return found  # type: ignore[no-any-return, return-value]


def real_form(
    specs: Sequence[In], outputs: Sequence[Variable], updates: Updates
) -> tuple[list[In], list[Variable], Updates, list[str]]:
    """Inputs, outputs and updates of dtypes that are compiled, and the dtypes of results of others, or empty texts."""
    dtypes = [v.dtype if is_held(v.dtype) else "" for v in outputs]
    found = []
    for spec in specs:
        if is_held(spec.variable.dtype):
            spec = spec.copy()
            spec.declared, spec.variable = spec.variable, stored(spec.variable)
            spec.update = None if spec.update is None else _real(spec.update)
        found.append(spec)
    values = [_real(v) for v in (*outputs, *(v for _, v in updates))]
    kept = [s.update for s in found if s.update is not None]
    values, kept = _from_bits([*values, *kept], len(values))
    for spec in found:
        if spec.update is not None:
            spec.update = kept.pop(0)
    pairs = [(stored(s), v) for (s, _), v in zip(updates, values[len(outputs) :])]
    return found, values[: len(outputs)], pairs, dtypes  # type: ignore[return-value]


def _from_bits(values: Sequence[Variable], count: int) -> tuple[list[Variable], list[Variable]]:
    """Compute the float32 twins of bfloat16 variables from bits; the first ``count`` expressions, and the others."""
    twins = [v for v in ancestors(values) if v.owner is None and whole(v) is not v and v.dtype == "float32"]
    replaced = {v: from_bits(stored(whole(v))) for v in twins if whole(v).dtype == BRAIN}
    found = clone_with(values, replaced) if replaced else list(values)
    return found[:count], found[count:]


def as_given(array: np.ndarray, dtype: str) -> np.ndarray:
    """An argument of this dtype of the language as the array that is computed with."""
    return bits_of(array) if dtype == BRAIN else as_pairs(array)


def as_held(array: np.ndarray, dtype: str) -> np.ndarray:
    """The inverse of ``as_given``; bfloat16 becomes float32."""
    return values_of(array) if dtype == BRAIN else as_complex(array)


def joined(results: Sequence[Any], dtypes: Sequence[str]) -> list[Any]:
    """Results as arrays of the dtypes of the language."""
    found = []
    for r, dtype in zip(results, dtypes):
        if isinstance(r, np.ndarray) and dtype == BRAIN and r.dtype == np.uint16:
            r = shown(r)
        elif isinstance(r, np.ndarray) and dtype and dtype != BRAIN and r.dtype.kind == "f":
            r = as_complex(r)
        found.append(r)
    return found
