"""The findings of ``symc.doctor()`` about the C back end."""

from __future__ import annotations

import re
import subprocess

from symc.config import config
from symc.doctor import Finding, attempt, self_test
from symc_backends.c import lapack, toolchain
from symc_backends.c.build import RUNTIME, runtime
from symc_backends.c.launch import available

__all__ = ["examine"]

_INSTALL = "install gcc or clang, or run: pip install ziglang"
_REGISTERS = {"64": "AVX-512", "32": "AVX2", "16": "SSE2"}


def examine() -> list[Finding]:
    """Examine compiler, vectors, threads, matrix products and the launcher, and run a self-test."""
    compiler = attempt("compiler", _compiler, _INSTALL, grave=True)
    if compiler.problem:
        return [compiler, Finding("functions", "run in the interpreter, which is slow, until there is a compiler")]
    return [
        compiler,
        attempt(
            "flags", lambda: Finding("flags", " ".join(toolchain.flags()[len(toolchain.FLAGS) :]) or "none"), _CACHE
        ),
        attempt("vectors", _vectors, "set symc.config.compiler to another compiler"),
        attempt("threads", _threads, "see the self-test"),
        attempt("products", _products, "see the self-test"),
        _factorisations(),
        attempt("launcher", _launcher, _HEADERS),
        attempt(
            "self-test", lambda: self_test("c"), "see the compiler's messages, and try another compiler", grave=True
        ),
    ]


_CACHE = "see the line on the cache"
_HEADERS = "install Python's headers (the package python3-dev, or python3-devel)"


def _compiler() -> Finding:
    command = toolchain.command(config.compiler)
    if command is None:
        wanted = f"the compiler {config.compiler!r} was not found" if config.compiler else "no C compiler was found"
        return Finding("compiler", problem=wanted, fix=_INSTALL, grave=True)
    done = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=60
    )
    if done.returncode:
        text = f"{' '.join(command)} --version ended with status {done.returncode}"
        return Finding("compiler", problem=text, fix=_INSTALL, grave=True)
    first = done.stdout.splitlines()[0] if done.stdout else "of unknown version"
    named = first.split(maxsplit=1)[:1] == [command[0]]
    return Finding("compiler", first if named else f"{' '.join(command)}: {first}")


def _vectors() -> Finding:
    """The vector registers that the run-time headers choose, and whether they use the compiler's AVX-512 intrinsics."""
    command = toolchain.command(config.compiler)
    assert command is not None
    text = '#include "kernels/vecmath_values.h"\n'
    done = subprocess.run(
        [*command, *toolchain.flags(), f"-I{RUNTIME}", "-dM", "-E", "-x", "c", "-"],
        input=text, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    macros = {name: text for name, text in re.findall(r"^#define (\w+) (.*)$", done.stdout, re.MULTILINE)}
    width = macros.get("VM_REGISTER", "")
    if not width:
        return Finding("vectors", problem="the compiler does not read symc's run-time headers", fix=_INSTALL)
    name = "NEON" if "__ARM_NEON" in macros else _REGISTERS.get(width, "")
    found = f"{name}, registers of {width} bytes" + (", as set by symc.config.isa" if config.isa else "")
    if width == "64" and macros.get("VM_AVX512_BUILTINS") == "0":
        text = "this compiler's AVX-512 intrinsics are not known, so some functions are slower"
        return Finding("vectors", found, text, "use gcc")
    if name == "SSE2" and not config.isa:
        text = "the compiler sees no AVX2, which every processor since 2015 has"
        return Finding("vectors", found, text, "use a compiler that knows -march=native")
    return Finding("vectors", found)


def _threads() -> Finding:
    count = int(runtime().symc_num_threads())
    why = "as set by symc.config.threads or OMP_NUM_THREADS" if config.threads else "one for each usable core"
    return Finding("threads", f"{count}, {why}")


_BFLOAT16 = ("no instructions for bfloat16", "bfloat16 by AVX-512", "bfloat16 by AMX")  # see symc_choose_bfloat16


def _products() -> Finding:
    found = _BFLOAT16[runtime().bfloat16_instructions()]
    return Finding("products", f"symc's own kernels, no BLAS is needed; {found} (symc.config.cpu_precision)")


def _factorisations() -> Finding:
    if lapack.load():
        return Finding("LAPACK", "OpenBLAS, from scipy-openblas32")
    text = "scipy-openblas32 cannot be loaded: NumPy factorises matrices of more than 16 rows"
    return Finding("LAPACK", problem=text, fix="pip install scipy-openblas32")


def _launcher() -> Finding:
    if available():
        return Finding("launcher", "built: calls with the shapes of the last call do not pass through Python")
    text = "calls take some microseconds more: the launcher cannot be built"
    return Finding("launcher", problem=text, fix=_HEADERS)
