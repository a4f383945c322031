"""``theano.misc.frozendict`` and ``theano.misc.cpucount``."""

from __future__ import annotations

import os

import pytest

from symc.compat.misc import FrozenOrderedDict, cpuCount, frozendict
from symc.compat.modules import MODULES


def test_a_frozen_dict() -> None:
    d = frozendict({"a": 1}, b=2)
    assert d["a"] == 1 and len(d) == 2 and set(d) == {"a", "b"} and d == {"a": 1, "b": 2}
    assert hash(d) == hash(frozendict(b=2, a=1)) and d.copy(a=3)["a"] == 3 and d["a"] == 1
    assert list(FrozenOrderedDict([("b", 1), ("a", 2)])) == ["b", "a"] and "FrozenOrderedDict" in repr(
        FrozenOrderedDict()
    )
    with pytest.raises(TypeError):
        d["a"] = 2  # type: ignore[index]


def test_processors() -> None:
    assert cpuCount() == os.cpu_count()


def test_the_old_modules_are_served() -> None:
    assert MODULES["theano.misc.frozendict"] == MODULES["theano.misc.cpucount"] == ("symc.compat.misc",)
