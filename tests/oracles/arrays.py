"""Oracles of functions that create, rearrange, join and index tensors."""

from __future__ import annotations

import numpy as np

import symc.tensor as T

from . import Table, draw, example, whole

M, N, V, W = draw(3, 4), draw(2, 4, seed=1), draw(5), draw(5, seed=1)
X3, X4 = draw(2, 3, 4), draw(2, 1, 3, 1)
I = whole(5, high=3)


def written(x, index, value, add=False):
    """``x`` with ``value`` at ``index``, replacing what is there or added to it."""
    x = x.copy()
    if add:
        np.add.at(x, index, value)
    else:
        x[index] = value
    return x


def on_diagonal(x, value, k=0):
    x = x.copy()
    x[np.eye(*x.shape, k=k, dtype=bool)] = value
    return x


def cube_diagonal(x, value):
    x = x.copy()
    np.fill_diagonal(x, value)
    return x


CREATION: Table = {
    "alloc": [
        example(lambda v: T.alloc(v, 2, v.shape[0]), lambda v: np.tile(v, (2, 1)), V),
        example(lambda v: T.alloc(v[0], 2, 3), lambda v: np.full((2, 3), v[0]), V),
    ],
    "zeros": [example(lambda v: T.zeros((2, v.shape[0])), lambda v: np.zeros((2, 5)), V)],
    "ones": [example(lambda v: T.ones((v.shape[0], 3), "int32"), lambda v: np.ones((5, 3), "int32"), V)],
    "full": [example(lambda v: T.full((2, v.shape[0]), 7), lambda v: np.full((2, 5), 7), V)],
    "fill": [example(lambda x, v: T.fill(x, v[1]), lambda x, v: np.full(x.shape, v[1]), M, V)],
    "full_like": [example(lambda x: T.full_like(x, 2.5), lambda x: np.full_like(x, 2.5), M)],
    "zeros_like": [example(T.zeros_like, np.zeros_like, M), example(T.zeros_like, np.zeros_like, I)],
    "ones_like": [example(T.ones_like, np.ones_like, M)],
    "identity_like": [example(T.identity_like, lambda x: np.eye(*x.shape), M)],
    "arange": [
        example(lambda v: T.arange(v.shape[0]), lambda v: np.arange(5), V),
        example(lambda v: T.arange(2, 3 * v.shape[0], 4), lambda v: np.arange(2, 15, 4), V),
        example(lambda v: T.arange(9, v.shape[0], -3), lambda v: np.arange(9, 5, -3), V),
        example(lambda v: T.arange(v.shape[0], 2), lambda v: np.arange(5, 2), V),
        example(lambda v: T.arange(0.5, 3, 0.75), lambda v: np.arange(0.5, 3, 0.75), V),
    ],
    "linspace": [
        example(lambda v: T.linspace(v[0], v[1], 7), lambda v: np.linspace(v[0], v[1], 7), V),
        example(lambda v: T.linspace(0, v[1], 4, False), lambda v: np.linspace(0, v[1], 4, False), V),
        example(lambda v: T.linspace(v[0], 3, 1), lambda v: np.linspace(v[0], 3, 1), V),
    ],
    "eye": [
        example(lambda v: T.eye(v.shape[0]), lambda v: np.eye(5), V),
        example(lambda v: T.eye(3, v.shape[0], 1), lambda v: np.eye(3, 5, 1), V),
        example(lambda v: T.eye(v.shape[0], 4, -2), lambda v: np.eye(5, 4, -2), V),
    ],
    "tri": [
        example(lambda v: T.tri(v.shape[0]), lambda v: np.tri(5), V),
        example(lambda v: T.tri(3, v.shape[0], 1), lambda v: np.tri(3, 5, 1), V),
        example(lambda v: T.tri(v.shape[0], 4, -2), lambda v: np.tri(5, 4, -2), V),
    ],
    "tril": [example(lambda x, k=k: T.tril(x, k), lambda x, k=k: np.tril(x, k), M) for k in (0, 1, -1)],
    "triu": [example(lambda x, k=k: T.triu(x, k), lambda x, k=k: np.triu(x, k), M) for k in (0, 1, -1)],
    "mgrid": [
        example(lambda v: list(T.mgrid[0:1:3j, 2:8:2]), lambda v: list(np.mgrid[0:1:3j, 2:8:2]), V),
        example(lambda v: list(T.mgrid[0 : v.shape[0], 1:9:3]), lambda v: list(np.mgrid[0:5, 1:9:3]), V),
    ],
    "ogrid": [
        example(lambda v: list(T.ogrid[0 : v.shape[0], 4:0:-2]), lambda v: list(np.ogrid[0:5, 4:0:-2]), V),
    ],
    "to_one_hot": [
        example(lambda i: T.to_one_hot(i, 4), lambda i: np.eye(4)[i], I),
        example(lambda i: T.to_one_hot(i, 3, "int32"), lambda i: np.eye(3, dtype="int32")[i], whole(2, 3, high=3)),
    ],
    "constant": [example(lambda v: v + T.constant([1, 2, 3, 4, 5]), lambda v: v + [1, 2, 3, 4, 5], V)],
    "as_tensor": [
        example(lambda v: T.as_tensor([v[1], 2.5, v[0]]), lambda v: np.array([v[1], 2.5, v[0]]), V),
        example(lambda v: T.as_tensor(v), lambda v: v, V),
    ],
    "get_scalar_constant_value": [
        example(lambda v: v * T.get_scalar_constant_value(T.shape_padleft(T.constant(2.5))), lambda v: v * 2.5, V),
    ],
    "get_vector_length": [example(lambda x: T.get_vector_length(x.shape), lambda x: np.int64(2), M)],
}

LAYOUT: Table = {
    "addbroadcast": [example(lambda x, y: T.addbroadcast(x, 1, 3) + y, np.add, X4, draw(2, 3, 3, 5))],
    "patternbroadcast": [
        example(lambda x, y: T.patternbroadcast(x, (False, True, False, True)) + y, np.add, X4, draw(2, 3, 3, 5)),
    ],
    "unbroadcast": [example(lambda x: T.unbroadcast(x, 1), lambda x: x, X4)],
    "atleast_1d": [
        example(lambda x: T.atleast_1d(x[0, 0]), lambda x: np.atleast_1d(x[0, 0]), M),
        example(T.atleast_1d, np.atleast_1d, M),
    ],
    "atleast_2d": [
        example(T.atleast_2d, np.atleast_2d, V),
        example(lambda x: T.atleast_2d(x[0]), np.atleast_2d, [1.5]),
    ],
    "broadcast_like": [
        example(T.broadcast_like, lambda x, y: np.broadcast_to(x, y.shape), draw(1, 4), M),
        example(T.broadcast_like, lambda x, y: np.broadcast_to(x, y.shape), V, draw(2, 5)),
    ],
    "dimshuffle": [
        example(lambda x: T.dimshuffle(x, 2, 0, "x", 1), lambda x: x.transpose(2, 0, 1)[:, :, None], X3),
        example(lambda x: T.dimshuffle(x, (2, 0)), lambda x: x[:, 0, :, 0].T, X4),
    ],
    "expand_dims": [
        example(lambda x, k=k: T.expand_dims(x, k), lambda x, k=k: np.expand_dims(x, k), M)
        for k in (0, -1, (0, 1), (1, -1), (-2, 0), ())
    ],
    "shape_padaxis": [
        example(lambda x, k=k: T.shape_padaxis(x, k), lambda x, k=k: np.expand_dims(x, k), M) for k in (0, 1, 2, -1)
    ],
    "shape_padleft": [example(lambda x: T.shape_padleft(x, 2), lambda x: x[None, None], M)],
    "shape_padright": [example(lambda x: T.shape_padright(x, 2), lambda x: x[..., None, None], M)],
    "flatten": [
        example(lambda x, n=n: T.flatten(x, n), lambda x, n=n: x.reshape(*x.shape[: n - 1], -1), X3) for n in (1, 2, 3)
    ],
    "moveaxis": [
        example(lambda x: T.moveaxis(x, 0, 2), lambda x: np.moveaxis(x, 0, 2), X3),
        example(lambda x: T.moveaxis(x, -1, 0), lambda x: np.moveaxis(x, -1, 0), X3),
    ],
    "swapaxes": [example(lambda x: T.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), X3)],
    "transpose": [
        example(T.transpose, np.transpose, X3),
        example(lambda x: T.transpose(x, (1, 2, 0)), lambda x: np.transpose(x, (1, 2, 0)), X3),
    ],
    "reshape": [
        example(lambda x: T.reshape(x, (2, -1)), lambda x: x.reshape(2, -1), M),
        example(lambda x: T.reshape(x, (x.shape[1], 1, x.shape[0])), lambda x: x.reshape(4, 1, 3), M),
    ],
    "squeeze": [
        example(T.squeeze, np.squeeze, X4),
        example(lambda x: T.squeeze(x, 1), lambda x: np.squeeze(x, 1), X4),
        example(lambda x: T.squeeze(x, (-1,)), lambda x: np.squeeze(x, -1), X4),
    ],
    "specify_shape": [example(lambda x: T.specify_shape(x, (None, 4)) * 2, lambda x: x * 2, M)],
    "shape": [example(T.shape, lambda x: np.array(x.shape), X3)],
    "shape_i": [example(lambda x: T.shape_i(x, 1), lambda x: np.int64(x.shape[1]), X3)],
    "size": [example(T.size, lambda x: np.int64(x.size), X3)],
}

JOINING: Table = {
    "concatenate": [
        example(lambda x, y: T.concatenate([x, y]), lambda x, y: np.concatenate([x, y]), M, N),
        example(lambda x, y: T.concatenate([x, y, x], axis=-1), lambda x, y: np.concatenate([x, y, x], -1), M, M + 1),
    ],
    "join": [example(lambda x, y: T.join(1, x.T, y.T), lambda x, y: np.concatenate([x.T, y.T], 1), M, N)],
    "stack": [
        example(lambda v, w, k=k: T.stack([v, w], k), lambda v, w, k=k: np.stack([v, w], k), V, W) for k in (0, 1, -1)
    ],
    "stacklists": [
        example(lambda v, w: T.stacklists([[v, w], [w, v * 2]]), lambda v, w: np.array([[v, w], [w, v * 2]]), V, W),
    ],
    "horizontal_stack": [example(T.horizontal_stack, lambda x, y: np.hstack([x, y]), M, M - 1)],
    "vertical_stack": [example(T.vertical_stack, lambda x, y: np.vstack([x, y]), M, N)],
    "split": [
        example(lambda v: T.split(v, [2, 0, 3], 3), lambda v: np.split(v, [2, 2]), V),
        example(lambda x: T.split(x, [1, 3], 2, axis=1), lambda x: np.split(x, [1], axis=1), M),
    ],
    "repeat": [
        example(lambda x: T.repeat(x, 3), lambda x: np.repeat(x, 3), M),
        example(lambda x: T.repeat(x, 2, axis=0), lambda x: np.repeat(x, 2, axis=0), M),
        example(lambda x: T.repeat(x, np.array([0, 2, 1]), axis=0), lambda x: np.repeat(x, [0, 2, 1], axis=0), M),
    ],
    "tile": [
        example(lambda x, i: T.tile(x, i[:2] + 1, ndim=3), lambda x, i: np.tile(x, (1, *(i[:2] + 1))), M, I),
        example(lambda x: T.tile(x, (2, 3)), lambda x: np.tile(x, (2, 3)), M),
        example(lambda x: T.tile(x, 2), lambda x: np.tile(x, 2), M),
        example(lambda v: T.tile(v, (2, 1)), lambda v: np.tile(v, (2, 1)), V),
    ],
    "roll": [
        example(lambda x: T.roll(x, (3, -1), axis=(0, 1)), lambda x: np.roll(x, (3, -1), axis=(0, 1)), M),
        example(lambda x: T.roll(x, 2, axis=(0, -1)), lambda x: np.roll(x, 2, axis=(0, -1)), M),
        example(lambda x: T.roll(x, 3), lambda x: np.roll(x, 3), M),
        example(lambda x: T.roll(x, -7, axis=1), lambda x: np.roll(x, -7, axis=1), M),
    ],
    "diff": [
        example(T.diff, np.diff, M),
        example(lambda x: T.diff(x, 2, 0), lambda x: np.diff(x, 2, 0), M),
    ],
}

INDEXING: Table = {
    "subtensor": [
        example(lambda x: x[[slice(1, 3), 0]], lambda x: x[1:3, 0], M),
        example(lambda x: x[[Ellipsis, None, [0, 2]]], lambda x: x[..., None, [0, 2]], M),
        example(lambda x: T.subtensor(x, (slice(None, None, -1), 2)), lambda x: x[::-1, 2], M),
        example(lambda x, i: T.subtensor(x, (slice(1, None), i)), lambda x, i: x[1:, i], M, I),
    ],
    "take": [
        example(lambda x, i: T.take(x, i), lambda x, i: np.take(x, i), M, I * 3),
        example(lambda x, i: T.take(x, i, axis=1), lambda x, i: np.take(x, i, axis=1), M, I),
        example(
            lambda x, i: T.take(x, i, 0, "wrap"),
            lambda x, i: np.take(x, i, 0, mode="wrap"),
            M,
            whole(4, low=-9, high=9),
        ),
        example(
            lambda x, i: T.take(x, i, 0, "clip"),
            lambda x, i: np.take(x, i, 0, mode="clip"),
            M,
            whole(4, low=-9, high=9),
        ),
    ],
    "set_subtensor": [
        example(lambda x, v: T.set_subtensor(x[1, :], v[:4]), lambda x, v: written(x, 1, v[:4]), M, V),
        example(lambda x: T.set_subtensor(x[::2, 1:], 7.0), lambda x: written(x, np.s_[::2, 1:], 7.0), M),
        example(lambda x, v: T.set_subtensor(x[[2, 0]], v[:4]), lambda x, v: written(x, [2, 0], v[:4]), M, V),
    ],
    "inc_subtensor": [
        example(lambda x, v: T.inc_subtensor(x[:, 1], v[:3]), lambda x, v: written(x, np.s_[:, 1], v[:3], True), M, V),
        example(lambda x, v, i: T.inc_subtensor(x[i], v), lambda x, v, i: written(x, i, v, True), V, W, I),
    ],
    "advanced_subtensor": [example(lambda x, i: T.advanced_subtensor(x, i, i), lambda x, i: x[i, i], M, I)],
    "advanced_inc_subtensor": [
        example(
            lambda x, v, i: T.advanced_inc_subtensor(x, v, i, i), lambda x, v, i: written(x, (i, i), v, True), M, V, I
        ),
    ],
    "advanced_subtensor1": [example(T.advanced_subtensor1, lambda x, i: x[i], M, I)],
    "advanced_inc_subtensor1": [
        example(T.advanced_inc_subtensor1, lambda x, y, i: written(x, i, y, True), M, draw(5, 4), I),
    ],
    "diagonal": [example(lambda x, i: T.diagonal(x, i[0] - 2), lambda x, i: np.diagonal(x, i[0] - 2), M, I)]
    + [example(lambda x, k=k: T.diagonal(x, k), lambda x, k=k: np.diagonal(x, k), M) for k in (0, 2, -1)]
    + [example(lambda x: T.diagonal(x, 1, 2, 0), lambda x: np.diagonal(x, 1, 2, 0), X3)],
    "diag": [
        example(T.diag, np.diag, M),
        example(lambda v: T.diag(v, -2), lambda v: np.diag(v, -2), V),
        example(lambda v: T.diag(v, 1), lambda v: np.diag(v, 1), V),
    ],
    "fill_diagonal": [
        example(lambda x: T.fill_diagonal(x, 7), lambda x: on_diagonal(x, 7), M),
        example(lambda x: T.fill_diagonal(x, -1.5), lambda x: cube_diagonal(x, -1.5), draw(3, 3, 3)),
    ],
    "fill_diagonal_offset": [
        example(lambda x, k=k: T.fill_diagonal_offset(x, 7, k), lambda x, k=k: on_diagonal(x, 7, k), M) for k in (1, -2)
    ],
    "unravel_index": [
        example(
            lambda i, o=o: list(T.unravel_index(i, (3, 4), o)),
            lambda i, o=o: list(np.unravel_index(i, (3, 4), o)),
            np.arange(12),
        )
        for o in "CF"
    ],
    "ravel_multi_index": [
        example(
            lambda i, j: T.ravel_multi_index((i, j), (3, 4)),
            lambda i, j: np.ravel_multi_index((i, j), (3, 4)),
            I,
            whole(5, high=4, seed=1),
        ),
        *[
            example(
                lambda i, j, m=m: T.ravel_multi_index((i, j), (3, 4), m, "F"),
                lambda i, j, m=m: np.ravel_multi_index((i, j), (3, 4), m, "F"),
                whole(5, low=-6, high=6),
                whole(5, low=-6, high=9, seed=1),
            )
            for m in ("wrap", "clip")
        ],
    ],
    "bincount": [
        example(T.bincount, np.bincount, whole(9, high=6)),
        example(T.bincount, np.bincount, whole(9, high=6), draw(9)),
        example(lambda i: T.bincount(i, minlength=9), lambda i: np.bincount(i, minlength=9), whole(9, high=6)),
    ],
}

ROWS = np.array([[3.0, 1.0], [1.0, 2.0], [3.0, 0.5], [1.0, 2.0], [0.5, 9.0], [3.0, 1.0]])
TIES = np.array([3.0, 1.0, np.nan, 2.0, 1.0, -0.5, 3.0, np.nan])


def distinct(x, *asked, axis=None):
    """NumPy's, whose columns are compared one by one."""
    return list(np.unique(x, *asked, axis=axis))


ORDER: Table = {
    "unique": [
        example(T.unique, np.unique, TIES),
        example(T.unique, np.unique, whole(3, 4, low=-2, high=3, dtype="int32")),
        example(T.unique, np.unique, np.array([True, False, True])),
        example(lambda x: T.unique(x, True, True, True), lambda x: distinct(x, True, True, True), TIES),
        example(lambda x: T.unique(x, True, True), lambda x: distinct(x, True, True), whole(3, 4, high=5)),
        example(lambda x: T.unique(x, axis=0), lambda x: np.unique(x, axis=0), ROWS),
        example(
            lambda x: T.unique(x, True, True, True, axis=1), lambda x: distinct(x, True, True, True, axis=1), ROWS.T
        ),
        example(lambda x: T.unique(x[:0], return_counts=True), lambda x: distinct(x[:0], False, False, True), V),
    ],
    "extra_ops.Unique": [
        example(
            lambda x: T.extra_ops.Unique(True, True)(x), lambda x: distinct(x.ravel(), True, True), whole(3, 4, high=5)
        ),
    ],
    "searchsorted": [
        *[
            example(
                lambda v, x, s=side: T.searchsorted(v, x, s), lambda v, x, s=side: np.searchsorted(v, x, s),
                np.sort(TIES), np.append(M, [1.0, 3.0]),
            )
            for side in ("left", "right")
        ],
        example(
            lambda v, x: T.searchsorted(v, x, sorter=T.argsort(v)), lambda v, x: np.searchsorted(np.sort(v), x), V, M
        ),
        example(lambda v: T.searchsorted(v, 2), lambda v: np.int64(np.searchsorted(v, 2)), np.array([1, 2, 2, 5])),
    ],
    "digitize": [
        example(T.digitize, np.digitize, M, np.array([-1.0, 0.0, 0.5])),
        example(lambda x, b: T.digitize(x, b, True), lambda x, b: np.digitize(x, b, True), V, V[:0]),
        example(T.digitize, np.digitize, I, np.array([3, 1, 0])),
    ],
    "inverse_permutation": [
        example(T.inverse_permutation, lambda p: np.array([2, 0, 3, 1]), [1, 3, 0, 2]),
        example(T.inverse_permutation, lambda p: np.array([[0, 1, 2], [1, 2, 0]]), [[0, 1, 2], [2, 0, 1]]),
    ],
    "compress": [
        example(lambda c, x: T.compress(c, x, axis=0), lambda c, x: np.compress(c, x, 0), [0, 2, 1], M),
        example(lambda c, x: T.compress(c, x, axis=1), lambda c, x: np.compress(c, x, 1), [False, True], M),
        example(T.compress, np.compress, M.ravel() > 0, M),
    ],
    "meshgrid": [
        example(T.meshgrid, lambda *v: list(np.meshgrid(*v)), V, W[:3]),
        example(T.meshgrid, lambda *v: list(np.meshgrid(*v)), V),
        example(
            lambda *v: T.meshgrid(*v, indexing="ij", sparse=True),
            lambda *v: list(np.meshgrid(*v, indexing="ij", sparse=True)), V, W[:3], I,
        ),
        example(T.meshgrid, lambda *v: list(np.meshgrid(*v)), V, W[:2], I[:4], np.float64(2.5)),
    ],
    "bartlett": [
        example(lambda v, n=n: T.bartlett(v.shape[0] - n), lambda v, n=n: np.bartlett(5 - n), V)
        for n in (0, 1, 4, 5, 6)
    ],
    "broadcast_shape": [
        example(
            lambda x, y: [T.as_tensor(n) for n in T.broadcast_shape(x, y, 1)], lambda x, y: [2, 3, 3, 5], X4,
            draw(3, 3, 5),
        ),
    ],
    "extract_constant": [example(lambda v: T.extract_constant(T.zeros(2)) + v, lambda v: v, V)],
    "kron": [example(T.kron, np.kron, M, N)],
}  # fmt: skip

SPARSE = np.where(np.abs(M) > 1, M, 0)
SELECTION: Table = {
    "nonzero": [
        example(T.nonzero, lambda x: list(np.nonzero(x)), SPARSE),
        example(T.nonzero, lambda x: list(np.nonzero(x)), SPARSE > 0),
        example(lambda x: T.nonzero(x, return_matrix=True), lambda x: np.array(np.nonzero(x)), SPARSE),
    ],
    "flatnonzero": [example(T.flatnonzero, np.flatnonzero, SPARSE), example(T.flatnonzero, np.flatnonzero, V * 0)],
    "argwhere": [example(T.argwhere, np.argwhere, SPARSE)],
    "nonzero_values": [example(T.nonzero_values, lambda x: x[x != 0], SPARSE)],
}

TABLE: Table = {**CREATION, **LAYOUT, **JOINING, **INDEXING, **ORDER, **SELECTION}
