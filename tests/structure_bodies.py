"""Moves that hold programs of their own: branches, loops, ops made from graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
from structure_moves import MOVES, THRESHOLD, given
from structure_programs import FAILURES, Fails, Frame, Leaf, Scope, Unknown

import symc
import symc.tensor as T
from symc.graph import Variable

__all__ = ["grow", "random_scope"]

DEEPEST = 2


def grow(s: Scope, moves: int) -> None:
    """Add about ``moves`` nodes to a scope."""
    table: dict[Any, int] = MOVES | (BODIES if s.depth < DEEPEST else {}) | ({given: 1} if s.depth == 0 else {})
    weights = np.array(list(table.values()), float)
    for move in s.random.choice(np.array(list(table), object), moves, p=weights / weights.sum()):
        k = s.floats()
        if k is not None:
            move(s, k)


# --- branches ---------------------------------------------------------------------------------------------------------


def _condition(s: Scope) -> int | None:
    number, n = s.floats((0,)), s.integer()
    if n is not None and s.chance(0.5):
        return s.add(lambda v: T.gt(v, 1), lambda v: v > 1, [n], "n > 1")
    if number is not None:
        return s.add(lambda v: v > THRESHOLD, lambda v: v > THRESHOLD, [number], "> 0.0123")
    k = s.floats()
    return None if k is None else s.add(lambda v: v.sum() > THRESHOLD, lambda v: v.sum() > THRESHOLD, [k], "sum > t")


def branch(s: Scope, k: int) -> Any:
    """One of two values, parts of which may be made for one side alone."""
    c = _condition(s)
    if c is None:
        return None
    before = len(s.nodes)
    if s.chance(0.6):
        grow(s, int(s.random.integers(1, 4)))
        found = [j for j in range(before, len(s.nodes)) if s.kind(j) == "f"]
        k = int(s.choose(found)) if found else k
    s.hidden.update(range(before, len(s.nodes)))
    shape = s.value(k).shape
    other = s.pick(lambda j: j != k and s.kind(j) in "fi" and s.value(j).shape == shape)
    if other is None or s.chance(0.3):
        other = s.add(lambda v: T.sin(v) * 0.5, lambda v: np.sin(v) * 0.5, [k], "0.5 sin")
        if other is None:
            return None
        s.hidden.add(other)
    then, otherwise = (k, other) if s.chance(0.5) else (other, k)

    def choose(frame: Frame) -> np.ndarray:
        taken, left = (then, otherwise) if frame.value(c) else (otherwise, then)
        value = frame.value(taken)
        if value.ndim:
            try:
                if frame.value(left).shape != value.shape:
                    frame.run.may_fail = True
            except (Fails, Unknown) as error:
                if isinstance(error, Unknown) or isinstance(error.__cause__, FAILURES):
                    frame.run.may_fail = True  # its shape is not known here, or cannot be
        elif _rules_of_shapes(frame, left):
            frame.run.may_fail = True
        return value

    return s.add(
        lambda cv, a, b: T.ifelse(cv, a, b),
        None,  # type: ignore[arg-type]
        [c, then, otherwise],
        "ifelse",
        whole=choose,
    )


def _rules_of_shapes(frame: Frame, k: int) -> bool:
    """Is a rule of shapes broken on the side that is not taken?"""
    try:
        frame.value(k)
    except Fails as error:
        return not isinstance(error.__cause__, IndexError | KeyError | np.linalg.LinAlgError)
    except Unknown:
        pass
    return False


# --- loops ------------------------------------------------------------------------------------------------------------


class _Loop:
    """A scan as it is built, and its meaning.

    Attributes
    ----------
    sequences, states, constants : list of int
        Nodes outside.
    results : list of int
        Nodes of the body: the next states, then the further outputs.
    """

    def __init__(self, s: Scope, sequences: list[int], states: list[int], constants: list[int]) -> None:
        self.outer = s
        self.sequences, self.states, self.constants = sequences, states, constants
        self.body = Scope(s.random, s.dtype, s)
        self.backwards = s.chance(0.3)
        self.n: int | None = None  # a node, or
        self.fixed: int | None = None  # a number
        self.results: list[int] = []
        self.extra = int(s.random.integers(0 if states else 1, 3))

    def parts(self, frame: Frame) -> tuple[int, list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """The number of steps, sequences in their order, states, constants."""
        wanted = [*self.sequences, *self.states, *self.constants, *([] if self.n is None else [self.n])]
        try:
            found = frame.values(wanted)
        except Fails:
            raise Unknown("the step may not read this") from None
        a, b = len(self.sequences), len(self.sequences) + len(self.states)
        sequences, states = found[:a], found[a:b]
        constants = found[b : b + len(self.constants)]
        count = int(found[-1]) if self.n is not None else self.fixed
        if count is None:
            count = min(map(len, sequences))
        if count < 0:
            raise Unknown("a negative number of steps")
        if any(len(v) < count for v in sequences):
            raise ValueError("sequences shorter than there are steps")
        sequences = [v[len(v) - count :] if self.backwards else v[:count] for v in sequences]
        return count, [v[::-1] for v in sequences] if self.backwards else sequences, states, constants

    def run(self, frame: Frame) -> list[np.ndarray | Exception]:
        """The outputs, or why there is none: what is not asked for need not be computed."""
        count, sequences, states, constants = self.parts(frame)
        if not count:
            return self._never(frame, [np.zeros(v.shape[1:], v.dtype) for v in sequences], states, constants)
        made: list[list[Any]] = [[] for _ in self.results]
        for t in range(count):
            found = self.step(frame, [v[t] for v in sequences], states, constants)
            for k, (old, new) in enumerate(zip(states, found)):
                if isinstance(new, Exception):
                    raise Unknown("a state that perhaps nothing reads") from new
                if old.shape != new.shape:
                    raise ValueError(f"state {k} changes its shape")
            states = [v.astype(old.dtype) for v, old in zip(found, states)]
            for history, v in zip(made, [*states, *found[len(states) :]]):
                history.append(v)
        return [self._stacked(history) for history in made]

    def _stacked(self, history: list[Any]) -> np.ndarray | Exception:
        for v in history:
            if isinstance(v, Exception):
                return v
        if any(v.shape != history[0].shape for v in history):
            return Unknown("outputs of several shapes")
        return np.stack(history)

    def _never(self, frame: Frame, *given: list[np.ndarray]) -> list[np.ndarray | Exception]:
        found = self.step(frame, *given)
        if any(isinstance(v, Exception) for v in found):
            raise Unknown("what a step that never runs would give")
        if any(old.shape != new.shape for old, new in zip(given[1], found)):
            raise Unknown("a step that never runs would change the shape of a state")
        return [np.zeros((0, *v.shape), v.dtype) for v in [*given[1], *found[len(given[1]) :]]]

    def step(self, frame: Frame, *given: list[np.ndarray]) -> list[Any]:
        inner = Frame(self.body, dict(enumerate(v for part in given for v in part)), frame)
        found: list[Any] = []
        for k in self.results:
            try:
                found.append(inner.value(k))
            except (Fails, Unknown) as error:
                found.append(error)
        return found

    def build(self, *inner: Variable) -> list[Variable]:
        """The body, grown from the variables that scan hands to it."""
        b = self.body
        _, sequences, states, constants = self.parts(self.outer.home)
        now = [v[0] if len(v) else np.zeros(v.shape[1:], v.dtype) for v in sequences] + states + constants
        for k, (variable, value) in enumerate(zip(inner, now)):
            b.leaf(variable, value, ("sequence", "state", "constant")[self.role(k)])
        grow(b, int(b.random.integers(1, 6)))
        for k in range(len(states)):
            self.results.append(self.next_state(len(sequences) + k))
        for _ in range(self.extra):
            k = b.pick(lambda j: not b.nodes[j].varies and b.kind(j) in "fi")
            self.results.append(0 if k is None else k)
        return [b.nodes[k].variable for k in self.results]

    def role(self, k: int) -> int:
        return 0 if k < len(self.sequences) else 1 if k < len(self.sequences) + len(self.states) else 2

    def next_state(self, k: int) -> int:
        b, state = self.body, self.body.nodes[k].variable
        shape, dtype = b.value(k).shape, state.dtype

        def fits(j: int) -> bool:
            v = b.nodes[j]
            return j != k and not v.varies and v.variable.dtype == dtype and b.value(j).shape == shape

        j = b.pick(fits)
        if state.dtype.startswith("float"):
            extra = b.pick(lambda i: b.kind(i) == "f" and b.value(i).ndim == 0)
            args = [k if j is None else j, *([] if extra is None else [extra])]
            made = b.add(
                lambda *vs: T.tanh(sum(vs[1:], vs[0] * 0.7)),
                lambda *vs: np.tanh(sum(vs[1:], vs[0] * 0.7)),
                args,
                "next",
            )
            return k if made is None else made
        return k if j is None else j


def loop(s: Scope, k: int) -> Any:
    sequences, states = [], []
    n = s.integer() if s.chance(0.4) else None
    fixed = int(s.random.integers(0, 4)) if n is None and s.chance(0.25) else None
    if s.value(k).ndim and s.chance(0.7):
        sequences.append(k)
        length = len(s.value(k))
        other = s.pick(lambda j: s.kind(j) in "fi" and s.value(j).ndim > 0 and len(s.value(j)) == length)
        if other is not None and s.chance(0.4):
            sequences.append(other)
    for _ in range(int(s.random.integers(0 if sequences else 1, 3))):
        j = s.pick(lambda j: s.kind(j) == "f" or (s.kind(j) == "i" and s.value(j).ndim == 0))
        states.append(k if j is None else j)
    constant = s.floats() if s.chance(0.3) else None
    if not sequences and n is None and fixed is None:
        fixed = 2
    made = _Loop(s, sequences, states, [] if constant is None else [constant])
    made.n, made.fixed = n, fixed
    try:
        made.parts(s.home)
    except (*FAILURES, Fails, Unknown):
        return None
    found = _scan(s, made)
    text = (
        f"scan n={f'{s.prefix}{n}' if n is not None else fixed}{' backwards' if made.backwards else ''}, sequences "
        f"{sequences}, states {states}, constants {made.constants}, body\n{made.body.described()}\n"
        + "    " * (s.depth + 1) + f"results {made.results}, output"
    )  # fmt: skip
    key = ("loop", id(made))
    for j, v in enumerate(found):
        s.add(
            lambda v=v: v,
            None,
            [],
            f"{text} {j}",
            whole=lambda frame, j=j: _output(made, frame, key, j),
        )  # type: ignore[arg-type, misc]
        text = "    the same scan's output"


def _output(made: _Loop, frame: Frame, key: Any, j: int) -> np.ndarray:
    def run() -> list[np.ndarray | Exception]:
        try:
            return made.run(frame)
        except FAILURES as error:
            raise Fails(f"{type(error).__name__} in a scan: {error}") from error

    outputs: list[np.ndarray | Exception] = frame.once(key, run)
    found = outputs[j]
    if any(isinstance(v, Exception) for v in outputs):
        frame.run.may_fail = True  # in an output that is perhaps not asked for, or whose value is not known here
    if isinstance(found, Exception):
        raise found
    return found


def _scan(s: Scope, made: _Loop) -> list[Variable]:
    variable = lambda k: s.nodes[k].variable  # noqa: E731
    found, _ = T.scan(
        made.build,
        [variable(k) for k in made.sequences],
        [*map(variable, made.states), *[None] * made.extra],
        [variable(k) for k in made.constants],
        n_steps=variable(made.n) if made.n is not None else made.fixed,
        go_backwards=made.backwards,
        return_list=True,
    )
    return list(found)


# --- ops from graphs --------------------------------------------------------------------------------------------------


def from_graph(s: Scope, k: int) -> Any:
    """An op made from a graph, applied to the same nodes once or twice."""
    args = [k]
    other = s.floats()
    if other is not None and s.chance(0.6):
        args.append(other)
    inner = Scope(s.random, s.dtype, s, captures=False)
    leaves = []
    for j in args:
        old = s.nodes[j].variable
        leaves.append(T.tensor(dtype=old.dtype, shape=[1 if b else None for b in old.broadcastable]))
        inner.leaf(leaves[-1], s.value(j), "argument")
    grow(inner, int(s.random.integers(1, 5)))
    result = inner.pick(lambda j: inner.kind(j) in "fi")
    if result is None:
        return None
    op = symc.OpFromGraph(leaves, [inner.nodes[result].variable])

    def step(frame: Frame) -> np.ndarray:
        if any(_rules_of_shapes(frame, j) for j in args):
            frame.run.may_fail = True
        leaves = {i: lambda j=j: frame.value(j) for i, j in enumerate(args)}
        return Frame(inner, leaves, frame).value(result)

    text = f"op from graph\n{inner.described()}\n" + "    " * inner.depth + f"result {result}, of "
    return s.add(op, None, args, text, varies=inner.nodes[result].varies, whole=step)  # type: ignore[arg-type]


BODIES = {branch: 6, loop: 5, from_graph: 3}


# --- programs ---------------------------------------------------------------------------------------------------------


def random_scope(seed: int) -> Scope:
    """The program of this seed; equal seeds give equal programs."""
    random = np.random.default_rng(seed)
    s = Scope(random, "float32" if seed % 7 == 3 else "float64")
    chosen = random.choice([2, 3, 4, 5], 3, replace=False)
    s.sizes = dict(zip("abc", map(int, chosen)))
    for _ in range(int(random.integers(2, 4))):
        _leaf(s, shared=False)
    for _ in range(int(random.integers(1, 4))):
        _leaf(s, shared=True)
    for ndim in (0, 0, 1)[: int(random.integers(1, 4))]:
        _leaf(s, shared=s.chance(0.2), ndim=ndim, dtype=s.choose(["int64", "int64", "int32"]))
    grow(s, int(random.integers(4, 16)))
    return s


def _leaf(s: Scope, shared: bool, ndim: int | None = None, dtype: str | None = None) -> None:
    ndim = int(s.choose([0, 1, 1, 2, 2, 3])) if ndim is None else ndim
    dims: list[str | int] = [s.choose("abc") for _ in range(ndim)]
    if not shared:
        dims = [1 if s.chance(0.1) else s.sizes[str(d)] if s.chance(0.2) else d for d in dims]
    leaf = Leaf(dims, dtype or s.dtype, shared)
    value = draw(s.random, leaf, s.sizes)
    name = f"v{len(s.nodes)}"
    variable: Variable
    if shared:
        variable = symc.shared(value, name=name)
    else:
        variable = T.tensor(dtype=leaf.dtype, shape=[d if isinstance(d, int) else None for d in dims], name=name)
    k = s.leaf(variable, value, f"{'shared' if shared else 'input'} {dims}")
    s.leaves[k] = leaf


def draw(random: np.random.Generator, leaf: Leaf, sizes: dict[str, int]) -> np.ndarray:
    """A value for a leaf."""
    shape = tuple(d if isinstance(d, int) else sizes[d] for d in leaf.dims)
    if leaf.dtype.startswith("int"):
        low, high = (0, 5) if not shape or random.random() < 0.8 else (-3, 8)
        return np.asarray(random.integers(low, high, shape), leaf.dtype)
    return np.asarray(random.uniform(-1.5, 1.5, shape), leaf.dtype)
