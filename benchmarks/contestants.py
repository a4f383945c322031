"""One builder per library: from a problem's name and data to a function that does the work once.

Every builder is written the way its library's documentation recommends for speed. A built function takes no arguments
and returns the complete result (the new loss, for a training step), in a form that NumPy can convert.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from problems import MOMENTUM, RATE, Data

__all__ = [
    "CONTESTANTS", "Absent", "Step", "jax_crossentropy", "jax_step", "jax_training", "symc_expression", "symc_training",
    "torch_step", "torch_training",
]  # fmt: skip

Step = Callable[[], Any]


class Absent(Exception):
    """The library has no such operation; the row says so."""


def _parameters(data: Data) -> Data:
    return {name: value for name, value in data.items() if name not in ("x", "y")}


# --- symc -------------------------------------------------------------------------------------------------------------


def symc_step(problem: str, data: Data, threads: int) -> Step:
    import symc
    import symc.tensor as T

    symc.config.threads = threads
    if problem in ("mlp", "lenet"):
        inputs, loss, updates = symc_training(problem, data)
        train = symc.function(inputs, loss, updates=updates)
        return lambda: train(data["x"], data["y"])
    variables = {name: (T.vector if value.ndim == 1 else T.matrix)(name) for name, value in data.items()}
    run = symc.function(list(variables.values()), symc_expression(problem, variables))
    arrays = list(data.values())
    return lambda: run(*arrays)


def symc_expression(problem: str, v: dict[str, Any]) -> Any:
    """What a problem without parameters computes of its variables."""
    import symc.tensor as T

    if problem == "chain":
        return T.tanh(v["a"]) * T.exp(-v["b"] * v["b"]) + T.log1p(abs(v["a"]))
    if problem == "softmax":
        return T.nnet.softmax(v["x"])
    return T.var(v["x"]) if problem == "variance" else v["a"] + v["b"]


def symc_training(problem: str, data: Data) -> tuple[list[Any], Any, list[tuple[Any, Any]]]:
    """Inputs, loss and updates of a training step, ready for ``symc.function``."""
    import symc
    import symc.tensor as T

    x = T.matrix("x") if problem == "mlp" else T.tensor4("x")
    y = T.lvector("y")
    p = {name: symc.shared(value, name) for name, value in _parameters(data).items()}
    h = x
    if problem == "lenet":
        for k in "12":
            h = T.nnet.conv2d(h, p["K" + k], filter_flip=False) + p["c" + k].dimshuffle("x", 0, "x", "x")
            h = T.signal.pool.pool_2d(T.nnet.relu(h), (2, 2), ignore_border=True)
        h = h.flatten(2)
    h = T.nnet.relu(T.dot(h, p["W1"]) + p["b1"])
    if problem == "mlp":
        h = T.nnet.relu(T.dot(h, p["W2"]) + p["b2"])
    last = "3" if problem == "mlp" else "2"
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(h, p["W" + last]) + p["b" + last]), y).mean()
    updates = []
    for value, g in zip(p.values(), T.grad(loss, list(p.values()))):
        velocity = symc.shared(np.zeros_like(value.get_value()))
        change = MOMENTUM * velocity - RATE * g
        updates += [(velocity, change), (value, value + change)]
    return [x, y], loss, updates


# --- PyTorch ----------------------------------------------------------------------------------------------------------


def torch_step(problem: str, data: Data, threads: int, compiled: bool = False, device: str = "cpu") -> Step:
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    t = {name: torch.from_numpy(value).to(device) for name, value in data.items()}
    wrap = torch.compile if compiled else lambda f: f
    if problem in ("mlp", "lenet"):

        def loss_of() -> Any:
            h = t["x"]
            if problem == "lenet":
                for k in "12":
                    h = F.max_pool2d(F.relu(F.conv2d(h, t["K" + k], t["c" + k])), 2)
                h = h.flatten(1)
            h = F.relu(torch.addmm(t["b1"], h, t["W1"]))
            if problem == "mlp":
                h = F.relu(torch.addmm(t["b2"], h, t["W2"]))
            last = "3" if problem == "mlp" else "2"
            return F.cross_entropy(torch.addmm(t["b" + last], h, t["W" + last]), t["y"])

        return torch_training(t, wrap(loss_of))
    functions: dict[str, Callable[..., Any]] = {
        "chain": lambda a, b: torch.tanh(a) * torch.exp(-b * b) + torch.log1p(torch.abs(a)),
        "softmax": lambda x: torch.softmax(x, 1),
        "variance": lambda x: torch.var(x, correction=0),
        "call": lambda a, b: a + b,
    }
    run = wrap(functions[problem])
    arrays = list(t.values())

    def call() -> Any:
        with torch.inference_mode():
            return run(*arrays)

    # The mode is entered once for all calls where entering it would be most of the call.
    return (lambda: run(*arrays)) if problem == "call" else call


def torch_training(t: dict[str, Any], loss_of: Callable[[], Any], rate: float = RATE) -> Step:
    """A step with momentum on all tensors of ``t`` but the batch, which become parameters; it returns the loss."""
    import torch

    parameters = [name for name in t if name not in ("x", "y")]
    for name in parameters:
        t[name] = t[name].clone().requires_grad_()
    optimizer = torch.optim.SGD([t[name] for name in parameters], rate, MOMENTUM, fused=True)

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def torch_compile_step(problem: str, data: Data, threads: int) -> Step:
    return torch_step(problem, data, threads, compiled=True)


# --- JAX --------------------------------------------------------------------------------------------------------------


def jax_step(problem: str, data: Data, threads: int, wait: bool = True) -> Step:
    import jax
    import jax.numpy as jnp

    arrays = {name: jnp.asarray(value) for name, value in data.items()}
    if problem in ("mlp", "lenet"):
        return jax_training(partial(_jax_loss, problem), arrays, wait=wait)
    functions: dict[str, Callable[..., Any]] = {
        "chain": lambda a, b: jnp.tanh(a) * jnp.exp(-b * b) + jnp.log1p(jnp.abs(a)),
        "softmax": lambda x: jax.nn.softmax(x, axis=1),
        "variance": jnp.var,
        "call": lambda a, b: a + b,
    }
    run = jax.jit(functions[problem])
    operands = list(arrays.values())
    return (lambda: run(*operands).block_until_ready()) if wait else (lambda: run(*operands))


def _jax_loss(problem: str, p: dict[str, Any], x: Any, y: Any) -> Any:
    import jax
    import jax.numpy as jnp
    from jax import lax

    h = x
    if problem == "lenet":
        for k in "12":
            h = jax.nn.relu(lax.conv(h, p["K" + k], (1, 1), "VALID") + p["c" + k][:, None, None])
            h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        h = h.reshape(len(h), -1)
    h = jax.nn.relu(h @ p["W1"] + p["b1"])
    if problem == "mlp":
        h = jax.nn.relu(h @ p["W2"] + p["b2"])
    last = "3" if problem == "mlp" else "2"
    return jax_crossentropy(h @ p["W" + last] + p["b" + last], y)


def jax_crossentropy(scores: Any, y: Any) -> Any:
    """The mean over the batch of minus the logarithm of what softmax gives the right class."""
    import jax
    import jax.numpy as jnp

    return -jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1).mean()


def jax_training(loss_of: Callable[..., Any], arrays: dict[str, Any], rate: float = RATE, wait: bool = True) -> Step:
    """A step with momentum on all of ``arrays`` but the batch; ``loss_of`` takes the parameters and the batch."""
    import jax
    import jax.numpy as jnp

    x, y = arrays.pop("x"), arrays.pop("y")

    def update(p: dict[str, Any], v: dict[str, Any], x: Any, y: Any) -> Any:
        loss, g = jax.value_and_grad(loss_of)(p, x, y)
        v = jax.tree.map(lambda v, g: MOMENTUM * v - rate * g, v, g)
        return jax.tree.map(jnp.add, p, v), v, loss

    run = jax.jit(update, donate_argnums=(0, 1))
    state = [arrays, jax.tree.map(jnp.zeros_like, arrays)]

    def step() -> Any:
        state[0], state[1], loss = run(*state, x, y)
        if wait:
            jax.block_until_ready(state)
        return loss

    return step


# --- PyTensor ---------------------------------------------------------------------------------------------------------


def pytensor_step(problem: str, data: Data, threads: int) -> Step:
    import pytensor
    import pytensor.tensor as pt

    pytensor.config.floatX = "float32"
    if problem == "lenet":
        raise Absent("PyTensor 3 has no pooling")
    if problem == "mlp":
        return _pytensor_mlp(data)
    variables = {name: pt.TensorType("float32", (None,) * value.ndim)(name) for name, value in data.items()}
    v = variables.get
    if problem == "chain":
        result = pt.tanh(v("a")) * pt.exp(-v("b") * v("b")) + pt.log1p(pt.abs(v("a")))
    elif problem == "softmax":
        result = pt.special.softmax(v("x"), axis=1)
    elif problem == "variance":
        result = pt.var(v("x"))
    else:
        result = v("a") + v("b")
    run = pytensor.function(list(variables.values()), result)
    run.trust_input = True
    arrays = list(data.values())
    return lambda: run(*arrays)


def _pytensor_mlp(data: Data) -> Step:
    import pytensor
    import pytensor.tensor as pt

    x, y = pt.fmatrix("x"), pt.lvector("y")
    p = {name: pytensor.shared(value, name) for name, value in _parameters(data).items()}
    h = x
    for k in "12":
        h = pt.maximum(h @ p["W" + k] + p["b" + k], np.float32(0))
    scores = pt.special.log_softmax(h @ p["W3"] + p["b3"], axis=1)
    loss = -scores[pt.arange(y.shape[0]), y].mean()
    updates = []
    for value, g in zip(p.values(), pt.grad(loss, list(p.values()))):
        velocity = pytensor.shared(np.zeros_like(value.get_value()))
        change = np.float32(MOMENTUM) * velocity - np.float32(RATE) * g
        updates += [(velocity, change), (value, value + change)]
    run = pytensor.function([x, y], loss, updates=updates)
    run.trust_input = True
    return lambda: run(data["x"], data["y"])


CONTESTANTS: dict[str, tuple[str, Callable[[str, Data, int], Step]]] = {
    "symc": ("symc", symc_step),
    "torch": ("torch", torch_step),
    "torch.compile": ("torch", torch_compile_step),
    "jax": ("jax", jax_step),
    "pytensor": ("pytensor", pytensor_step),
}
"""Name, the module to import, the builder. The first one is what the others are compared with."""
