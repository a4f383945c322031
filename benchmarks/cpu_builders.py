"""Networks written once: a network is a function of a builder, and each library has a builder.

A :class:`Builder` knows shapes, names and draws parameters; what a library does with one operation is a method of a
subclass whose name begins with an underscore. Values are pairs of the library's value and its shape.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Builder", "JaxBuilder", "Node", "SymcBuilder", "TorchBuilder"]


class Node(NamedTuple):
    """A value of the library and its shape: images (batch, channels, rows, columns), or rows (batch, units)."""

    value: Any
    shape: tuple[int, ...]


def _out(size: int, window: int, stride: int, pad: int) -> int:
    return (size + 2 * pad - window) // stride + 1


class Builder:
    """Shapes and parameters alone; ``given`` holds the library's handles of parameters of earlier walks."""

    def __init__(self, given: dict[str, Any] | None = None, training: bool = False) -> None:
        self.given: dict[str, Any] = {} if given is None else given
        self.arrays: dict[str, np.ndarray] = {}
        self.training, self.flops, self.drawn = training, 0.0, given is None

    def parameter(self, name: str, kind: str, *shape: int) -> Any:
        """The handle of a parameter; without handles, one is drawn: normal weights, or ``kind`` gives its range."""
        if self.drawn and name not in self.arrays:
            rng = np.random.default_rng(len(self.arrays))
            if kind == "weights":
                fan = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
                value = rng.standard_normal(shape, dtype="float32") * np.float32((2 / fan) ** 0.5)
            else:
                low, high = {"offset": (-0.1, 0.1), "scale": (0.8, 1.2), "small": (0.1, 0.3)}[kind]
                value = rng.uniform(low, high, shape).astype("float32")
            self.arrays[name] = value
        return self.given.get(name)

    def conv(
        self, x: Node, name: str, filters: int, size: int, stride: int = 1, pad: int = 0, groups: int = 1,
        bias: bool = False,
    ) -> Node:  # fmt: skip
        """Square filters."""
        n, c, h, w = x.shape
        weights = self.parameter(f"{name}.w", "weights", filters, c // groups, size, size)
        offset = self.parameter(f"{name}.b", "offset", filters) if bias else None
        shape = (n, filters, _out(h, size, stride, pad), _out(w, size, stride, pad))
        self.flops += 2 * math.prod(shape) * c // groups * size**2
        return Node(self._conv(x, weights, offset, stride, pad, groups, name), shape)

    def deconv(self, x: Node, name: str, filters: int, size: int, stride: int, pad: int) -> Node:
        """The adjoint of a convolution by images, ``filters`` wide."""
        n, c, h, w = x.shape
        weights = self.parameter(f"{name}.w", "weights", c, filters, size, size)
        shape = (n, filters, (h - 1) * stride + size - 2 * pad, (w - 1) * stride + size - 2 * pad)
        self.flops += 2 * math.prod(x.shape) * filters * size**2
        return Node(self._deconv(x, weights, stride, pad, shape, name), shape)

    def norm(self, x: Node, name: str) -> Node:
        """Batch normalisation: by the batch in training, else by stored averages."""
        c = x.shape[1]
        scale, offset = self.parameter(f"{name}.scale", "scale", c), self.parameter(f"{name}.offset", "offset", c)
        averages = ()
        if not self.training:
            mean, var = self.parameter(f"{name}.mean", "offset", c), self.parameter(f"{name}.var", "scale", c)
            averages = (mean, var)
        return Node(self._norm(x, scale, offset, averages, name), x.shape)

    def dense(self, x: Node, name: str, units: int) -> Node:
        """A fully connected layer with bias."""
        n, inputs = x.shape
        weights, offset = (
            self.parameter(f"{name}.w", "weights", inputs, units),
            self.parameter(f"{name}.b", "offset", units),
        )
        self.flops += 2 * n * inputs * units
        return Node(self._dense(x, weights, offset, name), (n, units))

    def relu(self, x: Node, limit: float = math.inf) -> Node:
        return Node(self._relu(x, limit), x.shape)

    def leaky(self, x: Node, slope: float = 0.2) -> Node:
        return Node(self._leaky(x, slope), x.shape)

    def tanh(self, x: Node) -> Node:
        return Node(self._tanh(x), x.shape)

    def pool(self, x: Node, kind: str, size: int, stride: int, pad: int = 0) -> Node:
        """``kind``: max or mean (without padding)."""
        n, c, h, w = x.shape
        shape = (n, c, _out(h, size, stride, pad), _out(w, size, stride, pad))
        return Node(self._pool(x, kind, size, stride, pad), shape)

    def mean(self, x: Node) -> Node:
        """The mean of each channel of images."""
        return Node(self._mean(x), x.shape[:2])

    def flatten(self, x: Node) -> Node:
        shape = (x.shape[0], math.prod(x.shape[1:]))
        return Node(self._reshape(x, shape), shape)

    def images(self, x: Node, *shape: int) -> Node:
        """Rows as images of this shape."""
        return Node(self._reshape(x, (x.shape[0], *shape)), (x.shape[0], *shape))

    def add(self, x: Node, y: Node) -> Node:
        return Node(self._add(x, y), x.shape)

    def join(self, *xs: Node) -> Node:
        """Images one after another along channels."""
        n, _, h, w = xs[0].shape
        return Node(self._join(xs), (n, sum(x.shape[1] for x in xs), h, w))

    def _nothing(self, *args: Any) -> Any:
        return None

    _conv = _deconv = _norm = _dense = _relu = _leaky = _tanh = _pool = _mean = _reshape = _add = _join = _nothing


EPSILON = 1e-5


class ArrayBuilder(Builder):
    """What libraries with NumPy's methods have in common."""

    def _mean(self, x):  # type: ignore[no-untyped-def]
        return x.value.mean((2, 3))

    def _reshape(self, x, shape):  # type: ignore[no-untyped-def]
        return x.value.reshape(shape)

    def _add(self, x, y):  # type: ignore[no-untyped-def]
        return x.value + y.value


class SymcBuilder(ArrayBuilder):
    """Expressions of symc; handles are shared variables."""

    def _conv(self, x, w, b, stride, pad, groups, name):  # type: ignore[no-untyped-def]
        import symc.tensor as T

        y = T.nnet.conv2d(
            x.value, w, border_mode=(pad, pad), subsample=(stride, stride), filter_flip=False, num_groups=groups
        )
        return y if b is None else y + b.dimshuffle("x", 0, "x", "x")

    def _deconv(self, x, w, stride, pad, shape, name):  # type: ignore[no-untyped-def]
        import symc.tensor as T

        return T.nnet.conv2d_grad_wrt_inputs(
            x.value, w, (None, *shape[1:]), border_mode=(pad, pad), subsample=(stride, stride), filter_flip=False
        )

    def _norm(self, x, scale, offset, averages, name):  # type: ignore[no-untyped-def]
        import symc.tensor as T

        axes, order = ((0, 2, 3), ("x", 0, "x", "x")) if len(x.shape) == 4 else ((0,), ("x", 0))
        scale, offset = scale.dimshuffle(*order), offset.dimshuffle(*order)
        if averages:
            mean, var = (a.dimshuffle(*order) for a in averages)
        else:
            mean, var = x.value.mean(axes, keepdims=True), T.var(x.value, axes, keepdims=True)
        return (x.value - mean) * (scale / T.sqrt(var + EPSILON)) + offset

    def _dense(self, x, w, b, name):  # type: ignore[no-untyped-def]
        import symc.tensor as T

        return T.dot(x.value, w) + b

    def _relu(self, x, limit):  # type: ignore[no-untyped-def]
        import symc.tensor as T

        return T.nnet.relu(x.value) if math.isinf(limit) else T.clip(x.value, 0, limit)

    def _leaky(self, x, slope):  # type: ignore[no-untyped-def]
        import symc.tensor as T

        return T.nnet.relu(x.value, slope)

    def _tanh(self, x):  # type: ignore[no-untyped-def]
        import symc.tensor as T

        return T.tanh(x.value)

    def _pool(self, x, kind, size, stride, pad):  # type: ignore[no-untyped-def]
        import symc.tensor as T

        mode = "max" if kind == "max" else "average_inc_pad"
        return T.signal.pool.pool_2d(
            x.value, (size, size), ignore_border=True, stride=(stride, stride), pad=(pad, pad), mode=mode
        )

    def _reshape(self, x, shape):  # type: ignore[no-untyped-def]
        return x.value.reshape((x.value.shape[0], *shape[1:]))

    def _join(self, xs):  # type: ignore[no-untyped-def]
        import symc.tensor as T

        return T.concatenate([x.value for x in xs], axis=1)


class TorchBuilder(ArrayBuilder):
    """Functions of PyTorch; handles are tensors."""

    def _conv(self, x, w, b, stride, pad, groups, name):  # type: ignore[no-untyped-def]
        import torch.nn.functional as F

        return F.conv2d(x.value, w, b, stride, pad, 1, groups)

    def _deconv(self, x, w, stride, pad, shape, name):  # type: ignore[no-untyped-def]
        import torch.nn.functional as F

        return F.conv_transpose2d(x.value, w, None, stride, pad)

    def _norm(self, x, scale, offset, averages, name):  # type: ignore[no-untyped-def]
        import torch.nn.functional as F

        mean, var = averages or (None, None)
        return F.batch_norm(x.value, mean, var, scale, offset, training=not averages, eps=EPSILON)

    def _dense(self, x, w, b, name):  # type: ignore[no-untyped-def]
        import torch

        return torch.addmm(b, x.value, w)

    def _relu(self, x, limit):  # type: ignore[no-untyped-def]
        import torch.nn.functional as F

        return F.relu(x.value) if math.isinf(limit) else F.hardtanh(x.value, 0.0, limit)

    def _leaky(self, x, slope):  # type: ignore[no-untyped-def]
        import torch.nn.functional as F

        return F.leaky_relu(x.value, slope)

    def _tanh(self, x):  # type: ignore[no-untyped-def]
        return x.value.tanh()

    def _pool(self, x, kind, size, stride, pad):  # type: ignore[no-untyped-def]
        import torch.nn.functional as F

        if kind == "max":
            return F.max_pool2d(x.value, size, stride, pad)
        return F.avg_pool2d(x.value, size, stride, pad)

    def _join(self, xs):  # type: ignore[no-untyped-def]
        import torch

        return torch.cat([x.value for x in xs], 1)


class JaxBuilder(ArrayBuilder):
    """Functions of JAX; handles are arrays."""

    def _conv(self, x, w, b, stride, pad, groups, name):  # type: ignore[no-untyped-def]
        from jax import lax

        y = lax.conv_general_dilated(
            x.value, w, (stride, stride), [(pad, pad)] * 2, feature_group_count=groups,
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )  # fmt: skip
        return y if b is None else y + b[:, None, None]

    def _deconv(self, x, w, stride, pad, shape, name):  # type: ignore[no-untyped-def]
        from jax import lax

        size = w.shape[2]
        return lax.conv_general_dilated(
            x.value, w[:, :, ::-1, ::-1], (1, 1), [(size - 1 - pad,) * 2] * 2, lhs_dilation=(stride, stride),
            dimension_numbers=("NCHW", "IOHW", "NCHW"),
        )  # fmt: skip

    def _norm(self, x, scale, offset, averages, name):  # type: ignore[no-untyped-def]
        from jax import lax

        axes = (0, 2, 3) if len(x.shape) == 4 else (0,)
        shape = [-1] + [1] * (len(x.shape) - 2)
        scale, offset = scale.reshape(shape), offset.reshape(shape)
        if averages:
            mean, var = (a.reshape(shape) for a in averages)
        else:
            mean, var = x.value.mean(axes, keepdims=True), x.value.var(axes, keepdims=True)
        return (x.value - mean) * (scale * lax.rsqrt(var + EPSILON)) + offset

    def _dense(self, x, w, b, name):  # type: ignore[no-untyped-def]
        return x.value @ w + b

    def _relu(self, x, limit):  # type: ignore[no-untyped-def]
        import jax.numpy as jnp

        return jnp.maximum(x.value, 0) if math.isinf(limit) else jnp.clip(x.value, 0, limit)

    def _leaky(self, x, slope):  # type: ignore[no-untyped-def]
        import jax

        return jax.nn.leaky_relu(x.value, slope)

    def _tanh(self, x):  # type: ignore[no-untyped-def]
        import jax.numpy as jnp

        return jnp.tanh(x.value)

    def _pool(self, x, kind, size, stride, pad):  # type: ignore[no-untyped-def]
        from jax import lax

        window, strides, padding = (1, 1, size, size), (1, 1, stride, stride), [(0, 0), (0, 0), (pad, pad), (pad, pad)]
        if kind == "max":
            return lax.reduce_window(x.value, -np.inf, lax.max, window, strides, padding)
        return lax.reduce_window(x.value, 0.0, lax.add, window, strides, padding) / size**2

    def _join(self, xs):  # type: ignore[no-untyped-def]
        import jax.numpy as jnp

        return jnp.concatenate([x.value for x in xs], 1)
