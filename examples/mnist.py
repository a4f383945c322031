"""Train a network on handwritten digits.

    python examples/mnist.py                                    LeNet on the sample of 7,000 digits
    python examples/mnist.py --data DIR                         LeNet on the full MNIST (four IDX files in DIR)
    python examples/mnist.py --data DIR --download              the same, after downloading the files to DIR
    python examples/mnist.py --model fc64 --data DIR            a perceptron with 64 hidden units

Prints the test error and writes to the output folder the trained model (MODEL.safetensors), its learning curve
(MODEL.png) and the filters of its first layer (MODEL-filters.png).
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lasagne_like
import symc
from lasagne_like.data import Digits, load_mnist, offer_download
from lasagne_like.files import save_weights
from lasagne_like.layers import (
    Conv2DLayer,
    DenseLayer,
    DropoutLayer,
    InputLayer,
    Layer,
    MaxPool2DLayer,
    count_params,
)
from lasagne_like.nonlinearities import softmax
from lasagne_like.training import Trainer, cosine


def build_fc64() -> Layer:
    """Build a perceptron with 784-64-10 units."""
    net = DropoutLayer(InputLayer((None, 1, 28, 28), name="input"), p=0.1)
    net = DenseLayer(net, 64, name="hidden")
    net = DropoutLayer(net, p=0.1)
    return DenseLayer(net, 10, nonlinearity=softmax, name="output")


def build_fc256x2() -> Layer:
    """Build a perceptron with 784-256-256-10 units."""
    net = DropoutLayer(InputLayer((None, 1, 28, 28), name="input"), p=0.2)
    for number in (1, 2):
        net = DropoutLayer(DenseLayer(net, 256, name=f"hidden{number}"), p=0.3)
    return DenseLayer(net, 10, nonlinearity=softmax, name="output")


def build_lenet() -> Layer:
    """Build 20C5-MP2-50C5-MP2-FC256-FC10, after LeCun et al. (1998), with rectifiers and dropout."""
    net: Layer = InputLayer((None, 1, 28, 28), name="input")
    for number, filters in ((1, 20), (2, 50)):
        net = MaxPool2DLayer(Conv2DLayer(net, filters, 5, name=f"conv{number}"), 2, name=f"pool{number}")
    net = DenseLayer(DropoutLayer(net, p=0.5), 256, name="hidden")
    return DenseLayer(DropoutLayer(net, p=0.5), 10, nonlinearity=softmax, name="output")


@dataclass(frozen=True)
class Recipe:
    """A network and the hyperparameters for training it on the full MNIST."""

    build: Callable[[], Layer]
    epochs: int
    learning_rate: float


RECIPES = {
    "fc64": Recipe(build_fc64, epochs=30, learning_rate=3e-3),
    "fc256x2": Recipe(build_fc256x2, epochs=30, learning_rate=1e-3),
    "lenet": Recipe(build_lenet, epochs=15, learning_rate=1e-3),
}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", choices=RECIPES, default="lenet", help="network to train (default: %(default)s)")
    add("--data", metavar="DIR", type=Path, help="folder with the four IDX files of MNIST (default: the sample)")
    add("--download", action="store_true", help="download MNIST (11.6 MB) to --data DIR, by default ./mnist")
    add("--epochs", type=int, help="passes over the training digits (default: depends on the model)")
    add("--batch", type=int, default=128, help="digits per mini-batch (default: %(default)s)")
    add("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    add("--limit", type=int, help="maximum number of training digits, for a quick test")
    add("--out", metavar="DIR", type=Path, default=Path("runs"), help="output folder (default: %(default)s)")
    add("--device", default=symc.config.device, help="device to run on, such as cpu or cuda (default: %(default)s)")
    return parser.parse_args(argv)


def load(data: Path | None, download: bool) -> Digits:
    """Load the digits from a folder, after downloading them if requested, or load the sample."""
    if download or (data is not None and not data.exists()):
        data = offer_download(data or Path("mnist"), agreed=download) or data
    if data is None:
        print("training on the sample; --data DIR takes the full MNIST, --download fetches it")
    return load_mnist(data)


def draw(out: Path, model: str, trainer: Trainer, title: str) -> None:
    """Plot the learning curve and the filters of the first layer, if matplotlib is installed."""
    try:
        from lasagne_like.plot import plot_filters, plot_history

        plot_history(trainer.history, out / f"{model}.png", title=title)
    except ImportError as error:
        print(f"no plots: {error}")
        return
    first = next(layer for layer in lasagne_like.layers.get_all_layers(trainer.output_layer) if layer.params)
    plot_filters(first.W.get_value(), out / f"{model}-filters.png")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train, test, save and plot; return the results."""
    options = parse(argv)
    symc.config.device = options.device
    recipe = RECIPES[options.model]
    epochs = recipe.epochs if options.epochs is None else options.epochs
    digits = load(options.data, options.download).limit(options.limit)

    lasagne_like.random.set_rng(np.random.RandomState(options.seed))
    network = recipe.build()
    trainer = Trainer(
        network, learning_rate=cosine(recipe.learning_rate, epochs), batch_size=options.batch, seed=options.seed
    )
    print(f"{options.model}: {count_params(network):,} parameters, {len(digits.X_train):,} training digits")
    began = time.perf_counter()
    history = trainer.fit(digits.X_train, digits.y_train, epochs, validation=(digits.X_valid, digits.y_valid))
    seconds = time.perf_counter() - began
    loss, error = trainer.evaluate(digits.X_test, digits.y_test)

    options.out.mkdir(parents=True, exist_ok=True)
    model_path = options.out / f"{options.model}.safetensors"
    save_weights(model_path, network)
    draw(options.out, options.model, trainer, f"{options.model}: test error {100 * error:.2f} %")
    print(f"test error {100 * error:.2f} % (best epoch {trainer.best_epoch}, {seconds:.1f} s); saved in {options.out}/")
    return {"test_error": error, "test_loss": loss, "seconds": seconds, "history": history, "model": str(model_path)}


if __name__ == "__main__":
    main()
