"""What bounds the rows of ``cpu.py``: their time where memory does not matter.

    python benchmarks/cpu_bounds.py                     all rows of arrays whose traffic can be made small
    python benchmarks/cpu_bounds.py --rows argmax_* --save cpu_bounds

Each row is timed on its arrays, and on a part of them that stays in the second-level cache of a core. The time of the
part, multiplied by the ratio of the elements, is what the instructions take; what is left is memory. *In cache* is the
share of the first. A row with a share near 1 is bound by its instructions, and "of limit" in the results of ``cpu.py``,
which counts bytes alone, cannot be reached.

Rows of products, layers and networks are taken apart into steps (``cpu_steps.py``); convolutions are also measured with
each algorithm, and on one thread.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cpu_limits import limits, traffic_by_size
from cpu_report import of_limit
from cpu_rows import Row, configure_symc
from cpu_steps import algorithms, algorithms_table, fixed, median_seconds, steps_of, steps_table
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


def measured(row: Row, part: Callable[[Arrays], Arrays], threads: int, budget: float) -> dict[str, Any]:
    """The times of a row on its arrays, and on a part of them in proportion."""
    arrays = row.arrays(False)
    small = [np.ascontiguousarray(a) for a in part(arrays)]
    ratio = max(a.size / b.size for a, b in zip(arrays, small))
    whole = median_seconds(row.build("symc", threads, False), budget)
    part_row = replace(row, arrays=lambda quick: small)
    cached = median_seconds(part_row.build("symc", threads, False), budget) * ratio
    return {"row": row.name, "title": row.title, "seconds": whole, "in_cache": cached}


HEADS = {
    "steps": """## Steps

Times in ms. *Their limit*: products at the peak of multiply-adds, other steps at the rate of a copy of as many bytes.
*As matrix products*: the products of the same shapes, alone. The last column gives the slowest steps, their share of
the time, and what part of it their limit is.""",
    "algorithms": """## Algorithms of convolutions

Times in ms by `symc.config.conv_algorithm`, and of `auto` on one thread.""",
}


def markdown(found: dict[str, Any]) -> str:
    """The tables; see the module's description."""
    peaks = found["limits"]
    rates = ", ".join(f"{name} {peaks[name]:.0f}" for name in ("read", "copy", "stream") if name in peaks)
    lines = ["# What bounds the rows of cpu.md", "", f"GB/s of this run: {rates}.", ""]
    lines += ["| row | ms | ms of the same work in cache | in cache |", "| --- | ---: | ---: | ---: |"]
    for f in found["rows"]:
        share = f["in_cache"] / f["seconds"]
        lines.append(f"| {f['title']} | {1e3 * f['seconds']:.3g} | {1e3 * f['in_cache']:.3g} | {share:.2f} |")
    for part, table in (("steps", steps_table), ("algorithms", algorithms_table)):
        if found.get(part):
            lines += ["", HEADS[part], "", *table(found[part])]
    if found.get("fixed"):
        calls = ", ".join(f"{name} {1e9 * s:.0f}" for name, s in found["fixed"].items())
        lines += ["", "## Calls", "", f"Nanoseconds of a call, with the interpreter's loop around it: {calls}."]
    return "\n".join(lines) + "\n"


def below(share: float) -> list[str]:
    """The rows of results/cpu.json under this share of their limit."""
    path = RESULTS / "cpu.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    return [r["row"] for r in rows if r["row"] in ROWS and (of_limit(r) or share) < share]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=["*"])
    parser.add_argument("--steps", nargs="*", help="rows of which steps are measured (default: below 80 %%)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turn", type=float, default=0.2, help="seconds of a measurement (default: %(default)s)")
    parser.add_argument("--save", metavar="NAME", help="write results/NAME.json and NAME.md, with earlier rows")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    configure_symc("symc", options.threads)
    peaks, rates = limits(options.threads), traffic_by_size(options.threads)
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "steps": [], "algorithms": []}
    parts = {n: p for n in ROWS for pattern, p in PARTS.items() if fnmatch.fnmatch(n, pattern)}
    for name, part in parts.items():
        if any(fnmatch.fnmatch(name, pattern) for pattern in options.rows):
            found["rows"].append(measured(ROWS[name], part, options.threads, options.turn))
            one = found["rows"][-1]
            print(f"{name:20} {1e3 * one['seconds']:8.3f} {1e3 * one['in_cache']:8.3f}", flush=True)
    asked = options.steps if options.steps is not None else [n for n in below(0.8) if n not in parts and n != "call"]
    for name in [n for n in ROWS if any(fnmatch.fnmatch(n, pattern) for pattern in asked)]:
        found["steps"].append(steps_of(ROWS[name], options.threads, options.turn, peaks, rates))
        print("\n".join(steps_table(found["steps"][-1:])[2:]), flush=True)
        if name.startswith("conv_"):
            found["algorithms"].append(algorithms(ROWS[name], options.threads, options.turn))
            print("\n".join(algorithms_table(found["algorithms"][-1:])[2:]), flush=True)
    if options.save:
        save(options.save, {"limits": peaks, "rates": rates, **found, "fixed": fixed(options.turn)})


def save(name: str, found: dict[str, Any]) -> None:
    """Write the figures with those of other rows of earlier runs."""
    path = RESULTS / f"{name}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in ("rows", "steps", "algorithms"):
        rows = {f["row"]: f for f in [*known.get(part, []), *found[part]]}
        found[part] = [rows[n] for n in ROWS if n in rows]
    path.write_text(json.dumps(found) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(found), encoding="utf-8")


if __name__ == "__main__":
    main()
