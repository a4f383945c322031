"""Errors of public functions for arguments that they did not expect.

A function that never looked at an argument fails somewhere inside, with an error that says nothing to its caller.
Such errors are explained after the fact: the message names the function, the argument, what was given, what is
expected, and the user's line. Calls that succeed are not checked. Errors that are raised on purpose pass through.
"""

from __future__ import annotations

import dis
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from numbers import Number
from types import FunctionType, TracebackType
from typing import Any, NamedTuple

import numpy as np

from symc.errors import ArgumentError, SymcError, is_own_file, located

__all__ = ["explain_faults", "explained"]

_RAISE = (dis.opmap["RAISE_VARARGS"], dis.opmap["RERAISE"])
_MISCALLED = re.compile(r"[\w.<>]+\(\) (missing|got|takes) ")
"""Python's message for arguments that do not fit a signature; it names the function."""
_SHOWN = 60
_PLAIN = (type(None), bool, Number, str, np.ndarray, np.generic, list, tuple, Mapping, slice, type)


def explain_faults(namespace: dict[str, Any]) -> None:
    """Explain unexpected errors of the functions and constructors in ``__all__`` of a module; called at its end.

    Parameters
    ----------
    namespace : dict
        The ``globals()`` of the module.
    """
    public = {id(namespace[name]): namespace[name] for name in namespace["__all__"]}
    own = [value for value in public.values() if getattr(value, "__module__", None) == namespace["__name__"]]
    for value in own:
        if isinstance(value, type) and isinstance(vars(value).get("__init__"), FunctionType):
            value.__init__ = _explaining(vars(value)["__init__"], value.__name__)  # type: ignore[misc]
    explaining = {id(value): _explaining(value, value.__name__) for value in own if isinstance(value, FunctionType)}
    namespace.update({name: explaining[id(value)] for name, value in namespace.items() if id(value) in explaining})


def _explaining(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
            if is_own_file(sys._getframe(1).f_code.co_filename):
                raise
            found = explained(error, name, function, args, kwargs)
            if found is error:
                raise
            raise found from error

    return call


def explained(
    error: Exception, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Exception:
    """Return the error of a call with an explanation, or the error itself if it was raised on purpose or elsewhere.

    The result is an ``ArgumentError`` and also of the kind of the error.
    """
    if isinstance(error, SymcError) or _MISCALLED.match(str(error)) or not _unexpected(error.__traceback__):
        return error
    given = _arguments(function, args, kwargs)
    wrong = [each for each in given if each.misfit == 2] or [each for each in given if each.misfit == 1]
    lines = [f"{name}: {each.name}={_short(each.value)}: expected {each.expected}" for each in wrong]
    if not wrong:
        lines = [f"{name}({', '.join(f'{each.name}={_short(each.value)}' for each in given)}) failed"]
    lines.append(f"  it failed with {type(error).__name__}: {error}")
    layers = [each.name for each in wrong if hasattr(type(each.value), "output_shape")]
    repair = f"give get_output({layers[0]}), the expression of the layer's output" if layers else None
    kind = type(error)
    if not issubclass(ArgumentError, kind):
        made = type("ArgumentError", (ArgumentError, kind), {"__module__": ArgumentError.__module__})
    else:
        made = ArgumentError
    result: Exception = made(located("\n".join(lines), repair=repair))
    return result


def _unexpected(traceback: TracebackType | None) -> bool:
    """Whether an error comes from an operation in symc's own code: neither a ``raise`` nor a function of the user."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return False
    code = traceback.tb_frame.f_code
    return is_own_file(code.co_filename) and code.co_code[traceback.tb_lasti] not in _RAISE


class _Argument(NamedTuple):
    name: str
    value: Any
    expected: str
    misfit: int
    """2: not of the annotated kind; 1: of a kind that is hardly meant; 0: nothing is known against it."""


def _arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[_Argument]:
    parameters = inspect.signature(function).parameters
    positional = [p.name for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    documented = _documented(function.__doc__)
    found = []
    for name, value in (*zip(positional, args), *kwargs.items()):
        parameter = parameters.get(name)
        if name == "self" or parameter is None:
            continue
        annotation = parameter.annotation
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
        expected = documented.get(name) or ("another value" if annotation is parameter.empty or text == "Any" else text)
        found.append(_Argument(name, value, expected, _misfit(value, text, parameter.default, expected)))
    return found


def _documented(text: str | None) -> dict[str, str]:
    """The kinds of parameters that a docstring in NumPy's format names."""
    found = {}
    for names, kind in re.findall(r"^ *(\*{0,2}\w+(?:, \w+)*) : (.+)$", text or "", re.MULTILINE):
        found.update(dict.fromkeys(names.split(", "), kind.split(", default")[0].removesuffix(", optional")))
    return found


def _misfit(value: Any, annotation: str, default: Any, expected: str) -> int:
    if value is default:
        return 0
    kinds = [each.split("[")[0].strip() for each in re.sub(r"\[[^\]]*\]+", "", annotation).split("|")]
    if all(kind in _FITS for kind in kinds):
        return 0 if any(_FITS[kind](value) for kind in kinds) else 2
    if value is None:
        return 0 if "None" in expected or "None" in kinds else 2
    if isinstance(value, np.ndarray) and value.dtype == object:
        return 2
    if isinstance(value, str):
        return 0 if isinstance(default, str) or re.search("str|'|\"|{", expected) else 1
    if isinstance(value, (list, tuple)):
        return int(any(isinstance(each, str) for each in value))
    return 0 if isinstance(value, _PLAIN) or callable(value) or hasattr(value, "ndim") else 1


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) or getattr(value, "ndim", None) == 0


def _is_number(value: Any) -> bool:
    return isinstance(value, Number) or getattr(value, "ndim", None) == 0


_FITS: dict[str, Callable[[Any], bool]] = {
    "None": lambda value: value is None,
    "bool": lambda value: isinstance(value, (bool, np.bool_, int, np.integer)),
    "int": _is_integer,
    "float": _is_number,
    "str": lambda value: isinstance(value, str),
    "Mapping": lambda value: isinstance(value, Mapping),
    "dict": lambda value: isinstance(value, Mapping),
    "Callable": callable,
    "Iterable": lambda value: isinstance(value, Iterable) and not isinstance(value, str),
    "Sequence": lambda value: isinstance(value, (list, tuple, np.ndarray)),
    "list": lambda value: isinstance(value, (list, tuple)),
    "tuple": lambda value: isinstance(value, (list, tuple)),
    "Variable": lambda value: hasattr(value, "ndim") or isinstance(value, (Number, list, tuple)),
}


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    plain = isinstance(value, (type(None), bool, int, float, str))
    return shown if plain else f"{shown} of type {type(value).__name__}"
