"""Run the tests against seeded mistakes: ``python tests/mutants/run.py [part of a name ...] [--list]``.

Every mutant is applied to a temporary copy of the tree, never to the working tree; its tests run in the copy, which
comes first on the path. Before that, all those tests run in the copy as it is, and must pass. Compiled code goes where
``SYMC_CACHE`` says, or into a cache of the copy's own. Exits with 1 if a mutant survives or cannot be run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("symc", "backends", "lasagne_like", "tests", "pyproject.toml")

if __package__:
    from .catalogue import MUTANTS, Mutant
else:
    sys.path.insert(0, str(ROOT / "tests"))
    from mutants.catalogue import MUTANTS, Mutant

__all__ = ["Copy", "judge", "patched"]


def patched(mutant: Mutant, root: Path = ROOT) -> str:
    """The text of the mutant's file with the mistake in it."""
    text = (root / mutant.file).read_text(encoding="utf-8")
    count = text.count(mutant.old)
    if count != 1:
        raise ValueError(f"{mutant.name!r}: the text to change occurs {count} times in {mutant.file}, expected once")
    return text.replace(mutant.old, mutant.new)


class Copy:
    """A temporary copy of the tree, with a cache for compiled code; a context manager."""

    def __init__(self, cache: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="symc-mutants-"))
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, self.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, self.folder / part)
        (self.folder / "symc_backends").symlink_to("backends")
        self.environment = os.environ | {
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # a patch of the same length in the same second would not be noticed
            "SYMC_CACHE": cache or str(self.folder / "cache"),
        }

    def __enter__(self) -> Copy:
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=self.environment, text=True, capture_output=True
        )

    def pytest(self, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests)

    def check(self) -> None:
        """Are the copy's packages those that its Python imports?"""
        found = self.python("-c", "import symc, symc_backends, lasagne_like as l; print(symc, symc_backends, l)")
        if found.stdout.count(str(self.folder)) != 3:
            raise RuntimeError(f"the copy is not what is imported: {found.stdout}{found.stderr}")

    def apply(self, mutant: Mutant) -> None:
        (self.folder / mutant.file).write_text(patched(mutant), encoding="utf-8")

    def restore(self, mutant: Mutant) -> None:
        shutil.copy(ROOT / mutant.file, self.folder / mutant.file)


def judge(copy: Copy, mutant: Mutant) -> tuple[str, str]:
    """``"killed"``, ``"survived"`` or ``"broken"`` (no test ran to its end), and what pytest said."""
    copy.apply(mutant)
    try:
        found = copy.pytest(mutant.tests)
    finally:
        copy.restore(mutant)
    verdict = {0: "survived", 1: "killed"}.get(found.returncode, "broken")
    return verdict, found.stdout + found.stderr


def main(arguments: Sequence[str]) -> int:
    words = [a for a in arguments if not a.startswith("-")]
    chosen = [m for m in MUTANTS if not words or any(w in m.name for w in words)]
    if "--list" in arguments:
        print(*[f"{m.name}  ({m.file})" for m in chosen], sep="\n")
        return 0
    failures = 0
    with Copy(os.environ.get("SYMC_CACHE")) as copy:
        copy.check()
        sound = not copy.pytest(sorted({test for m in chosen for test in m.tests})).returncode
        for mutant in chosen:
            start = time.perf_counter()
            # If tests fail without a mistake, only the mutants that count on these cannot be judged.
            clean = None if sound else copy.pytest(mutant.tests)
            verdict, said = ("broken", clean.stdout) if clean and clean.returncode else judge(copy, mutant)
            failures += verdict != "killed"
            print(f"{verdict:8} {time.perf_counter() - start:5.1f} s  {mutant.name}", flush=True)
            if verdict != "killed":
                print("    " + "\n    ".join(said.splitlines()[-15:]), flush=True)
    print(f"{len(chosen) - failures} of {len(chosen)} mutants were killed")
    return min(failures, 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
