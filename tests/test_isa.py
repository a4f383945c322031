"""``symc.config.isa``: representative kernels and products at each width, and instructions that the processor lacks."""

from __future__ import annotations

import subprocess
import sys

import pytest

import symc
from symc.config import environment
from symc.errors import CompileError

pytest.importorskip("cffi")
from symc_backends.c import toolchain

pytestmark = pytest.mark.skipif(toolchain.missing() is not None, reason="needs a C compiler")

PROGRAM = """
import numpy as np, symc, symc.tensor as T
from symc_backends.c.examination import _vectors
x, y = T.matrix("x"), T.matrix("y")
rng = np.random.default_rng(0)
a, b = (rng.normal(size=s).astype("float32") for s in ((37, 53), (53, 19)))
scalar = symc.config.isa == "scalar"  # the library's products at this width are those of tests/test_c_runtime.py
f = symc.function([x, y], [
    T.tanh(x[:, :19] * y[:37] if scalar else T.dot(x, y)), T.nnet.softmax(x), x.sum(0), x.max(1),
    T.exp(x) / (1 + T.sqr(x)), x.T + 1, T.argmax(x, axis=0), T.cast(x, "int32") * 3, T.tile(x, (100, 7)).sum(),
    T.cumsum(x, 0)[-1], (x > -9).all(),
])
w = a.astype("float64")
e = np.exp(w - w.max(1, keepdims=True))
want = [np.tanh(w[:, :19] * b[:37] if scalar else w @ b), e / e.sum(1, keepdims=True), w.sum(0), w.max(1),
        np.exp(w) / (1 + w**2), w.T + 1, w.argmax(0), a.astype("int32") * 3, 700 * w.sum(), w.sum(0), True]
for found, expected in zip(f(a, b), want):
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
assert ("v_f32" in f.fitting().text) != scalar
print(_vectors())
"""


def lacking(isa: str) -> bool:
    known = toolchain._cpu().split()
    return not all(name in known for name in toolchain._INSTRUCTIONS[isa])


@pytest.mark.parametrize("isa, width", [("avx512", 64), ("avx2", 32), ("sse", 16), ("scalar", 16)])
def test_kernels_at_each_width(isa, width):
    if lacking(isa):
        pytest.skip("this processor lacks these instructions")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment(SYMC_FLAGS=f"isa={isa}")
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"registers of {width} bytes, as set by symc.config.isa" in done.stdout


def test_instructions_that_the_processor_lacks(monkeypatch):
    monkeypatch.setattr(toolchain, "_cpu", lambda: "flags : ssse3 sse4_1 sse4_2 popcnt")
    monkeypatch.setattr(toolchain.cache, "read_text", lambda name: None)
    toolchain._machine_flags.cache_clear()
    toolchain._identity.cache_clear()
    try:
        with symc.config.change(isa="avx2"), pytest.raises(CompileError, match="'avx2'.* lacks avx2.* has sse"):
            toolchain.identity()
    finally:
        toolchain._machine_flags.cache_clear()
        toolchain._identity.cache_clear()
    with pytest.raises(ValueError, match="must be one of"):
        symc.config.isa = "mmx"


def test_flags_for_generated_code_that_a_compiler_does_not_know_are_left_out(tmp_path):
    """Those of gcc that others refuse, or report and ignore; the keys of the cache say which flags were used."""
    known = toolchain.kernel_flags()
    real = " ".join(toolchain.command(""))
    for name, met in (("refuses", "exit 1"), ("warns", 'case "$*" in *-Werror*) exit 1;; esac')):
        picky = tmp_path / name
        picky.write_text(f'#!/bin/sh\ncase "$*" in *{toolchain.KERNEL_FLAGS[0]}*) {met};; esac\nexec {real} "$@"\n')
        picky.chmod(0o755)
        with symc.config.change(compiler=str(picky)):
            assert not {*toolchain.KERNEL_FLAGS} & {*toolchain.kernel_flags()}
            assert toolchain.KERNEL_FLAGS[0] not in toolchain.identity()
    assert all(flag in toolchain.identity() for flag in known)


@pytest.mark.parametrize("isa, wide", [("avx512", True), ("avx2", True), ("sse", False), ("scalar", False)])
def test_gcc_combines_numbers_to_vectors_only_where_the_emitter_writes_none(isa, wide):
    if lacking(isa) or not toolchain._accepts(toolchain.command(""), ["-Werror", *toolchain.KERNEL_FLAGS]):
        pytest.skip("this processor lacks these instructions, or the compiler is not gcc")
    with symc.config.change(isa=isa):
        assert {*toolchain.KERNEL_FLAGS} <= {*toolchain.kernel_flags()}
        assert ({*toolchain.WIDE_KERNEL_FLAGS} <= {*toolchain.kernel_flags()}) == wide
