"""Copying and pickling of expressions, shared variables and functions.

Reductions for ``pickle`` and ``copy.deepcopy`` are registered with ``copyreg``. An expression is reduced to a flat list
of its applications, so that its depth is limited only by memory. A function is reduced to its expressions and compiled
again, usually from the cache. Objects copied or pickled together keep sharing inputs and shared variables.
"""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from typing import Any

from symc.graph import Apply, Constant, SharedVariable, Variable
from symc.graph.body import Body
from symc.graph.flat import assembled, flattened
from symc.graph.op import RECORDS, Op, Record
from symc.graph.packing import packed, unpacked
from symc.graph.types import TensorType
from symc.runtime.function import Function
from symc.runtime.storage import Storage

__all__ = ["register"]


# --- reductions -------------------------------------------------------------------------------------------------

_FIXED = frozenset(
    ("type", "owner", "index", "name", "location", "serial")
    + ("storage", "strict", "allow_downcast", "data", "exact", "weak", "_dim")
)
_PASSING = frozenset(("_compiled", "_parts", "_bits"))
"""Caches that are rebuilt on demand: functions compiled by ``eval``, the parts of complex inputs, the
bits of inputs of bfloat16."""

Frozen = tuple[list[Variable], list[tuple[Any, ...]], list[int]]
"""Leaves, applications with the positions of their inputs among all preceding values, positions of the outputs."""


def _notes(v: Variable) -> dict[str, Any]:
    """Return the additional attributes of a variable, such as its default update and tags."""
    return {name: value for name, value in v.__dict__.items() if name not in _FIXED and name not in _PASSING}


def _symbol(v: Variable) -> Any:
    """Return the packed symbol of an integer scalar that is used as a dim, or None."""
    return packed(v.__dict__.get("_dim"))


def _set_symbol(v: Variable, symbol: Any) -> None:
    if symbol is not None:
        v.__dict__["_dim"] = unpacked(symbol)


def _freeze(outputs: Sequence[Variable]) -> Frozen:
    leaves, nodes, places = flattened(outputs)
    made = [[(v.type, v.name, _symbol(v), _notes(v)) for v in node.outputs] for node, _ in nodes]
    frozen = [(node.op, at, new, node.outputs[0].location) for (node, at), new in zip(nodes, made)]
    return leaves, frozen, places


def _thaw(frozen: Frozen) -> list[Variable]:
    leaves, nodes, places = frozen
    return assembled(leaves, [(node, node[1]) for node in nodes], places, _apply)


def _apply(frozen: tuple[Any, ...], inputs: list[Variable]) -> Sequence[Variable]:
    op, _, made, location = frozen
    node = Apply(op, inputs, [type for type, *_ in made], location)
    for v, (_, name, symbol, notes) in zip(node.outputs, made):
        v.name = name
        _set_symbol(v, symbol)
        v.__dict__.update(notes)
    return node.outputs


def _computed(frozen: Frozen) -> Variable:
    return _thaw(frozen)[0]


def _applied(frozen: Frozen) -> Apply:
    node = _thaw(frozen)[0].owner
    assert node is not None
    return node


def _reduce_apply(node: Apply) -> tuple[Any, ...]:
    return _applied, (_freeze(node.outputs),)


def _type(dtype: str, shape: Any) -> TensorType:
    return TensorType(dtype, unpacked(shape))


def _body(frozen: Frozen, inputs: int, outputs: int, symbols: Any) -> Body:
    values = _thaw(frozen)
    graph = values[inputs:]
    return Body(values[:inputs], graph[:outputs], unpacked(symbols), graph[outputs:])


def _reduce_body(body: Body) -> tuple[Any, ...]:
    assert not body.equalities, "only the compiler's own bodies have them"
    frozen = _freeze([*body.inputs, *body.graph])
    return _body, (frozen, len(body.inputs), len(body.outputs), packed(body.symbols))


def _reduce_type(type: TensorType) -> tuple[Any, ...]:
    return _type, (type.dtype, packed(type.shape))


def _input(type: TensorType, name: str | None, location: Any, symbol: Any) -> Variable:
    made = Variable(type, None, 0, name, location)
    _set_symbol(made, symbol)
    return made


def _reduce_variable(v: Variable) -> tuple[Any, ...]:
    if v.owner is None:
        return _input, (v.type, v.name, v.location, _symbol(v)), _notes(v)
    return _computed, (_freeze([v]),)


def _constant(data: Any, exact: Any, weak: bool, name: str | None, location: Any) -> Constant:
    made = Constant(data, data.dtype.name, name)
    made.weak, made.location = weak, location
    if exact is not None:
        made.exact = exact
    return made


def _reduce_constant(v: Constant) -> tuple[Any, ...]:
    return _constant, (v.data, v.exact if v.weak else None, v.weak, v.name, v.location), _notes(v)


def _shared(
    type: Any, storage: Storage, name: str | None, policies: tuple[bool, bool | None], location: Any, symbol: Any
) -> SharedVariable:
    made = SharedVariable(type, storage, name, *policies)
    made.location = location
    _set_symbol(made, symbol)
    return made


def _reduce_shared(v: SharedVariable) -> tuple[Any, ...]:
    policies = v.strict, v.allow_downcast
    return _shared, (v.type, v.storage, v.name, policies, v.location, _symbol(v)), _notes(v)


def _reduce_storage(storage: Storage) -> tuple[Any, ...]:
    return Storage, (storage.array.copy(),)


def _record(name: str) -> Record:
    return RECORDS[name]


def _op(record: Record, attrs: dict[str, Any]) -> Op:
    return Op(record, **{name: unpacked(value) for name, value in attrs.items()})


def _reduce_op(op: Op) -> tuple[Any, ...]:
    return _op, (op.record, {name: packed(value) for name, value in op.attrs.items()})


def _function(facts: dict[str, Any], frozen: Frozen, targets: Sequence[SharedVariable]) -> Function:
    values = _thaw(frozen)
    count = len(values) - len(targets)
    return Function(outputs=values[:count], updates=list(zip(targets, values[count:])), **facts)


def _reduce_function(f: Function) -> tuple[Any, ...]:
    made_of = (f.facts(), _freeze([*f.outputs, *[v for _, v in f.updates]]), [s for s, _ in f.updates])
    return _function, made_of, {"trust_input": f.trust_input}


def register() -> None:
    """Register the reductions with ``copyreg``."""
    copyreg.pickle(Record, lambda r: (_record, (r.name,)))
    copyreg.pickle(Op, _reduce_op)  # type: ignore[arg-type]
    copyreg.pickle(TensorType, _reduce_type)  # type: ignore[arg-type]
    copyreg.pickle(Apply, _reduce_apply)  # type: ignore[arg-type]
    copyreg.pickle(Body, _reduce_body)  # type: ignore[arg-type]
    copyreg.pickle(Variable, _reduce_variable)  # type: ignore[arg-type]
    copyreg.pickle(Constant, _reduce_constant)  # type: ignore[arg-type]
    copyreg.pickle(SharedVariable, _reduce_shared)  # type: ignore[arg-type]
    copyreg.pickle(Storage, _reduce_storage)  # type: ignore[arg-type]
    copyreg.pickle(Function, _reduce_function)  # type: ignore[arg-type]
