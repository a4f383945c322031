"""``set_subtensor`` of entries and slices of a shape, and masks of a wrong length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import GuardError

X = T.tensor3("x")
K = T.lscalar("k")
S = X.shape
A = np.ones((2, 3, 4), "float32")


@pytest.mark.parametrize(
    "written, expected",
    [
        (T.set_subtensor(S[1], 5), [2, 5, 4]),
        (T.set_subtensor(S[-1], 5), [2, 3, 5]),
        (T.inc_subtensor(S[np.int64(2)], 2), [2, 3, 6]),
        (T.set_subtensor(S[K], 5), [2, 5, 4]),
        (T.set_subtensor(S[1], K), [2, 1, 4]),
        (T.set_subtensor(T.shape(X)[0:2], 7), [7, 7, 4]),
        (T.set_subtensor(T.shape(X)[0:2], [8, 9]), [8, 9, 4]),
        (T.set_subtensor(S[1:2], 5), [2, 5, 4]),
        (T.set_subtensor(S[:0], 5), [2, 3, 4]),
        (T.set_subtensor(S[::2], [8, 9]), [8, 3, 9]),
        (T.set_subtensor(S[::-1][0], 5), [5, 3, 2]),
        (T.set_subtensor(S[1:][0], 5), [5, 4]),
    ],
)
def test_a_part_of_a_shape(written: Any, expected: list[int]) -> None:
    found = symc.function([X, K], written, on_unused_input="ignore")(A, 1)
    assert found.tolist() == expected and found.dtype == np.int64


def test_known_lengths_and_empty_arrays() -> None:
    x = T.tensor("float32", shape=(2, None))
    assert T.set_subtensor(x.shape[0], 5).eval({x: np.ones((2, 0), "float32")}).tolist() == [5, 0]
    assert T.set_subtensor(x.shape[1], 5).eval({x: np.ones((2, 0), "float32")}).tolist() == [2, 5]


def test_the_result_is_a_shape() -> None:
    assert T.zeros(T.set_subtensor(S[1], 5)).eval({X: A}).shape == (2, 5, 4)


def test_what_is_no_indexing_names_the_line() -> None:
    for part in (X, X + 1, 3):
        with pytest.raises(TypeError, match=r"must be an indexing such as a\[1:3\](.|\n)*test_writing_of_shapes.py"):
            T.set_subtensor(part, 1)


@pytest.mark.parametrize("constant", [False, True])
def test_a_mask_of_a_wrong_length_is_an_index_error(constant: bool) -> None:
    mask = T.vector("mask", dtype="bool")
    given = np.array([True, False])
    x = T.matrix("x")
    inputs, arrays = ([x], [np.ones((3, 2))]) if constant else ([x, mask], [np.ones((3, 2)), given])
    f = symc.function(inputs, x[given if constant else mask], allow_input_downcast=True)
    with pytest.raises(IndexError, match="mask") as caught:
        f(*arrays)
    assert isinstance(caught.value, GuardError)


def test_a_scalar_read_by_several_indices() -> None:
    first = S[1]
    second, third = S[::-1][1], S[1:][0]
    results = [T.set_subtensor(part, 5) for part in (first, second, third, S[1], S[-2], first)]
    found = symc.function([X], results)(A)
    assert [v.tolist() for v in found] == [[2, 5, 4], [4, 5, 2], [5, 4], [2, 5, 4], [2, 5, 4], [2, 5, 4]]
