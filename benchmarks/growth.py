"""Measure how the cost of a program grows with its batch, its depth and the size of its graph.

    python benchmarks/growth.py                       all cases: batch 1..256, 1..1,000 layers, 10..100,000 ops
    python benchmarks/growth.py --cases dense chain   some cases
    python benchmarks/growth.py --quick               two small sizes of each: does it work at all?
    python benchmarks/growth.py --save growth         also write results/growth.json, growth.md, docs/img/growth.svg

Every size has a process of its own, with an empty cache of generated code; the run-time library is compiled before.
Stages of the build are measured in processor time, the C compiler's included, since other work on the machine does not
change it; calls in wall-clock time (median). ``memory`` is how much the peak of the process rises while the program is
built, and while it is called. A *knee* is where a cost grows faster than its size: see ``growth_report.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from growth_cases import CASES, MOMENTUM, RATE, Case, Program
from growth_report import drawing, line, markdown

__all__ = ["described", "main", "measure"]

RESULTS = Path(__file__).resolve().parent / "results"
PICTURES = RESULTS.parents[1] / "docs" / "img"
STAGES = {"fuse_loops": "lower", "lower_loops": "lower", "check_loops": "lower", "emit": "emit", "build": "load"}
"""The stage of the table to which a stage of the compiler belongs; all others are ``"rewrite"``."""


def described(program: Program, outputs: list[Any], gradients: list[Any]) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """The results and the updates of a program: a step with momentum, or the gradients as further results."""
    import numpy as np

    import symc

    if not program.training:
        return [*outputs, *gradients], []
    updates: list[tuple[Any, Any]] = []
    for value, g in zip(program.wrt or (), gradients):
        velocity = symc.shared(np.zeros_like(value.get_value()))
        change = np.float32(MOMENTUM) * velocity - np.float32(RATE) * g
        updates += [(velocity, change), (value, value + change)]
    return outputs, updates


# --- one size, in its own process -------------------------------------------------------------------------------------


def _peak() -> float:
    """The peak of this process's memory, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _children() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def measure(case: Case, size: int, seconds: float = 0.3) -> dict[str, float]:
    """Build and call the program of a size; the figures by name, in seconds and MB."""
    import numpy as np

    import symc
    import symc.runtime.code

    symc.runtime.code.perf_counter = process_time  # type: ignore[attr-defined]
    symc.function([], symc.shared(np.zeros(3, "float32")) + 1)()  # loads the back end
    base, compiled, start = _peak(), _children(), process_time()
    program = case.build(size)
    made = process_time()
    outputs = list(program.outputs)
    gradients = symc.grad(outputs[0], program.wrt) if program.wrt is not None else []
    outputs, updates = described(program, outputs, gradients)
    figures = {"graph": made - start, "gradient": process_time() - made}
    start = process_time()
    f = symc.function(program.inputs, outputs, updates=updates)
    whole = process_time() - start
    figures |= dict.fromkeys(("rewrite", "lower", "emit", "load"), 0.0)
    for stage, took in f.fitting().stages.items():
        figures[STAGES.get(stage, "rewrite")] += took
    figures["other"] = max(whole - sum(f.fitting().stages.values()), 0.0)
    figures["C compiler"] = _children() - compiled
    figures["build"] = sum(figures.values())
    built = _peak()
    start = perf_counter()
    f(*program.arrays)
    figures["first call"] = perf_counter() - start
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds and len(times) < 1000:
        start = perf_counter()
        f(*program.arrays)
        times.append(perf_counter() - start)
    return figures | {"call": median(times), "build memory": built - base, "call memory": _peak() - built}


# --- all sizes --------------------------------------------------------------------------------------------------------


def point(case: Case, size: int, library: Path, limit: float) -> dict[str, Any]:
    """The figures of a size; ``{"failed": why}`` if its process failed or took over ``limit`` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        cache = shutil.copytree(library, Path(folder) / "cache")
        command = [sys.executable, __file__, "--child", case.name, str(size)]
        variables = os.environ | {"SYMC_CACHE": str(cache)}
        try:
            done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return {"failed": f"over {limit:.0f} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    return {name: float(f"{value:.4g}") for name, value in json.loads(done.stdout).items()}


def curve(case: Case, sizes: list[int], library: Path, limit: float) -> dict[str, Any]:
    """The figures of a case by size, up to the first that failed."""
    points: dict[str, Any] = {}
    for size in sizes:
        points[str(size)] = found = point(case, size, library, limit)
        print(line(case.name, size, found), flush=True)
        if "failed" in found:
            break
    return {"case": case.name, "title": case.title, "axis": case.axis, "points": points}


def prepared(folder: Path) -> Path:
    """A cache with the run-time library in it, and nothing that is made for a program."""
    build = "from symc_backends.c import library\nfor part in library.PARTS: library.runtime().part(part)"
    command = [sys.executable, "-c", build]
    subprocess.run(command, env=os.environ | {"SYMC_CACHE": str(folder)}, stdout=subprocess.DEVNULL, check=True)
    return folder


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cases", nargs="+", choices=CASES, metavar="CASE", default=list(CASES), help=f"some of: {', '.join(CASES)}")
    add("--quick", action="store_true", help="the two smallest sizes")
    add("--most", type=int, default=1_000_000, help="the largest size")
    add("--limit", type=float, default=300, help="seconds for one size (default: %(default)s)")
    add("--save", metavar="NAME", help="write NAME.json, NAME.md and a drawing, with the cases of earlier runs")
    add("--folder", type=Path, help="of all three (default: results/, and docs/img/ for the drawing)")
    add("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def save(options: argparse.Namespace, curves: list[dict[str, Any]]) -> None:
    """Write the curves with those of other cases in the file of an earlier run on this machine."""
    from run import machine

    about = {k: v for k, v in machine().items() if k != "load"} | {"quick": options.quick}
    path = (options.folder or RESULTS) / f"{options.save}.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    kept = {c["case"]: c for c in old["curves"]} if old.get("machine") == about else {}
    kept |= {c["case"]: c for c in curves}
    found = [kept[name] for name in CASES if name in kept]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": about, "curves": found}, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown(options.save, about, found))
    ((options.folder or PICTURES) / f"{options.save}.svg").write_text(drawing(found))


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    if options.child:
        name, size = options.child
        print(json.dumps(measure(CASES[name], int(size))))
        return
    with tempfile.TemporaryDirectory() as folder:
        library = prepared(Path(folder) / "library")
        curves = []
        for name in options.cases:
            case = CASES[name]
            sizes = [n for n in case.sizes[: 2 if options.quick else None] if n <= options.most]
            curves.append(curve(case, sizes, library, options.limit))
            if options.save:
                save(options, curves)


if __name__ == "__main__":
    main()
