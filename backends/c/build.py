"""Compilation of C text to loaded code, through the cache.

Functions with equal text share their code, which is unloaded when the last of them is deleted.
"""

from __future__ import annotations

import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symc.config import config
from symc_backends import cache, loading
from symc_backends.c import headers, toolchain
from symc_backends.c.library import RUNTIME, ffi, generated_code_depends_on, method, runtime
from symc_backends.c.tiers import Quick, optimised
from symc_backends.c.units import units_of

__all__ = ["RUNTIME", "Code", "build", "ffi", "is_built", "method", "runtime"]

QUICK = "-O0"
"""The flag for code that is compiled quickly."""
SYMBOLS = {
    "symc_entry": "int64_t (*)(void **, int64_t *, int64_t)",
    "symc_sizes": "void (*)(const int64_t *, int64_t, int64_t *)",
    "symc_times": "double *",
}
"""Symbols that generated code may define, with their C types."""


class _Loaded:
    """A loaded library, unloaded when nothing refers to it."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        weakref.finalize(self, _loader.dlclose, handle).atexit = False  # threads may still be running it


def _let_go(loaded: _Loaded, pointer: Any) -> None:
    """Finalise a pointer into a library: keeps the library loaded for as long as the pointer lives."""


class Code:
    """Loaded code, with one attribute per entry of ``SYMBOLS``; undefined symbols are null pointers.

    It is unloaded when nothing refers to it or to one of its attributes any more; cffi itself never unloads a library.
    """

    def __init__(self, image: bytes) -> None:
        loaded = _Loaded(loading.load(image, _opened))
        for name, ctype in SYMBOLS.items():
            pointer = ffi.cast(ctype, _loader.dlsym(loaded.handle, name.encode()))
            setattr(self, name, ffi.gc(pointer, partial(_let_go, loaded)))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


_loader: Any = ffi.dlopen(None)


def _opened(path: str) -> Any:
    problem = _loader.dlerror  # found first: to look for a function clears the message
    handle = _loader.dlopen(path.encode(), ffi.RTLD_NOW)
    if not handle:
        raise OSError(ffi.string(problem()).decode(errors="replace"))
    return handle


_known: weakref.WeakValueDictionary[str, Code] = weakref.WeakValueDictionary()


def build(text: str, timed: int = 0) -> Code | Quick:
    """Compile (or find) and load generated text; with ``timed``, code that measures each of its ``timed`` steps.

    With ``symc.config.tiered``, code that was never compiled before is compiled without optimisation first.
    """
    defines = [f"-DSYMC_PROFILE={timed}"] if timed else []
    runtime().need(text)
    if not config.tiered or timed or is_built(text):
        return _built(text, defines)
    return Quick(_built(text, [QUICK]), optimised(partial(_built, text, [])))


def is_built(text: str) -> bool:
    """Whether the optimised code of a text is loaded or in the cache."""
    key = _key(text, [])
    return key in _known or cache.read(f"{key}.so") is not None


def _key(text: str, extra: list[str]) -> str:
    return cache.digest(text, generated_code_depends_on(), toolchain.identity(), " ".join(extra))


def _built(text: str, extra: list[str]) -> Code:
    """Compile (or find) and load text, with these flags."""
    content = generated_code_depends_on()
    key = _key(text, extra)

    def make(target: str) -> None:
        units = [headers.selected(unit, content, str(RUNTIME)) for unit in units_of(text)]
        own = toolchain.kernel_flags()
        if len(units) == 1:
            toolchain.compile_shared(units[0], target, str(RUNTIME), [*own, *extra])
            return
        jobs = []
        for k, unit in enumerate(units):
            source = f"{target}.{k}.c"
            Path(source).write_text(unit, encoding="utf-8")
            entry = k == len(units) - 1  # it only calls the kernels
            flags = [*extra, "-O1"] if entry and QUICK not in extra else [*own, *extra]
            jobs.append(toolchain.Job(source, f"{source}.o", source, tuple(flags)))
        toolchain.compile_side_by_side(jobs, target, str(RUNTIME), "a generated library")

    found = _known.get(key)
    return found if found is not None else _known.setdefault(key, Code(cache.content(f"{key}.so", make)))
