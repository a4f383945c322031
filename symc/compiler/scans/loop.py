"""A repetition as the rewrites change it: variables inside, each with its value outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from symc.graph import Apply, Variable, clone_with, dims, toposort
from symc.graph.body import Body
from symc.graph.op import Axes, Indexed, LibraryCall, Reduction, Structured, View
from symc.graph.repetition import Repetition
from symc.graph.types import TensorType

__all__ = ["Loop", "State", "is_arrangement", "is_costly", "is_free", "read", "sample_size"]

SAMPLE = 64
"""The value of every symbol in estimates of sizes."""
LONG = 16
"""The number of elements per result from which on a reduction is worth storing or moving."""


@dataclass(eq=False)
class State:
    """A state: the variable inside, its initial value outside, its next value inside."""

    inner: Variable
    start: Variable
    after: Variable
    keep: bool


@dataclass(eq=False)
class Loop:
    """A repetition taken apart.

    Attributes
    ----------
    node : Apply
        The application that it was read from.
    sequences, constants : dict
        Map variables inside to those outside.
    states : list of State
    made : list of Variable
        The stacked values, inside.
    until : Variable or None
        The condition that ends the loop.
    memory, blocked
        As those of ``Repetition``.
    """

    node: Apply
    count: dims.Dim
    backwards: bool
    sequences: dict[Variable, Variable] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    constants: dict[Variable, Variable] = field(default_factory=dict)
    made: list[Variable] = field(default_factory=list)
    until: Variable | None = None
    memory: int = 0
    blocked: bool = False

    @property
    def outputs(self) -> list[Variable]:
        """All results of one step."""
        return [*(s.after for s in self.states), *self.made, *([] if self.until is None else [self.until])]

    @property
    def order(self) -> list[Apply]:
        """The applications of one step."""
        return toposort(self.outputs)

    def replace(self, known: dict[Variable, Variable]) -> None:
        """Replace variables inside."""
        if not known:
            return
        fresh = clone_with(self.outputs, known)
        for state, v in zip(self.states, fresh):
            state.after = v
        if self.until is not None:
            self.until = fresh.pop()
        self.made = fresh[len(self.states) :]

    def constant(self, outer: Variable, name: str | None = None) -> Variable:
        """The variable inside for a value that is the same in every step."""
        for inner, v in self.constants.items():
            if v is outer:
                return inner
        inner = Variable(TensorType(outer.dtype, outer.type.shape), None, 0, name or outer.name, outer.location)
        self.constants[inner] = outer
        return inner

    def sequence(self, outer: Variable, name: str | None = None) -> Variable:
        """The variable inside for the entries of a tensor."""
        for inner, v in self.sequences.items():
            if v is outer:
                return inner
        inner = Variable(TensorType(outer.dtype, outer.type.shape[1:]), None, 0, name or outer.name, outer.location)
        self.sequences[inner] = outer
        return inner

    def stack(self, inner: Variable) -> int:
        """The position of ``inner`` among the stacked results, where it is entered if it is not there."""
        if inner not in self.made:
            self.made.append(inner)
        return self.made.index(inner)

    def write(self) -> tuple[Variable, ...]:
        """Apply the op again: one output per state, then the stacked ones, then the steps done if they are a result.

        Unused operands are left out.
        """
        used = {v for node in self.order for v in node.inputs} | set(self.outputs)
        sequences = {v: outer for v, outer in self.sequences.items() if v in used}
        constants = {v: outer for v, outer in self.constants.items() if v in used}
        body = Body([*sequences, *(s.inner for s in self.states), *constants], self.outputs)
        repeats = self.node.op.record.repeats
        assert repeats is not None
        starts, keep = [s.start for s in self.states], [s.keep for s in self.states]
        new = Repetition(
            self.count, self.backwards, body, list(sequences.values()), starts, list(constants.values()), keep,
            self.until is not None, self.memory, self.blocked,
        )  # fmt: skip
        op, inputs = repeats.write(self.node.op, new)
        return op.apply(inputs, self.node.outputs[0].location).outputs


def read(node: Apply, inputs: Sequence[Variable] | None = None, ends_early: bool = False) -> Loop | None:
    """Take a repetition apart; None if ``node`` is none, or one that must stay as it is.

    ``inputs`` replace those of ``node``; ``ends_early`` admits loops that a condition may end.
    """
    repeats = node.op.record.repeats
    if repeats is None:
        return None
    if inputs is not None and any(a is not b for a, b in zip(inputs, node.inputs)):
        node = node.op.apply(inputs, node.outputs[0].location)
    found = repeats.read(node)
    if found is None or found.until and not ends_early:
        return None
    inner = found.body.inputs
    a, b = len(found.sequences), len(found.sequences) + len(found.states)
    states = [
        State(v, start, after, keep)
        for v, start, after, keep in zip(inner[a:b], found.states, found.body.outputs, found.keep)
    ]
    return Loop(
        node,
        found.count,
        found.backwards,
        dict(zip(inner[:a], found.sequences)),
        states,
        dict(zip(inner[b:], found.constants)),
        list(found.body.outputs[len(states) : len(found.body.outputs) - found.until]),
        found.body.outputs[-1] if found.until else None,
        found.memory,
        found.blocked,
    )


def is_arrangement(node: Apply) -> bool:
    """Whether the op only arranges the elements of its input: it costs nothing where it is read."""
    return isinstance(node.op.record.lower, (Axes, View))


def is_free(node: Apply) -> bool:
    """Whether the op costs nothing where its result is read, like a position or a number of entries."""
    lower = node.op.record.lower
    return is_arrangement(node) or isinstance(lower, Indexed) and lower.recompute


def is_costly(node: Apply) -> bool:
    """Whether the op does much more work than storing its result and loading it again."""
    lower = node.op.record.lower
    if isinstance(lower, Reduction):
        return sample_size(node.inputs[0].type.shape) >= LONG * sample_size(node.outputs[0].type.shape)
    return isinstance(lower, (LibraryCall, Structured))


def sample_size(shape: Iterable[dims.Dim]) -> int:
    """The number of elements, with symbols taken for numbers of moderate size."""
    total = dims.product(shape)
    return total if type(total) is int else dims.evaluate(total, dict.fromkeys(dims.symbols_of(total), SAMPLE))
