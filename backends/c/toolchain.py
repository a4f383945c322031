"""The C compiler: its selection, its flags, and its identity in cache keys."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from symc.config import config, environment
from symc.errors import CompileError
from symc.runtime.processors import usable
from symc_backends import cache

__all__ = [
    "Job",
    "command",
    "command_line",
    "compile_shared",
    "compile_side_by_side",
    "identity",
    "kernel_flags",
    "missing",
    "preprocessed",
]

FLAGS = (
    "-O2", "-std=gnu11", "-fPIC", "-fwrapv", "-fno-math-errno", "-fno-trapping-math", "-fno-semantic-interposition",
    "-ffp-contract=fast", "-Wno-psabi", "-pthread",
)  # fmt: skip
"""``-fwrapv``: integers wrap as in NumPy. Never ``-ffast-math``: NaN and infinity are meaningful to users."""
KERNEL_FLAGS = (
    "-fno-tree-pre", "-fno-code-hoisting", "-fno-tree-tail-merge", "-fno-crossjumping", "-fno-store-merging",
    "-fno-optimize-strlen", "-fno-tree-pta",
)  # fmt: skip
"""Flags of GCC for generated code alone, against passes that make no kernel faster and take an eighth of its time.

Partial redundancy elimination keeps values in registers across the branches of jammed loops: with gcc 12, layer
normalisation takes 1.25 times and division of integers 2.5 times as long with it.
"""
WIDE_KERNEL_FLAGS = ("-fno-tree-slp-vectorize", "-fno-tree-loop-vectorize")
"""The same where registers hold 32 bytes or more: the emitter writes vectors itself, and distances between points take
1.25 times as long if GCC combines what is left to more of them. It helps where ``isa`` is "scalar", for such loops are
of single numbers; with registers of 16 bytes it makes no difference."""
_WIDE = "#ifndef __AVX2__\n#error registers of 16 bytes\n#endif\n"


@lru_cache(maxsize=4)
def command(chosen: str) -> tuple[str, ...] | None:
    """The compiler as an argument list: ``chosen``, or the first found of cc, gcc, clang, ziglang; else None."""
    if chosen:
        words = shlex.split(chosen)
        return tuple(words) if shutil.which(words[0]) else None
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return (name,)
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc")
    return None


def missing() -> str | None:
    """The message for users without a compiler; None if there is one."""
    if command(config.compiler) is not None:
        return None
    wanted = f"the compiler {config.compiler!r} was not found" if config.compiler else "no C compiler was found"
    return f"{wanted}; install gcc or clang, or run: pip install ziglang"


_MARCH = {
    "": (("-march=native", "-mprefer-vector-width=512"), ("-march=native",), ("-mcpu=native",), ()),
    "avx512": (("-march=native", "-mprefer-vector-width=512"), ("-march=native",), ("-mcpu=native",)),
    "avx2": (("-march=x86-64-v3", "-mtune=native"), ("-march=x86-64-v3",), ("-mcpu=x86_64_v3",)),
    "sse": (("-march=x86-64-v2", "-mtune=native"), ("-march=x86-64-v2",), ("-mcpu=x86_64_v2",)),
    "scalar": (("-march=x86-64", "-mtune=native"), ("-march=x86-64",), ("-mcpu=x86_64",), ()),
}
"""The flags for each value of ``symc.config.isa``, the first of which that the compiler accepts are used."""
_INSTRUCTIONS = {
    "": (),
    "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl"),
    "avx2": ("avx2", "bmi2", "f16c", "fma"),
    "sse": ("popcnt", "sse4_1", "sse4_2", "ssse3"),
    "scalar": (),
}
"""What the processor must have for it, by the names of ``/proc/cpuinfo``."""


@lru_cache(maxsize=4)
def _machine_flags(compiler: tuple[str, ...], isa: str) -> tuple[str, ...]:
    """Flags for this processor, tested once on an empty file.

    Raises
    ------
    CompileError
        If the processor or the compiler lacks the instructions that ``symc.config.isa`` asks for.
    """
    known = _cpu().split()
    missing = [name for name in _INSTRUCTIONS[isa] if name not in known]
    if missing:
        have = [other for other, names in _INSTRUCTIONS.items() if names and all(n in known for n in names)]
        repair = f"this processor has {', '.join(have)}" if have else 'leave it empty, ""'
        raise CompileError(f"symc.config.isa is {isa!r}, but this processor lacks {', '.join(missing)}; {repair}")
    for flags in _MARCH[isa]:
        if _accepts(compiler, flags):
            return tuple(flags)
    if isa:
        raise CompileError(f"symc.config.isa is {isa!r}, but the compiler {compiler[0]} knows no flag for it")
    return ()


def _accepts(compiler: tuple[str, ...], flags: Sequence[str], text: str = "") -> bool:
    """Whether the compiler knows these flags, and preprocesses ``text`` with them."""
    done = subprocess.run(
        [*compiler, *flags, "-x", "c", "-E", "-"], input=text, capture_output=True, text=True, check=False
    )
    return done.returncode == 0


def _accepted_kernel_flags(compiler: tuple[str, ...], machine: Sequence[str]) -> list[str]:
    """The flags for generated code; none for compilers that only warn about what they do not know."""
    wanted = (KERNEL_FLAGS, ""), (WIDE_KERNEL_FLAGS, _WIDE)
    return [f for flags, text in wanted if _accepts(compiler, [*machine, "-Werror", *flags], text) for f in flags]


def _cpu() -> str:
    """An identifier that distinguishes this processor from others that share the cache folder."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            lines = f.read().splitlines()
        return "\n".join(
            sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
        )
    except OSError:
        import platform

        return platform.processor() + platform.machine()


@lru_cache(maxsize=4)
def _identity(compiler: tuple[str, ...], isa: str, stamp: tuple[float, int]) -> str:
    return _cached_version(compiler, isa, stamp) + "\n" + _cpu()


def _cached_version(compiler: tuple[str, ...], isa: str, stamp: tuple[float, int]) -> str:
    """The compiler's version, cached by its file's date and size: a warm start does not run the compiler."""
    own = (KERNEL_FLAGS, WIDE_KERNEL_FLAGS)
    key = cache.digest(repr((compiler, isa, stamp, own)), _cpu())  # flags are chosen for the processor
    found = cache.read_text(f"compiler-{key}")
    if found is None:
        flags = _machine_flags(compiler, isa)
        version = subprocess.run(
            [*compiler, "--version"], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
        own_flags = _accepted_kernel_flags(compiler, flags)
        found = "\n".join([" ".join(flags), " ".join(own_flags), version.stdout])
        if version.returncode == 0:
            cache.write_text(f"compiler-{key}", found)
    return found


_located = lru_cache(maxsize=4)(shutil.which)
"""Every compilation asks several times where the compiler is."""


def _stamp(compiler: tuple[str, ...]) -> tuple[float, int]:
    path = _located(compiler[0])
    if path is None:
        return (0.0, 0)
    status = os.stat(os.path.realpath(path))
    return (status.st_mtime, status.st_size)


def _needed() -> tuple[str, ...]:
    found = command(config.compiler)
    if found is None:
        raise CompileError(missing() or "no C compiler")
    return found


def identity() -> str:
    """An identifier of the compiler, flags and processor that compiled code depends on."""
    compiler = _needed()
    return f"{compiler}\n{' '.join(flags())}\n{_identity(compiler, config.isa, _stamp(compiler))}"


def flags() -> list[str]:
    return [*FLAGS, *_chosen(0), *shlex.split(config.cflags)]


def command_line() -> list[str]:
    """The compiler and its flags, as the settings choose them now."""
    return [*_needed(), *flags()]


def kernel_flags() -> list[str]:
    """Those of ``KERNEL_FLAGS`` and ``WIDE_KERNEL_FLAGS`` that are used with the compiler."""
    return _chosen(1)


def _chosen(line: int) -> list[str]:
    """The flags chosen for the compiler: those for the processor (line 0), and those for generated code (line 1)."""
    compiler = _needed()
    return _identity(compiler, config.isa, _stamp(compiler)).split("\n", 2)[line].split()


def start(
    sources: list[str], output: str, include: str, extra: list[str], by: Sequence[str] | None = None
) -> subprocess.Popen[str]:
    """Start compiling ``sources`` without waiting. The compiler's temporary files are created beside ``output``.

    ``by`` is a ``command_line`` of other settings.
    """
    args = [*(command_line() if by is None else by), f"-I{include}", *extra, *sources, "-o", output]
    variables = environment(TMPDIR=os.path.dirname(os.path.abspath(output)))
    return subprocess.Popen(
        args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace",
        env=variables,
    )  # fmt: skip


def preprocessed(text: str, include: str) -> str | None:
    """``text`` after its ``#include`` lines are followed, with all ``#define`` lines; None if the compiler refuses."""
    done = subprocess.run(
        [*command_line(), f"-I{include}", "-E", "-dD", "-dI", "-x", "c", "-"],
        input=text, capture_output=True, text=True, errors="replace", check=False, env=environment(),
    )  # fmt: skip
    return None if done.returncode else done.stdout


def finish(process: subprocess.Popen[str], what: str) -> None:
    """Wait for a process of ``start``, and raise the compiler's messages as an error."""
    assert isinstance(process.args, list)
    text, _ = process.communicate()
    if process.returncode:
        shown = text if len(text) < 4000 else text[:4000] + "\n..."
        raise CompileError(f"the C compiler refused {what}:\n{' '.join(map(str, process.args))}\n{shown}")


def compile_shared(text: str, output: str, include: str, extra: list[str] | None = None) -> None:
    """Compile C text to a shared library; the text is kept beside it."""
    source = f"{output}.c"
    with open(source, "w", encoding="utf-8") as f:
        f.write(text)
    finish(start([source], output, include, ["-shared", *(extra or []), "-lm"]), source)


class Job(NamedTuple):
    """A compilation of one file: its path, its object file, its name in messages, and its own flags."""

    source: str
    made: str
    name: str
    flags: tuple[str, ...] = ()


def compile_side_by_side(
    jobs: Sequence[Job],
    output: str,
    include: str,
    what: str,
    ready: Sequence[str] = (),
    by: Sequence[str] | None = None,
) -> None:
    """Compile files in parallel, one per processor, and link them and the object files ``ready`` to a shared library.

    The longest ones should come first. ``by`` is a ``command_line`` of other settings.
    """
    workers = usable()
    running: list[tuple[subprocess.Popen[str], str]] = []
    for job in jobs:
        if len(running) >= workers:
            finish(*running.pop(0))
        running.append((start([job.source], job.made, include, ["-c", *job.flags], by), job.name))
    for process, name in running:
        finish(process, name)
    objects = [job.made for job in jobs] + sorted(ready)
    finish(start(objects, output, include, ["-shared", "-lm"], by), what)
