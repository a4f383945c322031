"""CUDA C to machine code, and the search for NVIDIA's libraries; on the emulated GPU, and with nvcc where it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import symc
from symc.errors import CompileError

pytest.importorskip("cffi")

from symc_backends.cuda import compile as compiler  # noqa: E402
from symc_backends.cuda import kernels, libraries  # noqa: E402

KERNEL = '#include "base.cuh"\nextern "C" __global__ void one(int64_t *p) {{ p[0] = {value}; }}\n'
ARCHITECTURES = {
    "sm_75": {"f32": [-1], "f64": [0]},
    "sm_80": {"f32": [0], "f64": [-1]},
    "sm_90": {"f32": [0, -1], "f64": [0, -1]},
}
"""For each, which shapes of tiles are tried: the largest comes first, the smallest last."""


@pytest.fixture
def fresh_cache(tmp_path):
    with symc.config.change(cache_dir=str(tmp_path)):
        yield tmp_path


def test_a_text_is_compiled_once(emulated_device, fresh_cache, monkeypatch):
    runs = []
    real = compiler._nvrtc_compile
    monkeypatch.setattr(compiler, "_nvrtc_compile", lambda *words: runs.append(words) or real(*words))
    compiler._compiler_in.cache_clear()
    first = compiler.cubin(KERNEL.format(value=1), "sm_90")
    assert first == compiler.cubin(KERNEL.format(value=1), "sm_90") and len(runs) == 1
    compiler.cubin(KERNEL.format(value=2), "sm_90")
    compiler.cubin(KERNEL.format(value=1), "sm_80")
    assert len(runs) == 3
    names = sorted(path.suffix for path in fresh_cache.iterdir() if path.is_file())
    assert names == [".cubin"] * 3


def test_a_damaged_file_is_compiled_again(emulated_device, fresh_cache):
    good = compiler.cubin(KERNEL.format(value=3), "sm_90")
    (path,) = fresh_cache.glob("*.cubin")
    path.write_bytes(b"damaged")
    assert compiler.cubin(KERNEL.format(value=3), "sm_90")[:4] == good[:4] == b"\x7fELF"


def test_a_refusal_shows_the_compilers_words(emulated_device, fresh_cache):
    with pytest.raises(CompileError, match="no_such_name") as caught:
        compiler.cubin(KERNEL.format(value="no_such_name"), "sm_90")
    assert "sm_90" in str(caught.value) and "kernels.cu" in str(caught.value)
    assert not list(fresh_cache.glob("*.cubin"))


def test_headers_are_inlined_once():
    text = compiler.inlined('#include "gemm.cuh"\n#include "conv.cuh"\nint last;')
    assert '#include "' not in text
    assert text.count("struct Divisor {") == text.count("struct Conv {") == 1
    assert text.index("struct Divisor {") < text.index("void gemm(") < text.index("struct Conv {")
    assert text.splitlines()[-2:] == ['#line 3 "kernels.cu"', "int last;"]


def test_the_identity_names_the_compiler(emulated_device):
    assert compiler.problem() is None
    assert compiler.compiler_identity().startswith("nvrtc ")


def test_without_a_compiler_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(libraries, "nvcc", lambda: None)
    monkeypatch.setattr(libraries, "find", lambda *names, **_: libraries.Found(None, "", f"{names[0]} was not found"))
    compiler._compiler_in.cache_clear()
    try:
        assert "libnvrtc.so.13 was not found" in compiler.problem() and "pip install nvidia-" in compiler.problem()
    finally:
        compiler._compiler_in.cache_clear()


@pytest.mark.parametrize(
    "arch, known, target",
    [
        ("sm_90", [80, 90], "sm_90"),
        ("sm_89", [80, 86, 90], "sm_86"),
        ("sm_121", [100, 120], "sm_120"),
        ("sm_90", [], "sm_90"),
    ],
)
def test_young_gpus_get_the_code_of_their_family(arch, known, target):
    assert compiler._nearest(arch, known) == target


def test_a_gpu_of_no_known_family_is_refused():
    with pytest.raises(CompileError, match="sm_75, sm_90, but the GPU is sm_100"):
        compiler._nearest("sm_100", [90, 75])


# --- libraries --------------------------------------------------------------------------------------------------------


def test_the_users_folders_come_first(emulated_device):
    for name in ("libcuda.so.1", "libnvrtc.so.13"):
        found = libraries.find(name)
        assert found.library is not None and Path(found.path).parent == Path(emulated_device)


def test_a_library_that_is_nowhere_is_named():
    found = libraries.find("libsymc_nowhere.so.1", "libsymc_nowhere.so.0")
    assert found == (None, "", "libsymc_nowhere.so.1 was not found")


def test_a_library_that_does_not_load_is_passed_over_and_named(tmp_path):
    (tmp_path / "libsymc_broken.so.1").write_text("not a library")
    with symc.config.change(cuda_libraries=str(tmp_path)):
        found = libraries.find("libsymc_broken.so.1")
        assert found.library is None and "libsymc_broken.so.1 was not found" in found.reason
        assert str(tmp_path) in found.reason


@pytest.mark.parametrize("major, order", [(0, [13, 12]), (12, [12, 13]), (13, [13, 12]), (14, [13, 12])])
def test_versions_that_the_driver_runs_come_first(monkeypatch, major, order):
    monkeypatch.setattr(libraries, "driver_major", lambda: major)
    assert libraries.sonames("libnvrtc") == tuple(f"libnvrtc.so.{k}" for k in order)


def test_wheels_are_found_wherever_python_finds_packages(tmp_path, monkeypatch):
    for part in ("cudnn", "cu13"):
        (tmp_path / "nvidia" / part / "lib").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    folders = list(libraries._wheels())
    assert {str(tmp_path / "nvidia" / part / "lib") for part in ("cudnn", "cu13")} <= set(folders)


# --- the real compiler ------------------------------------------------------------------------------------------------


def every_kernel(shapes: dict[str, list[int]]) -> dict[str, str]:
    """All kernels that library calls may need; of the tiled ones those with the given shapes."""
    found = [kernels.round_to_bfloat16()]
    for number, dtype in enumerate(kernels.C_TYPES):
        for k in shapes[dtype]:
            shape = kernels.SHAPES[dtype][k]
            found.append(kernels.gemm(dtype, shape, bool(k), bool(number)))
            found += [kernels.conv(f"conv_{which}", dtype, shape) for which in WAYS]
        found += [kernels.direct(f"direct_{which}", dtype) for which in WAYS]
        found += [kernels.pool(which, dtype) for which in ("pool_forward", "pool_backward", "pool_max_grad_grad")]
        found.append(kernels.combine(dtype))
    return {kernel.name: kernel.text for kernel in found}


WAYS = ("forward", "backward_data", "backward_weights")


def in_one(texts: dict[str, str]) -> str:
    """Many generated files as one."""
    heads, bodies = zip(*(text.split("\n\n", 1) for text in texts.values()))
    return "\n".join([*dict.fromkeys(heads), *bodies])


@pytest.mark.skipif(libraries.nvcc() is None, reason="needs nvcc")
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_nvcc_compiles_every_kernel(arch, tmp_path):
    (tmp_path / "all.cu").write_text(compiler.inlined(in_one(every_kernel(ARCHITECTURES[arch]))))
    command = [libraries.nvcc(), "-cubin", f"-arch={arch}", "--std=c++17", "-Werror", "all-warnings", "-o", "all.cubin"]
    done = subprocess.run([*command, "all.cu"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(libraries.nvcc() is None, reason="needs nvcc")
def test_nvcc_serves_where_there_is_no_nvrtc(fresh_cache, monkeypatch):
    monkeypatch.setattr(libraries, "find", lambda *names, **_: libraries.Found(None, "", f"{names[0]} was not found"))
    compiler._compiler_in.cache_clear()
    try:
        assert compiler.compiler_identity().startswith("nvcc")
        assert compiler.cubin(KERNEL.format(value=1), "sm_90")[:4] == b"\x7fELF"
        with pytest.raises(CompileError, match="no_such_name"):
            compiler.cubin(KERNEL.format(value="no_such_name"), "sm_90")
    finally:
        compiler._compiler_in.cache_clear()
