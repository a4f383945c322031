"""LAPACK for the run-time library: OpenBLAS, from the package scipy-openblas32.

It is loaded when the first program that factorises matrices is. Without the package, matrices of more than 16 rows are
factorised by NumPy, which the compiled program calls.
"""

from __future__ import annotations

import importlib
import os
import threading
from typing import Any

from symc.config import default_environment
from symc_backends.c.build import ffi, runtime

__all__ = ["available", "load", "unload"]

_lock = threading.Lock()
_state: dict[str, Any] = {"tried": False, "library": None}
_PREFIX = "scipy_"
_TIMEOUT = "20"
"""The logarithm of the cycles for which the library's threads wait before they sleep: about 0.4 ms.

By default they keep their cores busy for 25 ms after each call, and the program's own threads wait for them. With much
less than this, threads fall asleep between the products inside one factorisation.
"""


def _path() -> str | None:
    try:
        package: Any = importlib.import_module("scipy_openblas32")
    except ImportError:
        return None
    return os.path.join(package.get_lib_dir(), package.get_library(fullname=True))


def _symbol(handle: Any, name: str) -> Any:
    return _libc().dlsym(handle, f"{_PREFIX}{name}".encode())


def _libc() -> Any:
    return ffi.dlopen(None)


def load() -> bool:
    """Load the library, once per process; returns whether there is one."""
    with _lock:
        if not _state["tried"]:
            _state["tried"] = True
            _state["library"] = _opened()
        return _state["library"] is not None


def _opened() -> Any:
    path = _path()
    if path is None:
        return None
    with default_environment(OPENBLAS_THREAD_TIMEOUT=_TIMEOUT):
        handle = _libc().dlopen(path.encode(), ffi.RTLD_NOW | ffi.RTLD_LOCAL)
    if not handle:
        return None
    library = runtime()
    for k, name in enumerate(_names()):
        library.symc_lapack_set(k, _symbol(handle, name))
    setter = _symbol(handle, "openblas_set_num_threads")
    library.symc_lapack_threads(ffi.cast("void (*)(int)", setter))
    return handle


def _names() -> list[str]:
    """The names of the routines, in the order in which the run-time library numbers them."""
    library = runtime()
    found: list[str] = []
    while (name := library.symc_lapack_name(len(found))) != ffi.NULL:
        found.append(ffi.string(name).decode())
    return found


def unload() -> None:
    """Do without the library until ``load`` is called; for tests of what happens without it."""
    with _lock:
        for k, _ in enumerate(_names()):
            runtime().symc_lapack_set(k, ffi.NULL)
        _state.update(tried=False, library=None)


def available() -> bool:
    """Whether the package is installed."""
    return _path() is not None
