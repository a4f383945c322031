"""One class per library: from a problem and its data to a function that starts the work once, on the GPU.

Data are on the GPU before anything is timed, and results stay there. Every builder is written the way its library's
documentation recommends for speed; definitions that ``run.py`` measures on the CPU too come from ``contestants.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from contestants import Step, symc_expression, symc_training
from gpu_problems import EPSILON, LAYERS, OVER, SHARED, VGG_RATE, GpuProblem, walk
from problems import MOMENTUM, Data

__all__ = ["CONTESTANTS", "Library", "Symc", "symc_outputs", "symc_vgg"]


class Library(Protocol):
    """A contestant in its own process."""

    def precision(self, name: str) -> None:
        """Use this arithmetic for products and convolutions from now on."""

    def build(self, problem: GpuProblem, data: Data) -> Step:
        """A function that starts the work once; it returns what lies on the GPU then.

        Raises
        ------
        Absent
            The library has no such operation, or another contestant stands for it.
        """

    def wait(self) -> None:
        """Return once the GPU has done everything."""

    def host(self, result: Any) -> np.ndarray:
        """A result as a NumPy array."""


# --- symc -------------------------------------------------------------------------------------------------------------


class Symc:
    """Arguments are arrays on the GPU, results are borrowed, parameters are shared variables."""

    def __init__(self, device: str = "cuda") -> None:
        self.device = device

    def precision(self, name: str) -> None:
        import symc

        symc.config.cuda_precision = name

    def build(self, problem: GpuProblem, data: Data) -> Step:
        import symc
        import symc.tensor as T

        kind = problem.kind
        if kind in ("mlp", "lenet"):
            inputs, loss, updates = symc_training(kind, data)
            given, outputs = [data["x"], data["y"]], [loss]
        elif kind in ("vgg", "vgg_train"):
            inputs, outputs, updates = symc_vgg(data, kind == "vgg_train")
            given = [data["x"], data["y"]][: len(inputs)]
        else:
            v = {name: T.tensor(a.dtype.name, shape=(None,) * a.ndim, name=name) for name, a in data.items()}
            shared = kind in SHARED
            outputs = [symc_expression(kind, v)] if shared else symc_outputs(kind, v)
            inputs, given, updates = list(v.values()), list(data.values()), []
        kept = [symc.Out(o, borrow=True) for o in outputs]
        run = symc.function(
            inputs, kept, updates=updates, device=self.device, on_unused_input="ignore", name=problem.name
        )
        arrays = [self.place(a) for a in given]
        self.last = run
        return lambda: run(*arrays)[0]

    def place(self, array: np.ndarray) -> Any:
        """The array on the GPU."""
        if self.device != "cuda":
            return array
        from symc_backends.cuda import arrays, device

        with device.current() as d:
            return arrays.upload(d, array)

    def wait(self) -> None:
        from symc_backends.cuda import device

        with device.current() as d:
            d.synchronize()

    def host(self, result: Any) -> np.ndarray:
        return np.asarray(result)

    def tasks(self) -> int:
        """Kernels and library calls of one call of the function that was built last."""
        executable = self.last.specialisation.executable
        return max(len(executable.tasks(values)) for values in executable.layouts[0])


def symc_outputs(kind: str, v: dict[str, Any]) -> list[Any]:
    """What a problem computes of its variables; the first output is the one that is compared."""
    import symc
    import symc.tensor as T

    x = v.get("x")
    if kind.startswith(("sum_", "var_")):
        what, over = kind.split("_")
        return [getattr(T, what)(x, axis=OVER[over])]
    if kind.startswith("conv_"):
        y = T.nnet.conv2d(x, v["w"], border_mode=(1, 1), filter_flip=False)
        slope = {"conv_forward": None, "conv_data": x, "conv_filters": v["w"]}[kind]
        return [y if slope is None else symc.grad(T.sum(y * v["dy"]), slope)]
    if kind == "product":
        return [T.dot(v["a"], v["b"])]
    if kind == "transpose":
        return [x.T]
    if kind == "copy":
        return [x]
    if kind == "embedding":
        return [symc.grad(T.sum(v["w"][v["i"]] * v["g"]), v["w"])]
    if kind == "batchnorm":
        y = T.nnet.batch_normalization_train(x, v["gamma"], v["beta"], "spatial", EPSILON)[0]
        return [*symc.grad(T.sum(y * v["dy"]), [x, v["gamma"], v["beta"]]), y]
    assert kind == "overhead"
    for _ in range(LAYERS):
        x = T.tanh(T.dot(x, v["w"]))
    return [x]


def symc_vgg(data: Data, train: bool) -> tuple[list[Any], list[Any], list[Any]]:
    """Inputs, outputs and updates: the classes' probabilities, or the loss of a step with momentum."""
    import symc
    import symc.tensor as T

    x, y = T.tensor4("x"), T.lvector("y")
    p = {name: symc.shared(value, name) for name, value in data.items() if name not in ("x", "y")}

    def conv(h: Any, w: Any, b: Any) -> Any:
        h = T.nnet.conv2d(h, w, border_mode=(1, 1), filter_flip=False)
        return T.nnet.relu(h + b.dimshuffle("x", 0, "x", "x"))

    def pool(h: Any) -> Any:
        return T.signal.pool.pool_2d(h, (2, 2), ignore_border=True)

    def dense(h: Any, w: Any, b: Any, last: bool) -> Any:
        h = T.dot(h.flatten(2), w) + b
        return h if last else T.nnet.relu(h)

    probabilities = T.nnet.softmax(walk(p, x, conv, pool, dense))
    if not train:
        return [x], [probabilities], []
    loss = T.nnet.categorical_crossentropy(probabilities, y).mean()
    updates = []
    for value, g in zip(p.values(), symc.grad(loss, list(p.values()))):
        velocity = symc.shared(np.zeros_like(value.get_value()))
        change = MOMENTUM * velocity - VGG_RATE * g
        updates += [(velocity, change), (value, value + change)]
    return [x, y], [loss], updates


# --- the list ---------------------------------------------------------------------------------------------------------


def _peer(name: str, **options: Any) -> Callable[[], Library]:
    def make() -> Library:
        import gpu_peers

        return getattr(gpu_peers, name)(**options)

    return make


CONTESTANTS: dict[str, tuple[str, Callable[[], Library]]] = {
    "symc": ("symc", Symc),
    "torch": ("torch", _peer("Torch")),
    "torch.channels_last": ("torch", _peer("Torch", last=True)),
    "jax": ("jax", _peer("Jax")),
    "cupy": ("cupy", _peer("Cupy")),
    "torch.compile": ("torch", _peer("Torch", compiled=True)),
}
"""Name, the module to look for, and what makes it, in the order in which they run."""
