"""A GPU emulated on the host, so that the CUDA back end can be tested without one.

``libraries()`` builds stand-ins for NVIDIA's libraries under their real names: ``libcuda.so.1``, on which an unmodified
PyCUDA runs, ``libnvrtc.so.13``, which compiles CUDA C with g++, ``libcublas.so.13`` and ``libcudnn.so.9``. What looks
for libraries in that folder first (``symc.config.cuda_libraries``) has an emulated GPU; the fixture ``emulated_device``
(``fixtures.py``) sees to it. The files in ``src`` agree with NVIDIA's headers; a test shows it where those are.

What it is stricter about than a GPU, and what each mistake is called
    - parameters: their bytes; pointers that are no memory of the device;
    - launches: limits of grid, block, shared memory and ``__launch_bounds__``;
    - memory: fresh memory, shared or not, is NaN; accesses past the ends of an allocation, or after it was freed, and
      indices outside arrays of known size, name kernel, block and thread; so do copies;
    - threads: races on shared memory; deadlocks; barriers and shuffles that not all threads reach at the same line;
      masks that name lanes which have ended;
    - capture: what must not be called during one; replays see memory as it then is;
    - cuBLAS and cuDNN: shapes, strides, types, memory that is too small or overlaps; workspaces are overwritten with
      NaN; reduced precision rounds operands as a GPU does;
    - sources: no header of the host is visible, as NVRTC has none.

Settings
    ``settings(memory=bytes)`` limits device memory; ``reverse=True`` runs threads and blocks last to first, which shows
    what depends on their order; ``races=False`` does not look for races; ``lazy=True`` runs work of streams no sooner
    than someone waits for it, which finds waits that are missing.

Run as a program, it prints the folder: ``SYMC_CUDA_LIBRARIES=$(python tests/cuda_emulator/emulator.py)`` before a
command gives that an emulated GPU.

An error does not end the emulated context, as it would a real one: tests go on after it.

What it cannot do: inline PTX, tensor cores, textures, cooperative groups, clusters, capture across several streams;
find races on global memory. Its time measurements mean nothing.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import symc

__all__ = ["device", "libraries", "problem", "settings"]

HERE = Path(__file__).resolve().parent

SOURCES = {
    "libcuda.so.1": ["blocks", "copies", "driver", "memory", "modules", "races", "special", "streams", "unsupported"],
    "libnvrtc.so.13": ["nvrtc", "translate"],
    "libcublas.so.13": ["cublas"],
    "libcudnn.so.9": ["cudnn", "cudnn_convolutions", "cudnn_pooling"],
}
"""Which files of ``src`` make up each library. All but the first link against the first."""

# longjmp goes from one stack to another, which _FORTIFY_SOURCE takes for an attack.
COMPILE = ["-std=c++17", "-O1", "-fPIC", "-fno-gnu-unique", "-Wall", "-Wextra", "-U_FORTIFY_SOURCE"]

# Kernels: the rounding of each operation as written; traps where an index or an address is wrong; symbols of one
# module kept apart from those of others; a frame larger than the stack found at once; calls before each
# access of memory, which races.cpp answers. Not optimised, since most kernels run for less time than they compile.
KERNEL = [
    "-O0", "-fPIC", "-fno-exceptions", "-fno-rtti", "-fno-gnu-unique", "-fno-strict-aliasing", "-ffp-contract=off",
    "-fno-math-errno", "-fstack-clash-protection", "-fsanitize=bounds,alignment",
    "-fsanitize-undefined-trap-on-error", "-fsanitize=thread", "-w",
]  # fmt: skip
KERNEL_STANDARD = "-std=c++17"  # NVRTC's default
KERNEL_LINK = ["-shared", "-nostdlib", "-Wl,-Bsymbolic", "-pipe"]

MACHINES = ("x86_64", "AMD64", "aarch64")


def problem() -> str | None:
    """Why no device can be emulated here, in one sentence; None if one can."""
    if os.name != "posix" or platform.system() != "Linux" or platform.machine() not in MACHINES:
        return "the emulated GPU needs Linux on x86-64 or aarch64"
    if _compiler() is None:
        return "the emulated GPU needs g++"
    return None


@cache
def libraries() -> Path:
    """The folder with the emulated libraries, which are built the first time; safe in several processes at once."""
    base = Path(symc.config.cache_dir) / "cuda_emulator"
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = base / _digest()
    with open(base / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one builds, the others wait for it
        if not folder.exists():
            _build(folder)
    return folder


def _compiler() -> str | None:
    return shutil.which("g++")


@cache
def _digest() -> str:
    """Names the libraries by everything they are made of."""
    version = subprocess.run([_compiler(), "--version"], capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(repr((version, platform.machine(), COMPILE, KERNEL, KERNEL_LINK, SOURCES)).encode())
    for path in sorted([*(HERE / "src").iterdir(), *(HERE / "include").iterdir()]):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:32]


def _build(folder: Path) -> None:
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        shutil.copytree(HERE / "include", scratch / "include")
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            names = [name for group in SOURCES.values() for name in group]
            precompiled = pool.submit(_precompile, scratch / "include" / "cuda_on_host.h")
            list(pool.map(lambda name: _compile(name, scratch), names))
            precompiled.result()
        for library, group in SOURCES.items():
            _link(library, group, scratch)
        for path in scratch.glob("*.o"):
            path.unlink()
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RuntimeError(f"the emulated GPU does not build:\n{' '.join(command)}\n{done.stderr}")


def _compile(name: str, scratch: Path) -> None:
    words = ",".join(f'"{word}"' for word in [_compiler(), *KERNEL, KERNEL_STANDARD, *KERNEL_LINK])
    defines = [f'-DEMULATOR_DIGEST="{_digest()}"', f"-DEMULATOR_KERNEL_COMPILER={words}"]
    _run([_compiler(), *COMPILE, *defines, "-c", str(HERE / "src" / f"{name}.cpp"), "-o", str(scratch / f"{name}.o")])


def _precompile(header: Path) -> None:
    # It must be made with the flags it is used with, and g++ looks for it beside the header.
    _run([_compiler(), *KERNEL, KERNEL_STANDARD, "-nostdinc", "-x", "c++-header", str(header), "-o", f"{header}.gch"])


def _link(library: str, group: list[str], scratch: Path) -> None:
    objects = [str(scratch / f"{name}.o") for name in group]
    driver = [] if library == "libcuda.so.1" else [str(scratch / "libcuda.so.1")]
    flags = ["-shared", f"-Wl,-soname,{library}", "-Wl,--no-undefined"]
    _run([_compiler(), *flags, *objects, *driver, "-ldl", "-lpthread", "-lm", "-o", str(scratch / library)])


# --- settings and counters --------------------------------------------------------------------------------------------


@cache
def device() -> ctypes.CDLL:
    """The emulated driver, for all to see: PyCUDA, imported later, links against it.

    Beside the driver's functions it has counters: ``emulator_launches()`` (kernels run), ``emulator_replays()`` (graphs
    run), ``emulator_blocks()``, ``emulator_used()`` (bytes of device memory), ``emulator_memory()`` (the limit);
    and ``emulator_last_error()`` says in this thread what was wrong with the last call that failed, in any library.
    """
    library = ctypes.CDLL(str(libraries() / "libcuda.so.1"), mode=ctypes.RTLD_GLOBAL)
    for name in ("launches", "replays", "blocks", "used", "memory"):
        getattr(library, f"emulator_{name}").restype = ctypes.c_size_t
    library.emulator_set_memory.argtypes = [ctypes.c_size_t]
    library.emulator_last_error.restype = ctypes.c_char_p
    return library


@contextmanager
def settings(
    *, memory: int | None = None, reverse: bool = False, lazy: bool = False, races: bool = True
) -> Iterator[ctypes.CDLL]:
    """Set the emulated device for the length of a ``with`` block."""
    library = device()
    before = library.emulator_memory()
    library.emulator_set_memory(before if memory is None else memory)
    library.emulator_set_reverse(int(reverse))
    library.emulator_set_lazy(int(lazy))
    library.emulator_set_races(int(races))
    try:
        yield library
    finally:
        library.emulator_set_memory(before)
        library.emulator_set_reverse(0)
        library.emulator_set_lazy(0)
        library.emulator_set_races(1)


if __name__ == "__main__":
    print(libraries())
