"""Rows of ``cpu.py`` that are small programs: expressions, physics, statistics, recurrent and attention layers,
single convolutions. See ``cpu_rows.Row``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from cpu_rows import Row, normal, shapes

__all__ = ["ROWS"]


# --- expressions ------------------------------------------------------------------------------------------------------


def _chain(lib: Callable[[Any], Any]) -> Callable[..., Any]:
    def chain(module: Any, a: Any, b: Any) -> Any:
        m = lib(module)
        return m.tanh(a) * m.exp(-b * b) + m.log1p(abs(a))

    return chain


def _chain_numba(numba: Any) -> Any:
    @numba.njit(parallel=True)
    def run(a, b):  # type: ignore[no-untyped-def]
        out = np.empty_like(a)
        for k in numba.prange(len(a)):
            out[k] = np.tanh(a[k]) * np.exp(-b[k] * b[k]) + np.log1p(abs(a[k]))
        return out

    return run


def _stencil(module: Any, x: Any) -> Any:
    """Interior points: the mean of a point's four neighbours, minus the point."""
    return (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]) * np.float32(0.25) - x[1:-1, 1:-1]


def _stencil_numba(numba: Any) -> Any:
    @numba.njit(parallel=True)
    def run(x):  # type: ignore[no-untyped-def]
        n, m = x.shape
        out = np.empty((n - 2, m - 2), np.float32)
        for i in numba.prange(1, n - 1):
            for j in range(1, m - 1):
                near = x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]
                out[i - 1, j - 1] = near * np.float32(0.25) - x[i, j]
        return out

    return run


# --- physics and statistics -------------------------------------------------------------------------------------------


def _bodies(quick: bool) -> list[np.ndarray]:
    n = 512 if quick else 2048
    return [normal(n, 3), np.abs(normal(n, seed=1))]


def _forces(lib: Callable[[Any], Any]) -> Callable[..., Any]:
    """Softened gravity between all pairs, in three coordinates."""

    def forces(module: Any, x: Any, mass: Any) -> Any:
        m = lib(module)
        d = x[None, :, :] - x[:, None, :]
        r2 = (d * d).sum(2) + np.float32(1e-2)
        return ((mass[None, :] / (r2 * m.sqrt(r2)))[:, :, None] * d).sum(1)

    return forces


def _forces_symc(T: Any, x: Any, mass: Any) -> Any:
    d = x.dimshuffle("x", 0, 1) - x.dimshuffle(0, "x", 1)
    r2 = (d * d).sum(2) + np.float32(1e-2)
    return ((mass.dimshuffle("x", 0) / (r2 * T.sqrt(r2))).dimshuffle(0, 1, "x") * d).sum(1)


def _forces_numba(numba: Any) -> Any:
    @numba.njit(parallel=True)
    def run(x, mass):  # type: ignore[no-untyped-def]
        out = np.empty_like(x)
        for i in numba.prange(len(x)):
            fx = fy = fz = np.float32(0)
            for j in range(len(x)):
                dx, dy, dz = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
                r2 = dx * dx + dy * dy + dz * dz + np.float32(1e-2)
                f = mass[j] / (r2 * np.sqrt(r2))
                fx, fy, fz = fx + f * dx, fy + f * dy, fz + f * dz
            out[i, 0], out[i, 1], out[i, 2] = fx, fy, fz
        return out

    return run


def _clusters(quick: bool) -> list[np.ndarray]:
    n = 5_000 if quick else 100_000
    points = normal(n, 16)
    return [points, points[:32].copy()]


def _kmeans_symc(T: Any, x: Any, centres: Any) -> Any:
    """A step of Lloyd's algorithm: assign points to centres, then average."""
    far = (centres**2).sum(1).dimshuffle("x", 0) - 2 * T.dot(x, centres.T)
    nearest = far.argmin(1)
    sums = T.inc_subtensor(T.zeros_like(centres)[nearest], x)
    counts = T.inc_subtensor(T.zeros_like(centres[:, 0])[nearest], T.ones_like(x[:, 0]))
    return sums / T.maximum(counts, 1).dimshuffle(0, "x")


def _kmeans_torch(torch: Any, x: Any, centres: Any) -> Any:
    nearest = ((centres**2).sum(1)[None] - 2 * x @ centres.T).argmin(1)
    sums = torch.zeros_like(centres).index_add_(0, nearest, x)
    counts = torch.zeros(len(centres)).index_add_(0, nearest, torch.ones(len(x)))
    return sums / counts.clamp(min=1)[:, None]


def _kmeans_jax(jax: Any, x: Any, centres: Any) -> Any:
    jnp = jax.numpy
    nearest = ((centres**2).sum(1)[None] - 2 * x @ centres.T).argmin(1)
    sums = jnp.zeros_like(centres).at[nearest].add(x)
    counts = jnp.zeros(len(centres)).at[nearest].add(1)
    return sums / jnp.maximum(counts, 1)[:, None]


# --- layers -----------------------------------------------------------------------------------------------------------


def _scaled(*sizes: tuple[int, ...]) -> Callable[[bool], list[np.ndarray]]:
    """The first array normal, then weights whose products keep that scale; a quarter as many rows in quick runs."""

    def arrays(quick: bool) -> list[np.ndarray]:
        first, *rest = sizes
        rows = first[0] // 4 if quick else first[0]
        return [normal(rows, *first[1:])] + [
            normal(*s, seed=k + 1) * np.float32(s[0] ** -0.5 if len(s) > 1 else 0.1) for k, s in enumerate(rest)
        ]

    return arrays


HIDDEN = 256


def _lstm_symc(T: Any, x: Any, w: Any, u: Any, b: Any) -> Any:
    import symc

    def step(z: Any, h: Any, c: Any, u: Any) -> Any:
        z = z + T.dot(h, u)
        i, f, o = (T.nnet.sigmoid(z[:, k * HIDDEN : (k + 1) * HIDDEN]) for k in range(3))
        c = f * c + i * T.tanh(z[:, 3 * HIDDEN :])
        return o * T.tanh(c), c

    start = T.zeros((x.shape[1], HIDDEN), dtype="float32")
    (h, _), _ = symc.scan(step, sequences=[T.dot(x, w) + b], outputs_info=[start, start], non_sequences=[u])
    return (h**2).mean()


def _lstm_torch(torch: Any, x: Any, w: Any, u: Any, b: Any) -> Any:
    """The gates in PyTorch's order, through the fused layer (oneDNN at inference, its own loop in training)."""
    order = [torch.arange(k * HIDDEN, (k + 1) * HIDDEN) for k in (0, 1, 3, 2)]
    turn = torch.cat(order)
    start = torch.zeros(1, x.shape[1], HIDDEN)
    weights = [w[:, turn].T.contiguous(), u[:, turn].T.contiguous(), b[turn], torch.zeros_like(b)]
    out, _, _ = torch._VF.lstm(x, (start, start), weights, True, 1, 0.0, torch.is_grad_enabled(), False, False)
    return (out**2).mean()


def _lstm_jax(jax: Any, x: Any, w: Any, u: Any, b: Any) -> Any:
    def step(carry: Any, z: Any) -> Any:
        h, c = carry
        z = z + h @ u
        i, f, o = (jax.nn.sigmoid(z[:, k * HIDDEN : (k + 1) * HIDDEN]) for k in range(3))
        c = f * c + i * jax.numpy.tanh(z[:, 3 * HIDDEN :])
        h = o * jax.numpy.tanh(c)
        return (h, c), h

    start = jax.numpy.zeros((x.shape[1], HIDDEN))
    return (jax.lax.scan(step, (start, start), x @ w + b)[1] ** 2).mean()


LSTM = _scaled((100, 64, HIDDEN), (HIDDEN, 4 * HIDDEN), (HIDDEN, 4 * HIDDEN), (4 * HIDDEN,))


def _vae(module: Any, x: Any, noise: Any, w1: Any, w2: Any, w3: Any, w4: Any, m: Any) -> Any:
    """784-400-2x20-400-784: the mean over the batch of reconstruction loss and divergence."""
    h = m.relu(m.dot(x, w1))
    both = m.dot(h, w2)
    mean, log_var = both[:, :20], both[:, 20:]
    z = mean + m.exp(np.float32(0.5) * log_var) * noise
    scores = m.dot(m.relu(m.dot(z, w3)), w4)
    target = m.sigmoid(x)
    loss = m.softplus(scores).sum() - (target * scores).sum()
    return (loss - np.float32(0.5) * (1 + log_var - mean * mean - m.exp(log_var)).sum()) / np.float32(128)


class _Symc:
    def __init__(self) -> None:
        import symc.tensor as T

        self.dot, self.exp, self.relu, self.sigmoid, self.softplus = (
            T.dot, T.exp, T.nnet.relu, T.nnet.sigmoid, T.nnet.softplus,
        )  # fmt: skip


class _Torch:
    def __init__(self) -> None:
        import torch

        self.dot, self.exp, self.relu, self.sigmoid, self.softplus = (
            torch.matmul, torch.exp, torch.relu, torch.sigmoid, torch.nn.functional.softplus,
        )  # fmt: skip


class _Jax:
    def __init__(self) -> None:
        import jax

        self.dot, self.exp, self.relu, self.sigmoid, self.softplus = (
            jax.numpy.dot, jax.numpy.exp, jax.nn.relu, jax.nn.sigmoid, jax.nn.softplus,
        )  # fmt: skip


def _digits(quick: bool) -> list[np.ndarray]:
    x, *weights = _scaled((128, 784), (784, 400), (400, 40), (20, 400), (400, 784))(quick)
    return [x, normal(len(x), 20, seed=9), *weights]


HEADS, WIDTH, LENGTH = 8, 512, 128


def _block(norm: Any, relu: Any, attend: Any, dot: Any) -> Callable[..., Any]:
    """A transformer block with normalisation first: attention of 8 heads, then a hidden layer of 4 times the width."""

    def block(module: Any, x: Any, w: Any, o: Any, up: Any, down: Any) -> Any:
        product = dot(module)
        h = x + product(attend(module, norm(module, x), w), o)
        return h + product(relu(module)(product(norm(module, h), up)), down)

    return block


def _norm_symc(T: Any, x: Any) -> Any:
    centred = x - x.mean(2, keepdims=True)
    return centred / T.sqrt((centred**2).mean(2, keepdims=True) + 1e-5)


def _attend_symc(T: Any, x: Any, w: Any) -> Any:
    n, t = x.shape[0], x.shape[1]
    y = T.dot(x, w).reshape((n, t, 3, HEADS, WIDTH // HEADS)).dimshuffle(2, 0, 3, 1, 4)
    scores = T.matmul(y[0], y[1].dimshuffle(0, 1, 3, 2)) * np.float32((WIDTH // HEADS) ** -0.5)
    return T.matmul(T.nnet.softmax(scores, axis=-1), y[2]).dimshuffle(0, 2, 1, 3).reshape((n, t, WIDTH))


def _attend_torch(torch: Any, x: Any, w: Any) -> Any:
    n, t, _ = x.shape
    q, k, v = (x @ w).reshape(n, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, WIDTH)


def _attend_jax(jax: Any, x: Any, w: Any) -> Any:
    n, t, _ = x.shape
    q, k, v = (x @ w).reshape(n, t, 3, HEADS, WIDTH // HEADS).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(2, 3) * np.float32((WIDTH // HEADS) ** -0.5)
    return (jax.nn.softmax(scores, axis=-1) @ v).transpose(0, 2, 1, 3).reshape(n, t, WIDTH)


def _norm_jax(jax: Any, x: Any) -> Any:
    centred = x - x.mean(2, keepdims=True)
    return centred / jax.numpy.sqrt((centred**2).mean(2, keepdims=True) + 1e-5)


BLOCK = {
    "symc": _block(_norm_symc, lambda T: T.nnet.relu, _attend_symc, lambda T: T.dot),
    "torch": _block(
        lambda torch, x: torch.nn.functional.layer_norm(x, (WIDTH,)),
        lambda torch: torch.relu,
        _attend_torch,
        lambda torch: torch.matmul,
    ),
    "jax": _block(_norm_jax, lambda jax: jax.nn.relu, _attend_jax, lambda jax: jax.numpy.matmul),
}
TOKENS = _scaled((8, LENGTH, WIDTH), (WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH))


def _squared(f: Callable[..., Any]) -> Callable[..., Any]:
    """The mean square of a result: a scalar to differentiate."""
    return lambda *arguments: (f(*arguments) ** 2).mean()


BLOCK_FLOPS = 2 * 8 * LENGTH * (12 * WIDTH**2 + 2 * LENGTH * WIDTH)

# --- convolutions -----------------------------------------------------------------------------------------------------

CONVOLUTIONS = [
    ("5x5_96", (8, 96, 27), 256, (5, 5), 1, (2, 2), 1),
    ("5x5_32", (64, 32, 28), 64, (5, 5), 1, (2, 2), 1),
    ("11x11_s4", (8, 3, 227), 96, (11, 11), 4, (0, 0), 1),
    ("7x7_s2", (4, 3, 224), 64, (7, 7), 2, (3, 3), 1),
    ("3x3_3", (4, 3, 224), 64, (3, 3), 1, (1, 1), 1),
    ("3x3_512_7", (8, 512, 7), 512, (3, 3), 1, (1, 1), 1),
    ("3x3_512_14", (4, 512, 14), 512, (3, 3), 1, (1, 1), 1),
    ("3x3_64", (8, 64, 56), 64, (3, 3), 1, (1, 1), 1),
    ("3x3_s2", (4, 128, 56), 128, (3, 3), 2, (1, 1), 1),
    ("1x1_1024", (8, 1024, 7), 2048, (1, 1), 1, (0, 0), 1),
    ("1x1_256", (8, 256, 56), 64, (1, 1), 1, (0, 0), 1),
    ("1x1_s2", (4, 256, 56), 512, (1, 1), 2, (0, 0), 1),
    ("1x7", (8, 128, 17), 128, (1, 7), 1, (0, 3), 1),
    ("depthwise", (8, 144, 56), 144, (3, 3), 1, (1, 1), 144),
    ("groups_32", (4, 128, 56), 128, (3, 3), 1, (1, 1), 32),
]
"""Name, images, filters, taps, stride, padding, groups."""


def _convolution(name: str, images: Any, filters: int, taps: Any, stride: int, pad: Any, groups: int) -> list[Row]:
    """A convolution, and its gradients by images and weights of a weighted sum."""
    n, c, side = images
    out = [(side + 2 * p - k) // stride + 1 for p, k in zip(pad, taps)]
    weights = (filters, c // groups, *taps)

    def arrays(quick: bool) -> list[np.ndarray]:
        m = 1 if quick else n
        scale = np.float32(math.prod(weights[1:]) ** -0.5)
        return [normal(m, c, side, side), normal(*weights, seed=1) * scale, normal(m, filters, *out, seed=2)]

    def symc(T: Any, x: Any, w: Any) -> Any:
        options = {"border_mode": pad, "subsample": (stride, stride), "filter_flip": False, "num_groups": groups}
        return T.nnet.conv2d(x, w, **options)

    def torch(torch: Any, x: Any, w: Any) -> Any:
        return torch.nn.functional.conv2d(x, w, None, stride, pad, 1, groups)

    def jax(jax: Any, x: Any, w: Any) -> Any:
        return jax.lax.conv_general_dilated(
            x, w, (stride, stride), [(p, p) for p in pad], feature_group_count=groups,
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )  # fmt: skip

    def weighted(f: Any) -> Any:
        return lambda lib, x, w, g: (f(lib, x, w) * g).sum()

    title = f"{taps[0]}x{taps[1]} {c} to {filters}, {n} x {side} x {side}"
    title += f", stride {stride}" * (stride > 1) + f", {groups} groups" * (groups > 1)
    flops = 2.0 * n * filters * math.prod(out) * math.prod(weights[1:])
    shared = {"tolerance": 1e-3}
    return [
        Row(f"conv_{name}", title, lambda quick: arrays(quick)[:2], symc, torch, jax, flops=flops, **shared),
        Row(
            f"conv_{name}_grad", f"{title}, weighted sum with gradients", arrays, weighted(symc), weighted(torch),
            weighted(jax), wrt=(0, 1), flops=3 * flops, **shared,
        ),
    ]  # fmt: skip


VECTORS = shapes((10_000_000,), (10_000_000,))

ROWS = [
    Row(
        "chain", "tanh(a)*exp(-b*b)+log1p(abs(a)), 10 M floats", VECTORS, _chain(lambda T: T), _chain(lambda t: t),
        _chain(lambda j: j.numpy), numba=_chain_numba,
        numexpr=lambda ne, a, b: ne.evaluate("tanh(a)*exp(-b*b)+log1p(abs(a))"),
    ),
    Row(
        "softmax", "softmax of 4096 x 1024", shapes((4096, 1024)), lambda T, x: T.nnet.softmax(x),
        lambda torch, x: torch.softmax(x, 1), lambda jax, x: jax.nn.softmax(x, axis=1),
    ),
    Row(
        "log_softmax", "log-softmax of 4096 x 1024", shapes((4096, 1024)), lambda T, x: T.nnet.logsoftmax(x),
        lambda torch, x: torch.log_softmax(x, 1), lambda jax, x: jax.nn.log_softmax(x, axis=1),
    ),
    Row(
        "logsumexp", "logsumexp of the rows of 4096 x 1024", shapes((4096, 1024)),
        lambda T, x: T.nnet.logsumexp(x, axis=1),
        lambda torch, x: torch.logsumexp(x, 1), lambda jax, x: jax.scipy.special.logsumexp(x, axis=1),
    ),
    Row(
        "variance", "variance of 10 M floats", shapes((10_000_000,)), lambda T, x: T.var(x),
        lambda torch, x: torch.var(x, correction=0), lambda jax, x: jax.numpy.var(x),
    ),
    Row(
        "layer_norm", "layer norm of 8192 x 768", shapes((8192, 768)), lambda T, x: _norm_symc(T, x[None])[0],
        lambda torch, x: torch.nn.functional.layer_norm(x, (x.shape[1],)), lambda jax, x: _norm_jax(jax, x[None])[0],
    ),
    Row(
        "call", "a + b of two vectors of 100", lambda quick: [normal(100), normal(100, seed=1)],
        lambda T, a, b: a + b, lambda torch, a, b: a + b, lambda jax, a, b: a + b,
    ),
    Row(
        "stencil", "5-point stencil on 4096 x 4096", shapes((4096, 4096)), _stencil, _stencil, _stencil,
        numba=_stencil_numba,
    ),
    Row(
        "n_body", "forces between 2048 bodies", _bodies, _forces_symc, _forces(lambda t: t),
        _forces(lambda j: j.numpy), numba=_forces_numba, tolerance=1e-3, roots=2048.0**2, quotients=2048.0**2,
    ),
    Row(
        "k_means", "a step of k-means: 100,000 points, 16 dimensions, 32 centres", _clusters, _kmeans_symc,
        _kmeans_torch, _kmeans_jax, flops=2.0 * 100_000 * 16 * 32, tolerance=1e-2,
    ),
    Row(
        "gemm", "1024 x 1024 matrix product", shapes((1024, 1024), (1024, 1024)), lambda T, a, b: T.dot(a, b),
        lambda torch, a, b: a @ b, lambda jax, a, b: a @ b, flops=2.0 * 1024**3,
    ),
    Row(
        "lstm", "LSTM of 100 steps, 64 rows, 256 units", LSTM, _lstm_symc, _lstm_torch, _lstm_jax,
        flops=2.0 * 100 * 64 * HIDDEN * 8 * HIDDEN,
    ),
    Row(
        "lstm_grad", "the same with gradient", LSTM, _lstm_symc, _lstm_torch, _lstm_jax, wrt=(1, 2, 3),
        flops=6.0 * 100 * 64 * HIDDEN * 8 * HIDDEN,
    ),
    Row(
        "vae_grad", "VAE 784-400-20-400-784, loss with gradient, 128 rows", _digits,
        lambda T, *a: _vae(T, *a, _Symc()), lambda torch, *a: _vae(torch, *a, _Torch()),
        lambda jax, *a: _vae(jax, *a, _Jax()), wrt=(2, 3, 4, 5), flops=6.0 * 128 * (784 * 400 * 2 + 400 * 60),
    ),
    Row(
        "transformer", "transformer block of 512, 8 heads, 8 x 128 tokens", TOKENS, BLOCK["symc"], BLOCK["torch"],
        BLOCK["jax"], flops=BLOCK_FLOPS, tolerance=1e-3,
    ),
    Row(
        "transformer_grad", "its mean square with gradient", TOKENS, _squared(BLOCK["symc"]), _squared(BLOCK["torch"]),
        _squared(BLOCK["jax"]), wrt=(0, 1, 2, 3, 4), flops=3 * BLOCK_FLOPS, tolerance=1e-3,
    ),
    *(row for shape in CONVOLUTIONS for row in _convolution(*shape)),
]  # fmt: skip
