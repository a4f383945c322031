"""The run-time library, compiled and loaded in parts: a program waits for those alone whose functions it calls.

``core`` holds the threads and the scratch memory, which all other parts use. Each of the others is one folder of
``runtime/``, for one dtype where its files are compiled for each, and complete with ``core``: convolutions take the
products with them, and both parts keep the names that the library does not export to themselves.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from symc.config import config
from symc.loops.calls import CALLS
from symc.loops.routines import ROUTINES
from symc.runtime.processors import usable
from symc_backends import cache, loading
from symc_backends.c import toolchain
from symc_backends.c.declarations import declared
from symc_backends.c.dialect import TAG

__all__ = [
    "PARTS",
    "RUNTIME",
    "Runtime",
    "choose_precision",
    "ffi",
    "generated_code_depends_on",
    "image",
    "method",
    "multiplies_blocks",
    "part_of",
    "runtime",
    "sources",
]

RUNTIME = Path(__file__).parent / "runtime"

ffi = declared(
    """
    int symc_num_threads(void);
    void symc_set_num_threads(int);
    void symc_conv2d_choose(int preferred, int strict);
    int symc_conv2d_method_f32(int pass, const int64_t *p);
    int symc_conv2d_method_f64(int pass, const int64_t *p);
    const char *symc_conv2d_method_name(int method);
    int symc_conv2d_chain_part_f32(int stored, const int64_t *p);
    int symc_conv2d_chain_part_f64(int stored, const int64_t *p);
    int symc_choose_bfloat16(int most);
    typedef struct symc_stored symc_stored;
    symc_stored *symc_stored_new(const int64_t *turn);
    void symc_stored_renew(symc_stored *);
    void symc_conv2d_chain_stored_f32(void *const *, const int64_t *, symc_stored *const *);
    void symc_conv2d_chain_stored_f64(void *const *, const int64_t *, symc_stored *const *);
    void symc_stored_free(symc_stored *);
    void symc_stored_limit(size_t bytes);
    size_t symc_stored_bytes(void);
    int symc_measure_stored_call(void (*)(void *const *, const int64_t *, symc_stored *const *), void *const *,
                                 const int64_t *, symc_stored *const *);
    int symc_measure_begin(void);
    int symc_measure_call(void (*)(void *const *, const int64_t *), void *const *, const int64_t *);
    int symc_measure_scratch(int slot, size_t bytes, int64_t n, int64_t grain);
    int symc_measure_each(void (*)(void *const *, const int64_t *), void *const *, const int64_t *, int width);
    int symc_measure_each_stored(void (*)(void *const *, const int64_t *, symc_stored *const *), void *const *,
                                 const int64_t *, symc_stored *const *, int width, int64_t forms);
    int symc_measure_scratch_of_each(int slot, size_t bytes, int width);
    void symc_scratch_fill(uint32_t pattern);
    int64_t symc_row_ranges(int64_t rows, int64_t steps, int64_t work);
    int64_t symc_rows_of_block(int64_t matrices, int64_t size, int64_t block);
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
    + "".join(f"void symc_{c}_{t}(void *const *, const int64_t *);" for c, spec in CALLS.items() for t in spec.tags)
    + "".join(
        f"void symc_{c}_stored_{t}(void *const *, const int64_t *, symc_stored *const *);"
        for c, spec in CALLS.items()
        if spec.stored
        for t in spec.tags
    )
    + "".join(
        f"void symc_{name}_{tag}(void *const *, const int64_t *);"
        for name, routine in ROUTINES.items()
        for tag in dict.fromkeys(TAG[dtype] for dtype in routine.dtypes)
    )
)

_SORTING = {"floats": ("f32", "f64"), "signed": ("i8", "i16", "i32", "i64"), "unsigned": ("u8", "u16", "u32", "u64")}
_FLOAT32_ONLY = re.compile(r".*_bf16|pairs")
_NOT_LIBRARY = "launcher"


def _files(part: str) -> Iterable[str]:
    """The names of the C files of a part, without their ending."""
    kind, _, of = part.partition("_")
    folders = {"core": ("base",), "convolutions": ("convolutions", "products")}.get(kind, (kind,))
    stems = [p.stem for p in sources() if p.parent.name in folders]
    if kind == "sorting":
        return [s for s in stems if s.endswith(f"_{of}")]
    if of == "f32":
        return [s for s in stems if not s.endswith("_f64")]
    if of == "f64":
        return [s for s in stems if not s.endswith("_f32") and not _FLOAT32_ONLY.fullmatch(s)]
    return stems


_TYPED = ("products", "convolutions", "pooling", "tables")

PARTS = (
    "core", *(f"{kind}_{of}" for kind in _TYPED for of in ("f32", "f64")), "matrices",
    *(f"sorting_{of}" for of in _SORTING),
)  # fmt: skip


def part_of(symbol: str) -> str:
    """The part that exports a function of the library; ``core`` for other names."""
    name, _, tag = symbol.removeprefix("symc_").rpartition("_")
    if re.sub("_(stored|epilogue)$", "", name) in ("gemm", "batched_gemm"):
        return f"products_{tag}"
    if name.startswith("conv2d_"):
        return f"convolutions_{tag if tag in ('f32', 'f64') else 'f32'}"
    if name.startswith("pool2d_"):
        return f"pooling_{tag if tag in ('f32', 'f64') else 'f32'}"
    if name == "row_sums":
        return f"tables_{tag}"
    if name in ("sort", "argsort", "topk", "searchsorted", "digitize"):
        return next((f"sorting_{of}" for of, tags in _SORTING.items() if tag in tags), "core")
    return "matrices" if name in ROUTINES or symbol.startswith("symc_lapack_") else "core"


@lru_cache(maxsize=1)
def sources() -> list[Path]:
    """The run-time library's C files."""
    return [p for p in sorted(RUNTIME.glob("*/*.c")) if p.parent.name != _NOT_LIBRARY]


def _digest(files: Iterable[Path]) -> str:
    """A digest over files of the run-time library and their names."""
    known = sorted(files)
    return cache.digest(*[f"{p.parent.name}/{p.name}" for p in known], *[p.read_bytes() for p in known])


@lru_cache(maxsize=1)
def _headers() -> str:
    """A digest over all headers."""
    return _digest(RUNTIME.glob("*/*.h"))


@lru_cache(maxsize=1)
def generated_code_depends_on() -> str:
    """A digest over the headers that generated code may include: it is not compiled again when other files change."""
    return _digest(p for folder in ("base", "kernels") for p in RUNTIME.glob(f"{folder}/*.h"))


def _is_shared(source: Path) -> bool:
    """Whether several parts contain a file, so that its object file is cached too."""
    return source.parent.name == "products"


def image(part: str, identity: str, by: Sequence[str] | None = None) -> bytes:
    """The shared library of a part, through the cache; object files of other parts are used again.

    ``by`` is the command line of the compiler that ``identity`` describes, if that is not the one of the settings now.
    """
    chosen = set(_files(part))
    files = [p for p in sources() if p.stem in chosen]

    def make(target: str) -> None:
        ordered = sorted(files, key=lambda p: -p.stat().st_size)
        jobs = {p: toolchain.Job(str(p), str(Path(target).with_name(p.stem + ".o")), p.name) for p in ordered}
        shared = {p: cache.digest("object", _digest([p]), _headers(), identity) + ".o" for p in jobs if _is_shared(p)}
        ready = set()
        for p, name in shared.items():
            if (found := cache.read(name)) is not None:
                Path(jobs[p].made).write_bytes(found)
                ready.add(p)
        missing = [job for p, job in jobs.items() if p not in ready]
        linked = [jobs[p].made for p in ready]
        toolchain.compile_side_by_side(missing, target, str(RUNTIME), f"the run-time library ({part})", linked, by)
        for p in shared.keys() - ready:
            cache.write(shared[p], Path(jobs[p].made).read_bytes())

    key = cache.digest("runtime", part, _digest(files), _headers(), identity)
    return cache.content(f"{key}.so", make)


def _load(part: str, identity: str, by: Sequence[str]) -> Any:
    # Global, so that generated libraries and other parts find its symbols.
    return loading.load(image(part, identity, by), lambda path: ffi.dlopen(path, ffi.RTLD_NOW | ffi.RTLD_GLOBAL))


_the_core: list[Any] = []


def _core(identity: str, by: Sequence[str]) -> Any:
    """The core that is loaded, or the one for these flags; under the lock of ``runtime``."""
    if not _the_core:
        _the_core.append(_load("core", identity, by))
    return _the_core[0]


class Runtime:
    """The run-time library for one compiler and its flags.

    Its functions are attributes; the first use of one loads its part. The core is the same for all: threads, scratch
    memory and the count of kept forms belong to the process, and the symbols of the first core that is loaded serve
    every part and all generated code, whatever compiled them.

    Parameters
    ----------
    identity : str
        See ``symc_backends.c.toolchain.identity``. Parts that are compiled later are so as the settings are now.
    """

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._by = toolchain.command_line()
        self._parts: dict[str, Any] = {}
        self._most_bfloat16 = 0
        self._lock = threading.RLock()
        self.part("core")

    def part(self, name: str) -> Any:
        """A loaded part."""
        found = self._parts.get(name)
        if found is None:
            with self._lock:
                found = self._parts.get(name)
                if found is None:
                    load = _core if name == "core" else partial(_load, name)
                    found = load(self._identity, self._by)
                    self._prepare(name, found)
                    self._parts[name] = found
        return found

    def need(self, text: str) -> None:
        """Load the parts whose functions generated code calls."""
        for name in sorted({part_of(symbol) for symbol in re.findall(r"\bsymc_\w+", text)}):
            self.part(name)

    def __getattr__(self, symbol: str) -> Any:
        if not symbol.startswith("symc_"):
            raise AttributeError(symbol)
        found = getattr(self.part(part_of(symbol)), symbol)
        setattr(self, symbol, found)
        return found

    def address(self, symbol: str) -> Any:
        """The address of a function."""
        return ffi.addressof(self.part(part_of(symbol)), symbol)

    def _prepare(self, name: str, library: Any) -> None:
        if name.startswith("convolutions"):
            library.symc_conv2d_choose(_ALGORITHMS.index(config.conv_algorithm), config.conv_accuracy == "strict")
        if name in _WITH_BFLOAT16:
            library.symc_choose_bfloat16(self._most_bfloat16)

    def choose_convolutions(self) -> None:
        """Follow the settings of convolutions."""
        with self._lock:
            for name, library in self._parts.items():
                if name.startswith("convolutions"):
                    self._prepare(name, library)

    def choose_bfloat16(self, most: int) -> None:
        """Choose how products use bfloat16, in the parts that are loaded and those that will be."""
        with self._lock:
            self._most_bfloat16 = most
            for name in _WITH_BFLOAT16:
                if name in self._parts:
                    self._prepare(name, self._parts[name])

    def bfloat16_instructions(self) -> int:
        """What the processor has, as ``symc_choose_bfloat16`` returns it."""
        return int(self.part(_WITH_BFLOAT16[0]).symc_choose_bfloat16(self._most_bfloat16))


_WITH_BFLOAT16 = ("products_f32", "convolutions_f32")


@lru_cache(maxsize=4)
def _loaded(identity: str) -> Runtime:
    library = Runtime(identity)
    library.symc_set_num_threads(usable())
    choose_precision(library)
    library.symc_stored_limit(config.prepared_memory)
    config.listen("prepared_memory", lambda: library.symc_stored_limit(config.prepared_memory))
    for setting in ("conv_algorithm", "conv_accuracy"):
        config.listen(setting, library.choose_convolutions)
    config.listen("cpu_precision", lambda: choose_precision(library))
    return library


def multiplies_blocks() -> bool:
    """Whether the processor has instructions that multiply bfloat16; see ``symc.runtime.backend``."""
    return runtime().bfloat16_instructions() > 0


def choose_precision(library: Runtime) -> None:
    """Tell the run-time library how to multiply numbers of float32."""
    library.choose_bfloat16(_BFLOAT16[config.cpu_precision])


_ALGORITHMS = ("auto", "winograd", "blocks", "panels", "bands")  # in the order of symc_conv2d_choose
_BFLOAT16 = {"ieee": -1, "float32": 0, "bfloat16": 2}  # see symc_choose_bfloat16
_PASSES = {"forward": 0, "pooled": 0, "backward_data": 1, "backward_weights": 2}


def method(calls: Sequence[tuple[str, Sequence[int], bool]]) -> str | None:
    """How the run-time library would do a call now, if it has a choice, or several that pass on their output.

    A call is given by its name, its parameters, and whether its filters are stored.
    """
    names = [_method(*call) for call in calls]
    if len(calls) == 1:
        return names[0]
    params = [len(calls), *(p for _, given, _ in calls for p in given)]
    tag = calls[0][0].rpartition("_")[2]
    stored = any(is_stored for *_, is_stored in calls)
    part = getattr(runtime(), f"symc_conv2d_chain_part_{tag}")(stored, ffi.new("int64_t[]", params))
    first, count = part >> 2, part & 3
    return ", ".join(n or "" for n in (*names[:first], *["bands of rows"] * bool(count), *names[first + count :]))


def _method(call: str, params: Sequence[int], is_stored: bool) -> str | None:
    name, _, tag = call.rpartition("_")
    if not name.startswith("conv2d_"):
        return None
    number = _PASSES.get(name.removeprefix("conv2d_"))
    if number is None:
        return "blocks of channels that are bfloat16 in memory"
    library = runtime()
    found = getattr(library, f"symc_conv2d_method_{tag}")(number + 4 * is_stored, ffi.new("int64_t[]", list(params)))
    return str(ffi.string(library.symc_conv2d_method_name(found)).decode())


_loading = threading.Lock()


def runtime() -> Runtime:
    """Load the run-time library; its number of threads follows ``symc.config.threads``."""
    with _loading:
        library = _loaded(toolchain.identity())
    if config.threads:
        library.symc_set_num_threads(config.threads)
    return library
