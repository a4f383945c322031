"""The contestants of ``cpu.py``, their processes, and one row's contest."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np

__all__ = ["CONTESTANTS", "Entry", "Options", "Process", "measure", "prepare", "start"]

HERE = Path(__file__).resolve().parent

CONTESTANTS = {
    "symc": "symc",
    "symc, bfloat16": "symc",
    "torch": "torch",
    "torch, channels last": "torch",
    "torch.compile": "torch",
    "jax": "jax",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "openvino, default precision": "openvino",
    "ncnn": "ncnn",
    "MNN": "MNN",
    "numexpr": "numexpr",
    "numba": "numba",
}
"""The module that each needs. A peer without an entry for a row is left out of that row."""

REDUCED = {"symc, bfloat16", "openvino, default precision"}
"""Contestants that may compute in less than float32; they are compared with a wider tolerance and do not count as the
fastest peer."""

PAUSE = 0.02
"""Seconds between turns: the idle threads of some libraries keep a core busy for a while after a call."""


LARGE = 1 << 30
"""Bytes that a process may keep from one row to the next; ten processes that each keep a training step of VGG-16 do not
fit into the memory of a small machine."""


@dataclass
class Options:
    """How to measure: threads, instruction set, sizes, rounds of turns and seconds of one turn."""

    threads: int = 2
    isa: str = ""
    quick: bool = False
    rounds: int = 5
    turn: float = 0.2


@dataclass
class Entry:
    """One contestant's figures for one row, in seconds; ``error`` says why there are none."""

    contestant: str
    version: str = ""
    build: float = 0.0
    seconds: list[float] = field(default_factory=list)
    error: str = ""
    traffic: float = 0.0
    """The least bytes that a call moves."""
    difference: float = 0.0
    """From symc's results: the root mean square of the difference, relative to that of the results."""


PEERS_ISA = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "NUMBA_CPU_NAME": "haswell",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
}
"""The variables by which peers are held to narrower vectors; ONNX Runtime, ncnn and MNN have none."""


class Process:
    """A contestant's process; it is started again after a crash."""

    def __init__(self, contestant: str, options: Options) -> None:
        self.contestant, self.options = contestant, options
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        o = self.options
        command = [sys.executable, str(HERE / "cpu_worker.py"), self.contestant, f"--threads={o.threads}"]
        command += [f"--isa={o.isa}"] * bool(o.isa and self.contestant.startswith("symc")) + ["--quick"] * o.quick
        pipe = subprocess.PIPE
        held = {} if self.contestant.startswith("symc") else PEERS_ISA.get(o.isa, {})
        environment = {**os.environ, **held}
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.process = self._start()
        return {"error": f"the process ended with {code}"}

    def renew(self) -> None:
        """End the process, which gives its memory back, and start another."""
        self.close()
        self.process = self._start()

    def close(self) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start(names: list[str], options: Options) -> list[Process]:
    """The processes, which import their libraries at the first request."""
    return [Process(name, options) for name in names]


def prepare(row: Any, processes: list[Process], folder: Path) -> list[Entry]:
    """Build a row in each process and compare the results with those of the first, symc."""
    entries, ours = [], None
    for process in processes:
        target = folder / "results.npz"
        target.unlink(missing_ok=True)
        found = process.ask(do="build", row=row.name, target=str(target))
        if "absent" in found:
            continue
        facts = {key: found[key] for key in ("version", "build", "error", "traffic") if key in found}
        entry = Entry(process.contestant, **facts)
        entries.append(entry)
        if entry.error:
            continue
        with np.load(target) as stored:
            results = [stored[name] for name in sorted(stored, key=int)]
        if ours is None:
            ours = results
            continue
        entry.difference = difference(ours, results)
        if math.isinf(row.tolerance):
            continue
        allowed = max(row.tolerance, 5e-2) if process.contestant in REDUCED else row.tolerance
        if not entry.difference <= allowed:
            entry.error = f"its results differ from symc's by {entry.difference:.1e}"
    return entries


def difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest relative difference of two lists of results, each by its root mean square."""
    if [a.shape for a in ours] != [a.shape for a in theirs]:
        return math.inf
    worst = 0.0
    for a, b in zip(ours, theirs):
        a, b = a.astype("float64"), b.astype("float64")
        scale = math.sqrt(np.mean(a**2)) or 1.0
        found = math.sqrt(np.mean((a - b) ** 2)) / scale
        worst = max(worst, math.inf if math.isnan(found) else found)
    return worst


def measure(row: Any, processes: list[Process], entries: list[Entry], options: Options) -> None:
    """Let the contestants that agree with symc take turns."""
    by_name = {process.contestant: process for process in processes}
    rounds, turn = (1, 0.0) if options.quick else (options.rounds, options.turn)
    for _ in range(rounds):
        for entry in entries:
            if not entry.error:
                sleep(PAUSE)
                found = by_name[entry.contestant].ask(do="measure", row=row.name, seconds=turn)
                entry.error = found.get("error", "")
                entry.seconds += found.get("seconds", [])
    for entry in entries:
        process = by_name[entry.contestant]
        if process.ask(do="drop", row=row.name).get("resident", 0) > LARGE:
            process.renew()
