"""The memory plan: what is alive at one time never overlaps."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from symc.compiler.memory_plan import ALIGN, place


@pytest.mark.parametrize("seed", range(20))
def test_buffers_alive_at_one_step_are_apart(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 40))
    first = rng.integers(0, 12, count)
    lifetimes = [(int(f), int(f + n)) for f, n in zip(first, rng.integers(0, 4, count), strict=True)]
    sizes = [int(n) for n in rng.integers(1, 5 * ALIGN, count)]
    offsets, total = place(lifetimes, sizes)
    for j, k in combinations(range(count), 2):
        meet = lifetimes[j][0] <= lifetimes[k][1] and lifetimes[k][0] <= lifetimes[j][1]
        apart = offsets[j] + sizes[j] <= offsets[k] or offsets[k] + sizes[k] <= offsets[j]
        assert apart or not meet, (lifetimes[j], lifetimes[k])
    assert all(o % ALIGN == 0 and 0 <= o and o + n <= total for o, n in zip(offsets, sizes, strict=True))


def test_buffers_one_after_another_share_memory():
    lifetimes = [(k, k + 1) for k in range(10)]
    assert place(lifetimes, [ALIGN] * 10)[1] == 2 * ALIGN
