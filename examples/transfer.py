"""Transfer learning: classify new digits from few labels with features learned from other digits.

    python examples/transfer.py                     on the sample of 7,000 digits
    python examples/transfer.py --data DIR          on the full MNIST (four IDX files in DIR)

A small VGG-style network is trained on the digits 0 to 4. The digits 5 to 9 are then learned from 10, 50 and 250
labelled examples with three methods: from scratch; with a new head on the frozen convolutions of the first network; and
with all layers fine-tuned afterwards. Each is repeated for several random draws of labelled digits. Prints a table of
the test errors on the digits 5 to 9, and plots it in the output folder (transfer.png).
"""

import argparse
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

import lasagne_like
import symc
from lasagne_like.data import Digits, load_mnist
from lasagne_like.files import save_weights
from lasagne_like.init import HeNormal
from lasagne_like.layers import BatchNormLayer, DenseLayer, DropoutLayer, Layer, NonlinearityLayer
from lasagne_like.models import small_vgg
from lasagne_like.nonlinearities import rectify, softmax
from lasagne_like.training import Trainer, cosine
from lasagne_like.transfer import copy_weights, freeze, replace_head, unfreeze

CUT = "pool2"  # keep the convolutions; the dense layers above are specific to the source digits
METHODS = ("from scratch", "frozen", "fine-tuned")
BATCH = 25
STEPS = 300
RATE = 2e-3


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", metavar="DIR", type=Path, help="folder with the four IDX files of MNIST (default: the sample)")
    add("--counts", type=int, nargs="+", default=[10, 50, 250], help="numbers of labelled digits (default: 10 50 250)")
    add("--draws", type=int, default=5, help="random draws of labelled digits per count (default: %(default)s)")
    add("--epochs", type=int, default=8, help="passes over the digits 0 to 4 (default: %(default)s)")
    add("--steps", type=int, default=STEPS, help="training steps on labelled digits (default: %(default)s)")
    add("--limit", type=int, help="maximum number of training digits, for a quick test")
    add("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    add("--out", metavar="DIR", type=Path, default=Path("runs"), help="output folder (default: %(default)s)")
    add("--device", default=symc.config.device, help="device to run on, such as cpu or cuda (default: %(default)s)")
    return parser.parse_args(argv)


def learn_source(digits: Digits, epochs: int, seed: int) -> tuple[OrderedDict[str, Layer], float]:
    """Train the source network on the digits 0 to 4; return it with its test error."""
    network = small_vgg(num_classes=5)
    trainer = Trainer(network, learning_rate=cosine(RATE, epochs), batch_size=64, seed=seed)
    trainer.fit(digits.X_train, digits.y_train, epochs, validation=(digits.X_valid, digits.y_valid))
    return network, trainer.evaluate(digits.X_test, digits.y_test)[1]


def new_head(trunk: Layer) -> Layer:
    """Build the dense layers of a small VGG, with random weights, on top of a trunk."""
    net: Layer = DenseLayer(trunk, 64, W=HeNormal("relu"), b=None, nonlinearity=None, name="fc")
    net = NonlinearityLayer(BatchNormLayer(net, name="fc_bn"), rectify, name="fc_relu")
    net = DropoutLayer(net, p=0.5, name="fc_dropout")
    return DenseLayer(net, 5, nonlinearity=softmax, name="out")


class Comparison:
    """The three methods for learning new digits, each compiled once and run on many draws."""

    def __init__(self, source: OrderedDict[str, Layer], steps: int) -> None:
        self.source, self.steps = source, steps
        self.scratch = small_vgg(num_classes=5)
        # A separate network: fine-tuning changes the trunk, but each draw starts from the source weights.
        self.transferred = replace_head(small_vgg(num_classes=5), CUT, new_head)
        self.trainers: dict[str, Trainer] = {}

    def run(self, X: np.ndarray, y: np.ndarray, test: tuple[np.ndarray, np.ndarray], seed: int) -> dict[str, float]:
        """Train on the given digits; return the test error of each method."""
        errors = {}
        fresh = small_vgg(num_classes=5)
        copy_weights(fresh, self.scratch)
        errors["from scratch"] = self._train("from scratch", self.scratch, X, y, test, seed)

        copy_weights(fresh, self.transferred)
        trunk = self.transferred[CUT]
        copy_weights(self.source, self.transferred, ["conv*", "bn*"])
        freeze(trunk, below=True)
        errors["frozen"] = self._train("frozen", self.transferred, X, y, test, seed)
        unfreeze(trunk, below=True)
        errors["fine-tuned"] = self._train("fine-tuned", self.transferred, X, y, test, seed)
        return errors

    def _train(
        self,
        method: str,
        network: OrderedDict[str, Layer],
        X: np.ndarray,
        y: np.ndarray,
        test: tuple[np.ndarray, np.ndarray],
        seed: int,
    ) -> float:
        epochs = max(1, self.steps // -(-len(X) // BATCH))
        if method not in self.trainers:
            self.trainers[method] = Trainer(network, batch_size=BATCH, verbose=False)
        trainer = self.trainers[method]
        trainer.schedule = cosine(RATE, epochs)
        trainer.reset(seed)
        trainer.fit(X, y, epochs)
        return trainer.evaluate(*test)[1]


def draw_labelled(digits: Digits, count: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``count`` digits, with equal numbers per class."""
    chosen = [rng.choice(np.flatnonzero(digits.y_train == k), count // 5, replace=False) for k in range(5)]
    chosen = rng.permutation(np.concatenate(chosen))
    return digits.X_train[chosen], digits.y_train[chosen]


def print_table(counts: list[int], errors: dict[str, np.ndarray]) -> None:
    print(f"\n{'labelled digits':>15}" + "".join(f"{method:>19}" for method in METHODS))
    for row, count in enumerate(counts):
        cells = (f"{100 * errors[m][row].mean():6.2f} ± {100 * errors[m][row].std():4.2f} %" for m in METHODS)
        print(f"{count:>15}" + "".join(f"{cell:>19}" for cell in cells))


def draw_curve(path: Path, counts: list[int], errors: dict[str, np.ndarray]) -> None:
    """Plot the error as a function of the number of labels, if matplotlib is installed."""
    try:
        from lasagne_like.plot import plot_errors

        means = {method: values.mean(axis=1) for method, values in errors.items()}
        spread = {method: values.std(axis=1) for method, values in errors.items()}
        plot_errors(counts, means, path, spread=spread, xlabel="labelled digits 5 to 9", title="transfer from 0 to 4")
    except ImportError as error:
        print(f"no plot: {error}")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train, transfer, print and plot; return the errors, of shape ``(counts, draws)`` per method."""
    options = parse(argv)
    symc.config.device = options.device
    if any(count % 5 or count < 5 for count in options.counts):
        raise SystemExit(f"--counts {options.counts}: expected multiples of 5, for equal numbers of digits per class")
    began = time.perf_counter()
    lasagne_like.random.set_rng(np.random.RandomState(options.seed))
    digits = load_mnist(options.data).limit(options.limit)
    low, high = digits.only((0, 1, 2, 3, 4)), digits.only((5, 6, 7, 8, 9))
    print(f"training on {len(low.X_train):,} digits 0 to 4")
    source, source_error = learn_source(low, options.epochs, options.seed)
    print(f"test error on 0 to 4: {100 * source_error:.2f} %")

    comparison = Comparison(source, options.steps)
    rng = np.random.RandomState(options.seed)
    errors = {method: np.zeros((len(options.counts), options.draws)) for method in METHODS}
    for row, count in enumerate(options.counts):
        for draw in range(options.draws):
            X, y = draw_labelled(high, count, rng)
            for method, error in comparison.run(X, y, (high.X_test, high.y_test), seed=draw).items():
                errors[method][row, draw] = error
        print(f"trained on {count} digits 5 to 9, {options.draws} times")
    print_table(options.counts, errors)

    options.out.mkdir(parents=True, exist_ok=True)
    save_weights(options.out / "transfer-source.safetensors", source)
    draw_curve(options.out / "transfer.png", options.counts, errors)
    print(f"{time.perf_counter() - began:.0f} s; saved in {options.out}/")
    return {"source_error": source_error, "counts": options.counts, "errors": errors}


if __name__ == "__main__":
    main()
