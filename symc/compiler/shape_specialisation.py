"""Settling: from the user's graph to the compiler's.

The user's graph is typed with whatever dims were known when it was built. Here it is built again over sources whose
dims are as well known as they can be: shared variables have the shape of their values, and dims that some op requires
to be equal are one symbol. Every ``infer`` runs again on the way, so what is wrong shows now, at the user's line; what
only a call can tell is kept as guards. Operands read for their shape alone disappear: dims take their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symc.compiler.value_numbering import ValueNumbering
from symc.graph import Constant, SharedVariable, Variable, dims, toposort
from symc.graph.guards import Guard, collecting
from symc.graph.types import TensorType
from symc.tensor.symbolic_dims import value_symbols

__all__ = ["Specialised", "specialise"]


@dataclass
class Specialised:
    """The compiler's graph.

    Attributes
    ----------
    sources : dict
        From the user's inputs (and one shared variable a storage) to the variables that stand for them.
    outputs : list of Variable
    guards : list of Guard
        Equalities to check when called, over the symbols of ``sources`` before unification.
    values : dict
        Symbols bound to the value of an integer scalar of this graph.
    unified : dict
        What each unified symbol became.
    """

    sources: dict[Variable, Variable]
    outputs: list[Variable]
    guards: list[Guard]
    values: dict[Any, Variable]
    unified: dict[Any, dims.Dim] = field(default_factory=dict)


def specialise(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> Specialised:
    """Build the compiler's graph for ``outputs`` over ``inputs``; raises what ``infer`` raises."""
    guards: list[Guard] = []
    unified: dict[Any, dims.Dim] = {}
    storages: dict[int, SharedVariable] = {}
    leaves = [v for v in _leaves(inputs, outputs)]
    while True:
        sources: dict[Variable, Variable] = {}
        for leaf in leaves:
            sources[leaf] = _source(leaf, unified, sources, storages)
        with collecting() as found:
            specialised, values = _rebuild(outputs, sources)
        guards += found  # as stated, in the symbols that messages and calls know
        # An op may still state an equality in symbols that an earlier round replaced: read it in the new ones.
        found = [Guard(dims.substitute(g.left, unified), dims.substitute(g.right, unified), g.message) for g in found]
        fresh = _unify(found, {s for v in sources.values() for d in v.type.shape for s in dims.symbols_of(d)})
        if not fresh:
            return Specialised(sources, specialised, guards, values, unified)
        unified = {k: dims.substitute(v, fresh) for k, v in unified.items()} | fresh


def _leaves(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> list[Variable]:
    stop = frozenset(inputs)
    found = dict.fromkeys(inputs)
    for node in toposort(outputs, stop):
        for v in node.inputs:
            if v.owner is None and not isinstance(v, Constant):
                found.setdefault(v, None)
    for v in outputs:
        if v.owner is None and not isinstance(v, Constant):
            found.setdefault(v, None)
    return list(found)


def _source(
    leaf: Variable,
    unified: Mapping[Any, dims.Dim],
    sources: Mapping[Variable, Variable],
    storages: dict[int, SharedVariable],
) -> Variable:
    if isinstance(leaf, SharedVariable):
        first = storages.setdefault(id(leaf.storage), leaf)
        if first is not leaf and first in sources:
            return sources[first]
        shape: Sequence[dims.Dim] = leaf.storage.shape
    else:
        shape = [dims.substitute(d, unified) for d in leaf.type.shape]
    return Variable(TensorType(leaf.dtype, shape), None, 0, leaf.name, leaf.location)


def _rebuild(
    outputs: Sequence[Variable], sources: Mapping[Variable, Variable]
) -> tuple[list[Variable], dict[Any, Variable]]:
    numbering = ValueNumbering()
    known: dict[Variable, Variable] = dict(sources)
    values: dict[Any, Variable] = {}
    bound = {s for v in sources.values() for d in v.type.shape for s in dims.symbols_of(d)}

    def note_values(inputs: Sequence[Variable], types: Sequence[TensorType]) -> None:
        """Remember which scalars give the dims that no source gives."""
        new = {s for t in types for d in t.shape for s in dims.symbols_of(d)} - bound
        if new:
            found = value_symbols(inputs)
            values.update(found)
            bound.update(found)

    def here(v: Variable) -> Variable:
        if isinstance(v, Constant):
            return numbering.constant(v)
        return known.get(v, v)

    for node in toposort(outputs, frozenset(sources)):
        inputs = [here(v) for v in node.inputs]
        location = node.outputs[0].location
        record = node.op.record
        if record.specialise is None:
            made: Sequence[Variable] = numbering.make(node.op, inputs, location, node.outputs[0].name)
            note_values(inputs, [v.type for v in made])
        else:
            applied = node.op.apply(inputs, location)
            note_values(inputs, [v.type for v in applied.outputs])
            fresh = record.specialise(node.op, inputs, [v.type for v in applied.outputs])
            made = numbering.adopt([fresh], location=location)
        known.update(zip(node.outputs, made))
    return [here(v) for v in outputs], values


def _unify(guards: Sequence[Guard], inputs: set[Any]) -> dict[Any, dims.Dim]:
    """A substitution under which the guards between plain symbols hold."""
    becomes: dict[Any, dims.Dim] = {}

    def root(dim: dims.Dim) -> dims.Dim:
        while dim in becomes:
            dim = becomes[dim]
        return dim

    for guard in guards:
        left, right = root(guard.left), root(guard.right)
        if dims.equal(left, right):
            continue
        if left in inputs and not (type(right) is not int and left in dims.symbols_of(right)):
            if right in inputs and str(right) > str(left):
                left, right = right, left
            becomes[left] = right
        elif right in inputs and not (type(left) is not int and right in dims.symbols_of(left)):
            becomes[right] = left
    return {symbol: _resolved(root(symbol), becomes) for symbol in becomes}


def _resolved(dim: dims.Dim, becomes: Mapping[Any, dims.Dim]) -> dims.Dim:
    for _ in range(len(becomes)):
        if not any(s in becomes for s in dims.symbols_of(dim)):
            break
        dim = dims.substitute(dim, becomes)
    return dim
