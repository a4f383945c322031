"""How long axes must be for the constants in other dims: a slice from 1 to -1 asks for two elements.

A cyclic shift by a constant asks for more elements than that, so that the constant itself is its remainder.

Axes of two arguments, of which one might be 1 and broadcast, as in ``x[i, j]`` or ``set_subtensor(x[0], y)``, are as
long as each other in almost all calls, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import sympy

from symc.compiler.rewrite.algebra import record_of
from symc.compiler.rewrite.engine import constant_value
from symc.compiler.rewrite.ops import DIM_VALUE, FLOOR_DIV, MAXIMUM
from symc.compiler.unification import Rebuilt, together, unify
from symc.errors import ShapeError
from symc.graph import Apply, Variable, dims, toposort
from symc.graph.body import Body
from symc.graph.dim_parts import subexpressions
from symc.graph.guards import Guard
from symc.tensor.indices.stretching import STRETCH_AT, UNSTRETCH_AT

__all__ = ["equal_lengths", "least_lengths", "required_lengths", "with_equal_lengths", "with_long_axes"]

MOST = 64
"""The longest axis that is taken for granted."""
ROUNDS = 3
"""How often axes are taken for longer, before it is asked again for how long they must be."""

Build = Callable[[Mapping[Any, dims.Dim]], Rebuilt]


def with_equal_lengths(built: Rebuilt, build: Build, axes: Collection[Any]) -> tuple[Rebuilt, dict[Any, Any]]:
    """Build a graph again with the axes as long as each other that ``equal_lengths`` finds, unless they cannot be."""
    same = equal_lengths(built.outputs, axes)
    if not same:
        return built, {}
    try:
        return build(together(built.unified, same)), same
    except ShapeError:  # they are different
        return built, {}


def with_long_axes(built: Rebuilt, build: Build, axes: set[Any]) -> tuple[Rebuilt, dict[Any, tuple[Any, int]]]:
    """Build a graph again with axes that are as long as constants ask for.

    Parameters
    ----------
    built : Rebuilt
        The graph with axes of any length.
    build : callable
        Builds it with some symbols replaced.
    axes : set
        The symbols of axes of arguments.

    Returns
    -------
    Rebuilt
    dict
        Maps the symbols of these axes to pairs of a new symbol and the number that is added to it.
    """
    long: dict[Any, tuple[Any, int]] = {}
    asked: dict[Any, int] = {}
    found = built
    try:
        for _ in range(ROUNDS):  # lengths of parts of parts are known to be simple in a second round
            names = {m: s for s, (m, _) in long.items()}
            shapes = {d for v in found.sources.values() for d in v.type.shape}
            present = names.keys() | shapes & axes
            least = least_lengths(found.outputs, present) | required_lengths(found.guards, present)
            if not least:
                break
            for s, n in least.items():
                asked[names.get(s, s)] = asked.get(names.get(s, s), 0) + n
            long = {s: (dims.new_symbol(s.name), n) for s, n in asked.items()}
            found = build(together(built.unified, {s: dims.add(m, n) for s, (m, n) in long.items()}))
        if long:
            fresh = unify(found.guards, found.unified, {m for m, _ in long.values()}, found.level.everywhere)
            if fresh:  # where n - 2 must be 2, all lengths are 4 of which the guard lets a call pass
                found = build(together(found.unified, fresh))
        return found, long
    except ShapeError:  # the expressions fit shorter arguments alone
        return built, {}


def least_lengths(outputs: Sequence[Variable], axes: Collection[Any]) -> dict[Any, int]:
    """The lengths from which on every ``max`` and ``min`` of an axis and constants is one of its operands.

    Parameters
    ----------
    outputs : sequence of Variable
        A graph whose shapes, attributes and bodies are searched.
    axes : collection
        The symbols of the axes in question.

    Returns
    -------
    dict
        Maps symbols to lengths of up to ``MOST``, in the order in which they were found.
    """
    found: dict[Any, int] = {}
    for e in dict.fromkeys(_extremes(_dims_of(outputs))):
        for k, a in enumerate(e.args):
            for b in e.args[:k]:
                difference = dims.sub(a, b)
                used = dims.symbols_of(difference)
                if len(used) != 1:
                    continue
                (s,) = used
                if s not in axes:
                    continue
                constant, rest = difference.as_coeff_Add()
                factor, alone = rest.as_coeff_Mul()
                if alone is s and constant.is_Integer and factor.is_Integer:
                    least = -(int(constant) // int(factor))
                    if least <= MOST:
                        found[s] = max(found.get(s, 0), least)
    for s, n in _divided(outputs):
        if s in axes and n <= MOST:
            found[s] = max(found.get(s, 0), n)
    return {s: n for s, n in found.items() if n > 0}


def required_lengths(guards: Sequence[Guard], axes: Collection[Any]) -> dict[Any, int]:
    """The lengths without which guards fail: ``min(100, n)`` is ``min(100, n - 1)``, or 100, from 101 elements on."""
    found: dict[Any, int] = {}
    for guard in guards:
        sides = [_capped(guard.left), _capped(guard.right)]
        if sides[0][0] is None or sides[0][0] != sides[1][0]:
            continue
        cap, rests = sides[0][0], [rest for _, rest in sides if rest is not None]
        if len(rests) == 2 and type(dims.sub(*rests)) is not int:
            continue
        for rest in rests:
            constant, s = rest.as_coeff_Add()
            if s in axes and constant.is_Integer:
                found[s] = max(found.get(s, 0), cap - int(constant))
    return {s: n for s, n in found.items() if n > 0}


def _capped(d: dims.Dim) -> tuple[int | None, Any]:
    """A number and the rest, of which a dim is the smaller one; a number alone, without a rest."""
    if type(d) is int:
        return d, None
    numbers = [a for a in d.args if a.is_Integer] if isinstance(d, sympy.Min) and len(d.args) == 2 else []
    return (int(numbers[0]), next(a for a in d.args if a is not numbers[0])) if numbers else (None, d)


def equal_lengths(outputs: Sequence[Variable], axes: Collection[Any]) -> dict[Any, Any]:
    """The axes that nothing but a broadcast at call time distinguishes from other axes.

    Parameters
    ----------
    outputs : sequence of Variable
        A graph, with bodies.
    axes : collection
        The symbols of the axes in question.

    Returns
    -------
    dict
        Maps symbols to those of the axes whose lengths they would have.
    """
    found: dict[Any, Any] = {}
    for node in _nodes_of(outputs):
        if node.op.record not in (STRETCH_AT, UNSTRETCH_AT):
            continue
        sides = node.inputs[0].type.shape, node.op["shape"]
        for have, want in zip(*(sides if node.op.record is STRETCH_AT else sides[::-1])):
            have, want = dims.substitute(have, found), dims.substitute(want, found)
            others = dims.symbols_of(want) - {have}
            if have not in axes or len(others) != 1 or dims.equal(have, want) is True:
                continue
            (other,) = others
            if other in axes and all(dims.evaluate(want, {have: n, other: n}) == n for n in (1, 2, 7)):
                found = {s: dims.substitute(d, {have: other}) for s, d in found.items()} | {have: other}
    return found


def _divided(outputs: Sequence[Variable]) -> Iterable[tuple[Any, int]]:
    """Axes by which constants are divided, with the lengths from which on the quotients are 0 or -1."""
    for node in _nodes_of(outputs):
        if node.op.record is not FLOOR_DIV or node.outputs[0].ndim:
            continue
        left, right = constant_value(node.inputs[0]), node.inputs[1]
        if left is None:
            continue
        sides = right.owner.inputs if record_of(right) is MAXIMUM else [right]  # type: ignore[union-attr]
        for v in sides:
            if record_of(v) is DIM_VALUE:
                yield v.owner.op["dim"], int(left) + 1 if left >= 0 else -int(left)  # type: ignore[union-attr]


def _extremes(found: Iterable[dims.Dim]) -> Iterable[Any]:
    for d in dict.fromkeys(found):
        if type(d) is not int:
            yield from (e for e in subexpressions(d) if isinstance(e, (sympy.Max, sympy.Min)))


def _dims_of(outputs: Sequence[Variable]) -> Iterable[dims.Dim]:
    """All symbolic dims of a graph: of shapes, and among attributes, also of bodies."""
    for node in _nodes_of(outputs):
        yield from (d for v in node.outputs for d in v.type.shape if type(d) is not int)
        stack = list(node.op.attrs.values())
        while stack:
            value = stack.pop()
            if isinstance(value, (tuple, list)):
                stack.extend(value)
            elif isinstance(value, dims.Symbolic):
                yield value


def _nodes_of(outputs: Sequence[Variable]) -> Iterable[Apply]:
    """All applications of a graph and of the bodies of its ops."""
    graphs = [list(outputs)]
    while graphs:
        for node in toposort(graphs.pop()):
            yield node
            if node.op.record.bodies:
                graphs += [list(value.outputs) for value in node.op.attrs.values() if isinstance(value, Body)]
