"""Names of ``theano.gof.utils`` and its neighbours: small functions on lists, names and errors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from symc.config import config
from symc.errors import warn
from symc.graph import Variable
from symc.graph.test_values import get_test_value

__all__ = [
    "CachedConstantError", "InconsistencyError", "MethodNotDefined", "comm_guard", "debug_assert",
    "debug_error_message", "deprecated", "difference",
    "flatten", "from_return_values", "get_debug_values", "give_variables_names", "hash_from_file", "hash_from_ndarray",
    "hist", "memoize", "missing_test_message", "object2", "remove",
    "scratchpad", "to_return_values", "toposort", "undef", "uniq", "unique",
]  # fmt: skip


MethodNotDefined = AttributeError  # what Python itself raises
InconsistencyError = CachedConstantError = ValueError
object2 = object


class undef:  # noqa: N801 - Theano's name
    """Stands for a value that is not there."""


class scratchpad:  # noqa: N801 - Theano's name
    """A namespace for annotations."""

    def clear(self) -> None:
        """Remove all of them."""
        self.__dict__.clear()

    def info(self) -> None:
        """Print them."""
        print(self.__dict__)


def uniq(seq: Iterable[Any]) -> list[Any]:
    """The elements of ``seq``, each once, in their order."""
    found: list[Any] = []
    for x in seq:
        if x not in found:
            found.append(x)
    return found


def unique(x: Sequence[Any]) -> bool:
    """Whether no two elements are equal."""
    return len(set(x)) == len(x)


def difference(seq1: Iterable[Any], seq2: Iterable[Any]) -> list[Any]:
    """The elements of ``seq1`` that are not in ``seq2``."""
    other = list(seq2)
    return [x for x in seq1 if x not in other]


def remove(predicate: Callable[[Any], bool], coll: Iterable[Any]) -> list[Any]:
    """The elements for which ``predicate`` is false."""
    return [x for x in coll if not predicate(x)]


def flatten(a: Any) -> list[Any]:
    """The elements of nested lists, tuples and sets."""
    if isinstance(a, (tuple, list, set)):
        return [x for item in a for x in flatten(item)]
    return [a]


def hist(coll: Iterable[Any]) -> dict[Any, int]:
    """How often each element occurs."""
    counts: dict[Any, int] = {}
    for x in coll:
        counts[x] = counts.get(x, 0) + 1
    return counts


def memoize(f: Callable[..., Any]) -> Callable[..., Any]:
    """Remember the results of ``f`` by its arguments."""
    known: dict[Any, Any] = {}

    def remembered(*args: Any, **kwargs: Any) -> Any:
        key = (args, tuple(sorted(kwargs.items())))
        if key not in known:
            known[key] = f(*args, **kwargs)
        return known[key]

    return remembered


def deprecated(filename: str, msg: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator of functions that warn at their first call."""
    from symc.errors import warn

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        told: list[bool] = []

        def call(*args: Any, **kwargs: Any) -> Any:
            if not told:
                told.append(True)
                warn(f"{f.__name__} in {filename} is deprecated. {msg}")
            return f(*args, **kwargs)

        return call

    return decorate


def comm_guard(type1: Any, type2: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator of functions of two arguments, which are exchanged if that makes their types right."""

    def fits(kind: Any, value: Any) -> bool:
        return kind == "*" or isinstance(value, kind)

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        def call(a: Any, b: Any, *rest: Any, **kwargs: Any) -> Any:
            if fits(type1, a) and fits(type2, b):
                return f(a, b, *rest, **kwargs)
            if fits(type1, b) and fits(type2, a):
                return f(b, a, *rest, **kwargs)
            raise TypeError(f"{f.__name__}: expected {type1} and {type2}, got {type(a)} and {type(b)}")

        return call

    return decorate


def toposort(prereqs_d: Mapping[Any, Iterable[Any]]) -> list[Any]:
    """Order the keys so that those which ``prereqs_d`` lists for a key come before it; ValueError for a cycle."""
    from graphlib import CycleError, TopologicalSorter

    try:
        return list(TopologicalSorter(prereqs_d).static_order())
    except CycleError as problem:
        raise ValueError(f"toposort: the prerequisites form a cycle: {problem.args[1]}") from None


def to_return_values(values: Sequence[Any]) -> Any:
    """The only element, or the list."""
    return values[0] if len(values) == 1 else values


def from_return_values(values: Any) -> list[Any]:
    """A list of what a function returned."""
    return list(values) if isinstance(values, (list, tuple)) else [values]


def give_variables_names(variables: Iterable[Variable]) -> None:
    """Name variables, so that no two have the same name: those that have one keep it, with a number if needed."""
    many = list(variables)
    names = [v.name for v in many]
    taken = {name for name in names if name}
    used: set[str] = set()
    count = 0
    for v in many:
        base = v.name
        if base and base not in used:
            used.add(base)
            continue
        while True:
            count += 1
            fresh = f"{base}_{count}" if base else f"var_{count}"
            if fresh not in taken and fresh not in used:
                break
        v.name = fresh
        used.add(fresh)


def hash_from_file(file_path: str) -> str:
    """The digest of a file."""
    with open(file_path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def hash_from_ndarray(data: Any) -> str:
    """The digest of an array: its elements, shape, dtype and strides."""
    import numpy as np

    array = np.array(data, order="C")
    described = f"{array.shape}{array.dtype}{array.strides}"
    return (
        hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        + hashlib.sha256(described.encode()).hexdigest()
    )


def missing_test_message(msg: str) -> None:
    """Report a missing test value as the setting ``compute_test_value`` asks for: not at all, as a warning or error."""
    if config.compute_test_value == "raise":
        raise AttributeError(msg)
    if config.compute_test_value == "warn":
        warn(msg)


def get_debug_values(*args: Any) -> list[tuple[Any, ...]]:
    """A list of one tuple with the test values of all ``args``; empty without test values, so that loops do nothing."""
    if config.compute_test_value == "off":
        return []
    found = []
    for k, v in enumerate(args):
        try:
            found.append(get_test_value(v))
        except AttributeError:
            missing_test_message(f"get_debug_values: argument {k} ({v!r}) has no test value")
            return []
    return [tuple(found)]


def debug_error_message(msg: str) -> None:
    """Raise or warn of a mistake that test values have shown, as the setting ``compute_test_value`` asks for."""
    if config.compute_test_value in ("raise", "ignore"):
        raise ValueError(f"test values: {msg}")
    if config.compute_test_value == "warn":
        warn(f"test values: {msg}")


def debug_assert(condition: Any, msg: str | None = None) -> None:
    """``debug_error_message`` if a condition on test values does not hold."""
    if not condition:
        debug_error_message(msg or "debug_assert failed")
