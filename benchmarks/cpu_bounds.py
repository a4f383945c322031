"""What bounds the rows of ``cpu.py``: their time where memory does not matter.

    python benchmarks/cpu_bounds.py                     all rows of arrays whose traffic can be made small
    python benchmarks/cpu_bounds.py --rows argmax_* --save cpu_bounds

Each row is timed on its arrays, and on a part of them that stays in the second-level cache of a core. The time of the
part, multiplied by the ratio of the elements, is what the instructions take; what is left is memory. *In cache* is the
share of the first. A row with a share near 1 is bound by its instructions, and "of limit" in the results of ``cpu.py``,
which counts bytes alone, cannot be reached.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from cpu_limits import limits
from cpu_rows import Row, configure_symc
from cpu_table import ROWS

__all__ = ["main"]

RESULTS = Path(__file__).resolve().parent / "results"
Arrays = Sequence[np.ndarray]


def corner(arrays: Arrays) -> Arrays:
    return [a[:512, :512] if a.ndim == 2 else a[:512] for a in arrays]


def first(rows: int) -> Callable[[Arrays], Arrays]:
    """The first rows of all arrays that have as many as the first one."""
    return lambda arrays: [a[:rows] if len(a) == len(arrays[0]) else a for a in arrays]


def gathered(arrays: Arrays) -> Arrays:
    table, ids, *rest = arrays
    return [table[:512], ids[:512] % 512, *(a[:512] for a in rest)]


PARTS: dict[str, Callable[[Arrays], Arrays]] = {
    **dict.fromkeys(["sum_axis?", "max_axis?", "argmax_axis?", "transpose", "plus_transpose", "stencil"], corner),
    **dict.fromkeys(["gemv", "gemv_transposed"], corner),
    **dict.fromkeys(["crossentropy*", "log_softmax", "logsumexp", "softmax"], first(256)),
    **dict.fromkeys(["layer_norm*"], first(256)),
    **dict.fromkeys(["sum_middle", "max_middle", "argmax_middle", "batch_norm*", "permute", "max_pool"], first(1)),
    **dict.fromkeys(["black_scholes", "dropout", "chain", "variance"], first(100_000)),
    "distances": lambda arrays: [arrays[0][:100], arrays[1]],
    "embedding*": gathered,
    "k_means": first(10_000),
    "small_products": first(256),
    "tall_product": first(2048),
}
"""The parts of arrays that are timed in cache, by patterns of names."""


def seconds(row: Row, threads: int, budget: float) -> float:
    """The median time of a call."""
    step = row.build("symc", threads, False)
    for _ in range(3):
        step()
    found: list[float] = []
    end = perf_counter() + budget
    while perf_counter() < end or len(found) < 5:
        start = perf_counter()
        step()
        found.append(perf_counter() - start)
    return statistics.median(found)


def measured(row: Row, part: Callable[[Arrays], Arrays], threads: int, budget: float) -> dict[str, Any]:
    """The times of a row on its arrays, and on a part of them in proportion."""
    arrays = row.arrays(False)
    small = [np.ascontiguousarray(a) for a in part(arrays)]
    ratio = max(a.size / b.size for a, b in zip(arrays, small))
    whole = seconds(row, threads, budget)
    cached = seconds(replace(row, arrays=lambda quick: small), threads, budget) * ratio
    return {"row": row.name, "title": row.title, "seconds": whole, "in_cache": cached}


def markdown(found: Sequence[dict[str, Any]], peaks: dict[str, float]) -> str:
    lines = ["# What bounds the rows of cpu.md", "", "GB/s of this run: " + ", ".join(
        f"{name} {peaks[name]:.0f}" for name in ("read", "copy", "stream") if name in peaks
    ) + ".", "", "| row | ms | ms of the same work in cache | in cache |", "| --- | ---: | ---: | ---: |"]  # fmt: skip
    for f in found:
        share = f["in_cache"] / f["seconds"]
        lines.append(f"| {f['title']} | {1e3 * f['seconds']:.3g} | {1e3 * f['in_cache']:.3g} | {share:.2f} |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=["*"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turn", type=float, default=0.2, help="seconds of a measurement (default: %(default)s)")
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json and NAME.md, with earlier rows")
    options = parser.parse_args(argv)
    configure_symc("symc", options.threads)
    peaks = limits(options.threads)
    found = []
    for name, row in ROWS.items():
        part = next((p for pattern, p in PARTS.items() if fnmatch.fnmatch(name, pattern)), None)
        if part is not None and any(fnmatch.fnmatch(name, pattern) for pattern in options.rows):
            found.append(measured(row, part, options.threads, options.turn))
            print(f"{name:20} {1e3 * found[-1]['seconds']:8.3f} {1e3 * found[-1]['in_cache']:8.3f}", flush=True)
    if options.save:
        path = RESULTS / f"{options.save}.json"
        known = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
        rows = {f["row"]: f for f in [*known, *found]}
        kept = [rows[name] for name in ROWS if name in rows]
        path.write_text(json.dumps({"limits": peaks, "rows": kept}) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(markdown(kept, peaks), encoding="utf-8")


if __name__ == "__main__":
    main()
