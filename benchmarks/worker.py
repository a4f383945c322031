"""Run one contestant in its own process: build one problem's function, then time it on request.

Contestants have separate processes because thread pools in one process disturb each other. The parent sends a line for
"build" on standard input, then lines with a number of repeats and the seconds after which to stop; each is answered by
one line of JSON.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import sys
from time import perf_counter
from typing import Any

CHECKED_STEPS = 3
"""Steps after which the parent compares results: a training step must have learned what the others learned."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contestant")
    parser.add_argument("problem")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", default="", help="a module with other PROBLEMS and CONTESTANTS")
    options = parser.parse_args()
    _limit_threads(options.threads)
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers)

    from contestants import Absent

    contestants, problems = (importlib.import_module(options.rows or name) for name in ("contestants", "problems"))
    module, build = contestants.CONTESTANTS[options.contestant]
    problem = problems.PROBLEMS[options.problem]
    try:
        importlib.import_module(module)
        sys.stdin.readline()
        start = perf_counter()
        step = build(problem.name, problem.data(options.quick), options.threads)
        checked = [_summary(step()) for _ in range(CHECKED_STEPS)]
    except Absent as reason:
        answer(absent=str(reason))
        return
    except Exception as error:  # a peer that fails is reported in the table, not a reason to lose the other rows
        answer(absent=f"{type(error).__name__}: {str(error)[:300]}")
        return
    answer(checked=checked, build=perf_counter() - start, version=importlib.metadata.version(module))
    for line in sys.stdin:
        repeats, budget = line.split()
        answer(seconds=_measure(step, int(repeats), problem.calls, float(budget)))


def _limit_threads(threads: int) -> None:
    """Before any library is imported: variables for those that read them, affinity for JAX, which reads none."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _summary(result: Any) -> list[float]:
    import numpy as np

    array = np.asarray(result, dtype="float64").ravel()
    return [float(array.mean()), float(np.sqrt((array**2).mean())), float(array[-1])]


def _measure(step: Any, repeats: int, calls: int, budget: float) -> list[float]:
    step()
    seconds: list[float] = []
    end = perf_counter() + budget
    while len(seconds) < repeats and (len(seconds) < 2 or perf_counter() < end):
        start = perf_counter()
        for _ in range(calls):
            step()
        seconds.append((perf_counter() - start) / calls)
    return seconds


if __name__ == "__main__":
    main()
