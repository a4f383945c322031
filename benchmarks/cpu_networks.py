"""The networks of ``cpu.py``, each a function of a builder and its images, and their steps in each library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from contestants import Absent, Step
from cpu_builders import Builder, JaxBuilder, Node, SymcBuilder, TorchBuilder
from cpu_engines import ENGINES
from cpu_rows import normal

__all__ = ["ROWS", "Network"]

RATE, MOMENTUM = 1e-3, 0.9

# --- networks ---------------------------------------------------------------------------------------------------------


def vgg(plan: Sequence[int]) -> Callable[[Builder, Node], Node]:
    """VGG with this many convolutions per block; dropout is left out, so that all contestants compute the same."""

    def network(b: Builder, x: Node) -> Node:
        for block, (number, filters) in enumerate(zip(plan, (64, 128, 256, 512, 512))):
            for k in range(number):
                x = b.relu(b.conv(x, f"conv{block}_{k}", filters, 3, pad=1, bias=True))
            x = b.pool(x, "max", 2, 2)
        x = b.flatten(x)
        for k in (6, 7):
            x = b.relu(b.dense(x, f"fc{k}", 4096))
        return b.dense(x, "fc8", 1000)

    return network


def resnet(blocks: Sequence[int], bottleneck: bool) -> Callable[[Builder, Node], Node]:
    """ResNet; the stride is that of the 3x3 convolution."""

    def block(b: Builder, x: Node, name: str, filters: int, stride: int) -> Node:
        wide = filters * 4 if bottleneck else filters
        y = x
        if bottleneck:
            y = b.relu(b.norm(b.conv(y, f"{name}a", filters, 1), f"{name}a"))
            y = b.relu(b.norm(b.conv(y, f"{name}b", filters, 3, stride, 1), f"{name}b"))
            y = b.norm(b.conv(y, f"{name}c", wide, 1), f"{name}c")
        else:
            y = b.relu(b.norm(b.conv(y, f"{name}a", filters, 3, stride, 1), f"{name}a"))
            y = b.norm(b.conv(y, f"{name}b", filters, 3, 1, 1), f"{name}b")
        if stride > 1 or x.shape[1] != wide:
            x = b.norm(b.conv(x, f"{name}s", wide, 1, stride), f"{name}s")
        return b.relu(b.add(x, y))

    def network(b: Builder, x: Node) -> Node:
        x = b.pool(b.relu(b.norm(b.conv(x, "stem", 64, 7, 2, 3), "stem")), "max", 3, 2, 1)
        for stage, number in enumerate(blocks):
            for k in range(number):
                x = block(b, x, f"b{stage}_{k}", 64 << stage, 2 if stage and not k else 1)
        return b.dense(b.mean(x), "fc", 1000)

    return network


def googlenet(b: Builder, x: Node) -> Node:
    """GoogLeNet with batch normalisation, without auxiliary classifiers."""

    def conv(x: Node, name: str, filters: int, size: int, stride: int = 1) -> Node:
        return b.relu(b.norm(b.conv(x, name, filters, size, stride, size // 2), name))

    def inception(x: Node, name: str, one: int, to3: int, three: int, to5: int, five: int, pooled: int) -> Node:
        return b.join(
            conv(x, f"{name}a", one, 1),
            conv(conv(x, f"{name}b", to3, 1), f"{name}c", three, 3),
            conv(conv(x, f"{name}d", to5, 1), f"{name}e", five, 5),
            conv(b.pool(x, "max", 3, 1, 1), f"{name}f", pooled, 1),
        )

    x = b.pool(conv(x, "c1", 64, 7, 2), "max", 3, 2, 1)
    x = b.pool(conv(conv(x, "c2", 64, 1), "c3", 192, 3), "max", 3, 2, 1)
    plan = [
        (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64), (), (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128), (), (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
    ]  # fmt: skip
    for k, widths in enumerate(plan):
        x = inception(x, f"i{k}", *widths) if widths else b.pool(x, "max", 3, 2, 1)
    return b.dense(b.mean(x), "fc", 1000)


def inverted(b: Builder, x: Node, name: str, filters: int, stride: int, expansion: int, size: int = 3) -> Node:
    """The block of MobileNetV2 and EfficientNet-Lite: expand, depthwise, project; a shortcut where shapes agree."""
    y, wide = x, x.shape[1] * expansion
    if expansion > 1:
        y = b.relu(b.norm(b.conv(y, f"{name}a", wide, 1), f"{name}a"), 6)
    y = b.relu(b.norm(b.conv(y, f"{name}b", wide, size, stride, size // 2, groups=wide), f"{name}b"), 6)
    y = b.norm(b.conv(y, f"{name}c", filters, 1), f"{name}c")
    return b.add(x, y) if stride == 1 and x.shape[1] == filters else y


def inverted_network(stem: int, plan: Sequence[tuple[int, ...]], head: int) -> Callable[[Builder, Node], Node]:
    """A plan's line: expansion, filters, number, stride of the first, size of the depthwise filters."""

    def network(b: Builder, x: Node) -> Node:
        x = b.relu(b.norm(b.conv(x, "stem", stem, 3, 2, 1), "stem"), 6)
        for stage, (expansion, filters, number, stride, size) in enumerate(plan):
            for k in range(number):
                x = inverted(b, x, f"m{stage}_{k}", filters, 1 if k else stride, expansion, size)
        x = b.relu(b.norm(b.conv(x, "head", head, 1), "head"), 6)
        return b.dense(b.mean(x), "fc", 1000)

    return network


MOBILENET = [
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3), (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
]  # fmt: skip
LITE0 = [
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
]  # fmt: skip


def densenet(b: Builder, x: Node) -> Node:
    """DenseNet-121."""
    x = b.pool(b.relu(b.norm(b.conv(x, "stem", 64, 7, 2, 3), "stem")), "max", 3, 2, 1)
    for stage, number in enumerate((6, 12, 24, 16)):
        for k in range(number):
            name = f"d{stage}_{k}"
            y = b.conv(b.relu(b.norm(x, f"{name}a")), f"{name}a", 128, 1)
            x = b.join(x, b.conv(b.relu(b.norm(y, f"{name}b")), f"{name}b", 32, 3, pad=1))
        if stage < 3:
            x = b.conv(b.relu(b.norm(x, f"t{stage}")), f"t{stage}", x.shape[1] // 2, 1)
            x = b.pool(x, "mean", 2, 2)
    return b.dense(b.mean(b.relu(b.norm(x, "last"))), "fc", 1000)


def generator(b: Builder, x: Node) -> Node:
    """DCGAN's generator of images of 64 x 64."""
    x = b.images(x, x.shape[1], 1, 1)
    x = b.relu(b.norm(b.deconv(x, "g0", 512, 4, 1, 0), "g0"))
    for k, filters in enumerate((256, 128, 64)):
        x = b.relu(b.norm(b.deconv(x, f"g{k + 1}", filters, 4, 2, 1), f"g{k + 1}"))
    return b.tanh(b.deconv(x, "g4", 3, 4, 2, 1))


def gan(b: Builder, x: Node) -> Node:
    """DCGAN's discriminator of what the generator makes: two scores."""
    x = generator(b, x)
    for k, filters in enumerate((64, 128, 256, 512)):
        x = b.conv(x, f"k{k}", filters, 4, 2, 1)
        x = b.leaky(b.norm(x, f"k{k}") if k else x)
    return b.dense(b.flatten(x), "k4", 2)


def lenet(b: Builder, x: Node) -> Node:
    """20C5-MP2-50C5-MP2-FC256-FC10."""
    for k, filters in enumerate((20, 50)):
        x = b.pool(b.relu(b.conv(x, f"c{k}", filters, 5, bias=True)), "max", 2, 2)
    return b.dense(b.relu(b.dense(b.flatten(x), "f1", 256)), "f2", 10)


def mlp(b: Builder, x: Node) -> Node:
    """784-256-256-10."""
    for k in "12":
        x = b.relu(b.dense(x, f"f{k}", 256))
    return b.dense(x, "f3", 10)


# --- rows -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """A row: the scores of a batch, or a training step on them; see ``cpu_rows.Row``.

    A training step descends on the mean cross-entropy with ``momentum`` (0: plain descent), and returns the loss.
    """

    name: str
    title: str
    network: Callable[[Builder, Node], Node]
    shape: tuple[int, ...]
    training: bool = False
    momentum: float = MOMENTUM
    tolerance: float = 1e-3
    roots: float = 0
    quotients: float = 0

    @property
    def steps(self) -> int:
        """Calls whose results are compared."""
        return 3 if self.training else 1

    def images(self, quick: bool) -> np.ndarray:
        """A batch; of one image in quick runs."""
        shape = (2 if self.training else 1, *self.shape[1:]) if quick else self.shape
        return normal(*shape)

    def parameters(self, quick: bool) -> tuple[dict[str, np.ndarray], float]:
        """Drawn parameters, and the operations of products and convolutions of a forward pass."""
        return _drawn(self.network, self.images(quick).shape, self.training)

    @property
    def flops(self) -> float:
        """Operations of products and convolutions of a call; a training step takes three passes."""
        return self.parameters(False)[1] * (3 if self.training else 1)

    def traffic(self, quick: bool, results: Sequence[np.ndarray]) -> float:
        """The least bytes that a call moves: parameters once (and again when written), images and results."""
        weights = sum(a.nbytes for a in self.parameters(quick)[0].values())
        passes = (2 + 2 * bool(self.momentum)) if self.training else 1
        return float(weights * passes + self.images(quick).nbytes + sum(a.nbytes for a in results))

    def build(self, contestant: str, threads: int, quick: bool) -> Step:
        """The step of a contestant; raises ``Absent`` where it has none."""
        x, arrays = self.images(quick), dict(self.parameters(quick)[0])
        if contestant in ENGINES:
            if self.training:
                raise Absent("")
            return ENGINES[contestant](self, x, arrays, threads)
        if contestant == "torch, channels last" and x.ndim != 4 or contestant == "symc, bfloat16" and self.training:
            raise Absent("")
        if contestant not in _STEPS:
            raise Absent("")
        return _STEPS[contestant](self, x, arrays)


@cache
def _drawn(network: Any, shape: tuple[int, ...], training: bool) -> tuple[dict[str, np.ndarray], float]:
    b = Builder(training=training)
    network(b, Node(None, shape))
    return b.arrays, b.flops


def _labels(row: Network, x: np.ndarray) -> np.ndarray:
    b = Builder(training=True)
    classes = row.network(b, Node(None, x.shape)).shape[1]
    return np.random.default_rng(1).integers(0, classes, len(x))


def _symc(row: Network, x: np.ndarray, arrays: dict[str, np.ndarray]) -> Step:
    import symc
    import symc.tensor as T

    p = {name: symc.shared(a, name) for name, a in arrays.items()}
    given = T.tensor("float32", shape=(None, *x.shape[1:]))
    scores = row.network(SymcBuilder(p, row.training), Node(given, x.shape)).value
    if not row.training:
        f = symc.function([given], [scores])
        return lambda: f(x)
    y, labels = T.lvector("y"), _labels(row, x)
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(scores), y).mean()
    updates = []
    for value, g in zip(p.values(), symc.grad(loss, list(p.values()))):
        change = np.float32(-RATE) * g
        if row.momentum:
            velocity = symc.shared(np.zeros_like(value.get_value()))
            change = np.float32(row.momentum) * velocity + change
            updates.append((velocity, change))
        updates.append((value, value + change))
    train = symc.function([given, y], loss, updates=updates)
    return lambda: [train(x, labels)]


def _torch(
    row: Network, x: np.ndarray, arrays: dict[str, np.ndarray], last: bool = False, compiled: bool = False
) -> Step:
    import torch

    def tensor(a: np.ndarray) -> Any:
        t = torch.from_numpy(a.copy())
        return t.to(memory_format=torch.channels_last) if last and t.ndim == 4 else t

    images = tensor(x)
    p = {name: tensor(a) for name, a in arrays.items()}
    wrap = torch.compile if compiled else lambda f: f
    if compiled:
        torch.compiler.reset()  # else a second row would be compiled as one of unknown size

    def scores() -> Any:
        return row.network(TorchBuilder(p, row.training), Node(images, x.shape)).value

    if not row.training:
        run = wrap(scores)

        def call() -> Any:
            with torch.no_grad() if compiled else torch.inference_mode():
                return [run().contiguous()]

        return call
    labels = torch.from_numpy(_labels(row, x))
    for t in p.values():
        t.requires_grad_()
    optimizer = torch.optim.SGD(list(p.values()), RATE, row.momentum, fused=True)
    loss_of = wrap(lambda: torch.nn.functional.cross_entropy(scores(), labels))

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return [loss.detach()]

    return step


def _jax(row: Network, x: np.ndarray, arrays: dict[str, np.ndarray]) -> Step:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", False)
    images = jnp.asarray(x)
    p = {name: jnp.asarray(a) for name, a in arrays.items()}

    def scores(p: dict[str, Any], images: Any) -> Any:
        return row.network(JaxBuilder(p, row.training), Node(images, x.shape)).value

    if not row.training:
        run = jax.jit(scores)
        return lambda: [run(p, images).block_until_ready()]
    labels = jnp.asarray(_labels(row, x))

    def loss_of(p: Any, images: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(scores(p, images)), labels[:, None], 1).mean()

    def update(p: Any, v: Any, images: Any) -> Any:
        loss, g = jax.value_and_grad(loss_of)(p, images)
        v = jax.tree.map(lambda v, g: row.momentum * v - RATE * g, v, g) if row.momentum else v
        change = v if row.momentum else jax.tree.map(lambda g: -RATE * g, g)
        return jax.tree.map(jnp.add, p, change), v, loss

    run = jax.jit(update, donate_argnums=(0, 1))
    state = [p, jax.tree.map(jnp.zeros_like, p) if row.momentum else 0]

    def step() -> Any:
        state[0], state[1], loss = run(*state, images)
        jax.block_until_ready(state)
        return [loss]

    return step


_STEPS: dict[str, Callable[[Network, np.ndarray, dict[str, np.ndarray]], Step]] = {
    "symc": _symc,
    "symc, bfloat16": _symc,
    "torch": _torch,
    "torch, channels last": lambda row, x, arrays: _torch(row, x, arrays, last=True),
    "torch.compile": lambda row, x, arrays: _torch(row, x, arrays, compiled=True),
    "jax": _jax,
}

PICTURE = (3, 224, 224)


def _both(name: str, title: str, network: Any, batch: int, size: int | None = None) -> list[Network]:
    """The scores of one picture and of a batch, and a training step."""
    return [
        Network(f"{name}_b1", f"{title}, one picture", network, (1, *PICTURE)),
        Network(f"{name}_b8", f"{title}, 8 pictures", network, (8, *PICTURE)),
        Network(
            f"{name}_train", f"{title}, training step, {batch} pictures", network, (batch, *PICTURE), True,
            tolerance=3e-2,  # as far apart are equally exact algorithms after three steps: activations turn their signs
        ),
    ]  # fmt: skip


ROWS: list[Network] = [
    *_both("vgg11", "VGG-11", vgg((1, 1, 2, 2, 2)), 8),
    *_both("vgg16", "VGG-16", vgg((2, 2, 3, 3, 3)), 8),
    *_both("vgg19", "VGG-19", vgg((2, 2, 4, 4, 4)), 8),
    *_both("resnet18", "ResNet-18", resnet((2, 2, 2, 2), False), 8),
    *_both("resnet50", "ResNet-50", resnet((3, 4, 6, 3), True), 8),
    *_both("googlenet", "GoogLeNet", googlenet, 8),
    *_both("mobilenet", "MobileNetV2", inverted_network(32, MOBILENET, 1280), 8),
    *_both("densenet", "DenseNet-121", densenet, 4),
    *_both("efficientnet", "EfficientNet-Lite0", inverted_network(32, LITE0, 1280), 8),
    Network("dcgan", "DCGAN's generator, 64 images of 64 x 64", generator, (64, 100)),
    Network("dcgan_train", "DCGAN, training step, 64 images", gan, (64, 100), True),
    Network("lenet", "LeNet, 128 digits", lenet, (128, 1, 28, 28)),
    Network("lenet_train", "LeNet, training step with momentum, 128 digits", lenet, (128, 1, 28, 28), True),
    Network("mlp", "784-256-256-10, 128 rows", mlp, (128, 784)),
    Network("mlp_sgd", "784-256-256-10, training step, 128 rows", mlp, (128, 784), True, 0.0),
    Network("mlp_momentum", "784-256-256-10, training step with momentum, 128 rows", mlp, (128, 784), True),
]
