"""Sorting, the largest elements, running sums and distinct elements, beside NumPy and PyTorch.

    python benchmarks/sorting.py                 every op on 10 million float32 and float64 numbers
    python benchmarks/sorting.py --quick         a hundredth of that
    python benchmarks/sorting.py --save results  also write benchmarks/results/results.json and .md

All contestants run in one process and take turns; a table shows median and minimum times, and the ratio of each peer's
median to symc's. Results are compared first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

import numpy as np

import symc
import symc.tensor as T

HERE = Path(__file__).resolve().parent
PAUSE = 0.3
"""Seconds between turns: the idle threads of some libraries keep a core busy for a while after a call."""
MOST = 100
"""How many of the largest elements."""

Timed = Callable[[], Any]


def of_symc(x: np.ndarray) -> dict[str, Timed]:
    """symc's functions, compiled."""
    v = T.tensor(x.dtype.name, shape=(None,), name="v")
    built = {
        "sort": T.sort(v), "argsort": T.argsort(v), "topk": T.topk_and_argtopk(v, MOST), "cumsum": T.cumsum(v),
        "unique": T.unique(v),
    }  # fmt: skip
    compiled = {name: symc.function([v], e) for name, e in built.items()}
    return {name: lambda f=f: f(x) for name, f in compiled.items()}


def of_numpy(x: np.ndarray) -> dict[str, Timed]:
    """NumPy's."""

    def largest() -> Any:
        at = np.argpartition(x, len(x) - MOST)[-MOST:]
        at = at[np.argsort(-x[at])]
        return x[at], at

    return {
        "sort": lambda: np.sort(x), "argsort": lambda: np.argsort(x), "topk": largest, "cumsum": lambda: np.cumsum(x),
        "unique": lambda: np.unique(x),
    }  # fmt: skip


def of_torch(x: np.ndarray) -> dict[str, Timed]:
    """PyTorch's; ``sort`` and ``argsort`` are one function there."""
    try:
        import torch
    except ImportError:
        return {}
    v = torch.from_numpy(x)
    return {
        "sort": lambda: torch.sort(v)[0], "argsort": lambda: torch.argsort(v), "topk": lambda: torch.topk(v, MOST),
        "cumsum": lambda: torch.cumsum(v, 0), "unique": lambda: torch.unique(v),
    }  # fmt: skip


def agree(name: str, x: np.ndarray, found: dict[str, Any]) -> None:
    """All contestants must have computed the same; ties may be in another order."""
    first, *others = [np.asarray(f[0] if name == "topk" else f) for f in found.values()]
    for other in others:
        if name == "argsort":
            same = np.array_equal(x[first], x[other])
        else:
            same = np.allclose(first, other, rtol=1e-3, atol=0.1 if name == "cumsum" else 0)
        if not same:
            raise ValueError(f"{name}: {', '.join(found)} disagree")


def contest(name: str, x: np.ndarray, contestants: dict[str, dict[str, Timed]], rounds: int) -> dict[str, list[float]]:
    """Seconds per contestant, which take turns."""
    agree(name, x, {who: functions[name]() for who, functions in contestants.items()})
    seconds: dict[str, list[float]] = {who: [] for who in contestants}
    for _ in range(rounds):
        for who, functions in contestants.items():
            sleep(PAUSE)
            begin = perf_counter()
            functions[name]()
            seconds[who].append(perf_counter() - begin)
    return seconds


def table(title: str, seconds: dict[str, list[float]]) -> str:
    """The rows of one op in Markdown."""
    lines = [f"### {title}", "", "| | median ms | least ms | times symc's median |", "| --- | ---: | ---: | ---: |"]
    base = median(seconds["symc"])
    for who, times in seconds.items():
        lines.append(f"| {who} | {median(times) * 1e3:.1f} | {min(times) * 1e3:.1f} | {median(times) / base:.2f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run the contest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the elements")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/NAME.json and .md")
    given = parser.parse_args()
    n = 100_000 if given.quick else 10_000_000
    texts, saved = [], {}
    for dtype in ("float32", "float64"):
        x = np.random.default_rng(0).normal(size=n).astype(dtype)
        made = {"symc": of_symc(x), "numpy": of_numpy(x), "torch": of_torch(x)}
        contestants = {who: functions for who, functions in made.items() if functions}
        for name in contestants["symc"]:
            seconds = contest(name, x, contestants, given.rounds)
            texts.append(table(f"{name} of {n:,} {dtype}", seconds))
            saved[f"{name} {dtype}"] = seconds
            print(texts[-1], flush=True)
    if given.save:
        about = {"processor": platform.processor() or platform.machine(), "threads": os.cpu_count(), "elements": n}
        out = HERE / "results"
        out.mkdir(exist_ok=True)
        (out / f"{given.save}.json").write_text(json.dumps({"about": about, "seconds": saved}, indent=1) + "\n")
        (out / f"{given.save}.md").write_text("\n".join(texts))


if __name__ == "__main__":
    main()
