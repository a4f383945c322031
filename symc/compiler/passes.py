"""The compiler's passes, from a user's graph to a program of kernels.

Each pass is a plain function from ``State`` to ``State``; ``PASSES`` lists all of them. ``symc.printing.debugprint(f,
stage=...)`` prints the result of a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from symc.compiler.bodies import drop_unused_outputs, within
from symc.compiler.branches import Level, sink_branches
from symc.compiler.channel_blocks import in_channel_blocks
from symc.compiler.counted_positions import counted_gathers
from symc.compiler.extremes import ends_of_sorts
from symc.compiler.fusion import Unit, fuse
from symc.compiler.joined_copies import copies_of_operands
from symc.compiler.joins import joins_last
from symc.compiler.lowering.program import ProgramBuilder
from symc.compiler.lowering.root import Root
from symc.compiler.lowering.sunk_products import with_sunk_products
from symc.compiler.masks import without_lists
from symc.compiler.one_per_row import one_per_row
from symc.compiler.pooled_maps import with_pooled_maps
from symc.compiler.preparing import LEAST_WORK, prepare_stored
from symc.compiler.reshaped_rows import reshapes_last
from symc.compiler.rewrite import rules
from symc.compiler.rewrite.affine import Prepared, fold_scales
from symc.compiler.rewrite.engine import RuleList, rewrite
from symc.compiler.scans import improved
from symc.compiler.scattering import checks_apart, framed_writes, scatters_with_operands
from symc.compiler.shape_specialisation import Specialised, specialise
from symc.compiler.short_sums import short_sums
from symc.compiler.slices import views_of_slices, views_where_needed
from symc.compiler.split_slices import split_slices
from symc.compiler.storage import computed_wide
from symc.compiler.target import CPU, Target
from symc.compiler.value_numbering import ValueNumbering
from symc.config import config
from symc.graph import Apply, Constant, Graph, SharedVariable, Variable, clone_with, dims, toposort
from symc.graph.collector import uncollected
from symc.graph.test_values import building_inside
from symc.loops.check import check
from symc.loops.ir import Program

__all__ = ["PASSES", "State", "compile_graph", "specialise_shapes"]

JOIN_ROUNDS = 3
"""How often slices and elementwise ops are offered to move: behind a join that was moved there may be more to do."""


@dataclass(frozen=True)
class State:
    """The state that passes transform.

    Attributes
    ----------
    inputs, outputs : list of Variable
        The user's variables; ``outputs`` include the new values of updated shared variables, at the end.
    updates : list of (SharedVariable, position)
        The shared variables, and the positions of the outputs that are their new values.
    mode : str
    target : Target
        The target of the loops.
    specialised : Specialised
    graph : Graph
        The outputs after the last graph pass, then the integers whose values are ``specialised.symbols``.
    folds : bool
        Whether scales may be folded into stored weights.
    blocks : bool
        Whether convolutions hand on their maps in blocks of channels, as bfloat16.
    long : bool
        Whether axes of arguments are taken for as long as constants in slices ask for.
    lengths : tuple of (symbol, int)
        Lengths of axes of arguments in all calls of the code, see ``symc.runtime.short_axes``.
    prepared : list of Prepared
        Values in ``graph`` that are computed when shared variables change.
    units, stored : from fusion
    program : Program
    """

    name: str
    inputs: Sequence[Variable]
    outputs: Sequence[Variable]
    updates: Sequence[tuple[SharedVariable, int]]
    mode: str = "fast_run"
    target: Target = CPU
    specialised: Specialised | None = None
    graph: Graph = Graph()
    folds: bool = True
    blocks: bool = False
    long: bool = False
    lengths: tuple[tuple[Any, int], ...] = ()
    prepared: Sequence[Prepared] = ()
    units: Sequence[Unit] = ()
    stored: set[Variable] = field(default_factory=set)
    program: Program | None = None

    @property
    def binding(self) -> dict[Any, Variable]:
        """Map symbols to the integers whose values they are, at the end of ``graph``."""
        assert self.specialised is not None
        symbols = self.specialised.symbols
        return dict(zip(symbols, self.graph[len(self.graph) - len(symbols) :]))


def specialise_shapes(state: State) -> State:
    """Rebuild the graph with all known shapes; checks possible only at call time become guards."""
    inputs = [*state.inputs, *(s for s, _ in state.updates)]
    specialised = specialise(inputs, state.outputs, long=state.long, lengths=dict(state.lengths))
    return replace(state, specialised=specialised, graph=Graph([*specialised.outputs, *specialised.values]))


def widen_storage(state: State) -> State:
    """Ops on dtypes that are only storage compute in float32; early, so that all rules see the dtypes they know."""
    return replace(state, graph=within(state.graph, computed_wide))


def rewrite_canonical(state: State) -> State:
    """Remove redundant work, fold constants, merge equal expressions."""
    return state if state.mode == "no_rewrite" else _rewritten(state, rules.CANONICAL)


def rewrite_stable(state: State) -> State:
    """Replace forms that overflow or cancel by stable ones. Enabled in every mode, since it affects correctness."""
    return _rewritten(state, rules.STABLE if state.mode == "no_rewrite" else rules.CANONICAL + rules.STABLE)


def _rewritten(state: State, rule_list: RuleList) -> State:
    return replace(state, graph=within(state.graph, lambda graph: rewrite(graph, rule_list)))


def decompose_composites(state: State) -> State:
    """Replace composite ops by graphs of other ops."""
    return replace(state, graph=within(state.graph, _decompose))


def _decompose(graph: Graph) -> Sequence[Variable]:
    if all(record.decompose is None for record in graph.records):
        return graph
    numbering = ValueNumbering()

    def made(node: Apply, inputs: Sequence[Variable]) -> Sequence[Variable]:
        if node.op.record.decompose is None:
            first = node.outputs[0]
            return numbering.make(node.op, inputs, first.location, first.name, node)
        return _decomposed(node, inputs, numbering)

    return numbering.rebuild(graph, graph.order, made)


def _decomposed(node: Apply, inputs: Sequence[Variable], numbering: ValueNumbering) -> Sequence[Variable]:
    """A composite's graph, specialised, with inner composites also decomposed."""
    assert node.op.record.decompose is not None
    location = node.outputs[0].location
    fresh = node.op.record.decompose(node.op, inputs)
    known: dict[Variable, Variable] = {v: v for v in inputs}
    for inner in toposort(fresh, frozenset(inputs)):
        args = [numbering.constant(v) if isinstance(v, Constant) else known.get(v, v) for v in inner.inputs]
        record = inner.op.record
        if record.specialise is not None:
            types = [v.type for v in inner.op.apply(args, location).outputs]
            found = record.specialise(inner.op, args, types)
            made: Sequence[Variable] = numbering.adopt(
                [found] if isinstance(found, Variable) else found, location=location
            )
        elif record.decompose is not None:
            made = _decomposed(inner.op.apply(args, location), args, numbering)
        else:
            made = numbering.make(inner.op, args, location)
        known.update(zip(inner.outputs, made))
    return [known.get(v, v) for v in fresh]


def rewrite_loops(state: State) -> State:
    """Move work out of the loops of ops that repeat a body, and let loops share it."""
    if state.mode != "fast_run" or not any(record.repeats is not None for record in state.graph.records):
        return state
    state = _rewritten(state, rules.CANONICAL)
    assert state.specialised is not None
    change = partial(improved, registers=state.target.loops_in_registers)
    return replace(state, graph=within(state.graph, change, state.specialised.symbols))


def rewrite_special(state: State) -> State:
    """Replace forms by better primitives after decomposition; then apply the canonical rules again."""
    fast = state.mode == "fast_run"
    return _rewritten(state, rules.CANONICAL + rules.SPECIAL + rules.STRUCTURAL if fast else rules.STRUCTURAL)


def select_ends(state: State) -> State:
    """Select the ends of lines of which nothing else is read once they are sorted."""
    if state.mode != "fast_run":
        return state
    return replace(state, graph=within(state.graph, ends_of_sorts))


def drop_lists(state: State) -> State:
    """Compute with all elements where a list of those that a mask selects is only summed, or written back."""
    if state.mode != "fast_run":
        return state
    specialised = state.specialised
    assert specialised is not None
    graph, symbols = without_lists(state.graph, specialised.symbols, specialised.equalities)
    if graph is state.graph:
        return state
    return replace(state, graph=state.graph.with_outputs(graph), specialised=replace(specialised, symbols=symbols))


def fold_parameters(state: State) -> State:
    """Fold scales and shifts per channel into the stored weights of products, and list what must be prepared."""
    if state.mode != "fast_run" or not state.folds:
        return state
    return _with_prepared(state, *fold_scales(state.graph, _stored(state)))


def _stored(state: State) -> set[Variable]:
    """The shared variables of the compiler's graph that the function does not update."""
    assert state.specialised is not None
    updated = {id(s.storage) for s, _ in state.updates}
    shared = {v: s for v, s in state.specialised.sources.items() if isinstance(v, SharedVariable)}
    return {source for leaf, source in shared.items() if id(leaf.storage) not in updated}


def _with_prepared(state: State, graph: Sequence[Variable], prepared: Sequence[Prepared]) -> State:
    """The state with this graph, in which the leaves of ``prepared`` are shared variables of the function's own."""
    if not prepared:
        return state
    assert state.specialised is not None
    specialised = replace(
        state.specialised, sources={**state.specialised.sources, **{p.leaf: p.leaf for p in prepared}}
    )
    graph = state.graph.with_outputs(graph)
    return replace(state, graph=graph, prepared=[*state.prepared, *prepared], specialised=specialised)


def prepare_values(state: State) -> State:
    """List values of stored variables, and of values listed before, that are worth keeping between calls."""
    if state.mode != "fast_run" or not state.folds:
        return state
    assert state.specialised is not None
    results = len(state.graph) - len(state.specialised.symbols)
    least = 0 if state.prepared else LEAST_WORK
    before = {p.leaf: p.value for p in state.prepared}
    fixed = _stored(state) | set(before)
    graph, prepared = prepare_stored(state.graph, results, fixed, config.prepared_memory, least)
    if before and prepared:
        values = clone_with([p.value for p in prepared], before)
        prepared = [replace(p, value=value) for p, value in zip(prepared, values)]
    return _with_prepared(state, graph, prepared)


def join_last(state: State) -> State:
    """Move slices before elementwise ops, both before joins, and elementwise ops before reshapes of products.

    Short sums are written out before, as terms that are such slices. Then apply the canonical rules again.
    """
    if state.mode != "fast_run":
        return state
    graph = within(state.graph, short_sums) if state.target.short_row else state.graph
    for _ in range(JOIN_ROUNDS):
        before, graph = graph, within(graph, joins_last)
        if graph is before:
            break
    graph = within(graph, reshapes_last)
    return (
        state if graph is state.graph else _rewritten(replace(state, graph=graph), rules.CANONICAL + rules.STRUCTURAL)
    )


def block_channels(state: State) -> State:
    """Keep the maps that convolutions hand on to each other in blocks of channels, where the user allows bfloat16."""
    if state.mode != "fast_run" or not state.blocks:
        return state
    graph = in_channel_blocks(state.graph)
    return state if graph is state.graph else replace(state, graph=state.graph.with_outputs(graph))


def pool_maps(state: State) -> State:
    """Let convolutions store the maxima of windows where a pooling alone reads their maps."""
    if state.mode != "fast_run" or not state.target.pooled_maps:
        return state
    graph = within(state.graph, with_pooled_maps)
    return state if graph is state.graph else replace(state, graph=graph)


def drop_unused(state: State) -> State:
    """Remove unused outputs."""
    return replace(state, graph=within(state.graph, drop_unused_outputs))


def sink_lazy(state: State) -> State:
    """Move computations that only one branch of an ifelse needs into that branch."""
    specialised = state.specialised
    assert specialised is not None
    if not any(record.lazy or record.bodies for record in state.graph.records):
        return state
    count = len(state.graph) - len(specialised.symbols)
    outputs, values = list(state.graph[:count]), list(state.graph[count:])
    level = sink_branches(Level(outputs, specialised.symbols, values, specialised.equalities))
    specialised = replace(specialised, symbols=level.symbols, equalities=level.equalities)
    return replace(state, graph=Graph([*level.outputs, *level.values]), specialised=specialised)


def view_slices(state: State) -> State:
    """Replace slices that are contiguous in memory by references."""
    assert state.specialised is not None
    inside = within(state.graph, views_where_needed)
    graph, symbols, values = views_of_slices(inside, state.specialised.symbols)
    specialised = replace(state.specialised, symbols=(*state.specialised.symbols, *symbols))
    return replace(state, graph=state.graph.with_outputs([*graph, *values]), specialised=specialised)


def form_scatters(state: State) -> State:
    """Make checks of index vectors reductions; scatters and padding compute cheap operands in their own loops."""
    if state.mode != "fast_run" or not state.target.scatters:
        return state
    graph = state.graph
    for change in (checks_apart, one_per_row, counted_gathers, scatters_with_operands, framed_writes, split_slices):
        graph = within(graph, change)
    if state.target.any_rows:
        graph = within(graph, copies_of_operands)
    return state if graph is state.graph else replace(state, graph=graph)


def fuse_loops(state: State) -> State:
    """Form units of work: groups of fused ops, library calls. Bodies are fused when they are lowered."""
    units, stored = fuse(state.graph, state.target, state.binding)
    return replace(state, units=units, stored=stored)


def lower_loops(state: State) -> State:
    """Build the program: buffers, and a tree of steps in loop IR."""
    assert state.specialised is not None
    sources = state.specialised.sources
    builder = ProgramBuilder(state.name, state.target)
    given = {s for v in sources.values() for d in v.type.shape for s in dims.symbols_of(d)}
    given |= {s for leaf in sources for d in leaf.type.shape for s in dims.symbols_of(d)}
    given -= set(state.specialised.symbols)
    root = Root(builder, state.graph, state.specialised.symbols, state.specialised.equalities, given)
    root.fused(state.units, state.stored)
    prepared = {p.leaf for p in state.prepared}
    root.sources(sources, lambda leaf: isinstance(leaf, SharedVariable) or leaf in prepared)
    nodes, written = root.results([(sources[s], position) for s, position in state.updates])
    return replace(state, program=builder.program(with_sunk_products(nodes, builder), given, written))


def check_loops(state: State) -> State:
    """Check types, names and bounds of the loop IR; the state is unchanged."""
    assert state.program is not None
    check(state.program)
    return state


PASSES: tuple[Callable[[State], State], ...] = (
    specialise_shapes,
    widen_storage,
    rewrite_canonical,
    rewrite_stable,
    decompose_composites,
    rewrite_loops,
    rewrite_special,
    select_ends,
    drop_lists,
    fold_parameters,
    join_last,
    block_channels,
    pool_maps,
    drop_unused,
    prepare_values,
    sink_lazy,
    view_slices,
    form_scatters,
    fuse_loops,
    lower_loops,
    check_loops,
)


@uncollected
def compile_graph(state: State, watch: Callable[[str, State], None] | None = None) -> State:
    """Run all passes; ``watch(name, state)`` is called with the result of each."""
    with building_inside():
        for step in PASSES:
            state = step(state)
            if watch is not None:
                watch(step.__name__, state)
    return state
