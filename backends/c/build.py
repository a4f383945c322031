"""Building: C text to loaded code, through the cache. The run-time library is built the same way, once."""

from __future__ import annotations

import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import cffi

from symc.config import config
from symc.loops.calls import CALLS
from symc_backends import cache
from symc_backends.c import toolchain

__all__ = ["RUNTIME", "build", "ffi", "runtime"]

RUNTIME = Path(__file__).parent / "runtime"

ffi = cffi.FFI()
ffi.cdef("""
    int64_t symc_entry(void **, int64_t *, int64_t);
    void symc_sizes(const int64_t *, int64_t, int64_t *);
    int symc_num_threads(void);
    void symc_set_num_threads(int);
    int symc_measure_begin(void);
    int symc_measure_call(void (*)(void *const *, const int64_t *), void *const *, const int64_t *);
    int symc_measure_scratch(int slot, size_t bytes, int64_t n, int64_t grain);
    size_t symc_measured(void);
    void symc_measure_end(void);
    extern double symc_times[];
""")
ffi.cdef("".join(f"void symc_{c}_{t}(void *const *, const int64_t *);" for c in CALLS for t in ("f32", "f64")))

_NOT_LIBRARY = ("launcher.c",)


@lru_cache(maxsize=1)
def _sources() -> tuple[list[Path], str]:
    """The run-time library's C files, and a digest over them and all headers."""
    files = sorted(RUNTIME.glob("*.[ch]"))
    text = cache.digest(*[p.name for p in files], *[p.read_bytes() for p in files])
    return [p for p in files if p.suffix == ".c" and p.name not in _NOT_LIBRARY], text


@lru_cache(maxsize=4)
def _runtime_path(identity: str, cflags: str) -> str:
    sources, text = _sources()
    key = cache.digest("runtime", text, identity, cflags)

    def make(target: str) -> None:
        workers = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        with tempfile.TemporaryDirectory() as scratch:
            objects: list[str] = []
            running: list[tuple[subprocess.Popen[str], str]] = []
            for source in sorted(sources, key=lambda p: -p.stat().st_size):
                obj = os.path.join(scratch, source.stem + ".o")
                objects.append(obj)
                if len(running) >= workers:
                    toolchain.finish(*running.pop(0))
                running.append((toolchain.start([str(source)], obj, str(RUNTIME), ["-c"]), source.name))
            for process, name in running:
                toolchain.finish(process, name)
            toolchain.finish(toolchain.start(objects, target, str(RUNTIME), ["-shared", "-lm"]), "the run-time library")

    return cache.library(key, make)


@lru_cache(maxsize=4)
def _load_runtime(path: str) -> Any:
    # Global, so that generated libraries find its symbols.
    return ffi.dlopen(path, ffi.RTLD_NOW | ffi.RTLD_GLOBAL)


def runtime() -> Any:
    """The run-time library, loaded; its number of threads follows ``symc.config.threads``."""
    library = _load_runtime(_runtime_path(toolchain.identity(), config.cflags))
    if config.threads:
        library.symc_set_num_threads(config.threads)
    return library


def build(text: str, timed: int = 0) -> Any:
    """Compile (or find) and load a generated file; with ``timed``, one that measures each of its ``timed`` steps."""
    defines = [f"-DSYMC_PROFILE={timed}"] if timed else []
    runtime()
    _, headers = _sources()
    key = cache.digest(text, headers, toolchain.identity(), " ".join(toolchain.flags()), " ".join(defines))

    def make(target: str) -> None:
        toolchain.compile_shared(text, target, str(RUNTIME), defines)

    return ffi.dlopen(cache.library(key, make), ffi.RTLD_NOW)
