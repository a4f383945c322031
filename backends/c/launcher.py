"""The extension module through which Python calls compiled functions.

``runtime/launcher/launcher.c`` is compiled once per installation, for this interpreter and this NumPy, and cached
beside the kernels. Without the headers of Python there is no launcher, and calls use the Python path.
"""

import importlib.machinery
import importlib.util
import re
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

__all__ = ["FLAGS", "can_build", "load", "recipe"]

MODULE = "symc_launcher"
RUNTIME = Path(__file__).parent / "runtime" / "launcher"
FLAGS = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden")


def include_folders() -> tuple[str, ...]:
    """The include folders of Python and NumPy."""
    return sysconfig.get_path("include"), sysconfig.get_path("platinclude"), np.get_include()


def can_build() -> bool:
    """Whether the headers exist; distributions often ship Python without them (package ``python3-dev``)."""
    return any((Path(folder) / "Python.h").exists() for folder in include_folders())


def recipe() -> tuple[str, tuple[str, ...]]:
    """The source of the launcher and its compiler flags.

    Returns
    -------
    text : str
        The C source with its own headers inlined, so that a cache keyed by the text detects changes of either. The
        first line names the interpreter and the version of NumPy: there is one module per combination.
    flags : tuple of str
        Arguments of the compiler, including include folders.
    """
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    own = {path.name: path.read_text(encoding="utf-8") for path in RUNTIME.glob("*.h")}
    text = (RUNTIME / "launcher.c").read_text(encoding="utf-8")
    text = re.sub(r'#include "(\w+\.h)"\n', lambda found: own[found[1]], text)
    return f"/* for {suffix} and NumPy {np.__version__} */\n{text}", FLAGS + tuple(
        f"-I{folder}" for folder in dict.fromkeys(include_folders())
    )


def load(build: Callable[[str, Sequence[str]], Path | str]) -> ModuleType | None:
    """Load the launcher module, with the type `Launcher` and the functions `empty`, `set_pool_limit` and `pool_held`.

    Parameters
    ----------
    build : callable
        Compiles C text with compiler flags, or finds it in the cache; returns the path of the shared object.

    Returns
    -------
    module or None
        None if the headers of Python are missing.

    Raises
    ------
    ImportError
        If this interpreter cannot load the shared object.
    """
    if not can_build():
        return None
    return load_file(str(build(*recipe())))


@cache
def load_file(path: str) -> ModuleType:
    """Load the module in a shared object; always the same module object, since it owns the pool of result memory."""
    loader = importlib.machinery.ExtensionFileLoader(MODULE, path)
    spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
