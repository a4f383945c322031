"""Run the examples in docstrings and in the guide."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

MODULES = [
    "lasagne_like",
    *(f"lasagne_like.{name}" for name in (
        "constraints", "init", "nonlinearities", "objectives", "random", "regularization", "updates", "utils", "layers",
    )),
    *(f"lasagne_like.layers.{name}" for name in (
        "augmentation", "axes", "base", "conv", "dense", "embedding", "helper", "input", "lengths", "merge", "noise",
        "normalization", "pool", "shape", "special",
    )),
]  # fmt: skip

GUIDE = Path(__file__).parents[2] / "docs" / "layers.md"


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name):
    module = importlib.import_module(name)
    for public in module.__all__:
        value = getattr(module, public)
        if callable(value):
            assert value.__doc__, public


def test_guide():
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    exec(compile("\n".join(blocks), str(GUIDE), "exec"), {})
