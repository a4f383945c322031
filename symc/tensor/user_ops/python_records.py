"""Records of the ops that run Python code of users."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from symc.errors import NullGradError, located
from symc.graph import Apply, Variable
from symc.graph.op import HostCall, Op, record
from symc.graph.types import TensorType
from symc.tensor.basic import as_tensor
from symc.tensor.overrides import as_gradient
from symc.tensor.symbolic_dims import as_dim, shape_i

__all__ = ["PYTHON_OP", "PYTHON_RUN", "PYTHON_TAKE", "shapes_of"]


def _node(op: Op, inputs: Sequence[Variable]) -> Apply:
    """An application as the user's methods expect it."""
    return Apply(op["user"], inputs, [TensorType(d, s) for d, s in op["types"]], None)


def shapes_of(op: Op, inputs: Sequence[Variable]) -> list[tuple[Any, ...] | None]:
    """The lengths of the outputs from the user's ``infer_shape``; None for those that it does not know."""
    user, types = op["user"], op["types"]
    infer = getattr(user, "infer_shape", None)
    if infer is None:
        return [None] * len(types)
    found = infer(_node(op, inputs), [tuple(shape_i(v, k) for k in range(v.ndim)) for v in inputs])
    if len(found) != len(types):
        text = f"{user.name}: infer_shape gives {len(found)} shapes for {len(types)} outputs"
        raise ValueError(located(text, inputs))
    for k, (shape, (_, known)) in enumerate(zip(found, types)):
        if shape is not None and len(shape) != len(known):
            text = f"{user.name}: infer_shape gives {len(shape)} lengths for output {k} of {len(known)} axes"
            raise ValueError(located(text, inputs))
    return [None if shape is None else tuple(shape) for shape in found]


def _infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    types = []
    for (dtype, known), shape in zip(op["types"], shapes_of(op, inputs)):
        told = known if shape is None else [as_dim(_whole(n)) for n in shape]
        types.append(TensorType(dtype, [t if n is None else n for n, t in zip(known, told)]))
    return types


def _whole(n: Any) -> Any:
    return n if isinstance(n, (int, np.integer)) else as_tensor(n)


def _perform(op: Op, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Run the user's code and check the number of axes and the dtypes of its results."""
    user = op["user"]
    overwritten = {k for inputs in user.destroy_map.values() for k in inputs}
    given = [np.array(a) if k in overwritten else _read_only(a) for k, a in enumerate(arrays)]
    node = _node(op, [Variable(TensorType(a.dtype.name, a.shape)) for a in given])
    storage: list[list[Any]] = [[None] for _ in op["types"]]
    user.perform(node, given, storage)
    found = []
    for k, ((value,), (dtype, known)) in enumerate(zip(storage, op["types"])):
        if value is None:
            raise ValueError(f"perform put nothing into output_storage[{k}][0]")
        array = np.asarray(value)
        if array.ndim != len(known):
            raise ValueError(f"output {k} has {array.ndim} axes, make_node promised {len(known)}")
        if array.dtype != dtype and not np.can_cast(array.dtype, dtype, "same_kind"):
            raise TypeError(f"output {k} is {array.dtype}, make_node promised {dtype}")
        found.append(array.astype(dtype, copy=False))
    return tuple(found)


def _read_only(array: Any) -> np.ndarray:
    view = np.asarray(array).view()
    view.setflags(write=False)
    return view


def _connections(op: Op, inputs: Sequence[Variable]) -> Sequence[Sequence[bool]]:
    """Per input, whether each output depends on it."""
    pattern = getattr(op["user"], "connection_pattern", None)
    if pattern is None:
        return [[True] * len(op["types"])] * len(inputs)
    return pattern(_node(op, inputs))  # type: ignore[no-any-return]


def _grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    user = op["user"]
    connected = [any(row) for row in _connections(op, inputs)]
    if not any(connected):
        return [None] * len(inputs)
    if hasattr(user, "L_op"):
        found = user.L_op(list(inputs), list(outputs), list(gs))
    elif hasattr(user, "grad"):
        found = user.grad(list(inputs), list(gs))
    else:
        text = f"grad: {user.name} has no derivative"
        raise NullGradError(located(text, inputs, f"define {type(user).__name__}.grad(inputs, output_gradients)"))
    if found is None:
        raise TypeError(located(f"{user.name}: grad returned None, expected a list with a gradient per input", inputs))
    terms = list(found) if isinstance(found, (list, tuple)) else [found]
    if len(terms) != len(inputs):
        raise ValueError(located(f"{user.name}: grad gives {len(terms)} terms for {len(inputs)} inputs", inputs))
    return [as_gradient(g) if known else None for g, known in zip(terms, connected)]


def _push(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], points: Sequence[Any]) -> Any:
    user = op["user"]
    if not hasattr(user, "R_op"):
        return None
    found = user.R_op(list(inputs), list(points))
    if len(found) != len(outputs):
        raise ValueError(located(f"{user.name}: R_op gives {len(found)} terms for {len(outputs)} outputs", inputs))
    return [as_gradient(g) for g in found]


def _specialise(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Sequence[Variable]:
    return Op(_python_step, **op.attrs, shapes=tuple(t.shape for t in types)).all(*inputs)


def _lengths(op: Op) -> int:
    """The total number of axes of the op's results."""
    return builtins.sum(len(known) for _, known in op["types"])


def _take_infer(op: Op, inputs: Sequence[Variable]) -> list[TensorType]:
    lengths = iter(inputs[1:])
    types = []
    for dtype, known in op["types"]:
        told = [next(lengths) for _ in known]
        types.append(TensorType(dtype, [as_dim(v) if n is None else n for n, v in zip(known, told)]))
    return types


def _take_grad(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], gs: Sequence[Variable]) -> list[Any]:
    before = 1 + _lengths(op)
    return [None] * before + _grad(op, inputs[before:], outputs, gs)


def _take_push(op: Op, inputs: Sequence[Variable], outputs: Sequence[Variable], points: Sequence[Any]) -> Any:
    before = 1 + _lengths(op)
    return _push(op, inputs[before:], outputs, points[before:])


def _take_connections(op: Op, inputs: Sequence[Variable]) -> Sequence[Sequence[bool]]:
    before = 1 + _lengths(op)
    return [*[[False] * len(op["types"])] * before, *_connections(op, inputs[before:])]


def _native(node: Apply) -> Any:
    """The user's C code, if the op has any."""
    make = getattr(node.op["user"], "native", None)
    return None if make is None else make(node)


def _title(op: Op) -> str:
    return op["user"].name


PYTHON_OP = record(
    "python_op",
    declared_dtypes=True,
    infer=_infer,
    numpy=lambda op, *arrays: _perform(op, arrays),
    grad=_grad,
    connections=_connections,
    push=_push,
    specialise=_specialise,
    title=_title,
)


_python_step = record(
    "python_step",
    infer=lambda op, inputs: [TensorType(d, s) for (d, _), s in zip(op["types"], op["shapes"])],
    numpy=lambda op, *arrays: _perform(op, arrays),
    lower=HostCall(native=_native),
    declared_dtypes=True,
    title=_title,
)


_tickets = count(1)


_waiting = threading.local()


WAITING = 256
"""Results of this thread that were not taken yet; those left behind by failed calls are dropped first."""


def _run(op: Op, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Run the user's code and store its results under a ticket number; returns the ticket and the lengths."""
    found = _perform(op, arrays)
    results: dict[int, list[Any]] = _waiting.__dict__.setdefault("results", {})
    ticket = next(_tickets)
    results[ticket] = list(found)
    while len(results) > WAITING:
        results.pop(next(iter(results)))
    return tuple(np.asarray(n, "int64") for n in (ticket, *(n for a in found for n in a.shape)))


def _take(op: Op, ticket: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    results: dict[int, list[Any]] = _waiting.results
    return tuple(results.pop(int(ticket)))


PYTHON_RUN = record(
    "python_run",
    infer=lambda op, inputs: [TensorType("int64", ())] * (1 + _lengths(op)),
    numpy=_run,
    lower=HostCall(),
    declared_dtypes=True,
    unspecified=True,
    title=_title,
)


_python_taken = record(
    "python_taken",
    infer=lambda op, inputs: [TensorType(d, s) for (d, _), s in zip(op["types"], op["shapes"])],
    numpy=_take,
    lower=HostCall(),
    declared_dtypes=True,
    unspecified=True,
    title=_title,
)


def _take_specialise(op: Op, inputs: Sequence[Variable], types: Sequence[TensorType]) -> Sequence[Variable]:
    return Op(_python_taken, **op.attrs, shapes=tuple(t.shape for t in types)).all(*inputs)


PYTHON_TAKE = record(
    "python_take",
    declared_dtypes=True,
    infer=_take_infer,
    numpy=_take,
    grad=_take_grad,
    connections=_take_connections,
    push=_take_push,
    specialise=_take_specialise,
    title=_title,
)
