"""The extension module through which Python calls compiled functions.

`runtime/launcher.c` is compiled once per installation, for this interpreter and this NumPy, and kept in the cache
beside the kernels.  Where the headers of Python are missing there is no launcher and calls take the Python path.
"""

import importlib.machinery
import importlib.util
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

__all__ = ["FLAGS", "can_build", "load", "recipe"]

MODULE = "symc_launcher"
RUNTIME = Path(__file__).parent / "runtime"
FLAGS = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden")


def include_folders() -> tuple[str, ...]:
    """Where the headers of Python and NumPy are."""
    return sysconfig.get_path("include"), sysconfig.get_path("platinclude"), np.get_include()


def can_build() -> bool:
    """Whether the headers are there; distributions often ship Python without them (package ``python3-dev``)."""
    return any((Path(folder) / "Python.h").exists() for folder in include_folders())


def recipe() -> tuple[str, tuple[str, ...]]:
    """What has to be compiled, and how.

    Returns
    -------
    text : str
        The C source, its own headers written into it, so that a cache keyed by the text notices a change of either.
        The first line names the interpreter and the version of NumPy: there is one module for each.
    flags : tuple of str
        Arguments of the compiler, include folders among them.
    """
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    text = (RUNTIME / "launcher.c").read_text(encoding="utf-8")
    pool = (RUNTIME / "launcher_pool.h").read_text(encoding="utf-8")
    text = text.replace('#include "launcher_pool.h"\n', pool)
    return f"/* for {suffix} and NumPy {np.__version__} */\n{text}", FLAGS + tuple(
        f"-I{folder}" for folder in dict.fromkeys(include_folders())
    )


def load(build: Callable[[str, Sequence[str]], Path | str]) -> ModuleType | None:
    """The launcher module, with the type `Launcher` and the functions `set_pool_limit` and `pool_held`.

    Parameters
    ----------
    build : callable
        Turns C text and compiler flags into the path of a shared object, from the cache where it has it.

    Returns
    -------
    module or None
        None where the headers of Python are missing.

    Raises
    ------
    ImportError
        If the shared object is not one that this interpreter can load.
    """
    if not can_build():
        return None
    return load_file(str(build(*recipe())))


@cache
def load_file(path: str) -> ModuleType:
    """The module in a shared object; the same one every time, since it owns the pool of result memory."""
    loader = importlib.machinery.ExtensionFileLoader(MODULE, path)
    spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
