"""Oracles of reductions, products of matrices and derivatives."""

from __future__ import annotations

import numpy as np

import symc.tensor as T

from . import Table, draw, example, whole

M, X3 = draw(3, 4), draw(2, 3, 4)
LONG = draw(37, 45)
TIED = np.array([[2.0, 3.0, 3.0, 1.0], [4.0, 4.0, -1.0, 4.0], [0.0, -2.0, -2.0, -1.0]])
I3 = whole(2, 3, 4, low=-5, high=5, dtype="int8")
B3 = whole(2, 3, 4, high=2, dtype="bool")
AXES = [None, 0, -1, (0, 2), (2, 1)]


def over(name, oracle, *values, axes=AXES):
    """Examples over several axes, and with ``keepdims``."""
    function = getattr(T, name)
    made = [
        example(lambda x, k=k: function(x, axis=k), lambda x, k=k: oracle(x, axis=k), v) for v in values for k in axes
    ]
    return made + [
        example(lambda x: function(x, axis=1, keepdims=True), lambda x: np.expand_dims(oracle(x, axis=1), 1), values[0])
    ]


def arg(oracle):
    """``numpy.argmax`` and its kin over several axes, which NumPy itself does not offer."""

    def several(x, axis=None):
        if not isinstance(axis, tuple):
            return oracle(x, axis)
        axes = sorted(k % x.ndim for k in axis)
        rest = [k for k in range(x.ndim) if k not in axes]
        return oracle(x.transpose(*rest, *axes).reshape(*(x.shape[k] for k in rest), -1), -1)

    return several


REDUCTIONS: Table = {
    "sum": over("sum", np.sum, X3, I3)
    + over("sum", np.sum, LONG, axes=[None, 0, 1])
    + [example(lambda x: T.sum(x, 0, dtype="float64"), lambda x: x.sum(0), M)],
    "prod": over("prod", np.prod, X3, I3),
    "mean": over("mean", np.mean, X3, I3) + over("mean", np.mean, LONG, axes=[None, 0, 1]),
    "var": over("var", np.var, X3) + [example(lambda x: T.var(x, 1, ddof=1), lambda x: np.var(x, 1, ddof=1), M)],
    "std": over("std", np.std, X3) + [example(lambda x: T.std(x, 1, ddof=1), lambda x: np.std(x, 1, ddof=1), M)],
    "max": over("max", np.max, X3, I3) + over("max", np.max, TIED, LONG, axes=[None, 0, 1]),
    "min": over("min", np.min, X3, I3) + over("min", np.min, TIED, LONG, axes=[None, 0, 1]),
    "any": over("any", np.any, B3, np.where(np.abs(I3) > 2, I3, 0)),
    "all": over("all", np.all, B3, I3),
    "argmax": over("argmax", arg(np.argmax), X3, I3, axes=[None, 0, -1, (2, 1)])
    + over("argmax", np.argmax, TIED, LONG, axes=[None, 0, 1]),
    "argmin": over("argmin", arg(np.argmin), X3, I3, axes=[None, 0, -1, (2, 1)])
    + over("argmin", np.argmin, TIED, LONG, axes=[None, 0, 1]),
    "max_and_argmax": [
        example(lambda x, k=k: T.max_and_argmax(x, k), lambda x, k=k: [x.max(k), x.argmax(k)], TIED)
        for k in (None, 0, 1)
    ],
    "ptp": [example(lambda x, k=k: T.ptp(x, k), lambda x, k=k: np.ptp(x, k), M) for k in (None, 0, 1)],
    "trace": [
        example(T.trace, np.trace, M),
        example(lambda x: T.trace(x, 1), lambda x: np.trace(x, 1), M),
        example(lambda x: T.trace(x, -1, 2, 0), lambda x: np.trace(x, -1, 2, 0), X3),
    ],
    "cov": [
        example(T.cov, np.cov, M),
        example(lambda x: T.cov(x, rowvar=False, bias=True), lambda x: np.cov(x, rowvar=False, bias=True), M),
        example(lambda x, y: T.cov(x, y, ddof=0), lambda x, y: np.cov(x, y, ddof=0), M, draw(2, 4)),
    ],
}

V, W = draw(4), draw(4, seed=1)
PRODUCTS: Table = {
    "dot": [
        example(T.dot, np.dot, a, b)
        for a, b in [
            (M, draw(4, 5)),
            (V, W),
            (M, V),
            (V, draw(4, 2)),
            (X3, draw(4, 5)),
            (X3, draw(2, 4, 3)),
            (X3, V),
            (draw(50, 37), draw(37, 41)),
            (whole(3, 4, low=-5, high=5), whole(4, 2, low=-5, high=5)),
        ]
    ],
    "matmul": [
        example(T.matmul, np.matmul, a, b) for a, b in [(M, draw(4, 5)), (M, V), (X3, draw(2, 4, 5)), (X3, draw(4, 5))]
    ],
    "outer": [example(T.outer, np.outer, V, draw(3)), example(T.outer, np.outer, M, draw(2, 2))],
    "batched_dot": [
        example(T.batched_dot, lambda x, y: np.einsum("bij,bjk->bik", x, y), X3, draw(2, 4, 5)),
        example(T.batched_dot, lambda x, y: np.einsum("bj,bjk->bk", x, y), draw(2, 4), draw(2, 4, 5)),
        example(T.batched_dot, lambda x, y: np.einsum("bij,bj->bi", x, y), X3, draw(2, 4)),
    ],
    "batched_tensordot": [
        example(
            lambda x, y: T.batched_tensordot(x, y, [[1], [2]]),
            lambda x, y: np.einsum("bij,bki->bjk", x, y),
            X3,
            draw(2, 5, 3),
        ),
        example(T.batched_tensordot, lambda x, y: np.einsum("bij,bij->b", x, y), X3, draw(2, 3, 4, seed=1)),
    ],
    "tensordot": [
        example(lambda x, y, k=k: T.tensordot(x, y, k), lambda x, y, k=k: np.tensordot(x, y, k), x, y)
        for x, y, k in [
            (X3, draw(3, 4, 5), 2),
            (X3, draw(4, 5), 1),
            (V, W, 0),
            (X3, draw(4, 5, 2), [[0, 2], [2, 0]]),
        ]
    ],
}


def _slope(build):
    """The gradient of the sum of the squares of ``build``."""
    return lambda x: T.grad(T.sum(T.sqr(build(x))), x)


DERIVATIVES: Table = {
    "grad": [
        example(lambda x: T.grad(T.sum(x**3), x), lambda x: 3 * x**2, M),
        example(
            lambda x, y: T.grad(T.sum(T.sin(x) * y), [x, y]),
            lambda x, y: [np.cos(x) * y, np.sin(x)],
            M,
            draw(3, 4, seed=1),
        ),
    ],
    "jacobian": [
        example(
            lambda v, w: T.jacobian(T.specify_shape(v[0] * w**2, (4,)), w), lambda v, w: np.diag(2 * v[0] * w), V, W
        )
    ],
    "hessian": [
        example(
            lambda v: T.hessian(T.sum(u := T.specify_shape(v, (4,))) ** 3 + T.sum(u**4), u),
            lambda v: 6 * v.sum() * np.ones((4, 4)) + np.diag(12 * v**2),
            V,
        ),
    ],
    "Rop": [
        example(
            lambda v, w: T.Rop(T.exp(v) * T.sum(v), v, w),
            lambda v, w: np.exp(v) * v.sum() * w + np.exp(v) * w.sum(),
            V,
            W,
        )
    ],
    "Lop": [
        example(
            lambda v, w: T.Lop(T.exp(v) * T.sum(v), v, w),
            lambda v, w: np.exp(v) * v.sum() * w + (np.exp(v) * w).sum(),
            V,
            W,
        )
    ],
    "consider_constant": [
        example(lambda v: [T.consider_constant(v), T.grad(T.sum(T.consider_constant(v) * v), v)], lambda v: [v, v], V),
    ],
    "disconnected_grad": [
        example(lambda v: [T.disconnected_grad(v), T.grad(T.sum(T.disconnected_grad(v) * v), v)], lambda v: [v, v], V),
    ],
    "zero_grad": [
        example(lambda v: [T.zero_grad(v), T.grad(T.sum(T.zero_grad(v) * v), v)], lambda v: [v, v], V),
    ],
    "grad_clip": [
        example(
            lambda v: [T.grad_clip(v, -1, 1.5), _slope(lambda x: T.grad_clip(x, -1, 1.5))(v)],
            lambda v: [v, np.clip(2 * v, -1, 1.5)],
            V,
        ),
    ],
    "grad_scale": [
        example(lambda v: [T.grad_scale(v, -0.5), _slope(lambda x: T.grad_scale(x, -0.5))(v)], lambda v: [v, -v], V),
    ],
}

SQUARE = draw(4, 4) + 4 * np.eye(4)
POSITIVE = (lambda a: (a @ a.T + np.eye(4)).astype("float32").astype("float64"))(draw(4, 4))


def rebuilt(x):
    """The product of the factors, the singular values, and the products that are the identity."""
    u, s, v = T.svd(x, full_matrices=False)
    return [T.dot(u * s, v), s, T.dot(u.T, u), T.dot(v, v.T)]


PERMUTED = np.array([[2, 0, 3, 1], [0, 1, 2, 3], [3, 2, 1, 0]])


def _extreme(x, k, axis):
    """The largest elements in descending order; for negative ``k`` the smallest ones in ascending order."""
    found = np.moveaxis(np.sort(x, axis), axis, -1)
    return np.moveaxis(found[..., ::-1][..., :k] if k > 0 else found[..., :-k], -1, axis)


LINEAR: Table = {
    "cumsum": [
        example(lambda x, k=k: T.cumsum(x, k), lambda x, k=k: np.cumsum(x, k), v)
        for v in (X3, I3.astype("int64"))
        for k in (None, 0, 1, -1)
    ],
    "einsum": [
        example(lambda x, y: T.einsum("ij,kj->ik", x, y), lambda x, y: x @ y.T, draw(3, 4), draw(2, 4)),
        example(lambda x: T.einsum("ii->i", x), np.diagonal, SQUARE),
        example(lambda x, y: T.einsum("bij,bjk->bik", x, y), np.matmul, draw(2, 3, 4), draw(2, 4, 3)),
    ],
    "cumprod": [
        example(lambda x, k=k: T.cumprod(x, k), lambda x, k=k: np.cumprod(x, k), v)
        for v in (X3, (I3 % 3).astype("int64"))
        for k in (None, 0, 1, -1)
    ],
    "sort": [
        example(lambda x, k=k: T.sort(x, k), lambda x, k=k: np.sort(x, k), v)
        for v in (X3, I3)
        for k in (None, 0, 1, -1)
    ],
    "argsort": [
        example(lambda x, k=k: T.argsort(x, k, kind="stable"), lambda x, k=k: np.argsort(x, k, kind="stable"), v)
        for v in (X3, I3)
        for k in (None, 0, 1, -1)
    ],
    "topk": [
        example(lambda x, k=k: T.topk(x, k), lambda x, k=k: _extreme(x, k, -1), v) for v in (X3, I3) for k in (2, -2)
    ],
    "argtopk": [example(lambda x: T.argtopk(x, 2, 0), lambda x: np.argsort(-x, 0, kind="stable")[:2], X3)],
    "topk_and_argtopk": [
        example(
            lambda x: T.topk_and_argtopk(x, -3, None), lambda x: [np.sort(x, None)[:3], np.argsort(x, None)[:3]], X3
        ),
    ],
    "permute_row_elements": [
        example(T.permute_row_elements, lambda x, y: np.take_along_axis(x, y, -1), draw(3, 4), PERMUTED),
        example(T.permute_row_elements, lambda x, y: x[:, y], draw(3, 4), PERMUTED[1]),
        example(
            lambda x, y: T.permute_row_elements(x, y, inverse=True),
            lambda x, y: np.take_along_axis(x, np.argsort(y, -1), -1),
            draw(3, 4),
            PERMUTED,
        ),
    ],
    "cholesky": [
        example(T.cholesky, np.linalg.cholesky, POSITIVE, rtol=1e-9),
        example(lambda x: T.cholesky(x, lower=False), lambda x: np.linalg.cholesky(x).T, POSITIVE, rtol=1e-9),
    ],
    "matrix_inverse": [example(T.matrix_inverse, np.linalg.inv, SQUARE, rtol=1e-9)],
    "solve": [
        example(T.solve, np.linalg.solve, SQUARE, draw(4, 3), rtol=1e-9),
        example(T.solve, np.linalg.solve, SQUARE, draw(4), rtol=1e-9),
    ],
    "svd": [
        example(
            rebuilt,
            lambda x: [x, np.linalg.svd(x, compute_uv=False), np.eye(min(x.shape)), np.eye(min(x.shape))],
            x,
            rtol=1e-9,
        )
        for x in (draw(4, 3), draw(3, 4), SQUARE)
    ],
}

TABLE: Table = {**REDUCTIONS, **PRODUCTS, **DERIVATIVES, **LINEAR}
