"""Fixtures of the tests of the layer library."""

import numpy as np
import pytest

import lasagne_like.random
import symc


@pytest.fixture(autouse=True)
def seeded():
    """Draw the same numbers in every run, whichever tests run."""
    before = lasagne_like.random.get_rng()
    lasagne_like.random.set_rng(np.random.RandomState(1234))
    yield
    lasagne_like.random.set_rng(before)


@pytest.fixture
def float64():
    """Build and run everything in float64."""
    with symc.config.change(floatX="float64"):
        yield


@pytest.fixture
def rng():
    return np.random.RandomState(4321)
