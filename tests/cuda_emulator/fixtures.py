"""The fixture that gives tests an emulated GPU."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest
from cuda_emulator import emulator

import symc

REAL = "SYMC_TEST_GPU"
"""Set in the environment, this variable asks the tests to use the machine's own GPU."""


def reason_to_skip() -> str | None:
    """Why tests on the emulated GPU cannot run in this process, in one sentence; None if they can."""
    if os.environ.get(REAL):
        return f"the tests are asked to use the real GPU ({REAL} is set)"
    if importlib.util.find_spec("pycuda") is None:
        return "PyCUDA is not installed"
    if "pycuda._driver" in sys.modules and not _is_loaded():
        return "PyCUDA runs on the machine's own driver in this process already"
    return emulator.problem()


def _is_loaded() -> bool:
    with open("/proc/self/maps") as maps:
        return any("cuda_emulator" in line and "libcuda.so.1" in line for line in maps)


@pytest.fixture(scope="session")
def emulated_device():
    """``symc.config.cuda_libraries`` names the emulated libraries from the first test that asks, to the session's end.

    A process has one ``libcuda``: once PyCUDA is loaded on the emulated one, it stays there.
    """
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    folder = emulator.libraries()
    emulator.device()
    before = symc.config.cuda_libraries
    symc.config.cuda_libraries = str(folder)
    yield folder
    symc.config.cuda_libraries = before
