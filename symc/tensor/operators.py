"""Python's operators and NumPy's methods on variables: one table, attached once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from symc.errors import located
from symc.graph import Constant, Variable
from symc.tensor import axes, creation, indexing, joining, lengths, linalg, reduce, shaping
from symc.tensor import elementwise as ew

__all__ = ["METHODS", "attach"]


def _floordiv(a: Any, b: Any) -> Variable:
    return ew.floor_div(a, b)


def _truth(self: Variable) -> bool:
    if isinstance(self, Constant) and self.data.size == 1:
        return bool(self.data)
    repair = "use switch(condition, a, b) for a choice, & | ~ for logic, and 'is' to compare variables themselves"
    raise TypeError(located("a symbolic variable has no truth value while the graph is built", [self], repair))


def _number(self: Variable, kind: type = float) -> Any:
    if isinstance(self, Constant) and self.data.size == 1:
        return kind(self.data.reshape(())[()])
    repair = "compile a function and call it, or use x.eval({...})"
    raise TypeError(located(f"a symbolic variable is no {kind.__name__} while the graph is built", [self], repair))


def _array(self: Variable, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    if isinstance(self, Constant):
        return self.data if dtype is None else self.data.astype(dtype)
    repair = "use symc.tensor's functions on it, or get its value with x.eval({...})"
    raise TypeError(located("a symbolic variable is no NumPy array", [self], repair))


def _length(self: Variable) -> int:
    known = self.type.shape[0] if self.ndim else None
    if type(known) is int:
        return known
    raise TypeError(
        located("the length of a symbolic tensor is not known while the graph is built", [self], "use x.shape[0]")
    )


def _iterate(self: Variable) -> Iterator[Variable]:
    if self.ndim == 0 or type(self.type.shape[0]) is not int:
        raise TypeError(
            located(
                "a symbolic tensor of unknown length cannot be iterated over", [self], "index it, or declare its shape"
            )
        )
    return (self[k] for k in range(self.type.shape[0]))


def _contains(self: Variable, item: Any) -> bool:
    raise TypeError(located("'in' is not defined for symbolic variables", [self], "use any(eq(x, item))"))


def _evaluate(self: Variable, inputs_to_values: dict[Any, Any] | None = None) -> Any:
    """The value of the variable for values given by variable or by name; compiled once for each set of inputs."""
    from symc.function import function

    given = inputs_to_values or {}
    if not isinstance(given, dict):
        raise TypeError(f"eval: expected a dict from inputs to values, got {given!r}")
    from symc.graph import graph_inputs, is_input

    by_name = {v.name: v for v in graph_inputs([self]) if is_input(v) and v.name}
    resolved = {}
    for key, value in given.items():
        v = by_name.get(key) if isinstance(key, str) else key
        if v is None:
            raise KeyError(f"eval: no input is called {key!r}; inputs are {sorted(by_name)}")
        resolved[v] = value
    key = tuple(sorted(v.serial for v in resolved))
    cache = self.__dict__.setdefault("_compiled", {})
    if key not in cache:
        cache[key] = function(sorted(resolved, key=lambda v: v.serial), self, name="eval", on_unused_input="ignore")
    return cache[key](*[resolved[v] for v in sorted(resolved, key=lambda v: v.serial)])


def _norm(x: Variable, L: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The L-norm over ``axis``: the L-th root of the sum of L-th powers of absolute values.

    0 counts what is not zero, infinity takes the largest.
    """
    size = ew.abs_(x)
    if L == 0:
        return reduce.sum(ew.neq(x, 0), axis=axis, keepdims=keepdims)
    if L == float("inf"):
        return reduce.max(size, axis=axis, keepdims=keepdims)
    if L == 1:
        return reduce.sum(size, axis=axis, keepdims=keepdims)
    if L == 2:
        return ew.sqrt(reduce.sum(ew.sqr(x), axis=axis, keepdims=keepdims))
    return reduce.sum(size**L, axis=axis, keepdims=keepdims) ** (1.0 / L)


def _transpose(x: Variable, *order: Any) -> Variable:
    return shaping.transpose(
        x, order[0] if len(order) == 1 and (order[0] is None or isinstance(order[0], (tuple, list))) else order or None
    )


def _reshape(x: Variable, *shape: Any, ndim: int | None = None) -> Variable:
    return axes.reshape(x, shape[0] if len(shape) == 1 else shape, ndim)


def _power(x: Any, y: Any) -> Variable:
    return ew.power(x, y)


def _round(x: Variable, mode: str | None = None) -> Variable:
    """Rounded half to even (the default) or, with ``mode="half_away_from_zero"``, away from zero."""
    return ew.round_half_away_from_zero(x) if mode == "half_away_from_zero" else ew.round_half_to_even(x)


def _reflected(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _refuse_item_assignment(self: Variable, key: Any, value: Any) -> None:
    raise TypeError(
        located(
            "symbolic variables do not change", [self], "x = set_subtensor(x[index], value) gives the changed tensor"
        )
    )


METHODS: dict[str, Any] = {
    "__add__": lambda a, b: ew.add(a, b), "__radd__": _reflected(ew.add), "__sub__": lambda a, b: ew.sub(a, b), "__rsub__": _reflected(ew.sub),
    "__mul__": lambda a, b: ew.mul(a, b), "__rmul__": _reflected(ew.mul), "__truediv__": lambda a, b: ew.true_div(a, b),
    "__rtruediv__": _reflected(ew.true_div), "__floordiv__": _floordiv, "__rfloordiv__": _reflected(_floordiv),
    "__mod__": lambda a, b: ew.mod(a, b), "__rmod__": _reflected(ew.mod), "__pow__": _power, "__rpow__": _reflected(_power),
    "__divmod__": lambda a, b: (ew.floor_div(a, b), ew.mod(a, b)), "__matmul__": linalg.matmul, "__rmatmul__": _reflected(linalg.matmul),
    "__neg__": lambda a: ew.neg(a), "__pos__": lambda a: a, "__abs__": lambda a: ew.abs_(a), "__invert__": lambda a: ew.invert(a),
    "__lt__": lambda a, b: ew.lt(a, b), "__le__": lambda a, b: ew.le(a, b), "__gt__": lambda a, b: ew.gt(a, b), "__ge__": lambda a, b: ew.ge(a, b),
    "__and__": lambda a, b: ew.and_(a, b), "__rand__": _reflected(ew.and_), "__or__": lambda a, b: ew.or_(a, b), "__ror__": _reflected(ew.or_),
    "__xor__": lambda a, b: ew.xor(a, b), "__rxor__": _reflected(ew.xor),
    "__bool__": _truth, "__float__": _number, "__int__": lambda x: _number(x, int), "__array__": _array, "__len__": _length, "__iter__": _iterate, "__contains__": _contains,
    "__getitem__": indexing.subtensor, "__setitem__": _refuse_item_assignment,
    "shape": property(lengths.shape), "size": property(lambda x: shaping.size(x)), "T": property(lambda x: shaping.transpose(x)),
    "real": property(lambda x: x), "imag": property(lambda x: creation.zeros_like(x)),
    "dimshuffle": axes.dimshuffle, "reshape": _reshape, "transpose": _transpose, "flatten": shaping.flatten,
    "ravel": lambda x: shaping.flatten(x), "squeeze": shaping.squeeze, "swapaxes": shaping.swapaxes, "dot": linalg.dot,
    "sum": reduce.sum, "prod": reduce.prod, "mean": reduce.mean, "var": reduce.var, "std": reduce.std, "max": reduce.max, "min": reduce.min,
    "argmax": reduce.argmax, "argmin": reduce.argmin, "any": reduce.any, "all": reduce.all, "ptp": reduce.ptp, "norm": _norm,
    "astype": ew.cast, "clip": lambda x, a_min, a_max: ew.clip(x, a_min, a_max), "round": _round, "copy": lambda x, name=None: x,
    "conj": lambda x: x, "fill": lambda x, value: creation.fill(x, value), "take": indexing.take, "repeat": joining.repeat,
    "eval": _evaluate, "trunc": lambda x: ew.trunc(x), "ceil": lambda x: ew.ceil(x), "floor": lambda x: ew.floor(x),
}  # fmt: skip


def attach() -> None:
    """Put the table's entries on ``Variable``."""
    for name, function in METHODS.items():
        setattr(Variable, name, function)
    # Comparison builds graphs, but variables stay usable as keys: == and hash keep their meaning of identity.
    for check in ("__eq__", "__hash__"):
        assert getattr(Variable, check) is getattr(object, check)
