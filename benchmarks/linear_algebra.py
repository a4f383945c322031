"""Linear algebra beside NumPy, PyTorch and JAX, in one run.

    python benchmarks/linear_algebra.py                          every problem, every peer that is installed
    python benchmarks/linear_algebra.py solve svd --peers numpy  some problems and peers
    python benchmarks/linear_algebra.py --quick                  small sizes and few repeats: does it work at all?
    python benchmarks/linear_algebra.py --save linear_algebra    also write results/linear_algebra.json and .md; of some
                                                                 problems, the rows of the others are kept

Measured as by ``run.py``. A problem with a gradient computes the value of a cost, the sum of products of the result and
given weights, and the gradient by all operands. NumPy has no gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from contestants import Absent
from problems import Data, Problem

__all__ = ["CONTESTANTS", "PROBLEMS"]

Step = Callable[[], Any]

# --- the data ---------------------------------------------------------------------------------------------------------


def _side(quick: bool) -> int:
    return 64 if quick else 512


def _rng() -> np.random.Generator:
    return np.random.default_rng(5)


def _positive(quick: bool) -> Data:
    n = _side(quick)
    x, w = _rng().standard_normal((2, n, n)) / np.sqrt(n)
    return {"a": (x @ x.T + np.eye(n)).astype("float32"), "w": w.astype("float32")}


def _system(quick: bool) -> Data:
    n = _side(quick)
    x, b, w = _rng().standard_normal((3, n, n)) / np.sqrt(n)
    return {"a": (x + 3 * np.eye(n)).astype("float32"), "b": b.astype("float32"), "w": w.astype("float32")}


def _one_system(quick: bool) -> Data:
    found = _system(quick)
    return found | {"b": found["b"][:, :1].copy(), "w": found["w"][:, :1].copy()}


def _apart(quick: bool) -> Data:
    """A matrix whose singular values differ: gradients of singular vectors depend on their distances."""
    n = _side(quick)
    left, right, w = (np.linalg.qr(x)[0] for x in _rng().standard_normal((3, n, n)))
    return {"a": ((left * np.linspace(1, 3, n)) @ right).astype("float32"), "w": w.astype("float32")}


def _symmetric(quick: bool) -> Data:
    n = _side(quick)
    v, w = (np.linalg.qr(x)[0] for x in _rng().standard_normal((2, n, n)))
    a = (v * np.linspace(1, 3, n)) @ v.T
    return {"a": ((a + a.T) / 2).astype("float32"), "w": w.astype("float32")}


def _small(quick: bool) -> Data:
    n = 100 if quick else 10_000
    a, b, w = _rng().standard_normal((n, 8, 8)), *_rng().standard_normal((2, n, 8, 1))
    return {"a": (a + 4 * np.eye(8)).astype("float32"), "b": b.astype("float32"), "w": w.astype("float32")}


def _small_positive(quick: bool) -> Data:
    a = _small(quick)["a"]
    return {"a": a @ a.swapaxes(1, 2), "w": a}


# --- the problems: what is computed from the operands, in the vocabulary of a library --------------------------------


def _symmetrised(lib: Any, a: Any) -> Any:
    """The libraries differ in the gradients by the two triangles, but not in their sum."""
    return (a + lib.turned(a)) / 2


def _cholesky(lib: Any, a: Any) -> Any:
    return lib.cholesky(_symmetrised(lib, a))


def _solve(lib: Any, a: Any, b: Any) -> Any:
    return lib.solve(a, b)


def _svd(lib: Any, a: Any) -> Any:
    """The product of the singular vectors does not depend on their signs."""
    u, s, vt = lib.svd(a)
    return lib.product(u * s[0], vt)


def _eigh(lib: Any, a: Any) -> Any:
    w, v = lib.eigh(_symmetrised(lib, a))
    return lib.product(v * lib.sqrt(w), lib.turned(v))


FUNCTIONS: dict[str, tuple[str, Callable[..., Any], Callable[[bool], Data], float]] = {
    "cholesky": ("Cholesky factor of a 512 x 512 matrix", _cholesky, _positive, 1e-3),
    "solve": ("512 x 512 system with one right side", _solve, _one_system, 1e-3),
    "solve_many": ("512 x 512 system with 512 right sides", _solve, _system, 1e-3),
    "svd": ("singular value decomposition of a 512 x 512 matrix", _svd, _apart, 1e-2),
    "eigh": ("eigenvalues and eigenvectors of a symmetric 512 x 512 matrix", _eigh, _symmetric, 1e-2),
    "small": ("10,000 systems of 8 x 8", _solve, _small, 1e-3),
    "small_cholesky": ("Cholesky factors of 10,000 matrices of 8 x 8", _cholesky, _small_positive, 1e-2),
}

PROBLEMS: dict[str, Problem] = {}
for _name, (_title, _, _data, _tolerance) in FUNCTIONS.items():
    PROBLEMS[_name] = Problem(_name, _title, _data, _tolerance)
    PROBLEMS[f"{_name}_gradient"] = Problem(f"{_name}_gradient", f"{_title}, with gradient", _data, 20 * _tolerance)


def _chosen(problem: str) -> tuple[Callable[..., Any], bool]:
    name = problem.removesuffix("_gradient")
    return FUNCTIONS[name][1], name != problem


# --- the contestants --------------------------------------------------------------------------------------------------


def symc_step(problem: str, data: Data, threads: int) -> Step:
    import symc
    import symc.tensor as T
    from symc.tensor import nlinalg, slinalg

    symc.config.threads = threads

    class Library:
        cholesky, solve, eigh, sqrt, product = slinalg.cholesky, T.solve, nlinalg.eigh, T.sqrt, T.matmul

        @staticmethod
        def svd(a: Any) -> Any:
            return nlinalg.svd(a, full_matrices=False)

        @staticmethod
        def turned(a: Any) -> Any:
            return T.swapaxes(a, -1, -2)

    function, gradient = _chosen(problem)
    inputs = [T.tensor("float32", shape=tuple(1 if n == 1 else None for n in v.shape)) for v in data.values()]
    *operands, w = inputs
    result = function(Library, *operands)
    if not gradient:
        f = symc.function(operands, result)
        arrays = [v for k, v in data.items() if k != "w"]
        return lambda: f(*arrays)
    cost = (result * w).sum()
    g = symc.function(inputs, [cost, *T.grad(cost, operands)])
    return lambda: g(*data.values())[1]


def numpy_step(problem: str, data: Data, threads: int) -> Step:
    class Library:
        cholesky, solve, eigh, sqrt, product = np.linalg.cholesky, np.linalg.solve, np.linalg.eigh, np.sqrt, np.matmul

        @staticmethod
        def svd(a: Any) -> Any:
            return np.linalg.svd(a, full_matrices=False)

        @staticmethod
        def turned(a: Any) -> Any:
            return a.swapaxes(-1, -2)

    function, gradient = _chosen(problem)
    if gradient:
        raise Absent("NumPy has no gradients")
    operands = [v for k, v in data.items() if k != "w"]
    return lambda: function(Library, *operands)


def torch_step(problem: str, data: Data, threads: int) -> Step:
    import torch

    torch.set_num_threads(threads)

    class Library:
        cholesky, solve, eigh = torch.linalg.cholesky, torch.linalg.solve, torch.linalg.eigh
        sqrt, product = torch.sqrt, torch.matmul

        @staticmethod
        def svd(a: Any) -> Any:
            return torch.linalg.svd(a, full_matrices=False)

        @staticmethod
        def turned(a: Any) -> Any:
            return a.mT

    function, gradient = _chosen(problem)
    given = {k: torch.tensor(v) for k, v in data.items()}
    w = given.pop("w")
    operands = list(given.values())
    if not gradient:

        def value() -> Any:
            with torch.no_grad():
                return function(Library, *operands)

        return value
    for v in operands:
        v.requires_grad_()
    return lambda: torch.autograd.grad((function(Library, *operands) * w).sum(), operands)[0]


def jax_step(problem: str, data: Data, threads: int) -> Step:
    import jax
    import jax.numpy as jnp

    class Library:
        cholesky, solve, sqrt, product = jnp.linalg.cholesky, jnp.linalg.solve, jnp.sqrt, jnp.matmul

        @staticmethod
        def eigh(a: Any) -> Any:
            return jnp.linalg.eigh(a, symmetrize_input=False)

        @staticmethod
        def svd(a: Any) -> Any:
            return jnp.linalg.svd(a, full_matrices=False)

        @staticmethod
        def turned(a: Any) -> Any:
            return jnp.swapaxes(a, -1, -2)

    function, gradient = _chosen(problem)
    given = {k: jnp.asarray(v) for k, v in data.items()}
    w = given.pop("w")
    operands = list(given.values())
    if not gradient:
        f = jax.jit(lambda *vs: function(Library, *vs))
        return lambda: f(*operands).block_until_ready()

    def cost(*vs: Any) -> Any:
        return (function(Library, *vs) * w).sum()

    g = jax.jit(jax.value_and_grad(cost, argnums=tuple(range(len(operands)))))
    return lambda: jax.block_until_ready(g(*operands))[1][0]


CONTESTANTS: dict[str, tuple[str, Callable[[str, Data, int], Step]]] = {
    "symc": ("symc", symc_step),
    "numpy": ("numpy", numpy_step),
    "torch": ("torch", torch_step),
    "jax": ("jax", jax_step),
}
"""By name: the module that must be installed, and the builder of a step."""


if __name__ == "__main__":
    import run

    run.main(None, PROBLEMS, CONTESTANTS, "linear_algebra", rounds=3)
