"""Compare symc with its peers, in one run.

    python benchmarks/run.py                          every problem, every peer that is installed
    python benchmarks/run.py chain softmax            some problems
    python benchmarks/run.py --quick                  small sizes and few repeats: does it work at all?
    python benchmarks/run.py --save results           also write benchmarks/results/results.json and .md

Each contestant runs in its own process; they alternate, a few repeats at a time, so that noise on the machine affects
all of them. A table shows median and minimum times, and the ratio of each peer's median to symc's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from time import sleep
from typing import Any

from contestants import CONTESTANTS
from problems import PROBLEMS, Problem

HERE = Path(__file__).resolve().parent


@dataclass
class Entry:
    """One contestant's figures for one problem, in seconds; ``absent`` says why there are none."""

    contestant: str
    version: str = ""
    build: float = 0.0
    seconds: list[float] = field(default_factory=list)
    checked: list[list[float]] = field(default_factory=list)
    absent: str = ""


class Worker:
    """A contestant's process."""

    def __init__(self, contestant: str, problem: str, threads: int, quick: bool, rows: str = "") -> None:
        self.entry = Entry(contestant)
        command = [sys.executable, str(HERE / "worker.py"), contestant, problem, f"--threads={threads}"]
        command += [f"--rows={rows}"] if rows else []
        if quick:
            command.append("--quick")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)

    def build(self) -> None:
        """Build the function. Until then the process only imports libraries, which all contestants do side by side."""
        first = self._ask("build")
        self.entry.absent = first.get("absent", "")
        if not self.entry.absent:
            self.entry.version, self.entry.build = first["version"], first["build"]
            self.entry.checked = first["checked"]

    def _ask(self, request: str) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(f"{request}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"absent": f"the process ended with {self.process.wait()}"}

    def measure(self, repeats: int) -> None:
        found = self._ask(f"{repeats} {TURN}")
        self.entry.seconds += found.get("seconds", [])
        self.entry.absent = found.get("absent", "")

    def close(self) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()


PAUSE = 0.3
"""Seconds between turns: the idle threads of some libraries keep a core busy for a while after a call."""

TURN = 1.0
"""Seconds after which a turn ends, even if there are repeats left; two are measured in any case."""


def contest(
    problem: Problem, names: list[str], threads: int, rounds: int, repeats: int, quick: bool, rows: str = ""
) -> list[Entry]:
    """Measure one problem: workers import libraries side by side, build one after the other, then take turns.

    ``rows`` names a module with other problems and contestants.
    """
    workers = [Worker(name, problem.name, threads, quick, rows) for name in names]
    try:
        for worker in workers:
            worker.build()
        for _ in range(rounds):
            for worker in workers:
                if not worker.entry.absent:
                    sleep(PAUSE)
                    worker.measure(repeats)
    finally:
        for worker in workers:
            worker.close()
    entries = [worker.entry for worker in workers]
    _compare(problem, entries)
    return entries


def _compare(problem: Problem, entries: list[Entry]) -> None:
    """All contestants must have computed the same; raises where one did not."""
    present = [e for e in entries if not e.absent]
    for entry in present[1:]:
        for ours, theirs in zip(present[0].checked, entry.checked):
            scale = max(map(abs, ours))
            if not all(abs(a - b) <= problem.tolerance * scale for a, b in zip(ours, theirs)):
                who = f"{present[0].contestant} and {entry.contestant}"
                raise ValueError(f"{problem.name}: {who} disagree: {ours} and {theirs}")


def table(problem: Problem, entries: list[Entry]) -> str:
    """The rows of one problem in Markdown."""
    lines = [f"### {problem.title}", ""]
    lines += ["| | median ms | least ms | times symc's median |", "| --- | ---: | ---: | ---: |"]
    base = median(entries[0].seconds) if entries[0].seconds else None
    for e in entries:
        if e.absent:
            lines.append(f"| {e.contestant} | - | - | {e.absent} |")
            continue
        ratio = f"{median(e.seconds) / base:.2f}" if base else "-"
        lines.append(f"| {e.contestant} {e.version} | {_ms(median(e.seconds))} | {_ms(min(e.seconds))} | {ratio} |")
    return "\n".join(lines) + "\n"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds >= 1e-4 else f"{1e3 * seconds:.5f}"


def machine() -> dict[str, Any]:
    """What the figures depend on; a load far above the number of threads says: measure again."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def parse(
    argv: list[str] | None,
    problems: dict[str, Problem] = PROBLEMS,
    contestants: dict[str, Any] = CONTESTANTS,
    rounds: int = 7,
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("problems", nargs="*", metavar="PROBLEM", help=f"some of: {', '.join(problems)} (default: all)")
    add("--peers", nargs="*", default=list(contestants)[1:], help="peers to measure (default: all that are installed)")
    add("--threads", type=int, default=2, help="threads of every contestant (default: %(default)s)")
    add("--rounds", type=int, default=rounds, help="turns of each contestant (default: %(default)s)")
    add("--repeats", type=int, default=7, help="timed repeats in a turn (default: %(default)s)")
    add("--quick", action="store_true", help="small sizes, one round")
    add("--save", metavar="NAME", help="write results/NAME.json and results/NAME.md beside this file")
    options = parser.parse_args(argv)
    for given, known in ((options.problems, problems), (options.peers, contestants)):
        for name in given:
            if name not in known:
                parser.error(f"unknown: {name}; choose from {', '.join(known)}")
    return options


def main(
    argv: list[str] | None = None,
    problems: dict[str, Problem] = PROBLEMS,
    contestants: dict[str, Any] = CONTESTANTS,
    rows: str = "",
    rounds: int = 7,
) -> None:
    """Measure and print; with ``rows``, the problems and contestants of that module, which are also given.

    What is saved includes rows of an earlier run on the same machine that were not measured now.
    """
    options = parse(argv, problems, contestants, rounds)
    names = ["symc"]
    for name in options.peers:
        if importlib.util.find_spec(contestants[name][0]) is None:
            print(f"{name} is not installed and left out")
        else:
            names.append(name)
    rounds, repeats = (1, 3) if options.quick else (options.rounds, options.repeats)
    about = machine() | {"threads": options.threads, "rounds": rounds, "repeats": repeats, "quick": options.quick}
    record = earlier(options.save, about) if options.save else {}
    for chosen in options.problems or problems:
        entries = contest(problems[chosen], names, options.threads, rounds, repeats, options.quick, rows)
        record[chosen] = {"problem": chosen, "title": problems[chosen].title, "entries": [asdict(e) for e in entries]}
        print(table(problems[chosen], entries), flush=True)
    if options.save:
        kept = [(problems[name], record[name]) for name in problems if name in record]
        text = [table(problem, [Entry(**e) for e in row["entries"]]) for problem, row in kept]
        save(options.save, about, text, [row for _, row in kept])


def earlier(name: str, about: dict[str, Any]) -> dict[str, Any]:
    """The rows of ``results/NAME.json``, by problem, if they were measured under the same conditions but the load."""
    path = HERE / "results" / f"{name}.json"
    found = json.loads(path.read_text()) if path.exists() else {"machine": {}, "results": []}
    same = found["machine"] | {"load": None} == about | {"load": None}
    return {row["problem"]: row for row in found["results"]} if same else {}


def save(name: str, about: dict[str, Any], text: list[str], record: list[Any]) -> None:
    """Write figures and tables to ``results/``."""
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"machine": about, "results": record}, indent=1) + "\n")
    head = ", ".join(f"{key} {value}" for key, value in about.items())
    (folder / f"{name}.md").write_text(f"# {name}\n\n{head}\n\n" + "\n".join(text))


if __name__ == "__main__":
    main()
