"""Modules under old names, which find their contents when they are asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from symc.compat.modules import FUNCTIONS_LIKE_MODULES, IMPORTED, MODULES, TAKEN_WITH_STAR, is_legacy
from symc.compat.names import RENAMED, advice

__all__ = ["LegacyFinder", "LegacyModule", "MissingLegacyNameError", "dotted", "lookup", "offers", "place", "served"]


class MissingLegacyNameError(ImportError):
    """A module, or a name imported from a module, of Theano or Lasagne that is not served."""


def place(name: str) -> ModuleType | None:
    """Import a module in which old names are searched, or None if there is no such module yet."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name is not None and (name == problem.name or name.startswith(problem.name + ".")):
            return _attribute(name)
        raise


def _attribute(name: str) -> ModuleType | None:
    """A module that is an attribute under another name than its own, such as ``symc.tensor.nnet.bn``."""
    home, _, last = name.rpartition(".")
    found = getattr(place(home), last, None) if home else None
    return found if isinstance(found, ModuleType) else None


def dotted(name: str) -> Any:
    """The object with a dotted name, in a module or in a class; AttributeError if it does not exist."""
    head, _, rest = name.partition(".")
    found: Any = importlib.import_module(head)
    done = head
    for part in rest.split(".") if rest else ():
        done = f"{done}.{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            module = place(done) if isinstance(found, ModuleType) else None
            if module is None:
                raise
            found = module
    return found


def lookup(module: str, name: str) -> Any:
    """Find a name of an old module.

    Raises
    ------
    AttributeError
        If it is not served; the message says what to write instead.
    """
    full = f"{module}.{name}"
    if full in MODULES:
        found = _function_like_its_module(module, name)
        return importlib.import_module(full) if found is None else found
    new = RENAMED.get(full)
    if new is not None:
        try:
            return dotted(new[0])
        except (AttributeError, ImportError):
            pass  # not there yet: searched for, and reported, like any other
    for name_of_place in MODULES[module]:
        home = place(name_of_place)
        if home is None or not offers(home, name):
            continue
        try:
            return getattr(home, name)
        except AttributeError:
            continue
    if name in IMPORTED:
        return importlib.import_module(IMPORTED[name])
    raise AttributeError(missing(module, name))


def _function_like_its_module(module: str, name: str) -> Any:
    """The function that Theano calls like the module it comes from, as in ``theano.tensor.sort``; else None."""
    if f"{module}.{name}" not in FUNCTIONS_LIKE_MODULES:
        return None
    homes = (place(name_of_place) for name_of_place in MODULES[module])
    return next((vars(home)[name] for home in homes if home is not None and name in vars(home)), None)


def offers(home: ModuleType, name: str) -> bool:
    """Whether a module has the name for its users: what it merely imports is not served."""
    if name in getattr(home, "__all__", ()):
        return True
    found = vars(home).get(name)
    if isinstance(found, ModuleType):
        return False
    return found is None or not home.__name__.startswith("symc.compat.")


def missing(module: str, name: str) -> str:
    """The message about a name that is not served."""
    text = f"symc.compat: {module}.{name} is not available"
    said = advice(f"{module}.{name}")
    if said:
        return f"{text}: {said}"
    near = get_close_matches(name, names_of(module), 1)
    return f"{text}; did you mean {near[0]!r}?" if near else text


def names_of(module: str) -> list[str]:
    """The names that an old module offers."""
    below = module + "."
    found = {n[len(below) :] for n in (*MODULES, *RENAMED) if n.startswith(below)}
    found = {n for n in found if "." not in n and not n.startswith("_")}
    for name_of_place in MODULES[module]:
        home = place(name_of_place)
        found |= set(getattr(home, "__all__", ()))
    return sorted(found)


class LegacyModule(ModuleType):
    """A module under an old name. A name that the program assigns to it takes precedence over what is served."""

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            key = "theano.tensor" if self.__name__.startswith("theano.tensor") else self.__name__
            taken = TAKEN_WITH_STAR.get(key, ())
            return [n for n in (*names_of(self.__name__), *taken) if _exists(self, n)]
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        found = lookup(self.__name__, name)
        self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign a name; an import of a submodule does not replace the function that is called like it."""
        if isinstance(value, LegacyModule) and value.__name__ == f"{self.__name__}.{name}":
            value = _function_like_its_module(self.__name__, name) or value
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *names_of(self.__name__)})

    def __repr__(self) -> str:
        return f"<module {self.__name__!r} served by symc.compat>"


def _exists(module: ModuleType, name: str) -> bool:
    try:
        return getattr(module, name, module) is not module
    except ImportError:
        return False


class LegacyFinder(MetaPathFinder, Loader):
    """Finds the modules of ``MODULES``, before any that may be installed under their names."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """Describe an old module; other modules are not found here.

        Raises
        ------
        MissingLegacyNameError
            For one that is not served.
        """
        if not is_legacy(fullname):
            return None
        if fullname not in MODULES:
            raise MissingLegacyNameError(missing(*fullname.rpartition(".")[::2]), name=fullname)
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Create the module, still empty."""
        return LegacyModule(spec.name, f"The module {spec.name}, served by symc.compat.")

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: names are looked up when they are used."""


def served() -> Iterator[str]:
    """The names of old modules that are loaded."""
    return (name for name in list(sys.modules) if is_legacy(name))
