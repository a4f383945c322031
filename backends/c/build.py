"""Compilation of C text to loaded code, through the cache.

Functions with equal text share their code, which is unloaded when the last of them is deleted.
"""

from __future__ import annotations

import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symc_backends import cache, loading
from symc_backends.c import headers, toolchain
from symc_backends.c.library import RUNTIME, ffi, generated_code_depends_on, method, runtime
from symc_backends.c.units import units_of

__all__ = ["RUNTIME", "Code", "build", "ffi", "method", "runtime"]

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
    handle = _loader.dlopen(path.encode(), ffi.RTLD_NOW)
    if not handle:
        raise OSError(ffi.string(_loader.dlerror()).decode(errors="replace"))
    return handle


_known: weakref.WeakValueDictionary[str, Code] = weakref.WeakValueDictionary()


def build(text: str, timed: int = 0) -> Code:
    """Compile (or find) and load generated text; with ``timed``, code that measures each of its ``timed`` steps."""
    defines = [f"-DSYMC_PROFILE={timed}"] if timed else []
    library = runtime()
    content = generated_code_depends_on()
    key = cache.digest(text, content, toolchain.identity(), " ".join(defines))

    def make(target: str) -> None:
        units = [headers.selected(unit, content, str(RUNTIME)) for unit in units_of(text)]
        if len(units) == 1:
            toolchain.compile_shared(units[0], target, str(RUNTIME), defines)
            return
        jobs = []
        for k, unit in enumerate(units):
            source = f"{target}.{k}.c"
            Path(source).write_text(unit, encoding="utf-8")
            extra = defines if k < len(units) - 1 else [*defines, "-O1"]  # the entry only calls the kernels
            jobs.append(toolchain.Job(source, f"{source}.o", source, tuple(extra)))
        toolchain.compile_side_by_side(jobs, target, str(RUNTIME), "a generated library")

    library.need(text)
    found = _known.get(key)
    return found if found is not None else _known.setdefault(key, Code(cache.content(f"{key}.so", make)))
