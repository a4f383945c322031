"""Installation of the old module names in this process."""

from __future__ import annotations

import sys
from typing import Any

from symc.compat import conventions, flags, python_names
from symc.compat.numpy_names import add_old_names, remove_old_names
from symc.compat.serving import LegacyFinder, LegacyModule, served

__all__ = ["install", "installed", "uninstall"]

_finder = LegacyFinder()
_before: dict[str, Any] = {}


def installed() -> bool:
    """Whether ``import theano`` and ``import lasagne`` are served from here."""
    return _finder in sys.meta_path


def install(settings: str = "") -> None:
    """Serve ``import theano``, ``import lasagne`` and their modules from ``symc`` and ``lasagne_like``.

    Parameters
    ----------
    settings : str
        Settings in the syntax of ``THEANO_FLAGS``, such as ``"floatX=float32"``. They take precedence over
        ``THEANO_FLAGS``, and these over ``~/.theanorc``.

    Raises
    ------
    RuntimeError
        If the real Theano or Lasagne is already imported.

    Notes
    -----
    Theano's defaults and conventions then hold in the whole process: floatX is float64 unless a setting or
    ``SYMC_FLAGS`` says otherwise, mixed dtypes are promoted by Theano's rule where the program itself combines them,
    and variables are true. Names that NumPy and Python have dropped since, such as ``numpy.float``, ``numpy.cast`` and
    ``collections.Mapping``, exist again.
    ``uninstall`` restores what was there before.
    """
    if not installed():
        foreign = [name for name in served() if not isinstance(sys.modules[name], LegacyModule)]
        if foreign:
            raise RuntimeError(
                f"symc.compat.install: {foreign[0]} is already imported; install before the first import of it"
            )
        sys.meta_path.insert(0, _finder)
        _before.update(flags.state())
        conventions.adopt()
        add_old_names()
        python_names.add_old_names()
    flags.apply(settings)


def uninstall() -> None:
    """Undo ``install``: remove the old modules and restore settings and conventions."""
    if not installed():
        return
    sys.meta_path.remove(_finder)
    for name in list(served()):
        del sys.modules[name]
    conventions.restore()
    remove_old_names()
    python_names.remove_old_names()
    flags.restore(_before)
    _before.clear()
