"""What a row of ``cpu.py`` is, and how a row of arrays runs in each library.

A row of arrays gives its arrays and one function per library from tensors to results, as a user of the library would
write it. With ``wrt``, the function returns a scalar, and a call also computes its gradients by these arguments. Rows
with ``state`` update these arguments, in place where the library can, and return the first result.

A built step takes no arguments and returns its results; all contestants return the same ones, which are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from contestants import Absent, Step

__all__ = ["ISA_FLAGS", "Row", "configure_symc", "normal", "shapes"]


@dataclass(frozen=True)
class Row:
    """One row: see the module's description. Each library's function gets the library's module first.

    ``flops`` are the operations of its products, in float64 counted twice, for registers hold half as many numbers;
    ``roots`` and ``quotients`` are those that no order of operations avoids, which bound a row whose arrays stay in a
    cache. ``numexpr`` evaluates an expression, ``numba`` returns the compiled function. Without ``tolerance``
    (infinity), results are random and not compared.
    """

    name: str
    title: str
    arrays: Callable[[bool], Sequence[np.ndarray]]
    symc: Callable[..., Any]
    torch: Callable[..., Any]
    jax: Callable[..., Any]
    wrt: tuple[int, ...] = ()
    state: int = 0
    tolerance: float = 1e-4
    flops: float = 0
    roots: float = 0
    quotients: float = 0
    numexpr: Callable[..., Any] | None = None
    numba: Callable[..., Any] | None = None
    checked: int = 3
    """Calls whose first results are compared; one where there is no state."""

    @property
    def steps(self) -> int:
        """Calls whose results are compared."""
        return self.checked if self.state else 1

    def traffic(self, quick: bool, results: Sequence[np.ndarray]) -> float:
        """The least bytes that a call moves: each argument and each result once."""
        arrays = self.arrays(quick)
        changed = sum(a.nbytes for a in arrays[: self.state])
        return float(sum(a.nbytes for a in arrays) + changed + sum(a.nbytes for a in results))

    def build(self, contestant: str, threads: int, quick: bool) -> Step:
        """The step of a contestant; raises ``Absent`` where it has none."""
        builder = _BUILDERS.get(contestant)
        if builder is None:
            raise Absent("")
        return builder(self, list(self.arrays(quick)), threads)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers in float32."""
    return np.random.default_rng(seed).standard_normal(shape, dtype="float32")


def shapes(*sizes: Sequence[int], dtype: str = "float32") -> Callable[[bool], list[np.ndarray]]:
    """Normal numbers of these shapes; long axes are a quarter as long in quick runs."""

    def arrays(quick: bool) -> list[np.ndarray]:
        return [normal(*(_shorter(s) if quick else s), seed=k).astype(dtype) for k, s in enumerate(sizes)]

    return arrays


def _shorter(shape: Sequence[int]) -> Sequence[int]:
    return [max(n // 4, 1) if n > 64 else n for n in shape]


# --- symc -------------------------------------------------------------------------------------------------------------

ISA_FLAGS = {"": "", "avx512": "", "avx2": "-march=x86-64-v3", "sse": "-march=x86-64-v2"}


def configure_symc(contestant: str, threads: int, isa: str = "") -> Any:
    """symc with this number of threads and, with ``isa``, narrower vectors than the processor's.

    The contestant may ask for products and convolutions of operands rounded to bfloat16.
    """
    import symc

    symc.config.threads = threads
    symc.config.cpu_precision = contestant.partition(", ")[2] or "float32"
    if isa and hasattr(symc.config, "isa"):
        symc.config.isa = isa
    elif isa:
        symc.config.cflags = ISA_FLAGS[isa]
    return symc


def _symc(row: Row, arrays: list[np.ndarray], threads: int) -> Step:
    import symc
    import symc.tensor as T

    state = [symc.shared(a) for a in arrays[: row.state]]
    inputs = [T.tensor(str(a.dtype), shape=(None,) * a.ndim) for a in arrays[row.state :]]
    out = row.symc(T, *state, *inputs)
    rest = arrays[row.state :]
    if row.state:
        result, *new = out
        f = symc.function(inputs, result, updates=list(zip(state, new)))
        return lambda: [f(*rest)]
    if row.wrt:
        f = symc.function(inputs, [out, *symc.grad(out, [inputs[k] for k in row.wrt])])
    else:
        f = symc.function(inputs, list(out) if isinstance(out, tuple | list) else [out])
    return lambda: f(*rest)


# --- PyTorch ----------------------------------------------------------------------------------------------------------


def _torch(row: Row, arrays: list[np.ndarray], threads: int, compiled: bool = False) -> Step:
    import torch

    tensors = [torch.from_numpy(a.copy()) for a in arrays]
    for k in row.wrt:
        tensors[k].requires_grad_()

    def run(*ts: Any) -> Any:
        return row.torch(torch, *ts)

    if compiled:
        torch.compiler.reset()  # else a second row would be compiled as one of unknown size
    f = torch.compile(run) if compiled else run
    wanted = [tensors[k] for k in row.wrt]

    def plain() -> Any:
        with torch.no_grad():
            out = f(*tensors)
            if row.state:
                for old, new in zip(tensors, out[1:]):
                    old.copy_(new)
                return out[:1]
        return out if isinstance(out, tuple | list) else [out]

    def differentiated() -> Any:
        out = f(*tensors)
        return [out.detach(), *torch.autograd.grad(out, wanted)]

    return differentiated if row.wrt else plain


def _compiled(row: Row, arrays: list[np.ndarray], threads: int) -> Step:
    return _torch(row, arrays, threads, compiled=True)


# --- JAX --------------------------------------------------------------------------------------------------------------


def _jax(row: Row, arrays: list[np.ndarray], threads: int) -> Step:
    import jax

    jax.config.update("jax_enable_x64", any(a.dtype == "float64" for a in arrays))

    def run(*operands: Any) -> Any:
        return row.jax(jax, *operands)

    f = jax.value_and_grad(run, argnums=row.wrt) if row.wrt else run
    values = [jax.numpy.asarray(a) for a in arrays]
    if row.state:
        f = jax.jit(f, donate_argnums=tuple(range(row.state)))

        def step() -> Any:
            result, *new = f(*values)
            values[: row.state] = new
            jax.block_until_ready(new)
            return [result]

        return step
    f = jax.jit(f)

    def call() -> Any:
        out = jax.block_until_ready(f(*values))
        if row.wrt:
            return [out[0], *out[1]]
        return out if isinstance(out, tuple | list) else [out]

    return call


# --- NumExpr and Numba ------------------------------------------------------------------------------------------------


def _numexpr(row: Row, arrays: list[np.ndarray], threads: int) -> Step:
    if row.numexpr is None:
        raise Absent("")
    import numexpr

    numexpr.set_num_threads(threads)
    evaluate = row.numexpr
    return lambda: [evaluate(numexpr, *arrays)]


def _numba(row: Row, arrays: list[np.ndarray], threads: int) -> Step:
    if row.numba is None:
        raise Absent("")
    import numba

    numba.set_num_threads(threads)
    f = row.numba(numba)
    return lambda: [f(*arrays)]


_BUILDERS: dict[str, Callable[[Row, list[np.ndarray], int], Step]] = {
    "symc": _symc,
    "torch": _torch,
    "torch.compile": _compiled,
    "jax": _jax,
    "numexpr": _numexpr,
    "numba": _numba,
}
