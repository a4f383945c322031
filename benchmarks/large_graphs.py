"""Graphs of many ops, for ``compile_time.py``. They use names that every version of symc has.

Each function takes a size, the number of ops that a user writes (about), and gives inputs, outputs, what to
differentiate by (or None), and a shape for every input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Graph = tuple[list[Any], list[Any], list[Any] | None, list[tuple[int, ...]]]


def small(size: int) -> Graph:
    """A softmax regression: what a first function costs."""
    import symc
    import symc.tensor as T

    x = T.matrix("x")
    w, b = symc.shared(np.ones((4, 3), "float32"), "w"), symc.shared(np.zeros(3, "float32"), "b")
    return [x], [T.nnet.softmax(T.dot(x, w) + b).sum()], [w, b], [(5, 4)]


def chain(size: int) -> Graph:
    """Elementwise ops one after another."""
    import symc.tensor as T

    x = T.vector("x")
    y = x
    for k in range(size // 3):
        y = T.tanh(y * (1.0 + k % 7) + 0.5)
    return [x], [y.sum()], [x], [(100,)]


def reductions(size: int) -> Graph:
    """Reductions and maps in turn."""
    import symc.tensor as T

    x = T.matrix("x")
    y = x
    for k in range(size // 2):
        y = T.tanh(y - y.mean(axis=k % 2, keepdims=True))
    return [x], [y.sum()], [x], [(20, 20)]


def concatenations(size: int) -> Graph:
    """A vector turned by one element, again and again."""
    import symc.tensor as T

    x = T.vector("x")
    y = x
    for _ in range(size):
        y = T.concatenate([y[1:], y[:1] * 0.5])
    return [x], [y.sum()], [x], [(20,)]


def reshapes(size: int) -> Graph:
    """Reshapes and transposes."""
    import symc.tensor as T

    x = T.tensor3("x")
    y = x
    for k in range(size // 4):
        y = y.reshape((y.shape[0] * y.shape[1], y.shape[2])).T
        y = y.reshape((x.shape[2], x.shape[0], x.shape[1])).dimshuffle(1, 2, 0) + k
    return [x], [(y * y).sum()], [x], [(3, 4, 5)]


def indexing(size: int) -> Graph:
    """One element after another."""
    import symc.tensor as T

    x = T.vector("x")
    y: Any = 0.0
    for k in range(size):
        y = y + x[k] * (k + 1.0)
    return [x], [y.sum()], [x], [(size + 1,)]


def parameters(size: int) -> Graph:
    """Dense layers."""
    import symc
    import symc.tensor as T

    x = T.matrix("x")
    weights = [symc.shared(np.eye(8, dtype="float32")) for _ in range(size)]
    h = x
    for w in weights:
        h = T.tanh(T.dot(h, w))
    return [x], [h.sum()], weights, [(5, 8)]


def outputs(size: int) -> Graph:
    """Many outputs."""
    import symc.tensor as T

    x = T.matrix("x")
    return [x], [T.exp(x / (k + 1)).sum(axis=k % 2) for k in range(size)], None, [(20, 20)]


def inputs(size: int) -> Graph:
    """Many inputs."""
    import symc.tensor as T

    xs = [T.vector(f"x{k}") for k in range(size)]
    y = xs[0]
    for v in xs[1:]:
        y = y * 0.5 + v
    return xs, [y.sum()], xs, [(20,)] * size


GRAPHS: dict[str, tuple[Callable[[int], Graph], int]] = {
    "small function": (small, 1),
    "chain": (chain, 100_000),
    "reductions and maps": (reductions, 5_000),
    "concatenations": (concatenations, 1_000),
    "reshapes and transposes": (reshapes, 1_000),
    "indexing": (indexing, 1_000),
    "parameters": (parameters, 500),
    "outputs": (outputs, 1_000),
    "inputs": (inputs, 1_000),
}
"""By name: the graph, and the size that the table shows."""


def measure(name: str, size: int) -> dict[str, float]:
    """Seconds of the wall clock and of the processor per stage; ``compiler`` is the C compiler's."""
    import resource
    from time import perf_counter, process_time

    import symc

    build, _ = GRAPHS[name]
    figures: dict[str, float] = {}
    wall, busy = perf_counter(), process_time()

    def note(stage: str) -> None:
        nonlocal wall, busy
        figures[stage], figures[f"{stage} cpu"] = perf_counter() - wall, process_time() - busy
        wall, busy = perf_counter(), process_time()

    ins, outs, wrt, shapes = build(size)
    note("graph")
    if wrt is not None:
        outs = [*outs, *symc.grad(outs[0], wrt)]
    note("gradient")
    f = symc.function(ins, outs)
    note("function")
    arrays = [np.full(shape, 0.1, "float32") for shape in shapes]
    wall, busy = perf_counter(), process_time()
    f(*arrays)
    note("call")
    f(*arrays)
    note("again")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures["compiler"] = children.ru_utime + children.ru_stime
    figures["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures
