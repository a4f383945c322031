"""What g++ takes for the emulated GPU, NVIDIA's own compiler must take too: the kernels of every op's cases, for three
architectures; where the toolkit is."""

from __future__ import annotations

import re
import subprocess
from functools import cache

import numpy as np
import pytest
from test_ops import CASES, as_list, fill, variables

import symc
import symc_backends.cuda
import symc_backends.interp
from symc_backends.cuda import libraries
from symc_backends.cuda.compile import inlined
from symc_backends.cuda.emit import SEPARATOR, emit


@cache
def kernels() -> str:
    """The distinct kernels of all ops, as one text, with the loops that suit a GPU."""
    found: dict[str, None] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symc_backends.interp, "target", symc_backends.cuda.target, raising=False)
        _collect(found)
    return inlined(
        "\n".join(
            [
                '#include "thread_group.cuh"',
                '#include "bfloat16.cuh"',
                *(t.replace("@", f"k{n}") for n, t in enumerate(found)),
            ]
        )
    )


def _collect(found: dict[str, None]) -> None:
    for case in (p.values[0] for p in CASES):
        arrays = [fill(a, "float32", np.random.default_rng(7)) for a in case.args]
        inputs = variables(case, arrays, static=False)
        out = as_list(case.build(*inputs))
        state = symc.function(inputs, out, device="interp", on_unused_input="ignore").specialisation.state
        for text in emit(state.program).split(SEPARATOR)[1:]:
            found.setdefault(re.sub(r" k\d+\(", " @(", text, count=1))


@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_kernels_of_all_ops(arch, tmp_path):
    compiler = libraries.nvcc()
    if compiler is None:
        pytest.skip("nvcc is not here")
    source = tmp_path / "kernels.cu"
    source.write_text(kernels())
    assert kernels().count("__global__") > 200
    done = subprocess.run(
        [
            compiler,
            "-cubin",
            f"-arch={arch}",
            "--std=c++17",
            "-Werror",
            "all-warnings",
            "-o",
            str(tmp_path / "k"),
            str(source),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:4000] + done.stdout[:4000]
