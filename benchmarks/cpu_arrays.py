"""Rows of ``cpu.py`` that compute with arrays: reductions, normalisations, layouts, gathers, products, updates.

A row is written once per library, as a user of the library would write it; see ``cpu_rows.Row``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from cpu_rows import Row, normal, shapes

__all__ = ["ROWS"]


RATE = 1e-6
SQUARE = shapes((4096, 4096))
CUBE = shapes((64, 256, 1024))
LABELS = 1000


def _over(axis: int, name: str) -> dict[str, Any]:
    def symc(T: Any, x: Any) -> Any:
        return getattr(x, name)(axis=axis)

    def torch(torch: Any, x: Any) -> Any:
        return {"sum": torch.sum, "max": torch.amax, "argmax": torch.argmax}[name](x, dim=axis)

    def jax(jax: Any, x: Any) -> Any:
        return getattr(jax.numpy, name)(x, axis=axis)

    return {"symc": symc, "torch": torch, "jax": jax}


def _classes(quick: bool) -> list[np.ndarray]:
    n = 1024 if quick else 8192
    return [normal(n, LABELS), np.random.default_rng(1).integers(0, LABELS, n)]


def _crossentropy_symc(T: Any, x: Any, y: Any) -> Any:
    return T.nnet.categorical_crossentropy(T.nnet.softmax(x), y).mean()


def _crossentropy_jax(jax: Any, x: Any, y: Any) -> Any:
    return -jax.numpy.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1).mean()


def _layer_norm_symc(T: Any, x: Any, g: Any, b: Any, w: Any) -> Any:
    centred = x - x.mean(1, keepdims=True)
    return ((centred / T.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * g + b) * w).sum()


def _layer_norm_jax(jax: Any, x: Any, g: Any, b: Any, w: Any) -> Any:
    centred = x - x.mean(1, keepdims=True)
    return ((centred / jax.numpy.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * g + b) * w).sum()


def _batch_norm_symc(T: Any, x: Any, g: Any, b: Any) -> Any:
    g, b = (v.dimshuffle("x", 0, "x", "x") for v in (g, b))
    mean = x.mean((0, 2, 3), keepdims=True)
    var = T.var(x, (0, 2, 3), keepdims=True)
    return T.nnet.relu((x - mean) / T.sqrt(var + 1e-5) * g + b)


def _batch_norm_torch(torch: Any, x: Any, g: Any, b: Any) -> Any:
    return torch.relu(torch.nn.functional.batch_norm(x, None, None, g, b, training=True))


def _batch_norm_jax(jax: Any, x: Any, g: Any, b: Any) -> Any:
    g, b = (v[None, :, None, None] for v in (g, b))
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return jax.nn.relu((x - mean) / jax.numpy.sqrt(var + 1e-5) * g + b)


def _weighted(f: Callable[..., Any]) -> Callable[..., Any]:
    """The scalar product of a function's result with its last argument, so that its gradient is not trivial."""
    return lambda lib, *arguments: (f(lib, *arguments[:-1]) * arguments[-1]).sum()


IMAGES = ((32, 64, 56, 56), (64,), (64,))


def _options(quick: bool) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    n = 500_000 if quick else 4_000_000
    return [(low + (high - low) * rng.random(n)).astype("float32") for low, high in ((10, 50), (10, 50), (0.1, 2))]


def _black_scholes(log: Any, sqrt: Any, exp: Any, erf: Any) -> Callable[..., Any]:
    def price(lib: Any, s: Any, k: Any, t: Any) -> Any:
        f = [m(lib) for m in (log, sqrt, exp, erf)]
        ln, root, e, error = f
        d1 = (ln(s / k) + (0.1 + 0.5 * 0.2**2) * t) / (0.2 * root(t))
        d2 = d1 - 0.2 * root(t)
        return s * (0.5 + 0.5 * error(d1 * 0.7071067811865476)) - k * e(-0.1 * t) * (
            0.5 + 0.5 * error(d2 * 0.7071067811865476)
        )

    return price


def _distances(T: Any, x: Any, y: Any) -> Any:
    return T.sqrt(((x.dimshuffle(0, "x", 1) - y.dimshuffle("x", 0, 1)) ** 2).sum(2) + 1e-6)


def _distances_torch(torch: Any, x: Any, y: Any) -> Any:
    return torch.sqrt(((x[:, None] - y[None]) ** 2).sum(2) + 1e-6)


def _distances_jax(jax: Any, x: Any, y: Any) -> Any:
    return jax.numpy.sqrt(((x[:, None] - y[None]) ** 2).sum(2) + 1e-6)


POINTS = shapes((2000, 3), (2000, 3))


def _table(quick: bool) -> list[np.ndarray]:
    rows, words = (5_000, 8_192) if quick else (50_000, 65_536)
    ids = np.random.default_rng(1).integers(0, rows, words)
    return [normal(rows, 256), ids, normal(words, 256, seed=2)]


def _dropout_symc(T: Any, x: Any) -> Any:
    from symc.tensor.shared_randomstreams import RandomStreams

    return x * RandomStreams(1).binomial(x.shape, p=0.5, dtype="float32") * np.float32(2)


def _dropout_jax(jax: Any, x: Any) -> Any:
    return jax.numpy.where(jax.random.bernoulli(jax.random.key(1), 0.5, x.shape), x * 2, 0)


def _many(count: int) -> Callable[[bool], list[np.ndarray]]:
    return lambda quick: [normal(16, 16, seed=k) for k in range(2 * count)]


def _momentum(lib: Any, *state: Any) -> Any:
    """``count`` parameters, then their velocities; the gradient of minus half the squared norm is minus the parameter.

    All grow, by 1e-5 per step: with a loss that has a minimum, they become subnormal numbers after some thousand
    calls, and the row measures how slow the processor computes with these.
    """
    count = len(state) // 2
    parameters, velocities = state[:count], state[count:]
    new = [np.float32(0.9) * v + np.float32(RATE) * p for p, v in zip(parameters, velocities)]
    return [new[0].sum(), *(p + v for p, v in zip(parameters, new)), *new]


def _momentum_torch(torch: Any, *state: Any) -> Any:
    count = len(state) // 2
    new = torch._foreach_mul(state[count:], 0.9)
    torch._foreach_add_(new, state[:count], alpha=RATE)
    return [new[0].sum(), *torch._foreach_add(state[:count], new), *new]


def _pool_jax(jax: Any, x: Any) -> Any:
    return jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


ROWS = [
    *(
        Row(f"{name}_axis0", f"{name} over axis 0 of 4096 x 4096", SQUARE, **_over(0, name))
        for name in ("sum", "max", "argmax")
    ),
    *(
        Row(f"{name}_axis1", f"{name} over axis 1 of 4096 x 4096", SQUARE, **_over(1, name))
        for name in ("sum", "max", "argmax")
    ),
    *(
        Row(f"{name}_middle", f"{name} over axis 1 of 64 x 256 x 1024", CUBE, **_over(1, name))
        for name in ("sum", "max", "argmax")
    ),
    Row(
        "crossentropy", "softmax cross-entropy of 8192 x 1000", _classes, _crossentropy_symc,
        lambda torch, x, y: torch.nn.functional.cross_entropy(x, y), _crossentropy_jax,
    ),
    Row(
        "crossentropy_grad", "softmax cross-entropy of 8192 x 1000, with gradient", _classes, _crossentropy_symc,
        lambda torch, x, y: torch.nn.functional.cross_entropy(x, y), _crossentropy_jax, wrt=(0,),
    ),
    Row(
        "layer_norm_grad", "layer norm of 8192 x 768, with gradient", shapes((8192, 768), (768,), (768,), (8192, 768)),
        _layer_norm_symc,
        lambda torch, x, g, b, w: (torch.nn.functional.layer_norm(x, (x.shape[1],), g, b) * w).sum(),
        _layer_norm_jax, wrt=(0, 1, 2),
    ),
    Row(
        "batch_norm", "batch norm and relu of 32 x 64 x 56 x 56", shapes(*IMAGES),
        _batch_norm_symc, _batch_norm_torch, _batch_norm_jax,
    ),
    Row(
        "batch_norm_grad", "batch norm and relu of 32 x 64 x 56 x 56, with gradient", shapes(*IMAGES, IMAGES[0]),
        _weighted(_batch_norm_symc), _weighted(_batch_norm_torch), _weighted(_batch_norm_jax),
        wrt=(0, 1, 2),
    ),
    Row(
        "black_scholes", "Black-Scholes prices of 4 M options", _options,
        _black_scholes(lambda T: T.log, lambda T: T.sqrt, lambda T: T.exp, lambda T: T.erf),
        _black_scholes(lambda t: t.log, lambda t: t.sqrt, lambda t: t.exp, lambda t: t.erf),
        _black_scholes(
            lambda j: j.numpy.log, lambda j: j.numpy.sqrt, lambda j: j.numpy.exp, lambda j: j.scipy.special.erf
        ),
    ),
    Row(
        "distances", "distances of 2000 x 2000 points in 3 dimensions", POINTS, _distances, _distances_torch,
        _distances_jax, roots=2000.0**2,
    ),
    Row(
        "distances_grad", "sum of these distances, with gradient", POINTS,
        lambda T, x, y: _distances(T, x, y).sum(), lambda torch, x, y: _distances_torch(torch, x, y).sum(),
        lambda jax, x, y: _distances_jax(jax, x, y).sum(), wrt=(0, 1), roots=2000.0**2, quotients=2000.0**2,
    ),
    Row(
        "concatenate_slice", "relu(concatenate([a, b], axis=1)[:, 256:768] * 2)",
        lambda quick: [normal(2048, 512), normal(2048, 512, seed=1)],
        lambda T, a, b: T.nnet.relu(T.concatenate([a, b], axis=1)[:, 256:768] * 2),
        lambda torch, a, b: torch.relu(torch.cat([a, b], 1)[:, 256:768] * 2),
        lambda jax, a, b: jax.nn.relu(jax.numpy.concatenate([a, b], 1)[:, 256:768] * 2),
    ),
    Row(
        "permute", "NCHW to NHWC of 32 x 64 x 56 x 56, plus one", shapes(IMAGES[0]),
        lambda T, x: x.transpose(0, 2, 3, 1) + 1, lambda torch, x: (x.permute(0, 2, 3, 1) + 1).contiguous(),
        lambda jax, x: x.transpose(0, 2, 3, 1) + 1,
    ),
    Row(
        "transpose", "x.T * 2 of 4096 x 4096", SQUARE, lambda T, x: x.T * 2,
        lambda torch, x: (x.T * 2).contiguous(), lambda jax, x: x.T * 2,
    ),
    Row(
        "plus_transpose", "x + x.T of 4096 x 4096", SQUARE, lambda T, x: x + x.T, lambda torch, x: x + x.T,
        lambda jax, x: x + x.T,
    ),
    Row(
        "max_pool", "2 x 2 max-pooling of 32 x 64 x 56 x 56", shapes(IMAGES[0]),
        lambda T, x: T.signal.pool.pool_2d(x, (2, 2), ignore_border=True),
        lambda torch, x: torch.nn.functional.max_pool2d(x, 2), _pool_jax,
    ),
    Row(
        "small_products", "4096 products of 16 x 16 matrices", shapes((4096, 16, 16), (4096, 16, 16)),
        lambda T, a, b: T.batched_dot(a, b), lambda torch, a, b: torch.bmm(a, b), lambda jax, a, b: a @ b,
        flops=2 * 4096 * 16**3,
    ),
    Row(
        "embedding", "65,536 rows of a table of 50,000 x 256", lambda quick: _table(quick)[:2],
        lambda T, w, i: w[i], lambda torch, w, i: torch.nn.functional.embedding(i, w), lambda jax, w, i: w[i],
    ),
    Row(
        "embedding_grad", "the same, weighted, with gradient", _table,
        lambda T, w, i, g: (w[i] * g).sum(),
        lambda torch, w, i, g: (torch.nn.functional.embedding(i, w) * g).sum(),
        lambda jax, w, i, g: (w[i] * g).sum(), wrt=(0,),
    ),
    Row(
        "dropout", "dropout of 10 M floats", shapes((10_000_000,)), _dropout_symc,
        lambda torch, x: torch.nn.functional.dropout(x, 0.5), _dropout_jax, tolerance=np.inf,
    ),
    Row(
        "gemv", "4096 x 4096 matrix times a vector", shapes((4096, 4096), (4096,)), lambda T, a, x: T.dot(a, x),
        lambda torch, a, x: a @ x, lambda jax, a, x: a @ x,
    ),
    Row(
        "gemv_transposed", "a vector times a 4096 x 4096 matrix", shapes((4096, 4096), (4096,)),
        lambda T, a, x: T.dot(x, a), lambda torch, a, x: x @ a, lambda jax, a, x: x @ a,
    ),
    Row(
        "tall_product", "65536 x 64 times 64 x 64", shapes((65536, 64), (64, 64)), lambda T, a, b: T.dot(a, b),
        lambda torch, a, b: a @ b, lambda jax, a, b: a @ b, flops=2 * 65536 * 64 * 64,
    ),
    Row(
        "product_float64", "1024 x 1024 matrix product in float64",
        shapes((1024, 1024), (1024, 1024), dtype="float64"), lambda T, a, b: T.dot(a, b),
        lambda torch, a, b: a @ b, lambda jax, a, b: a @ b, flops=2 * 2 * 1024**3,
    ),
    Row(
        "momentum_small", "momentum updates of 100 parameters of 16 x 16", _many(100), _momentum, _momentum_torch,
        _momentum, state=200, tolerance=2e-3,
    ),
    Row(
        "momentum_large", "momentum update of 4 M parameters", shapes((4_000_000,), (4_000_000,)), _momentum,
        _momentum_torch, _momentum, state=2, tolerance=2e-3,
    ),
]  # fmt: skip
