"""The findings of ``symc.doctor()`` about the CUDA back end."""

from __future__ import annotations

import ctypes
import importlib.util
import re
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np

from symc.doctor import Finding, attempt, self_test
from symc_backends.cuda import blas, compile, device, dnn, libraries
from symc_backends.cuda.graphs import Recording

__all__ = ["examine"]

_INSTALL = "run: pip install 'symc[cuda]'"
_DRIVER = "install NVIDIA's driver, of a version that supports CUDA 12 or newer"
_CHECK = "check the driver with nvidia-smi"


def examine() -> list[Finding]:
    """Examine PyCUDA, driver, GPU, compiler, cuBLAS, cuDNN and CUDA graphs, and run a self-test.

    Findings that only matter with a GPU are omitted if there is none.
    """
    found = [attempt("PyCUDA", _pycuda, _INSTALL, grave=True), attempt("driver", _driver, _DRIVER, grave=True)]
    if found[1].grave:
        return found
    if not found[0].grave:
        found.append(attempt("GPU", _gpu, _CHECK, grave=True))
    found += [attempt("compiler", _compiler, "run: pip install nvidia-cuda-nvrtc", grave=True)]
    works = not any(f.grave for f in found)
    for name, library in (("cuBLAS", blas), ("cuDNN", dnn)):
        found.append(attempt(name, _look(name, library, works), f"install another version of {name}"))
    if works:
        found.append(attempt("recordings", _recordings, _CHECK))
        found.append(attempt("self-test", lambda: self_test("cuda"), "report it, with this text", grave=True))
    return found


def _parted(problem: str) -> tuple[str, str]:
    """Split a message of the back end into problem and repair, which follows a semicolon."""
    text, _, fix = problem.rpartition("; ")
    return text, fix


def _pycuda() -> Finding:
    if importlib.util.find_spec("pycuda") is None:
        return Finding("PyCUDA", problem="not installed", fix=_INSTALL, grave=True)
    return Finding("PyCUDA", version("pycuda"))


def _driver() -> Finding:
    """Examine the driver's library, which does not need PyCUDA; whether it starts is tested when the GPU is opened."""
    where = libraries.find("libcuda.so.1")
    if where.library is None:
        return Finding("driver", problem=where.reason, fix=_DRIVER, grave=True)
    number = ctypes.c_int()
    status = where.library.cuDriverGetVersion(ctypes.byref(number))
    if status:
        text = f"cuDriverGetVersion returned {status}"
        return Finding("driver", where.path, text, _CHECK, grave=True)
    found = f"for CUDA {number.value // 1000}.{number.value % 1000 // 10}"
    release = _release()
    found = f"{release}, {found}" if release else found
    if number.value < 12000:
        return Finding("driver", found, "it is too old", _DRIVER, grave=True)
    return Finding("driver", found)


def _release() -> str:
    """The driver's own version, such as ``"580.95.05"``, if the system reports it."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(errors="replace")
    except OSError:
        return ""
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", text)
    return found[0] if found else ""


def _gpu() -> Finding:
    problem = device.problem()
    if problem is not None:
        text, fix = _parted(problem)
        return Finding("GPU", problem=text or fix, fix=fix if text else _CHECK, grave=True)
    gpu = device.current()
    with gpu as d:
        free, total = d.driver.mem_get_info()
        count = d.driver.Device.count()
    memory = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    found = f"{gpu.name}, {gpu.arch}, {gpu.processors} multiprocessors, {memory}"
    return Finding("GPU", found if count == 1 else f"{found}; number {gpu.ordinal} of {count}")


def _compiler() -> Finding:
    problem = compile.problem()
    if problem is not None:
        text, fix = _parted(problem)
        return Finding("compiler", problem=text, fix=fix, grave=True)
    name = compile.compiler_identity()
    release = re.search(r"release ([\d.]+)", name)
    return Finding("compiler", f"nvcc {release[1]}" if release else " ".join(name.split()[:2]))


def _look(name: str, library: ModuleType, works: bool) -> Callable[[], Finding]:
    def look() -> Finding:
        problem = library.problem()
        if problem is not None:
            text, fix = _parted(problem.removeprefix(f"{name}: "))
            return Finding(name, problem=text, fix=fix)
        if works:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                opened = library.current(device.current())
            if opened is None:
                text = str(caught[-1].message) if caught else "it does not start"
                return Finding(name, library.version() or "", text, f"install another version of {name}")
        return Finding(name, library.version() or "of unknown version")

    return look


def _recordings() -> Finding:
    """Check that the driver can record launches as CUDA graphs and replay them."""
    gpu = device.current()
    host = np.ones(16, "int32")
    with gpu as d:
        memory = d.empty(host.nbytes)
        d.send(host, int(memory))
        recording = Recording.of(d, partial(d.clear, int(memory), host.nbytes))
        if recording is not None:
            recording.replay(d)
            d.fetch(int(memory), host)
        del recording, memory
    if host.any():
        text = "CUDA graphs cannot be recorded, so that every call starts its kernels one by one"
        return Finding("recordings", problem=text, fix="update the driver")
    return Finding("recordings", "CUDA graphs work")
