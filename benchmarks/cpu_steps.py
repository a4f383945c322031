"""Where the time of a row of ``cpu.py`` goes: its steps by symc's profile, beside the least that each of them can take.

A product or a convolution is also timed as a matrix product of the same shape: what the library's multiplication makes
of this shape, whatever the layout. Other steps are bound by what they read and write, at the rate of a copy of as many
bytes, since arrays of a network lie in a cache. What is left is between the steps.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

__all__ = ["algorithms", "algorithms_table", "fixed", "steps_of", "steps_table"]

Shape = tuple[int, int, int, int, str]
"""A product: how many of them, rows, columns, summed terms; the dtype."""
DTYPES = {"f32": "float32", "f64": "float64"}


def median_seconds(step: Callable[[], Any], budget: float) -> float:
    """The median time of a call, of at least five."""
    for _ in range(2):
        step()
    found: list[float] = []
    end = perf_counter() + budget
    while perf_counter() < end or len(found) < 5:
        start = perf_counter()
        step()
        found.append(perf_counter() - start)
    return statistics.median(found)


class Recorded:
    """symc's functions that are compiled in the block, with profiles, and the library calls of their steps."""

    def __enter__(self) -> Recorded:
        import symc
        import symc.runtime.specialisation as specialisation

        self.functions: list[Any] = []
        self.calls: dict[int, dict[int, list[tuple[str, Sequence[int]]]]] = {}  # by the id of a program and a step
        self._old = symc.function, specialisation.methods

        def function(*arguments: Any, **named: Any) -> Any:
            self.functions.append(self._old[0](*arguments, **named, profile=True))
            return self.functions[-1]

        def methods(program: Any, symbols: Any, ask: Any, changed: Any = ()) -> Any:
            made = self._old[1](program, symbols, ask, changed)
            self.calls[id(program)] = self._calls(program, symbols)
            return made

        symc.function, specialisation.methods = function, methods  # type: ignore[assignment]
        return self

    def _calls(self, program: Any, symbols: Any) -> dict[int, list[tuple[str, Sequence[int]]]]:
        found: dict[int, list[tuple[str, Sequence[int]]]] = {}
        for k, step in enumerate(program.steps):
            one = type(program)(program.name, program.buffers, program.symbols, (step,))
            asked: list[tuple[str, Sequence[int]]] = []
            self._old[1](one, symbols, lambda calls, asked=asked: asked.extend((n, p) for n, p, _ in calls))
            found[k] = asked
        return found

    def __exit__(self, *_: object) -> None:
        import symc
        import symc.runtime.specialisation as specialisation

        symc.function, specialisation.methods = self._old


def product_of(name: str, params: Sequence[int]) -> Shape | None:
    """The matrix product of a library call; None if it has none, or is one of few terms per group."""
    from symc.loops.calls import CALLS

    base, _, tag = name.rpartition("_")
    spec, dtype = CALLS.get(base), DTYPES.get(tag)
    if spec is None or dtype is None:
        return None
    p = dict(zip(spec.params, params))
    if base == "gemm":
        return 1, p["M"], p["N"], p["K"], dtype
    if base == "batched_gemm":
        return p["batch"], p["M"], p["N"], p["K"], dtype
    if not base.startswith("conv2d") or p["groups"] > 1:
        return None
    taps, pixels = p["C"] * p["R"] * p["S"], p["N"] * p["OH"] * p["OW"]
    if base == "conv2d_backward_data":
        return 1, taps, pixels, p["K"], dtype
    if base == "conv2d_backward_weights":
        return 1, p["K"], taps, pixels, dtype
    return 1, p["K"], pixels, taps, dtype


class Products:
    """The times of matrix products by their shapes."""

    def __init__(self, budget: float) -> None:
        import symc
        import symc.tensor as T

        self.budget, self.known = budget, {}  # type: tuple[float, dict[Shape, float]]
        self.functions = {}
        for dtype in DTYPES.values():
            a, b = (T.tensor(dtype, shape=(None,) * 3) for _ in "ab")
            one, other = (T.tensor(dtype, shape=(None,) * 2) for _ in "ab")
            self.functions[dtype] = (
                symc.function([one, other], T.dot(one, other)),
                symc.function([a, b], T.matmul(a, b)),
            )

    def seconds(self, shape: Shape) -> float:
        if shape not in self.known:
            count, m, n, k, dtype = shape
            rng = np.random.default_rng(0)
            a, b = (rng.standard_normal((count, *s), dtype) for s in ((m, k), (k, n)))
            single, many = self.functions[dtype]
            call = (lambda: single(a[0], b[0])) if count == 1 else (lambda: many(a, b))
            self.known[shape] = median_seconds(call, self.budget)
        return self.known[shape]


def steps_of(row: Any, threads: int, budget: float, peaks: dict[str, float], rates: dict[int, float]) -> dict[str, Any]:
    """Seconds of a row's call; of its products, their limit and theirs as matrix products; the same of other steps."""
    plain = median_seconds(row.build("symc", threads, False), budget)
    with Recorded() as recorded:
        step = row.build("symc", threads, False)
        step()
    profile = recorded.functions[-1].profile
    step()
    profile.clear()
    end = perf_counter() + budget
    while perf_counter() < end or profile.calls < 5:
        step()
    (samples,) = (r for r in profile._records if r.calls)
    products, found, asked = Products(budget / 4), [], recorded.calls[id(samples.program)]
    for k, seconds in enumerate(samples.times / samples.calls):
        moved, computed = samples.bytes[k] / samples.calls, samples.flops[k] / samples.calls
        shapes = [s for name, params in asked[k] if (s := product_of(name, params))]
        calls = computed / sum(2.0 * c * m * n * q for c, m, n, q, _ in shapes) if shapes else 1.0
        calls = max(round(calls), 1)  # steps of a loop run more than once
        rate = next((r for size, r in rates.items() if size >= moved / calls), min(rates.values()))
        limit = moved / rate / 1e9
        if asked[k]:
            limit = max(limit, computed / peaks["gflops"] / 1e9)
        alone = calls * sum(map(products.seconds, shapes)) if shapes else None
        found.append({"name": samples.name_of(k), "seconds": float(seconds), "limit": limit, "alone": alone,
                      "library": bool(asked[k])})  # fmt: skip
    return {"row": row.name, "title": row.title, "seconds": plain, "steps": found}


SHOWN = 3
"""Steps that are named per row, the slowest."""


def steps_table(found: Sequence[dict[str, Any]]) -> list[str]:
    head = ["row", "ms", "products", "their limit", "as matrix products", "other steps", "their limit", "the slowest"]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 2) + " --- |"]
    for f in found:
        library = [s for s in f["steps"] if s["library"]]
        others = [s for s in f["steps"] if not s["library"]]
        alone = sum(s["alone"] if s["alone"] is not None else s["seconds"] for s in library)
        times = [f["seconds"], _sum(library, "seconds"), _sum(library, "limit"), alone,
                 _sum(others, "seconds"), _sum(others, "limit")]  # fmt: skip
        whole = _sum(f["steps"], "seconds")
        worst = sorted(f["steps"], key=lambda s: -s["seconds"])[:SHOWN]
        named = "; ".join(f"{s['name']} {s['seconds'] / whole:.0%} at {s['limit'] / s['seconds']:.0%}" for s in worst)
        lines.append("| " + " | ".join([f["title"], *(f"{1e3 * t:.3g}" for t in times), named]) + " |")
    return lines


def _sum(steps: Sequence[dict[str, Any]], what: str) -> float:
    return float(sum(s[what] for s in steps))


# --- convolutions -----------------------------------------------------------------------------------------------------

ALGORITHMS = ("auto", "panels", "blocks", "winograd")


def algorithms(row: Any, threads: int, budget: float) -> dict[str, Any]:
    """The seconds of a row's convolutions with each algorithm, and of the chosen ones on one thread."""
    import symc

    old, found = (symc.config.conv_algorithm, symc.config.threads), {}
    try:
        step = row.build("symc", threads, False)
        for name in ALGORITHMS:
            symc.config.conv_algorithm = name
            found[name] = median_seconds(step, budget)
        symc.config.conv_algorithm, symc.config.threads = "auto", 1
        found["one thread"] = median_seconds(row.build("symc", 1, False), budget)
    finally:
        symc.config.conv_algorithm, symc.config.threads = old
    return {"row": row.name, "title": row.title, "algorithms": found}


def algorithms_table(found: Sequence[dict[str, Any]]) -> list[str]:
    names = [*ALGORITHMS, "one thread"]
    lines = ["| row | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    return lines + [
        "| " + " | ".join([f["title"], *(f"{1e3 * f['algorithms'][n]:.3g}" for n in names)]) + " |" for f in found
    ]


def fixed(budget: float) -> dict[str, float]:
    """Seconds of calls that compute next to nothing: without arrays, and sums of two vectors of 1 and of 100."""
    import symc
    import symc.tensor as T

    a, b = T.vectors("a", "b")
    add, empty = symc.function([a, b], a + b), symc.function([], [])
    arrays = {n: [np.ones(n, "float32")] * 2 for n in (1, 100)}
    repeat = 1000

    def many(call: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(repeat):
                call()

        return run

    calls = {"no arguments": empty} | {f"a + b of {n}": (lambda v=v: add(*v)) for n, v in arrays.items()}
    return {name: median_seconds(many(call), budget) / repeat for name, call in calls.items()}
