"""Oracles of the elementwise functions."""

from __future__ import annotations

import numpy as np
from scipy import special

import symc.tensor as T

from . import Table, draw, example, whole

ANY = np.array([-3.5, -2.0, -1.5, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 1.5, 2.5, 9.0, np.inf, -np.inf, np.nan])
FINITE = ANY[np.isfinite(ANY)]
OPEN = np.array([-0.96875, -0.5, -0.125, 0.0, 0.25, 0.75, 0.96875])
POSITIVE = np.array([0.015625, 0.5, 1.0, 1.5, 3.0, 40.0])
X, Y = (np.ravel(v) for v in np.meshgrid([-3.0, -1.5, -0.25, 0.0, 1.0, 2.5], [-2.0, -1.0, 0.75, 1.0, 4.0]))
TIED = np.array([-1.0, 2.0, 2.0, 3.0, -0.5, np.inf]), np.array([2.0, 2.0, -1.0, 3.5, -0.5, np.inf])
I, J = whole(12, low=-9, high=9, dtype="int32"), whole(12, low=1, high=6, dtype="int32", seed=1)
B, C = np.array([True, True, False, False]), np.array([True, False, True, False])

UNARY = {
    "abs_": (np.abs, ANY), "arccos": (np.arccos, OPEN), "arccosh": (np.arccosh, POSITIVE + 1),
    "arcsin": (np.arcsin, OPEN), "arcsinh": (np.arcsinh, FINITE), "arctan": (np.arctan, ANY),
    "arctanh": (np.arctanh, OPEN), "ceil": (np.ceil, ANY), "cos": (np.cos, FINITE), "cosh": (np.cosh, FINITE),
    "deg2rad": (np.deg2rad, ANY), "erf": (special.erf, ANY), "erfc": (special.erfc, ANY), "exp": (np.exp, ANY),
    "erfcinv": (special.erfcinv, np.array([0.0, 1e-9, 0.25, 1.0, 1.75, 2.0, 2.5])), "erfcx": (special.erfcx, FINITE),
    "erfinv": (special.erfinv, np.array([-1.0, *OPEN, 1.0, 1.5])), "gamma": (special.gamma, OPEN + 3),
    "gammaln": (special.gammaln, FINITE), "psi": (special.psi, OPEN + 3),
    "tri_gamma": (lambda x: special.polygamma(1, x), OPEN + 3), "exp2": (np.exp2, ANY),
    "expm1": (np.expm1, ANY), "floor": (np.floor, ANY), "inv": (np.reciprocal, FINITE),
    "isinf": (np.isinf, ANY), "isnan": (np.isnan, ANY), "log": (np.log, ANY), "log10": (np.log10, ANY),
    "log1p": (np.log1p, ANY), "log2": (np.log2, ANY), "neg": (np.negative, ANY), "rad2deg": (np.rad2deg, ANY),
    "round_half_to_even": (np.rint, ANY), "sgn": (np.sign, ANY), "sigmoid": (special.expit, ANY),
    "sin": (np.sin, FINITE), "sinh": (np.sinh, FINITE), "softplus": (lambda x: np.logaddexp(0, x), ANY),
    "sqr": (np.square, ANY), "sqrt": (np.sqrt, ANY), "tan": (np.tan, OPEN), "tanh": (np.tanh, ANY),
    "trunc": (np.trunc, ANY),
    "round_half_away_from_zero": (lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x), ANY),
}  # fmt: skip

BINARY = {
    "add": (np.add, X, Y), "sub": (np.subtract, X, Y), "mul": (np.multiply, X, Y), "true_div": (np.true_divide, X, Y),
    "floor_div": (np.floor_divide, X, Y), "mod": (np.mod, X, Y), "power": (np.power, np.abs(X) + 0.25, Y),
    "arctan2": (np.arctan2, X, Y), "maximum": (np.maximum, X, Y), "minimum": (np.minimum, X, Y),
    "lt": (np.less, *TIED), "le": (np.less_equal, *TIED), "gt": (np.greater, *TIED), "ge": (np.greater_equal, *TIED),
    "eq": (np.equal, *TIED), "neq": (np.not_equal, *TIED),
    "left_shift": (np.left_shift, B, C), "right_shift": (np.right_shift, B, C),
    "and_": (np.bitwise_and, B, C), "or_": (np.bitwise_or, B, C), "xor": (np.bitwise_xor, B, C),
}  # fmt: skip

MATRIX, ROW, COLUMN = draw(3, 4), draw(1, 4, seed=1), draw(3, 1, seed=2)


def _broadcast(name: str) -> list:
    function, oracle = getattr(T, name), BINARY[name][0]
    return [
        example(function, oracle, MATRIX, ROW),
        example(function, oracle, COLUMN, ROW),
        example(function, oracle, MATRIX, draw(4, seed=3)),
        example(lambda x, y: function(x, y[0]), lambda x, y: oracle(x, y[0]), MATRIX, draw(4, seed=3)),
    ]


INCOMPLETE = np.array([[0.01], [0.5], [1.0], [4.5], [9.0]]), np.array([0.0, 0.03125, 0.75, 3.0, 9.5, 30.0])

TABLE: Table = {
    **{name: [example(getattr(T, name), oracle, values)] for name, (oracle, values) in UNARY.items()},
    **{name: [example(getattr(T, name), oracle, x, y)] for name, (oracle, x, y) in BINARY.items()},
    "polygamma": [
        example(lambda x, n=n: T.polygamma(n, x), lambda x, n=n: special.polygamma(n, x), POSITIVE) for n in range(4)
    ],
    "gammainc": [example(T.gammainc, special.gammainc, *INCOMPLETE)],
    "gammaincc": [example(T.gammaincc, special.gammaincc, *INCOMPLETE)],
    "gammal": [example(T.gammal, lambda k, x: special.gammainc(k, x) * special.gamma(k), *INCOMPLETE)],
    "gammau": [example(T.gammau, lambda k, x: special.gammaincc(k, x) * special.gamma(k), *INCOMPLETE)],
    "chi2sf": [example(T.chi2sf, lambda x, k: special.chdtrc(k, x), INCOMPLETE[1], INCOMPLETE[0])],
    **{
        name: [example(getattr(T, name), getattr(special, name), np.linspace(-29, 29, 25))]
        for name in ("j0", "j1")
    },
    **{name: [example(getattr(T, name), getattr(special, name), np.linspace(-4, 4, 25))] for name in ("i0", "i1")},
    **{
        name: [
            example(getattr(T, name), getattr(special, name), [[0.0], [1.0], [-2.0], [2.5], [-1.5]], [0.5, 3.0, 8.0]),
            example(getattr(T, name), getattr(special, name), [[0.0], [1.0], [-3.0], [4.0]], [-0.5, -3.0, 2.0]),
        ]
        for name in ("jv", "iv")
    },
    "invert": [example(T.invert, np.invert, B), example(T.invert, np.invert, I)],
    "switch": [
        example(T.switch, np.where, X > 0, X, Y),
        example(lambda c, x: T.switch(c, x, 1.5), lambda c, x: np.where(c, x, 1.5), X > 0, X),
        example(T.switch, lambda c, x, y: np.where(c != 0, x, y), I % 3, draw(12), draw(12, seed=1)),
    ],
    "where": [
        example(T.where, np.where, MATRIX > 0, MATRIX, ROW),
        example(lambda c: list(T.where(c)), lambda c: list(np.where(c)), MATRIX > 0),
    ],
    "clip": [
        example(lambda x: T.clip(x, -1, 1.5), lambda x: np.clip(x, -1, 1.5), ANY),
        example(T.clip, np.clip, X, np.full_like(X, -0.5), np.abs(Y)),
    ],
    "cast": [
        example(lambda x: T.cast(x, "int32"), lambda x: x.astype("int32"), FINITE),
        example(lambda x: T.cast(x, "bool"), lambda x: x != 0, FINITE),
        example(lambda i: T.cast(i, "uint8"), lambda i: i.astype("uint8"), I),
        example(lambda i: T.cast(i, "floatX"), lambda i: i.astype("float64"), I),
    ],
    "iround": [
        example(T.iround, lambda x: np.rint(x).astype("int64"), FINITE),
        example(
            lambda x: T.iround(x, "half_away_from_zero"),
            lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x).astype("int64"),
            FINITE,
        ),
    ],
    "divmod": [example(T.divmod, lambda x, y: list(np.divmod(x, y)), X, Y), example(T.divmod, np.divmod, I, J)],
    "ceil_intdiv": [example(T.ceil_intdiv, lambda i, j: -((-i) // j), I, J)],
    "isclose": [
        example(T.isclose, np.isclose, ANY[None, :], (ANY + 1e-7)[:, None]),
        example(
            lambda x, y: T.isclose(x, y, 0.25, 0.5), lambda x, y: np.isclose(x, y, 0.25, 0.5), X, Y
        ),
        example(
            lambda x: T.isclose(x, x + 0, equal_nan=True), lambda x: np.isclose(x, x + 0, equal_nan=True), ANY
        ),
    ],
    "allclose": [
        example(lambda x: T.allclose(x, x + 1e-7), lambda x: np.allclose(x, x + 1e-7), FINITE),
        example(lambda x: T.allclose(x, x + 1e-3), lambda x: np.allclose(x, x + 1e-3), FINITE),
    ],
    "choose": [
        *[
            example(
                lambda i, x, m=m: T.choose(i, x, mode=m), lambda i, x, m=m: np.choose(i, list(x), mode=m),
                whole(2, 4, low=-1, high=4), MATRIX,
            )
            for m in ("wrap", "clip")
        ],
        example(
            lambda i, x, y: T.choose(i, [x, y, x * y]), lambda i, x, y: np.choose(i, [x, y, x * y]),
            whole(3, 4, high=3), MATRIX, draw(3, 4, seed=5),
        ),
    ],
}  # fmt: skip

for _name in ("add", "sub", "mul", "true_div", "maximum", "lt", "eq"):
    TABLE[_name] += _broadcast(_name)
for _name in ("add", "sub", "mul", "floor_div", "mod", "maximum", "minimum", "le", "neq"):
    TABLE[_name].append(example(getattr(T, _name), BINARY[_name][0], I, J))
for _name in ("and_", "or_", "xor", "left_shift", "right_shift"):
    TABLE[_name].append(example(getattr(T, _name), BINARY[_name][0], I, J))
for _name in ("abs_", "neg", "sgn", "sqr"):
    TABLE[_name].append(example(getattr(T, _name), UNARY[_name][0], I))
TABLE["power"] += [
    example(lambda x: T.power(x, 3), lambda x: x**3, FINITE),
    example(T.power, np.power, whole(12, high=4, dtype="int64"), whole(12, high=9, seed=1)),
]
