"""Compilation of C text to loaded code, through the cache. The run-time library is built the same way, once.

Functions with equal text share their code, which is unloaded when the last of them is deleted.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symc.config import config
from symc.loops.calls import CALLS
from symc.loops.routines import ROUTINES
from symc_backends import cache, loading
from symc_backends.c import headers, toolchain
from symc_backends.c.declarations import declared
from symc_backends.c.dialect import TAG
from symc_backends.c.units import units_of

__all__ = ["RUNTIME", "Code", "build", "choose_precision", "ffi", "method", "runtime"]

RUNTIME = Path(__file__).parent / "runtime"

ffi = declared(
    """
    int symc_num_threads(void);
    void symc_set_num_threads(int);
    void symc_conv2d_choose(int preferred, int strict);
    int symc_conv2d_method_f32(int pass, const int64_t *p);
    int symc_conv2d_method_f64(int pass, const int64_t *p);
    const char *symc_conv2d_method_name(int method);
    int symc_choose_bfloat16(int most);
    int symc_measure_begin(void);
    int symc_measure_call(void (*)(void *const *, const int64_t *), void *const *, const int64_t *);
    int symc_measure_scratch(int slot, size_t bytes, int64_t n, int64_t grain);
    int symc_measure_each(void (*)(void *const *, const int64_t *), void *const *, const int64_t *, int width);
    int symc_measure_scratch_of_each(int slot, size_t bytes, int width);
    int64_t symc_row_ranges(int64_t rows, int64_t steps, int64_t work);
    size_t symc_measured(void);
    void symc_measure_end(void);
    const char *symc_lapack_name(int k);
    void symc_lapack_set(int k, void *);
    void symc_lapack_threads(void (*)(int));
    void *dlopen(const char *, int);
    void *dlsym(void *, const char *);
    int dlclose(void *);
    char *dlerror(void);
"""
    + "".join(f"void symc_{c}_{t}(void *const *, const int64_t *);" for c in CALLS for t in ("f32", "f64"))
    + "".join(
        f"void symc_{name}_{tag}(void *const *, const int64_t *);"
        for name, routine in ROUTINES.items()
        for tag in dict.fromkeys(TAG[dtype] for dtype in routine.dtypes)
    )
)

_NOT_LIBRARY = ("launcher.c",)


@lru_cache(maxsize=1)
def _sources() -> tuple[list[Path], str]:
    """The run-time library's C files, and a digest over them and all headers."""
    files = sorted(RUNTIME.glob("*.[ch]"))
    text = cache.digest(*[p.name for p in files], *[p.read_bytes() for p in files])
    return [p for p in files if p.suffix == ".c" and p.name not in _NOT_LIBRARY], text


def _runtime_image(identity: str) -> bytes:
    sources, text = _sources()
    key = cache.digest("runtime", text, identity)

    def make(target: str) -> None:
        ordered = sorted(sources, key=lambda p: -p.stat().st_size)
        jobs = [toolchain.Job(str(p), str(Path(target).with_name(p.stem + ".o")), p.name) for p in ordered]
        toolchain.compile_side_by_side(jobs, target, str(RUNTIME), "the run-time library")

    return cache.content(f"{key}.so", make)


@lru_cache(maxsize=4)
def _loaded_runtime(identity: str) -> Any:
    # Global, so that generated libraries find its symbols.
    image = _runtime_image(identity)
    library = loading.load(image, lambda path: ffi.dlopen(path, ffi.RTLD_NOW | ffi.RTLD_GLOBAL))

    def choose() -> None:
        library.symc_conv2d_choose(_ALGORITHMS.index(config.conv_algorithm), config.conv_accuracy == "strict")

    choose()
    choose_precision(library)
    for setting in ("conv_algorithm", "conv_accuracy"):
        config.listen(setting, choose)
    config.listen("cpu_precision", partial(choose_precision, library))
    return library


def choose_precision(library: Any) -> None:
    """Tell the run-time library whether to round the operands of products."""
    library.symc_choose_bfloat16(_MOST_BFLOAT16 if config.cpu_precision == "bfloat16" else 0)


_ALGORITHMS = ("auto", "winograd", "blocks", "panels")  # in the order of symc_conv2d_choose
_MOST_BFLOAT16 = 2  # by matrix registers, see symc_choose_bfloat16
_PASSES = ("forward", "backward_data", "backward_weights")


def method(call: str, params: Sequence[int]) -> str | None:
    """How the run-time library would do a call now, if it has a choice."""
    name, _, tag = call.rpartition("_")
    if not name.startswith("conv2d_"):
        return None
    library = runtime()
    found = getattr(library, f"symc_conv2d_method_{tag}")(
        _PASSES.index(name.removeprefix("conv2d_")), ffi.new("int64_t[]", list(params))
    )
    return str(ffi.string(library.symc_conv2d_method_name(found)).decode())


_loading = threading.Lock()


def runtime() -> Any:
    """Load the run-time library; its number of threads follows ``symc.config.threads``."""
    with _loading:
        library = _loaded_runtime(toolchain.identity())
    if config.threads:
        library.symc_set_num_threads(config.threads)
    return library


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
    runtime()
    _, content = _sources()
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

    found = _known.get(key)
    return found if found is not None else _known.setdefault(key, Code(cache.content(f"{key}.so", make)))
