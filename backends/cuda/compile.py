"""Compilation of CUDA C to machine code with NVRTC, or nvcc without NVRTC, through the cache.

Device headers are inlined first, so that the text is complete: the text, the options and the compiler form the cache
key.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from symc.config import config
from symc.errors import CompileError
from symc_backends import cache
from symc_backends.cuda import libraries

__all__ = ["compiler_identity", "cubin", "inlined", "problem"]

RUNTIME = Path(__file__).parent / "runtime"

OPTIONS = ("--std=c++17",)
"""Never ``--use_fast_math``: NaN, infinity and the last bits are meaningful to users."""

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([\w.]+)"\s*$')
_LONGEST_LOG = 4000


def cubin(text: str, arch: str) -> bytes:
    """Compile CUDA C ``text`` to machine code for ``arch`` (such as ``"sm_90"``), or find it in the cache.

    ``#include "name.cuh"`` inlines a file of ``runtime/``, once. Kernels are ``extern "C" __global__``; other functions
    are marked ``__device__``.

    Raises
    ------
    CompileError
        With the compiler's log if it rejects the text, or with one sentence if there is no compiler.
    """
    compiler = _compiler()
    source = inlined(text)
    key = cache.digest("cubin", source, arch, " ".join(OPTIONS), compiler.identity)

    def make(target: str) -> None:
        Path(target).write_bytes(compiler.compile(source, arch))

    return cache.content(f"{key}.cubin", make)


def compiler_identity() -> str:
    """An identifier of the compiler that machine code depends on."""
    return _compiler().identity


def problem() -> str | None:
    """Return why no CUDA C can be compiled on this machine, and a repair; None if it can."""
    try:
        _compiler()
    except CompileError as reason:
        return str(reason)
    return None


def inlined(text: str) -> str:
    """Replace the includes of ``text`` by the headers of ``runtime/``, each only once."""
    return "\n".join(_inlined(text, "kernels.cu", set())) + "\n"


def _inlined(text: str, name: str, seen: set[str]) -> list[str]:
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        found = _INCLUDE.match(line)
        if not found:
            lines.append(line)
        elif found[1] not in seen:
            seen.add(found[1])
            lines.append(f'#line 1 "{found[1]}"')
            lines += _inlined(_header(found[1]), found[1], seen)
            lines.append(f'#line {number + 1} "{name}"')
        else:
            lines.append("")
    return lines


@lru_cache(maxsize=32)
def _header(name: str) -> str:
    return (RUNTIME / name).read_text(encoding="utf-8")


class _Compiler(NamedTuple):
    """A compiler: ``compile(text, arch)`` returns machine code; ``identity`` identifies the compiler."""

    identity: str
    compile: Callable[[str, str], bytes]


def _compiler() -> _Compiler:
    return _compiler_in(config.cuda_libraries)


@lru_cache(maxsize=4)
def _compiler_in(chosen: str) -> _Compiler:
    """Find NVRTC, or else nvcc; ``chosen`` is the setting that the result depends on."""
    nvrtc = libraries.find(*libraries.sonames("libnvrtc"), beside="libnvrtc-builtins.so*")
    if nvrtc.library is not None:
        return _nvrtc(nvrtc.library, nvrtc.path)
    nvcc = libraries.nvcc()
    if nvcc is not None:
        return _Compiler(_nvcc_identity(nvcc), lambda text, arch: _nvcc_compile(nvcc, text, arch))
    package = "nvidia-cuda-nvrtc-cu12" if libraries.driver_major() == 12 else "nvidia-cuda-nvrtc"
    raise CompileError(f"no CUDA compiler: {nvrtc.reason}, nor is there nvcc; run: pip install {package}")


def _stamp(path: str) -> str:
    """A file's size and date, which distinguish two builds of the same version."""
    try:
        status = os.stat(os.path.realpath(path))
    except OSError:  # found by the system's loader, at an unknown path
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _refuse(arch: str, options: list[str], log: str) -> CompileError:
    shown = log if len(log) < _LONGEST_LOG else log[:_LONGEST_LOG] + "\n..."
    return CompileError(f"the CUDA compiler refused generated code for {arch} ({' '.join(options)}):\n{shown}")


# --- NVRTC ------------------------------------------------------------------------------------------------------------


def _nvrtc(library: ctypes.CDLL, path: str) -> _Compiler:
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(library, library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    identity = f"nvrtc {major.value}.{minor.value} {_stamp(path)}"
    return _Compiler(identity, lambda text, arch: _nvrtc_compile(library, text, arch))


def _check(library: ctypes.CDLL, status: int) -> None:
    if status:
        raise CompileError(f"NVRTC failed: {library.nvrtcGetErrorString(status).decode()}")


def _nvrtc_compile(library: ctypes.CDLL, text: str, arch: str) -> bytes:
    options = [f"--gpu-architecture={_nearest(arch, _nvrtc_archs(library))}", "-default-device", *OPTIONS]
    program = ctypes.c_void_p()
    _check(library, library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None))
    try:
        words = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
        if library.nvrtcCompileProgram(program, len(options), words):
            raise _refuse(arch, options, _nvrtc_read(library, program, "ProgramLog").decode(errors="replace"))
        return _nvrtc_read(library, program, "CUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _nvrtc_read(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(library, getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(library, getattr(library, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw if what == "CUBIN" else buffer.value


def _nvrtc_archs(library: ctypes.CDLL) -> list[int]:
    """The architectures that this NVRTC supports; empty if it does not report them."""
    if not hasattr(library, "nvrtcGetNumSupportedArchs"):
        return []
    count = ctypes.c_int()
    _check(library, library.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    numbers = (ctypes.c_int * count.value)()
    _check(library, library.nvrtcGetSupportedArchs(numbers))
    return list(numbers)


def _nearest(arch: str, known: list[int]) -> str:
    """Return ``arch`` or, for a GPU newer than the compiler, the newest supported architecture of its family."""
    wanted = int(arch.removeprefix("sm_"))
    if not known or wanted in known:
        return arch
    family = [number for number in known if number // 10 == wanted // 10 and number < wanted]
    if family:
        return f"sm_{max(family)}"
    text = f"this NVRTC compiles for {', '.join(f'sm_{number}' for number in sorted(known))}, but the GPU is {arch}"
    raise CompileError(f"{text}; install another version of nvidia-cuda-nvrtc")


# --- nvcc -------------------------------------------------------------------------------------------------------------


def _nvcc_identity(nvcc: str) -> str:
    """The compiler's version, cached by its file's date and size: a warm start does not run the compiler."""
    stamp = _stamp(nvcc)
    name = f"nvcc-{cache.digest(nvcc, stamp)}"
    version = cache.read_text(name)
    if version is None:
        done = subprocess.run(
            [nvcc, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        version = done.stdout
        if done.returncode == 0:
            cache.write_text(name, version)
    return f"{version} {stamp}"


def _nvcc_compile(nvcc: str, text: str, arch: str) -> bytes:
    options = ["-cubin", f"-arch={arch}", *OPTIONS]
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "kernels.cu"), Path(scratch, "kernels.cubin")
        source.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [nvcc, *options, "-o", str(target), str(source)],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if done.returncode:
            raise _refuse(arch, options, (done.stderr + done.stdout).replace(scratch + os.sep, ""))
        return target.read_bytes()
