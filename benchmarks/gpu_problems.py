"""The problems of ``gpu_check.py``: names, sizes, data, and operation counts.

Data come as NumPy arrays, always the same; ``data(True)`` makes small ones. Large arrays repeat a block of random
numbers, since drawing hundreds of millions would take longer than measuring with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import problems
from problems import Data

__all__ = ["EPSILON", "LAYERS", "LIMITS", "OVER", "PROBLEMS", "SHARED", "TRAINING", "VGG_RATE", "GpuProblem", "walk"]

VGG_RATE = 1e-4
EPSILON = 1e-4
"""Of batch normalisation."""
LAYERS = 25
"""Of ``overhead``: a product and a tanh each."""
OVER = {"all": None, "rows": 1, "columns": 0}
"""Axes of reductions."""
SHARED = ("chain", "softmax", "mlp", "lenet")
"""Kinds whose definitions ``run.py`` has as well."""
TRAINING = ("mlp", "lenet", "vgg_train")
"""Kinds whose calls change parameters."""


@dataclass(frozen=True)
class GpuProblem:
    """One figure for each contestant.

    Attributes
    ----------
    name, title : str
    kind : str
        What contestants have a builder for.
    data : callable
        ``data(tiny)`` makes the arrays.
    moved : callable, optional
        Bytes that must be read or written at the least, from the data: what memory bounds.
    work : callable, optional
        Floating-point operations, from the data: what arithmetic bounds.
    precision : str
        ``"float32"`` or ``"tf32"``.
    group : str
        Problems of one group share a line of the table.
    """

    name: str
    title: str
    kind: str
    data: Callable[[bool], Data]
    moved: Callable[[Data], int] | None = None
    work: Callable[[Data], int] | None = None
    precision: str = "float32"
    group: str = ""


# --- data -------------------------------------------------------------------------------------------------------------


def _block(shape: tuple[int, ...], seed: int, scale: float = 1.0) -> np.ndarray:
    block = np.random.default_rng(seed).standard_normal(min(1 << 20, int(np.prod(shape))), dtype="float32")
    return np.resize(block * np.float32(scale), shape)


def _bytes(*names: str) -> Callable[[Data], int]:
    """Each of these arrays passes once through memory."""
    return lambda data: sum(data[name].nbytes for name in names)


def copied(tiny: bool) -> Data:
    return {"x": np.ones(1000 if tiny else 1 << 28, "float32")}


def matrices(tiny: bool) -> Data:
    n = 16 if tiny else 8192
    return {"a": _block((n, n), 0), "b": _block((n, n), 1)}


def chained(tiny: bool, elements: int) -> Data:
    return {name: np.resize(v, 3000 if tiny else elements) for name, v in problems.chain(True).items()}


def soft(tiny: bool, number: int, length: int) -> Data:
    return problems.rows(False, *((5, 70) if tiny else (number, length)))


def table(tiny: bool) -> Data:
    return {"x": 3 + _block((40, 50) if tiny else (8192, 8192), 2)}


def tokens(tiny: bool) -> Data:
    """Slopes of 65,536 rows of an embedding of 50,000 words, of which few are frequent."""
    count, words, width = (60, 20, 6) if tiny else (65536, 50000, 256)
    drawn = np.random.default_rng(3).zipf(1.3, count) % words
    return {"w": np.zeros((words, width), "float32"), "i": drawn.astype("int64"), "g": _block((count, width), 4)}


def normalised(tiny: bool) -> Data:
    shape = (3, 4, 5, 6) if tiny else (32, 64, 112, 112)
    c = shape[1]
    return {
        "x": 1 + _block(shape, 5), "dy": _block(shape, 6), "gamma": np.linspace(0.5, 2, c, dtype="float32"),
        "beta": np.zeros(c, "float32"),
    }  # fmt: skip


def small_steps(tiny: bool) -> Data:
    return {"x": _block((32, 32), 7), "w": _block((32, 32), 8, 32**-0.5)}


def filtered(tiny: bool, channels: int, filters: int, side: int) -> Data:
    n, c, k, s = (2, min(channels, 4), 5, 6) if tiny else (32, channels, filters, side)
    return {
        "x": _block((n, c, s, s), 9), "w": _block((k, c, 3, 3), 10, (9 * c) ** -0.5), "dy": _block((n, k, s, s), 11),
    }  # fmt: skip


VGG19 = (2, 2, 4, 4, 4)
"""Convolutions of each block."""


def vgg(tiny: bool, batch: int) -> Data:
    """Images, classes, and parameters under the names that ``lasagne_like.models.vgg19`` gives them."""
    n, side, classes = (2, 32, 10) if tiny else (batch, 224, 1000)
    y = np.random.default_rng(13).integers(0, classes, n)
    return {"x": _block((n, 3, side, side), 12), "y": y, **_vgg_parameters(tiny)}


@lru_cache(maxsize=1)
def _vgg_parameters(tiny: bool) -> Data:
    channels, dense, classes = ((3, 4, 5, 6, 7), 8, 10) if tiny else ((64, 128, 256, 512, 512), 4096, 1000)
    found: Data = {}

    def add(name: str, shape: tuple[int, ...], terms: int) -> None:
        found[f"{name}.W"] = _block(shape, 14 + len(found), (2 / terms) ** 0.5)
        found[f"{name}.b"] = np.zeros(shape[0] if len(shape) == 4 else shape[1], "float32")

    c = 3
    for block, (count, k) in enumerate(zip(VGG19, channels), 1):
        for number in range(1, count + 1):
            add(f"conv{block}_{number}", (k, c, 3, 3), 9 * c)
            c = k
    inputs = c if tiny else 49 * c
    for name, units in (("fc6", dense), ("fc7", dense), ("fc8", classes)):
        add(name, (inputs, units), inputs)
        inputs = units
    return found


def walk(
    p: dict[str, Any], h: Any, conv: Callable[..., Any], pool: Callable[..., Any], dense: Callable[..., Any]
) -> Any:
    """VGG's scores of images ``h``, through any library's functions.

    ``conv(h, w, b)`` is a 3 x 3 convolution with a margin of one, then a rectifier; ``pool(h)`` the largest of 2 x 2;
    ``dense(h, w, b, last)`` a product with a rectifier unless it is the ``last``.
    """
    names = sorted(name.removesuffix(".W") for name in p if name.endswith(".W"))
    for name, following in zip(names, [*names[1:], ""]):
        w, b = p[f"{name}.W"], p[f"{name}.b"]
        if name.startswith("conv"):
            h = conv(h, w, b)
            h = h if following[:5] == name[:5] else pool(h)
        else:
            h = dense(h, w, b, not following)
    return h


# --- work -------------------------------------------------------------------------------------------------------------


def product_work(data: Data) -> int:
    return 2 * len(data["a"]) ** 3


def conv_work(data: Data) -> int:
    return 2 * data["dy"].size * data["w"][0].size


def vgg_work(data: Data, passes: int = 1) -> int:
    n, side, total = len(data["x"]), data["x"].shape[2], 0
    for name, w in data.items():
        if name.startswith("conv") and name.endswith(".W"):
            total += 2 * n * w.size * (side >> int(name[4]) - 1) ** 2
        elif name.endswith(".W"):
            total += 2 * n * w.size
    return passes * total


# --- the list ---------------------------------------------------------------------------------------------------------

PRECISIONS = ("float32", "tf32")
VGG19_SHAPES = (
    (3, 64, 224), (64, 64, 224), (64, 128, 112), (128, 128, 112), (128, 256, 56), (256, 256, 56), (256, 512, 28),
    (512, 512, 28), (512, 512, 14),
)  # fmt: skip
"""Channels, filters and side of the images of VGG-19's convolutions, each once."""


def _list() -> list[GpuProblem]:
    """All problems, those that tell most coming first: later ones fall away if the time is short."""
    P = GpuProblem
    found = [
        P("copy", "copy of 256 M floats", "copy", copied, lambda d: 2 * d["x"].nbytes),
        *(
            P(f"product_{p}", f"product of 8192 x 8192, {p}", "product", matrices, None, product_work, p)
            for p in PRECISIONS
        ),
        P("overhead", "25 products of 32 x 32 and 25 tanh, dependent", "overhead", small_steps),
    ]
    for label, n in (("10M", 10_000_000), ("100M", 100_000_000)):
        data = partial(chained, elements=n)
        found.append(P(f"chain_{label}", f"chain, {label} floats", "chain", data, lambda d: 3 * d["a"].nbytes))
    for rows, columns in ((4096, 1024), (65536, 1000)):
        data = partial(soft, number=rows, length=columns)
        text = f"softmax of rows, {rows} x {columns}"
        found.append(P(f"softmax_{rows}", text, "softmax", data, lambda d: 2 * d["x"].nbytes))
    for what in ("sum", "var"):
        for over in ("all", "rows", "columns"):
            found.append(P(f"{what}_{over}", f"{what} of {over}, 8192 x 8192", f"{what}_{over}", table, _bytes("x")))
    found += [
        P("transpose", "transpose, 8192 x 8192", "transpose", table, lambda d: 2 * d["x"].nbytes),
        P("mlp_128", "MLP step, batch 128", "mlp", problems.mlp),
        *(P(f"lenet_{n}", f"LeNet step, batch {n}", "lenet", partial(_lenet, batch=n)) for n in (128, 512)),
        P("embedding", "embedding's slope, 64 k of 50 k rows of 256", "embedding", tokens, _bytes("g", "w")),
        P("batchnorm", "batch norm and its slope, 32x64x112x112", "batchnorm", normalised,
          lambda d: 4 * d["x"].nbytes),
    ]  # fmt: skip
    for batch in (32, 8):
        data = partial(vgg, batch=batch)
        for p in reversed(PRECISIONS):
            text = f"VGG-19 {{}}, batch {batch}, {p}"
            training = partial(vgg_work, passes=3)
            found.append(P(f"vgg_train_{batch}_{p}", text.format("step"), "vgg_train", data, None, training, p))
            found.append(P(f"vgg_{batch}_{p}", text.format("forward"), "vgg", data, None, vgg_work, p))
    for p in reversed(PRECISIONS):
        for shape in VGG19_SHAPES:
            for kind in ("forward", "data", "filters"):
                text = "convolution {}x{}@{}, {}, {}".format(*shape, kind, p)
                name = "conv_{}_{}_{}_{}_{}".format(*shape, kind, p)
                data = partial(filtered, channels=shape[0], filters=shape[1], side=shape[2])
                group = f"9 convolutions of VGG-19, {kind}, {p}"
                found.append(P(name, text, f"conv_{kind}", data, None, conv_work, p, group))
    return found


def _lenet(tiny: bool, batch: int) -> Data:
    return problems.lenet(tiny, 8 if tiny else batch)


PROBLEMS = {p.name: p for p in _list()}
LIMITS = {"copy": "copy", "float32": "product_float32", "tf32": "product_tf32"}
"""The problems by which the chip is measured: bytes a second of one, operations a second of the others."""
