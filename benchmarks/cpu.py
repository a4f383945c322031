"""Elementwise expressions, reductions, layouts and products beside PyTorch and JAX, in one run.

    python benchmarks/cpu.py                          every row, every peer that is installed
    python benchmarks/cpu.py sum_axis0 transpose      some rows
    python benchmarks/cpu.py --quick                  small sizes and few repeats: does it work at all?
    python benchmarks/cpu.py --save cpu               also write benchmarks/results/cpu.json and cpu.md

Each contestant runs in its own process; they alternate, a few repeats at a time. *Ratio* is the median of the fastest
peer, divided by symc's. The rows are in ``cpu_rows.py``; how they are measured is described in ``README.md``.
"""

from __future__ import annotations

import importlib.util
from dataclasses import asdict
from math import exp, log
from statistics import fmean, median

from cpu_rows import CONTESTANTS, PROBLEMS, Row
from run import Entry, contest, machine, parse, save

__all__ = ["main", "summary"]


def line(row: Row, entries: list[Entry]) -> str:
    """One row of the table in Markdown."""
    times = [f"{1e3 * median(e.seconds):.3g}" if e.seconds else "-" for e in entries]
    ratio = _ratio(entries)
    rate = ""
    if entries[0].seconds:
        seconds = median(entries[0].seconds)
        rate = f"{row.flops / seconds / 1e9:.0f} GFLOP/s" if row.flops else ""
        rate = rate or (f"{row.traffic / seconds / 1e9:.0f} GB/s" if row.traffic else "")
    cells = [row.title, *times, f"{ratio:.2f}" if ratio else "-", rate]
    return "| " + " | ".join(cells) + " |"


def _ratio(entries: list[Entry]) -> float | None:
    peers = [median(e.seconds) for e in entries[1:] if e.seconds]
    return min(peers) / median(entries[0].seconds) if peers and entries[0].seconds else None


def summary(found: list[tuple[Row, list[Entry]]]) -> str:
    """The geometric mean of the ratios, and the rows in which a peer is faster."""
    ratios = {row.name: r for row, entries in found if (r := _ratio(entries)) is not None}
    if not ratios:
        return ""
    behind = ", ".join(f"{name} ({r:.2f})" for name, r in sorted(ratios.items(), key=lambda p: p[1]) if r < 1)
    mean = exp(fmean(log(r) for r in ratios.values()))
    return f"Fastest peer / symc: geometric mean {mean:.2f} of {len(ratios)} rows. Behind: {behind or 'none'}.\n"


def main(argv: list[str] | None = None) -> None:
    options = parse(argv, PROBLEMS, CONTESTANTS)
    names = ["symc"] + [n for n in options.peers if importlib.util.find_spec(CONTESTANTS[n][0]) is not None]
    rounds, repeats = (1, 3) if options.quick else (options.rounds, options.repeats)
    head = f"| ms | {' | '.join(names)} | ratio | symc reaches |\n|{' --- |' + ' ---: |' * (len(names) + 2)}"
    print(head, flush=True)
    found = []
    for chosen in options.problems or PROBLEMS:
        row = PROBLEMS[chosen]
        entries = contest(row, names, options.threads, rounds, repeats, options.quick, "cpu_rows")
        found.append((row, entries))
        print(line(row, entries), flush=True)
    text = "\n".join([head, *(line(row, entries) for row, entries in found), "", summary(found)])
    print("\n" + summary(found))
    if options.save:
        about = machine() | {"threads": options.threads, "rounds": rounds, "repeats": repeats, "quick": options.quick}
        record = [{"problem": r.name, "title": r.title, "entries": [asdict(e) for e in es]} for r, es in found]
        save(options.save, about, [text], record)


if __name__ == "__main__":
    main()
