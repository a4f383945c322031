"""Code generation: a program of the loop IR as CUDA C, one function per distinct launch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symc.loops.ir import Host, Kernel, Load, Program, Statement
from symc_backends.cuda.dialect import CTYPE
from symc_backends.cuda.mapping import Launch, LibraryLaunch, actions_of
from symc_backends.cuda.threads import Threads
from symc_backends.cuda.tiles import Tiles, is_tiled

__all__ = ["LONGEST_BLOCK", "SEPARATOR", "Start", "emit", "starts_of"]

SEPARATOR = "// ----"
"""A separator of functions, so that a long text can be compiled in parts."""
LONGEST_BLOCK = 512
"""Threads of the largest block, which leaves 128 registers per thread."""


@dataclass(frozen=True)
class Start:
    """A launch with the name of its function.

    A ``guarded`` launch does nothing if its last argument, the program's status, indicates an earlier error. A launch
    that may set the status itself reads a copy made before it, so that no thread exits early because of another.
    """

    name: str
    threads: Threads
    guarded: bool


def emit(program: Program) -> str:
    """Generate the functions of all launches; the result of ``starts_of`` is stored in the program's notes."""
    functions: dict[str, str] = {}
    known: dict[int, list[Start | LibraryLaunch]] = {}
    steps: list[list[Start | LibraryLaunch]] = []
    guarded = any(b.role == "status" for b in program.buffers)
    for step in program.steps:
        if isinstance(step, Host):
            steps.append([])
            continue
        found = known.get(id(step.kernel))
        if found is None:
            found = known[id(step.kernel)] = _starts(step.kernel, functions, guarded)
        steps.append(found)
    program.notes["cuda starts"] = steps
    head = '#include "thread_group.cuh"\n'
    if any("of_half" in text or "half_of" in text for text in functions):
        head += '#include "half.cuh"\n'
    if any("sm_bfloat16_" in text for text in functions):
        head += '#include "bfloat16.cuh"\n'
    return "\n".join([head, *[f"{SEPARATOR}\n{text.replace('@', name)}" for text, name in functions.items()]])


def starts_of(program: Program) -> list[list[Start | LibraryLaunch]]:
    """The launches of each step of a program; none for steps in Python."""
    if "cuda starts" not in program.notes:
        emit(program)
    return program.notes["cuda starts"]


def _starts(kernel: Kernel, functions: dict[str, str], guarded: bool) -> list[Start | LibraryLaunch]:
    found: list[Start | LibraryLaunch] = []
    for action in actions_of(kernel):
        if isinstance(action, LibraryLaunch):
            found.append(action)
            continue
        threads = Tiles(kernel, action) if is_tiled(action) else Threads(kernel, action)
        text = _function(kernel, action, threads, guarded)
        found.append(Start(functions.setdefault(text, f"k{len(functions)}"), threads, guarded))
    return found


def _function(kernel: Kernel, launch: Launch, threads: Threads, guarded: bool) -> str:
    """Generate one ``__global__`` function; ``@`` is replaced by its name."""
    parameters = [
        f"{'' if k in kernel.writes else 'const '}{CTYPE[dtype]} *b{k}" for k, dtype in enumerate(kernel.buffers)
    ]
    parameters += [f"const int64_t n{k}_" for k in range(kernel.dims)]
    lines = [f"const idx n{k} = (idx)n{k}_; (void)n{k};" for k in range(kernel.dims)]
    if threads.arrays:
        parameters += ["char *spare_", "const int64_t own_bytes_"]
        lines += [
            "extern __shared__ __align__(16) char shared_[];",
            "char *mine_ = spare_ ? spare_ + (blockIdx.x * (int64_t)blockDim.y + threadIdx.y) * own_bytes_",
            "                     : shared_ + threadIdx.y * own_bytes_;",
        ]
    if guarded:
        parameters.append("const int64_t *status_")
        lines.append("if (*status_) return;")
    if launch.shape == "flat":
        lines += [
            "const idx lane_ = (idx)blockIdx.x * blockDim.x + threadIdx.x, group_size_ = (idx)gridDim.x * blockDim.x;",
            *_before(threads, launch.before),
            *threads.lines,
        ]
    else:
        lines.append("const idx lane_ = threadIdx.x, group_size_ = blockDim.x; (void)lane_; (void)group_size_;")
        own = ["char *own_ = mine_;"] if threads.arrays else []
        if launch.loop is None:
            lines += [*own, *threads.lines]
        else:
            o = launch.loop.index
            groups, first = "blockDim.y", "(idx)blockIdx.x * blockDim.y + threadIdx.y"
            if isinstance(threads, Tiles):
                groups, first = "1", "(idx)blockIdx.x"
            lines += [
                *_before(threads, launch.before),
                f"const idx count_ = {threads.indices.position(launch.loop.extent)};",
                f"for (idx {o} = {first}; {o} < count_; {o} += (idx)gridDim.x * {groups}) {{",
                *own,
                *threads.lines,
                "}",
            ]
    head = f'extern "C" __global__ void __launch_bounds__({LONGEST_BLOCK}) @({", ".join(parameters)}) {{'
    return "\n".join([f"// {kernel.name}", head, *lines, "}", ""])


def _before(threads: Threads, statements: Sequence[Statement]) -> list[str]:
    lines = []
    for s in statements:
        if isinstance(s, Load):
            lines.append(threads.indices.loaded(s, f"{s.buffer}[{threads.indices.position(s.index)}]"))
        else:
            lines.append(threads.indices.defined(s))  # type: ignore[arg-type]
    return lines
