"""What the methods of examples/photos.py spend their time on, beside PyTorch doing the same with the same weights.

    python benchmarks/photos.py                  batch 32, 160 x 160, five turns of each
    python benchmarks/photos.py --save photos    also write benchmarks/results/photos.json and photos.md

base
    The features of 32 pictures: the convolutions of VGG-16.
block
    A step of Adam on the last block of VGG-16 and a head, given the features below it.
small
    A step of Adam on the small network of the example with batch normalisation and dropout, without augmentation.

The two libraries take turns in one process, and each part is checked: equal features, equal first losses.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
SIZE, BATCH = 160, 32
RATE = 1e-5
Part = tuple[Callable[[], Any], Callable[[], Any], Callable[[Any, Any], float]]


def example() -> Any:
    spec = importlib.util.spec_from_file_location("photos_example", HERE.parent / "examples" / "photos.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def relative(ours: Any, theirs: Any) -> float:
    """The largest difference relative to the largest value."""
    a, b = np.asarray(ours), np.asarray(theirs)
    return float(np.abs(a - b).max() / np.abs(b).max())


def torch_of(layer: Any) -> Any:
    """A convolution or dense layer of PyTorch with the weights of ours."""
    import torch

    W = layer.W.get_value()
    if W.ndim == 4:
        W = W[:, :, ::-1, ::-1] if layer.flip_filters else W
        made: Any = torch.nn.Conv2d(W.shape[1], W.shape[0], W.shape[2:], padding="same", bias=layer.b is not None)
    else:
        W = W.T
        made = torch.nn.Linear(W.shape[1], W.shape[0])
    with torch.no_grad():
        made.weight.copy_(torch.tensor(np.ascontiguousarray(W)))
        if layer.b is not None:
            made.bias.copy_(torch.tensor(layer.b.get_value()))
    return made


def training_steps(network: Any, module: Any, X: np.ndarray, y: np.ndarray) -> Part:
    """A step of Adam of both libraries on the same batch; both return the loss before it."""
    import torch

    import symc
    import symc.tensor as T
    from lasagne_like.layers import get_all_layers, get_all_params, get_output
    from lasagne_like.updates import adam

    inputs, labels = get_all_layers(network)[0].input_var, T.ivector("labels")
    loss = T.mean(T.nnet.categorical_crossentropy(get_output(network), labels))
    params = get_all_params(network, trainable=True)
    step = symc.function([inputs, labels], loss, updates=adam(loss, params, RATE))
    optimiser = torch.optim.Adam(module.parameters(), RATE)
    given, wanted = torch.tensor(X), torch.tensor(y, dtype=torch.int64)

    def theirs() -> float:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(module(given), wanted)
        value.backward()
        optimiser.step()
        return float(value.detach())

    return lambda: float(step(X, y)), theirs, relative


def base() -> Part:
    import torch

    import symc
    from lasagne_like.layers import Conv2DLayer, MaxPool2DLayer, get_output
    from lasagne_like.models import vgg16

    network = vgg16(input_shape=(3, SIZE, SIZE), include_top=False)
    parts: list[Any] = []
    for layer in network.values():
        if isinstance(layer, Conv2DLayer):
            parts += [torch_of(layer), torch.nn.ReLU()]
        elif isinstance(layer, MaxPool2DLayer):
            parts.append(torch.nn.MaxPool2d(2))
    module = torch.nn.Sequential(*parts)
    output = get_output(network.output_layer, deterministic=True)
    f = symc.function([network["input"].input_var], output)
    X = (np.random.default_rng(0).standard_normal((BATCH, 3, SIZE, SIZE)) * 50).astype("float32")
    given = torch.tensor(X)

    def theirs() -> Any:
        with torch.no_grad():
            return module(given).numpy()

    return lambda: f(X), theirs, relative


def block() -> Part:
    import torch

    from lasagne_like.init import HeNormal
    from lasagne_like.layers import Conv2DLayer, DenseLayer, GlobalPoolLayer, InputLayer, MaxPool2DLayer
    from lasagne_like.nonlinearities import softmax

    side = SIZE // 16
    top: Any = InputLayer((None, 512, side, side))
    parts: list[Any] = []
    for _ in range(3):
        top = Conv2DLayer(top, 512, 3, pad="same", W=HeNormal("relu"))
        parts += [torch_of(top), torch.nn.ReLU()]
    top = GlobalPoolLayer(MaxPool2DLayer(top, 2))
    parts += [torch.nn.MaxPool2d(2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    top = DenseLayer(top, 256)
    parts += [torch_of(top), torch.nn.ReLU()]
    top = DenseLayer(top, 2, nonlinearity=softmax)
    parts.append(torch_of(top))
    rng = np.random.default_rng(0)
    X = np.abs(rng.standard_normal((BATCH, 512, side, side))).astype("float32")
    return training_steps(top, torch.nn.Sequential(*parts), X, rng.integers(0, 2, BATCH).astype("int32"))


def small() -> Part:
    import torch

    from lasagne_like.init import HeNormal
    from lasagne_like.layers import (
        Conv2DLayer,
        DenseLayer,
        GlobalPoolLayer,
        InputLayer,
        MaxPool2DLayer,
        batch_norm,
    )
    from lasagne_like.nonlinearities import softmax

    top: Any = InputLayer((None, 3, SIZE, SIZE))
    parts: list[Any] = []

    def pool(top: Any) -> Any:
        parts.append(torch.nn.MaxPool2d(2))
        return MaxPool2DLayer(top, 2)

    for number, width in enumerate(example().WIDTHS):
        for turn in range(2):
            top = pool(top) if not number and not turn else top
            layer = Conv2DLayer(top, width, 3, pad="same", W=HeNormal("relu"))
            top = batch_norm(layer)
            parts += [torch_of(layer), torch.nn.BatchNorm2d(width, eps=1e-4, momentum=0.1), torch.nn.ReLU()]
        top = pool(top)
    top = DenseLayer(GlobalPoolLayer(top), 2, nonlinearity=softmax)
    parts += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch_of(top)]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((BATCH, 3, SIZE, SIZE)).astype("float32")
    return training_steps(top, torch.nn.Sequential(*parts), X, rng.integers(0, 2, BATCH).astype("int32"))


PARTS: dict[str, Callable[[], Part]] = {"base": base, "block": block, "small": small}


def measure(name: str, turns: int) -> dict[str, Any]:
    """The seconds of each turn of both libraries, and how far their first results differ."""
    ours, theirs, compare = PARTS[name]()
    difference = compare(ours(), theirs())
    row: dict[str, Any] = {"part": name, "difference": difference, "symc_s": [], "torch_s": []}
    for _ in range(turns):
        for key, call in (("symc_s", ours), ("torch_s", theirs)):
            start = time.perf_counter()
            call()
            row[key].append(time.perf_counter() - start)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| part | symc ms | PyTorch ms | PyTorch / symc | difference |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in rows:
        a, b = (1e3 * float(np.median(row[key])) for key in ("symc_s", "torch_s"))
        lines.append(f"| {row['part']} | {a:.0f} | {b:.0f} | {b / a:.2f} | {row['difference']:.0e} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", metavar="NAME")
    args = parser.parse_args()
    import torch

    import symc

    symc.config.threads = args.threads
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows = [measure(name, args.turns) for name in args.parts or PARTS]
    text = table(rows)
    print(text)
    if args.save:
        from run import machine, save

        save(args.save, machine(), [text], rows)


if __name__ == "__main__":
    main()
