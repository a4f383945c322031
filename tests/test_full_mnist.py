"""One epoch on all of MNIST, where ``SYMC_TEST_MNIST`` names the folder of its IDX files."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

FOLDER = os.environ.get("SYMC_TEST_MNIST", "")
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "mnist.py"

pytestmark = pytest.mark.skipif(not FOLDER, reason="SYMC_TEST_MNIST names no folder")


@pytest.mark.parametrize("model, most", [("fc64", 0.08), ("lenet", 0.03)])
def test_one_epoch(model, most, tmp_path):
    spec = importlib.util.spec_from_file_location("example_full_mnist", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = example
    spec.loader.exec_module(example)
    result = example.main(["--model", model, "--data", FOLDER, "--epochs", "1", "--out", str(tmp_path)])
    assert result["test_error"] < most
