"""Random programs: a symbolic graph, and the same steps in NumPy.

A program grows from a few inputs and shared variables by random moves: elementwise functions, reductions over random
axes that are then spread again, permuted axes, slices, joins, products, writes into parts. Every move knows its NumPy
meaning, so the program can be replayed on other values, which is what compiled functions are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

import symc
import symc.tensor as T
from symc.graph import Variable

SIZES = (2, 3, 4, 5, 7)
LARGEST = 1e4


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


# All of moderate slope, so that values stay small and central differences mean something.
UNARY = {
    "tanh": (T.tanh, np.tanh),
    "sin": (T.sin, np.sin),
    "neg": (lambda x: -x, lambda x: -x),
    "square": (lambda x: x * x, lambda x: x * x),
    "affine": (lambda x: x * 0.3 + 0.2, lambda x: x * 0.3 + 0.2),
    "root": (lambda x: T.sqrt(x**2 + 1), lambda x: np.sqrt(x**2 + 1)),
    "exp": (lambda x: T.exp(T.tanh(x)), lambda x: np.exp(np.tanh(x))),
    "abs": (abs, np.abs),
    "relu": (lambda x: T.maximum(x, 0), lambda x: np.maximum(x, 0)),
    "inverse": (lambda x: 1 / (1.5 + T.sqr(x)), lambda x: 1 / (1.5 + x * x)),
    "switch": (lambda x: T.switch(T.gt(x, 0.1), x, -x * 0.5), lambda x: np.where(x > 0.1, x, -x * 0.5)),
    "softplus": (T.nnet.softplus, lambda x: np.log1p(np.exp(x))),
    "sigmoid": (T.nnet.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "log1p": (lambda x: T.log(1 + T.abs_(x)), lambda x: np.log(1 + np.abs(x))),
}
BINARY = {
    "add": (lambda x, y: x + y, lambda x, y: x + y),
    "sub": (lambda x, y: x - y, lambda x, y: x - y),
    "mul": (lambda x, y: x * T.tanh(y), lambda x, y: x * np.tanh(y)),
    "div": (lambda x, y: x / (1 + y**2), lambda x, y: x / (1 + y**2)),
    "maximum": (T.maximum, np.maximum),
    "minimum": (T.minimum, np.minimum),
    "choice": (lambda x, y: T.switch(T.lt(x, y), y, x * 2 - y), lambda x, y: np.where(x < y, y, x * 2 - y)),
}
REDUCTIONS = ("sum", "mean", "max", "min", "prod", "var", "std")
NORMALISERS = {
    "softmax": (T.nnet.softmax, lambda x: softmax(x, 1)),
    "log softmax": (lambda x: T.log(T.nnet.softmax(x)), lambda x: np.log(softmax(x, 1))),
    "log-sum-exp": (lambda x: T.log(T.sum(T.exp(-x), axis=0)), lambda x: np.log(np.exp(-x).sum(0))),
    "softmax of columns": (lambda x: T.nnet.softmax(x.T).T, lambda x: softmax(x, 0)),
}


class Program:
    """A growing list of variables, each with its NumPy step and its value on the starting values.

    Attributes
    ----------
    variables : list of Variable
    steps : list of (callable or None, tuple of int)
        None marks an input or a shared variable.
    values : list of ndarray
    inputs, shared : list of int
        Where they stand in ``variables``.
    log : list of str
        What a person needs to reproduce a failure.
    """

    def __init__(self, seed: int, dtype: str) -> None:
        self.random = np.random.default_rng(seed)
        self.dtype = dtype
        self.variables: list[Variable] = []
        self.steps: list[tuple[Callable[..., Any] | None, tuple[int, ...]]] = []
        self.values: list[np.ndarray] = []
        self.inputs: list[int] = []
        self.shared: list[int] = []
        self.log: list[str] = []

    def chance(self, p: float) -> bool:
        return bool(self.random.random() < p)

    def leaf(self, shape: tuple[int, ...], shared: bool) -> None:
        value = self.random.uniform(-1.5, 1.5, shape).astype(self.dtype)
        place, name = len(self.variables), f"v{len(self.variables)}"
        if shared:
            self.shared.append(place)
            variable: Variable = symc.shared(value, name=name)
        else:
            self.inputs.append(place)
            known = [n if n == 1 or self.chance(0.4) else None for n in shape]
            variable = T.tensor(dtype=self.dtype, shape=known, name=name)
        self._append(variable, None, (), value, "shared" if shared else "input")

    def _append(self, variable: Variable, step: Any, args: tuple[int, ...], value: np.ndarray, text: str) -> None:
        self.log.append(f"v{len(self.variables)} = {text}{args}: {variable.type}, {value.shape}")
        self.variables.append(variable)
        self.steps.append((step, args))
        self.values.append(value)

    def add(
        self, make: Callable[..., Variable], step: Callable[..., Any], args: Iterable[int], text: str
    ) -> int | None:
        """The place of a new variable, or None where its values would be large or undefined."""
        args = tuple(args)
        with np.errstate(all="ignore"):
            value = np.asarray(step(*[self.values[a] for a in args]))
        if value.size > 3000 or not np.all(np.isfinite(value)) or np.abs(value).max(initial=0) > LARGEST:
            return None
        self._append(make(*[self.variables[a] for a in args]), step, args, value, text)
        return len(self.variables) - 1

    def pick(self, fits: Callable[[int], bool] = lambda k: True) -> int | None:
        """A variable that fits, rather a late one than an early one."""
        found = [k for k in range(len(self.variables)) if fits(k)]
        if self.chance(0.6):
            found = found[-5:]
        return int(self.random.choice(found)) if found else None

    def broadcasts(self, a: int, b: int) -> bool:
        """Do two variables go together? Only axes known to have length 1 stretch."""
        pairs = zip(self.values[a].shape[::-1], self.values[b].shape[::-1])
        stretch = zip(self.variables[a].broadcastable[::-1], self.variables[b].broadcastable[::-1])
        return all(m == n or p or q for (m, n), (p, q) in zip(pairs, stretch))

    def axes(self, ndim: int) -> tuple[int, ...]:
        count = int(self.random.integers(1, ndim + 1))
        found = sorted(int(k) for k in self.random.choice(ndim, count, replace=False))
        return tuple(k - ndim for k in found) if self.chance(0.3) else tuple(found)

    def replay(self, leaves: Mapping[int, np.ndarray]) -> list[np.ndarray]:
        """The values of all variables for other values of inputs and shared variables."""
        values: list[np.ndarray] = []
        with np.errstate(all="ignore"):
            for k, (step, args) in enumerate(self.steps):
                values.append(np.asarray(leaves[k] if step is None else step(*[values[a] for a in args])))
        return values


# --- moves: each adds to the program something made from variable k, or nothing where that does not fit ---------------


def unary(p: Program, k: int) -> None:
    name = str(p.random.choice(list(UNARY)))
    p.add(*UNARY[name], [k], name)


def binary(p: Program, k: int) -> None:
    other = p.pick(lambda j: p.broadcasts(k, j))
    if other is not None:
        name = str(p.random.choice(list(BINARY)))
        p.add(*BINARY[name], [k, other], name)


def reduce(p: Program, k: int, keepdims: bool | None = None) -> int | None:
    x = p.values[k]
    name = str(p.random.choice(REDUCTIONS))
    axes = p.axes(x.ndim) if x.ndim else ()
    if not axes or x.size == 0 or (name == "std" and np.any(x.var(axis=axes) < 1e-3)):
        return None
    keep = p.chance(0.4) if keepdims is None else keepdims
    inner, numpy_inner = (T.tanh, np.tanh) if name == "prod" else (lambda v: v, lambda v: v)
    return p.add(
        lambda v: getattr(inner(v), name)(axis=axes, keepdims=keep),
        lambda v: getattr(np, name)(numpy_inner(v), axis=axes, keepdims=keep),
        [k],
        f"{name} over {axes}",
    )


def reduce_and_spread(p: Program, k: int) -> None:
    total = reduce(p, k, keepdims=True)
    if total is not None:
        name = str(p.random.choice(list(BINARY)))
        p.add(*BINARY[name], [k, total] if p.chance(0.5) else [total, k], name)


def standardise(p: Program, k: int) -> None:
    x = p.values[k]
    if x.ndim and x.size:
        axes = p.axes(x.ndim)
        p.add(
            lambda v: (v - v.mean(axes, keepdims=True)) / T.sqrt(v.var(axes, keepdims=True) + 0.1),
            lambda v: (v - v.mean(axes, keepdims=True)) / np.sqrt(v.var(axes, keepdims=True) + 0.1),
            [k],
            f"standardise over {axes}",
        )


def permute(p: Program, k: int) -> None:
    ndim = p.values[k].ndim
    order: list[Any] = [int(a) for a in p.random.permutation(ndim)]
    if ndim < 4 and p.chance(0.4):
        at = int(p.random.integers(ndim + 1))
        pattern = [*order[:at], "x", *order[at:]]
        p.add(lambda v: v.dimshuffle(*pattern), lambda v: np.expand_dims(v.transpose(order), at), [k], f"{pattern}")
    else:
        p.add(lambda v: v.dimshuffle(*order), lambda v: v.transpose(order), [k], f"permute {order}")


def _some_slice(p: Program, n: int) -> Any:
    kind = int(p.random.integers(6))
    if kind < 2 or n == 0:
        return slice(None)
    if kind == 2:
        return slice(None, None, int(p.random.choice([2, -1])))
    if kind == 3:
        return slice(int(p.random.integers(-n - 1, n + 1)), None, int(p.random.choice([1, 2, -1, -2])))
    if kind == 4:
        return slice(int(p.random.integers(n // 2 + 1)), int(p.random.integers(n // 2, n + 2)))
    return int(p.random.integers(-n, n))


def part(p: Program, k: int) -> None:
    items = tuple(_some_slice(p, n) for n in p.values[k].shape)
    p.add(lambda v: v[items], lambda v: v[items], [k], f"[{items}]")


def write(p: Program, k: int) -> None:
    items = tuple(_some_slice(p, n) for n in p.values[k].shape)
    shape = p.values[k][items].shape
    value = p.pick(lambda j: p.values[j].shape == shape)
    replace = p.chance(0.5)

    def step(x: np.ndarray, y: Any = 0.5) -> np.ndarray:
        out = x.copy()
        out[items] = y if replace else out[items] + y
        return out

    function = T.set_subtensor if replace else T.inc_subtensor
    args = [k] if value is None else [k, value]
    p.add(lambda v, y=0.5: function(v[items], y), step, args, f"{function.__name__} at {items}")


def gather(p: Program, k: int) -> None:
    x = p.values[k]
    if x.ndim == 0 or x.shape[0] == 0:
        return
    places = p.random.integers(-x.shape[0], x.shape[0], int(p.random.integers(1, 6)))

    def increased(v: np.ndarray) -> np.ndarray:
        out = v.copy()
        np.add.at(out, places, np.tanh(v[places]))
        return out

    if p.chance(0.5):
        p.add(lambda v: v[places], lambda v: v[places], [k], f"[{places}]")
    else:
        p.add(lambda v: T.inc_subtensor(v[places], T.tanh(v[places])), increased, [k], f"increased at {places}")


def join(p: Program, k: int) -> None:
    x = p.values[k]
    if x.ndim == 0:
        return
    axis = int(p.random.integers(x.ndim))
    shape = [*x.shape[:axis], *x.shape[axis + 1 :]]
    other = p.pick(lambda j: p.values[j].ndim == x.ndim and list(np.delete(p.values[j].shape, axis)) == shape)
    assert other is not None  # k itself fits
    p.add(
        lambda v, w: T.concatenate([v, w, v * 0.5], axis=axis),
        lambda v, w: np.concatenate([v, w, v * 0.5], axis),
        [k, other],
        f"joined along {axis}",
    )


def product(p: Program, k: int) -> None:
    x = p.values[k]
    if x.ndim not in (1, 2):
        return
    other = p.pick(lambda j: p.values[j].ndim in (1, 2) and p.values[j].shape[0] == x.shape[-1])
    if other is not None:
        p.add(lambda v, w: T.dot(v, w) * 0.3, lambda v, w: v @ w * 0.3, [k, other], "dot")
    elif x.ndim == 2:
        p.add(lambda v: T.dot(v, v.T) * 0.3, lambda v: v @ v.T * 0.3, [k], "dot with own transpose")


def reshape(p: Program, k: int) -> None:
    shape = p.values[k].shape
    if len(shape) == 2 and p.chance(0.5):
        p.add(lambda v: v.reshape((v.shape[1], v.shape[0])), lambda v: v.reshape(v.shape[::-1]), [k], "reshape")
    elif shape:
        p.add(lambda v: v.flatten(), lambda v: v.ravel(), [k], "flatten")


def normalise(p: Program, k: int) -> None:
    if p.values[k].ndim == 2 and p.values[k].size:
        name = str(p.random.choice(list(NORMALISERS)))
        p.add(*NORMALISERS[name], [k], name)


def numbers(p: Program, k: int) -> None:
    """Values that pass through bools and whole numbers."""
    other = p.pick(lambda j: p.broadcasts(k, j))
    x = p.values[k]
    if p.chance(0.5) and other is not None:
        # the distance keeps values that are equal but for rounding on one side
        p.add(
            lambda v, w: T.cast(v > w + 0.0123, p.dtype),
            lambda v, w: (v > w + 0.0123).astype(p.dtype),
            [k, other],
            "greater",
        )
    elif x.ndim and x.shape[-1]:
        step = lambda v: np.argmax(v, -1).astype(p.dtype)  # noqa: E731
        p.add(lambda v: T.cast(T.argmax(v, axis=-1), p.dtype), step, [k], "argmax")


MOVES: dict[Callable[[Program, int], Any], int] = {
    unary: 10, binary: 16, reduce: 12, reduce_and_spread: 14, standardise: 6, permute: 9, part: 7, write: 7, gather: 5,
    join: 6, product: 6, reshape: 5, normalise: 4, numbers: 4,
}  # fmt: skip


def random_program(seed: int, dtype: str = "float64") -> Program:
    """The program of this seed; equal seeds give equal programs."""
    p = Program(seed, dtype)
    sizes = p.random.choice(SIZES, 3, replace=False)
    for shared in [False] * int(p.random.integers(2, 4)) + [True] * int(p.random.integers(1, 4)):
        ndim = int(p.random.choice([0, 1, 2, 2, 2, 3]))
        p.leaf(tuple(1 if p.chance(0.12) and not shared else int(p.random.choice(sizes)) for _ in range(ndim)), shared)
    weights = np.array(list(MOVES.values()), float)
    for move in p.random.choice(
        np.array(list(MOVES), object), int(p.random.integers(4, 16)), p=weights / weights.sum()
    ):
        k = p.pick()
        assert k is not None
        move(p, k)
    return p
