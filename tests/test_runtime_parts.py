"""The parts of the run-time library: each file is in one, and each is complete with ``core``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import symc
import symc.tensor as T

pytest.importorskip("cffi")
from symc.loops.calls import CALLS
from symc.loops.routines import ROUTINES
from symc_backends.c import library
from symc_backends.c.dialect import TAG

IN_CORE = {"product_in_steps"}
"""Calls of the part that every program loads: it decides on threads, and computes nothing."""


def test_every_file_has_a_part():
    files = {p.stem for p in library.sources()}
    assert set().union(*(library._files(part) for part in library.PARTS)) == files
    shared = [set(library._files(part)) for part in library.PARTS if not part.startswith(("products", "convolutions"))]
    assert sum(map(len, shared)) == len(set().union(*shared))


def test_every_call_is_exported_by_its_part():
    from symc_backends.c.build import runtime

    names = [(c, t) for c, spec in CALLS.items() for t in spec.tags]
    names += [(name, TAG[d]) for name, routine in ROUTINES.items() for d in routine.dtypes]
    for name, tag in names:
        symbol = f"symc_{name}_{tag}"
        assert (library.part_of(symbol) == "core") == (name in IN_CORE)
        assert getattr(runtime(), symbol) is not None


def test_a_program_loads_the_parts_that_it_calls(monkeypatch):
    from symc_backends.c.build import runtime

    asked = []
    monkeypatch.setattr(library.Runtime, "part", lambda self, name: asked.append(name))
    runtime().need("symc_parallel(a); symc_gemm_f32(b, p); symc_conv2d_forward_f64(b, p); symc_argsort_u8(b, p);")
    assert asked == ["convolutions_f64", "core", "products_f32", "sorting_unsigned"]


def test_settings_reach_parts_that_are_loaded_later():
    """A part that is loaded after a setting was changed follows it."""
    x, w = T.tensor4("x", dtype="float64"), T.tensor4("w", dtype="float64")
    with symc.config.change(conv_algorithm="panels"):
        f = symc.function([x, w], T.nnet.conv2d(x, w), profile=True)
        f(np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3)))
    assert "panels" in f.profile.summary()


def test_quotas_of_control_groups_limit_the_threads(tmp_path, monkeypatch):
    """Version 2, also of a group around this one; version 1; no quota; a path that is the host's."""
    from symc.runtime import processors

    membership, groups = tmp_path / "cgroup", tmp_path / "sys"
    inner = groups / "a" / "b"
    inner.mkdir(parents=True)

    def quotas(text):
        membership.write_text(text)
        return list(processors._quotas(membership, groups))

    assert quotas("0::/a/b\n") == []
    (inner / "cpu.max").write_text("max 100000\n")
    (groups / "a" / "cpu.max").write_text("250000 100000\n")
    assert quotas("0::/a/b\n") == [2.5] == quotas("0::/a\n")
    (groups / "cpu.max").write_text("150000 100000\n")
    assert quotas("0::/not/here\n") == [1.5]
    old = groups / "cpu" / "c"
    old.mkdir(parents=True)
    (old / "cpu.cfs_quota_us").write_text("-1\n")
    (old / "cpu.cfs_period_us").write_text("50000\n")
    assert quotas("3:cpuset:/c\n1:cpu,cpuacct:/c\n") == []
    (old / "cpu.cfs_quota_us").write_text("200000\n")
    assert quotas("3:cpuset:/c\n1:cpu,cpuacct:/c\n") == [4.0]
    assert list(processors._quotas(tmp_path / "none", groups)) == []

    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    for found, expected in (([2.5, 64.0], 2), ([0.5], 1), ([], 8)):
        monkeypatch.setattr(processors, "_quotas", lambda *_, found=found: iter(found))
        assert processors.usable() == expected


def test_a_change_of_the_library_compiles_only_what_depends_on_it(monkeypatch, tmp_path):
    """Kernels depend on the headers of generated code, a part of the library on its own C files and all headers."""
    import shutil

    folder = shutil.copytree(library.RUNTIME, tmp_path / "runtime")
    monkeypatch.setattr(library, "RUNTIME", folder)
    asked: list[str] = []
    monkeypatch.setattr(library.cache, "content", lambda name, make: asked.append(name) or b"")

    def forget() -> None:
        for remembered in (library.sources, library._headers, library.generated_code_depends_on):
            remembered.cache_clear()

    def names() -> list[str]:
        forget()
        asked.clear()
        for part in ("products_f32", "convolutions_f32", "matrices"):
            library.image(part, "")
        return [library.generated_code_depends_on(), *asked]

    try:
        changed = []
        seen = names()
        for file in ("products/gemm_f32.c", "products/tile.h", "kernels/vecmath.h"):
            with open(folder / file, "a") as f:
                f.write("\n")
            now = names()
            changed.append([a != b for a, b in zip(seen, now)])
            seen = now
    finally:
        monkeypatch.undo()
        forget()
    assert changed == [[False, True, True, False], [False, True, True, True], [True, True, True, True]]


def test_parts_share_the_object_files_of_products(monkeypatch, tmp_path):
    """Convolutions contain the products: what was compiled for one part, with the same flags, is linked into both."""
    calls = []

    def compile_side_by_side(jobs, output, include, what, ready=(), by=None):
        for job in jobs:
            Path(job.made).write_text(job.name)
        assert all(Path(path).read_text() == f"{Path(path).stem}.c" for path in ready)
        calls.append(({job.name for job in jobs}, {f"{Path(path).stem}.c" for path in ready}))
        Path(output).write_text(what)

    monkeypatch.setattr(library.toolchain, "compile_side_by_side", compile_side_by_side)
    with symc.config.change(cache_dir=str(tmp_path)):
        library.image("products_f32", "flags")
        library.image("convolutions_f32", "flags")
        library.image("convolutions_f32", "other flags")
    (products, none), (compiled, linked), (all_of_it, nothing) = calls
    assert "gemm_f32.c" in products and not none and not nothing
    assert linked == products and not compiled & products and "conv2d_f32.c" in compiled
    assert all_of_it == compiled | products


def test_a_part_that_is_loaded_later_is_compiled_as_the_settings_were(monkeypatch):
    asked = []
    monkeypatch.setattr(library, "_the_core", [object()])
    monkeypatch.setattr(library, "_load", lambda *args: asked.append(args))
    with symc.config.change(isa="scalar"):
        identity, by = library.toolchain.identity(), library.toolchain.command_line()
        narrow = library.Runtime(identity)
    assert by != library.toolchain.command_line()
    narrow.part("matrices")
    assert asked == [("matrices", identity, by)]
