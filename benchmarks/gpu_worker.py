"""Run one contestant on the GPU, in its own process, on one problem after another.

    gpu_worker.py CONTESTANT PROBLEM...

Writes one line of JSON when it begins a problem (``{"begin": name}``) and one with the figures, so that whoever reads
them loses one problem alone if this process crashes or hangs.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import sys
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from contestants import Absent
from gpu_contestants import CONTESTANTS, Library
from gpu_problems import PROBLEMS, TRAINING, GpuProblem

CHECKED_STEPS = 3
"""Steps after which results are compared: a training step must have learned what the others learned."""
BLOCKS = 5
BLOCK_SECONDS = 0.08
"""Calls between two waits take about so long, so that waiting does not count."""


def measure(library: Library, step: Any, tiny: bool) -> list[float]:
    """Seconds of a call, several times: each is of many calls with one wait at the end."""
    if tiny:
        blocks, calls = 1, 1
    else:
        start = perf_counter()
        step()
        library.wait()
        first = perf_counter() - start
        blocks = BLOCKS if first < 3 * BLOCK_SECONDS else 3
        calls = max(1, min(2000, int(BLOCK_SECONDS / first)))
        for _ in range(calls):  # clocks rise, recordings are made
            step()
        library.wait()
    found = []
    for _ in range(blocks):
        start = perf_counter()
        for _ in range(calls):
            step()
        library.wait()
        found.append((perf_counter() - start) / calls)
    return found


def figures(library: Library, problem: GpuProblem, tiny: bool) -> dict[str, Any]:
    """Everything about one problem."""
    data = problem.data(tiny)
    found: dict[str, Any] = {
        "moved": problem.moved(data) if problem.moved else 0, "work": problem.work(data) if problem.work else 0,
    }  # fmt: skip
    library.precision(problem.precision)
    start = perf_counter()
    step = library.build(problem, data)
    del data
    steps = CHECKED_STEPS if problem.kind in TRAINING else 1
    found["checked"] = [summary(library.host(step())) for _ in range(steps)]
    found["build"] = perf_counter() - start
    found["seconds"] = measure(library, step, tiny)
    found["median"] = median(found["seconds"])
    tasks = getattr(library, "tasks", None)
    if tasks is not None:
        found["tasks"] = tasks()
    return found


def summary(result: np.ndarray) -> list[float]:
    """Mean, root of the mean square, last element."""
    flat = np.asarray(result).ravel()
    mean, square = flat.mean(dtype="float64"), np.square(flat, dtype="float64").mean()
    return [float(mean), float(np.sqrt(square)), float(flat[-1])]


def version(module: str) -> str:
    for name in (module, f"{module}-cuda13x", f"{module}-cuda12x"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return str(getattr(sys.modules.get(module), "__version__", "unknown"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contestant", choices=list(CONTESTANTS))
    parser.add_argument("problems", nargs="+")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    module, make = CONTESTANTS[options.contestant]
    library = make()
    print(json.dumps({"version": version(module)}), file=answers)
    for name in options.problems:
        print(json.dumps({"begin": name}), file=answers)
        try:
            found = figures(library, PROBLEMS[name], options.tiny)
        except Absent as reason:
            found = {"absent": str(reason)}
        except Exception as error:  # one problem that fails is no reason to lose the others
            found = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        print(json.dumps({"problem": name, **found}), file=answers)
        gc.collect()


if __name__ == "__main__":
    main()
