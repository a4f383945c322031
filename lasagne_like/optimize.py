"""Minimisation of a loss on all data at once, by the optimisers of SciPy, such as L-BFGS."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

import symc
import symc.tensor as T

from .descent import get_or_compute_grads

__all__ = ["minimize"]


def minimize(
    loss: Any,
    params: Iterable,
    inputs: Sequence = (),
    values: Sequence = (),
    method: str = "L-BFGS-B",
    givens: Mapping | Sequence | None = None,
    callback: Callable | None = None,
    **options: Any,
) -> Any:
    """Minimise a loss over shared variables with :func:`scipy.optimize.minimize`.

    The value and the gradient of the loss are one compiled function; the parameters appear to SciPy as one vector of
    float64. When the search ends, also by an exception, the parameters have the best values that were seen.

    Parameters
    ----------
    loss : scalar expression
        The loss. It must not be random: a search compares its values.
    params : iterable of shared variables
        The parameters to change.
    inputs : list of variables
        The inputs of `loss`.
    values : list of arrays
        Their values, which stay the same during the search.
    method : str
        A method of SciPy that uses gradients: ``"L-BFGS-B"``, ``"CG"``, ``"BFGS"``, ``"Newton-CG"``, ``"TNC"`` ... The
        methods that use products of the Hessian and a vector (``"Newton-CG"``, ``"trust-ncg"``, ``"trust-krylov"``)
        get them compiled, too.
    givens : optional
        See :func:`symc.function`.
    callback : callable, optional
        Called as ``callback(loss)`` after each iteration, with the loss as a float; the parameters have its values.
    **options
        Passed to SciPy: ``tol``, ``bounds``, or a dictionary ``options`` with ``maxiter`` and others.

    Returns
    -------
    scipy.optimize.OptimizeResult
        The result of SciPy: ``fun`` is the loss, ``nit`` the number of iterations.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    ValueError
        If there are no parameters, if one is not a shared variable, or if `inputs` and `values` differ in number.

    References
    ----------
    .. [1] Dong Liu and Jorge Nocedal (1989): On the limited memory BFGS method for large scale optimization.
           Mathematical Programming 45.

    Examples
    --------
    >>> import numpy as np, symc
    >>> w = symc.shared(np.zeros(2))
    >>> result = minimize((1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2, [w])
    >>> np.round(w.get_value(), 3)
    array([1., 1.])
    """
    try:
        from scipy import optimize
    except ImportError as error:
        raise ImportError("lasagne_like.optimize.minimize needs SciPy: pip install scipy") from error
    params, inputs, values = list(params), list(inputs), list(values)
    if not params:
        raise ValueError("minimize: params is empty; pass layers.get_all_params(network, trainable=True)")
    if len(inputs) != len(values):
        raise ValueError(f"minimize: got {len(inputs)} inputs and {len(values)} values; each input needs one")
    grads = get_or_compute_grads(loss, params)
    search = _Search(params, symc.function(inputs, [loss, *grads], givens=givens), values)
    if method.lower() in _USE_PRODUCTS and "hessp" not in options and "hess" not in options:
        directions = [T.TensorType(p.dtype, shape=p.static_shape)(f"direction of {p.name}") for p in params]
        products = symc.grad(T.add(*(T.sum(g * d) for g, d in zip(grads, directions)), 0), params)
        compiled = symc.function([*inputs, *directions], products, givens=givens, on_unused_input="ignore")
        options["hessp"] = lambda at, direction: search.product(compiled, at, direction)
    report = None if callback is None else lambda at, *rest: callback(search.loss_at(at))
    try:
        return optimize.minimize(search.at, search.start, jac=True, method=method, callback=report, **options)
    finally:
        search.assign(search.best[1])


_USE_PRODUCTS = ("newton-cg", "trust-ncg", "trust-krylov", "trust-constr")


class _Search:
    """The loss as a function of one vector, and the best point that was seen."""

    def __init__(self, params: list, evaluate: Callable, values: list) -> None:
        self.params = params
        self.evaluate = evaluate
        self.values = values
        arrays = [param.get_value(borrow=True) for param in params]
        self.shapes = [array.shape for array in arrays]
        self.ends = np.cumsum([array.size for array in arrays])
        self.start = self.joined(arrays)
        self.best = (np.inf, self.start)
        self.last = self.best

    def joined(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.asarray(array, "float64").ravel() for array in arrays])

    def parts(self, vector: np.ndarray) -> list[np.ndarray]:
        found = np.split(np.asarray(vector), self.ends[:-1])
        return [part.reshape(s).astype(p.dtype) for part, s, p in zip(found, self.shapes, self.params)]

    def assign(self, vector: np.ndarray) -> None:
        for param, part in zip(self.params, self.parts(vector)):
            param.set_value(part)

    def at(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient."""
        self.assign(vector)
        loss, *grads = self.evaluate(*self.values)
        self.last = (float(loss), np.array(vector, copy=True))
        if self.last[0] < self.best[0]:
            self.best = self.last
        return float(loss), self.joined(grads)

    def loss_at(self, vector: np.ndarray) -> float:
        """The loss, usually that of the last evaluation; the parameters get the values."""
        if np.array_equal(vector, self.last[1]):
            return self.last[0]
        return self.at(vector)[0]

    def product(self, compiled: Callable, vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """The product of the Hessian and a vector."""
        self.assign(vector)
        return self.joined(compiled(*self.values, *self.parts(direction)))
