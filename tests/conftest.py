"""Configuration of all tests: a separate cache folder, two threads, suppressed warnings."""

from __future__ import annotations

import gc
import os
import tempfile

import numpy as np
import pytest
from cuda_emulator.fixtures import emulated_device  # noqa: F401

import symc
import symc.tensor as T


def pytest_addoption(parser):
    parser.addoption("--download-weights", action="store_true", help="download real weights for the tests of models")


def choose_cache():
    """Compiled code goes where SYMC_CACHE says, or into a folder that is kept between runs of one machine."""
    if "SYMC_CACHE" not in os.environ:
        symc.config.cache_dir = os.path.join(
            tempfile.gettempdir(), f"symc-tests-{os.getuid() if hasattr(os, 'getuid') else 0}"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    """Compile the run-time library before several workers start, of which each would compile it otherwise."""
    if (getattr(session.config.option, "numprocesses", None) or 0) < 2:
        return
    try:
        from symc_backends.c import library, toolchain
    except ImportError:
        return
    if toolchain.missing() is None:
        choose_cache()
        for part in library.PARTS:
            library.image(part, toolchain.identity())


@pytest.hookimpl(hookwrapper=True)
def pytest_collection(session):
    """Keep the garbage collector off the two million objects of the collected tests, while they are made and later."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


FIRST = ("test_sanitizers.py", "test_c_runtime.py", "test_mutants.py", "test_packaging.py")
"""Files with fixtures or tests of a minute or more."""


def pytest_collection_modifyitems(items):
    """Run what takes long first. Workers take tests over from the end of each other's list: no worker is left with a
    long test at the end, and no fixture of such a file is made by both."""
    items.sort(key=lambda item: item.path.name not in FIRST)


@pytest.fixture(autouse=True, scope="session")
def _cache():
    choose_cache()
    yield


@pytest.fixture(scope="module", params=["", "avx2", "sse", "scalar"])
def isa(request):
    """Each value of ``symc.config.isa`` for vectors of another width that this processor has."""
    try:
        with symc.config.change(isa=request.param):
            symc.function([], T.constant(1.0) + 1)
    except symc.errors.CompileError:
        pytest.skip(f"this processor has no {request.param}")
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(1234)
