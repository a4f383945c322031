"""``symc.doctor()`` reports what symc found on this machine, and how to fix what is missing.

The module is callable: ``symc.doctor()`` means ``symc.doctor.doctor()``, whether or not the module was imported by
name. ``python -m symc.doctor`` prints the same report and exits with status 0 if the default device works.

A back end reports on itself through its optional function ``examine() -> list[Finding]``.
"""

from __future__ import annotations

import importlib
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from importlib.metadata import version
from time import perf_counter
from typing import Any

from symc.callable_module import make_callable
from symc.config import Config, config
from symc.runtime.backend import available, name_of

__all__ = ["Finding", "Report", "attempt", "doctor", "self_test"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    name : str
    found : str
        What was found; empty if nothing was.
    problem : str
        What is wrong with it; empty if nothing is.
    fix : str
        How to fix it, in one sentence.
    grave : bool
        Whether it keeps the back end from working. Other problems only make it slower or less convenient.
    """

    name: str
    found: str = ""
    problem: str = ""
    fix: str = ""
    grave: bool = False


@dataclass(frozen=True)
class Part:
    """Findings about symc itself (``name`` is ``"symc"``) or a back end."""

    name: str
    findings: list[Finding]


class Report:
    """The report of ``doctor``; ``str(report)`` is its text.

    Attributes
    ----------
    parts : list of Part
    device : str
        The back end of ``symc.config.device``.
    """

    def __init__(self, parts: list[Part], device: str) -> None:
        self.parts = parts
        self.device = device

    @property
    def findings(self) -> list[Finding]:
        """All findings, in the order of the text."""
        return [f for part in self.parts for f in part.findings]

    @property
    def ok(self) -> bool:
        """Whether the default device works."""
        wanted = [p for p in self.parts if p.name in ("symc", self.device)]
        return len(wanted) == 2 and not any(f.grave for p in wanted for f in p.findings)

    def __str__(self) -> str:
        return "\n".join([*(_text(part, self.device) for part in self.parts), self.verdict()])

    def verdict(self) -> str:
        """The last line: whether the default device works."""
        if self.ok:
            return f"the default device, {self.device!r}, works"
        return f"the default device, {self.device!r}, does not work: see the lines marked with !!"

    def __repr__(self) -> str:
        faulty = sum(bool(f.problem) for f in self.findings)
        return f"<symc.doctor: {self.verdict()}; {len(self.findings)} findings, {faulty} with a problem>"


def doctor(quiet: bool = False) -> Report:
    """Examine this machine, print the report and return it. Problems are reported, never raised.

    Parameters
    ----------
    quiet : bool
        Print nothing.

    Returns
    -------
    Report
        ``report.ok`` says whether the default device works; ``report.findings`` are all findings, each with its
        problem, if there is one, and what to do about it.
    """
    device = name_of(config.device)
    report = Report([], device)
    for part in _parts(device):
        report.parts.append(part)
        if not quiet:  # part by part: if a driver hangs, the output shows how far the examination got
            print(_text(part, device), flush=True)
    if not quiet:
        print(report.verdict())
    return report


def attempt(name: str, look: Callable[[], Finding], fix: str, grave: bool = False) -> Finding:
    """Return the finding of ``look``, or a finding with this ``fix`` and ``grave`` if it raises."""
    try:
        return look()
    except Exception as reason:
        return Finding(name, problem=_one_line(reason), fix=fix, grave=grave)


def self_test(device: str) -> Finding:
    """Check that a small function compiles for a device and returns the right result there."""
    import numpy as np

    import symc.tensor as T
    from symc.gradient import grad
    from symc.runtime.function import function
    from symc.tensor.constructors import tensor

    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((37, 50)).astype("float32"), rng.standard_normal((50, 20)).astype("float32")
    z = x.astype("float64") @ w
    e = np.exp(z - z.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    wanted = [p, x.T.astype("float64") @ (p - np.eye(20)[np.arange(37) % 20]) / 37]
    start = perf_counter()
    a, b = (tensor("float32", shape=(None, None), name=name) for name in "xw")
    y = T.nnet.softmax(T.dot(a, b))
    loss = T.nnet.categorical_crossentropy(y, T.constant(np.arange(37) % 20)).mean()
    got = function([a, b], [y, grad(loss, b)], device=device, name="self_test")(x, w)
    seconds = perf_counter() - start
    error = max(float(np.abs(g - v).max()) for g, v in zip(got, wanted))
    if not error < 1e-4:  # also if it is NaN
        text = f"softmax(x w) and its gradient are wrong by {error:.2g}"
        return Finding("self-test", problem=text, fix="report it, with this text", grave=True)
    return Finding("self-test", f"softmax(x w) and its gradient are right (in {seconds:.2f} s with compilation)")


# --- findings about symc itself ---------------------------------------------------------------------------------------


def _parts(device: str) -> Iterator[Part]:
    python = attempt("Python", _python, "reinstall Python")
    numpy = attempt("NumPy", lambda: Finding("NumPy", version("numpy")), "run: pip install numpy", grave=True)
    own, cache = attempt("symc", _symc, "run: pip install symc"), attempt("cache", _cache, _CACHE_FIX)
    yield Part("symc", [own, python, numpy, _settings(device), cache])
    for name, module in sorted(available().items(), key=lambda item: item[0] != device):
        yield Part(name, _examined(name, module))


def _examined(name: str, module: str) -> list[Finding]:
    try:
        examine: Any = getattr(importlib.import_module(module), "examine", None)
        if examine is not None:
            return list(examine())
        return [attempt("self-test", lambda: self_test(name), "report it, with this text", grave=True)]
    except Exception as reason:
        fix = f"reinstall the package that provides the back end {name!r}"
        return [Finding("back end", problem=f"{module} cannot be used: {_one_line(reason)}", fix=fix, grave=True)]


def _symc() -> Finding:
    return Finding("symc", f"{version('symc')}, in {os.path.dirname(os.path.abspath(__file__))}")


def _python() -> Finding:
    return Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _settings(device: str) -> Finding:
    """Settings that differ from their defaults; the cache folder has a line of its own."""
    plain = Config()
    changed = [
        f"{f.name}={getattr(config, f.name)!r}"
        for f in fields(Config)
        if getattr(config, f.name) != getattr(plain, f.name) and f.name != "cache_dir"
    ]
    found = ", ".join(changed) or "all at their defaults"
    if device not in available():
        text = f"there is no back end {device!r}"
        fix = f"set symc.config.device to one of {', '.join(sorted(available()))}"
        return Finding("settings", found, text, fix, grave=True)
    return Finding("settings", found)


_CACHE_FIX = "set SYMC_CACHE, or symc.config.cache_dir, to a folder of your own"


def _cache() -> Finding:
    path = config.cache_dir
    if path.startswith("~"):
        return Finding("cache", path, "the home folder of that user is unknown", _CACHE_FIX)
    os.makedirs(path, mode=0o700, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
        pass
    count = size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                size += os.lstat(os.path.join(folder, name)).st_size
                count += 1
            except OSError:  # another process renamed it
                continue
    status = os.stat(path)
    mode = stat.S_IMODE(status.st_mode)
    found = f"{path}, writable, mode {mode:04o}, {count:,} files, {size / 1e6:,.1f} MB"
    if os.name == "posix" and status.st_uid != os.geteuid():
        return Finding("cache", found, "it belongs to another user: compiled code is not cached there", _CACHE_FIX)
    if mode & 0o022 and os.name == "posix":
        text = "others can write to it: compiled code is not cached there"
        return Finding("cache", found, text, f"run: chmod 700 {path}")
    if os.name == "posix" and mode & 0o077:
        return Finding("cache", found, "others can read it, and symc runs the code in it", f"run: chmod 700 {path}")
    return Finding("cache", found)


# --- text -------------------------------------------------------------------------------------------------------------


def _one_line(reason: BaseException) -> str:
    text = " ".join(str(reason).split()) or type(reason).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."


def _text(part: Part, device: str) -> str:
    """One part as aligned text; ``!`` marks problems, ``!!`` those that keep the default device from working."""
    lines = [f"{part.name} (the default device)" if part.name == device else part.name]
    for f in part.findings:
        mark = "!!" if f.grave and part.name in ("symc", device) else "!" if f.problem else ""
        text = f.found if not f.problem else f"{f.found}: {f.problem}" if f.found else f.problem
        lines.append(f"{mark:>2} {f.name:<10} {text}".rstrip())
        if f.fix and f.problem:
            lines.append(f"   {'':<10} -> {f.fix}")
    return "\n".join(lines).encode("ascii", "backslashreplace").decode()


if __name__ == "__main__":
    from symc.doctor import doctor as imported  # the module that back ends import; this copy is named __main__

    sys.exit(0 if imported().ok else 1)
else:
    make_callable(__name__)
