"""Settings, and the only place that reads the environment.

``symc.config`` is one object. Its fields can be set in Python (``symc.config.floatX = "float64"``) or, before the
first import, through ``SYMC_FLAGS="floatX=float64,device=interp"``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

__all__ = [
    "Config",
    "config",
    "default_environment",
    "environment",
    "given_in_environment",
    "legacy_flags",
    "mode_name",
    "read_flags",
]


_listeners: dict[str, list[Callable[[], None]]] = {}


def _default_cache() -> str:
    given = os.environ.get("SYMC_CACHE")
    if given:
        return given
    base = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if base.startswith("~"):  # a user without a home folder
        return os.path.join(tempfile.gettempdir(), f"symc-{os.getuid() if hasattr(os, 'getuid') else 'cache'}")
    return os.path.join(base, "symc")


def _omp_threads() -> int:
    """The number of threads that ``OMP_NUM_THREADS`` asks for, by its first number; 0 if it is not set."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def legacy_flags() -> dict[str, str]:
    """The settings of old programs: those of ``~/.theanorc`` (or the files in ``THEANORC``), then of ``THEANO_FLAGS``.

    Only ``symc.compat`` asks for them. The section ``[global]`` gives plain names, others ``section.name``.
    """
    files = [part for part in os.environ.get("THEANORC", "~/.theanorc").split(os.pathsep) if part]
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read([os.path.expanduser(name) for name in files], encoding="utf-8")
    found = {
        name if section == "global" else f"{section}.{name}": text.strip()
        for section in parser.sections()
        for name, text in parser.items(section)
    }
    for item in filter(None, (part.strip() for part in os.environ.get("THEANO_FLAGS", "").split(","))):
        name, _, text = item.partition("=")
        found[name.strip()] = text.strip()
    return found


def given_in_environment(name: str) -> bool:
    """Whether ``SYMC_FLAGS`` sets this field."""
    return any(part.partition("=")[0].strip() == name for part in os.environ.get("SYMC_FLAGS", "").split(","))


def environment(**changes: str) -> dict[str, str]:
    """The environment of this process with some variables changed, for processes that it starts."""
    return {**os.environ, **changes}


@contextmanager
def default_environment(**variables: str) -> Iterator[None]:
    """Set those of the environment variables that are not set, for a library that reads them while it is loaded."""
    new = {name: text for name, text in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


def mode_name(value: Any) -> Any:
    """The name of a mode as symc writes it."""
    if not isinstance(value, str):
        return value
    found = value.lower().replace("_mode", "mode")
    return "fast_run" if found == "mode" else found


@dataclass
class Config:
    """User settings; every field is a plain value.

    Attributes
    ----------
    floatX : str
        The float dtype of constructors without an explicit one, ``"float32"`` or ``"float64"``.
    device : str
        The back end used by ``symc.function``: ``"c"``, ``"interp"`` or another installed one. ``"cpu"`` means ``"c"``.
    mode : str
        ``"fast_run"`` (all rewrites), ``"fast_compile"`` (stability and structural rewrites only), ``"no_rewrite"``, or
        a mode for finding mistakes, ``"DebugMode"`` or ``"NanGuardMode"``; see :class:`symc.Mode`. Letter case does not
        matter, and ``"Mode"`` means ``"fast_run"``.
    profile : bool
        Time every kernel of every function compiled while set.
    threads : int
        Threads of the C back end; 0 means one for each core in the affinity of the process, within the quota of its
        control group (container). The default is that of the environment variable ``OMP_NUM_THREADS``, if it is set.
        Set it before the first function is compiled.
    cache_dir : str
        Folder of the content-addressed cache of compiled code; ``~`` is the user's home folder. It is created on first
        use, accessible to its owner only. If it is not writable, belongs to another user, or is writable by others,
        compiled code is not cached, and symc warns once.
    compiler : str
        The C compiler; if empty, the first found of ``$CC``, ``cc``, ``gcc``, ``clang`` and the package ``ziglang``.
    cflags : str
        Extra flags for the C compiler.
    isa : str
        The vector instructions of the C back end on x86 processors: ``"avx512"`` (512 bits), ``"avx2"`` (256 bits),
        ``"sse"`` (128 bits), ``"scalar"``, or ``""``, the widest that the processor has. ``"scalar"`` asks for no
        extension at all: generated loops compute one element at a time, and library calls use the registers that are
        part of every such processor (on x86-64, SSE2). It is an error to ask for instructions that the processor lacks.
        Set it before the first function is compiled: the library calls of a process, such as matrix products, keep the
        instructions they were first loaded with.
    conv_algorithm : str
        How the C back end computes convolutions: ``"auto"``, what a cost model finds fastest for the shapes of the
        call; ``"winograd"``, minimal filtering wherever it exists (float32, at least 16 channels and filters in a
        group, filters of two taps or more, no dilation along an axis with strides); ``"blocks"``, direct sums over
        blocks of channels wherever they exist; ``"panels"``, products of packed panels; ``"bands"``, pointwise and
        depthwise convolutions that follow one another in bands of rows wherever they exist, and other convolutions as
        with ``"auto"``. Takes effect at once, for compiled functions too; profiles show what was chosen.
    conv_accuracy : str
        ``"fast"`` allows minimal filtering, whose relative error is about 1e-6 rms in float32, and which spreads NaN
        and infinity over the outputs of a tile (of gradients by filters, over all taps). Its intermediate sums are up
        to 1,200 times larger than direct ones can be, so it overflows earlier: finite results are certain where images,
        filters and gradients stay below 1e36, and the number of terms times the largest magnitudes of both operands
        below 2.5e35. ``"strict"`` allows direct sums only: 0.3e-6 rms, at most 0.6e-6 in sums of 5,000 terms, and
        infinity only where the sum of magnitudes overflows. Takes effect at once.
    cpu_precision : str
        Arithmetic of float32 products and convolutions in the C back end. ``"float32"``: as exact as sums of float32,
        by the fastest instructions that the processor has; with AMX, numbers of 24 bits are multiplied in parts of 8
        bits, and where parts cannot hold infinite, huge or tiny operands, in float32. ``"ieee"``: by fused
        multiplications and additions of float32 only. ``"bfloat16"``: operands are rounded to bfloat16 (relative error
        at most 2**-8 each; subnormal numbers become zero) and added in float32, several times faster on processors
        with AMX. It has an effect on processors with AMX or AVX-512 BF16, for products of at least 48 rows, or of any
        number of rows with a stored matrix of at least 16 columns on the right (see ``prepared_memory``), and
        convolutions of at least 16 channels and filters; everything else stays float32. Takes effect at once, for
        compiled functions too; ``symc.doctor`` says what the processor has. A function without gradients that is
        compiled under this setting, on such a processor, also stores what convolutions hand on to each other, and to
        pooling and sums between them, as bfloat16; that stays so when the setting changes.
    prepared_memory : int
        Bytes that values computed from shared variables alone may take together, such as transformed filters: they are
        kept between calls until a variable changes. 0: nothing is kept. What does not fit is computed in every call.
    tiered : bool
        Whether the C back end builds a new function twice: without optimisation, so that the first call comes sooner,
        and with it in a thread of its own, which takes its place when it is there. Results of the two may differ in
        the last bits, as the compiler contracts multiplications and additions when it optimises. Functions that are in
        the cache are not built at all, and functions with a profile only once.
    short_axes : bool
        Whether a function whose arguments may have any shape is compiled again in its first call of more than about
        40 microseconds, if axes of its arguments that its loops run along have 2 to 16 elements (in the steps of a
        ``scan``, up to 1024): for these lengths, and any lengths of the other axes. Other calls run the first code.
        Results of the two may differ in the last bits, as sums are added in another order; which of them runs follows
        from the shapes alone.
    cuda_libraries : str
        Folders, separated by the system's path separator, in which the CUDA back end looks for ``libcuda``, NVRTC,
        cuBLAS and cuDNN before it searches the installed wheels and the system's loader.
    cuda_device : int
        Index of the GPU to use.
    cuda_memory : int
        Bytes of GPU memory that symc may allocate; 0 means all free memory.
    cuda_workspace : int
        Bytes of scratch memory that one convolution or matrix product may take on the GPU.
    cuda_precision : str
        Arithmetic of matrix products and convolutions of float32 on the GPU: ``"float32"``, ``"tf32"`` (19-bit
        operands) or ``"bfloat16"`` (operands rounded to bfloat16); sums are float32 in each.
    cuda_graphs : bool
        Record the launches of a function once and replay them.
    cuda_blocking : bool
        Wait for every kernel, so that an error names the kernel that failed.
    exception_verbosity : str
        Has no effect: errors always include every detail. Accepted for old programs.
    scan_memory : int
        Bytes that the gradient of one ``scan`` may take for the states of its steps and for products that the compiler
        stores for all steps; 0: no limit. Of a longer scan, it stores the states once per block of steps, and computes
        those inside a block again. More steps than twice the square of the length of a block take more memory than
        that. Read when the gradient is built.
    compute_test_value : str
        Compute the value of every expression when it is built, from the values in ``variable.tag.test_value``, so that
        an error is raised by the line that makes it: ``"off"``, ``"ignore"`` (what has no test value is skipped),
        ``"warn"`` (with a warning) or ``"raise"`` (with an error).
    on_unused_input : str
        Default of ``symc.function``'s argument: ``"raise"``, ``"warn"`` or ``"ignore"``.
    """

    floatX: str = "float32"
    device: str = "c"
    mode: str = "fast_run"
    profile: bool = False
    threads: int = field(default_factory=_omp_threads)
    cache_dir: str = field(default_factory=_default_cache)
    compiler: str = field(default_factory=lambda: os.environ.get("CC", ""))
    cflags: str = ""
    isa: str = ""
    conv_algorithm: str = "auto"
    conv_accuracy: str = "fast"
    cpu_precision: str = "float32"
    prepared_memory: int = 1 << 30
    tiered: bool = False
    short_axes: bool = True
    cuda_libraries: str = field(default_factory=lambda: os.environ.get("SYMC_CUDA_LIBRARIES", ""))
    cuda_device: int = 0
    cuda_memory: int = 0
    cuda_workspace: int = 256 << 20
    cuda_precision: str = "float32"
    cuda_graphs: bool = True
    cuda_blocking: bool = False
    exception_verbosity: str = "high"
    scan_memory: int = 0
    compute_test_value: str = "off"
    on_unused_input: str = "raise"

    _choices = {
        "floatX": ("float32", "float64"),
        "isa": ("", "avx512", "avx2", "sse", "scalar"),
        "conv_algorithm": ("auto", "winograd", "blocks", "panels", "bands"),
        "conv_accuracy": ("fast", "strict"),
        "cpu_precision": ("float32", "ieee", "bfloat16"),
        "mode": ("fast_run", "fast_compile", "no_rewrite", "debugmode", "nanguardmode"),
        "compute_test_value": ("off", "ignore", "warn", "raise"),
        "cuda_precision": ("float32", "tf32", "bfloat16"),
        "on_unused_input": ("raise", "warn", "ignore"),
    }

    def __setattr__(self, name: str, value: Any) -> None:
        known = {f.name for f in fields(self)}
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; the settings are {', '.join(sorted(known))}"
            raise AttributeError(f"symc.config has no setting {name!r}{hint}")
        if name == "mode":
            value = mode_name(value)
        allowed = self._choices.get(name)
        if allowed and value not in allowed:
            raise ValueError(f"symc.config.{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
        if name == "prepared_memory" and (not isinstance(value, int) or value < 0):
            raise ValueError(f"symc.config.prepared_memory must be a number of bytes, 0 or more, got {value!r}")
        if name == "cache_dir":
            value = os.path.expanduser(os.fspath(value) or _default_cache())
            value = value if value.startswith("~") else os.path.abspath(value)
        object.__setattr__(self, name, value)
        for told in _listeners.get(name, ()):
            told()

    def listen(self, name: str, told: Callable[[], None]) -> None:
        """Call ``told`` after each assignment to the field ``name``."""
        _listeners.setdefault(name, []).append(told)

    @contextmanager
    def change(self, **settings: Any) -> Iterator[Config]:
        """Set fields for the duration of a ``with`` block."""
        old = {name: getattr(self, name) for name in settings}
        try:
            for name, value in settings.items():
                setattr(self, name, value)
            yield self
        finally:
            for name, value in old.items():
                setattr(self, name, value)


def read_flags(target: Config, flags: str) -> None:
    """Apply ``"name=value,name=value"`` to ``target``, converting to each field's type."""
    for item in filter(None, (part.strip() for part in flags.split(","))):
        name, equals, text = item.partition("=")
        if not equals:
            raise ValueError(f"SYMC_FLAGS: expected name=value, got {item!r}")
        current = getattr(target, name, None)
        value: Any = text
        if isinstance(current, bool):
            value = text.lower() in ("1", "true", "yes")
        elif isinstance(current, int):
            value = int(text)
        setattr(target, name, value)


config = Config()
read_flags(config, os.environ.get("SYMC_FLAGS", ""))


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """The settings are also attributes of this module, which may be imported under the name of the object."""
        if name in Config.__dataclass_fields__:
            return getattr(config, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
