"""Batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symc.errors import ShapeError, located
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.tensor import elementwise as ew
from symc.tensor import reduce
from symc.tensor.axes import dimshuffle
from symc.tensor.basic import as_tensor
from symc.tensor.options import choice
from symc.tensor.reduction_records import normalize_axes
from symc.tensor.shaping import addbroadcast

__all__ = ["batch_normalization", "batch_normalization_test", "batch_normalization_train"]


def _axes(axes: Any, x: Variable, what: str) -> tuple[int, ...]:
    if isinstance(axes, str):
        choice(what, "axes", axes, ("per-activation", "spatial"), [x])
        return (0,) if axes == "per-activation" else (0, *range(2, x.ndim))
    return normalize_axes(axes, x, what)


class _Parameters:
    """Conversion of parameters to the axes of the input, and of statistics to the axes of the parameters."""

    def __init__(self, x: Variable, axes: tuple[int, ...], gamma: Variable, what: str) -> None:
        self.x, self.axes, self.what = x, axes, what
        self.kept = [k for k in range(x.ndim) if k not in axes]
        self.full = gamma.ndim == x.ndim

    def spread(self, v: Any, name: str) -> Variable:
        v = as_tensor(v)
        if v.ndim == self.x.ndim:
            return addbroadcast(v, *[k for k in self.axes if not v.type.broadcastable[k]]) if self.axes else v
        if v.ndim != len(self.kept):
            raise ShapeError(
                located(
                    f"{self.what}: {name} must have {len(self.kept)} axes, "
                    f"or {self.x.ndim} with 1 on the axes {self.axes}, got {v.ndim}",
                    [self.x, v],
                )
            )
        return dimshuffle(v, [self.kept.index(k) if k in self.kept else "x" for k in range(self.x.ndim)])

    def reduction(self, v: Variable) -> Variable:
        return v if self.full else dimshuffle(v, self.kept)


def batch_normalization(inputs: Any, gamma: Any, beta: Any, mean: Any, std: Any, mode: str = "low_mem") -> Variable:
    """``gamma * (inputs - mean) / std + beta``, all broadcast together.

    Parameters
    ----------
    inputs, gamma, beta, mean, std : tensor_like
    mode : {'low_mem', 'high_mem'}
        Has no effect: the compiler plans memory itself. Accepted for old programs.
    """
    choice("batch_normalization", "mode", mode, ("low_mem", "high_mem"))
    return (as_tensor(inputs) - mean) * (as_tensor(gamma) / std) + beta


def batch_normalization_train(
    inputs: Any,
    gamma: Any,
    beta: Any,
    axes: Any = "per-activation",
    epsilon: Any = 1e-4,
    running_average_factor: Any = 0.1,
    running_mean: Any = None,
    running_var: Any = None,
) -> tuple[Variable, ...]:
    r"""Normalise a batch by its own mean and variance.

    .. math:: y = \gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta

    Parameters
    ----------
    inputs : tensor_like
        ``(batch, ...)``.
    gamma, beta : tensor_like
        Scale and shift: the shape of ``inputs`` without ``axes``, or with 1 in their place.
    axes : {'per-activation', 'spatial'} or tuple of int
        The axes to average over: the batch; the batch and every axis after the second; or the given axes.
    epsilon : float
        Added to the variance.
    running_average_factor : float
        The weight of this batch in the new running averages.
    running_mean, running_var : tensor_like, optional
        The current running averages, shaped like ``gamma``.

    Returns
    -------
    tuple of Variable
        ``out`` of the shape of ``inputs``; ``mean`` and ``invstd``, shaped like ``gamma``; then the new
        ``running_mean`` and ``running_var`` (unbiased) for those that were given.

    References
    ----------
    .. [1] Sergey Ioffe and Christian Szegedy (2015): Batch normalization: accelerating deep network training by
    reducing
           internal covariate shift. arXiv:1502.03167.
    """
    what = "batch_normalization_train"
    x, scale = as_tensor(inputs), as_tensor(gamma)
    over = _axes(axes, x, what)
    shapes = _Parameters(x, over, scale, what)
    mean = reduce.mean(x, axis=over, keepdims=True)
    var = reduce.var(x, axis=over, keepdims=True)
    invstd = 1.0 / ew.sqrt(var + epsilon)
    out = (x - mean) * (shapes.spread(scale, "gamma") * invstd) + shapes.spread(beta, "beta")
    found = [out, shapes.reduction(mean), shapes.reduction(invstd)]
    keep = 1.0 - running_average_factor
    if running_mean is not None:
        moved = shapes.spread(running_mean, "running_mean") * keep + mean * running_average_factor
        found.append(shapes.reduction(moved))
    if running_var is not None:
        n = reduce.count(x, over, x.dtype)
        moved = shapes.spread(running_var, "running_var") * keep + (n / (n - 1)) * var * running_average_factor
        found.append(shapes.reduction(moved))
    return tuple(found)


def batch_normalization_test(
    inputs: Any, gamma: Any, beta: Any, mean: Any, var: Any, axes: Any = "per-activation", epsilon: Any = 1e-4
) -> Variable:
    """Normalise with given statistics: ``gamma * (inputs - mean) / sqrt(var + epsilon) + beta``.

    Parameters
    ----------
    inputs : tensor_like
    gamma, beta, mean, var : tensor_like
        The shape of ``inputs`` without ``axes``, or with 1 in their place.
    axes, epsilon
        As in :func:`batch_normalization_train`.
    """
    what = "batch_normalization_test"
    x, scale = as_tensor(inputs), as_tensor(gamma)
    shapes = _Parameters(x, _axes(axes, x, what), scale, what)
    given: Sequence[Variable] = [
        shapes.spread(v, n) for v, n in ((scale, "gamma"), (beta, "beta"), (mean, "mean"), (var, "var"))
    ]
    return (x - given[2]) * (given[0] / ew.sqrt(given[3] + epsilon)) + given[1]


explain_faults(globals())
