"""Classify photographs of your own: from scratch, and from what a VGG-16 learnt from ImageNet.

    python examples/photos.py --data DIR                      all methods
    python examples/photos.py --data DIR --methods frozen     one of them, or several
    python examples/photos.py --data DIR --per-class 50       with few labelled photographs

DIR contains a folder per class (DIR/cat/*.jpg, DIR/dog/*.jpg, ...), a fifth of which is held out for testing, or such
folders in DIR/train and DIR/test. The methods:

    scratch     a small network of convolutions
    augmented   the same with batch normalisation, dropout, and photographs that are changed at random
    frozen      a new head on the convolutions of VGG-16, which stay as they are
    varied      the same, learnt from random versions of each photograph as well
    fine-tuned  then the last block of convolutions is trained, too, with small steps and new random versions

No choice depends on the test photographs: the error of the last epoch counts. Prints a table of errors and times, and
writes curves, mistakes, explanations and the best model to the output folder. The model is one file:

    python -m lasagne_like predict runs/photos.safetensors picture.jpg
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import lasagne_like
import symc
from lasagne_like import Model, Trainer, plot
from lasagne_like.data import (
    Colour,
    Flip,
    PictureSet,
    Preprocess,
    Rotate,
    Shift,
    Zoom,
    augmented_copies,
    image_splits,
)
from lasagne_like.init import HeNormal
from lasagne_like.layers import (
    Conv2DLayer,
    DenseLayer,
    DropoutLayer,
    GlobalPoolLayer,
    InputLayer,
    Layer,
    MaxPool2DLayer,
    RandomAffine,
    RandomBrightness,
    RandomContrast,
    RescaleLayer,
    batch_norm,
    get_all_param_values,
    set_all_param_values,
)
from lasagne_like.models import vgg16
from lasagne_like.nonlinearities import softmax
from lasagne_like.regularization import l2, regularize_network_params
from lasagne_like.training import Cosine
from lasagne_like.transfer import freeze, last_block, replace_head, unfreeze

WIDTHS = (32, 64, 128, 256, 256)
"""The numbers of filters of the convolutions of the small network."""


@dataclass
class Learnt:
    """A trained network, the test photographs at its size, its error on them, its history, and the seconds it took."""

    network: Model
    test: PictureSet
    error: float
    history: dict[str, list[float]]
    seconds: float


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", metavar="DIR", type=Path, required=True, help="folder with a folder of photographs per class")
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="default: all")
    add("--size", type=int, default=160, help="rows and columns of the small network's inputs (default: %(default)s)")
    add("--base-size", type=int, default=224, help="rows and columns of VGG-16's inputs (default: %(default)s)")
    add("--per-class", type=int, help="number of labelled photographs of each class (default: all)")
    add("--plain-epochs", type=int, default=25, help="passes of the small network as it is (default: %(default)s)")
    add("--epochs", type=int, default=40, help="passes of the augmented small network (default: %(default)s)")
    add("--head-epochs", type=int, default=40, help="passes of a new head (default: %(default)s)")
    add("--tune-epochs", type=int, default=2, help="passes of fine-tuning (default: %(default)s)")
    add("--versions", type=int, default=1, help="random versions of each photograph (default: %(default)s)")
    add("--weights", default="imagenet", help="weights of VGG-16: a name or a file (default: %(default)s)")
    add("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    add("--seeds", type=int, default=1, help="number of runs with different seeds (default: %(default)s)")
    add("--out", metavar="DIR", type=Path, default=Path("runs"), help="output folder (default: %(default)s)")
    add("--device", default=symc.config.device, help="device to run on, such as cpu or cuda (default: %(default)s)")
    return parser.parse_args(argv)


def small_network(classes: list[str], size: int, regular: bool) -> Model:
    """Five convolutions with pooling between them, the average over the picture, softmax.

    `regular` networks augment their inputs, normalise batches and have dropout.
    """

    def convolution(below: Layer, width: int, window: int, stride: int) -> Layer:
        layer = Conv2DLayer(below, width, window, stride=stride, pad=window // 2, W=HeNormal("relu"))
        return batch_norm(layer) if regular else layer

    top: Layer = RescaleLayer(InputLayer((None, 3, size, size)), mean=0.5, std=0.25)
    if regular:
        top = RandomAffine(top, shift=0.1, zoom=0.2, degrees=15)
        top = RandomBrightness(RandomContrast(top, 0.3), 0.2)
    top = convolution(top, WIDTHS[0], 5, stride=2)
    for width in WIDTHS[1:]:
        top = convolution(MaxPool2DLayer(top, 2), width, 3, stride=1)
    top = GlobalPoolLayer(top)
    top = DenseLayer(DropoutLayer(top, 0.5) if regular else top, len(classes), nonlinearity=softmax)
    return Model(top, preprocess=Preprocess(resize=size, crop=size), classes=classes)


def versions(photos: PictureSet, count: int, seed: int) -> Any:
    """The photographs, and `count` random versions of each, with their labels."""
    changes = [Flip(), Rotate(10), Zoom(0.15), Shift(0.08), Colour(0.2)]
    return augmented_copies(photos, augment=changes, copies=count, seed=seed)


@cache
def photographs(folder: Path, size: int, per_class: int | None) -> tuple[PictureSet, PictureSet]:
    """The photographs to learn from and those for testing, read once at each size."""
    return image_splits(folder, size, per_class=per_class)


@dataclass
class Sitting:
    """What the methods share: the names of the classes, the options, a seed, and what has been learnt so far."""

    classes: list[str]
    options: argparse.Namespace
    seed: int
    learnt: dict[str, Learnt] = field(default_factory=dict)

    def learn(self, method: str) -> Learnt:
        """Run a method; if it has run in this sitting, what it learnt."""
        if method not in self.learnt:
            print(f"\n{method}, seed {self.seed}")
            lasagne_like.random.set_rng(np.random.RandomState(self.seed))
            self.learnt[method] = METHODS[method](self)
        return self.learnt[method]

    def small(self, regular: bool) -> Model:
        return small_network(self.classes, self.options.size, regular)

    def headed(self) -> Model:
        """A new head on the frozen convolutions of VGG-16."""
        size = self.options.base_size
        base = vgg16(weights=self.options.weights, include_top=False, input_shape=(3, size, size))
        network: Any = replace_head(base, classes=self.classes, hidden=256, dropout=0.5)
        freeze(base)
        return network

    def fit(self, network: Model, epochs: int, rate: float, decay: float, copies: int = 0, draw: int = 0) -> Learnt:
        """Train on the photographs and `copies` random versions of each; the test photographs are watched only.

        Another `draw` gives other versions. The learning rate falls to zero, and weights are kept small.
        """
        start = time.perf_counter()
        size = network.input_layers[0].output_shape[-1]
        train, test = photographs(self.options.data, size, self.options.per_class)
        data = versions(train, copies, self.seed + 1000 * draw) if copies else (train.images, train.labels)
        squares = regularize_network_params(network, l2, tags={"regularizable": True, "trainable": True})
        schedule = Cosine(rate, epochs)
        trainer = Trainer(
            network, learning_rate=schedule, penalty=decay * squares, batch_size=32, restore_best=False, seed=self.seed
        )
        history = trainer.fit(*data, epochs, validation=(test.images, test.labels))
        return Learnt(network, test, history["valid_error"][-1], history, time.perf_counter() - start)


def scratch(sitting: Sitting) -> Learnt:
    return sitting.fit(sitting.small(False), sitting.options.plain_epochs, rate=1e-3, decay=1e-3)


def augmented(sitting: Sitting) -> Learnt:
    return sitting.fit(sitting.small(True), sitting.options.epochs, rate=2e-3, decay=3e-4)


def frozen(sitting: Sitting) -> Learnt:
    return sitting.fit(sitting.headed(), sitting.options.head_epochs, rate=1e-3, decay=1e-3)


def varied(sitting: Sitting) -> Learnt:
    options = sitting.options
    return sitting.fit(sitting.headed(), options.head_epochs, rate=1e-3, decay=1e-3, copies=options.versions)


def fine_tuned(sitting: Sitting) -> Learnt:
    first, network = sitting.learn("varied"), sitting.headed()
    set_all_param_values(network, get_all_param_values(first.network))
    unfreeze(last_block(network), network)
    # Weights that fit almost all photographs have small gradients, beside which a penalty would decide every step.
    second = sitting.fit(network, sitting.options.tune_epochs, rate=2e-5, decay=0, copies=1, draw=1)
    return replace(second, seconds=first.seconds + second.seconds)


METHODS: dict[str, Callable[[Sitting], Learnt]] = {
    "scratch": scratch,
    "augmented": augmented,
    "frozen": frozen,
    "varied": varied,
    "fine-tuned": fine_tuned,
}


def look(best: Learnt, runs: dict[str, list[Learnt]], folder: Path) -> list[Path]:
    """Draw the curves of all methods, and the mistakes and the reasons of the best network."""
    paths, test = [folder / f"photos-{name}.png" for name in ("curves", "mistakes", "reasons")], best.test
    plot.plot_runs({name: [run.history for run in found] for name, found in runs.items()}, paths[0])
    probabilities = best.network.outputs(test.images)
    plot.plot_confusion(test.labels, probabilities, test.classes, paths[1], pictures=test.images)
    chosen = [int(np.flatnonzero(test.labels == k)[0]) for k in range(len(test.classes))][:4]
    plot.plot_explanations(best.network, test.images[chosen], path=paths[2], methods=("saliency", "grad_cam"))
    return paths


def table(runs: dict[str, list[Learnt]]) -> str:
    lines = ["| method | test accuracy | seconds |", "| --- | ---: | ---: |"]
    for name, found in runs.items():
        right = [100 * (1 - run.error) for run in found]
        spread = f" ({min(right):.1f} to {max(right):.1f})" if len(right) > 1 else ""
        seconds = np.mean([run.seconds for run in found])
        lines.append(f"| {name} | {np.mean(right):.1f} %{spread} | {seconds:.0f} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    options = parse(argv)
    symc.config.device = options.device
    train, test = photographs(options.data, options.size, options.per_class)
    print(f"{len(train.labels)} photographs to learn from, {len(test.labels)} for testing: {', '.join(train.classes)}")
    runs: dict[str, list[Learnt]] = {name: [] for name in options.methods}
    for seed in range(options.seed, options.seed + options.seeds):
        sitting = Sitting(train.classes, options, seed)
        for name in options.methods:
            runs[name].append(sitting.learn(name))
    best = min((run for found in runs.values() for run in found), key=lambda run: run.error)
    options.out.mkdir(parents=True, exist_ok=True)
    model = options.out / "photos.safetensors"
    lasagne_like.save(model, best.network)
    pictures = look(best, runs, options.out)
    print("", table(runs), "", f"wrote {', '.join(map(str, [model, *pictures]))}", sep="\n")
    print(f"try it: python -m lasagne_like predict {model} picture.jpg")
    return {"errors": {name: [run.error for run in found] for name, found in runs.items()}, "model": model}


if __name__ == "__main__":
    main()
