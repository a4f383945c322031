"""symc.doctor: its findings, and that it never raises."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

import symc
from symc.doctor import Finding, Part, Report, attempt, doctor


def finding(report, part, name):
    (found,) = [f for p in report.parts if p.name == part for f in p.findings if f.name == name]
    return found


def run(code="", **environment):
    """``python -m symc.doctor``, or some code, in a process of its own; here nobody has a GPU."""
    command = ["-c", code] if code else ["-m", "symc.doctor"]
    given = {**os.environ, "SYMC_CACHE": symc.config.cache_dir, "SYMC_FLAGS": "", **environment}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=given, timeout=300)
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr, done.stderr
    return done


WITHOUT_PYCUDA = "import sys; sys.modules['pycuda'] = None; import symc; print(repr(symc.doctor()))"


def test_the_callable_is_the_module():
    assert callable(symc.doctor) and symc.doctor is sys.modules["symc.doctor"]
    assert "symc.doctor" in run("import symc, symc.doctor; print(repr(symc.doctor(quiet=True)))").stdout
    assert "doctor" in symc.__all__


def test_symc_does_not_load_it():
    code = "import sys, symc; print([m for m in sys.modules if m.startswith(('symc.doctor', 'symc_backends'))])"
    assert run(code).stdout.strip() == "[]"


def test_text_of_this_machine(capsys):
    report = doctor()
    text = capsys.readouterr().out
    assert text == f"{report}\n" and text.isascii()
    assert len(text.splitlines()) <= 36 and max(map(len, text.splitlines())) < 400
    assert [p.name for p in report.parts][:2] == ["symc", "c"] and {"cuda", "interp"} <= {p.name for p in report.parts}
    assert report.findings == [f for p in report.parts for f in p.findings]
    assert all(f.fix for f in report.findings if f.problem)
    assert all(f.found or f.problem for f in report.findings)
    quiet = doctor(quiet=True)
    assert capsys.readouterr().out == "" and repr(quiet).isascii()


def test_this_machines_compiler():
    report = doctor(quiet=True)
    if finding(report, "c", "compiler").problem:
        pytest.skip("there is no C compiler")
    assert report.ok and "works" in report.verdict()
    assert "are right" in finding(report, "c", "self-test").found
    assert "registers of" in finding(report, "c", "vectors").found
    assert finding(report, "c", "threads").found.split(",")[0].isdigit()
    assert "cache" in [f.name for f in report.parts[0].findings]


def test_as_a_command():
    done = run()
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "the default device, 'c', works"
    done = run(SYMC_FLAGS="device=abacus")
    assert done.returncode == 1 and "there is no back end 'abacus'" in done.stdout
    assert "set symc.config.device to one of c, cuda, interp" in done.stdout


def test_settings_that_were_changed():
    with symc.config.change(floatX="float64", threads=1):
        found = finding(doctor(quiet=True), "symc", "settings").found
    assert "floatX='float64'" in found and "threads=1" in found and "cache_dir" not in found


def test_without_a_compiler():
    with symc.config.change(compiler="nonexistent"):
        report = doctor(quiet=True)
    found = finding(report, "c", "compiler")
    assert not report.ok and found.grave and "'nonexistent' was not found" in found.problem
    assert found.fix == "install gcc or clang, or run: pip install ziglang"
    assert "!! compiler" in str(report)


def test_with_a_compiler_that_fails(tmp_path):
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o700)
    with symc.config.change(compiler=str(broken)):
        report = doctor(quiet=True)
    assert not report.ok and "status 3" in finding(report, "c", "compiler").problem


def test_with_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with symc.config.change(cache_dir=str(tmp_path / "file" / "cache")):
        report = doctor(quiet=True)
    found = finding(report, "symc", "cache")
    assert "directory" in found.problem and "symc.config.cache_dir" in found.fix
    assert report.ok and not finding(report, "c", "self-test").problem  # it works, and compiles anew in every process


@pytest.mark.skipif(os.name != "posix", reason="needs modes of files")
def test_a_cache_that_others_may_enter(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "one").write_bytes(b"12345")
    with symc.config.change(cache_dir=str(folder)):
        found = symc.doctor._cache()
        folder.chmod(0o777)
        assert "not cached" in symc.doctor._cache().problem and "chmod" in symc.doctor._cache().fix
    with symc.config.change(cache_dir="~nobody-of-this-name/cache"):
        assert "unknown" in symc.doctor._cache().problem
    assert "mode 0755, 1 files, 0.0 MB" in found.found and found.fix == f"run: chmod 700 {folder}"
    with symc.config.change(cache_dir=str(tmp_path / "new")):
        assert not symc.doctor._cache().problem
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_what_fails_is_a_finding():
    def fail():
        raise OSError("no\nluck")

    assert attempt("thing", fail, "try again", grave=True) == Finding("thing", "", "no luck", "try again", True)
    report = Report([Part("symc", []), Part("c", [Finding("a\u00e9", "b", "c", "d")])], "c")
    assert report.ok and " ! a\\xe9" in str(report) and "-> d" in str(report)
    assert not Report([Part("c", [Finding("a", "", "b", "c", grave=True)])], "c").ok


def test_back_ends_that_cannot_be_used(monkeypatch):
    monkeypatch.setattr(symc.doctor, "available", lambda: {"c": "symc_backends.no_such_module"})
    report = doctor(quiet=True)
    assert not report.ok and "No module named" in finding(report, "c", "back end").problem


# --- the GPU ----------------------------------------------------------------------------------------------------------


def test_without_pycuda():
    done = run(WITHOUT_PYCUDA)
    assert "PyCUDA     not installed" in done.stdout and "run: pip install 'symc[cuda]'" in done.stdout
    assert "the default device, 'c', works" in done.stdout
    done = run(WITHOUT_PYCUDA, SYMC_FLAGS="device=gpu")
    assert "!! PyCUDA" in done.stdout and "the default device, 'cuda', does not work" in done.stdout


def test_without_a_driver(monkeypatch):
    from symc_backends.cuda import examination, libraries

    monkeypatch.setattr(libraries, "find", lambda *n, **_: libraries.Found(None, "", f"{n[0]} was not found"))
    found = examination.examine()
    assert [f.name for f in found] == ["PyCUDA", "driver"]
    assert found[1].grave and found[1].problem == "libcuda.so.1 was not found" and "CUDA 12 or newer" in found[1].fix


def test_with_a_driver_that_is_no_library(tmp_path):
    (tmp_path / "libcuda.so.1").write_bytes(b"no library at all")
    done = run(SYMC_CUDA_LIBRARIES=str(tmp_path), SYMC_FLAGS="device=cuda")
    assert done.returncode == 1 and "install NVIDIA's driver" in done.stdout


DRIVER = """
import ctypes, sys
ctypes.CDLL({broken!r}, mode=ctypes.RTLD_GLOBAL)  # its functions come before those of the driver, loaded later
import symc
print(repr(symc.doctor()))
"""


@pytest.mark.parametrize("body, says", [
    ("int cuInit(unsigned flags) { return 999; }", "the NVIDIA driver does not start"),
    ("int cuDeviceGetCount(int *n) { *n = 0; return 0; }", "the NVIDIA driver finds no GPU"),
])  # fmt: skip
def test_with_a_driver_that_does_not_start(emulated_device, tmp_path, body, says):
    (tmp_path / "broken.c").write_text(body)
    broken = tmp_path / "broken.so"
    subprocess.run(["g++", "-x", "c", "-shared", "-fPIC", tmp_path / "broken.c", "-o", broken], check=True)
    done = run(DRIVER.format(broken=str(broken)), SYMC_CUDA_LIBRARIES=str(emulated_device), SYMC_FLAGS="device=cuda")
    assert says in done.stdout and "nvidia-smi" in done.stdout
    assert "cuBLAS     13" in done.stdout and "cuda', does not work" in done.stdout


def test_on_a_gpu(emulated_device):
    with symc.config.change(device="gpu"):
        report = doctor(quiet=True)
    assert report.ok and report.device == "cuda" and report.parts[1].name == "cuda"
    assert not any(f.problem for f in report.parts[1].findings)
    names = [f.name for f in report.parts[1].findings]
    assert names == ["PyCUDA", "driver", "GPU", "compiler", "cuBLAS", "cuDNN", "recordings", "self-test"]
    assert "GiB free" in finding(report, "cuda", "GPU").found
    assert finding(report, "cuda", "compiler").found.startswith("nvrtc ")


def test_on_a_gpu_without_libraries(emulated_device, monkeypatch):
    from symc_backends.cuda import blas, dnn, examination, libraries

    nothing = libraries.Found(None, "", "it was not found (refused; refused)")
    monkeypatch.setattr(blas, "_found", lambda: nothing)
    monkeypatch.setattr(dnn, "_open", lambda *_: None)
    found = {f.name: f for f in examination.examine()}
    assert "it was not found (refused; refused); symc's own kernels" in found["cuBLAS"].problem
    assert "pip install nvidia-cublas" in found["cuBLAS"].fix and not found["cuBLAS"].grave
    assert found["cuDNN"].problem and found["cuDNN"].fix == "install another version of cuDNN"
    monkeypatch.setattr(examination.Recording, "of", lambda *_: None)
    assert "CUDA graphs cannot be recorded" in examination._recordings().problem
