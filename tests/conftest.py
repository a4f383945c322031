"""Configuration of all tests: a separate cache folder, two threads, suppressed warnings."""

from __future__ import annotations

import os
import tempfile

import numpy as np
import pytest
from cuda_emulator.fixtures import emulated_device  # noqa: F401

import symc


def pytest_addoption(parser):
    parser.addoption("--download-weights", action="store_true", help="download real weights for the tests of models")


@pytest.fixture(autouse=True, scope="session")
def _cache():
    """Compiled code goes where SYMC_CACHE says, or into a folder that is kept between runs of one machine."""
    if "SYMC_CACHE" not in os.environ:
        symc.config.cache_dir = os.path.join(
            tempfile.gettempdir(), f"symc-tests-{os.getuid() if hasattr(os, 'getuid') else 0}"
        )
    yield


@pytest.fixture
def rng():
    return np.random.default_rng(1234)
