"""The peers on the GPU: PyTorch, JAX and CuPy. See ``gpu_contestants.Library``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from contestants import Absent, Step, jax_crossentropy, jax_step, jax_training, torch_step, torch_training
from gpu_problems import EPSILON, LAYERS, OVER, SHARED, VGG_RATE, GpuProblem, walk
from problems import Data

__all__ = ["Cupy", "Jax", "Torch", "torch_vgg"]


# --- PyTorch ----------------------------------------------------------------------------------------------------------


class Torch:
    """Eager; ``compiled``: through ``torch.compile`` with its default mode; ``last``: channels last."""

    def __init__(self, compiled: bool = False, last: bool = False, device: str = "cuda") -> None:
        import torch

        self.torch, self.compiled, self.last, self.device = torch, compiled, last, device
        torch.backends.cudnn.benchmark = True

    def precision(self, name: str) -> None:
        self.torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        self.torch.backends.cudnn.allow_tf32 = name == "tf32"

    def build(self, problem: GpuProblem, data: Data) -> Step:
        torch, kind = self.torch, problem.kind
        images = kind.startswith(("conv_", "vgg"))
        if self.last and not images:
            raise Absent("no images")
        if self.compiled and kind.startswith(("conv_", "product", "copy")):
            raise Absent("one call of a library, as without compilation")
        if self.compiled:
            torch.compiler.reset()  # else a second shape would be compiled as one of unknown size
        if kind in SHARED:
            return torch_step(kind, data, os.cpu_count() or 1, self.compiled, self.device)
        t = {name: torch.from_numpy(a).to(self.device) for name, a in data.items()}
        if self.last:
            t = {name: a.to(memory_format=torch.channels_last) if a.ndim == 4 else a for name, a in t.items()}
        wrap = torch.compile if self.compiled else lambda f: f
        if kind == "vgg_train":

            def loss_of() -> Any:
                return torch.nn.functional.cross_entropy(torch_vgg(t), t["y"])

            return torch_training(t, wrap(loss_of), VGG_RATE)
        if kind == "batchnorm":
            return self._batchnorm(t, wrap)
        run = wrap(torch_function(kind))

        def step() -> Any:
            with torch.no_grad():
                return run(t)

        return step

    def _batchnorm(self, t: dict[str, Any], wrap: Callable[..., Any]) -> Step:
        torch = self.torch
        over = [t[name].requires_grad_() for name in ("x", "gamma", "beta")]

        def normal(x: Any, gamma: Any, beta: Any) -> Any:
            return torch.nn.functional.batch_norm(x, None, None, gamma, beta, True, 0.1, EPSILON)

        run = wrap(normal)
        return lambda: torch.autograd.grad(run(*over), over, t["dy"])[0]

    def wait(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def host(self, result: Any) -> np.ndarray:
        return result.cpu().numpy()


def torch_vgg(t: dict[str, Any]) -> Any:
    """VGG's scores of the images ``t["x"]``; the other tensors have the names of its parameters."""
    from torch.nn import functional as F

    p = {name: a for name, a in t.items() if name not in ("x", "y")}

    def dense(h: Any, w: Any, b: Any, last: bool) -> Any:
        h = F.linear(h.flatten(1), w.t(), b)
        return h if last else F.relu(h)

    return walk(p, t["x"], lambda h, w, b: F.relu(F.conv2d(h, w, b, padding=1)), lambda h: F.max_pool2d(h, 2), dense)


def torch_function(kind: str) -> Callable[[dict[str, Any]], Any]:
    """What a problem computes of its tensors; autograd is off."""
    import torch
    from torch.nn import functional as F

    aten, ones = torch.ops.aten, [1, 1]

    def slopes(t: dict[str, Any], data: bool) -> Any:
        mask = [data, not data, False]
        found = aten.convolution_backward(t["dy"], t["x"], t["w"], None, ones, ones, ones, False, [0, 0], 1, mask)
        return found[0 if data else 1]

    def deep(t: dict[str, Any]) -> Any:
        x = t["x"]
        for _ in range(LAYERS):
            x = torch.tanh(x @ t["w"])
        return x

    if kind.startswith(("sum_", "var_")):
        what, over = kind.split("_")
        axis = OVER[over]
        if what == "sum":
            return lambda t: torch.sum(t["x"]) if axis is None else torch.sum(t["x"], axis)
        return lambda t: torch.var(t["x"], axis, correction=0)
    found: dict[str, Callable[[dict[str, Any]], Any]] = {
        "copy": lambda t: t["x"].clone(),
        "product": lambda t: t["a"] @ t["b"],
        "transpose": lambda t: t["x"].t().contiguous(),
        "embedding": lambda t: aten.embedding_dense_backward(t["g"], t["i"], len(t["w"]), -1, False),
        "overhead": deep,
        "conv_forward": lambda t: F.conv2d(t["x"], t["w"], padding=1),
        "conv_data": lambda t: slopes(t, True),
        "conv_filters": lambda t: slopes(t, False),
        "vgg": lambda t: torch.softmax(torch_vgg(t), 1),
    }
    return found[kind]


# --- JAX --------------------------------------------------------------------------------------------------------------


class Jax:
    """Everything under ``jit``; state is donated."""

    def __init__(self) -> None:
        import jax

        self.jax = jax
        self.result: Any = ()

    def precision(self, name: str) -> None:
        self.jax.config.update("jax_default_matmul_precision", "tensorfloat32" if name == "tf32" else "highest")

    def build(self, problem: GpuProblem, data: Data) -> Step:
        jax, kind = self.jax, problem.kind
        if kind in SHARED:
            return self._kept(jax_step(kind, data, 0, wait=False))
        arrays = {name: jax.device_put(a) for name, a in data.items()}
        if kind == "vgg_train":

            def loss_of(p: Any, x: Any, y: Any) -> Any:
                return jax_crossentropy(jax_vgg(p, x), y)

            return self._kept(jax_training(loss_of, arrays, VGG_RATE, wait=False))
        run = jax.jit(jax_function(kind))
        return self._kept(lambda: run(arrays))

    def _kept(self, step: Step) -> Step:
        def kept() -> Any:
            self.result = step()
            return self.result[0] if isinstance(self.result, tuple) else self.result

        return kept

    def wait(self) -> None:
        self.jax.block_until_ready(self.result)

    def host(self, result: Any) -> np.ndarray:
        return np.asarray(result)


def _jax_conv(x: Any, w: Any) -> Any:
    from jax import lax

    return lax.conv_general_dilated(x, w, (1, 1), ((1, 1), (1, 1)))


def jax_vgg(p: dict[str, Any], x: Any) -> Any:
    import jax
    import jax.numpy as jnp
    from jax import lax

    def pool(h: Any) -> Any:
        return lax.reduce_window(h, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def dense(h: Any, w: Any, b: Any, last: bool) -> Any:
        h = h.reshape(len(h), -1) @ w + b
        return h if last else jax.nn.relu(h)

    return walk(p, x, lambda h, w, b: jax.nn.relu(_jax_conv(h, w) + b[:, None, None]), pool, dense)


def jax_function(kind: str) -> Callable[[dict[str, Any]], Any]:
    """What a problem computes of its arrays, to be compiled."""
    import jax
    import jax.numpy as jnp

    def normal(x: Any, gamma: Any, beta: Any) -> Any:
        mean, var = (f(x, (0, 2, 3), keepdims=True) for f in (jnp.mean, jnp.var))
        return (x - mean) * (gamma[:, None, None] * jax.lax.rsqrt(var + EPSILON)) + beta[:, None, None]

    def batchnorm(t: dict[str, Any]) -> Any:
        y, slopes = jax.vjp(normal, t["x"], t["gamma"], t["beta"])
        return *slopes(t["dy"]), y

    def deep(t: dict[str, Any]) -> Any:
        x = t["x"]
        for _ in range(LAYERS):
            x = jnp.tanh(x @ t["w"])
        return x

    if kind.startswith(("sum_", "var_")):
        what, over = kind.split("_")
        return lambda t: getattr(jnp, what)(t["x"], OVER[over])
    found: dict[str, Callable[[dict[str, Any]], Any]] = {
        "copy": lambda t: jnp.copy(t["x"]),
        "product": lambda t: t["a"] @ t["b"],
        "transpose": lambda t: t["x"].T,
        "embedding": lambda t: jnp.zeros_like(t["w"]).at[t["i"]].add(t["g"]),
        "batchnorm": batchnorm,
        "overhead": deep,
        "conv_forward": lambda t: _jax_conv(t["x"], t["w"]),
        "conv_data": lambda t: jax.vjp(lambda x: _jax_conv(x, t["w"]), t["x"])[1](t["dy"])[0],
        "conv_filters": lambda t: jax.vjp(lambda w: _jax_conv(t["x"], w), t["w"])[1](t["dy"])[0],
        "vgg": lambda t: jax.nn.softmax(jax_vgg({n: a for n, a in t.items() if n not in ("x", "y")}, t["x"])),
    }
    return found[kind]


# --- CuPy -------------------------------------------------------------------------------------------------------------


class Cupy:
    """Its own functions; the chain through ``cupy.fuse``."""

    def __init__(self) -> None:
        import cupy

        self.cupy = cupy

    def precision(self, name: str) -> None:
        self.exact = name == "float32"

    def build(self, problem: GpuProblem, data: Data) -> Step:
        cupy, kind = self.cupy, problem.kind
        if not self.exact:
            raise Absent("CuPy takes tf32 for a whole process alone")
        run = self._function(kind)
        t = {name: cupy.asarray(a) for name, a in data.items()}
        return lambda: run(t)

    def _function(self, kind: str) -> Callable[[dict[str, Any]], Any]:
        cupy = self.cupy
        if kind.startswith(("sum_", "var_")):
            what, over = kind.split("_")
            return lambda t: getattr(cupy, what)(t["x"], OVER[over])
        if kind == "chain":
            fused = cupy.fuse(lambda a, b: cupy.tanh(a) * cupy.exp(-b * b) + cupy.log1p(cupy.abs(a)))
            return lambda t: fused(t["a"], t["b"])
        if kind == "softmax":
            from cupyx.scipy.special import softmax

            return lambda t: softmax(t["x"], 1)
        found: dict[str, Callable[[dict[str, Any]], Any]] = {
            "copy": lambda t: t["x"].copy(),
            "product": lambda t: t["a"] @ t["b"],
            "transpose": lambda t: cupy.ascontiguousarray(t["x"].T),
            "embedding": self._embedding,
            "overhead": self._deep,
        }
        if kind not in found:
            raise Absent("CuPy has no such operation")
        return found[kind]

    def _embedding(self, t: dict[str, Any]) -> Any:
        found = self.cupy.zeros_like(t["w"])
        self.cupy.add.at(found, t["i"], t["g"])
        return found

    def _deep(self, t: dict[str, Any]) -> Any:
        x = t["x"]
        for _ in range(LAYERS):
            x = self.cupy.tanh(x @ t["w"])
        return x

    def wait(self) -> None:
        self.cupy.cuda.Device().synchronize()

    def host(self, result: Any) -> np.ndarray:
        return self.cupy.asnumpy(result)
