"""The programs of ``growth.py``: each has a size that grows, and says what a user of that size would write.

A case builds inputs, outputs, updates and arguments for a size. Its constants keep values finite at every size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import large_graphs
import numpy as np

__all__ = ["AXES", "CASES", "Case", "Program"]

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
DEPTHS = (1, 3, 10, 30, 100, 300, 1_000)
OPS = (10, 100, 1_000, 10_000, 100_000)
AXES = {"batch": BATCHES, "depth": DEPTHS, "ops": OPS}
RATE, MOMENTUM = 1e-4, 0.9


@dataclass
class Program:
    """What is compiled, and called with ``arrays``; gradients by ``wrt`` are added to the outputs or the updates."""

    inputs: list[Any]
    outputs: list[Any]
    arrays: list[np.ndarray]
    wrt: list[Any] | None = None
    training: bool = False


@dataclass(frozen=True)
class Case:
    """A program by its size along an axis: ``"batch"``, ``"depth"`` (layers) or ``"ops"`` (that a user writes)."""

    name: str
    title: str
    axis: str
    build: Callable[[int], Program]
    most: int = 1_000_000

    @property
    def sizes(self) -> list[int]:
        return [n for n in AXES[self.axis] if n <= self.most]


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape, dtype="float32")


def _weights(*shape: int) -> Any:
    import symc

    fan = int(np.prod(shape[1:])) if len(shape) == 4 else shape[0]
    return symc.shared(_normal(*shape) * np.float32((2 / fan) ** 0.5))


def _network(name: str, *shape: int) -> Callable[[int], Program]:
    """A training step of a network of ``cpu.py`` on images or rows of this shape."""

    def build(batch: int) -> Program:
        from cpu_builders import Builder, Node, SymcBuilder
        from cpu_table import ROWS

        import symc
        import symc.tensor as T

        drawn = Builder(training=True)
        classes = ROWS[name].network(drawn, Node(None, (batch, *shape))).shape[1]
        p = {key: symc.shared(a, key) for key, a in drawn.arrays.items()}
        x, y = T.tensor("float32", shape=(None, *shape), name="x"), T.lvector("y")
        scores = ROWS[name].network(SymcBuilder(p, True), Node(x, (batch, *shape))).value
        loss = T.nnet.categorical_crossentropy(T.nnet.softmax(scores), y).mean()
        return Program([x, y], [loss], [_normal(batch, *shape), np.arange(batch) % classes], list(p.values()), True)

    return build


def _lstm(batch: int) -> Program:
    """A training step of an LSTM: 50 steps of 128 units."""
    import symc
    import symc.tensor as T

    units = 128
    x = T.tensor3("x")
    w, u, b = _weights(units, 4 * units), _weights(units, 4 * units), symc.shared(np.zeros(4 * units, "float32"))

    def step(projected: Any, h: Any, c: Any) -> tuple[Any, Any]:
        i, f, o, g = (projected[:, k * units : (k + 1) * units] for k in range(4))
        i, f, o, g = (v + T.dot(h, u[:, k * units : (k + 1) * units]) for k, v in enumerate((i, f, o, g)))
        c = T.nnet.sigmoid(f) * c + T.nnet.sigmoid(i) * T.tanh(g)
        return T.nnet.sigmoid(o) * T.tanh(c), c

    start = T.zeros((x.shape[1], units))
    (states, _), _ = symc.scan(step, [T.dot(x, w) + b], [start, start])
    return Program([x], [T.sqr(states[-1]).mean()], [_normal(50, batch, units)], [w, u, b], True)


def _block(x: Any, weights: list[Any]) -> Any:
    """A transformer block with 4 heads on ``x``, (batch, positions, units)."""
    import symc.tensor as T

    heads = 4

    def norm(v: Any) -> Any:
        return (v - v.mean(-1, keepdims=True)) / T.sqrt(T.var(v, -1, keepdims=True) + 1e-5)

    queries, keys, values, joined, up, down = weights
    n, positions, units = x.shape

    def split(v: Any) -> Any:
        return v.reshape((n, positions, heads, units // heads)).dimshuffle(0, 2, 1, 3)

    h = norm(x)
    q, k, v = (split(T.dot(h, w)) for w in (queries, keys, values))
    attention = T.nnet.softmax(T.matmul(q, k.dimshuffle(0, 1, 3, 2)) * np.float32(0.125), axis=-1)
    x = x + T.dot(T.matmul(attention, v).dimshuffle(0, 2, 1, 3).reshape((n, positions, units)), joined)
    return x + T.dot(T.nnet.relu(T.dot(norm(x), up)), down)


def _transformer(layers: int, batch: int, positions: int, units: int) -> Program:
    import symc.tensor as T

    x = T.tensor("float32", shape=(None, None, units), name="x")
    h, params = x, []
    for _ in range(layers):
        own = [_weights(units, units) for _ in range(4)] + [_weights(units, 4 * units), _weights(4 * units, units)]
        params += own
        h = _block(h, own)
    return Program([x], [T.sqr(h).mean()], [_normal(batch, positions, units)], params, True)


def _dense(layers: int) -> Program:
    """A training step of dense layers of 64 rectified units on 32 rows."""
    import symc
    import symc.tensor as T

    x = T.matrix("x")
    h, params = x, []
    for _ in range(layers):
        params += [_weights(64, 64), symc.shared(np.zeros(64, "float32"))]
        h = T.maximum(T.dot(h, params[-2]) + params[-1], 0)
    return Program([x], [T.sqr(h).mean()], [_normal(32, 64)], params, True)


def _residual(layers: int) -> Program:
    """A training step of residual layers, each a 3x3 convolution with batch normalisation, on 4 images of 8 x 8."""
    import symc
    import symc.tensor as T

    x = T.tensor("float32", shape=(None, 16, 8, 8), name="x")
    h, params = x, []
    for _ in range(layers):
        own = [_weights(16, 16, 3, 3), symc.shared(np.full(16, 0.5, "float32")), symc.shared(np.zeros(16, "float32"))]
        params += own
        y = T.nnet.conv2d(h, own[0], border_mode="half")
        y = (y - y.mean((0, 2, 3), keepdims=True)) / T.sqrt(T.var(y, (0, 2, 3), keepdims=True) + 1e-5)
        h = T.nnet.relu(h + y * own[1].dimshuffle("x", 0, "x", "x") + own[2].dimshuffle("x", 0, "x", "x"))
    return Program([x], [T.sqr(h).mean()], [_normal(4, 16, 8, 8)], params, True)


def _unrolled(steps: int) -> Program:
    """A training step of a recurrent layer of 32 units whose steps are written out, on 8 rows."""
    import symc.tensor as T

    x = T.tensor3("x")
    w, u = _weights(32, 32), _weights(32, 32)
    h, loss = T.zeros((x.shape[1], 32)), T.constant(np.float32(0))
    for k in range(steps):
        h = T.tanh(T.dot(x[k], w) + T.dot(h, u))
        loss = loss + T.sqr(h).mean()  # of every step: a gradient through hundreds of them vanishes
    return Program([x], [loss], [_normal(steps, 8, 32)], [w, u], True)


def _inference(layers: int) -> Program:
    """Scores of dense layers with batch normalisation by stored averages."""
    import symc
    import symc.tensor as T

    x = T.matrix("x")
    h = x
    for _ in range(layers):
        mean, scale = symc.shared(np.zeros(64, "float32")), symc.shared(np.ones(64, "float32"))
        h = T.nnet.relu((T.dot(h, _weights(64, 64)) - mean) * scale)
    return Program([x], [h], [_normal(32, 64)])


def _scan(steps: int) -> Program:
    """The recurrent layer as a loop: the program does not grow, a call does."""
    import symc
    import symc.tensor as T

    x = T.tensor3("x")
    w, u = _weights(32, 32), _weights(32, 32)
    h, _ = symc.scan(lambda v, h: T.tanh(v + T.dot(h, u)), [T.dot(x, w)], [T.zeros((x.shape[1], 32))])
    return Program([x], [T.sqr(h).sum() / 256], [_normal(steps, 8, 32)], [w, u], True)


def _graph(name: str) -> Callable[[int], Program]:
    """A graph of ``large_graphs.py``; gradients are further outputs."""

    def build(size: int) -> Program:
        inputs, outputs, wrt, shapes = large_graphs.GRAPHS[name][0](size)
        return Program(inputs, outputs, [np.full(s, 0.1, "float32") for s in shapes], wrt)

    return build


def _random(size: int) -> Program:
    """A random graph: each op takes two of the latest 50 values, or reduces, turns or multiplies one."""
    import symc.tensor as T

    rng = np.random.default_rng(0)
    x, y = T.tensor("float32", shape=(8, 8), name="x"), T.tensor("float32", shape=(8, 8), name="y")
    values: list[Any] = [x, y]
    for _ in range(size // 2):
        a, b = (values[-1 - k] for k in rng.integers(min(len(values), 50), size=2))
        kind = rng.integers(6)
        if kind == 0:
            made = T.tanh(a + b)
        elif kind == 1:
            made = T.maximum(a, b.T) * np.float32(0.5)
        elif kind == 2:
            made = a - b.mean(int(rng.integers(2)), keepdims=True)
        elif kind == 3:
            made = T.tanh(T.dot(a, b))
        elif kind == 4:
            made = T.concatenate([a[:4], b[4:]])
        else:
            made = T.switch(a > b, a * np.float32(0.5), b)
        values.append(made)
    return Program([x, y], [sum(v.sum() for v in values[-5:])], [_normal(8, 8), _normal(8, 8)], [x, y])


_CASES = (
    Case("mlp", "784-256-256-10, training step", "batch", _network("mlp_momentum", 784)),
    Case("lenet", "LeNet, training step", "batch", _network("lenet_train", 1, 28, 28)),
    Case("vgg11", "VGG-11 on 32 x 32, training step", "batch", _network("vgg11_train", 3, 32, 32)),
    Case("resnet18", "ResNet-18 on 64 x 64, training step", "batch", _network("resnet18_train", 3, 64, 64)),
    Case("lstm", "LSTM, 50 steps of 128 units, training step", "batch", _lstm),
    Case("transformer", "transformer block, 64 x 128, training step", "batch", lambda n: _transformer(1, n, 64, 128)),
    Case("dense", "dense layers, training step", "depth", _dense),
    Case("residual", "residual convolutions with batch norm, training step", "depth", _residual),
    Case("inference", "dense layers with batch norm, scores", "depth", _inference),
    Case("blocks", "transformer blocks, training step", "depth", lambda n: _transformer(n, 2, 16, 32)),
    Case("unrolled", "recurrent layer written out, training step", "depth", _unrolled),
    Case("scan", "recurrent layer as a loop, training step", "depth", _scan),
    Case("chain", "elementwise ops", "ops", _graph("chain")),
    Case("reductions", "reductions and maps", "ops", _graph("reductions and maps")),
    Case("random", "a random graph", "ops", _random),
    Case("concatenations", "slices and concatenations", "ops", _graph("concatenations")),
    Case("reshapes", "reshapes and transposes", "ops", _graph("reshapes and transposes")),
    Case("indexing", "elements of a vector", "ops", _graph("indexing")),
    Case("parameters", "products with parameters", "ops", _graph("parameters")),
    Case("outputs", "many outputs", "ops", _graph("outputs")),
    Case("inputs", "many inputs", "ops", _graph("inputs")),
)
CASES = {case.name: case for case in _CASES}
