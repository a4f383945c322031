"""Moves by which random programs grow: each adds something made from node ``k``, or nothing where it does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from random_programs import BINARY, UNARY
from structure_programs import Fails, Frame, Scope, Unknown, strict

import symc
import symc.tensor as T
from symc.graph import Variable

__all__ = ["MOVES"]

THRESHOLD = 0.0123
"""Values are compared with it, not with zero, so that rounding seldom decides."""


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(x - x.max(axis=axis, keepdims=True, initial=-1e9))
    return powers / powers.sum(axis=axis, keepdims=True)


def unary(s: Scope, k: int) -> Any:
    name = s.choose(list(UNARY))
    return s.add(*UNARY[name], [k], name)


def binary(s: Scope, k: int) -> Any:
    other = s.pick(lambda j: s.kind(j) == "f" and s.broadcasts(k, j))
    if other is None:
        return None
    name = s.choose(list(BINARY))
    make, step = BINARY[name]
    args = [k, other] if s.chance(0.5) else [other, k]
    return s.add(make, strict(step, [s.stretches(a) for a in args]), args, name)


def _axes(s: Scope, ndim: int) -> tuple[int, ...]:
    count = int(s.random.integers(1, ndim + 1))
    found = sorted(int(a) for a in s.random.choice(ndim, count, replace=False))
    return tuple(a - ndim for a in found) if s.chance(0.3) else tuple(found)


def reduction(s: Scope, k: int) -> Any:
    x = s.value(k)
    if not x.ndim:
        return None
    name, axes, keep = s.choose(("sum", "mean", "max", "min", "prod", "var")), _axes(s, x.ndim), s.chance(0.4)
    if name in ("max", "min"):
        return _extreme(s, k, name, axes, keep)
    inner, numpy_inner = (T.tanh, np.tanh) if name == "prod" else (lambda v: v, lambda v: v)
    return s.add(
        lambda v: getattr(inner(v), name)(axis=axes, keepdims=keep),
        lambda v: getattr(np, name)(numpy_inner(v), axis=axes, keepdims=keep),
        [k],
        f"{name} over {axes}{' kept' if keep else ''}",
    )


def _extreme(s: Scope, k: int, name: str, axes: tuple[int, ...], keep: bool) -> Any:
    def step(frame: Frame) -> Any:
        v = frame.value(k)
        found = getattr(np, name)(v, axis=axes, keepdims=True)
        if ((v == found).sum(axis=axes) > 1).any():
            frame.run.ties = True
        return found if keep else found.squeeze(axes)

    make = lambda v: getattr(v, name)(axis=axes, keepdims=keep)  # noqa: E731
    return s.add(make, step, [k], f"{name} over {axes}{' kept' if keep else ''}", whole=step)


def permute(s: Scope, k: int) -> Any:
    ndim = s.value(k).ndim
    order: list[Any] = [int(a) for a in s.random.permutation(ndim)]
    if ndim < 4 and s.chance(0.4):
        at = int(s.random.integers(ndim + 1))
        pattern = [*order[:at], "x", *order[at:]]
        step = lambda v: np.expand_dims(v.transpose(order), at)  # noqa: E731
        return s.add(lambda v: v.dimshuffle(*pattern), step, [k], f"dimshuffle {pattern}")
    return s.add(lambda v: v.dimshuffle(*order), lambda v: v.transpose(order), [k], f"dimshuffle {order}")


def normalise(s: Scope, k: int) -> Any:
    x = s.value(k)
    if x.ndim == 2 and x.size:
        if s.chance(0.5):
            return s.add(T.nnet.softmax, lambda v: softmax(v, 1), [k], "softmax")
        return s.add(lambda v: T.log(T.nnet.softmax(v)), lambda v: np.log(softmax(v, 1)), [k], "log softmax")
    return None


def reshape(s: Scope, k: int) -> Any:
    x, n = s.value(k), s.integer()
    if x.ndim == 2 and s.chance(0.4):
        return s.add(lambda v: v.reshape((v.shape[1], v.shape[0])), lambda v: v.reshape(v.shape[::-1]), [k], "reshape")
    if n is not None and s.chance(0.5):
        last = s.chance(0.5)

        def step(v: np.ndarray, m: np.ndarray) -> np.ndarray:
            if m <= 0 or v.size == 0:
                raise Unknown("the length that -1 stands for")
            return v.reshape((int(m), -1) if last else (-1, int(m)))

        return s.add(
            lambda v, m: v.reshape((m, -1) if last else (-1, m), ndim=2),
            step,
            [k, n],
            "reshape to (n, -1)",
            varies=True,
        )
    return s.add(lambda v: v.flatten(), lambda v: v.ravel(), [k], "flatten")


def _bound(s: Scope, args: list[int]) -> tuple[Any, str]:
    """A bound of a slice: a number, or the place of a scalar among ``args``."""
    if s.chance(0.35):
        return None, ""
    n = s.integer() if s.chance(0.45) else None
    if n is None:
        value = int(s.random.integers(-3, 5))
        return value, str(value)
    args.append(n)
    return ("arg", len(args) - 1), f"{s.prefix}{n}"


def _items(s: Scope, shape: tuple[int, ...], args: list[int]) -> tuple[list[Any], str]:
    """Index items, numbers in which may be places of scalars among ``args``, and their text."""
    items: list[Any] = []
    texts = []
    for n in shape[: int(s.random.integers(1, len(shape) + 1))]:
        kind = int(s.random.integers(8))
        if kind < 2:
            items.append(slice(None))
            texts.append(":")
        elif kind < 5:
            (a, at), (b, bt) = _bound(s, args), _bound(s, args)
            step = s.choose([None, None, None, 2, -1, -2])
            items.append(slice(a, b, step))
            texts.append(f"{at}:{bt}:{step or ''}")
        elif kind < 6 and n:
            items.append(int(s.random.integers(-n, n)))
            texts.append(str(items[-1]))
        else:
            item, text = _bound(s, args)
            items.append(slice(None) if item is None else item)
            texts.append(text or ":")
    return items, ", ".join(texts)


def _filled(items: list[Any], values: tuple[Any, ...]) -> tuple[Any, ...]:
    def fill(item: Any) -> Any:
        if isinstance(item, tuple):
            value = values[item[1]]
            return int(value) if isinstance(value, np.ndarray | np.generic) else value
        return slice(fill(item.start), fill(item.stop), item.step) if isinstance(item, slice) else item

    return tuple(fill(i) for i in items)


def index(s: Scope, k: int) -> Any:
    x = s.value(k)
    if not x.ndim:
        return None
    args = [k]
    items, text = _items(s, x.shape, args)
    step = lambda *vs: vs[0][_filled(items, vs)]  # noqa: E731
    return s.add(step, step, args, f"[{text}] of ", varies=len(args) > 1)


def minibatch(s: Scope, k: int) -> Any:
    x, i = s.value(k), s.integer()
    if not x.ndim or i is None:
        return None
    size = int(s.random.integers(1, 4))
    return s.add(
        lambda v, j: v[j * size : (j + 1) * size],
        lambda v, j: v[int(j) * size : (int(j) + 1) * size],
        [k, i],
        f"minibatch of {size}",
        varies=True,
    )


def gather(s: Scope, k: int) -> Any:
    x = s.value(k)
    index = s.pick(lambda j: s.kind(j) == "i" and s.nodes[j].variable.ndim in (1, 2))
    if not x.ndim or index is None:
        return None
    wrapped = s.chance(0.6)  # otherwise an index may be out of range
    axis = int(s.random.integers(x.ndim))
    before = (slice(None),) * axis

    def make(v: Variable, j: Variable) -> Variable:
        return v[(*before, j % v.shape[axis] if wrapped else j)]

    def step(v: np.ndarray, j: np.ndarray) -> np.ndarray:
        if wrapped and not v.shape[axis]:
            raise Unknown("remainder of a division by zero")
        return v[(*before, j % v.shape[axis] if wrapped else j)]

    return s.add(make, step, [k, index], f"take on axis {axis}{' wrapped' if wrapped else ''}")


def write(s: Scope, k: int) -> Any:
    x = s.value(k)
    if not x.ndim:
        return None
    args = [k]
    items, text = _items(s, x.shape, args)
    try:
        current = x[_filled(items, tuple(s.value(a) for a in args))]
    except (IndexError, ValueError):
        return None
    value = (
        s.pick(lambda j: s.kind(j) == "f" and s.value(j).shape == current.shape) if len(args) == 1 else s.floats((0,))
    )
    if value is not None:
        args.append(value)
    replace = s.chance(0.5)
    function = T.set_subtensor if replace else T.inc_subtensor

    def step(*vs: np.ndarray) -> np.ndarray:
        out, items_now = vs[0].copy(), _filled(items, vs)
        y = vs[-1] if value is not None else 0.5
        out[items_now] = y if replace else out[items_now] + y
        return out

    return s.add(
        lambda *vs: function(vs[0][_filled(items, vs)], vs[-1] if value is not None else 0.5),
        step,
        args,
        f"{function.__name__} at [{text}] of ",
    )


def write_rows(s: Scope, k: int) -> Any:
    x = s.value(k)
    rows = s.pick(lambda j: s.kind(j) == "i" and s.nodes[j].variable.ndim == 1)
    number = s.floats((0,))
    if not x.ndim or rows is None or number is None:
        return None
    replace = s.chance(0.5)

    def step(v: np.ndarray, j: np.ndarray, y: np.ndarray) -> np.ndarray:
        out = v.copy()
        if replace:
            out[j] = y
        else:
            np.add.at(out, j, y)
        return out

    function = T.set_subtensor if replace else T.inc_subtensor
    return s.add(lambda v, j, y: function(v[j], y), step, [k, rows, number], f"{function.__name__} of rows")


def joined(s: Scope, k: int) -> Any:
    x = s.value(k)
    if not x.ndim:
        return None
    axis = int(s.random.integers(x.ndim))
    rest = list(np.delete(x.shape, axis))
    fits = lambda j: s.kind(j) == "f" and s.value(j).ndim == x.ndim  # noqa: E731
    other = s.pick(lambda j: fits(j) and list(np.delete(s.value(j).shape, axis)) == rest)
    if other is None:
        return None
    return s.add(
        lambda v, w: T.concatenate([v, w, v * 0.5], axis=axis),
        lambda v, w: np.concatenate([v, w, v * 0.5], axis),
        [k, other],
        f"joined along {axis}",
    )


def split(s: Scope, k: int) -> Any:
    n = s.integer()
    if n is None or not s.value(k).ndim:
        return None

    def step(v: np.ndarray, m: np.ndarray) -> np.ndarray:
        if not 0 <= m <= len(v):
            raise ValueError("lengths of a split")
        return v[int(m) :]

    return s.add(
        lambda v, m: T.split(v, [m, v.shape[0] - m], 2, axis=0)[1], step, [k, n], "second part of split", varies=True
    )


def product(s: Scope, k: int) -> Any:
    x = s.value(k)
    if x.ndim not in (1, 2):
        return None
    other = s.pick(lambda j: s.kind(j) == "f" and s.value(j).ndim in (1, 2) and s.value(j).shape[0] == x.shape[-1])
    if other is not None:
        return s.add(lambda v, w: T.dot(v, w) * 0.3, lambda v, w: v @ w * 0.3, [k, other], "0.3 dot")
    if x.ndim == 2:
        return s.add(lambda v: T.dot(v, v.T) * 0.3, lambda v: v @ v.T * 0.3, [k], "0.3 dot with own transpose")
    return None


def product_of_slice(s: Scope, k: int) -> Any:
    """A contiguous part of a tensor goes into a product."""
    x, n = s.value(k), s.integer()
    if x.ndim == 3 and n is not None:
        return s.add(
            lambda v, i: T.dot(v[i], v[i].T) * 0.3, lambda v, i: v[int(i)] @ v[int(i)].T * 0.3, [k, n], "0.3 dot of [n]"
        )
    w = s.pick(lambda j: s.kind(j) == "f" and s.value(j).ndim == 2)
    if x.ndim == 2 and n is not None and w is not None:
        return s.add(
            lambda v, u, i: T.dot(v[:, :i], u[:i]) * 0.3,
            lambda v, u, i: v[:, : int(i)] @ u[: int(i)] * 0.3,
            [k, w, n],
            "0.3 dot of [:, :n] and [:n]",
        )
    return None


def lengths(s: Scope, k: int) -> Any:
    """Whole numbers, and tensors whose lengths are such numbers."""
    x, n = s.value(k), s.integer()
    kind = int(s.random.integers(7))
    if kind == 0 and x.ndim:
        axis = int(s.random.integers(x.ndim))

        def length(frame: Frame) -> int:
            try:
                return frame.value(k).shape[axis]
            except Fails as error:
                if not error.late:
                    raise
                raise Unknown("only the length is read of what fails") from error

        return s.add(lambda v: v.shape[axis], lambda v: v.shape[axis], [k], f"length of axis {axis}", whole=length)
    if n is None:
        return None
    if kind == 1:
        return s.add(T.arange, lambda m: np.arange(m), [n], "arange", varies=True)
    if kind == 2:
        other = s.integer()
        return s.add(lambda m, o: abs(m - o) + 1, lambda m, o: abs(m - o) + 1, [n, other], "|n - m| + 1")
    if kind == 3 and x.ndim == 0:
        return s.add(
            lambda v, m: T.alloc(v, m, 2), lambda v, m: np.full((int(m), 2), v), [k, n], "alloc(n, 2)", varies=True
        )
    if kind == 4 and x.ndim == 1:
        stretch = s.stretches(k)

        def repeated(v: np.ndarray, m: np.ndarray) -> np.ndarray:
            if not stretch[0] and len(v) != m:
                raise ValueError("alloc of another length")
            return np.broadcast_to(v, (2, int(m))).copy()

        return s.add(lambda v, m: T.alloc(v, 2, m), repeated, [k, n], "alloc(2, n)", varies=True)
    if kind == 5 and x.ndim == 1:
        fit = strict(lambda a, b: a + b, [(False,), s.stretches(k)])
        zeros = lambda v, m: fit(np.zeros(int(m)), v)  # noqa: E731
        return s.add(lambda v, m: T.zeros((m,), s.dtype) + v, zeros, [k, n], "zeros(n) +", varies=True)
    if kind == 6 and x.ndim == 1:
        fit = strict(lambda a, b: a * b, [(False,), s.stretches(k)])
        return s.add(
            lambda v, m: T.arange(m) * v, lambda v, m: fit(np.arange(m), v), [k, n], "arange(n) *", varies=True
        )
    return None


def integers(s: Scope, k: int) -> Any:
    """Arithmetic on whole numbers, comparisons, and back to floats."""
    kind = int(s.random.integers(5))
    if kind == 0:
        return s.add(
            lambda v: T.cast(v > THRESHOLD, "int64"), lambda v: (v > THRESHOLD).astype("int64"), [k], "as int: > 0.0123"
        )
    j = s.pick(lambda j: s.kind(j) == "i")
    if j is None:
        return None
    if kind == 1:
        return s.add(lambda v: v * 2 - 1, lambda v: v * 2 - 1, [j], "2 n - 1")
    if kind == 2:
        return s.add(lambda v: T.cast(v, s.dtype) * 0.25, lambda v: v.astype(s.dtype) * 0.25, [j], "0.25 n")
    if kind == 3:
        return s.add(lambda v: v // 2 + v % 3, lambda v: v // 2 + v % 3, [j], "n // 2 + n % 3")
    return s.add(lambda v: T.cast(v.sum(), "int64"), lambda v: v.sum(), [j], "sum of ints")


def selected(s: Scope, k: int) -> Any:
    """What a condition on values selects."""
    x = s.value(k)
    kind = int(s.random.integers(5))
    if x.ndim == 0:
        return None
    if kind == 0:
        return s.add(lambda v: v[v > THRESHOLD], lambda v: v[v > THRESHOLD], [k], "x[x > t]", varies=True)
    if kind == 1:
        cut = lambda v: np.where(v > THRESHOLD, v, 0)  # noqa: E731
        return s.add(
            lambda v: T.nonzero_values(T.switch(v > THRESHOLD, v, 0)),
            lambda v: cut(v)[cut(v) != 0],
            [k],
            "nonzero_values",
            varies=True,
        )
    if kind == 2:
        step = lambda v: np.flatnonzero(v > THRESHOLD)  # noqa: E731
        return s.add(lambda v: T.flatnonzero(v > THRESHOLD), step, [k], "flatnonzero", varies=True)
    if kind == 3:
        mask = s.pick(lambda j: s.kind(j) == "f" and s.value(j).ndim == 1 and len(s.value(j)) == len(x))
        if mask is None:
            return None
        return s.add(lambda v, m: v[m > THRESHOLD], _masked, [k, mask], "x[m > t]", varies=True)
    return s.add(
        lambda v: T.set_subtensor(v[v > THRESHOLD], 0.5),
        lambda v: np.where(v > THRESHOLD, 0.5, v),
        [k],
        "x[x > t] = 0.5",
    )


def _masked(v: np.ndarray, m: np.ndarray) -> np.ndarray:
    if len(m) != len(v):  # NumPy takes an empty mask for anything; a rule of shapes, unlike other failures of indices
        raise ValueError("a mask of another length")
    return v[m > THRESHOLD]


def running_sum(s: Scope, k: int) -> Any:
    x = s.value(k)
    axis = None if s.chance(0.2) or not x.ndim else int(s.random.integers(x.ndim))
    return s.add(lambda v: T.cumsum(v, axis), lambda v: np.cumsum(v, axis), [k], f"cumsum {axis}")


def factorised(s: Scope, k: int) -> Any:
    x = s.value(k)
    if x.ndim != 2 or max(x.shape) > 8:
        return None

    def spd(v: Any, e: Any) -> Any:
        return v @ v.T + 2 * e if isinstance(v, np.ndarray) else T.dot(v, v.T) + 2 * e

    kind = int(s.random.integers(3))
    if kind == 0:
        return s.add(
            lambda v: T.cholesky(spd(v, T.eye(v.shape[0], dtype=s.dtype))),
            lambda v: np.linalg.cholesky(spd(v, np.eye(len(v)))),
            [k],
            "cholesky of x x' + 2",
        )
    if kind == 1:
        return s.add(
            lambda v: T.solve(spd(v, T.eye(v.shape[0], dtype=s.dtype)), v),
            lambda v: np.linalg.solve(spd(v, np.eye(len(v))), v),
            [k],
            "solve",
        )
    number = s.floats((0,))
    if number is None:
        return None

    def doubtful(v: np.ndarray, t: np.ndarray) -> np.ndarray:
        matrix = v @ v.T + t * np.eye(len(v))
        if len(v) and abs(np.linalg.eigvalsh(matrix)).min() < 1e-2:
            raise Unknown("a matrix close to singular")
        return np.linalg.cholesky(matrix)

    return s.add(
        lambda v, t: T.cholesky(T.dot(v, v.T) + t * T.eye(v.shape[0], dtype=s.dtype)), doubtful, [k, number],
        "cholesky of x x' + t",
    )  # fmt: skip


def python(s: Scope, k: int) -> Any:
    """A function of NumPy arrays in mid-program."""
    x = s.value(k)
    kind = int(s.random.integers(3))
    unknown = T.TensorType(s.dtype, [None] * x.ndim)
    if kind == 0:
        op = symc.as_op(
            [unknown], [unknown], infer_shape=lambda node, shapes: shapes, grad=lambda inputs, gs: [gs[0] * 0.5]
        )(_halved)
        return s.add(op, _halved, [k], "python: half")
    if kind == 1 and x.ndim == 1:
        return s.add(
            symc.as_op([unknown], [unknown], grad=_beyond_grad)(_beyond), _beyond, [k], "python: > t", varies=True
        )
    if kind == 2:
        op = symc.as_op([unknown], [unknown], infer_shape=lambda node, shapes: shapes, grad=lambda inputs, gs: [gs[0]])(
            _picky
        )
        return s.add(op, _picky, [k], "python: refuses sums below -2")
    return None


def _halved(v: np.ndarray) -> np.ndarray:
    return np.asarray(v * v.dtype.type(0.5))


def _beyond(v: np.ndarray) -> np.ndarray:
    return v[v > THRESHOLD]


def _beyond_grad(inputs: Any, gs: Any) -> Any:
    places = T.flatnonzero(inputs[0] > THRESHOLD)
    return [T.set_subtensor(T.zeros_like(inputs[0])[places], gs[0])]


def _picky(v: np.ndarray) -> np.ndarray:
    if v.sum() < -2:
        raise KeyError("a sum below -2")
    return v.copy()


def given(s: Scope, k: int) -> Any:
    """A new variable that the function replaces by node ``k``."""
    if s.depth or not s.givens and s.chance(0.5):
        return None
    old = s.nodes[k].variable
    fresh = T.tensor(dtype=old.dtype, shape=[1 if b else None for b in old.broadcastable])
    place = s.add(lambda v: fresh, lambda v: v, [k], "given")
    if place is not None:
        s.givens.append((fresh, k))
    return place


MOVES = {
    unary: 8, binary: 12, reduction: 10, permute: 5, normalise: 2, reshape: 4, index: 9, minibatch: 3, gather: 4,
    write: 6, write_rows: 2, joined: 4, split: 2, product: 5, product_of_slice: 3, lengths: 9, integers: 5, selected: 6,
    running_sum: 3, factorised: 2, python: 3,
}  # fmt: skip
