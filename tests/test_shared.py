"""Ownership of shared variables' values: copies, unless borrowing is requested."""

from __future__ import annotations

import numpy as np
import pytest

import symc


@pytest.fixture
def given():
    return np.array([1.0, 2.0, 3.0])


def test_shared_copies_unless_it_borrows(given):
    kept, borrowed = symc.shared(given), symc.shared(given, borrow=True)
    given[0] = 7
    np.testing.assert_array_equal(kept.get_value(), [1, 2, 3])
    np.testing.assert_array_equal(borrowed.get_value(), [7, 2, 3])


def test_get_value_copies_unless_it_borrows(given):
    w = symc.shared(given)
    w.get_value()[0] = 7
    np.testing.assert_array_equal(w.get_value(), [1, 2, 3])
    w.get_value(borrow=True)[0] = 7
    np.testing.assert_array_equal(w.get_value(), [7, 2, 3])


def test_set_value_copies_unless_it_borrows(given):
    w = symc.shared(np.zeros(3))
    w.set_value(given)
    given[0] = 7
    np.testing.assert_array_equal(w.get_value(), [1, 2, 3])
    w.set_value(given, borrow=True)
    given[1] = 7
    np.testing.assert_array_equal(w.get_value(), [7, 7, 3])


def test_updates_do_not_reach_what_was_handed_out_or_in(given):
    w = symc.shared(given)
    before = w.get_value()
    symc.function([], updates={w: w + 1})()
    np.testing.assert_array_equal(given, [1, 2, 3])
    np.testing.assert_array_equal(before, [1, 2, 3])
    np.testing.assert_array_equal(w.get_value(), [2, 3, 4])


def test_borrowing_across_dtypes_and_layouts_still_gives_the_value():
    turned = np.arange(6.0).reshape(2, 3).T
    w = symc.shared(turned, borrow=True)
    np.testing.assert_array_equal(w.get_value(), turned)
    symc.function([], updates={w: w * 2})()
    np.testing.assert_array_equal(w.get_value(), np.arange(6.0).reshape(2, 3).T * 2)
