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
        "data.pictures", "data.preprocess", "files", "files.model_file", "files.names", "files.read", "files.weights",
        "lazy", "models", "models.efficientnet", "models.entries", "models.lenet", "models.resnet", "models.vgg",
        "models.weights", "network", "pickles", "prediction",
    )),
    *(f"lasagne_like.layers.{name}" for name in (
        "augmentation", "axes", "base", "conv", "dense", "embedding", "helper", "input", "lengths", "merge", "noise",
        "normalization", "pool", "shape", "special",
    )),
]  # fmt: skip

DOCS = Path(__file__).parents[2] / "docs"


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


@pytest.mark.parametrize("page, count", [("layers.md", 6), ("models.md", 2)])
def test_guides(page, count):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert len(blocks) == count
    exec(compile("\n".join(blocks), page, "exec"), {})
