"""Test cases of reading and writing by index, built with the public functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from symc.graph.op import Arg, Case, add_cases
from symc.tensor.indices.gathers import GATHER, SCATTER
from symc.tensor.indices.indexing import take
from symc.tensor.indices.slices import WRITE_SLICE
from symc.tensor.indices.subtensor_writing import inc_subtensor, set_subtensor


def _written(x: np.ndarray, at: Any, y: Any) -> np.ndarray:
    """``x`` with ``y`` written at an index, for the tests."""
    x = x.copy()
    x[at] = y
    return x


def _increased(x: np.ndarray, at: Any, y: Any) -> np.ndarray:
    """``x`` with ``y`` added at an index, once per occurrence of an entry; for the tests."""
    x = x.copy()
    np.add.at(x, at, y)
    return x


def _write_cases() -> list[Case]:
    return [
        Case(
            lambda x, y: set_subtensor(x[1:3], y), (Arg((4, 3)), Arg((2, 3))), lambda x, y: _written(x, np.s_[1:3], y)
        ),
        Case(
            lambda x, y: inc_subtensor(x[:, ::2], y),
            (Arg((3, 5)), Arg((3, 3))),
            lambda x, y: _increased(x, np.s_[:, ::2], y),
        ),
        Case(lambda x, y: inc_subtensor(x[-1], y), (Arg((3, 2)), Arg(())), lambda x, y: _increased(x, -1, y)),
        Case(lambda x, y: set_subtensor(x[::-1], y), (Arg((3, 2)), Arg((3, 2))), lambda x, y: y[::-1]),
        Case(lambda x: set_subtensor(x[0:0], 1.0), (Arg((3,)),), lambda x: x),
    ]


def _gather_cases() -> list[Case]:
    return [
        Case(lambda x, i: x[i], (Arg((4, 3)), Arg((2, 5), "int32", -4, 4)), expect=lambda x, i: x[i]),
        Case(
            lambda x, i, j: x[i, j],
            (Arg((4, 3)), Arg((5,), "int64", 0, 4), Arg((5,), "int64", -3, 3)),
            expect=lambda x, i, j: x[i, j],
        ),
        Case(lambda x, i: x[:, i], (Arg((4, 3)), Arg((2,), "int64", 0, 3)), expect=lambda x, i: x[:, i]),
        Case(lambda x, i: x[1:, i, ::2], (Arg((4, 3, 5)), Arg((2,), "int64", 0, 3)), expect=lambda x, i: x[1:, i, ::2]),
        Case(lambda x, i: x[i, :, i], (Arg((4, 3, 4)), Arg((2,), "int64", 0, 4)), expect=lambda x, i: x[i, :, i]),
        Case(lambda x, i: take(x, i), (Arg((4, 3)), Arg((2, 2), "int64", 0, 12)), expect=lambda x, i: x.ravel()[i]),
        Case(lambda x, i: x[i], (Arg((4,)), Arg((0,), "int64", 0, 4)), expect=lambda x, i: x[i], grad=False),
        Case(lambda x: x[np.array([0, 2])], (Arg((4, 3)),), expect=lambda x: x[[0, 2]]),
    ]


def _scatter_cases() -> list[Case]:
    return [
        Case(
            lambda x, y, i: inc_subtensor(x[i], y),
            (Arg((4, 3)), Arg((5, 3)), Arg((5,), "int64", 0, 4)),
            lambda x, y, i: _increased(x, i, y),
        ),
        Case(
            lambda x, y, i: inc_subtensor(x[:, i], y),
            (Arg((4, 3)), Arg((4, 5)), Arg((5,), "int64", 0, 3)),
            lambda x, y, i: _increased(x, np.s_[:, i], y),
        ),
        Case(
            lambda x, y: set_subtensor(x[np.array([2, 0])], y),
            (Arg((4, 3)), Arg((2, 3))),
            lambda x, y: _written(x, [2, 0], y),
        ),
        Case(
            lambda x, y: set_subtensor(x[np.array([2, 0]), np.array([1, 2])], y),
            (Arg((4, 3)), Arg((2,))),
            lambda x, y: _written(x, ([2, 0], [1, 2]), y),
        ),
        Case(
            lambda x, y, i: set_subtensor(x[i], y),
            (Arg((3, 2)), Arg((4, 2)), Arg((4,), "int64", values=[1, -3, 1, 0])),
            expect=lambda x, y, i: np.stack([y[3], y[2], x[2]]),
        ),
        Case(
            lambda x, y: set_subtensor(x[:, np.array([1, 1])], y),
            (Arg((2, 3)), Arg((2, 2))),
            expect=lambda x, y: np.stack([x[:, 0], y[:, 1], x[:, 2]], 1),
        ),
    ]


add_cases(WRITE_SLICE, _write_cases)
add_cases(GATHER, _gather_cases)
add_cases(SCATTER, _scatter_cases)
