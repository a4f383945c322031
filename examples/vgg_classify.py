"""Classify a photograph with VGG-16 or VGG-19, trained on the 1,000 classes of ImageNet.

    python examples/vgg_classify.py photo.jpg --weights imagenet
    python examples/vgg_classify.py photo.jpg --weights vgg19.pkl
    python examples/vgg_classify.py photo.jpg --weights https://.../vgg19.pkl --sha256 <digest>
    python examples/vgg_classify.py                       random weights, for shapes, parameters and timing

Weights are downloaded (imagenet: those of torchvision, 0.5 GB), or read from a file in any format that
lasagne_like.load_weights reads, such as vgg16.pkl and vgg19.pkl of the Lasagne recipes, which include the class names.
No code in the file is executed. A URL is downloaded to --cache and requires the SHA-256 digest of the file.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import lasagne_like
import symc
from lasagne_like.data.pictures import read_picture
from lasagne_like.layers import count_params, get_output, summary
from lasagne_like.models import IMAGENET_BGR, Model, vgg16, vgg19

MODELS = {"vgg16": vgg16, "vgg19": vgg19}

NO_WEIGHTS = """\
No weights given: the network has random weights, and its predictions are meaningless.
To classify, pass --weights with one of
  - imagenet, to download the weights of torchvision,
  - vgg19.pkl (or vgg16.pkl) of the Lasagne recipes, which includes the class names,
  - a file with the weights of PyTorch, Keras, Caffe or ONNX, or with the arrays conv1_1.W, conv1_1.b, ..., fc8.b,
  - the URL of such a file, with --sha256 DIGEST,
and --labels FILE, a text file with one class name per line, unless the weights include them."""


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photo", nargs="?", type=Path, help="image to classify (default: random pixels)")
    add("--model", choices=MODELS, default="vgg19", help="network (default: %(default)s)")
    add("--weights", metavar="NAME|FILE|URL", help="trained weights (default: random weights)")
    add("--sha256", metavar="DIGEST", help="SHA-256 digest of the weight file to download")
    add("--labels", metavar="FILE", type=Path, help="class names, one per line")
    add("--top", type=int, default=5, help="number of classes to show (default: %(default)s)")
    add("--repeat", type=int, default=3, help="number of timed runs (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of the random weights (default: %(default)s)")
    add("--cache", metavar="DIR", type=Path, default=Path("runs"), help="folder for downloads (default: %(default)s)")
    add("--device", default=symc.config.device, help="device to run on, such as cpu or cuda (default: %(default)s)")
    return parser.parse_args(argv)


def fetch(weights: str, digest: str | None, cache: Path) -> str:
    """Return the name or the path of weights, after downloading them if a URL is given."""
    if "://" not in weights:
        return weights
    if not digest:
        raise SystemExit(f"--weights {weights}: a download needs --sha256 DIGEST, the digest of the file")
    try:
        import pooch
    except ImportError as error:
        raise SystemExit("downloading requires the package pooch: pip install pooch") from error
    name = weights.rsplit("/", 1)[-1]
    return str(pooch.retrieve(weights, known_hash=f"sha256:{digest}", fname=name, path=cache))


def build(options: argparse.Namespace) -> tuple[Model, list[str]]:
    """Build the network with its weights, if given; return it with the class names, if known."""
    labels = options.labels.read_text(encoding="utf-8").splitlines() if options.labels else []
    if not options.weights:
        print(NO_WEIGHTS)
        return MODELS[options.model](), labels
    network = MODELS[options.model](fetch(options.weights, options.sha256, options.cache))
    return network, labels or network.classes or []


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Build, load, classify and time; return the probabilities, the best classes and the time in seconds."""
    options = parse(argv)
    symc.config.device = options.device
    lasagne_like.random.set_rng(np.random.RandomState(options.seed))
    if options.photo is None:
        pixels = np.random.RandomState(options.seed).randint(0, 256, (256, 256, 3))
    else:
        pixels = read_picture(options.photo)
    network, labels = build(options)
    print(summary(network["prob"]))
    count = count_params(network["prob"])

    began = time.perf_counter()
    classify = symc.function([network["input"].input_var], get_output(network["prob"], deterministic=True))
    compile_seconds = time.perf_counter() - began
    image = (network.preprocess or IMAGENET_BGR)(pixels)
    seconds = []
    for _ in range(max(1, options.repeat)):
        began = time.perf_counter()
        probabilities = classify(image)[0]
        seconds.append(time.perf_counter() - began)
    best = np.argsort(probabilities)[::-1][: options.top]
    print(f"{options.model}: {count:,} parameters, compiled in {compile_seconds:.1f} s, {min(seconds):.3f} s per image")
    for index in best:
        print(f"{100 * probabilities[index]:6.2f} %  {labels[index] if index < len(labels) else f'class {index}'}")
    return {"probabilities": probabilities, "best": best, "seconds": min(seconds), "parameters": count}


if __name__ == "__main__":
    main()
