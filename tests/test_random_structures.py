"""Random programs with structure mean on every back end what their closures over NumPy arrays mean.

``python tests/random_structures.py --count 10000`` runs as many as one likes.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from random_structures import MODES, check
from structure_bodies import random_scope

import symc

INTERPRETED = 180
COMPILED = 12
EMULATED = 4


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings(), np.printoptions(threshold=20, precision=5, edgeitems=2):
        warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing, in NumPy
        yield


@pytest.mark.parametrize("first", range(0, INTERPRETED, 20))
def test_interpreted_programs(first):
    for seed in range(first, first + 20):
        check(seed)


FOUND = [101251, 201902, 203631, 205156, 920618, 930081, 960635, 972159, 1000234, 1400484]
"""Seeds of long runs that found mistakes. 205156: a sum of lengths required to be itself, without end. 920618: a number
of steps that an inner loop bound again, so that memory was allocated before it was known. 930081: a length from outside
that only memory inside a branch depends on. 960635: an index in a branch not taken that the gradient reads as well.
972159: ``alloc`` of a shared vector whose length was 1 when code was specialised.
1000234: a path between loops that leads through a length that is a value, which merging did not see."""


@pytest.mark.parametrize("seed", FOUND)
def test_programs_that_found_mistakes(seed):
    check(seed)


@pytest.mark.parametrize("seed", range(20_000, 20_000 + COMPILED))
def test_compiled_programs(seed):
    check(seed, "c", [MODES[seed % 3]])


@pytest.mark.parametrize("seed", range(30_000, 30_000 + EMULATED))
def test_programs_on_the_emulated_device(seed, emulated_device):
    check(seed, "cuda", [MODES[seed % 3]])


def test_equal_seeds_give_equal_programs():
    with symc.config.change(floatX="float64"):
        assert random_scope(5).described() == random_scope(5).described()
        assert random_scope(5).described() != random_scope(6).described()
