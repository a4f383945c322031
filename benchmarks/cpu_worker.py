"""A contestant of ``cpu.py`` in its own process: builds rows, keeps them, and times them on request.

Contestants have separate processes because thread pools in one process disturb each other. Requests and answers are
lines of JSON: ``build`` (answered by the seconds it took; the results are stored in the given file), ``measure`` and
``drop``.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.metadata
import json
import os
import sys
from time import perf_counter
from typing import Any

from worker import _limit_threads


class Contestant:
    """The rows that this process has built."""

    def __init__(self, options: argparse.Namespace) -> None:
        from cpu_contest import CONTESTANTS
        from cpu_table import ROWS

        self.options, self.rows = options, ROWS
        self.steps: dict[str, Any] = {}
        module = CONTESTANTS[options.contestant]
        importlib.import_module(module)
        self.version = _version(module)
        if module == "symc":
            from cpu_rows import configure_symc

            configure_symc(options.contestant, options.threads, options.isa)
        elif module == "torch":
            import torch

            torch.set_num_threads(options.threads)

    def build(self, row: str, target: str) -> dict[str, Any]:
        import numpy as np

        problem = self.rows[row]
        start = perf_counter()
        step = problem.build(self.options.contestant, self.options.threads, self.options.quick)
        found = [[np.array(a) for a in step()] for _ in range(problem.steps)]
        took = perf_counter() - start
        # Steps with a state are compared by the first result of several calls, the others by all results of one.
        results = found[0] if len(found) == 1 else [np.stack([np.asarray(f[0]) for f in found])]
        np.savez(target, **{str(k): a for k, a in enumerate(results)})
        self.steps[row] = step
        return {"build": took, "version": self.version, "traffic": problem.traffic(self.options.quick, found[0])}

    def measure(self, row: str, seconds: float) -> dict[str, Any]:
        step = self.steps[row]
        start = perf_counter()
        step()
        calls = max(1, int(SHORTEST / max(perf_counter() - start, 1e-9)))
        times: list[float] = []
        end = perf_counter() + seconds
        while not times or perf_counter() < end:
            start = perf_counter()
            for _ in range(calls):
                step()
            times.append((perf_counter() - start) / calls)
        return {"seconds": times}

    def drop(self, row: str) -> dict[str, Any]:
        self.steps.pop(row, None)
        gc.collect()
        return {"resident": _resident()}


SHORTEST = 5e-4
"""Seconds of one timed repeat at least; shorter steps are called several times."""


def _resident() -> int:
    """The bytes of memory that this process has, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _version(module: str) -> str:
    try:
        return importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contestant")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--isa", default="")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    _limit_threads(options.threads)
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    from contestants import Absent

    contestant = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            contestant = contestant or Contestant(options)
            answer = getattr(contestant, request.pop("do"))(**request)
        except Absent as reason:
            answer = {"absent": str(reason)}
        except Exception as error:  # a peer that fails is reported in the table, not a reason to lose the other rows
            answer = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
