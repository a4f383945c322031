"""Oracles of operators and methods of variables; most are the same expressions on NumPy arrays."""

from __future__ import annotations

import operator

import numpy as np

import symc.tensor as T

from . import Example, Table, draw, example, same, whole

X, Y = draw(3, 4), draw(3, 4, low=0.5, seed=1)
I, J = whole(3, 4, low=-9, high=9), whole(3, 4, low=1, high=5, seed=1)
V3 = draw(2, 3, 4)
SQUARE = draw(4, 4)

ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge")
BITS = ("and", "or", "xor", "lshift", "rshift")
WHOLE = (*BITS, "floordiv", "mod", "add", "sub", "mul")


def _operator(name: str):
    return getattr(operator, name + "_" if name in ("and", "or") else name)


def _examples(name: str) -> list[Example]:
    spelled = _operator(name)
    made = []
    if name in ARITHMETIC:
        base = np.abs(X) + 0.25 if name == "pow" else X
        made += [same(spelled, base, Y), example(lambda x: spelled(x, 1.5), lambda x: spelled(x, 1.5), base)]
    if name in WHOLE:
        made.append(same(spelled, I, J))
    if name == "matmul":
        made.append(same(spelled, X, SQUARE))
    return made


def _reflected(name: str) -> list[Example]:
    spelled = _operator(name)
    if name == "matmul":
        return [example(lambda x: spelled(X.tolist(), x), lambda x: spelled(X, x), SQUARE)]
    if name in BITS:
        return [example(lambda i: spelled(6, i), lambda i: spelled(6, i), I)]
    return [example(lambda x: spelled(2.5, x), lambda x: spelled(2.5, x), np.where(Y < 1, -Y, Y))]


BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", *BITS)

OPERATORS: Table = {
    **{f"__{name}__": _examples(name) for name in (*BINARY, "lt", "le", "gt", "ge")},
    **{f"__r{name}__": _reflected(name) for name in BINARY},
    "__divmod__": [example(lambda x, y: list(divmod(x, y)), lambda x, y: list(np.divmod(x, y)), X, Y)],
    "__pos__": [same(operator.pos, X)],
    "__neg__": [same(operator.neg, X)],
    "__abs__": [same(abs, X)],
    "__invert__": [same(operator.invert, I)],
    "__getitem__": [
        same(lambda x: x[1:, ::-2], X),
        same(lambda x: x[-1], X),
        same(lambda x: x[None, ..., 0], X),
        same(lambda x, i: x[i], X, whole(5, low=-3, high=3)),
        same(lambda x, i, j: x[i, j], X, whole(5, high=3), whole(5, high=4)),
        same(lambda x: x[:2, 1:3] * 2, X),
    ],
    "__array_ufunc__": [
        same(lambda x: np.exp(x), X),
        same(lambda x, y: np.arctan2(x, y), X, Y),
        same(lambda x: np.arange(4) - x, X),
    ],
    "__array_function__": [
        same(lambda x: np.mean(x, axis=0), X),
        same(lambda x, y: np.concatenate([x, y]), X, Y),
    ],
    "__iter__": [example(lambda x: list(T.as_tensor(np.eye(2)) * x[0, 0]), lambda x: list(np.eye(2) * x[0, 0]), X)],
    "__len__": [example(lambda x: x * len(T.as_tensor(np.eye(2))), lambda x: x * 2, X)],
}


def norm(order, axis=None):
    return lambda x: np.linalg.norm(x.ravel() if axis is None else x, order, axis)


REDUCING = ("sum", "prod", "mean", "var", "std", "max", "min", "argmax", "argmin", "any", "all")

METHODS: Table = {
    "T": [same(lambda x: x.T, V3)],
    "shape": [example(lambda x: x.shape, lambda x: np.array(x.shape), V3)],
    "size": [example(lambda x: x.size, lambda x: np.int64(x.size), V3)],
    "take": [same(lambda x, i: x.take(i, axis=1), X, whole(3, high=4))],
    "repeat": [same(lambda x: x.repeat(2, axis=1), X)],
    "dimshuffle": [example(lambda x: x.dimshuffle(1, "x", 0), lambda x: x.T[:, None], X)],
    "reshape": [same(lambda x: x.reshape((2, 6)), X), same(lambda x: x.reshape(6, -1), X)],
    "transpose": [same(lambda x: x.transpose(1, 2, 0), V3), same(lambda x: x.transpose(), V3)],
    "swapaxes": [same(lambda x: x.swapaxes(0, 2), V3)],
    "flatten": [same(lambda x: x.flatten(), V3), example(lambda x: x.flatten(2), lambda x: x.reshape(2, 12), V3)],
    "ravel": [same(lambda x: x.ravel(), V3)],
    "squeeze": [same(lambda x: x.squeeze(), draw(3, 1, 2))],
    **{
        name: [
            same(lambda x, name=name: getattr(x, name)(), X),
            same(lambda x, name=name: getattr(x, name)(axis=0), X),
            same(lambda x, name=name: getattr(x, name)(axis=1, keepdims=True), X),
        ]
        for name in REDUCING
    },
    "ptp": [example(lambda x: x.ptp(axis=1), lambda x: np.ptp(x, 1), X)],
    "norm": [
        *[example(lambda x, p=p: x.norm(p), norm(p), X) for p in (1, 2, 3, np.inf)],
        *[example(lambda x, p=p: x.norm(p, axis=1), norm(p, 1), X) for p in (1, 2, 2.5, np.inf)],
        example(lambda x: x.norm(0, axis=1), lambda x: np.count_nonzero(x, 1), np.where(X > 0, X, 0)),
    ],
    "dot": [same(lambda x, y: x.dot(y), X, SQUARE)],
    "cumsum": [same(lambda x: x.cumsum(), X), same(lambda x: x.cumsum(axis=1), X)],
    "cumprod": [same(lambda x: x.cumprod(), X), same(lambda x: x.cumprod(axis=0), X)],
    "sort": [example(lambda x: x.sort(), np.sort, X), example(lambda x: x.sort(axis=0), lambda x: np.sort(x, 0), X)],
    "argsort": [same(lambda x: x.argsort(), X), same(lambda x: x.argsort(axis=0), X)],
    "choose": [example(lambda i, x, y: i.choose([x, y]), lambda i, x, y: np.choose(i, [x, y]), I % 2, X, Y)],
    "searchsorted": [example(lambda x: x[0].sort().searchsorted(x), lambda x: np.sort(x[0]).searchsorted(x), X)],
    "compress": [same(lambda x: x.compress([True, False, True], axis=0), X)],
    "nonzero": [example(lambda i: list((i % 2).nonzero()), lambda i: list((i % 2).nonzero()), I)],
    "nonzero_values": [example(lambda i: (i % 3).nonzero_values(), lambda i: (i % 3)[(i % 3) != 0], I)],
    "trace": [same(lambda x: x.trace(), X), same(lambda x: x.trace(-1), X)],
    "diagonal": [same(lambda x: x.diagonal(1), X)],
    "astype": [same(lambda x: x.astype("int32"), X)],
    "clip": [same(lambda x: x.clip(-0.5, 1), X)],
    "round": [
        same(lambda x: x.round(), X * 3),
        example(
            lambda x: x.round("half_away_from_zero"), lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5), [0.5, -1.5, 2.5]
        ),
    ],
    "trunc": [example(lambda x: x.trunc(), np.trunc, X)],
    "ceil": [example(lambda x: x.ceil(), np.ceil, X)],
    "floor": [example(lambda x: x.floor(), np.floor, X)],
    "conj": [same(lambda x: x.conj(), X), same(lambda x: x.conj(), X + 1j * Y)],
    "conjugate": [same(lambda x: x.conjugate(), X + 1j * Y)],
    "real": [same(lambda x: x.real, X), same(lambda x: x.real, X + 1j * Y)],
    "imag": [same(lambda x: x.imag, X), same(lambda x: x.imag, X + 1j * Y)],
    "fill": [example(lambda x: x.fill(2), lambda x: np.full(x.shape, 2), X)],
    "copy": [same(lambda x: x.copy(), X)],
}

UNIT = draw(3, 4, low=0.05, high=0.95)
METHODS |= {
    name: [example(lambda x, name=name: getattr(x, name)(), getattr(np, name), UNIT + (name == "arccosh"))]
    for name in (
        "arccos arccosh arcsin arcsinh arctan arctanh ceil cos cosh deg2rad exp exp2 expm1 floor log log10 log1p log2 "
        "rad2deg sin sinh sqrt tan tanh trunc zeros_like ones_like"
    ).split()
    if name not in METHODS
}
for name in ("zeros_like", "ones_like"):
    METHODS[name] = [example(lambda x, name=name: getattr(x, name)(), getattr(np, name), X)]

TABLE: Table = {f"Variable.{name}": examples for name, examples in {**OPERATORS, **METHODS}.items()}
