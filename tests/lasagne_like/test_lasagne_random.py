import numpy as np
import pytest

from lasagne_like.init import Normal
from lasagne_like.random import get_rng, set_rng


def test_set_rng_makes_draws_repeatable():
    set_rng(np.random.RandomState(7))
    first = Normal().sample((3, 4))
    set_rng(np.random.RandomState(7))
    assert np.array_equal(Normal().sample((3, 4)), first)
    assert not np.array_equal(Normal().sample((3, 4)), first)


def test_the_module_numpy_random_is_a_generator():
    set_rng(np.random)
    assert get_rng() is np.random


def test_rejects_what_is_no_generator():
    with pytest.raises(TypeError, match="RandomState"):
        set_rng(1234)
