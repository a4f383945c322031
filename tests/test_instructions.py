"""Instructions in the loops of eight kernels, counted in the assembly for AVX2: no run, and no timing, is needed.

A limit is a fifth above what GCC 12 makes, where a map's stores past the caches count as loops of their own, and so do
the two forms of rows whose length is known only in a call. Raise one
only if the kernel got better in another way, which the commit says; lower it when the code gets shorter.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import symc.tensor as T

pytest.importorskip("cffi")
from symc.compiler.passes import State, compile_graph
from symc_backends.c import toolchain
from symc_backends.c.emit import emit
from symc_backends.c.library import RUNTIME


def expression(formula):
    x, y = T.fmatrix("x"), T.fmatrix("y")
    program = compile_graph(State("f", [x, y], [formula(x, y)], [])).program
    assert program is not None
    return emit(program)


def layer_norm(x):
    return (x - x.mean(1, keepdims=True)) / T.sqrt(T.var(x, 1, keepdims=True) + 1e-5)


# The instructions of the longest loop, and of all innermost loops with vectors together.
KERNELS = {
    "exp": (lambda: expression(lambda x, y: T.exp(x)), 98, 193),
    "activation": (lambda: expression(lambda x, y: T.tanh(x) * T.nnet.sigmoid(y)), 218, 640),
    # With a form for rows of a few elements.
    "rectifier": (lambda: expression(lambda x, y: T.maximum(x + y[0], 0)), 74, 333),
    "sum of rows": (lambda: expression(lambda x, y: (x * y).sum(1)), 59, 281),
    # Rows meet in registers before they meet the accumulators of a wide block.
    # Eight rows from eight places, each with an address of its own; another kernel combines the parts.
    "maximum of columns": (lambda: expression(lambda x, y: x.max(0)), 305, 1300),
    "softmax": (lambda: expression(lambda x, y: T.nnet.softmax(x)), 146, 820),
    "layer normalisation": (lambda: expression(lambda x, y: layer_norm(x)), 230, 832),
    "product": (lambda: (RUNTIME / "products" / "tile_f32.c").read_text(), 80, 1170),
}


def assembly(text: str) -> str:
    own = (*toolchain.KERNEL_FLAGS, *toolchain.WIDE_KERNEL_FLAGS) if "KERNEL" in text else ()
    command = ["gcc", *toolchain.FLAGS, *own, "-march=x86-64-v3", f"-I{RUNTIME}", f"-I{RUNTIME / 'products'}"]
    done = subprocess.run(
        [*command, "-S", "-x", "c", "-", "-o", "-"], input=text, capture_output=True, text=True, check=True
    )
    return done.stdout


def loops(text: str) -> list[int]:
    """The instructions of each innermost loop that uses vector registers."""
    labels: dict[str, int] = {}
    spans: list[tuple[int, int]] = []
    instructions: list[str] = []
    for line in text.splitlines():
        if (label := re.match(r"(\.?\w+):", line)) is not None:
            labels[label[1]] = len(instructions)
        elif re.match(r"\t[a-z]", line):
            instructions.append(line)
            jump = re.match(r"\tj\w+\s+(\.L\w+)", line)
            if jump is not None and jump[1] in labels:
                spans.append((labels[jump[1]], len(instructions)))
    inner = [s for s in spans if not any(o != s and s[0] <= o[0] and o[1] <= s[1] for o in spans)]
    return [end - start for start, end in inner if any("%ymm" in line for line in instructions[start:end])]


def test_the_counter_finds_innermost_vector_loops():
    text = "f:\n.L1:\n\tmovq %rax, %rbx\n.L2:\n\tvaddps %ymm0, %ymm1, %ymm1\n\tjne .L2\n\tjmp .L1\n"
    text += ".L3:\n\tincq %rax\n\tjb .L3\n"
    assert loops(text) == [2]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the limits are those of GCC")
def test_kernels_take_no_more_instructions_than_they_did():
    if "x86_64" not in subprocess.run(["gcc", "-dumpmachine"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("the limits are those of x86-64")
    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(assembly, [make() for make, *_ in KERNELS.values()]))
    found = {}
    for (name, (_, longest, together)), text in zip(KERNELS.items(), texts):
        counts = loops(text)
        found[name] = (max(counts), sum(counts), longest, together)
    too_many = {name: counts for name, counts in found.items() if counts[0] > counts[2] or counts[1] > counts[3]}
    assert not too_many, "longest loop, all loops, and their limits: " + str(too_many)
