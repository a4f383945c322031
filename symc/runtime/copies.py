"""Copying and pickling of expressions, shared variables and functions.

Reductions for ``pickle`` and ``copy.deepcopy`` are registered with ``copyreg``. Applications are reduced one by one,
producers first, so that the depth of an expression is limited only by memory. What programs attach to variables is
their state, set when they exist already: it may refer to them. A function is reduced to its expressions and compiled
again, usually from the cache. Objects copied or pickled together keep sharing variables.
"""

from __future__ import annotations

import copyreg
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from symc.graph import Apply, Constant, SharedVariable, Variable, toposort
from symc.graph.body import Body
from symc.graph.op import RECORDS, Op, Record
from symc.graph.packing import packed, unpacked
from symc.graph.types import TensorType
from symc.runtime.function import Function
from symc.runtime.storage import Storage

__all__ = ["register"]


# --- variables and applications ---------------------------------------------------------------------------------------

_FIXED = frozenset(
    ("type", "owner", "index", "name", "location", "serial")
    + ("storage", "strict", "allow_downcast", "data", "exact", "weak", "_dim")
)
_PASSING = frozenset(("_compiled", "_parts", "_bits"))
"""Caches that are rebuilt on demand: functions compiled by ``eval``, the parts of complex inputs, the
bits of inputs of bfloat16."""


def _notes(v: Variable) -> dict[str, Any]:
    """Return the additional attributes of a variable, such as its default update and tags."""
    return {name: value for name, value in v.__dict__.items() if name not in _FIXED and name not in _PASSING}


def _symbol(v: Variable) -> Any:
    """Return the packed symbol of an integer scalar that is used as a dim, or None."""
    return packed(v.__dict__.get("_dim"))


def _set_symbol(v: Variable, symbol: Any) -> None:
    if symbol is not None:
        v.__dict__["_dim"] = unpacked(symbol)


class _Progress:
    """The applications that a pickler or ``deepcopy`` has met. It lives as long as what that was given."""

    def __init__(self) -> None:
        self.listed: set[Apply] = set()  # those to be reduced one by one, in order
        self.computed: dict[Variable, Apply] = {}  # the outputs of those that were reduced


class _Latest(threading.local):
    """The progress of the latest reductions of a thread, if it is still alive."""

    def __init__(self) -> None:
        self.progress = weakref.ref(_Progress())


_latest = _Latest()


def _reduce_apply(node: Apply) -> tuple[Any, ...]:
    """Reduce an application to its op and inputs, or first to a list of all before it that were not reduced yet."""
    progress = _latest.progress() or _Progress()
    if node in progress.listed and all(v.owner is None or v in progress.computed for v in node.inputs):
        progress.computed.update(dict.fromkeys(node.outputs, node))
        made = [(v.type, v.name, _symbol(v)) for v in node.outputs]
        notes = [v if v.kept else _notes(v) for v in node.outputs]
        return _applied, (node.op, node.inputs, made, node.outputs[0].location), notes if any(notes) else None
    _latest.progress = weakref.ref(progress)
    nodes = toposort(node.outputs, progress.computed)
    progress.listed.update(nodes)
    leaves = dict.fromkeys(v for n in nodes for v in n.inputs if v.owner is None)
    return _last, ([progress, *leaves, *[part for n in nodes for part in (n.op, n)]],)


def _applied(op: Op, inputs: Sequence[Variable], made: Sequence[tuple[Any, ...]], location: Any) -> Apply:
    node = Apply(op, inputs, [type for type, *_ in made], location)
    for v, (_, name, symbol) in zip(node.outputs, made):
        v.name = name
        _set_symbol(v, symbol)
    return node


def _last(things: Sequence[Any]) -> Any:
    return things[-1]


def _output(node: Apply, index: int) -> Variable:
    return node.outputs[index]


def _type(dtype: str, shape: Any) -> TensorType:
    return TensorType(dtype, unpacked(shape))


def _body(inputs: Sequence[Variable], outputs: int, graph: Sequence[Variable], symbols: Any) -> Body:
    return Body(inputs, graph[:outputs], unpacked(symbols), graph[outputs:])


def _reduce_body(body: Body) -> tuple[Any, ...]:
    assert not body.equalities, "only the compiler's own bodies have them"
    return _body, (body.inputs, len(body.outputs), body.graph, packed(body.symbols))


def _reduce_type(type: TensorType) -> tuple[Any, ...]:
    return _type, (type.dtype, packed(type.shape))


def _input(type: TensorType, name: str | None, location: Any, symbol: Any) -> Variable:
    made = Variable(type, None, 0, name, location)
    _set_symbol(made, symbol)
    return made


def _reduce_variable(v: Variable) -> tuple[Any, ...]:
    if v.owner is None:
        return _input, (v.type, v.name, v.location, _symbol(v)), _notes(v)
    return _output, (v.owner, v.index)


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


def _function(facts: dict[str, Any], outputs: list[Variable], updates: list[Any]) -> Function:
    return Function(outputs=outputs, updates=updates, **facts)


def _reduce_function(f: Function) -> tuple[Any, ...]:
    return _function, (f.facts(), f.outputs, f.updates), {"trust_input": f.trust_input}


def register() -> None:
    """Register the reductions with ``copyreg``."""
    copyreg.pickle(Record, lambda r: (_record, (r.name,)))
    copyreg.pickle(Op, _reduce_op)  # type: ignore[arg-type]
    copyreg.pickle(TensorType, _reduce_type)  # type: ignore[arg-type]
    copyreg.pickle(_Progress, lambda p: (tuple, ()))  # type: ignore[arg-type, return-value]
    copyreg.pickle(Apply, _reduce_apply)  # type: ignore[arg-type]
    copyreg.pickle(Body, _reduce_body)  # type: ignore[arg-type]
    copyreg.pickle(Variable, _reduce_variable)  # type: ignore[arg-type]
    copyreg.pickle(Constant, _reduce_constant)  # type: ignore[arg-type]
    copyreg.pickle(SharedVariable, _reduce_shared)  # type: ignore[arg-type]
    copyreg.pickle(Storage, _reduce_storage)  # type: ignore[arg-type]
    copyreg.pickle(Function, _reduce_function)  # type: ignore[arg-type]
