"""Generated code and the run-time library under AddressSanitizer and UndefinedBehaviorSanitizer.

The programs are those of ``sanitized_programs.py``. They run in a process of their own, with both sanitizers loaded
before Python and code that is compiled for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sanitized_programs

import symc
from symc.config import environment
from symc_backends.c import toolchain

FLAGS = "-O0 -fsanitize=address -fsanitize=undefined -fsanitize-recover=address"
"""Without optimisation, since instrumented code takes long to optimise, and less is left out."""
CALLS = "--param asan-instrumentation-with-call-threshold=0"
"""Each access is checked by a call, not by code of its own, which gcc spends a quarter of its time on."""


def preloaded() -> list[str]:
    """The sanitizers' libraries; none where the compiler has none that Python can run with."""
    command = toolchain.command(symc.config.compiler)
    if command is None or not sys.platform.startswith("linux"):
        return []
    found = []
    for name in ("libasan.so", "libubsan.so"):
        done = subprocess.run([*command, f"-print-file-name={name}"], capture_output=True, text=True, check=False)
        path = done.stdout.strip()
        if done.returncode or not os.path.isabs(path):
            return []
        found.append(path)
    tried = subprocess.run([sys.executable, "-c", ""], env=variables(found), capture_output=True, check=False)
    return found if tried.returncode == 0 and not tried.stderr else []


def variables(libraries: list[str]) -> dict[str, str]:
    command = toolchain.command(symc.config.compiler) or ()
    flags = f"{FLAGS} {CALLS}" if toolchain._accepts(command, [*FLAGS.split(), *CALLS.split()]) else FLAGS
    return environment(
        LD_PRELOAD=" ".join(libraries),
        ASAN_OPTIONS="detect_leaks=0:halt_on_error=0:detect_stack_use_after_return=0",
        UBSAN_OPTIONS="print_stacktrace=0",
        PYTHONMALLOC="malloc",  # every object in a piece of memory of its own
        PYTHONPATH=str(Path(__file__).parent),
        SYMC_CACHE=symc.config.cache_dir,
        SYMC_FLAGS=f"threads=2,cflags={flags}",
    )


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What was said about each program."""
    libraries = preloaded()
    if not libraries:
        pytest.skip("needs a C compiler with AddressSanitizer and UndefinedBehaviorSanitizer")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", sanitized_programs.__file__], env=variables(libraries), capture_output=True,
        text=True, errors="replace", check=False, timeout=600,
    )  # fmt: skip
    start, *parts = done.stderr.split("=== ")
    found = {name: text for name, _, text in (part.partition("\n") for part in parts)}
    assert not start and "end" in found, f"the process ended early:\n{done.stderr[-8000:]}"
    return found


@pytest.mark.parametrize("name", sanitized_programs.PROGRAMS)
def test_program(said, name):
    assert not said[name], said[name][:6000]


def test_that_errors_are_noticed(said):
    assert "heap-buffer-overflow" in said["a_read_beyond_the_end"]
    assert "heap-buffer-overflow" in said["a_write_before_the_start"]
    assert "shift exponent 40" in said["a_shift_too_far"]
    assert "Not equal" in said["a_wrong_result"]
