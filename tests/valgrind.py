"""The programs of ``sanitized_programs.py`` under valgrind's memcheck: ``python tests/valgrind.py``, some minutes.

Valgrind knows no AVX-512, so everything is compiled for AVX2. What it reports about Python itself is left out: an error
counts if symc's compiled code is among its callers. The two accesses beyond an array that the programs make on purpose
must be among them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import symc
from symc.config import environment

OURS = re.compile(r"memfd:symc|symc[^/\n]*\.so|symc_")
EXPECTED = {"a_read_beyond_the_end", "a_write_before_the_start"}


def errors(text: str) -> dict[str, list[str]]:
    """The errors in symc's code by the program that made them."""
    found: dict[str, list[str]] = {}
    for part in text.split("=== ")[1:]:
        name, _, said = part.partition("\n")
        ours = [e for e in re.split(r"(?m)^==\d+== *$", said) if OURS.search(e)]
        if ours:
            found[name] = ours
    return found


def main() -> int:
    folder = Path(__file__).parent
    variables = environment(
        PYTHONMALLOC="malloc", PYTHONPATH=str(folder), SYMC_CACHE=symc.config.cache_dir, OPENBLAS_NUM_THREADS="1",
        SYMC_FLAGS="threads=2,isa=avx2",
    )  # fmt: skip
    command = ["valgrind", "--error-limit=no", "--num-callers=25", "--fair-sched=yes", sys.executable, "-W", "ignore"]
    done = subprocess.run(
        [*command, str(folder / "sanitized_programs.py")], env=variables, capture_output=True, text=True, check=False
    )
    found = errors(done.stderr)
    for name, ours in found.items():
        if name not in EXPECTED:
            print(f"{name}:", *ours, sep="\n")
    print("programs with errors:", ", ".join(sorted(set(found) - EXPECTED)) or "none")
    missed = EXPECTED - set(found)
    if missed:
        print("not noticed:", ", ".join(sorted(missed)))
    return int(set(found) != EXPECTED)


if __name__ == "__main__":
    sys.exit(main())
