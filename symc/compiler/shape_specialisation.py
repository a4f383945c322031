"""Shape specialisation: from the user's graph to the compiler's.

The user's graph is typed with the dims known when it was built. Here it is rebuilt with all known dims: shared
variables have the shape of their values, and dims that an op requires to be equal become one symbol. Every ``infer`` is
called again, so errors are raised now, with the user's line; checks that are possible only at call time become guards.
Operands of which only the shape is read are replaced by dims.

A dim may be the value of an integer that the program computes, as in ``x[:n]`` or ``alloc(0, n)``. Such a dim is a
symbol that stays associated with the integer when the graph is rebuilt, and is bound to its value when the program
runs; equalities of the symbol are checked then.

The length of ``x[1:-1]`` is ``n - 2``, unless ``x`` has fewer than two elements. Almost no call has, so axes of inputs
may be assumed to be as long as such constants ask for: the symbol ``n`` becomes ``m + 2``, with a length ``m`` of
its own. Dims are simple then, and shapes are known to be equal that are. Axes of two arguments of which one might be 1,
and broadcast, are taken for equal likewise. Other calls take code without these assumptions. So do calls with other
lengths where short axes of arguments have the lengths of an earlier call (``symc.runtime.short_axes``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symc.compiler.bodies import opened, symbols_in, with_bodies
from symc.compiler.conditions import Checks, Conditional, conditions_of, has_branches
from symc.compiler.least_lengths import with_equal_lengths, with_long_axes
from symc.compiler.unification import Rebuilt, together, unify
from symc.compiler.value_numbering import ValueNumbering
from symc.errors import ShapeError, building_at, located
from symc.graph import Apply, Constant, SharedVariable, Variable, dims, toposort
from symc.graph.body import Body, Equality
from symc.graph.dtypes import is_float
from symc.graph.guards import Guard, collecting, state_guard
from symc.graph.op import Op
from symc.graph.types import TensorType
from symc.tensor.symbolic_dims import as_dim, value_symbols

__all__ = ["Specialised", "only_shared_values_disagree", "specialise"]


@dataclass
class Specialised:
    """The compiler's graph.

    Attributes
    ----------
    sources : dict
        Maps the user's inputs (and one shared variable per storage) to the variables that replace them.
    outputs : list of Variable
    guards : list of Guard
        Equalities over the axes of arguments, to check once per combination of shapes, in the user's symbols.
    symbols : tuple
        Symbols of dims that are the values of integers.
    values : list of Variable
        These integers.
    equalities : list of Equality
        Equalities of these symbols, checked in every call.
    unified : dict
        Maps each unified symbol to its replacement.
    longer : dict
        Symbols of axes of arguments that are assumed to be ``m + n`` elements long, each with the symbol ``m`` and the
        number ``n``.
    same : dict
        Symbols of axes of arguments that are assumed to be as long as others, with the symbols of these.
    """

    sources: dict[Variable, Variable]
    outputs: list[Variable]
    guards: list[Guard]
    symbols: tuple[Any, ...] = ()
    values: list[Variable] = field(default_factory=list)
    equalities: list[Equality] = field(default_factory=list)
    unified: dict[Any, dims.Dim] = field(default_factory=dict)
    longer: dict[Any, tuple[Any, int]] = field(default_factory=dict)
    same: dict[Any, Any] = field(default_factory=dict)


def specialise(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    present: bool = True,
    long: bool = False,
    lengths: Mapping[Any, int] | None = None,
) -> Specialised:
    """Build the compiler's graph for ``outputs`` over ``inputs``; raises what ``infer`` raises.

    Shared variables have the shapes of their values, or with ``present=False`` those of their types. Each round
    replaces at least one symbol by an equal dim, and creates no new symbols of dims, so the number of rounds is finite.
    With ``long``, more rounds take axes for as long as each other where one might be broadcast, and for as long as
    constants in other dims ask for, and what branches require is always required. ``lengths`` are those of axes of
    arguments that a call will have.
    """
    if long:
        try:
            return _specialised(inputs, outputs, present, True, lengths)
        except ShapeError:  # branches may require different lengths of one axis
            if not has_branches(outputs):
                raise
    return _specialised(inputs, outputs, present, False, lengths)


def _specialised(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    present: bool,
    long: bool,
    lengths: Mapping[Any, int] | None,
) -> Specialised:
    storages: dict[int, SharedVariable] = {}
    order = toposort(outputs, frozenset(inputs))
    if any(node.op.record.bodies for node in order):
        outputs = opened(outputs, frozenset(inputs))
        order = toposort(outputs, frozenset(inputs))
    leaves = _leaves(inputs, outputs, order)
    guards: list[Guard] = []

    def build(unified: Mapping[Any, dims.Dim]) -> Rebuilt:
        sources: dict[Variable, Variable] = {}
        for leaf in leaves:
            sources[leaf] = _source(leaf, unified, sources, storages, present)
        level = _Level(unified, always=long)
        with collecting() as found:
            made = level.rebuild(outputs, sources, order)
        return Rebuilt(unified, sources, level, made, found)

    built = build(dict(lengths or {}))
    while True:
        guards += built.guards  # in the original symbols, which messages and calls use
        axes = built.symbols() - built.level.values.keys()
        fresh = unify(built.guards, built.unified, axes, built.level.everywhere)
        if not fresh:
            break
        built = build(together(built.unified, fresh))
    known = {s for v in leaves for d in v.type.shape for s in dims.symbols_of(d)} | axes
    same: dict[Any, Any] = {}
    longer: dict[Any, tuple[Any, int]] = {}
    if long:
        built, same = with_equal_lengths(built, build, axes & {d for v in inputs for d in v.type.shape})
        built, longer = with_long_axes(built, build, axes)
    plain, late = _sorted([*guards, *built.level.conditional], known, set(built.level.everywhere))
    symbols, values = built.level.needed([*built.outputs, *built.sources.values()], late)
    unified = dict(built.unified)
    return Specialised(built.sources, built.outputs, plain, symbols, values, late, unified, longer, same)


def only_shared_values_disagree(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> bool:
    """Whether a contradiction of the current shapes involves only values of shared variables.

    ``set_value`` may then still resolve it. A contradiction to a number, such as a declared length of an input, is an
    error now.
    """
    try:
        open_ = specialise(inputs, outputs, present=False)
    except ShapeError:
        return False
    shapes: dict[Any, int] = {}
    for leaf in open_.sources:
        if isinstance(leaf, SharedVariable):
            shapes |= {d: n for d, n in zip(leaf.type.shape, leaf.storage.shape) if type(d) is not int}
    if any(type(open_.unified.get(s)) is int and open_.unified[s] != n for s, n in shapes.items()):
        return False
    for g in open_.guards:
        numbers = type(g.left) is int or type(g.right) is int
        if numbers and dims.symbols_of(g.left) | dims.symbols_of(g.right) <= shapes.keys():
            if dims.evaluate(g.left, shapes) != dims.evaluate(g.right, shapes):
                return False
    return True


def _sorted(guards: Sequence[Guard], known: set[Any], values: set[Any]) -> tuple[list[Guard], list[Equality]]:
    """Split guards, without duplicates, into those decided by shapes and those that depend on integer values."""
    plain: list[Guard] = []
    late: dict[Any, Equality] = {}
    for g in guards:
        used = dims.symbols_of(g.left) | dims.symbols_of(g.right)
        if not used & values:
            plain.append(g)
        elif used <= known | values:
            late.setdefault((g.left, g.right), Equality(g.left, g.right, g.text))
    return plain, list(late.values())


def _leaves(inputs: Sequence[Variable], outputs: Sequence[Variable], order: Sequence[Apply]) -> list[Variable]:
    found = dict.fromkeys(inputs)
    for node in order:
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
    present: bool,
) -> Variable:
    if isinstance(leaf, SharedVariable):
        first = storages.setdefault(id(leaf.storage), leaf)
        if first is not leaf and first in sources:
            return sources[first]
    if isinstance(leaf, SharedVariable) and present:
        shape: Sequence[dims.Dim] = leaf.storage.shape
    else:
        shape = [dims.substitute(d, unified) for d in leaf.type.shape]
    return Variable(TensorType(leaf.dtype, shape), None, 0, leaf.name, leaf.location)


class _Level:
    """The rebuilding of one graph or body.

    Attributes
    ----------
    values : dict
        Maps symbols that are values of integers of this level to these integers.
    everywhere : dict
        Such symbols of this level and of all inner bodies, each with the number of symbols before it: what gives one
        its value depends on earlier ones alone.
    always : bool
        Whether what lazy branches require is required in every call.
    conditional : list of Guard
        What they require otherwise, together with their conditions.
    """

    def __init__(
        self, unified: Mapping[Any, dims.Dim], everywhere: dict[Any, int] | None = None, always: bool = True
    ) -> None:
        self.unified = unified
        self.values: dict[Any, Variable] = {}
        self.everywhere: dict[Any, int] = {} if everywhere is None else everywhere
        self.always = always
        self.conditional: list[Guard] = []

    def rebuild(
        self,
        outputs: Sequence[Variable],
        sources: Mapping[Variable, Variable],
        order: Sequence[Apply] | None = None,
    ) -> list[Variable]:
        """Rebuild ``outputs``, whose applications above ``sources`` are ``order``, with other sources."""
        numbering = ValueNumbering()
        known: dict[Variable, Variable] = {}

        def here(v: Variable) -> Variable:
            found = known.get(v)
            if found is None:
                found = known[v] = numbering.constant(v) if isinstance(v, Constant) else v
            return found

        for old, new in sources.items():
            known[old] = new
            self._carry(old, new)
        order = toposort(outputs, frozenset(sources)) if order is None else order
        conditions = conditions_of(outputs, order)
        checks = Checks()
        for node in order:
            inputs = [here(v) for v in node.inputs]
            op = node.op if not node.op.record.lazy else checks.before(node.op, node.inputs[0], inputs[0])
            with collecting() as required:
                made = self._made(op, inputs, node.outputs[0], numbering, bool(conditions))
            for guard in required:
                if node not in conditions:
                    state_guard(guard)
                elif self.always:
                    state_guard(guard._replace(lazy=True))
                else:
                    checks.found.append(Conditional(guard, conditions[node]))
            for old, new in zip(node.outputs, made):
                known[old] = new
                self._carry(old, new)
        self.conditional += checks.guards()
        for flag in checks.flags.values():
            symbol = as_dim(flag)
            (self.values[symbol],) = numbering.adopt([flag])
            self.everywhere.setdefault(symbol, len(self.everywhere))
        return [here(v) for v in outputs]

    def _made(
        self, op: Op, inputs: list[Variable], old: Variable, numbering: ValueNumbering, anew: bool
    ) -> Sequence[Variable]:
        """Apply an op to other inputs than those of ``old``; with ``anew``, what it requires is stated in any case."""
        location, record = old.location, op.record
        if record.bodies:
            op = self._with_bodies(op, inputs)
        if record.specialise is None:
            if anew:
                op.types(inputs, location)
            made: Sequence[Variable] = numbering.make(op, inputs, location, old.name)
            self._note(inputs)
            return made
        types = op.types(inputs, location)
        self._note(inputs)
        with building_at(location):
            fresh = record.specialise(op, inputs, types)
        return numbering.adopt([fresh] if isinstance(fresh, Variable) else fresh, location=location)

    def _with_bodies(self, op: Any, inputs: Sequence[Variable]) -> Any:
        assert op.record.body_types is not None

        def rebuilt(name: str, body: Body) -> Body:
            types = op.record.body_types(op, inputs, name)
            fresh = [Variable(t, None, 0, v.name, v.location) for t, v in zip(types, body.inputs)]
            level = _Level(self.unified, self.everywhere, self.always)
            with collecting() as found:
                outputs = level.rebuild(body.outputs, dict(zip(body.inputs, fresh)))
            inside = {s: v for s, v in level.values.items()}
            found += level.conditional
            late = [g for g in found if (dims.symbols_of(g.left) | dims.symbols_of(g.right)) & inside.keys()]
            for g in found:
                if g not in late:
                    state_guard(g)
            equalities = [Equality(g.left, g.right, g.text) for g in late]
            symbols, values = level.needed(outputs, equalities)
            for v in outputs:
                hidden = {s for d in v.type.shape for s in dims.symbols_of(d)} & inside.keys() - self.values.keys()
                if hidden:
                    text = f"{op.name}: an output of the step has a length that only the step computes"
                    raise ShapeError(located(text, [v], "compute the length outside of the step, or use a fixed one"))
            return Body(fresh, outputs, symbols, values, equalities)

        return with_bodies(op, rebuilt)

    def _carry(self, old: Variable, new: Variable) -> None:
        """Keep the symbol of an integer when the graph is rebuilt."""
        if old.type.shape or is_float(old.type.dtype):
            return
        symbol = old.__dict__.get("_dim")
        made = new.__dict__.get("_dim")
        if symbol is not None and made is None:
            new.__dict__["_dim"] = dims.substitute(symbol, self.unified)
            new.__dict__["_symbol"] = symbol
        elif symbol is None and made is not None and not isinstance(new, Constant):
            old.__dict__["_dim"] = new.__dict__.get("_symbol", made)
        for v in (old, new):
            own = v.__dict__.get("_symbol", v.__dict__.get("_dim"))
            if own is not None and type(own) is not int and own.is_Symbol:
                self.values.setdefault(own, new)
                self.everywhere.setdefault(own, len(self.everywhere))

    def _note(self, inputs: Sequence[Variable]) -> None:
        """Record the integers whose values are used as dims."""
        for v in inputs:
            if not v.type.shape and not is_float(v.type.dtype):
                break
        else:
            return
        for symbol, v in value_symbols(inputs).items():
            own = v.__dict__.get("_symbol", symbol)
            if type(own) is not int and own.is_Symbol:
                v.__dict__.setdefault("_symbol", own)
                self.values.setdefault(own, v)
                self.everywhere.setdefault(own, len(self.everywhere))

    def needed(
        self, outputs: Sequence[Variable], equalities: Iterable[Equality]
    ) -> tuple[tuple[Any, ...], list[Variable]]:
        """The symbols of this level that its graph or its equalities use, also indirectly, with their integers."""
        if not self.values:
            return (), []
        wanted: set[Any] = set()
        for e in equalities:
            wanted |= dims.symbols_of(e.left) | dims.symbols_of(e.right)
        found: dict[Any, Variable] = {}
        pending: Iterable[Variable] = outputs
        seen: set[int] = set()
        while True:
            for node in toposort(pending):
                if id(node) not in seen:
                    seen.add(id(node))
                    for v in (*node.inputs, *node.outputs):
                        wanted.update(s for d in v.type.shape for s in dims.symbols_of(d))
                    wanted |= symbols_in(node.op.attrs.values())
            for v in pending:
                wanted.update(s for d in v.type.shape for s in dims.symbols_of(d))
            fresh = {s: self.values[s] for s in dims.ordered(wanted & self.values.keys() - found.keys())}
            if not fresh:
                return tuple(found), list(found.values())
            found.update(fresh)
            pending = list(fresh.values())
