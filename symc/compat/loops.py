"""Loops and branches under the names of ``theano.scan_module`` and ``theano.ifelse``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

import symc
from symc.compat.graph import ancestors
from symc.compat.op_class import OpClass
from symc.graph import Constant, SharedVariable, Variable, clone_with, graph_inputs, toposort
from symc.graph.body import Body
from symc.graph.op import Op
from symc.tensor.graph_op import FROM_GRAPH
from symc.tensor.ifelse import ifelse
from symc.tensor.scans.gradient import SCAN
from symc.tensor.symbolic_dims import same_length

__all__ = [
    "IfElse", "LOOP_PARTS", "Scan", "expand_empty", "isNaN_or_Inf_or_None", "map_variables", "rebuild_collect_shared",
    "shape_of_variables", "traverse",
]  # fmt: skip


class _Loop(type):
    """Loops are instances of a class by what they do."""

    def __instancecheck__(cls, thing: Any) -> bool:
        record = getattr(thing, "record", None)
        return record is SCAN or getattr(record, "repeats", None) is not None


class Scan(metaclass=_Loop):
    """The class of loops: ``isinstance(node.op, Scan)``. They are made by ``theano.scan`` alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("Scan: write theano.scan, the only way to make a loop")


def _of_step(name: str) -> property:
    """The variables of the step of a loop; other ops have no such attribute."""

    def found(op: Op) -> list[Variable]:
        if not isinstance(op, Scan):
            raise AttributeError(f"{op} has no attribute {name!r}")
        return list(getattr(op[op.record.bodies[0]], name))

    return property(found)


LOOP_PARTS: tuple[tuple[type, str, Any], ...] = (
    (Op, "inputs", _of_step("inputs")),
    (Op, "outputs", _of_step("outputs")),
)
"""Attributes that the op of a loop has in Theano: what its step reads and computes."""


class IfElse(OpClass):
    """``IfElse(n)(condition, *then, *otherwise)`` is ``ifelse(condition, then, otherwise)`` of n values each."""

    takes = {"n_outs": 1, "as_view": False, "gpu": False, "name": None}

    def __call__(self, condition: Any, *branches: Any, return_list: bool = False) -> Any:
        if len(branches) != 2 * self.n_outs:
            raise ValueError(f"IfElse: expected {2 * self.n_outs} values, got {len(branches)}")
        found = ifelse(condition, list(branches[: self.n_outs]), list(branches[self.n_outs :]))
        many = list(found) if isinstance(found, (list, tuple)) else [found]
        return many if return_list or len(many) > 1 else many[0]


def map_variables(
    replacer: Callable[[Variable], Variable], graphs: Iterable[Variable], additional_inputs: Iterable[Variable] = ()
) -> list[Variable]:
    """Copy graphs with ``replacer(v)`` in the place of every variable ``v`` for which it returns another one.

    Variables in the steps of loops and in the graphs of ``OpFromGraph`` are replaced, too. What the replacements
    depend on is passed into them.

    Raises
    ------
    ValueError
        If a replacement inside of a step depends on a shared variable that has an ``update``.
    """
    made: set[Variable] = set()

    def once(v: Variable) -> Variable:
        if v in made:
            return v
        made.add(found := replacer(v))
        return found

    return _mapped(list(graphs), once)


def _mapped(outputs: Sequence[Variable], replacer: Callable[[Variable], Variable]) -> list[Variable]:
    known = {v: replacer(v) for v in ancestors(outputs) if v.owner is None}
    for node in toposort(outputs):
        inputs = [known[v] for v in node.inputs]
        op, more = _with_mapped_body(node, replacer)
        same = op is node.op and all(new is old for new, old in zip(inputs, node.inputs))
        found = node.outputs if same else op.apply([*inputs, *more], node.outputs[0].location).outputs
        for old, new in zip(node.outputs, found):
            other = replacer(old)
            known[old] = new if other is old else other
            new.name = old.name if new.name is None else new.name
    return [known[v] for v in outputs]


def _with_mapped_body(node: Any, replacer: Callable[[Variable], Variable]) -> tuple[Any, list[Variable]]:
    """The op of an application, with variables of its inner graph replaced, and more inputs that this graph reads."""
    op = node.op
    if op.record is SCAN:
        fixed = sum(op["roles"][:2])
    elif op.record is FROM_GRAPH:
        fixed = 0
    else:
        return op, []
    body = op["body"]
    found = _mapped(body.outputs, replacer)
    if all(new is old for new, old in zip(found, body.outputs)):
        return op, []
    outer = node.inputs[len(node.inputs) - len(body.inputs) :]
    inner = dict(zip(outer[fixed:], body.inputs[fixed:]))
    inner |= {v.__dict__["_declared"]: v for v in body.inputs if "_declared" in v.__dict__}
    more = []
    for v in graph_inputs(found):
        if v in body.inputs or isinstance(v, Constant):
            continue
        if isinstance(v, SharedVariable) and getattr(v, "update", None) is not None:
            raise ValueError(f"map_variables: {v} has an update, and cannot be read inside of {op.name}")
        if v not in inner:
            inner[v] = Variable(v.type, None, 0, v.name, v.location)
            same_length(inner[v], v)
            more.append(v)
    attrs = {"body": Body([*body.inputs, *(inner[v] for v in more)], clone_with(found, inner))}
    if op.record is SCAN:
        attrs["roles"] = op["roles"]._replace(constants=op["roles"].constants + len(more))
    return Op(op.record, **{**op.attrs, **attrs}), more


def traverse(out: Variable, x: Variable, x_copy: Variable, d: dict[Any, Any], visited: set[Any] | None = None) -> Any:
    """Return ``d``, unchanged: values are where they are used, and are not moved before a loop."""
    return d


def isNaN_or_Inf_or_None(x: Any) -> bool:  # noqa: N802 - Theano's name
    """Whether ``x`` is None, or a number that is NaN or infinite."""
    if x is None:
        return True
    try:
        return not np.isfinite(x)
    except TypeError:
        return False


def expand_empty(tensor_var: Any, size: Any) -> Variable:
    """``tensor_var`` with ``size`` more rows, which are zero."""
    import symc.tensor as T

    x = T.as_tensor_variable(tensor_var)
    return T.concatenate([x, T.zeros([size, *[x.shape[k] for k in range(1, x.ndim)]], x.dtype)])


def rebuild_collect_shared(
    outputs: Any,
    inputs: Iterable[Any] | None = None,
    replace: Any = None,
    updates: Any = None,
    rebuild_strict: bool = True,
    copy_inputs_over: bool = True,
    no_default_updates: Any = False,
) -> Any:
    """Copy the graph of a function: its inputs, its outputs, and ``[copies, updates, their expressions, shared]``.

    ``updates`` are added to the default updates of the shared variables that the copy depends on.
    """
    many = list(outputs) if isinstance(outputs, (list, tuple)) else [] if outputs is None else [outputs]
    pairs = dict(replace.items() if isinstance(replace, Mapping) else replace or ())
    given = [getattr(v, "variable", v) for v in inputs or ()]
    copies = pairs if copy_inputs_over else {**{v: Variable(v.type, None, 0, v.name) for v in given}, **pairs}
    new = clone_with(many, copies)
    changes = dict(updates.items() if isinstance(updates, Mapping) else updates or ())
    shared = [v for v in ancestors([*new, *changes.values()]) if isinstance(v, symc.SharedVariable)]
    if no_default_updates is not True:
        for v in shared:
            if v.default_update is not None and v not in (no_default_updates or ()):
                changes.setdefault(v, v.default_update)
    clones = {v: copies.get(v, v) for v in ancestors(many)}
    found = new if isinstance(outputs, (list, tuple)) else new[0] if new else None
    kept = [v for v in shared if v not in given]
    return [copies.get(v, v) for v in given], found, [clones, changes, dict(changes), kept]


def shape_of_variables(fgraph: Any, input_shapes: Mapping[Variable, tuple[int, ...]]) -> dict[Variable, Any]:
    """The shapes of all variables of a graph, as tuples of arrays, for inputs of the given shapes."""
    unknown = [v for v in input_shapes if v not in fgraph.inputs]
    if unknown:
        raise ValueError(f"shape_of_variables: {unknown[0]} is no input of the graph, which was made with a copy of it")
    variables = [*fgraph.inputs, *(v for node in toposort(fgraph.outputs) for v in node.outputs)]
    measure = symc.function(fgraph.inputs, [v.shape for v in variables], on_unused_input="ignore")
    shapes = measure(*[np.zeros(input_shapes[v], v.dtype) for v in fgraph.inputs])
    return {v: tuple(np.asarray(n) for n in shape) for v, shape in zip(variables, shapes)}
