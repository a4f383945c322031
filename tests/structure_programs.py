"""Random programs with structure and their meaning in NumPy: scopes of nodes, and frames that evaluate them.

A *scope* is a list of nodes: the program itself, the step of a scan, the graph of an op. Each node is a symbolic
variable and, beside it, a closure over NumPy arrays that gives its value. A *frame* evaluates the nodes of a scope on
demand, once, for one choice of inputs: what is not asked for is not computed, as in a branch that is not taken. Nothing
here asks symc for a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symc.graph import Variable

__all__ = ["Fails", "Frame", "Leaf", "Node", "Run", "Scope", "Unknown", "strict"]

LARGEST = 1e4
MOST_ELEMENTS = 400
FAILURES = (IndexError, ValueError, KeyError, ZeroDivisionError)


class Fails(Exception):
    """A call that evaluates this must raise. What is not evaluated because only its shape is read need not: ``late``
    failures are those of values, not of shapes."""

    late = False


class Unknown(Exception):
    """What a call gives here is not defined by the program: overflow, a result within rounding of a decision."""


@dataclass
class Run:
    """What one evaluation found beside values.

    Attributes
    ----------
    may_fail : bool
        A shape rule is broken that no result needs: in a branch that is not taken, say. Rules of shapes may be checked
        before the call begins.
    ties : bool
        Several elements are the largest or smallest of those reduced: each of them gets the whole slope, which
        differences do not show.
    """

    may_fail: bool = False
    ties: bool = False


class Frame:
    """The values of a scope's nodes for one choice of its leaves: arrays, or functions that give them when asked."""

    def __init__(
        self, scope: Scope, leaves: Mapping[int, Any], parent: Frame | None = None, run: Run | None = None
    ) -> None:
        self.scope, self.leaves, self.parent = scope, leaves, parent
        self.run = run or (parent.run if parent else Run())
        self.cache: dict[Any, Any] = {}

    def value(self, k: int) -> np.ndarray:
        """The value of node ``k``; raises ``Fails`` or ``Unknown`` if it has none."""
        return self.once(k, lambda: self._compute(k))

    def once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """What ``compute`` gives or raises, computed for the first time that ``key`` is asked for."""
        if key not in self.cache:
            try:
                self.cache[key] = compute()
            except (Fails, Unknown) as error:
                self.cache[key] = error
        found = self.cache[key]
        if isinstance(found, Exception):
            raise found
        return found

    def values(self, ks: Iterable[int]) -> list[np.ndarray]:
        """The values of several nodes; if any of them must fail, so must all."""
        found, unknown = [], None
        for k in ks:
            try:
                found.append(self.value(k))
            except Unknown as error:
                unknown = error
        if unknown is not None:
            raise unknown
        return found

    def _compute(self, k: int) -> np.ndarray:
        node = self.scope.nodes[k]
        if node.step is None:
            value = self.leaves[k]
            return value() if callable(value) else value
        with np.errstate(all="ignore"):
            try:
                value = np.asarray(node.step(self))
            except FAILURES as error:
                failure = Fails(f"{type(error).__name__} in {node.text}: {error}")
                failure.late = isinstance(error, (IndexError, np.linalg.LinAlgError))
                raise failure from error
        if value.size > 100 * MOST_ELEMENTS:
            raise Unknown(f"{node.text} is large")
        if value.dtype.kind == "f" and not (np.isfinite(value).all() and np.abs(value).max(initial=0) < 100 * LARGEST):
            raise Unknown(f"{node.text} has large values")
        if value.dtype.kind in "iu" and np.abs(value).max(initial=0) > 2**30:
            raise Unknown(f"{node.text} has large values")
        return value.astype(node.variable.dtype)


@dataclass
class Node:
    """A variable, how it is computed, and what a person reads of it.

    Attributes
    ----------
    step : callable or None
        ``step(frame)``; None for a leaf.
    varies : bool
        Does its shape follow from values that a loop may change?
    """

    variable: Variable
    step: Callable[[Frame], Any] | None
    text: str
    varies: bool = False


@dataclass
class Leaf:
    """How values of an input or shared variable are drawn.

    Attributes
    ----------
    dims : sequence of str or int
        A name shared with other leaves, or a length known when the program is built.
    """

    dims: Sequence[str | int]
    dtype: str
    shared: bool


@dataclass
class Scope:
    """A growing list of nodes, with the values that they have on the values at hand when the program is built."""

    random: np.random.Generator
    dtype: str
    parent: Scope | None = None
    captures: bool = True
    nodes: list[Node] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)
    leaves: dict[int, Leaf] = field(default_factory=dict)
    givens: list[tuple[Variable, int]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    home: Frame = None  # type: ignore[assignment]  # set by the line after the constructor's

    def __post_init__(self) -> None:
        self.home = Frame(self, {}, self.parent.home if self.parent else None)

    @property
    def depth(self) -> int:
        return 0 if self.parent is None else self.parent.depth + 1

    def chance(self, p: float) -> bool:
        return bool(self.random.random() < p)

    def choose(self, options: Sequence[Any]) -> Any:
        return options[int(self.random.integers(len(options)))]

    def leaf(self, variable: Variable, value: np.ndarray, text: str) -> int:
        """Add a node whose value comes from outside; ``value`` is the one at hand."""
        k = len(self.nodes)
        self.nodes.append(Node(variable, None, text))
        self.home.leaves = {**self.home.leaves, k: value}
        return k

    def add(
        self,
        make: Callable[..., Variable],
        step: Callable[..., Any],
        args: Iterable[int],
        text: str,
        varies: bool = False,
        whole: Callable[[Frame], Any] | None = None,
    ) -> int | None:
        """Add what ``make`` makes of the variables of ``args``; nothing if it has no moderate value now.

        ``step`` takes the arguments' arrays; ``whole``, if given, takes the frame instead.
        """
        args = tuple(args)
        run = whole or (lambda frame: step(*frame.values(args)))
        node = Node(None, run, f"{text}{tuple(f'{self.prefix}{a}' for a in args)}".replace("'", ""))  # type: ignore[arg-type]
        with np.errstate(all="ignore"):
            try:
                value = np.asarray(run(self.home))
            except (*FAILURES, Fails, Unknown):
                return None
        small = value.size <= MOST_ELEMENTS and np.abs(value).max(initial=0) < LARGEST
        if not small or not np.isfinite(value).all():
            return None
        try:
            node.variable = make(*[self.nodes[a].variable for a in args])
        except Exception as error:
            error.add_note(f"while adding {node.text}\n{self.described()}")
            raise
        assert node.variable.ndim == value.ndim, f"{node.text}: {node.variable.type}, {value.shape}\n{self.described()}"
        node.varies = value.ndim > 0 and (varies or any(self.nodes[a].varies for a in args))
        self.nodes.append(node)
        return len(self.nodes) - 1

    def capture(self) -> None:
        """Add a node of the scope outside, which a loop sees in every step."""
        outer = self.parent
        assert outer is not None
        j = outer.pick()
        if j is not None:
            node = outer.nodes[j]
            self.nodes.append(Node(node.variable, lambda frame: frame.parent.value(j), f"outer {outer.prefix}{j}"))

    def pick(self, fits: Callable[[int], bool] = lambda k: True) -> int | None:
        """A node that fits, a late one rather than an early one."""
        if self.parent is not None and self.captures and self.chance(0.2):
            self.capture()
        found = [k for k in range(len(self.nodes)) if k not in self.hidden and fits(k)]
        if self.chance(0.6):
            found = found[-6:]
        return int(self.random.choice(found)) if found else None

    def value(self, k: int) -> np.ndarray:
        return self.home.value(k)

    def kind(self, k: int) -> str:
        """``"f"``, ``"i"`` or ``"b"``."""
        return str(np.dtype(self.nodes[k].variable.dtype).kind)

    def floats(self, ndims: Sequence[int] = (0, 1, 2, 3, 4)) -> int | None:
        return self.pick(lambda k: self.kind(k) == "f" and self.nodes[k].variable.ndim in ndims)

    def integer(self) -> int | None:
        """A scalar of whole numbers."""
        return self.pick(lambda k: self.kind(k) == "i" and self.nodes[k].variable.ndim == 0)

    def stretches(self, k: int) -> tuple[bool, ...]:
        return tuple(self.nodes[k].variable.broadcastable)

    def broadcasts(self, a: int, b: int) -> bool:
        """Do two nodes go together? Only axes known to have length 1 stretch."""
        pairs = zip(self.value(a).shape[::-1], self.value(b).shape[::-1])
        stretch = zip(self.stretches(a)[::-1], self.stretches(b)[::-1])
        return all(m == n or p or q for (m, n), (p, q) in zip(pairs, stretch))

    @property
    def prefix(self) -> str:
        return "vhgk"[min(self.depth, 3)]

    def described(self) -> str:
        lines = []
        for k, node in enumerate(self.nodes):
            try:
                shape: Any = self.home.value(k).shape
            except (Fails, Unknown) as error:
                shape = error
            kind = "" if node.variable is None else str(node.variable.type)
            lines.append("    " * self.depth + f"{self.prefix}{k} = {node.text}: {kind}, now {shape}")
        return "\n".join(lines)


def strict(function: Callable[..., Any], patterns: Sequence[tuple[bool, ...]]) -> Callable[..., Any]:
    """``function`` of arrays that must agree in length on every axis not known to be 1 when the program was built."""

    def checked(*arrays: np.ndarray) -> Any:
        ndim = max(a.ndim for a in arrays)
        for axis in range(1, ndim + 1):
            lengths = {a.shape[-axis] for a, p in zip(arrays, patterns) if a.ndim >= axis and not p[-axis]}
            if len(lengths) > 1:
                raise ValueError(f"lengths {lengths} on axis {-axis}")
        return function(*arrays)

    return checked
