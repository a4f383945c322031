"""``check_op``: a user's op on every back end, against its NumPy meaning; its shapes, dtypes and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from symc.config import config
from symc.errors import DisconnectedInputError, GradientError, NullGradError, SymcError
from symc.gradient.gradient_check import verify_grad
from symc.gradient.reverse import grad
from symc.graph import Variable
from symc.graph.dtypes import is_float
from symc.graph.evaluate import evaluate
from symc.graph.types import TensorType
from symc.runtime.backend import available, load_backend
from symc.runtime.function import function
from symc.tensor.basic import as_tensor
from symc.tensor.broadcasting import sum
from symc.tensor.creation import arange

__all__ = ["check_op"]

Arrays = list[np.ndarray]
TOLERANCE = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-10}


def check_op(
    op: Callable[..., Any],
    cases: Sequence[Sequence[Any]],
    expect: Callable[..., Any] | None = None,
    devices: Sequence[str] | None = None,
    gradient: bool | None = None,
    second: bool | None = None,
    rtol: float | None = None,
) -> None:
    """Check an op, or any function from expressions to expressions, with the given inputs and variations of them.

    Every case is computed by every back end, with shapes known and not, and compared with the op's NumPy meaning
    (``perform``). So are variations: in the other float dtype, with arrays that are not contiguous, with empty axes,
    and with lengths that differ where they were equal; those that the NumPy meaning or ``make_node`` refuses are left
    out. The shapes that ``infer_shape`` tells and the dtypes must be those of the results, repeated calls must agree to
    the last bit, and arguments must not be modified. Gradients of first and second order are compared with central
    differences.

    Parameters
    ----------
    op : callable
        Maps variables to a variable or several.
    cases : sequence of sequences of array_like
        The inputs of each case. Give axes different lengths, so that mistaken ones are noticed.
    expect : callable, optional
        The expected results as a function of arrays, which the NumPy meaning is compared with.
    devices : sequence of str, optional
        Back ends; by default all that work on this machine.
    gradient : bool, optional
        Whether to check the gradient; by default it is if the op has one.
    second : bool, optional
        Whether to check the second derivatives; by default they are if the gradient has a gradient.
    rtol : float, optional
        Tolerance relative to the largest element of a result; by default 2e-5 in float32, 1e-10 in float64.

    Raises
    ------
    AssertionError
        With what differs, for which inputs, on which device.

    Examples
    --------
    >>> @symc.as_op(itypes=[1], otypes=[1], infer_shape=lambda node, shapes: shapes)
    ... def doubled(x):
    ...     return 2 * x
    >>> symc.testing.check_op(doubled, [[np.arange(3.0)]], expect=lambda x: x + x)
    """
    chosen = list(devices) if devices is not None else _usable()
    if not cases:
        raise ValueError("check_op: give at least one case, a sequence of inputs")
    for number, case in enumerate(cases):
        given = [np.asarray(a) for a in case]
        _check_case(op, given, f"case {number}", expect, chosen, rtol, required=True)
        for what, varied in _variations(given):
            _check_case(op, varied, f"case {number}, {what}", expect, chosen, rtol, required=False)
        if gradient is not False:
            _check_gradient(op, given, f"case {number}", gradient is True, second)


def _usable() -> list[str]:
    """The back ends that work on this machine."""
    found = []
    for name in available():
        try:
            if load_backend(name)[0] == name:
                found.append(name)
        except (SymcError, ImportError):
            pass
    return found


def _listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _variables(arrays: Arrays, known: bool) -> list[Variable]:
    shapes = [a.shape if known else tuple(1 if n == 1 else None for n in a.shape) for a in arrays]
    return [
        Variable(TensorType(a.dtype.name, s), None, 0, f"input {k}") for k, (a, s) in enumerate(zip(arrays, shapes))
    ]


def _variations(given: Arrays) -> Iterator[tuple[str, Arrays]]:
    """Other inputs that follow from those of a case, with their descriptions."""
    for dtype in ("float32", "float64"):
        if any(is_float(a.dtype.name) and a.dtype != dtype for a in given):
            yield dtype, [a.astype(dtype) if is_float(a.dtype.name) else a for a in given]
    for length in sorted({n for a in given for n in a.shape if n}):
        empty = [a[tuple(slice(0) if n == length else slice(None) for n in a.shape)] for a in given]
        yield f"with axes of length {length} empty", empty
    if any(len(set(a.shape)) < a.ndim for a in given):
        yield "with a shorter last axis", [a[..., :-1] if a.ndim > 1 else a for a in given]


def _reference(op: Callable[..., Any], arrays: Arrays) -> tuple[list[Variable], list[Variable], Arrays]:
    inputs = _variables(arrays, known=False)
    outputs = [as_tensor(v) for v in _listed(op(*inputs))]
    with np.errstate(all="ignore"):
        return inputs, outputs, evaluate(outputs, dict(zip(inputs, [a.copy() for a in arrays])))


def _check_case(
    op: Callable[..., Any],
    arrays: Arrays,
    what: str,
    expect: Callable[..., Any] | None,
    devices: Sequence[str],
    rtol: float | None,
    required: bool,
) -> None:
    try:
        inputs, outputs, want = _reference(op, arrays)
    except Exception:
        if required:
            raise
        return
    for k, (v, w) in enumerate(zip(outputs, want)):
        if w.dtype != v.dtype or w.ndim != v.ndim:
            raise AssertionError(f"{what}: output {k} is {w.dtype} with {w.ndim} axes, its type says {v.type}")
    if expect is not None:
        with np.errstate(all="ignore"):
            found = _listed(expect(*[a.copy() for a in arrays]))
        _compare(
            [np.asarray(f).astype(w.dtype) for f, w in zip(found, want, strict=True)], want, f"{what}: NumPy", rtol
        )
    for device in devices:
        for known in (False, True):
            if known:
                inputs = _variables(arrays, known=True)
                outputs = [as_tensor(v) for v in _listed(op(*inputs))]
            compiled = function(inputs, outputs, device=device, on_unused_input="ignore")
            _check_calls(
                compiled, arrays, want, f"{what}, device {device}, shapes {'' if known else 'not '}known", rtol
            )
        lengths = [n for v in outputs for n in (v.shape[k] for k in range(v.ndim))]
        told = function(inputs, lengths, device=device, on_unused_input="ignore")(*arrays)
        have = [n for w in want for n in w.shape]
        if [int(n) for n in told] != have:
            raise AssertionError(f"{what}, device {device}: the inferred lengths are {told}, the computed ones {have}")


def _check_calls(compiled: Callable[..., Any], arrays: Arrays, want: Arrays, what: str, rtol: float | None) -> None:
    given = [a.copy() for a in arrays]
    first = [np.asarray(r) for r in compiled(*given)]
    if not all(_same(a, b) for a, b in zip(given, arrays)):
        raise AssertionError(f"{what}: the op modifies its inputs")
    _compare(first, want, what, rtol)
    if not all(_same(np.asarray(a), b) for a, b in zip(compiled(*given), first)):
        raise AssertionError(f"{what}: two calls with the same inputs differ")
    _compare(compiled(*map(_strided, arrays)), want, f"{what}, inputs not contiguous", rtol)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _strided(a: np.ndarray) -> np.ndarray:
    """The same elements, two apart in memory and from last to first."""
    if not a.ndim:
        return a
    room = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    view = room[..., ::2][..., ::-1]
    view[...] = a
    return view


def _compare(have: Sequence[Any], want: Arrays, what: str, rtol: float | None) -> None:
    for k, (h, w) in enumerate(zip(have, want, strict=True)):
        h = np.asarray(h)
        if h.shape != w.shape or h.dtype != w.dtype:
            raise AssertionError(f"{what}: output {k} is {h.dtype}{h.shape}, expected {w.dtype}{w.shape}")
        if w.dtype.kind not in "fc":
            good = np.array_equal(h, w)
        else:
            finite = np.abs(w[np.isfinite(w)])
            close = (TOLERANCE.get(w.dtype.name, 1e-5) if rtol is None else rtol) * float(finite.max(initial=0))
            good = np.allclose(h, w, rtol=0, atol=close, equal_nan=True)
        if not good:
            raise AssertionError(f"{what}: output {k} differs\n  have {_shown(h)}\n  want {_shown(w)}")


def _shown(a: np.ndarray) -> str:
    return np.array2string(a, threshold=20, edgeitems=3).replace("\n", "\n       ")


def _check_gradient(op: Callable[..., Any], arrays: Arrays, what: str, required: bool, second: bool | None) -> None:
    floats = [k for k, a in enumerate(arrays) if is_float(a.dtype.name)]
    if not floats:
        if required:
            raise NullGradError("check_op: no input is a float")
        return
    for dtype in ("float64", "float32"):
        points = [arrays[k].astype(dtype) for k in floats]
        scalar = partial(_projected, op, arrays, floats)
        try:
            with config.change(floatX=dtype):
                _slopes(scalar, _variables(points, known=True))
            break
        except (NullGradError, DisconnectedInputError):
            if required:
                raise
            return
        except TypeError:  # the op does not take this dtype
            if dtype == "float32":
                raise
    with config.change(floatX=dtype):
        try:
            verify_grad(scalar, points)
        except GradientError as problem:
            raise AssertionError(f"{what}: first derivative: {problem}") from None
        if second is False:
            return
        slope = partial(_weighed_slopes, scalar)
        try:
            _slopes(slope, _variables(points, known=True))
        except (NullGradError, DisconnectedInputError):
            if second:
                raise
            return
        try:
            verify_grad(slope, points)
        except GradientError as problem:
            raise AssertionError(f"{what}: second derivative: {problem}") from None


def _projected(op: Callable[..., Any], arrays: Arrays, floats: Sequence[int], *variables: Variable) -> Variable:
    """A scalar that depends on every element of the float outputs, with different factors."""
    inputs: list[Any] = list(arrays)
    for k, v in zip(floats, variables):
        inputs[k] = v
    outputs = [as_tensor(v) for v in _listed(op(*map(as_tensor, inputs)))]
    total = None
    for number, v in enumerate(v for v in outputs if is_float(v.dtype)):
        term = sum(v * _factors(v, number))
        total = term if total is None else total + term
    if total is None:
        raise NullGradError("check_op: no output is a float")
    return total


def _factors(v: Variable, number: int) -> Any:
    """Different numbers for the elements of ``v``, of whatever shape it is."""
    found: Any = 1.0 + 0.25 * number
    for axis in range(v.ndim):
        steps = arange(v.shape[axis]).astype(v.dtype) * 0.37 + 1.0
        found = found * (steps % 1.6 + 0.4).dimshuffle(*["x"] * axis, 0, *["x"] * (v.ndim - axis - 1))
    return found


def _slopes(scalar: Callable[..., Variable], variables: Sequence[Variable]) -> list[Variable]:
    return list(grad(scalar(*variables), list(variables), disconnected_inputs="ignore"))


def _weighed_slopes(scalar: Callable[..., Variable], *variables: Variable) -> Variable:
    total: Any = None
    for number, g in enumerate(_slopes(scalar, variables)):
        term = sum(g * _factors(g, number))
        total = term if total is None else total + term
    return total
