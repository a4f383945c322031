"""Preparation: values that depend only on shared variables are computed when these change, not in every call.

The compiler lists such values (``symc.compiler.rewrite.affine``, ``symc.compiler.preparing``). They are kept in shared
variables of the function's own, which a second function updates. Every storage counts the writes to it
(``Storage.writes``); a call compares the counts with those of the last preparation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symc.compiler.rewrite.affine import Prepared
from symc.graph import SharedVariable, Variable, ancestors, clone_with
from symc.runtime.storage import Storage
from symc.runtime.turns import WRITES
from symc.runtime.updates import fitting_shared_update
from symc.tensor import elementwise as ew
from symc.tensor.reduce import all as all_of

__all__ = ["Preparation"]

Counts = list[int]

Compile = Callable[[list[Variable], list[tuple[SharedVariable, Variable]]], Callable[[], list[Any]]]
"""``compile(outputs, updates)`` returns a function without inputs."""


class Preparation:
    """The prepared values of one specialisation of a function.

    Parameters
    ----------
    compile : callable
    prepared : sequence of Prepared
    sources : mapping
        From the function's variables to those of the compiler's graph.

    Attributes
    ----------
    variables : dict of Variable to SharedVariable
        By the leaves of the compiler's graph, the shared variables that hold the values.
    """

    def __init__(self, compile: Compile, prepared: Sequence[Prepared], sources: Mapping[Variable, Variable]) -> None:
        self._compile = compile
        self.variables = {p.leaf: _variable(p) for p in prepared}
        back = {source: leaf for leaf, source in sources.items() if isinstance(leaf, SharedVariable)}
        values = [p.value for p in prepared] + [_representable(p) for p in prepared if p.checked]
        values = clone_with(values, back)
        read = [v for v in ancestors(values) if isinstance(v, SharedVariable)]
        self.storages: list[Storage] = list({id(v.storage): v.storage for v in read}.values())
        self._values, self._checks = values[: len(prepared)], values[len(prepared) :]
        self._function: Callable[[], list[Any]] | None = None
        self._seen: Counts | None = None
        self._total = -1

    def current(self, just: Counts | None = None) -> bool:
        """Whether the values fit the shared variables, which no call changes meanwhile.

        While arrays of these are lent to the caller, who may write to them, only values that were ``just`` prepared do.
        """
        total = WRITES[0]
        if total == self._total:
            return True
        counts = self._counts()
        if counts == self._seen:
            self._total = total
            return True
        return counts == just

    def prepare(self) -> Counts | None:
        """Compute the values, unless they are current.

        Returns the counts of writes for which they were computed, or None if they cannot replace what they were folded
        from: a scaled weight overflowed, or lost digits.
        """
        counts = self._counts()
        if counts == self._seen:
            return counts
        lent = any(storage.lent for storage in self.storages)
        if self._function is None:
            self._function = self._compiled()
        if not all(bool(check) for check in self._function() or ()):
            return None
        self._seen, self._total = None if lent else counts, -1
        return counts

    def watched(self) -> list[tuple[np.ndarray, int]]:
        """The turns of the variables behind the values, with the counts of writes for which these are current.

        Counts that no variable has, if the values must be prepared again in the next call.
        """
        counts = self._seen or [-1] * len(self.storages)
        return [(storage.turn, count) for storage, count in zip(self.storages, counts)]

    def _counts(self) -> Counts:
        return [storage.writes[0] for storage in self.storages]

    def _compiled(self) -> Callable[[], list[Any]]:
        """Compile the function that updates the variables and returns whether all values can be used."""
        targets = list(self.variables.values())
        updates = [(target, fitting_shared_update(target, v)) for target, v in zip(targets, self._values)]
        return self._compile(self._checks, updates)


def _variable(p: Prepared) -> SharedVariable:
    shape = tuple(d for d in p.leaf.type.shape if type(d) is int)
    return SharedVariable(p.leaf.type, Storage(np.empty(shape, p.leaf.dtype)), p.leaf.name)


def _representable(p: Prepared) -> Variable:
    """Whether the value is finite, and no weight that was a normal number became zero or subnormal by its scale."""
    finite = ew.lt(ew.abs_(p.value), np.array(np.inf, p.value.dtype))
    if p.source is None or p.factors is None:
        return all_of(finite)
    tiny = np.array(np.finfo(p.value.dtype).tiny, p.value.dtype)
    kept = ew.ge(ew.abs_(p.value), tiny)
    zero = ew.or_(ew.lt(ew.abs_(p.source), tiny), ew.eq(p.factors, 0))
    return all_of(ew.and_(finite, ew.or_(kept, zero)))
