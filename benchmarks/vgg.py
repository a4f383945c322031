"""VGG-19 forward and a VGG-16 training step with dropout at 224 x 224: time, memory, and agreement with PyTorch.

    python benchmarks/vgg.py                 batch 8, three repeats
    python benchmarks/vgg.py --save vgg      also write benchmarks/results/vgg.json

The training step runs in its own process, so that its peak memory can be measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from gpu_peers import torch_vgg

HERE = Path(__file__).resolve().parent


def peak_gib() -> float:
    """The most memory this process has held, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def timed(call: Any, repeats: int) -> list[float]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def images(batch: int) -> np.ndarray:
    """Noise with the spread of mean-subtracted photographs, shape ``(batch, 3, 224, 224)``."""
    return (np.random.default_rng(0).standard_normal((batch, 3, 224, 224)) * 50).astype("float32")


def forward(batch: int, repeats: int, threads: int) -> dict[str, Any]:
    """VGG-19 on random weights in symc and, if it is installed, PyTorch with the same weights."""
    import symc
    import symc.tensor as T
    from lasagne_like.layers import get_all_params, get_output
    from lasagne_like.models import vgg19

    symc.config.threads = threads
    net = vgg19()
    x = T.tensor4("x")
    start = time.perf_counter()
    f = symc.function([x], get_output(net["prob"], x, deterministic=True))
    found: dict[str, Any] = {"compile_s": time.perf_counter() - start}
    X = images(batch)
    ours = f(X)
    found["symc_s"] = timed(lambda: f(X), repeats)
    found["symc_peak_gib"] = peak_gib()
    try:
        import torch
    except ImportError:
        return found
    torch.set_num_threads(threads)
    given = {p.name: torch.tensor(p.get_value()) for p in get_all_params(net["prob"])} | {"x": torch.tensor(X)}
    with torch.no_grad():
        expected = torch.softmax(torch_vgg(given), 1).numpy()
        found["torch_s"] = timed(lambda: torch.softmax(torch_vgg(given), 1), repeats)
    found["relative_difference"] = float(np.abs(ours - expected).max() / np.abs(expected).max())
    return found


def training(batch: int, repeats: int, threads: int) -> dict[str, Any]:
    """A momentum step of VGG-16 with dropout."""
    import symc
    import symc.tensor as T
    from lasagne_like import updates
    from lasagne_like.layers import get_all_params, get_output
    from lasagne_like.models import vgg16

    symc.config.threads = threads
    net = vgg16()["prob"]
    x, y = T.tensor4("x"), T.ivector("y")
    loss = T.mean(T.nnet.categorical_crossentropy(get_output(net, x), y))
    start = time.perf_counter()
    step = symc.function([x, y], loss, updates=updates.momentum(loss, get_all_params(net, trainable=True), 1e-4, 0.9))
    found: dict[str, Any] = {"compile_s": time.perf_counter() - start}
    X, Y = images(batch), np.random.default_rng(1).integers(0, 1000, batch).astype("int32")
    found["first_loss"] = float(step(X, Y))
    found["symc_s"] = timed(lambda: step(X, Y), repeats)
    found["symc_peak_gib"] = peak_gib()
    return found


PARTS = {"forward": forward, "training": training}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", metavar="NAME")
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps(PARTS[args.part](args.batch, args.repeats, args.threads)))
        return
    results: dict[str, Any] = {"batch": args.batch, "threads": args.threads}
    for part in PARTS:
        command = [sys.executable, __file__, f"--part={part}", f"--batch={args.batch}", f"--repeats={args.repeats}"]
        done = subprocess.run([*command, f"--threads={args.threads}"], stdout=subprocess.PIPE, text=True, check=True)
        results[part] = json.loads(done.stdout.splitlines()[-1])
        shown = {k: [round(s, 3) for s in v] if isinstance(v, list) else round(v, 8) for k, v in results[part].items()}
        print(part, shown)
    if args.save:
        target = HERE / "results" / f"{args.save}.json"
        target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
