"""Expressions, programs and networks in symc and its peers, in one run.

    python benchmarks/cpu.py                          every row, every peer that is installed
    python benchmarks/cpu.py --rows 'sum_*' transpose some rows
    python benchmarks/cpu.py --peers torch jax        some peers
    python benchmarks/cpu.py --isa avx2 --save cpu_avx2   narrower vectors, in peers too where they can be told
    python benchmarks/cpu.py --quick                  small sizes and one turn: does it work at all?
    python benchmarks/cpu.py --save cpu               also write results/cpu.json, cpu.md and cpu.html

Each contestant has a process; they take turns. A peer's results are compared with symc's before it is timed. *Ratio* is
the median of the fastest peer that computes in float32, divided by symc's. What is saved keeps the rows of an earlier
run on the same machine. ``README.md`` describes the measurement.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cpu_contest import CONTESTANTS, Entry, Options, Process, measure, prepare, start
from cpu_limits import limits
from cpu_report import html, line, markdown, summary
from cpu_rows import ISA_FLAGS
from cpu_table import ROWS
from run import machine

__all__ = ["main"]

RESULTS = Path(__file__).resolve().parent / "results"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rows", nargs="+", default=["*"], metavar="ROW", help=f"names or patterns of: {', '.join(ROWS)}")
    add("--peers", nargs="*", default=list(CONTESTANTS)[1:], help="peers to measure (default: all that are installed)")
    add("--threads", type=int, default=2, help="threads of every contestant (default: %(default)s)")
    add("--isa", default="", choices=sorted(ISA_FLAGS), help="the widest vectors (default: the processor's)")
    add("--rounds", type=int, default=5, help="turns of each contestant (default: %(default)s)")
    add("--turn", type=float, default=0.2, help="seconds of a turn (default: %(default)s)")
    add("--quick", action="store_true", help="small sizes, one short turn")
    add("--wait", action="store_true", help="prepare all rows first; measure after a line on standard input")
    add("--save", metavar="NAME", help="write results/NAME.json, NAME.md and NAME.html, with earlier rows")
    add("--folder", type=Path, default=RESULTS, help="of results (default: %(default)s)")
    options = parser.parse_args(argv)
    for given, known in ((options.rows, ROWS), (options.peers, CONTESTANTS)):
        for name in given:
            if not fnmatch.filter(known, name):
                parser.error(f"unknown: {name}; choose from {', '.join(known)}")
    return options


def installed(peers: list[str]) -> list[str]:
    """symc and those of the peers whose modules exist; the others are reported."""
    names = ["symc"]
    for name in peers:
        if name == "symc":
            continue
        if importlib.util.find_spec(CONTESTANTS[name]) is None:
            print(f"{name} is not installed and left out")
        else:
            names.append(name)
    return names


def tell(text: str) -> None:
    """Show progress to a person."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def record(row: Any, entries: list[Entry]) -> dict[str, Any]:
    """What is saved of a row."""
    found = [asdict(e) for e in entries]
    for entry in found:
        entry["seconds"] = [float(f"{s:.4g}") for s in sorted(entry["seconds"])]
    traffic = max((e.traffic for e in entries), default=0.0)
    least = {"flops": row.flops, "roots": row.roots, "quotients": row.quotients, "traffic": traffic}
    return {"row": row.name, "title": row.title} | least | {"entries": found}


def contest(
    rows: list[Any], processes: list[Process], options: Options, wait: bool, found: list[dict[str, Any]]
) -> None:
    """Measure the machine's limits and the rows into ``found``; with ``wait``, after all rows have been built."""
    peaks: dict[str, float] = {}
    built: list[tuple[Any, list[Entry]]] = []

    def finish(row: Any, entries: list[Entry]) -> None:
        tell(f"measuring {row.name}")
        if not found:
            peaks.update(limits(options.threads))
        measure(row, processes, entries, options)
        found.append(record(row, entries) | {"limits": peaks})
        tell("")
        print(line(found[-1]), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            tell(f"building {row.name}")
            entries = prepare(row, processes, Path(folder))
            if wait:
                built.append((row, entries))
            else:
                finish(row, entries)
    if wait:
        print("ready", flush=True)
        sys.stdin.readline()
    for row, entries in built:
        finish(row, entries)


def earlier(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """The rows of a file by name, if they were measured under the same conditions."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {r["row"]: r for r in found["rows"]} if found["machine"] == about else {}


def save(options: argparse.Namespace, found: list[dict[str, Any]]) -> None:
    """Write figures, tables and the picture, with the rows of earlier runs."""
    about = machine() | {"threads": options.threads, "isa": options.isa or "native", "quick": options.quick}
    del about["load"]
    options.folder.mkdir(exist_ok=True)
    path = options.folder / f"{options.save}.json"
    rows = earlier(path, about) | {r["row"]: r for r in found}
    kept = [rows[name] for name in ROWS if name in rows]
    path.write_text(json.dumps({"machine": about, "rows": kept}) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(options.save, about, kept), encoding="utf-8")
    path.with_suffix(".html").write_text(html(options.save, about, kept), encoding="utf-8")


def main(argv: list[str] | None = None) -> None:
    asked = parse(argv)
    rows = [ROWS[name] for name in ROWS if any(fnmatch.fnmatch(name, p) for p in asked.rows)]
    options = Options(asked.threads, asked.isa, asked.quick, asked.rounds, asked.turn)
    processes = start(installed(asked.peers), options)
    found: list[dict[str, Any]] = []
    try:
        contest(rows, processes, options, asked.wait, found)
    except KeyboardInterrupt:
        print("interrupted; the rows so far are kept")
    finally:
        for process in processes:
            process.close()
    print("\n" + summary(found))
    if peaks := found[-1]["limits"] if found else {}:
        print(
            f"Limits: {peaks['gflops']:.0f} Gflop/s, read {peaks['read']:.0f}, copy {peaks['copy']:.0f}, "
            f"streaming copy {peaks['stream']:.0f} GB/s."
        )
    if asked.save:
        save(asked, found)


if __name__ == "__main__":
    main()
