"""Construction of layers: the arguments that a constructor was given, and those that it does not know."""

import inspect
import operator
from abc import ABCMeta
from collections.abc import Iterable
from functools import cache
from numbers import Number
from typing import Any

from symc.errors import here

from ..errors import _WrongKind
from ..naming import unknown_arguments

__all__ = ["LayerType", "check_number", "constructor_parameters", "unknown_arguments_of"]


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class LayerType(ABCMeta):
    """Calls ``_finish`` when the constructor of a layer has returned, and records its arguments.

    Arguments that a constructor annotates as ``int`` or ``float`` are checked before.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        _check_kinds(cls, args, kwargs)
        try:
            layer = super().__call__(*args, **kwargs)
        except (TypeError, ValueError) as error:
            if str(error).startswith(f"{cls.__init__.__qualname__}() missing"):  # type: ignore[misc]
                # Python complains about missing arguments before it mentions those it does not know.
                unknown = set(kwargs) - _known_arguments(cls)
                if unknown:
                    raise unknown_arguments_of(cls, sorted(unknown, key=list(kwargs).index)) from None
                if args and not (hasattr(type(args[0]), "output_shape") or isinstance(args[0], tuple | list)):
                    hint = f"the first argument is the layer below, as in {cls.__name__}(network, ...)"
                    raise TypeError(f"{error}; {hint}") from None
            if cls.__name__ not in str(error):
                error.add_note(f"in the constructor of {cls.__name__}")
            raise
        layer.created_at = here()
        layer._finish()
        layer._given = _given_arguments(cls, vars(layer), args, kwargs)
        return layer


@cache
def constructor_parameters(cls: type) -> tuple[inspect.Parameter, ...]:
    """Return the parameters of the constructor of a layer class, without ``self``."""
    return tuple(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]


def _check_kinds(cls: type, args: tuple, kwargs: dict[str, Any]) -> None:
    """Raise an error for an argument that is no number though its constructor takes one.

    A layer there is a mistake in the order of arguments, about which the constructor says more.
    """
    own = [parameter.name for parameter in constructor_parameters(cls) if parameter.kind in _POSITIONAL]
    checked = _numbers(cls)
    for name, value in (*zip(own, args), *kwargs.items()):
        parameter = checked.get(name)
        if parameter is not None and value is not parameter.default and not isinstance(type(value), LayerType):
            check_number(cls, name, value, parameter.annotation in (int, "int"))


def check_number(cls: type, name: str, value: Any, whole: bool = False) -> None:
    """Raise an error if ``value`` is neither a number (``whole``: an integer) nor an expression or array."""
    if hasattr(value, "ndim"):
        return
    try:
        right = operator.index(value) is not None if whole else isinstance(value, Number)
    except TypeError:
        right = False
    if not right:
        expected = "an integer" if whole else "a number or a scalar expression"
        raise _WrongKind(f"{cls.__name__}: {name}={value!r}: expected {expected}")


@cache
def _numbers(cls: type) -> dict[str, inspect.Parameter]:
    """The parameters of the constructors of a class and of its bases that are annotated as numbers."""
    found: dict[str, inspect.Parameter] = {}
    for ancestor in reversed(cls.__mro__):
        if isinstance(ancestor, LayerType) and "__init__" in vars(ancestor):
            for parameter in constructor_parameters(ancestor):
                found.pop(parameter.name, None)
                if parameter.annotation in (int, float, "int", "float"):
                    found[parameter.name] = parameter
    return found


def _given_arguments(cls: type, attributes: dict[str, Any], args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments after the first one by name; None for those that are stored as attributes of this name.

    Model files describe a layer by its arguments. An attribute may be changed after the layer was created, and takes
    precedence.
    """
    names = [parameter.name for parameter in constructor_parameters(cls) if parameter.kind in _POSITIONAL]
    positional = dict(zip(names, args)) | {f"*{k}": value for k, value in enumerate(args[len(names) :])}
    given = positional | kwargs
    first = names[0] if names else None
    return {name: None if name in attributes else value for name, value in given.items() if name != first}


def unknown_arguments_of(layer_class: type, unknown: Iterable[str]) -> TypeError:
    """Build the error for arguments that the constructor of a layer class does not have."""
    return unknown_arguments(layer_class.__name__, unknown, _known_arguments(layer_class))


def _known_arguments(layer_class: type) -> set[str]:
    """The arguments of the constructors of a class and of its bases."""
    known: set[str] = set()
    for ancestor in layer_class.__mro__:
        if isinstance(ancestor, LayerType) and "__init__" in vars(ancestor):
            parameters = constructor_parameters(ancestor)
            known |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    return known
