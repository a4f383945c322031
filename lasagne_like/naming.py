"""Names that people bring from other libraries: what they are called here, in errors and as strings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from dis import opmap
from functools import wraps
from inspect import signature
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from .foreign_methods import METHODS
from .foreign_names import (
    ARGUMENTS,
    HOMES,
    LAYERS,
    LOSSES,
    NONLINEARITIES,
    OPTIMISERS,
    TABLES,
    TOP,
)

__all__ = [
    "canonical",
    "check_takes",
    "foreign_argument",
    "missing_method",
    "is_nonlinearity",
    "missing_name",
    "names_arguments",
    "names_constructor",
    "unknown_arguments",
    "unknown_name",
]


P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")


def _key(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def _same(name: str, known: Iterable[str]) -> str | None:
    """The known name that differs from `name` only in case, underscores or the suffix ``Layer``."""
    wanted = {_key(name), _key(name) + "layer", _key(name).removesuffix("layer")}
    return next((each for each in known if _key(each) in wanted), None)


def _public(module: str) -> list[str]:
    """The public names of a module of this package, if it is loaded."""
    loaded = sys.modules.get(f"lasagne_like.{module}")
    return list(getattr(loaded, "__all__", ()))


def canonical(name: str, known: Iterable[str], synonyms: Mapping[str, str]) -> str | None:
    """Return the known name that a string stands for, or None.

    Parameters
    ----------
    name : str
        A name, in any case and with or without underscores, or a synonym.
    known : iterable of str
        The names used here.
    synonyms : mapping of str to str
        One of the tables of this module.

    Returns
    -------
    str or None
    """
    known = list(known)
    if name in known:
        return name
    found = synonyms.get(_key(name))
    return found if found in known else _same(name, known)


def is_nonlinearity(name: str) -> bool:
    """Whether a string is the name of a nonlinearity, here or in other libraries."""
    return _key(name) in NONLINEARITIES or _same(name, _public("nonlinearities")) is not None


def unknown_name(what: str, name: str, known: Iterable[str], synonyms: Mapping[str, str]) -> ValueError:
    """Return the error for a string that :func:`canonical` does not know."""
    known = sorted(known)
    found = synonyms.get(_key(name)) or _same(name, known)
    near = get_close_matches(name, known, n=1)
    hint = f"; here it is {found}" if found else f"; perhaps you meant {near[0]!r}" if near else ""
    return ValueError(f"{what}={name!r} is unknown{hint}. Give a function, or one of the names {', '.join(known)}")


def _instead(module: str, name: str, known: Iterable[str]) -> str | None:
    """What to use instead of a name that a module lacks, or None."""
    short = module.partition(".")[2].split(".")[0] or module
    here = _same(name, known)
    if here:
        return f"{module}.{here}"
    own = next((table[_key(name)] for table in TABLES.get(short, ()) if _key(name) in table), None)
    if own:
        return _same(own, known) or own
    for home in HOMES:
        found = name if name in _public(home) else _same(name, _public(home))
        if found and home != short:
            return f"lasagne_like.{home}.{found}"
    tables = (LAYERS, NONLINEARITIES, LOSSES, OPTIMISERS, TOP)
    return next((table[_key(name)] for table in tables if _key(name) in table), None)


def _imports_from(frame: FrameType | None) -> bool:
    """Whether the frame is executing ``from module import name``."""
    return frame is not None and frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]


def missing_name(module: str, name: str, known: Iterable[str]) -> Exception:
    """Return the error for a name that a module lacks; for the ``__getattr__`` of modules.

    Parameters
    ----------
    module : str
        The name of the module.
    name : str
        The missing name.
    known : iterable of str
        The public names of the module.

    Returns
    -------
    AttributeError or ImportError
        An ImportError if the caller of the caller runs ``from module import name``, which would replace the message
        of an AttributeError.
    """
    known = list(known)
    text = f"module {module!r} has no attribute {name!r}"
    if not name.startswith("_"):
        instead = _instead(module, name, known)
        near = get_close_matches(name, known, n=1)
        if instead:
            text += f"; here it is {instead}"
        elif near:
            text += f"; perhaps you meant {near[0]}"
        if _imports_from(sys._getframe(2)):
            return ImportError(text.replace("has no attribute", "has no name"), name=module)
    return AttributeError(text, name=name)


def foreign_argument(callee: str, name: str, known: Iterable[str]) -> str | None:
    """Return what a keyword argument of other libraries is called by a callee with the `known` arguments, or None."""
    known = set(known)
    options = ARGUMENTS.get(f"{callee}.{_key(name)}") or ARGUMENTS.get(_key(name), ())
    for option in options:
        if option in known and option != name:
            return option
    sentences = [option for option in options if not option.isidentifier()]
    return sentences[0] if sentences else None


def unknown_arguments(callee: str, unknown: Iterable[str], known: Iterable[str]) -> TypeError:
    """Return the error for keyword arguments that a callee does not have.

    Parameters
    ----------
    callee : str
        The name of the class or function.
    unknown : iterable of str
        The arguments that it does not have.
    known : iterable of str
        Those that it has.

    Returns
    -------
    TypeError
    """
    known = sorted(known)
    parts = []
    for name in unknown:
        instead = foreign_argument(callee, name, known)
        near = get_close_matches(name, known, n=1)
        hint = f" (here it is {instead})" if instead else f" (perhaps you meant {near[0]})" if near else ""
        parts.append(f"{name!r}{hint}")
    return TypeError(f"{callee} got an unexpected keyword argument {', '.join(parts)}")


def names_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function or constructor so that an unknown keyword argument raises :func:`unknown_arguments`."""
    callee = function.__qualname__.removesuffix(".__init__")

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            name = f"{function.__qualname__}()"
            if str(error).startswith((f"{name} got an unexpected", f"{name} missing")):
                known = [name for name in signature(function).parameters if name != "self"]
                unknown = [name for name in kwargs if name not in known]
                if unknown:
                    # The class may inherit its constructor.
                    called = type(args[0]).__name__ if function.__name__ == "__init__" and args else callee
                    raise unknown_arguments(called, unknown, known) from None
            raise

    return call


def check_takes(what: str, function: Callable, *arguments: str, **options: Any) -> None:
    """Check that a function that was handed in can be called with so many arguments by position, and with options.

    Raises
    ------
    TypeError
        If it cannot. A callable without a signature, such as some of C, passes.
    """
    if not callable(function):
        raise TypeError(f"{what}: expected a function of {' and '.join(arguments)}, got {function!r}")
    try:
        taken = signature(function)
    except (TypeError, ValueError):
        return
    try:
        taken.bind(*arguments, **options)
    except TypeError:
        name = getattr(function, "__name__", type(function).__name__)
        call = f"{name}({', '.join([*arguments, *options])})"
        raise TypeError(
            f"{what}: {name}{taken} cannot be called as {call}: expected a function of {' and '.join(arguments)}"
        ) from None


def names_constructor(cls: type[C]) -> type[C]:
    """Decorate a class, such as a dataclass, so that its constructor does what :func:`names_arguments` describes."""
    setattr(cls, "__init__", names_arguments(cls.__init__))  # noqa: B010 - a method may not be assigned
    return cls


def missing_method(owner: object, name: str) -> AttributeError:
    """Return the error for an attribute that a layer or a network lacks; models of other libraries may have it."""
    instead = None if name.startswith("_") else METHODS.get(_key(name))
    hint = f"; here it is {instead}" if instead else ""
    return AttributeError(f"{type(owner).__name__} has no attribute {name!r}{hint}", name=name, obj=owner)
