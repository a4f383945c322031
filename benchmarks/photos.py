"""What the methods of examples/photos.py spend their time on, beside PyTorch and Keras with the same weights.

    python benchmarks/photos.py                  batch 32, the sizes of the example, five turns of each
    python benchmarks/photos.py --save photos    also write benchmarks/results/photos.json and photos.md

base
    The features of 32 pictures: the convolutions of VGG-16.
block
    A step of Adam on the last block of VGG-16 and a head, given the features below it.
scratch
    A step of Adam on the small network of the example.
augmented
    The same with augmentation, batch normalisation and dropout.

The libraries take turns in one process. Each part is checked before it is timed: all compute the same outputs at
inference. The last line, the sitting, is the sum of the parts as often as the example runs them with its default
options on 2,000 photographs to learn from and 1,500 for testing. Keras runs on JAX, and is left out where it is not
installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
BATCH = 32
RATE = 1e-5
TRAIN, TEST = 2000, 1500


@dataclass
class Part:
    """A network, the inputs of a turn, and whether the turn is a step of training or inference."""

    network: Any
    X: np.ndarray
    trains: bool = True

    @property
    def labels(self) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 2, len(self.X)).astype("int32")


@dataclass
class Contestant:
    """A turn, and the outputs at inference before any turn of training."""

    turn: Callable[[], Any]
    outputs: np.ndarray


def example() -> Any:
    spec = importlib.util.spec_from_file_location("photos_example", HERE.parent / "examples" / "photos.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def options() -> argparse.Namespace:
    """The default options of the example."""
    return example().parse(["--data", "."])


def base() -> Part:
    from lasagne_like.models import vgg16

    size = options().base_size
    network = vgg16(input_shape=(3, size, size), include_top=False)
    X = (np.random.default_rng(0).standard_normal((BATCH, 3, size, size)) * 50).astype("float32")
    return Part(network.output_layer, X, trains=False)


def block() -> Part:
    from lasagne_like.init import HeNormal
    from lasagne_like.layers import Conv2DLayer, DenseLayer, GlobalPoolLayer, InputLayer, MaxPool2DLayer
    from lasagne_like.nonlinearities import softmax

    size = options().base_size // 16
    top: Any = InputLayer((None, 512, size, size))
    for _ in range(3):
        top = Conv2DLayer(top, 512, 3, pad="same", W=HeNormal("relu"))
    top = DenseLayer(GlobalPoolLayer(MaxPool2DLayer(top, 2)), 256)
    features = np.abs(np.random.default_rng(0).standard_normal((BATCH, 512, size, size)))
    return Part(DenseLayer(top, 2, nonlinearity=softmax), features.astype("float32"))


def small(regular: bool) -> Part:
    size = options().size
    network = example().small_network(["cat", "dog"], size, regular)
    pictures = np.random.default_rng(0).integers(0, 256, (BATCH, 3, size, size))
    return Part(network.output_layer, pictures.astype("float32"))


PARTS: dict[str, Callable[[], Part]] = {
    "base": base,
    "block": block,
    "scratch": lambda: small(False),
    "augmented": lambda: small(True),
}


def times() -> dict[str, int]:
    """How often each part runs in a sitting with the default options of the example."""
    chosen = options()
    learning = TRAIN // BATCH + 1
    pictures = (TRAIN + TEST) + (TRAIN * (1 + chosen.versions) + TEST) + (2 * TRAIN + TEST)
    return {
        "base": pictures // BATCH + 1,
        "block": 2 * TRAIN * chosen.tune_epochs // BATCH,
        "scratch": learning * chosen.plain_epochs,
        "augmented": learning * chosen.epochs,
    }


def ours(part: Part) -> Contestant:
    import symc
    import symc.tensor as T
    from lasagne_like.layers import get_all_layers, get_all_params, get_output
    from lasagne_like.updates import adam

    inputs, labels = get_all_layers(part.network)[0].input_var, T.ivector("labels")
    answer = symc.function([inputs], get_output(part.network, deterministic=True))
    if not part.trains:
        return Contestant(lambda: answer(part.X), answer(part.X))
    loss = T.mean(T.nnet.categorical_crossentropy(get_output(part.network), labels))
    updates = adam(loss, get_all_params(part.network, trainable=True), RATE)
    step, y = symc.function([inputs, labels], loss, updates=updates), part.labels
    return Contestant(lambda: float(step(part.X, y)), answer(part.X))


def correlation_weights(layer: Any) -> np.ndarray:
    """The weights of a convolution as PyTorch and Keras apply them: without flipping."""
    W = layer.W.get_value()
    return np.ascontiguousarray(W[:, :, ::-1, ::-1] if layer.flip_filters else W)


def in_torch(part: Part) -> Contestant:
    import torch

    module, given = torch_network(part.network), torch.tensor(part.X)

    def infer() -> np.ndarray:
        with torch.no_grad():
            return module(given).numpy()

    module.eval()
    if not part.trains:
        return Contestant(infer, infer())
    outputs = torch.softmax(torch.tensor(infer()), 1).numpy()
    module.train()
    optimiser = torch.optim.Adam(module.parameters(), RATE)
    wanted = torch.tensor(part.labels, dtype=torch.int64)

    def step() -> float:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(module(given), wanted)
        value.backward()
        optimiser.step()
        return float(value.detach())

    return Contestant(step, outputs)


def changed(pictures: Any) -> Any:
    """Pictures flipped, shifted, zoomed, rotated and with other contrast and brightness, as in the example."""
    import torch

    n = len(pictures)

    def draw(low: float, high: float) -> Any:
        return low + (high - low) * torch.rand(n)

    angle, zoom, flip = torch.deg2rad(draw(-15, 15)), 1 / draw(0.8, 1.2), torch.sign(torch.rand(n) - 0.5)
    rows = [torch.cos(angle) * zoom * flip, -torch.sin(angle) * zoom, draw(-0.2, 0.2)]
    columns = [torch.sin(angle) * zoom * flip, torch.cos(angle) * zoom, draw(-0.2, 0.2)]
    matrix = torch.stack([torch.stack(rows, 1), torch.stack(columns, 1)], 1)
    grid = torch.nn.functional.affine_grid(matrix, list(pictures.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    contrast, brightness = draw(0.7, 1.3).reshape(n, 1, 1, 1), draw(-0.2, 0.2).reshape(n, 1, 1, 1)
    return (moved - mean) * contrast + mean + brightness


def torch_network(network: Any) -> Any:
    """A network in PyTorch with the same weights, without a softmax at the end."""
    import torch

    from lasagne_like import layers as L

    class Change(torch.nn.Module):
        def forward(self, pictures: Any) -> Any:
            return changed(pictures) if self.training else pictures

    class Rescale(torch.nn.Module):
        def forward(self, pictures: Any) -> Any:
            return (pictures / 255 - 0.5) / 0.25

    parts: list[Any] = []
    for layer in L.get_all_layers(network):
        if isinstance(layer, L.RescaleLayer):
            parts.append(Rescale())
        elif isinstance(layer, L.RandomAffine):
            parts.append(Change())
        elif isinstance(layer, L.BatchNormLayer):
            parts.append(torch.nn.BatchNorm2d(layer.input_shape[1], eps=layer.epsilon, momentum=layer.alpha))
            parts[-1].running_var -= layer.epsilon  # ours starts with an inverse deviation of 1
        elif isinstance(layer, L.MaxPool2DLayer):
            parts.append(torch.nn.MaxPool2d(2))
        elif isinstance(layer, L.GlobalPoolLayer):
            parts += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        elif isinstance(layer, L.DropoutLayer):
            parts.append(torch.nn.Dropout(layer.p))
        elif isinstance(layer, L.NonlinearityLayer):
            parts.append(torch.nn.ReLU())
        elif isinstance(layer, (L.Conv2DLayer, L.DenseLayer)):
            parts.append(torch_layer(layer))
            if layer.b is not None and layer is not network:  # with batch normalisation, ReLU is a layer of its own
                parts.append(torch.nn.ReLU())
    return torch.nn.Sequential(*parts)


def torch_layer(layer: Any) -> Any:
    """A convolution or dense layer of PyTorch with the weights of ours."""
    import torch

    if layer.W.ndim == 4:
        W = correlation_weights(layer)
        bias = layer.b is not None
        made: Any = torch.nn.Conv2d(W.shape[1], W.shape[0], W.shape[2:], layer.stride, W.shape[-1] // 2, bias=bias)
    else:
        W = layer.W.get_value().T
        made = torch.nn.Linear(W.shape[1], W.shape[0])
    with torch.no_grad():
        made.weight.copy_(torch.tensor(np.ascontiguousarray(W)))
        if layer.b is not None:
            made.bias.copy_(torch.tensor(layer.b.get_value()))
    return made


def in_keras(part: Part) -> Contestant:
    import keras

    model = keras_network(part.network)
    X = np.ascontiguousarray(np.moveaxis(part.X, 1, -1))

    def infer() -> np.ndarray:
        return np.asarray(model.predict_on_batch(X))

    outputs = infer()
    if not part.trains:
        return Contestant(infer, np.moveaxis(outputs, -1, 1))
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss="sparse_categorical_crossentropy")
    y = part.labels
    return Contestant(lambda: float(model.train_on_batch(X, y)), outputs)


def keras_network(network: Any) -> Any:
    """A network in Keras, channels last, with the same weights."""
    import keras
    from keras import layers as K

    from lasagne_like import layers as L

    made: list[Any] = []
    for layer in L.get_all_layers(network):
        if isinstance(layer, L.InputLayer):
            made.append(K.Input((*layer.shape[2:], layer.shape[1])))
        elif isinstance(layer, L.RescaleLayer):
            made.append(K.Rescaling(1 / 63.75, -2.0))
        elif isinstance(layer, L.RandomAffine):
            made += [K.RandomFlip("horizontal"), K.RandomTranslation(0.1, 0.1), K.RandomZoom(0.2)]
            made.append(K.RandomRotation(15 / 360))
        elif isinstance(layer, L.RandomContrast):
            made.append(K.RandomContrast(0.3, value_range=(-2, 2)))
        elif isinstance(layer, L.RandomBrightness):
            made.append(K.RandomBrightness(0.2, value_range=(-2, 2)))
        elif isinstance(layer, L.BatchNormLayer):
            made.append(K.BatchNormalization(epsilon=layer.epsilon, momentum=1 - layer.alpha))
        elif isinstance(layer, L.MaxPool2DLayer):
            made.append(K.MaxPooling2D(2))
        elif isinstance(layer, L.GlobalPoolLayer):
            made.append(K.GlobalAveragePooling2D())
        elif isinstance(layer, L.DropoutLayer):
            made.append(K.Dropout(layer.p))
        elif isinstance(layer, L.NonlinearityLayer):
            made.append(K.ReLU())
        elif isinstance(layer, (L.Conv2DLayer, L.DenseLayer)):
            made += keras_layers(layer, "softmax" if layer is network else "relu")
    model = keras.Sequential(made)
    weighted = [layer for layer in model.layers if isinstance(layer, (K.Conv2D, K.Dense))]
    for there, layer in zip(weighted, [one for one in L.get_all_layers(network) if hasattr(one, "W")], strict=True):
        W = correlation_weights(layer).transpose(2, 3, 1, 0) if layer.W.ndim == 4 else layer.W.get_value()
        there.set_weights([W] if layer.b is None else [W, layer.b.get_value()])
    for there in model.layers:
        if isinstance(there, K.BatchNormalization):
            there.moving_variance.assign(there.moving_variance - there.epsilon)
    return model


def keras_layers(layer: Any, activation: str) -> list[Any]:
    """A convolution or dense layer; a stride needs the margin of ours, which "same" does not give."""
    from keras import layers as K

    if layer.W.ndim == 2:
        return [K.Dense(layer.num_units, activation=activation)]
    name, bias = (None, False) if layer.b is None else (activation, True)
    size, stride = layer.filter_size[0], layer.stride[0]
    if stride == 1:
        return [K.Conv2D(layer.num_filters, size, padding="same", activation=name, use_bias=bias)]
    return [K.ZeroPadding2D(size // 2), K.Conv2D(layer.num_filters, size, stride, activation=name, use_bias=bias)]


CONTESTANTS: dict[str, Callable[[Part], Contestant]] = {"symc": ours, "PyTorch": in_torch, "Keras": in_keras}


def relative(first: np.ndarray, second: np.ndarray) -> float:
    """The largest difference relative to the largest value."""
    return float(np.abs(first - second).max() / np.abs(second).max())


def measure(name: str, turns: int, names: list[str]) -> dict[str, Any]:
    """The seconds of each turn of the libraries, and the largest difference of their outputs from ours."""
    part = PARTS[name]()
    made = {library: CONTESTANTS[library](part) for library in names}
    difference = max(relative(made["symc"].outputs, one.outputs) for one in made.values())
    assert difference < 1e-3, f"{name}: the libraries do not compute the same: {difference:.1e}"
    row: dict[str, Any] = {"part": name, "difference": difference, "seconds": {library: [] for library in names}}
    for one in made.values():
        one.turn()
    for _ in range(turns):
        for library, one in made.items():
            start = time.perf_counter()
            one.turn()
            row["seconds"][library].append(time.perf_counter() - start)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0]["seconds"])
    head = ["part", *(f"{name} ms" for name in names), *(f"{name} / symc" for name in names[1:])]
    lines = [f"| {' | '.join(head)} | difference | times in a sitting |", "| --- |" + " ---: |" * (len(head) + 1)]
    counts, sums = times(), np.zeros(len(names))

    def line(part: str, spent: np.ndarray, *rest: str) -> str:
        cells = [part, *(f"{ms:,.0f}" for ms in spent), *(f"{ms / spent[0]:.2f}" for ms in spent[1:]), *rest]
        return f"| {' | '.join(cells)} |"

    for row in rows:
        spent = np.array([1e3 * float(np.median(row["seconds"][name])) for name in names])
        sums += spent * counts[row["part"]]
        lines.append(line(row["part"], spent, f"{row['difference']:.0e}", f"{counts[row['part']]}"))
    if len(rows) == len(PARTS):
        lines.append(line("sitting", sums, "", ""))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", metavar="NAME")
    args = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import torch

    import symc

    symc.config.threads = args.threads
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    installed = [name for name in CONTESTANTS if name != "Keras" or importlib.util.find_spec("keras")]
    rows = [measure(name, args.turns, installed) for name in args.parts or PARTS]
    text = table(rows)
    print(text)
    if args.save:
        from run import machine, save

        save(args.save, machine(), [text], rows)


if __name__ == "__main__":
    main()
