"""Check the GPU back end on this machine: tests, accuracy, and speed compared with PyTorch, JAX and CuPy.

    python benchmarks/gpu_check.py                        everything; figures go to benchmarks/results/gpu.json
    python benchmarks/gpu_check.py --json $OUT/gpu.json   ... or elsewhere
    python benchmarks/gpu_check.py --parts speed --problems vgg_train_32_tf32 chain_100M
    python benchmarks/gpu_check.py --emulate              does the script work? On the tests' emulated GPU, tiny sizes

Every part runs in its own processes, with a time limit, so that a crash or a hang loses only that part. Without a GPU
it reports that in one sentence and writes nothing.

Packages that are missing (PyCUDA) are installed from a folder of wheels, without network; symc itself is used from
this checkout.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import gpu_contest
import gpu_table
from gpu_contestants import CONTESTANTS
from gpu_problems import PROBLEMS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PARTS = ("tests", "accuracy", "speed")
WHEELS = (ROOT.parent / "shared" / "gpu" / "wheels", ROOT / "shared" / "gpu" / "wheels")
TESTS_SECONDS, ACCURACY_SECONDS = 130.0, 75.0
LAST_SECONDS = 10.0
"""Kept for the table."""
LOOK = """
import json, symc
report = symc.doctor(quiet=True)
found = {f.name: f.found for part in report.parts if part.name == "cuda" for f in part.findings}
wrong = [f"{f.name}: {f.problem}; {f.fix}" for part in report.parts if part.name == "cuda" for f in part.findings
         if f.grave]
print(json.dumps({"ok": report.ok, "found": found, "problem": (wrong or [report.verdict()])[0], "text": str(report)}))
"""


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(f"gpu_check: {text}", file=sys.stderr, flush=True)


# --- the environment --------------------------------------------------------------------------------------------------


def has_driver() -> bool:
    """Is there any driver to be tried? Nothing is installed where there is none."""
    folders = [f for f in os.environ.get("SYMC_CUDA_LIBRARIES", "").split(os.pathsep) if f]
    for name in [os.path.join(folder, "libcuda.so.1") for folder in folders] + ["libcuda.so.1"]:
        try:
            ctypes.CDLL(name)
            return True
        except OSError:
            continue
    return False


def install(folder: Path | None, python: str) -> list[str]:
    """Install what is missing from the wheels in ``folder`` for ``python``; what was installed, or why it was not."""
    done = []
    for name in sorted({path.name.split("-")[0] for path in folder.glob("*.whl")} if folder else []):
        if python == sys.executable and _installed(name):
            continue
        command = [sys.executable, "-m", "pip"] + ([] if python == sys.executable else ["--python", python])
        command += ["install", "-q", "--no-index", "--no-deps", "--no-cache-dir", "--find-links", str(folder), name]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = found.stderr.strip().splitlines() or [f"pip ended with {found.returncode}"]
        done.append(name if found.returncode == 0 else f"{name} was not installed: {lines[-1]}")
        say(done[-1])
    return done


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def fresh(folder: Path) -> str:
    """The interpreter of a new virtual environment that sees this one's packages (PyTorch and its like)."""
    venv.create(folder, system_site_packages=True)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    there = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    seen = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
    Path(there, "outer.pth").write_text("\n".join(seen) + "\n")
    return str(python)


def environment(links: Path, emulate: bool) -> dict[str, str]:
    """Variables of all processes: symc from this checkout, peers that leave each other room."""
    for name, target in (("symc", "symc"), ("symc_backends", "backends"), ("lasagne_like", "lasagne_like")):
        (links / name).symlink_to(ROOT / target)
    given = {k: v for k, v in os.environ.items() if k not in ("SYMC_FLAGS", "SYMC_TEST_GPU")}
    paths = [str(links), *filter(None, [given.get("PYTHONPATH")])]
    given |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    given |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_CPP_MIN_LOG_LEVEL": "2"}
    if emulate:
        ask = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); from cuda_emulator import emulator"
        command = [sys.executable, "-c", f"{ask}; print(emulator.problem() or emulator.libraries())"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=given)
        given["SYMC_CUDA_LIBRARIES"] = done.stdout.strip()
    return given


def look(given: dict[str, str]) -> dict[str, Any]:
    """What ``symc.doctor`` says with the GPU as the default device."""
    command = [sys.executable, "-c", LOOK]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=180, check=False,
            env={**given, "SYMC_FLAGS": "device=cuda"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"ok": False, "problem": "the driver does not answer within 180 seconds; check it with nvidia-smi"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"ok": False, "problem": f"the process that looked for it ended with {done.returncode}: {last}"}
    return json.loads(done.stdout.splitlines()[-1])


# --- tests and accuracy -----------------------------------------------------------------------------------------------


def run_tests(given: dict[str, str], seconds: float, chosen: list[str], emulate: bool) -> dict[str, Any]:
    """Run the tests that ask for a GPU, on the real one; what passed, failed and was skipped, also if time ran out."""
    files = [p for p in sorted((ROOT / "tests").rglob("test_*.py")) if p.parent.name != "cuda_emulator"]
    files = [p for p in files if "emulated_device" in p.read_text(encoding="utf-8")]
    longest_last = [str(p) for p in sorted(files, key=lambda p: (p.name == "test_cuda_ops.py", p))]
    command = [sys.executable, "-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider", *(chosen or longest_last)]
    workers = max(1, min(14, (os.cpu_count() or 1) - 1))
    if not emulate:
        given = {**given, "SYMC_TEST_GPU": "1"}
        try:
            importlib.metadata.version("pytest-xdist")
            command += ["-n", str(workers)]
        except importlib.metadata.PackageNotFoundError:
            pass
    with tempfile.TemporaryFile("w+") as log:
        started = time.monotonic()
        ended = gpu_contest.finished(command, given, seconds, log, ROOT)
        log.seek(0)
        text = log.read()
    counts = {word: len(re.findall(rf"\b{word}\b", text)) for word in ("PASSED", "FAILED", "ERROR", "SKIPPED")}
    failed = sorted(set(re.findall(r"(?:FAILED|ERROR)\s+(tests/\S+)", text)))
    if failed or not counts["PASSED"]:
        say("the tests' last words: " + text[-20000:])
    return {
        "passed": counts["PASSED"], "failed": len(failed), "skipped": counts["SKIPPED"], "names": failed,
        "complete": ended, "seconds": time.monotonic() - started,
    }  # fmt: skip


def run_accuracy(given: dict[str, str], seconds: float, chosen: list[str], tiny: bool) -> list[dict[str, Any]]:
    """The rows of ``gpu_accuracy.py``; those that it did not reach are missing."""
    command = [sys.executable, str(HERE / "gpu_accuracy.py"), *chosen, *(["--tiny"] if tiny else [])]
    process = gpu_contest.Process(command, given)
    rows = []
    end = time.monotonic() + seconds
    while (row := process.read(end - time.monotonic())) is not None:
        rows.append(row)
        if row.get("failed") or row.get("error", 0) > row.get("bound", 0):
            say(f"accuracy: {row}")
    said = process.close()
    if said and not rows:
        say(f"accuracy ended early: {said}")
    return rows


# --- all of it --------------------------------------------------------------------------------------------------------


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to do (default: all)")
    add("--skip", nargs="+", choices=PARTS, default=[], help="what to leave out")
    add("--problems", nargs="+", metavar="NAME", help=f"problems to measure, of {len(PROBLEMS)}; a prefix will do")
    add("--contestants", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS), metavar="NAME",
        help=f"some of: {', '.join(CONTESTANTS)} (default: all that are installed)")  # fmt: skip
    add("--tests", default="", metavar="ARGS", help="arguments for pytest, such as 'tests/test_cuda_ops.py -k softmax'")
    add("--cases", nargs="+", default=[], metavar="TITLE", help="what to compare with float64; a prefix will do")
    add("--minutes", type=float, default=7.5, help="for everything (default: %(default)s)")
    add("--wheels", type=Path, metavar="DIR", help="install what is missing from here, without network")
    add("--venv", type=Path, metavar="DIR", help="make this virtual environment and install there")
    add("--json", type=Path, default=HERE / "results" / "gpu.json", metavar="PATH", help="default: %(default)s")
    add("--require", action="store_true", help="without a GPU, exit with status 3")
    add("--emulate", action="store_true", help="tiny sizes on the emulated GPU; figures mean nothing, none is kept")
    options = parser.parse_args(argv)
    chosen = options.problems or list(PROBLEMS)
    options.problems = [name for name in PROBLEMS if any(name.startswith(prefix) for prefix in chosen)]
    if not options.problems:
        parser.error(f"no problem is called so; there are {', '.join(PROBLEMS)}")
    options.parts = [p for p in PARTS if p in options.parts and p not in options.skip]
    if options.wheels is None:
        options.wheels = next((folder for folder in WHEELS if folder.is_dir()), None)
    return options


def check(options: argparse.Namespace, links: Path, started: float) -> int:
    """Everything but the environment; the status to exit with."""

    def left() -> float:
        return 60 * options.minutes - (time.monotonic() - started) - LAST_SECONDS

    given = environment(links, options.emulate)
    found = look(given)
    if "emulated" in found.get("found", {}).get("GPU", "") and not options.emulate:
        found = {"ok": False, "problem": "the GPU is the tests' emulated one, and --emulate was not given"}
    if not found["ok"]:
        print(f"No GPU can be used here, so nothing was measured: {found['problem']}.")
        return 3 if options.require else 0
    say("\n" + found["text"])
    record: dict[str, Any] = {"machine": found["found"]}
    if "tests" in options.parts:
        say("tests")
        record["tests"] = run_tests(given, min(TESTS_SECONDS, left()), shlex.split(options.tests), options.emulate)
    if "accuracy" in options.parts:
        record["accuracy"] = run_accuracy(given, min(ACCURACY_SECONDS, left()), options.cases, options.emulate)
    if "speed" in options.parts:
        names = ["symc"] if options.emulate else options.contestants
        record["speed"] = gpu_contest.contest(names, options.problems, left, given, options.emulate, say)
    record["seconds"] = time.monotonic() - started
    if not options.emulate:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(record, indent=1).replace(str(ROOT) + os.sep, "")
        options.json.write_text(text + "\n")
    print("\n".join(gpu_table.lines(record, options.emulate, None if options.emulate else options.json)))
    return 0


def main(argv: list[str] | None = None) -> int:
    started = time.monotonic()
    options = parse(argv)
    if not options.emulate:
        if not has_driver():
            print("No GPU can be used here, so nothing was measured: there is no NVIDIA driver (libcuda.so.1).")
            return 3 if options.require else 0
        if options.venv is not None and Path(sys.prefix).resolve() != options.venv.resolve():
            python = fresh(options.venv)
            install(options.wheels, python)
            os.execv(python, [python, str(HERE / "gpu_check.py"), *(sys.argv[1:] if argv is None else argv)])
        install(options.wheels, sys.executable)
    with tempfile.TemporaryDirectory() as links:
        return check(options, Path(links), started)


if __name__ == "__main__":
    raise SystemExit(main())
