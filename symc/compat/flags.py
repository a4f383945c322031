"""``theano.config``: Theano's settings, of which some are settings of symc."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from symc.config import config as own
from symc.config import given_in_environment, legacy_flags
from symc.errors import warn
from symc.runtime.backend import available

__all__ = [
    "OWN",
    "SHARED",
    "WITHOUT_EFFECT",
    "apply",
    "change_flags",
    "config",
    "declare",
    "gpu_works",
    "local_bitwidth",
    "mode_named",
    "python_int_bitwidth",
    "restore",
    "setting_of",
    "state",
]

SHARED = ("floatX", "device", "mode", "profile", "on_unused_input", "compute_test_value", "exception_verbosity")
"""Settings that symc has too."""

WITHOUT_EFFECT: dict[str, Any] = {
    "allow_gc": True, "allow_output_prealloc": True, "assert_no_cpu_op": "ignore", "autocast_float": "float64",
    "base_compiledir": "", "blas.ldflags": "-lblas", "blas.check_openmp": True, "cast_policy": "custom",
    "check_input": True, "check_stack_trace": "off", "cmodule.age_thresh_use": 2073600,
    "cmodule.compilation_warning": False, "cmodule.mac_framework_link": False, "cmodule.preload_cache": False,
    "cmodule.remove_gxx_opt": False, "cmodule.warn_no_version": False, "compile.timeout": 120, "compile.wait": 5,
    "compiledir": "", "compiledir_format": "", "contexts": "", "conv.assert_shape": False, "conv_gemm": "off",
    "cublas.lib": "cublas", "cuda.disabled": False, "cuda.enabled": True, "cuda.root": "", "ctc.root": "",
    "cxx": "g++", "cycle_detection": "regular", "deterministic": "default", "dnn.base_path": "",
    "dnn.bin_path": "", "dnn.enabled": "auto", "dnn.include_path": "", "dnn.library_path": "",
    "dnn.conv.algo_bwd": "guess_once", "dnn.conv.algo_bwd_data": "guess_once", "dnn.conv.algo_bwd_filter": "guess_once",
    "dnn.conv.algo_fwd": "guess_once", "dnn.conv.precision": "as_input_f32", "dnn.conv.workmem": "small",
    "dnn.conv.workmem_bwd": "small", "enable_initial_driver_test": True, "force_device": False, "fpga": "",
    "gcc.cxxflags": "", "gpuarray.preallocate": 0.0, "gpuarray.sched": "default", "gpuarray.single_stream": True,
    "gpuarray.cache_path": "", "gpuarray.sync": False, "gpuelemwise.sync": True, "ignore_bug_before": "None",
    "init_gpu_device": "", "int_division": "int", "lib.amdlibm": False, "lib.cnmem": 0.0, "linker": "cvm",
    "magma.enabled": False, "max_elements_per_chunk": 10, "metaopt.optimizer_excluding": "",
    "metaopt.optimizer_including": "", "metaopt.verbose": 0, "NanGuardMode.action": "raise",
    "NanGuardMode.big_is_error": True, "NanGuardMode.inf_is_error": True, "NanGuardMode.nan_is_error": True,
    "nocleanup": False, "numpy.seterr_all": "ignore", "numpy.seterr_divide": "None", "numpy.seterr_invalid": "None",
    "numpy.seterr_over": "None", "numpy.seterr_under": "None", "nvcc.compiler_bindir": "", "nvcc.fastmath": False,
    "nvcc.flags": "", "nvcc.cudafe": "heuristic", "on_opt_error": "warn", "on_shape_error": "warn",
    "openmp": False, "openmp_elemwise_minsize": 200000, "optdb.max_use_ratio": 8.0,
    "optdb.position_cutoff": float("inf"),
    "optimizer": "fast_run", "optimizer_excluding": "", "optimizer_including": "", "optimizer_requiring": "",
    "optimizer_verbose": False, "pickle_test_value": True, "print_active_device": True, "print_global_stats": False,
    "print_test_value": False, "profile_memory": False, "profile_optimizer": False, "profiling.debugprint": False,
    "profiling.destination": "stderr", "profiling.ignore_first_call": False, "profiling.min_memory_size": 1024,
    "profiling.min_peak_memory": False, "profiling.n_apply": 20, "profiling.n_ops": 20,
    "profiling.output_line_width": 512, "profiling.time_thunks": True, "raise_with_op.stack": True,
    "reoptimize_unpickled_function": False, "scan.allow_gc": False, "scan.allow_output_prealloc": True,
    "scan.debug": False, "tensor.cmp_sloppy": 0, "tensor.insert_inplace_optimizer_validate_nb": -1,
    "tensor.local_elemwise_fusion": True, "thunk_format": "", "traceback.compile_limit": 0, "traceback.limit": 8,
    "unittests.rseed": "666", "unpickle_function": True, "vm.lazy": "None", "warn_float64": "ignore",
    "warn.ignore_bug_before": "0.9", "cache_optimizations": False, "cmodule.debug": False,
    "compute_test_value_opt": "off", "cuda.include_path": "", "DebugMode.check_preallocated_output_ndim": 4,
    "experimental.local_alloc_elemwise": False, "experimental.local_alloc_elemwise_assert": True,
    "experimental.unpickle_gpu_on_cpu": False, "gpu.local_elemwise_fusion": True, "magma.include_path": "",
    "magma.library_path": "", "warn.argmax_pushdown_bug": False, "warn.gpu_set_subtensor1": False,
    "warn.gpusum_01_011_0111_bug": False, "warn.identify_1pexp_bug": False, "warn.inc_set_subtensor1": False,
    "warn.inc_subtensor1_opt": False, "warn.reduce_join": False, "warn.round": False,
    "warn.signal_conv2d_interface": False, "warn.subtensor_merge_bug": False, "warn.sum_div_dimshuffle_bug": False,
    "warn.sum_sum_bug": False, "warn.vm_gc_bug": False,
    "ProfileMode.n_apply_to_print": 15, "ProfileMode.n_ops_to_print": 20,
    "DebugMode.check_c": True, "DebugMode.check_finite": True, "DebugMode.check_py": True,
    "DebugMode.check_strides": 0, "DebugMode.patience": 10, "DebugMode.warn_input_not_reused": True,
    "DebugMode.check_preallocated_output": "", "gpu.precision": "",
}  # fmt: skip
"""Settings of Theano with their defaults; they are kept and have no effect."""

OWN: dict[str, Any] = {"exact_random": False}
"""Settings of symc.compat itself: ``exact_random`` makes random streams draw Theano's numbers, with NumPy."""

_MODES = {"fast_run": "fast_run", "mode": "fast_run", "profilemode": "fast_run", "profile_mode": "fast_run",
          "fast_compile": "fast_compile", "none": "no_rewrite", "no_rewrite": "no_rewrite"}  # fmt: skip


class _Section:
    """A group of settings, such as ``config.gcc``."""

    def __init__(self, path: str) -> None:
        object.__setattr__(self, "_path", path)

    def __getattr__(self, name: str) -> Any:
        return _get(f"{self._path}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        _set(f"{self._path}.{name}", value)


class TheanoConfig:
    """The object ``theano.config``.

    ``floatX``, ``device``, ``mode`` and a few more are settings of symc; others are kept without effect.
    """

    def __getattr__(self, name: str) -> Any:
        return _get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        _set(name, value)

    @contextmanager
    def change_flags(self, *args: Any, **settings: Any) -> Iterator[None]:
        """Change settings for the duration of a ``with`` block; also a decorator of functions."""
        for given in args:
            settings.update(given)
        settings = {name.replace("__", "."): value for name, value in settings.items()}
        before = {name: _get(name) for name in settings}
        for name, value in settings.items():
            _set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                _set(name, value)

    def __repr__(self) -> str:
        shown = [f"{name} = {_get(name)!r}" for name in (*SHARED, *_values)]
        return "\n".join(shown)

    __str__ = __repr__


_values: dict[str, Any] = {**WITHOUT_EFFECT, **OWN}
_sections = {part[:k] for part in WITHOUT_EFFECT for k, c in enumerate(part) if c == "."}
config = TheanoConfig()
change_flags = config.change_flags


class Setting:
    """One setting as an object, with Theano's interface of a descriptor: ``setting.__set__(None, value)``."""

    def __init__(self, fullname: str) -> None:
        self.fullname = fullname

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else _get(self.fullname)

    def __set__(self, instance: Any, value: Any) -> None:
        _set(self.fullname, value)


def __getattr__(name: str) -> Any:
    """``_config_var_list``, the list of all settings, from which programs read which names exist."""
    if name == "_config_var_list":
        return [Setting(each) for each in (*SHARED, *_values)]
    raise AttributeError(name)


def declare(name: str, value: Any) -> None:
    """Add a setting of a program.

    Raises
    ------
    AttributeError
        If symc or Theano has a setting with that name.
    """
    if name in SHARED or name in WITHOUT_EFFECT or name in OWN or name in _sections:
        raise AttributeError(f"theano.config has a setting {name!r} already")
    _values[name] = value
    _sections.update(name[:k] for k, c in enumerate(name) if c == ".")


def setting_of(name: str) -> str:
    """Cut a dotted name behind the setting: ``theano.config.device.startswith`` is about ``theano.config.device``."""
    parts = name.split(".")
    for k in range(len(parts), 2, -1):
        if ".".join(parts[2:k]) in SHARED or ".".join(parts[2:k]) in WITHOUT_EFFECT:
            return ".".join(parts[:k])
    return name


def _get(name: str) -> Any:
    if name == "device":
        return {"c": "cpu"}.get(own.device, own.device)
    if name == "mode":
        return {"fast_run": "FAST_RUN", "fast_compile": "FAST_COMPILE"}.get(own.mode, own.mode)
    if name in SHARED:
        return getattr(own, name)
    if name in _values:
        return _values[name]
    if name in _sections:
        return _Section(name)
    raise AttributeError(f"theano.config has no setting {name!r}")


def _set(name: str, value: Any) -> None:
    if name == "device":
        own.device = _device(str(value))
    elif name == "mode":
        own.mode = mode_named(str(value))
    elif name == "optimizer":
        _values[name] = value
        own.mode = mode_named(str(value))
    elif name == "floatX" and value == "float16":
        warn("floatX=float16: float16 is a storage dtype of symc, not a default; floatX is float32")
        own.floatX = "float32"
    elif name in SHARED:
        setattr(own, name, value)
    else:
        _values[name] = value


def mode_named(name: str) -> str:
    """The mode of symc that a mode, linker or optimiser of Theano stands for.

    A name that symc does not know gives ``fast_run``, with a warning.
    """
    found = _MODES.get(name.lower())
    if found is None:
        with own.change(mode=own.mode):
            try:
                own.mode = name  # a mode of symc under its own name
                return name
            except ValueError:
                warn(f"mode {name} is not available; fast_run is used instead")
    return found or "fast_run"


def _device(name: str) -> str:
    """The back end for a device of Theano: ``cpu``, ``gpu``, ``gpu0``, ``cuda``, ``cuda1`` or a back end of symc."""
    kind = name.lower().rstrip("0123456789").rstrip(":")
    if kind not in ("gpu", "cuda", "opencl"):
        return "c" if kind == "cpu" else name
    number = name[len(kind) :].lstrip(":")
    if gpu_works():
        own.cuda_device = int(number or 0)
        return "cuda"
    if _truth(_values["force_device"]):
        raise RuntimeError(f"device={name} with force_device=True, but no GPU is usable; see python -m symc.doctor")
    warn(f"device={name}: no GPU is usable, the CPU is used instead; python -m symc.doctor says why")
    return "c"


def python_int_bitwidth() -> int:
    """The number of bits of a C long, which is what NumPy's default integer was."""
    import struct

    return 8 * struct.calcsize("l")


def local_bitwidth() -> int:
    """The number of bits of a pointer."""
    import struct

    return 8 * struct.calcsize("P")


def gpu_works() -> bool:
    """Whether the CUDA back end finds a GPU that it can use."""
    import importlib

    try:
        module = importlib.import_module(available()["cuda"])
        return not any(finding.grave and finding.problem for finding in module.examine())
    except (ImportError, KeyError, OSError, RuntimeError):
        return False


def _truth(text: Any) -> bool:
    return text if isinstance(text, bool) else str(text).lower() in ("1", "true", "yes")


def _parsed(name: str, text: str) -> Any:
    """A setting from its text, by the type of the value it replaces."""
    now = getattr(own, name) if name in SHARED else _values.get(name)
    if isinstance(now, bool):
        return _truth(text)
    for kind in (int, float):
        if isinstance(now, kind):
            try:
                return kind(text)
            except ValueError:
                return text
    return text


def apply(settings: str = "") -> None:
    """Read Theano's settings from the environment and from ``settings``, and Theano's default of floatX."""
    given = legacy_flags()
    for item in filter(None, (part.strip() for part in settings.split(","))):
        name, _, text = item.partition("=")
        given[name.strip()] = text.strip()
    if "floatX" not in given and not given_in_environment("floatX"):
        given["floatX"] = "float64"
    unknown = sorted(name for name in given if name not in SHARED and name not in _values)
    if unknown:
        warn(f"settings that symc does not know are kept without effect: {', '.join(unknown)}")
    order = sorted(given, key=lambda name: name == "device")  # force_device first
    for name in order:
        _set(name, _parsed(name, given[name]))


def state() -> dict[str, Any]:
    """The settings of symc that Theano's settings may change."""
    return {name: getattr(own, name) for name in (*SHARED, "cuda_device")}


def restore(before: dict[str, Any]) -> None:
    """Set what ``state`` returned, and forget settings without effect."""
    for name, value in before.items():
        setattr(own, name, value)
    _values.clear()
    _values.update(WITHOUT_EFFECT, **OWN)
