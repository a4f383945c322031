"""``DebugMode``: every pass, rule and kernel of a function checked against NumPy, in every call."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

import numpy as np

from symc.compiler.fusion import fuse, nodes_of
from symc.errors import SymcError, located
from symc.graph import Apply, Constant, SharedVariable, Variable, clone_with, graph_inputs, toposort
from symc.graph.dtypes import is_float
from symc.graph.evaluate import symbols_of_op
from symc.graph.op import Axes
from symc.graph.test_values import building_inside
from symc.graph.types import TensorType
from symc.runtime.function import function
from symc.runtime.mode import Mode, register_mode
from symc.runtime.stepwise import Stepwise, evaluated, host_arrays, stepwise_of
from symc.runtime.turns import taken

__all__ = ["DebugMode", "DebugModeError"]

Values = dict[Variable, np.ndarray]


class DebugModeError(SymcError, AssertionError):
    """A function compiled with ``DebugMode`` computed something that NumPy does not.

    Attributes
    ----------
    kind : str
        ``"pass"``, ``"rule"``, ``"kernel"``, ``"result"``, ``"repeated call"`` or ``"argument"``.
    name : str
        The name of the pass, rule or kernel; empty for other kinds.
    """

    kind: str = ""
    name: str = ""


class DebugMode(Mode):
    """Check every rewrite and every kernel against NumPy whenever the function is called.

    A call computes the expressions as they were written, op by op with NumPy; the graph after every pass; both sides of
    every replacement that a rule made; every kernel, from the same inputs as NumPy; and the function itself, twice. The
    first difference is an error that names the pass, rule or kernel. Values that a rewrite makes finite, as in
    ``log(1 + exp(x))`` for large ``x``, are no differences. Arguments must be unchanged. Updates are made once, and not
    at all if there is an error. Ops in Python run several times per call.

    Parameters
    ----------
    optimizer, linker
        As in :class:`symc.Mode`.
    rtol : float, optional
        The tolerated difference of floats, relative to the largest value that takes part; by default 1e-4 for float32
        and 1e-8 for float64.
    check_rules, check_kernels : bool
        Whether to check each replacement and each kernel, too.

    Examples
    --------
    >>> x = T.vector("x")
    >>> f = symc.function([x], T.log1p(T.exp(x)), mode="DebugMode")
    """

    runs_whole = False

    def __init__(
        self,
        optimizer: Any = "default",
        linker: str | None = None,
        rtol: float | None = None,
        check_rules: bool = True,
        check_kernels: bool = True,
    ) -> None:
        super().__init__(linker, optimizer)
        self.rtol = rtol
        self.check_rules = check_rules
        self.check_kernels = check_kernels

    def clone(self, **changes: Any) -> Mode:
        facts = {name: getattr(self, name) for name in ("rtol", "check_rules", "check_kernels")}
        return super().clone(**{**facts, **changes})

    def run(self, specialisation: Any, arrays: list[Any]) -> list[Any] | None:
        specialisation.plan(arrays)
        given = host_arrays(arrays)
        with taken(specialisation.read_turns, specialisation.written_turns):
            if not specialisation.fits():
                return None
            step = stepwise_of(specialisation, given)
            final, values = self._passes(step, given)
            if self.check_rules:
                self._rules(step, given)
            if self.check_kernels:
                self._kernels(step, values, specialisation)
            return self._whole(specialisation, given, final, _largest(values, step.last.graph.order))

    # --- what is compared ---------------------------------------------------------------------------------------------

    def _passes(self, step: Stepwise, given: Sequence[np.ndarray]) -> tuple[list[np.ndarray], Values]:
        """Check the results of every pass; return those of the last one, and all values of its graph."""
        wide = {v: _widened(a) for v, a in zip(step.inputs, given)}
        wide |= {v: _widened(v.storage.array) for v in graph_inputs(step.plain) if isinstance(v, SharedVariable)}
        before = [_attempt(v, wide, _widened) for v in step.plain]
        for name, state in step.states:
            leaves = {v: _widened(a) for v, a in step.leaves(state, given).items()}
            after = evaluated(state, leaves, convert=_widened)
            for k, (v, old, new) in enumerate(zip(step.plain, before, after)):
                found = "" if old is None else self._differs(new, old, v.dtype, repaired=True)
                if found:
                    raise _error("pass", name, f"output {k} of the pass {name} differs: {found}", [v])
        values = step.leaves(step.last, given)
        return evaluated(step.last, values)[: len(step.plain)], values

    def _rules(self, step: Stepwise, given: Sequence[np.ndarray]) -> None:
        """Check both sides of every replacement outside of the bodies of loops and branches."""
        values = step.leaves(step.states[0][1], given)
        wide = {v: _widened(a) for v, a in values.items()}
        for name, old, new in step.replaced:
            pair = [_attempt(v, values, lambda a: a) for v in (old, new)]
            if pair[0] is None or pair[1] is None:
                continue
            scale = _largest(values, _near(old))
            found = self._differs(pair[1], pair[0], old.dtype, repaired=True, scale=scale)
            if not found:
                continue
            pair = [_attempt(v, wide, _widened) for v in (old, new)]  # was it but the rounding of float32?
            if pair[0] is not None and pair[1] is not None:
                found = self._differs(pair[1], pair[0], old.dtype, repaired=True, scale=scale)
            if found:
                raise _error("rule", name, f"the rule {name} changes a value: {found}", [old, new])

    def _kernels(self, step: Stepwise, values: Values, specialisation: Any) -> None:
        """Check every unit of work: all that it computes, by the back end, from the values that NumPy gives it."""
        units, places, compiled = _checks_of(step, values, specialisation)
        for (name, v, members), have in zip(units, compiled(*[values[v] for v in places]) if units else ()):
            found = self._differs(np.asarray(have), values[v], v.dtype, scale=_largest(values, members))
            if found:
                raise _error("kernel", name, f"the kernel {name} differs from NumPy: {found}", [v])

    def _whole(
        self, specialisation: Any, given: list[np.ndarray], want: list[np.ndarray], largest: float
    ) -> list[Any] | None:
        """Run the function twice, and check its results and updates."""
        owner = specialisation.owner
        kept = [a.copy() for a in given]
        before = [(s, s.storage.array.copy()) for s, _ in owner.updates]
        runs = []
        for _ in range(2):
            for s, array in before:
                s.storage.write(array.copy())
            results = specialisation.run(given)
            if results is None:
                return None
            runs.append((results, [np.array(s.storage.array) for s, _ in owner.updates]))
        try:
            have = [np.asarray(_downloaded(r)) for r in runs[1][0]] + runs[1][1]
            again = [np.asarray(_downloaded(r)) for r in runs[0][0]] + runs[0][1]
            variables = [*owner.outputs, *[v for _, v in owner.updates]]
            for k, (v, h, w, a) in enumerate(zip(variables, have, want, again)):
                found = self._differs(h, w, v.dtype, scale=largest)
                if found:
                    raise _error("result", "", f"output {k} of {owner.name} differs from NumPy: {found}", [v])
                if h.tobytes() != a.tobytes():
                    raise _error("repeated call", "", f"output {k} of {owner.name} differs in two equal calls", [v])
            for v, now, old in zip(owner.inputs, given, kept):
                if now.tobytes() != old.tobytes():
                    raise _error("argument", "", f"{owner.name} modifies its argument {v.name or v!r}", [v])
        except DebugModeError:
            for s, array in before:
                s.storage.write(array)
            raise
        return runs[1][0]

    def _differs(
        self, have: np.ndarray, want: np.ndarray, dtype: str, repaired: bool = False, scale: float | None = None
    ) -> str:
        """Describe the largest difference, or return an empty string; ``repaired`` accepts finite for non-finite."""
        if have.shape != want.shape:
            return f"the shape is {have.shape}, expected {want.shape}"
        if not have.size:
            return ""
        if not is_float(dtype):
            wrong = have != want
        else:
            have, want = have.astype("float64"), want.astype("float64")
            finite = np.isfinite(want)
            rtol = self.rtol if self.rtol is not None else 1e-8 if dtype == "float64" else 1e-4
            rtol = max(rtol, 2e-3) if dtype == "float16" else rtol
            span = max(np.abs(want[finite]).max(initial=0), scale or 0)
            limit = float(np.finfo(dtype).max)
            with np.errstate(all="ignore"):
                wrong = finite & ~(np.abs(have - want) <= rtol * span) & (np.abs(want) <= limit)
                if not repaired:
                    wrong |= ~finite & ~((have == want) | (np.isnan(have) & np.isnan(want)))
        if not wrong.any():
            return ""
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"{int(wrong.sum())} of {wrong.size} elements, the first at {at}: {have[at]!r}, expected {want[at]!r}"


# --- values -----------------------------------------------------------------------------------------------------------


def _widened(a: np.ndarray) -> np.ndarray:
    return a.astype("float64") if a.dtype in ("float16", "float32") else a


def _downloaded(result: Any) -> Any:
    return result.download() if hasattr(result, "download") else result


def _attempt(v: Variable, values: Values, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | None:
    """Compute ``v`` from ``values``, which are added to; None if it depends on anything else, or cannot be computed."""
    for node in toposort([v], values):
        arrays = []
        for u in node.inputs:
            found = values.get(u)
            if found is None and isinstance(u, Constant):
                found = convert(u.data)
            if found is None:
                return None
            arrays.append(found)
        try:
            with np.errstate(all="ignore"):
                results = node.op.evaluate(arrays)
        except Exception:
            return None  # a dim that is known only in mid-program, or an error that is the program's own
        values.update(zip(node.outputs, [convert(np.asarray(r)) for r in results]))
    return v.data if isinstance(v, Constant) else values.get(v)


def _near(v: Variable, levels: int = 5) -> list[Apply]:
    """The applications that a pattern may have matched."""
    found: dict[Apply, None] = {}
    level = [v]
    for _ in range(levels):
        nodes = [u.owner for u in level if u.owner is not None and u.owner not in found]
        found.update(dict.fromkeys(nodes))
        level = [u for node in nodes for u in node.inputs]
    return list(found)


def _largest(values: Values, nodes: Iterable[Apply]) -> float:
    """The largest finite value that takes part: the rounding of a result is proportional to it."""
    largest = 0.0
    for node in nodes:
        for v in (*node.inputs, *node.outputs):
            a = v.data if isinstance(v, Constant) else values.get(v)
            if a is not None and a.size and a.dtype.kind == "f":
                finite = np.abs(a[np.isfinite(a)])
                largest = max(largest, float(finite.max(initial=0)))
    return largest


# --- kernels ----------------------------------------------------------------------------------------------------------


def _checks_of(step: Stepwise, values: Values, specialisation: Any) -> tuple[list[Any], list[Variable], Any]:
    """What the units of work compute, what they read, and a function that computes the one from the other.

    Units whose dims are known only in mid-program are left out.
    """
    known = step.__dict__.get("kernels")
    if known is not None:
        return known  # type: ignore[no-any-return]
    owner, state = specialisation.owner, step.last
    units, stored = fuse(state.graph, getattr(owner.backend, "target", state.target), state.binding)
    found, outputs = [], []
    places: dict[Variable, Variable] = {}
    for unit in units:
        members = nodes_of(unit)
        inside = {v for node in members for v in node.outputs}
        made = [v for node in members if _is_compared(node, stored) for v in node.outputs if v in values and _fixed(v)]
        ends = frozenset(v for node in members for v in node.inputs if v not in inside and not isinstance(v, Constant))
        late = any(symbols_of_op(node.op) for node in members)
        if not made or late or any(not _fixed(v) or v not in values for v in ends):
            continue
        for v in ends:
            places.setdefault(v, Variable(TensorType(v.dtype, v.type.shape), None, 0, v.name, v.location))
        name = " ".join(dict.fromkeys(node.op.name for node in reversed(members)))
        found += [(name, v, members) for v in made]
        with building_inside():
            outputs += clone_with(made, {v: places[v] for v in ends})
    whole = Mode(optimizer=None)
    compiled = function(list(places.values()), outputs, device=owner.device, mode=whole, on_unused_input="ignore")
    known = step.__dict__["kernels"] = (found, list(places), compiled)
    return known


def _is_compared(node: Apply, stored: Container[Variable]) -> bool:
    """Whether an application computes elements, or moves those that a later kernel reads."""
    record = node.op.record
    return not record.unspecified and (node.outputs[0] in stored or not isinstance(record.lower, Axes))


def _fixed(v: Variable) -> bool:
    return all(type(d) is int for d in v.type.shape)


def _error(kind: str, name: str, text: str, variables: Sequence[Variable]) -> DebugModeError:
    made = DebugModeError(located(f"DebugMode: {text}", variables, location=variables[0].location))
    made.kind, made.name = kind, name
    return made


register_mode("DebugMode", DebugMode)
