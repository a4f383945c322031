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
    if importlib.util.find_spec("pycuda") is None:
        return "PyCUDA is not installed"
    if "pycuda._driver" in sys.modules and not _is_loaded():
        return "PyCUDA runs on the machine's own driver in this process already"
    return emulator.problem()


def _is_loaded() -> bool:
    with open("/proc/self/maps") as maps:
        return any("cuda_emulator" in line and "libcuda.so.1" in line for line in maps)


class _NoFolder:
    """Stands for the folder of the emulated libraries on a real GPU: a test that asks for it is not for that GPU."""

    def __fspath__(self) -> str:
        pytest.skip("this test is about the emulated GPU")

    __str__ = __fspath__


def _real(patch: pytest.MonkeyPatch) -> _NoFolder:
    """The machine's own GPU takes the emulated one's place; what asks for the emulator itself is skipped."""
    from symc_backends.cuda import unavailable

    reason = unavailable()
    if reason:
        pytest.skip(f"{REAL} is set, but there is no GPU: {reason}")
    patch.setattr(emulator, "libraries", _NoFolder().__fspath__)
    return _NoFolder()


@pytest.fixture(scope="session")
def emulated_device():
    """``symc.config.cuda_libraries`` names the emulated libraries from the first test that asks, to the session's end.

    A process has one ``libcuda``: once PyCUDA is loaded on the emulated one, it stays there. With ``SYMC_TEST_GPU`` in
    the environment, tests run on the machine's own GPU instead.
    """
    if os.environ.get(REAL):
        with pytest.MonkeyPatch.context() as patch:
            yield _real(patch)
        return
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    folder = emulator.libraries()
    emulator.device()
    before = symc.config.cuda_libraries
    symc.config.cuda_libraries = str(folder)
    yield folder
    symc.config.cuda_libraries = before
