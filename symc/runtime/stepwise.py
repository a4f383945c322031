"""Functions computed op by op with NumPy, for modes that look at every value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symc.compiler.passes import PASSES, State, sink_lazy
from symc.compiler.rewrite.engine import recorded
from symc.errors import GuardError, located
from symc.graph import Apply, Constant, SharedVariable, Variable, clone_with, dims, toposort
from symc.graph.evaluate import symbols_of_op, with_known_dims
from symc.graph.op import Op
from symc.graph.test_values import building_inside
from symc.graph.types import TensorType
from symc.runtime.definition import Definition
from symc.runtime.turns import taken

__all__ = ["Stepwise", "Visit", "evaluated", "host_arrays", "run_stepwise", "stepwise_of"]

Visit = Callable[[int, Apply, Sequence[np.ndarray], "Sequence[np.ndarray] | None"], None]
"""``visit(number, node, inputs, outputs)`` is called before each op, with None for the outputs, and after it."""

KEPT = 16
"""The number of combinations of argument shapes whose graphs a function keeps."""


class Stepwise:
    """The compiler's graph of a function for arguments of known shapes.

    Attributes
    ----------
    inputs : list of Variable
        Stand for the function's inputs.
    plain : list of Variable
        The user's expressions of the outputs and of the new values of shared variables, over ``inputs``.
    states : list of (str, State)
        The result of each pass on graphs.
    replaced : list of (str, Variable, Variable)
        The rules that were applied: their names, what they replaced, and by what.
    """

    def __init__(self, owner: Definition, arrays: Sequence[np.ndarray]) -> None:
        initial = owner.uncompiled()
        self.inputs = [
            Variable(TensorType(v.dtype, a.shape), None, 0, v.name, v.location) for v, a in zip(owner.inputs, arrays)
        ]
        self.states: list[tuple[str, State]] = []
        with building_inside(), recorded() as self.replaced:
            self.plain = clone_with(initial.outputs, dict(zip(owner.inputs, self.inputs)))
            state = State(owner.name, self.inputs, self.plain, initial.updates, initial.mode, folds=False)
            for step in PASSES:
                state = step(state)
                self.states.append((step.__name__, state))
                if step is sink_lazy:
                    break

    @property
    def last(self) -> State:
        """The state with the final graph."""
        return self.states[-1][1]

    def leaves(self, state: State, arrays: Sequence[np.ndarray]) -> dict[Variable, np.ndarray]:
        """The values of the inputs and shared variables of a state's graph."""
        assert state.specialised is not None
        given = dict(zip(self.inputs, arrays))
        found = {}
        for leaf, source in state.specialised.sources.items():
            found[source] = leaf.storage.array if isinstance(leaf, SharedVariable) else given[leaf]
        return found

    def run(self, arrays: Sequence[np.ndarray], visit: Visit | None = None) -> list[np.ndarray]:
        """Compute the outputs and new values of shared variables."""
        return evaluated(self.last, self.leaves(self.last, arrays), visit)[: len(self.plain)]


def evaluated(
    state: State,
    values: dict[Variable, np.ndarray],
    visit: Visit | None = None,
    convert: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> list[np.ndarray]:
    """Evaluate a state's graph, op by op; ``values`` of its leaves become those of all of its variables.

    ``convert`` is applied to constants and results.
    """
    assert state.specialised is not None
    waiting = dict(state.binding)
    symbols: dict[Any, int] = {}
    number = 0

    def compute(node: Apply) -> None:
        nonlocal number
        inputs = [convert(_value(v, values)) for v in node.inputs]
        if visit is not None:
            visit(number, node, inputs, None)
        outputs = [convert(a) for a in _applied(with_known_dims(node.op, symbols), node, inputs)]
        values.update(zip(node.outputs, outputs))
        if visit is not None:
            visit(number, node, inputs, outputs)
        number += 1

    for node in state.graph.order:
        for symbol in [s for s in dims.ordered(symbols_of_op(node.op)) if s in waiting]:
            v = waiting.pop(symbol)
            for earlier in toposort([v], frozenset(values)):
                compute(earlier)
            symbols[symbol] = int(_value(v, values))
        if node.outputs[0] not in values:
            compute(node)
    for symbol, v in waiting.items():
        symbols[symbol] = int(_value(v, values))
    for left, right, text, least in state.specialised.equalities:
        if dims.symbols_of(left) | dims.symbols_of(right) <= symbols.keys():
            a, b = dims.evaluate(left, symbols), dims.evaluate(right, symbols)
            if a < b if least else a != b:
                raise GuardError(f"{state.name}(): {text()}")
    return [_value(v, values) for v in state.graph]


def _applied(op: Op, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    try:
        with np.errstate(all="ignore"):
            return [np.asarray(r) for r in op.evaluate(inputs)]
    except Exception as problem:
        problem.add_note(located(f"in {op.name}", node.inputs, location=node.outputs[0].location))
        raise


def _value(v: Variable, values: dict[Variable, np.ndarray]) -> np.ndarray:
    found = values.get(v)
    if found is None:
        found = v.data if isinstance(v, Constant) else v.storage.array if isinstance(v, SharedVariable) else None
    if found is None:
        raise KeyError(f"no value is given for {v!r}")
    return found


def host_arrays(arrays: Sequence[Any]) -> list[np.ndarray]:
    """Copy arguments in the memory of a device to the host."""
    return [a if isinstance(a, np.ndarray) else np.asarray(a.download()) for a in arrays]


def stepwise_of(specialisation: Any, arrays: Sequence[np.ndarray]) -> Stepwise:
    """The graph of a function for arguments of these shapes."""
    known = specialisation.stepwise
    key = tuple([a.shape for a in arrays])
    if key not in known:
        while len(known) >= KEPT:
            known.popitem(last=False)
        known[key] = Stepwise(specialisation.owner, arrays)
    return known[key]  # type: ignore[no-any-return]


def run_stepwise(specialisation: Any, arrays: list[Any], visit: Visit) -> list[Any] | None:
    """Compute the results of a call op by op, and update shared variables if it succeeds.

    Returns None if another thread changed the shape of a shared variable meanwhile.
    """
    owner = specialisation.owner
    specialisation.plan(arrays)  # checks the shapes, with the messages of compiled functions
    given = host_arrays(arrays)
    with taken(specialisation.read_turns, specialisation.written_turns):
        if not specialisation.fits():
            return None
        found = stepwise_of(specialisation, given).run(given, visit)
        whole = [np.array(a, order="C") for a in found]  # of their own, whatever they share memory with
        for (target, _), value in zip(owner.updates, whole[len(owner.outputs) :]):
            target.storage.write(value)
    return whole[: len(owner.outputs)]
