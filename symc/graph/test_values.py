"""Values computed while expressions are built; see ``symc.config.compute_test_value``.

A variable's test value is the array in ``variable.tag.test_value``; constants and shared variables have their own. An
op whose operands all have test values is evaluated with NumPy as soon as it is applied, so that an error is raised by
the user's line that makes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import ShapeError, SymcError, describe, located, warn
from symc.graph.shared_variables import SharedVariable
from symc.graph.variables import Apply, Constant, Variable, convert_value

__all__ = ["MissingTestValueError", "building_inside", "compute", "enable", "get_test_value", "known_test_value"]


class MissingTestValueError(SymcError, AttributeError, ValueError):
    """A variable has no test value, where ``symc.config.compute_test_value`` asks for one."""


class _State(threading.local):
    inside = 0


_state = _State()
_enabled = False


def enable() -> None:
    """Begin to compute test values: the package is imported, what is built from now on is the user's."""
    global _enabled
    _enabled = True


@contextmanager
def building_inside() -> Iterator[None]:
    """Compute no test values in this block, in which the compiler builds graphs of its own."""
    _state.inside += 1
    try:
        yield
    finally:
        _state.inside -= 1


def get_test_value(v: Any) -> np.ndarray:
    """The test value of a variable, or the value of a constant or shared variable.

    Raises
    ------
    MissingTestValueError
        If it has none; it is an AttributeError and a ValueError.
    """
    found = known_test_value(v) if isinstance(v, Variable) else np.asarray(v)
    if found is None:
        repair = "set v.tag.test_value, and symc.config.compute_test_value before the expression is built"
        raise MissingTestValueError(located(f"{v!r} has no test value", [v], repair))
    return found


def known_test_value(v: Variable) -> np.ndarray | None:
    """The test value of a variable, or None if it has none."""
    if isinstance(v, Constant):
        return v.data
    found = getattr(v.__dict__.get("_tag"), "test_value", None)
    if found is None:
        return v.storage.array if isinstance(v, SharedVariable) else None
    if type(found) is np.ndarray and found.dtype == v.type.dtype and found.ndim == v.ndim and v.owner is not None:
        return found
    return convert_value(found, v.type, f"the test value of {v!r}")


def compute(node: Apply, evaluate: Callable[[Sequence[np.ndarray]], tuple[Any, ...]], aligned: bool) -> None:
    """Compute the test values of a node's outputs, if its inputs have any.

    ``aligned``: the operands must have one shape.
    """
    if not _enabled or _state.inside:
        return
    values = []
    for v in node.inputs:
        found = known_test_value(v)
        if found is None:
            _missing(node, v)
            return
        values.append(found)
    if aligned and len({a.shape for a in values}) > 1:
        raise ShapeError(_message(node, values, "the shapes of its operands do not go together"))
    try:
        with np.errstate(all="ignore"):
            results = evaluate(values)
    except Exception as problem:
        raise _told(problem, _message(node, values, str(problem))) from problem
    for v, result in zip(node.outputs, results):
        v.tag.test_value = np.asarray(result)


def _missing(node: Apply, v: Variable) -> None:
    """Report an input without test value, unless it is not the user's, or the user wants no reports."""
    policy = config.compute_test_value
    if policy == "ignore" or v.owner is not None or v.location is None:
        return
    text = f"{node.op.name}: an operand has no test value"
    repair = "set its .tag.test_value, or symc.config.compute_test_value = 'ignore'"
    message = located(text, [v], repair, node.outputs[0].location)
    if policy == "raise":
        raise MissingTestValueError(message)
    warn(message)


def _message(node: Apply, values: Sequence[np.ndarray], problem: str) -> str:
    lines = [f"{node.op.name}: with the test values: {problem}"]
    for k, (v, a) in enumerate(zip(node.inputs, values)):
        lines.append(f"  operand {k}: {describe(v)}; its test value has shape {a.shape}")
    location = node.outputs[0].location
    return "\n".join([*lines, f"  at {location}"] if location is not None else lines)


def _told(problem: Exception, text: str) -> Exception:
    """An exception of the same type with the message ``text``."""
    try:
        made = type(problem)(text)
        if text in str(made):
            return made
    except Exception:  # noqa: S110 (any constructor may raise)
        pass
    problem.add_note(text)
    return problem
