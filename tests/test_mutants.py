"""Seeded mistakes: every patch still applies, and a few are killed here; ``python tests/mutants/run.py`` tries all."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from mutants.catalogue import MUTANTS, SHORT
from mutants.run import ROOT, Copy, judge, patched

import symc
import symc.tensor as T

BY_NAME = {m.name: m for m in MUTANTS}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_patch_applies_and_names_tests_that_exist(mutant):
    text = patched(mutant)
    if mutant.file.endswith(".py"):
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse((ROOT / mutant.file).read_text(encoding="utf-8")))
    for test in mutant.tests:
        if test.startswith("tests/"):
            file, _, function = test.partition("::")
            assert f"def {function.partition('[')[0]}" in (ROOT / file).read_text(encoding="utf-8")


def test_names_are_unique():
    assert len(BY_NAME) == len(MUTANTS) and set(SHORT) <= set(BY_NAME)


@pytest.fixture(scope="module")
def copy():
    with Copy(symc.config.cache_dir) as made:
        made.check()
        yield made


@pytest.mark.parametrize("name", SHORT)
def test_it_is_killed(copy, name):
    verdict, said = judge(copy, BY_NAME[name])
    assert verdict == "killed", said


# --- what some mutants break, in a small program ----------------------------------------------------------------------


def test_operands_keep_their_order():
    x, y = T.dvectors("x", "y")
    a, b = np.array([5.0, 1.0]), np.array([2.0, 4.0])
    found = symc.function([x, y], [x - y, y - x, x / y, y / x, x**y, y**x, x < y, y < x])(a, b)
    want = [a - b, b - a, a / b, b / a, a**b, b**a, a < b, b < a]
    for have, wanted in zip(found, want, strict=True):
        np.testing.assert_allclose(have, wanted, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 1000])
def test_a_call_that_fails_changes_nothing(size):
    """Though one update must be known before the index that is out of range, and in whichever order they are given."""
    x = T.dvector("x")
    w, u = symc.shared(np.zeros(size), "w"), symc.shared(0.0, "u")
    later = w + x[0]
    updates = [(w, later), (u, u + x[T.cast(T.dot(later, later), "int64") + 1])]
    for ordered in (updates, updates[::-1]):
        f = symc.function([x], updates=ordered)
        for _ in range(2):
            with pytest.raises(IndexError):
                f([1.0, 2.0])
        np.testing.assert_array_equal(w.get_value(), np.zeros(size))
        assert u.get_value() == 0
