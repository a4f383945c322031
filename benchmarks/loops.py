"""Loops, indexed minibatches and derivatives of vectors, beside PyTorch and JAX in one run.

    python benchmarks/loops.py                        every row, every contestant that is installed
    python benchmarks/loops.py tanh lstm_batch_1      some rows
    python benchmarks/loops.py --save                 also write benchmarks/results/loops.json and .md

Each contestant runs in its own process; they alternate, a few repeats at a time, so that noise on the machine affects
all of them. The contestants of a row compute the same function of the same random numbers, written as a user of that
library would, and their first results are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROUNDS = 8
Step = Callable[[], Any]


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _normal(rng: np.random.Generator, shape: Any, scale: float = 1.0) -> np.ndarray:
    return (rng.standard_normal(shape) * scale).astype("float32")


# --- 100,000 steps of h = tanh(h) * 0.99 ------------------------------------------------------------------------------

STEPS = 100_000


def tanh_symc() -> Step:
    import symc
    import symc.tensor as T

    h = T.vector("h")
    out, _ = symc.scan(lambda h: T.tanh(h) * np.float32(0.99), outputs_info=h, n_steps=STEPS)
    f = symc.function([h], out[-1])
    start = np.ones(4, "float32")
    return lambda: f(start)


def tanh_jax() -> Step:
    import jax
    import jax.numpy as jnp

    f = jax.jit(lambda h: jax.lax.fori_loop(0, STEPS, lambda _, h: jnp.tanh(h) * jnp.float32(0.99), h))
    start = jnp.ones(4, "float32")
    return lambda: f(start).block_until_ready()


# --- training of an LSTM ----------------------------------------------------------------------------------------------


def _lstm_numbers(steps: int, batch: int, hidden: int) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = _rng()
    scale = hidden**-0.5
    w, u = (_normal(rng, (hidden, 4 * hidden), scale) for _ in range(2))
    return _normal(rng, (steps, batch, hidden)), [w, u, np.zeros(4 * hidden, "float32")]


def lstm_symc(steps: int, batch: int, hidden: int) -> Step:
    import symc
    import symc.tensor as T

    numbers, values = _lstm_numbers(steps, batch, hidden)
    w, u, b = (symc.shared(v) for v in values)
    x = T.tensor3("x")

    def step(x_t: Any, h: Any, c: Any) -> Any:
        z = T.dot(x_t, w) + T.dot(h, u) + b
        i, f, o = (T.nnet.sigmoid(z[:, k * hidden : (k + 1) * hidden]) for k in range(3))
        c = f * c + i * T.tanh(z[:, 3 * hidden :])
        return [o * T.tanh(c), c]

    zeros = T.zeros((x.shape[1], hidden))
    (h, _), _ = symc.scan(step, x, [zeros, zeros])
    loss = (h**2).mean()
    gradients = symc.grad(loss, [w, u, b])
    train = symc.function([x], loss, updates=[(p, p - 0.1 * g) for p, g in zip((w, u, b), gradients)])
    return lambda: train(numbers)


def layer_symc(steps: int, batch: int, hidden: int) -> Step:
    """The same network as a layer, which takes its batch first; with peepholes, as the layer has them by default."""
    import symc
    import symc.tensor as T
    from lasagne_like import layers, updates

    numbers, (w, u, b) = _lstm_numbers(steps, batch, hidden)
    x = T.tensor3("x")
    part = {"ingate": 0, "forgetgate": 1, "outgate": 2, "cell": 3}
    gates = {
        name: layers.Gate(
            W_in=w[:, k * hidden : (k + 1) * hidden],
            W_hid=u[:, k * hidden : (k + 1) * hidden],
            W_cell=np.zeros(hidden, "float32"),
            b=b[:hidden],
            **({"nonlinearity": T.tanh} if name == "cell" else {}),
        )
        for name, k in part.items()
    }
    net = layers.LSTMLayer(layers.InputLayer((None, None, hidden), x), hidden, **gates)
    loss = (layers.get_output(net) ** 2).mean()
    train = symc.function([x], loss, updates=updates.sgd(loss, layers.get_all_params(net, trainable=True), 0.1))
    batch_first = np.ascontiguousarray(numbers.transpose(1, 0, 2))
    return lambda: train(batch_first)


def lstm_torch(steps: int, batch: int, hidden: int) -> Step:
    import torch

    numbers, (w, u, b) = _lstm_numbers(steps, batch, hidden)
    order = [0, 1, 3, 2]  # PyTorch's gates are i, f, g, o

    def turned(m: np.ndarray) -> Any:
        pieces = np.split(m, 4, axis=-1)
        return torch.from_numpy(np.ascontiguousarray(np.concatenate([pieces[k] for k in order], axis=-1).T))

    net = torch.nn.LSTM(hidden, hidden)
    with torch.no_grad():
        net.weight_ih_l0.copy_(turned(w))
        net.weight_hh_l0.copy_(turned(u))
        net.bias_ih_l0.copy_(turned(b))
        net.bias_hh_l0.zero_()
    net.bias_hh_l0.requires_grad_(False)
    optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    x = torch.from_numpy(numbers)

    def train() -> Any:
        optimiser.zero_grad()
        out, _ = net(x)
        loss = (out**2).mean()
        loss.backward()
        optimiser.step()
        return loss.detach().numpy()

    return train


def lstm_jax(steps: int, batch: int, hidden: int) -> Step:
    import jax
    import jax.numpy as jnp

    numbers, values = _lstm_numbers(steps, batch, hidden)

    def loss(params: Any, x: Any) -> Any:
        w, u, b = params

        def step(carry: Any, x_t: Any) -> Any:
            h, c = carry
            z = x_t + h @ u + b
            i, f, o = (jax.nn.sigmoid(z[:, k * hidden : (k + 1) * hidden]) for k in range(3))
            c = f * c + i * jnp.tanh(z[:, 3 * hidden :])
            h = o * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((batch, hidden))
        _, h = jax.lax.scan(step, (zeros, zeros), x @ w)
        return (h**2).mean()

    @jax.jit
    def train(params: Any, x: Any) -> Any:
        value, slopes = jax.value_and_grad(loss)(params, x)
        return [p - 0.1 * g for p, g in zip(params, slopes)], value

    state = [[jnp.asarray(v) for v in values]]
    x = jnp.asarray(numbers)

    def run() -> Any:
        state[0], value = train(state[0], x)
        return value.block_until_ready()

    return run


# --- minibatches by index ---------------------------------------------------------------------------------------------


def minibatch_symc(by_index: bool) -> Step:
    import symc
    import symc.tensor as T

    rng = _rng()
    data, labels = _normal(rng, (10_000, 784)), rng.integers(0, 10, 10_000).astype("int32")
    w1, b1 = symc.shared(_normal(rng, (784, 500), 0.05)), symc.shared(np.zeros(500, "float32"))
    w2, b2 = symc.shared(_normal(rng, (500, 10), 0.05)), symc.shared(np.zeros(10, "float32"))
    x, y, k = T.matrix("x"), T.ivector("y"), T.lscalar("k")
    p = T.nnet.softmax(T.dot(T.tanh(T.dot(x, w1) + b1), w2) + b2)
    loss = T.nnet.categorical_crossentropy(p, y).mean()
    params = [w1, b1, w2, b2]
    updates = [(v, v - 0.01 * g) for v, g in zip(params, symc.grad(loss, params))]
    at = [0]

    def next_batch() -> int:
        at[0] = (at[0] + 1) % 500
        return at[0] - 1

    if by_index:
        xs, ys = symc.shared(data), symc.shared(labels)
        part = slice(k * 20, (k + 1) * 20)
        train = symc.function([k], loss, updates=updates, givens={x: xs[part], y: ys[part]})
        return lambda: train(next_batch())
    train = symc.function([x, y], loss, updates=updates)

    def run() -> Any:
        n = next_batch()
        return train(data[n * 20 : (n + 1) * 20], labels[n * 20 : (n + 1) * 20])

    return run


# --- derivatives of vectors -------------------------------------------------------------------------------------------


def _vector_numbers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = _rng()
    return _normal(rng, (100, 100), 0.1), _normal(rng, 100), _normal(rng, 100)


def jacobian_symc() -> Step:
    import symc
    import symc.tensor as T

    w, x, _ = _vector_numbers()
    v = T.vector("v")
    f = symc.function([v], T.jacobian(T.tanh(T.dot(symc.shared(w), v)), v))
    return lambda: f(x)


def jacobian_jax(forward: bool) -> Step:
    import jax
    import jax.numpy as jnp

    w, x, _ = (jnp.asarray(v) for v in _vector_numbers())
    f = jax.jit((jax.jacfwd if forward else jax.jacrev)(lambda v: jnp.tanh(w @ v)))
    return lambda: f(x).block_until_ready()


def curvature_symc() -> Step:
    import symc
    import symc.tensor as T

    w, x, d = _vector_numbers()
    v, along = T.vector("v"), T.vector("along")
    cost = (T.tanh(T.dot(symc.shared(w), v)) ** 2).sum()
    f = symc.function([v, along], T.Rop(symc.grad(cost, v), v, along))
    return lambda: f(x, d)


def curvature_jax() -> Step:
    import jax
    import jax.numpy as jnp

    w, x, d = (jnp.asarray(v) for v in _vector_numbers())
    slope = jax.grad(lambda v: (jnp.tanh(w @ v) ** 2).sum())
    f = jax.jit(lambda v, along: jax.jvp(slope, (v,), (along,))[1])
    return lambda: f(x, d).block_until_ready()


# --- rows and figures -------------------------------------------------------------------------------------------------


@dataclass
class Row:
    """One line of the table: its contestants, the number of calls per measurement, and what is wanted of symc.

    ``goal`` is a contestant and the largest ratio to its time, or ``seconds`` and a number.
    """

    title: str
    contestants: dict[str, Callable[[], Step]]
    calls: int
    goal: tuple[str, float]
    per: int = 1


def _lstm(steps: int, batch: int, hidden: int, calls: int, goal: tuple[str, float]) -> Row:
    size = (steps, batch, hidden)
    return Row(
        f"LSTM {steps} x {batch} x {hidden}, training step",
        {
            "symc": lambda: lstm_symc(*size),
            "symc, LSTMLayer": lambda: layer_symc(*size),
            "torch": lambda: lstm_torch(*size),
            "jax": lambda: lstm_jax(*size),
        },
        calls, goal,
    )  # fmt: skip


ROWS = {
    "tanh": Row(
        "a step of h = tanh(h) * 0.99, 4 wide", {"symc": tanh_symc, "jax": tanh_jax}, 5, ("seconds", 2e-8), STEPS
    ),
    "lstm_large": _lstm(100, 64, 256, 2, ("torch", 0.75)),
    "lstm_long": _lstm(1000, 16, 32, 5, ("torch", 0.5)),
    "lstm_batch_1": _lstm(100, 1, 64, 100, ("jax", 0.6)),
    "minibatch": Row(
        "minibatch by index, 784-500-10",
        {"symc": lambda: minibatch_symc(True), "symc, arguments": lambda: minibatch_symc(False)},
        100, ("symc, arguments", 1.1),
    ),
    "jacobian": Row(
        "Jacobian of a 100-vector function",
        {"symc": jacobian_symc, "jax": lambda: jacobian_jax(False), "jax, jacfwd": lambda: jacobian_jax(True)},
        1000, ("jax", 1.0),
    ),
    "curvature": Row(
        "Hessian-vector product, 100 wide", {"symc": curvature_symc, "jax": curvature_jax}, 1000, ("jax", 1.0)
    ),
}  # fmt: skip


@dataclass
class Figures:
    """A contestant's seconds per call, and the sum of its first result; ``absent`` says why there are none."""

    contestant: str
    seconds: list[float] = field(default_factory=list)
    checked: float = 0.0
    absent: str = ""


def _work(row: str, contestant: str) -> None:
    """The child process: prepare, then measure whenever a line arrives."""
    found = ROWS[row]
    try:
        step = found.contestants[contestant]()
        first = float(np.asarray(step(), "float64").sum())
        step()
    except ImportError as problem:
        print(json.dumps({"absent": str(problem)}), flush=True)
        return
    print(json.dumps({"checked": first}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in range(found.calls):
            step()
        print(json.dumps({"seconds": (time.perf_counter() - start) / found.calls / found.per}), flush=True)


class _Process:
    def __init__(self, row: str, contestant: str, threads: int) -> None:
        self.figures = Figures(contestant)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, str(HERE / "loops.py"), "--work", row, contestant]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        first = self.answer()
        self.figures.absent, self.figures.checked = first.get("absent", ""), first.get("checked", 0.0)

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"absent": f"the process ended with {self.process.wait()}"}

    def measure(self) -> None:
        if self.figures.absent:
            return
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found = self.answer()
        self.figures.absent = found.get("absent", "")
        if "seconds" in found:
            self.figures.seconds.append(found["seconds"])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(row: str, threads: int) -> list[Figures]:
    """All contestants of a row, in turn."""
    processes = [_Process(row, name, threads) for name in ROWS[row].contestants]
    for _ in range(ROUNDS):
        for process in processes:
            process.measure()
    for process in processes:
        process.close()
    return [process.figures for process in processes]


def _time(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def lines_of(row: str, figures: list[Figures]) -> list[str]:
    """The lines of the table: time, ratio of symc's median to the contestant's, what is wanted."""
    found = ROWS[row]
    of = {f.contestant: f for f in figures}
    mine = of["symc"]
    kind, limit = found.goal
    lines = []
    for f in figures:
        if not f.seconds:
            lines.append(f"| {found.title} | {f.contestant} | {f.absent} | | |")
            continue
        ratio = "" if f is mine or not mine.seconds else f"{median(mine.seconds) / median(f.seconds):.2f}"
        wanted = ""
        if f.contestant == kind or f is mine and kind == "seconds":
            wanted = f"<= {_time(limit) if kind == 'seconds' else limit}"
        times = f"{_time(median(f.seconds))} ({_time(min(f.seconds))})"
        lines.append(f"| {found.title} | {f.contestant} | {times} | {ratio} | {wanted} |")
        if f.checked and not np.isclose(f.checked, mine.checked, rtol=1e-2, atol=1e-4) and kind != "seconds":
            lines.append(f"| | {f.contestant} | first result {f.checked}, symc's {mine.checked} | | |")
    return lines


HEAD = ["| work | contestant | median (least) | symc : it | wanted |", "| --- | --- | --- | ---: | --- |"]


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help=f"from {', '.join(ROWS)}")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--save", action="store_true", help="write results/loops.json and results/loops.md")
    parser.add_argument("--work", nargs=2, metavar=("ROW", "CONTESTANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        _work(*options.work)
        return
    print("\n".join(HEAD))
    lines, saved = list(HEAD), {}
    for row in options.rows or ROWS:
        figures = measure(row, options.threads)
        saved[row] = [vars(f) for f in figures]
        for line in lines_of(row, figures):
            print(line, flush=True)
            lines.append(line)
    if options.save:
        about = f"{platform.machine()}, {options.threads} threads, Python {platform.python_version()}"
        (HERE / "results" / "loops.json").write_text(json.dumps({"machine": about, "rows": saved}, indent=1) + "\n")
        text = f"# Loops\n\nMade by `python benchmarks/loops.py --save` on {about}.\n\n" + "\n".join(lines) + "\n"
        (HERE / "results" / "loops.md").write_text(text)


if __name__ == "__main__":
    main()
