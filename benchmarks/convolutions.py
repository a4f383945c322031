"""Convolutions beside PyTorch, in one process: forward and with respect to images and weights.

    python benchmarks/convolutions.py                       every shape, one thread
    python benchmarks/convolutions.py 5x5 depthwise         shapes whose names contain these words
    python benchmarks/convolutions.py --threads 2
    python benchmarks/convolutions.py --quick               small batches, few repeats: does it work at all?
    python benchmarks/convolutions.py --save convolutions   also write results/convolutions.md

The two libraries take turns. With one thread the clock counts the thread's own time, which other processes of the
machine disturb least; figures are of the fastest call. They are GFLOP/s of the direct sum, whatever the algorithm, so
minimal filtering exceeds the processor's peak. Depthwise convolutions are limited by memory and given in ms.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import symc
import symc.tensor as T


class Shape(NamedTuple):
    """A convolution of square images; ``taps`` are rows and columns of a filter."""

    name: str
    images: int
    channels: int
    side: int
    filters: int
    taps: tuple[int, int]
    stride: int = 1
    pad: tuple[int, int] = (0, 0)
    dilation: int = 1
    groups: int = 1


SHAPES = [
    Shape("5x5 96-256 27", 8, 96, 27, 256, (5, 5), 1, (2, 2)),
    Shape("5x5 32-64 28", 16, 32, 28, 64, (5, 5), 1, (2, 2)),
    Shape("11x11 s4 3-96 227", 8, 3, 227, 96, (11, 11), 4),
    Shape("7x7 s2 3-64 224", 4, 3, 224, 64, (7, 7), 2, (3, 3)),
    Shape("3x3 3-64 224", 4, 3, 224, 64, (3, 3), 1, (1, 1)),
    Shape("3x3 512 7", 8, 512, 7, 512, (3, 3), 1, (1, 1)),
    Shape("3x3 512 14", 4, 512, 14, 512, (3, 3), 1, (1, 1)),
    Shape("3x3 512 14, one image", 1, 512, 14, 512, (3, 3), 1, (1, 1)),
    Shape("3x3 256 28", 4, 256, 28, 256, (3, 3), 1, (1, 1)),
    Shape("3x3 64 56", 8, 64, 56, 64, (3, 3), 1, (1, 1)),
    Shape("3x3 s2 128 56", 4, 128, 56, 128, (3, 3), 2, (1, 1)),
    Shape("4x4 s2 64-128 32", 8, 64, 32, 128, (4, 4), 2, (1, 1)),
    Shape("3x3 dilated 64 56", 4, 64, 56, 64, (3, 3), 1, (2, 2), 2),
    Shape("1x7 128 17", 8, 128, 17, 128, (1, 7), 1, (0, 3)),
    Shape("7x1 128 17", 8, 128, 17, 128, (7, 1), 1, (3, 0)),
    Shape("1x1 1024-2048 7", 8, 1024, 7, 2048, (1, 1)),
    Shape("1x1 256-64 56", 8, 256, 56, 64, (1, 1)),
    Shape("1x1 64-256 56", 8, 64, 56, 256, (1, 1)),
    Shape("1x1 s2 256-512 56", 4, 256, 56, 512, (1, 1), 2),
    Shape("3x3 32 groups 128 56", 4, 128, 56, 128, (3, 3), 1, (1, 1), 1, 32),
    Shape("depthwise 3x3 144 56", 8, 144, 56, 144, (3, 3), 1, (1, 1), 1, 144),
    Shape("depthwise 3x3 s2 144 56", 8, 144, 56, 144, (3, 3), 2, (1, 1), 1, 144),
    Shape("depthwise 5x5 240 28", 8, 240, 28, 240, (5, 5), 1, (2, 2), 1, 240),
    Shape("LeNet 20-50 12", 64, 20, 12, 50, (5, 5)),
]

Call = Callable[[], Any]


def out_side(s: Shape) -> tuple[int, int]:
    """Rows and columns of the result."""
    return tuple((s.side + 2 * p - s.dilation * (k - 1) - 1) // s.stride + 1 for k, p in zip(s.taps, s.pad))  # type: ignore[return-value]


def operands(s: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, weights, and a cotangent of the result."""
    rng = np.random.default_rng(1)
    shapes = (
        (s.images, s.channels, s.side, s.side),
        (s.filters, s.channels // s.groups, *s.taps),
        (s.images, s.filters, *out_side(s)),
    )
    x, w, g = (rng.standard_normal(shape, dtype="float32") for shape in shapes)
    return x, w, g


def of_symc(s: Shape, data: tuple[np.ndarray, ...]) -> tuple[list[Call], list[str]]:
    """The three calls, and the algorithms they take."""
    x, w, g = T.tensor4("x"), T.tensor4("w"), T.tensor4("g")
    step = (s.stride, s.stride)
    y = T.nnet.conv2d(
        x,
        w,
        border_mode=s.pad,
        subsample=step,
        filter_flip=False,
        filter_dilation=(s.dilation,) * 2,
        num_groups=s.groups,
    )
    dx, dw = symc.grad(None, [x, w], known_grads={y: g})
    functions = [
        symc.function([x, w], y, profile=True),
        symc.function([w, g, x], dx, profile=True, on_unused_input="ignore"),
        symc.function([x, g, w], dw, profile=True, on_unused_input="ignore"),
    ]
    a, b, c = data
    calls: list[Call] = [lambda: functions[0](a, b), lambda: functions[1](b, c, a), lambda: functions[2](a, c, b)]
    names = []
    for f, call in zip(functions, calls):
        call()
        names.append(next((n for r in f.profile.rows if (n := r.kernel.partition(" by ")[2])), "?"))
    return calls, names


def of_torch(s: Shape, data: tuple[np.ndarray, ...], threads: int) -> list[Call]:
    """The same by PyTorch; no calls where it is not installed."""
    try:
        import torch
    except ImportError:
        return []
    torch.set_num_threads(threads)
    x, w, g = map(torch.from_numpy, data)
    step, pad, dil = [s.stride] * 2, list(s.pad), [s.dilation] * 2
    back = torch.ops.aten.convolution_backward

    def gradient(which: list[bool]) -> Any:
        return back(g, x, w, None, step, pad, dil, False, [0, 0], s.groups, which)

    return [
        lambda: torch.nn.functional.conv2d(x, w, None, step, pad, dil, s.groups),
        lambda: gradient([True, False, False])[0],
        lambda: gradient([False, True, False])[1],
    ]


def check(name: str, ours: Any, theirs: Any) -> None:
    """Compare a result with PyTorch's."""
    theirs = np.asarray(theirs)
    error = np.sqrt(np.mean((np.asarray(ours) - theirs) ** 2) / np.mean(theirs**2))
    if not error < 1e-5:
        raise SystemExit(f"{name}: symc and PyTorch differ by {error:.1e}")


def measure(contestants: list[Call], clock: Callable[[], float], seconds: float) -> list[float]:
    """The fastest of repeated calls of each, taking turns."""
    best = [float("inf")] * len(contestants)
    spent, turns = 0.0, 0
    while spent < seconds * len(contestants) or turns < 3:
        for k, call in enumerate(contestants):
            begin = clock()
            call()
            took = clock() - begin
            best[k], spent = min(best[k], took), spent + took
        turns += 1
    return best


def row(s: Shape, threads: int, quick: bool) -> list[str]:
    """One line of the table."""
    if quick:
        s = s._replace(images=1)
    data = operands(s)
    ours, names = of_symc(s, data)
    theirs = of_torch(s, data, threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    flops = 2 * s.images * s.filters * np.prod(out_side(s)) * (s.channels // s.groups) * np.prod(s.taps)
    cells = []
    for k, call in enumerate(ours):
        if theirs:
            check(f"{s.name}, pass {k}", call(), theirs[k]())
        found = measure([call, *theirs[k : k + 1]], clock, 0.02 if quick else 0.25)
        depthwise = s.groups == s.channels
        values = [f"{t * 1e3:.2f} ms" if depthwise else f"{flops / t * 1e-9:.0f}" for t in found]
        cells.append(" / ".join(values) + f" ({names[k]})")
    return [s.name, *cells]


def main() -> None:
    """Measure, print and perhaps save the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--save")
    asked = parser.parse_args()
    symc.config.threads = asked.threads
    lines = [
        f"GFLOP/s, symc / PyTorch, {asked.threads} thread(s), float32",
        "",
        "| shape | forward | images | weights |",
        "| --- | --- | --- | --- |",
    ]
    print("\n".join(lines))
    for s in SHAPES:
        if not asked.words or any(word in s.name for word in asked.words):
            lines.append("| " + " | ".join(row(s, asked.threads, asked.quick)) + " |")
            print(lines[-1], flush=True)
    if asked.save:
        place = Path(__file__).parent / "results" / f"{asked.save}.md"
        place.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
