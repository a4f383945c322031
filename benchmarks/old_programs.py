"""The programs in ``tests/old_programs`` on symc, and on the library that they were written for.

    python benchmarks/old_programs.py                                    # symc alone
    python benchmarks/old_programs.py --other OTHER/bin/python --save    # and another interpreter, which has Theano

Each program runs in a process of its own, unchanged. Every function that it compiles is timed at every call, without
the first ones; what is compared is the time that all calls of all functions take, by the median call of each function.
``OTHER`` may be any interpreter in which ``import theano`` works; the variables ``OTHER_*`` of the environment are
passed to it without their prefix (``OTHER_PYTHONPATH``, ``OTHER_THEANORC``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
PROGRAMS = HERE.parent.parent / "tests" / "old_programs"
RESULTS = HERE.parent / "results" / "old_programs.md"
BARS = "*lenet.bars(100)"
CALLS = {
    "logistic regression": ("logistic_sgd", "logistic_sgd.sgd_optimization(n_epochs=20)"),
    "perceptron": ("mlp", "mlp.test_mlp()"),
    "LeNet": ("lenet", "lenet.evaluate_lenet5()"),
    "denoising autoencoder": ("denoising", "denoising.train()"),
    "restricted Boltzmann machine": ("rbm", "rbm.train()"),
    "network3": ("network3", f"network3.train({BARS})"),
    "convolutions, dropout, RMSprop": ("convnet_rmsprop", f"convnet_rmsprop.train({BARS})"),
    "recurrence with scan": ("recurrent", "recurrent.with_scan()"),
    "variational autoencoder": ("vae", "vae.train()"),
    "LSTM tagger": ("lstm_tagger", "lstm_tagger.train()"),
    "hybrid Monte Carlo": ("hmc", "hmc.sample()"),
    "style transfer": ("style", "style.transfer()"),
    "Lasagne's MNIST example": ("lasagne_mnist", f"lasagne_mnist.main({BARS}, weights)"),
    "recurrent layers with masks": ("recurrent", "recurrent.with_layers()"),
    "generative adversarial networks": ("dcgan", "dcgan.main(lenet.bars(100)[0])"),
    "residual network": ("resnet", f"resnet.main({BARS})"),
    "spatial transformer": ("transformer", "transformer.train()"),
}
"""Title to module and call, in which ``weights`` is the path of a file for weights."""

WARM = 3
"""Calls of each function that do not count."""


class Timed:
    """A compiled function that keeps the durations of its calls."""

    def __init__(self, function: Any, durations: list[float]) -> None:
        self.function, self.durations = function, durations

    def __call__(self, *args: Any, **named: Any) -> Any:
        start = time.perf_counter()
        found = self.function(*args, **named)
        self.durations.append(time.perf_counter() - start)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


def measure(title: str, shim: bool) -> dict[str, float]:
    """Run a program in this process: seconds in its functions by their median calls, calls, seconds altogether."""
    sys.path.insert(0, str(PROGRAMS))
    if shim:
        import symc.compat

        symc.compat.install("floatX=float32")
    else:
        _add_older_names()
    import theano

    made: list[list[float]] = []
    real = theano.function

    def function(*args: Any, **named: Any) -> Timed:
        made.append([])
        return Timed(real(*args, **named), made[-1])

    theano.function = function
    module, call = CALLS[title]
    start = time.perf_counter()
    names = {name: __import__(name) for name in {module, "lenet"} if name in call or name == module}
    with tempfile.TemporaryDirectory() as folder:
        eval(call, {**names, "weights": os.path.join(folder, "weights.npz")})
    whole = time.perf_counter() - start
    counted = [d for d in made if len(d) > WARM]
    spent = sum(statistics.median(d[WARM:]) * len(d) for d in counted)
    return {"functions": spent, "calls": sum(map(len, counted)), "whole": whole}


def _add_older_names() -> None:
    """Give Theano 1.0 the module ``downsample`` of the versions before it, where it is missing."""
    import types

    import theano.tensor.signal
    from theano.tensor.signal import pool

    if not hasattr(theano.tensor.signal, "downsample"):
        module: Any = types.ModuleType("theano.tensor.signal.downsample")
        module.max_pool_2d = pool.pool_2d
        theano.tensor.signal.downsample = sys.modules[module.__name__] = module


def run(title: str, interpreter: str, shim: bool) -> dict[str, float] | str:
    """Measure a program in a process of its own; the last line of its errors if it fails."""
    other = {} if shim else {k[6:]: v for k, v in os.environ.items() if k.startswith("OTHER_")}
    command = [interpreter, str(HERE), "--worker", title, *(["--shim"] if shim else [])]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **other})
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1][:90]
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", help="an interpreter in which `import theano` works")
    parser.add_argument("--name", default="Theano 1.0.5", help="what it runs")
    parser.add_argument("--only", action="append", help="titles; all by default")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--shim", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.shim)))
        return
    lines = []
    for title in options.only or CALLS:
        ours = run(title, sys.executable, True)
        theirs = run(title, options.other, False) if options.other else "not measured"
        lines.append(_row(title, ours, theirs))
        print(lines[-1], flush=True)
    if options.save:
        head = (RESULTS.read_text() if RESULTS.exists() else "").partition("\n| program")[0]
        table = f"| program | calls | symc, ms | {options.name}, ms | ratio |\n| --- | ---: | ---: | ---: | ---: |\n"
        RESULTS.write_text(head + "\n" + table + "\n".join(lines) + "\n")


def _row(title: str, ours: Any, theirs: Any) -> str:
    mine = ours if isinstance(ours, str) else f"{1e3 * ours['functions']:.1f}"
    other = theirs if isinstance(theirs, str) else f"{1e3 * theirs['functions']:.1f}"
    known = not isinstance(ours, str) and not isinstance(theirs, str)
    ratio = f"{theirs['functions'] / ours['functions']:.1f}" if known else ""
    return f"| {title} | {'' if isinstance(ours, str) else ours['calls']} | {mine} | {other} | {ratio} |"


if __name__ == "__main__":
    main()
