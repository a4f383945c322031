"""Classify pictures with a saved model, and describe it, on the command line.

python -m lasagne_like predict model.safetensors cat.jpg dog.jpg --top 3
python -m lasagne_like info model.safetensors
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from .files import load
from .layers import count_params, summary
from .network import Model
from .prediction import Prediction

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, or 1 for an error, which is printed.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the program.
    """
    options = _parser().parse_args(argv)
    try:
        return options.run(options)
    except (OSError, ValueError, TypeError, ImportError) as error:
        print(f"lasagne_like: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lasagne_like", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser("predict", help="classify pictures")
    predict.add_argument("model", help="a file written by lasagne_like.save")
    predict.add_argument("pictures", nargs="+", metavar="PICTURE", help="image files")
    predict.add_argument("--top", type=int, default=5, help="number of classes to list (default: %(default)s)")
    predict.add_argument("--json", action="store_true", help="print one JSON object per picture")
    predict.set_defaults(run=_predict)
    info = commands.add_parser("info", help="describe a model")
    info.add_argument("model", help="a file written by lasagne_like.save")
    info.add_argument("--json", action="store_true", help="print a JSON object")
    info.set_defaults(run=_info)
    return parser


def _predict(options: argparse.Namespace) -> int:
    model = load(options.model)
    if model.preprocess is None:
        raise ValueError(
            f"{options.model} was saved without preprocess=, so that it does not say how to turn pictures into inputs"
        )
    failed = False
    for picture in options.pictures:
        try:
            prediction = model.predict(picture, top=options.top)
        except (OSError, ValueError) as error:
            print(f"lasagne_like: {error}", file=sys.stderr)
            failed = True
            continue
        _print(picture, prediction, options)
    return int(failed)


def _print(picture: str, prediction: object, options: argparse.Namespace) -> None:
    if not isinstance(prediction, Prediction):
        raise ValueError(f"{options.model} is not a classifier: save it with classes=")
    if options.json:
        print(json.dumps({"picture": picture} | prediction.to_dict(), ensure_ascii=False))
    else:
        print(f"{picture}\n{prediction}")


def _info(options: argparse.Namespace) -> int:
    model = load(options.model)
    facts = _facts(model)
    if options.json:
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    print(summary(model.output_layer))
    for name, value in facts.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        print(f"{name}: {text if len(text) < 200 else text[:200] + ' ...'}")
    return 0


def _facts(model: Model) -> dict[str, object]:
    """Return what a model file says, as JSON has it."""
    return {
        "name": model.name,
        "input": [str(layer.shape) for layer in model.input_layers],
        "output": str(model.output_layer.output_shape),
        "parameters": count_params(model.output_layer),
        "classes": model.classes,
        "preprocess": None if model.preprocess is None else model.preprocess.to_dict(),
    }


if __name__ == "__main__":
    sys.exit(main())
