"""Modes that look at every value: ``MonitorMode`` and ``NanGuardMode``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from symc.errors import SymcError, describe, forward_line
from symc.graph import Apply, Variable
from symc.runtime.mode import Mode, register_mode
from symc.runtime.stepwise import Visit, host_arrays, run_stepwise

__all__ = ["MonitorMode", "NanGuardError", "NanGuardMode", "detect_nan"]


class _Watching(Mode):
    """A mode whose functions are computed op by op with NumPy, after the rewrites."""

    runs_whole = False

    def visitor(self) -> Visit:
        """What is called before and after every op of a call."""
        raise NotImplementedError("a subclass must define visitor()")

    def run(self, specialisation: Any, arrays: list[Any]) -> list[Any] | None:
        return run_stepwise(specialisation, arrays, self.visitor())


class MonitorMode(_Watching):
    """Call functions before and after every op that a function computes.

    The function is rewritten as usual, and then computed op by op with NumPy: it is slow.

    Parameters
    ----------
    pre_func, post_func : callable, optional
        ``pre_func(i, node, fn)`` is called before the ``i``-th op, ``post_func(i, node, fn)`` after it. ``node`` is the
        application, ``fn.inputs`` and ``fn.outputs`` are lists with one list per array, whose only entry is the array.
    optimizer, linker
        As in :class:`symc.Mode`.

    Examples
    --------
    >>> def show(i, node, fn):
    ...     print(i, node, [output[0] for output in fn.outputs])
    >>> x = T.dscalar("x")
    >>> f = symc.function([x], [5 * x], mode=symc.MonitorMode(post_func=show))
    """

    def __init__(
        self,
        pre_func: Callable[..., Any] | None = None,
        post_func: Callable[..., Any] | None = None,
        optimizer: Any = "default",
        linker: str | None = None,
    ) -> None:
        super().__init__(linker, optimizer)
        self.pre_func = pre_func
        self.post_func = post_func

    def clone(self, **changes: Any) -> Mode:
        return super().clone(**{"pre_func": self.pre_func, "post_func": self.post_func, **changes})

    def visitor(self) -> Visit:
        def visit(number: int, node: Apply, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray] | None) -> None:
            function = self.pre_func if outputs is None else self.post_func
            if function is not None:
                found = [None] * len(node.outputs) if outputs is None else outputs
                function(number, node, SimpleNamespace(inputs=[[a] for a in inputs], outputs=[[a] for a in found]))

        return visit


def detect_nan(i: int, node: Apply, fn: Any) -> None:
    """Print an op whose result contains a NaN, and its operands: a ``post_func`` of :class:`MonitorMode`."""
    for (output,) in fn.outputs:
        if output.dtype.kind in "fc" and np.isnan(output).any():
            print("*** NaN detected ***")
            print(node, "at", node.outputs[0].location)
            print("Inputs :", [a[0] for a in fn.inputs])
            print("Outputs:", [a[0] for a in fn.outputs])
            break


class NanGuardError(SymcError, AssertionError):
    """A value was NaN, infinite, or too large, in a function compiled with ``NanGuardMode``.

    Attributes
    ----------
    op : str
        The op that computed it from values in order; empty for an argument or a shared variable.
    variable : Variable or None
        Its result.
    """

    op: str = ""
    variable: Variable | None = None


class NanGuardMode(_Watching):
    """Raise an error as soon as a function computes a value that is NaN, infinite, or too large.

    The error names the op, its operands and the user's line; in a gradient, also the line of the op whose gradient it
    is. Shared variables keep their values. Arguments and shared variables are checked, too. The function is rewritten
    as usual, and then computed op by op with NumPy: it is slow.

    Parameters
    ----------
    nan_is_error, inf_is_error, big_is_error : bool or None
        What to raise an error for; None means True. Too large is what exceeds ``big`` in absolute value.
    optimizer, linker
        As in :class:`symc.Mode`.
    big : float

    Examples
    --------
    >>> x = T.vector("x")
    >>> f = symc.function([x], T.log(x) * 0, mode=symc.NanGuardMode())
    """

    def __init__(
        self,
        nan_is_error: bool | None = None,
        inf_is_error: bool | None = None,
        big_is_error: bool | None = None,
        optimizer: Any = "default",
        linker: str | None = None,
        big: float = 1e10,
    ) -> None:
        super().__init__(linker, optimizer)
        self.nan_is_error = nan_is_error is not False
        self.inf_is_error = inf_is_error is not False
        self.big_is_error = big_is_error is not False
        self.big = big

    def clone(self, **changes: Any) -> Mode:
        facts = {name: getattr(self, name) for name in ("nan_is_error", "inf_is_error", "big_is_error", "big")}
        return super().clone(**{**facts, **changes})

    def problem(self, a: np.ndarray) -> str:
        """What is wrong with an array, or an empty string."""
        if a.dtype.kind not in "fc" or not a.size:
            return ""
        nan, infinite = np.isnan(a), np.isinf(a)
        if self.nan_is_error and nan.any():
            return f"NaN ({int(nan.sum())} of {a.size} elements)"
        if self.inf_is_error and infinite.any():
            return f"infinity ({int(infinite.sum())} of {a.size} elements)"
        sizes = np.abs(a[~(nan | infinite)])
        if self.big_is_error and sizes.max(initial=0) > self.big:
            return f"a value as large as {sizes.max():.3g} (above {self.big:g})"
        return ""

    def run(self, specialisation: Any, arrays: list[Any]) -> list[Any] | None:
        named = list(zip(specialisation.owner.inputs, host_arrays(arrays)))
        for what, pairs in (("argument", named), ("value of the shared variable", _shared(specialisation))):
            for v, array in pairs:
                found = self.problem(array)
                if found:
                    text = f"{specialisation.owner.name}(): NanGuardMode: {found} in the {what} {v!r}"
                    raise _error(f"{text}\n  {describe(v)}", None)
        return super().run(specialisation, arrays)

    def visitor(self) -> Visit:
        def visit(number: int, node: Apply, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray] | None) -> None:
            for v, array in zip(node.outputs, outputs or ()):
                found = self.problem(array)
                if found:
                    raise _error(_message(found, v, node, inputs), v)

        return visit


def _shared(specialisation: Any) -> list[tuple[Variable, np.ndarray]]:
    return [(s, s.storage.array) for s in specialisation.own]


def _error(text: str, v: Variable | None) -> NanGuardError:
    made = NanGuardError(text)
    made.variable = v
    made.op = "" if v is None or v.owner is None else v.owner.op.name
    return made


def _message(found: str, v: Variable, node: Apply, inputs: Sequence[np.ndarray]) -> str:
    result = f" {v.name!r}" if v.name else ""
    lines = [f"NanGuardMode: {found} in the result{result} of {node.op.name}"]
    lines += [f"  operand {k}: {describe(u)}: {_summary(a)}" for k, (u, a) in enumerate(zip(node.inputs, inputs))]
    if v.location is not None:
        lines.append(f"  at {v.location}")
    forward = forward_line(v.location)
    if forward is not None:
        lines.append(f"  in the gradient of {forward}")
    return "\n".join(lines)


def _summary(a: np.ndarray) -> str:
    if a.size <= 4:
        return str(a.tolist())
    if a.dtype.kind not in "fc":
        return f"from {a.min()} to {a.max()}"
    good = a[np.isfinite(a)]
    span = f"finite values from {good.min():.4g} to {good.max():.4g}" if good.size else "no finite value"
    return f"{span}, {int(np.isnan(a).sum())} NaN, {int(np.isinf(a).sum())} infinite"


register_mode("NanGuardMode", NanGuardMode)
register_mode("MonitorMode", MonitorMode)
