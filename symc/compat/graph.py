"""Names of ``theano.gof`` and ``theano.gradient``: graphs, their traversal, ops, placeholders of gradients."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import symc
from symc.gradient.derivatives import Lop, hessian, jacobian
from symc.graph import Apply as Application
from symc.graph import Constant, Graph, SharedVariable, Variable, clone_with, toposort
from symc.graph.types import TensorType
from symc.graph.variables import take_place
from symc.tensor.operators import copy
from symc.tensor.user_ops.python_op import PythonOp

__all__ = [
    "Apply", "CLinkerType", "Constant", "DisconnectedType", "FunctionGraph", "Graph", "Lop", "OrderedSet",
    "SharedVariable", "Type", "Variable", "ancestors", "clone", "equal_computations", "format_as", "general_toposort",
    "hessian", "inputs", "io_toposort", "is_same_graph", "jacobian", "list_of_nodes", "ops", "orphans",
    "stack_search", "toposort", "variables", "variables_and_orphans", "view_roots",
]  # fmt: skip


class _Applications(type):
    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, Application)

    def __call__(cls, op: Any, inputs: Sequence[Any], outputs: Sequence[Any], location: Any = None) -> Any:
        if not any(getattr(v, "kept", False) for v in outputs) or isinstance(op, PythonOp):
            return Application(op, inputs, outputs, location)
        made = op(*inputs)
        every = made if isinstance(made, (list, tuple)) else [made]
        every = [copy(v) if v.owner is None or any(v is w for w in inputs) else v for v in every]
        return [take_place(v, given) for v, given in zip(every, outputs)][0].owner


class Apply(metaclass=_Applications):
    """``theano.gof.Apply``: an application, whose outputs may be variables of a class that the program derived."""


Type = TensorType
CLinkerType = TensorType
DisconnectedType = symc.gradient.DisconnectedType


def stack_search(
    start: deque, expand: Callable[[Any], Iterable[Any] | None], mode: str = "bfs", build_inv: bool = False
) -> Any:
    """List the nodes reached from ``start``, which is emptied, each once in the order of the search.

    Parameters
    ----------
    start : deque
    expand : callable
        Returns the nodes next to a node, or None.
    mode : {'bfs', 'dfs'}
        Breadth first, or depth first from the right.
    build_inv : bool
        Whether to return a dict as well, from every node to those that led to it.
    """
    if mode not in ("bfs", "dfs"):
        raise ValueError(f"stack_search: mode should be 'bfs' or 'dfs', got {mode!r}")
    take = start.popleft if mode == "bfs" else start.pop
    found: dict[int, Any] = {}
    led: dict[Any, list[Any]] = {}
    while start:
        node = take()
        if id(node) in found:
            continue
        found[id(node)] = node
        following = list(expand(node) or ())
        if build_inv:
            for other in following:
                led.setdefault(other, []).append(node)
        start.extend(following)
    order = list(found.values())
    return (order, led) if build_inv else order


def ancestors(variable_list: Iterable[Variable], blockers: Iterable[Variable] | None = None) -> list[Variable]:
    """List the variables that the given ones depend on, in Theano's order: depth first, beginning with the last one.

    The operands of ``blockers`` are not visited.
    """
    closed = set(blockers or ())

    def expand(v: Variable) -> Iterable[Variable] | None:
        if v.owner is None or v in closed:
            return None
        return reversed(v.owner.inputs)

    return stack_search(deque(variable_list), expand, "dfs")


def inputs(variable_list: Iterable[Variable], blockers: Iterable[Variable] | None = None) -> list[Variable]:
    """List the variables without an owner that the given ones depend on, constants included, in Theano's order."""
    return [v for v in ancestors(variable_list, blockers) if v.owner is None]


def variables_and_orphans(i: Iterable[Variable], o: Iterable[Variable]) -> tuple[list[Variable], list[Variable]]:
    """The variables between ``i`` and ``o``, and those among them that have no owner and are not in ``i``."""
    given = set(i)
    found = ancestors(o, given)
    return found, [v for v in found if v.owner is None and v not in given]


def variables(i: Iterable[Variable], o: Iterable[Variable]) -> list[Variable]:
    """The variables between ``i`` and ``o``, these included."""
    return variables_and_orphans(i, o)[0]


def orphans(i: Iterable[Variable], o: Iterable[Variable]) -> list[Variable]:
    """The variables without an owner that ``o`` depends on and that are not in ``i``."""
    return variables_and_orphans(i, o)[1]


def ops(i: Iterable[Variable], o: Iterable[Variable]) -> set[Application]:
    """The applications between ``i`` and ``o``."""
    return set(toposort(list(o), frozenset(i)))


def io_toposort(
    inputs: Iterable[Variable], outputs: Iterable[Variable], *ignored: Any, **also: Any
) -> list[Application]:
    """The applications between ``inputs`` and ``outputs``, producers before consumers."""
    return toposort(list(outputs), frozenset(inputs))


def list_of_nodes(inputs: Iterable[Variable], outputs: Iterable[Variable]) -> list[Application]:
    """The applications between ``inputs`` and ``outputs``."""
    return io_toposort(inputs, outputs)


def general_toposort(outputs: Iterable[Any], deps: Callable[[Any], Iterable[Any] | None], **ignored: Any) -> list[Any]:
    """Order anything so that what ``deps`` returns for it comes first.

    Raises
    ------
    ValueError
        If it depends on itself.
    """
    order: list[Any] = []
    done: set[int] = set()
    open_: set[int] = set()
    stack: list[tuple[Any, bool]] = [(v, False) for v in reversed(list(outputs))]
    while stack:
        node, left = stack.pop()
        if left:
            open_.discard(id(node))
            if id(node) not in done:
                done.add(id(node))
                order.append(node)
        elif id(node) not in done:
            if id(node) in open_:
                raise ValueError("graph contains cycles")
            open_.add(id(node))
            stack.append((node, True))
            stack += [(other, False) for other in reversed(list(deps(node) or ())) if id(other) not in done]
    return order


def clone(
    i: Sequence[Variable], o: Sequence[Variable], copy_inputs: bool = True, copy_orphans: bool | None = None
) -> tuple[list[Variable], list[Variable]]:
    """Copy the graph between ``i`` and ``o``: the new inputs and the new outputs."""
    fresh = {v: Variable(v.type, None, 0, v.name, v.location) for v in i} if copy_inputs else {v: v for v in i}
    return list(fresh.values()), clone_with(list(o), fresh)


def _same(a: Variable, b: Variable, known: Mapping[Variable, Variable], givens: Mapping[Variable, Variable]) -> bool:
    """Whether ``a`` is ``b`` if ``known`` stand for each other and ``givens`` are replaced in both."""
    pending = [(a, b)]
    seen: set[tuple[Variable, Variable]] = set()
    while pending:
        u, v = (givens.get(side, side) for side in pending.pop())
        if known.get(u, u) is v or (u, v) in seen:
            continue
        seen.add((u, v))
        if isinstance(u, Constant) and isinstance(v, Constant):
            if u.dtype != v.dtype or u.data.shape != v.data.shape or u.data.tobytes() != v.data.tobytes():
                return False
            continue
        if u.owner is None or v.owner is None or u.index != v.index or u.owner.op != v.owner.op:
            return False
        if len(u.owner.inputs) != len(v.owner.inputs):
            return False
        pending += zip(u.owner.inputs, v.owner.inputs)
    return True


def equal_computations(
    xs: Sequence[Variable], ys: Sequence[Variable], in_xs: Sequence[Variable] = (), in_ys: Sequence[Variable] = ()
) -> bool:
    """Whether two lists of expressions are the same if every ``in_xs`` stands for the ``in_ys`` beside it."""
    known = dict(zip(in_xs, in_ys))
    return len(xs) == len(ys) and all(x.type == y.type and _same(x, y, known, {}) for x, y in zip(xs, ys))


def is_same_graph(var1: Variable, var2: Variable, givens: Any = None, debug: bool = False) -> bool:
    """Whether two expressions are the same, with the replacements ``givens`` (a dict or pairs) made in both."""
    return var1.type == var2.type and _same(var1, var2, {}, dict(givens or ()))


def view_roots(v: Variable) -> list[Variable]:
    """The variable itself: no op hands out memory of its inputs."""
    return [v]


class FunctionGraph:
    """The graph between inputs and outputs, to be read: graphs are never changed in place."""

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        features: Any = None,
        clone: bool = True,
        update_mapping: Any = None,
    ) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)
        if clone:
            free = (v for v in self.inputs if not isinstance(v, (SharedVariable, Constant)))
            fresh = {v: Variable(v.type, None, 0, v.name, v.location) for v in free}
            self.outputs = clone_with(self.outputs, fresh)
            self.inputs = [fresh.get(v, v) for v in self.inputs]

    def clone(self, check_integrity: bool = True) -> FunctionGraph:
        """A copy with inputs of its own."""
        return FunctionGraph(self.inputs, self.outputs)

    def toposort(self) -> list[Application]:
        """The applications, producers before consumers."""
        return toposort(self.outputs)

    @property
    def apply_nodes(self) -> set[Application]:
        """The applications."""
        return set(self.toposort())

    @property
    def variables(self) -> set[Variable]:
        """The variables."""
        return set(ancestors(self.outputs)) | set(self.inputs)


def format_as(use_list: bool, use_tuple: bool, outputs: Any) -> Any:
    """Return ``outputs`` as a list, a tuple, or if neither is wanted, as the only one of them."""
    if use_list or use_tuple:
        many = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return list(many) if use_list else tuple(many)
    if isinstance(outputs, (list, tuple)):
        if len(outputs) != 1:
            raise ValueError(f"format_as: expected one output, got {len(outputs)}")
        return outputs[0]
    return outputs


class OrderedSet(dict):
    """A set that keeps the order in which its elements were added."""

    def __init__(self, iterable: Iterable[Any] = ()) -> None:
        super().__init__((v, None) for v in iterable)

    def add(self, element: Any) -> None:
        """Add an element."""
        self[element] = None

    def update(self, iterable: Iterable[Any]) -> None:  # type: ignore[override]
        """Add elements."""
        for element in iterable:
            self.add(element)

    def discard(self, element: Any) -> None:
        """Remove an element if it is there."""
        self.pop(element, None)

    def union(self, other: Iterable[Any]) -> OrderedSet:
        """A new set with the elements of both."""
        return OrderedSet([*self, *other])
