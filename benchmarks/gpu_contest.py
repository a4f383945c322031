"""Contestants' processes: start them, read their output line by line, and end them after a time limit."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from gpu_contestants import CONTESTANTS

__all__ = ["Process", "contest", "finished"]

HERE = Path(__file__).resolve().parent
PROBLEM_SECONDS = 90.0
"""For one problem, compilation included."""
START_SECONDS = 60.0
SHARES = {
    "symc": 6.0, "torch": 3.0, "torch.channels_last": 2.0, "jax": 4.5, "cupy": 1.5, "torch.compile": 5.0,
}  # fmt: skip
"""How contestants share the time; what one leaves over goes to those after it."""


class Process:
    """A process that writes lines of JSON; ``read`` gives the next one."""

    def __init__(self, command: list[str], given: dict[str, str]) -> None:
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=given,
            start_new_session=True,
        )  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._silent = False
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def read(self, seconds: float) -> dict[str, Any] | None:
        """The next line; None if there is none within that time, or none any more."""
        try:
            line = self._lines.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            return None
        if line is None:
            self._silent = True
            return None
        return json.loads(line)

    def close(self) -> str:
        """End it, and what it started; why it did not end well by itself, or nothing."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10 if self._silent else 0.1)
        status = self.process.poll()
        _end(self.process)
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        self.errors.close()
        if status == 0:
            return ""
        what = "it took too long" if status is None else f"it ended with status {status}"
        return f"{what}: {lines[-1][:300]}" if lines else what


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: it and its children alone
    process.wait()


def finished(command: list[str], given: dict[str, str], seconds: float, log: IO[str], folder: Path) -> bool:
    """Run a command whose output goes to ``log``; whether it ended by itself in time."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=given, cwd=folder, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(max(seconds, 1))
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        _end(process)


def contest(
    names: list[str], problems: list[str], left: Callable[[], float], given: dict[str, str], tiny: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """The figures of each contestant that is installed, within ``left()`` seconds: ``{name: {problem: figures}}``."""
    present = [n for n in CONTESTANTS if n in names and (n == "symc" or importlib.util.find_spec(CONTESTANTS[n][0]))]
    for name in names:
        if name not in present:
            say(f"{name} is not installed and left out")
    found: dict[str, Any] = {}
    for k, name in enumerate(present):
        share = SHARES[name] / sum(SHARES[n] for n in present[k:])
        found[name] = _turn(name, problems, max(left() * share, 5.0), given, tiny, say)
    return found


def _turn(
    name: str, wanted: list[str], seconds: float, given: dict[str, str], tiny: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """One contestant's figures; after a crash or a hang it goes on with the next problem."""
    end = time.monotonic() + seconds
    found: dict[str, Any] = {"version": "", "problems": {}}
    say(f"{name}: {seconds:.0f} s at most")
    while wanted and time.monotonic() < end:
        command = [sys.executable, str(HERE / "gpu_worker.py"), name, *wanted, *(["--tiny"] if tiny else [])]
        process, current, began = Process(command, given), "", time.monotonic()
        while True:
            limit = PROBLEM_SECONDS if current else START_SECONDS
            row = process.read(min(began + limit, end) - time.monotonic())
            if row is None:
                break
            if "version" in row:
                found["version"] = row["version"]
            elif "begin" in row:
                current, began = row["begin"], time.monotonic()
            else:
                found["problems"][row.pop("problem")] = row
                _tell(name, current, row, say)
                current = ""
        said = process.close()
        if not current:
            if said:
                say(f"{name}: {said}")
                found["ended"] = said
            break
        out_of_time = time.monotonic() >= end
        found["problems"][current] = {"failed": "the time for this contestant was up" if out_of_time else said}
        _tell(name, current, found["problems"][current], say)
        wanted = wanted[wanted.index(current) + 1 :]
    return found


def _tell(name: str, problem: str, row: dict[str, Any], say: Callable[[str], None]) -> None:
    if "median" in row:
        say(f"{name}: {problem} {1e3 * row['median']:.4g} ms (ready after {row['build']:.1f} s)")
    else:
        say(f"{name}: {problem}: {row.get('absent') or row.get('failed')}")
