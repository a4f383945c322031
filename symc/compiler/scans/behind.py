"""Results that are not fed back leave behind the loop where that makes one operation of many costly ones."""

from __future__ import annotations

from symc.compiler.rewrite.failures import may_fail
from symc.compiler.scans.batching import at_all_steps
from symc.compiler.scans.loop import Loop, is_costly, sample_size
from symc.compiler.scans.values import Values
from symc.graph import Apply, Constant, Variable, toposort

__all__ = ["results_behind"]


def results_behind(loop: Loop, values: Values) -> dict[int, Variable]:
    """Take stacked results out of the loop.

    Returns
    -------
    dict
        Maps the positions of the results that left to their values. Positions are those before.
    """
    fed_back = {v for node in toposort([s.after for s in loop.states]) for v in node.outputs}
    fed_back.update(s.inner for s in loop.states)
    found: dict[int, Variable] = {}
    for k, v in enumerate(loop.made):
        nodes, read = _behind(v, fed_back, values)
        if not any(is_costly(node) for node in nodes):
            continue
        new = [u for u in read if not values.is_known(u)]
        if sum(sample_size(u.type.shape) for u in new) > 2 * sample_size(v.type.shape):
            continue
        value = _moved(v, nodes, values)
        if value is not None:
            found[k] = value
    loop.made = [v for k, v in enumerate(loop.made) if k not in found]
    return found


def _behind(v: Variable, fed_back: set[Variable], values: Values) -> tuple[list[Apply], list[Variable]]:
    """The applications between what is fed back, or known outside, and ``v``; and the variables that they read."""
    stop = frozenset(u for u in fed_back) | values.outside.fixed.keys() | values.outside.stacked.keys()
    if v in stop:
        return [], []
    nodes = toposort([v], stop)
    own = {u for node in nodes for u in node.outputs}
    read = dict.fromkeys(u for node in nodes for u in node.inputs if u not in own and not isinstance(u, Constant))
    return nodes, list(read)


def _moved(v: Variable, nodes: list[Apply], values: Values) -> Variable | None:
    """All values of ``v``, from those of the variables that its applications read; None if that is impossible."""
    fixed = values.outside.fixed
    known: dict[Variable, Variable] = {}
    for node in nodes:
        if may_fail(node) or node.op.record.effect != "none":
            return None
        stacked = [not (isinstance(u, Constant) or u in fixed) for u in node.inputs]
        inputs = [
            known[u] if u in known else values.of(u) if s else fixed.get(u, u) for u, s in zip(node.inputs, stacked)
        ]
        made = at_all_steps(node, inputs, stacked, values.loop.count) if any(stacked) else None
        if made is None:
            return None
        known.update(zip(node.outputs, made))
    return known[v]
