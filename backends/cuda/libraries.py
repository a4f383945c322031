"""Search for NVIDIA's libraries: the user's folders, wheels, the toolkit, conda, the system's loader, in this order.

Nothing is loaded at import, and nothing here needs a GPU.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from symc.config import config

__all__ = ["Found", "driver_major", "find", "nvcc", "preload", "sonames"]

_NEWEST = 13
_OLDEST = 12


class Found(NamedTuple):
    """A library, or the reason why it was not found: ``library`` is None exactly if ``reason`` is not empty.

    ``path`` is the file, or only the name if the system's loader found it.
    """

    library: ctypes.CDLL | None
    path: str
    reason: str


def preload(soname: str) -> None:
    """Load ``soname`` from the folders of ``symc.config.cuda_libraries``, so that other libraries link against it.

    If it is not there, nothing happens, and the system's loader finds it.
    """
    for folder in _chosen(config.cuda_libraries):
        path = os.path.join(folder, soname)
        if os.path.isfile(path):
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            return


def find(*names: str, beside: str = "") -> Found:
    """Load the first available library of ``names``, which are tried in this order in each folder.

    ``beside`` is a file pattern: matching files in the library's folder are loaded first, with global symbols. (NVRTC
    opens its built-in functions with the system's loader, which does not know the wheels' folders.)
    """
    return _find(config.cuda_libraries, names, beside)


def sonames(stem: str) -> tuple[str, ...]:
    """File names of ``stem`` in order of preference: the driver's own major version, then others.

    A driver runs code of older toolkits, but not of newer ones.
    """
    major = min(driver_major() or _NEWEST, _NEWEST)
    order = [*range(major, _OLDEST - 1, -1), *range(major + 1, _NEWEST + 1)]
    return tuple(f"{stem}.so.{version}" for version in order)


def driver_major() -> int:
    """The CUDA version that the driver supports, such as 13; 0 without a driver."""
    library = find("libcuda.so.1").library
    version = ctypes.c_int()
    if library is None or library.cuDriverGetVersion(ctypes.byref(version)):
        return 0
    return version.value // 1000


@lru_cache(maxsize=1)
def nvcc() -> str | None:
    """The toolkit's compiler, if it is on the path or in a usual folder of toolkits."""
    return shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin:/opt/cuda/bin")


@lru_cache(maxsize=64)
def _find(chosen: str, names: tuple[str, ...], beside: str) -> Found:
    refused = []
    for folder in _folders(chosen):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            try:
                return Found(_load(path, beside), path, "")
            except OSError as reason:
                refused.append(str(reason))
    for name in names:
        try:
            return Found(ctypes.CDLL(name), name, "")
        except OSError as reason:
            if "cannot open shared object" not in str(reason):
                refused.append(str(reason))
    detail = f" ({'; '.join(refused)})" if refused else ""
    return Found(None, "", f"{names[0]} was not found{detail}")


def _load(path: str, beside: str) -> ctypes.CDLL:
    if beside:
        for companion in sorted(Path(path).parent.glob(beside)):
            ctypes.CDLL(str(companion), mode=ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(path)


def _folders(chosen: str) -> Iterator[str]:
    yield from _chosen(chosen)
    yield from _wheels()
    yield from _toolkit()
    yield os.path.join(sys.prefix, "lib")  # conda's folder


def _chosen(folders: str) -> list[str]:
    return [os.path.abspath(folder) for folder in folders.split(os.pathsep) if folder]


def _wheels() -> Iterator[str]:
    """Folders such as ``nvidia/cu13/lib`` and ``nvidia/cudnn/lib`` on Python's path."""
    spec = importlib.util.find_spec("nvidia")
    for base in spec.submodule_search_locations or () if spec else ():
        for entry in sorted(Path(base).glob("*/lib"), reverse=True):
            yield str(entry)


def _toolkit() -> Iterator[str]:
    compiler = nvcc()
    if compiler is not None:
        root = Path(os.path.realpath(compiler)).parent.parent
        for part in ("lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"):
            yield str(root / part)
