"""``lambdify``: expressions of sympy as compiled functions of arrays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from symc.errors import located
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import as_dtype
from symc.interop.from_sympy import free_names, from_sympy
from symc.runtime.function import Function, function
from symc.tensor.basic import as_tensor
from symc.tensor.constructors import tensor
from symc.tensor.indices.indexing import subtensor

__all__ = ["Lambdified", "lambdify"]

_ATOMS = (sympy.Symbol, sympy.MatrixSymbol, sympy.IndexedBase, sympy.DeferredVector, AppliedUndef, sympy.Indexed)


def lambdify(
    args: Any,
    expr: Any,
    modules: Any = None,
    dtype: str | None = None,
    device: str | None = None,
    mode: str | None = None,
    cse: bool = False,
) -> Lambdified:
    """Compile an expression of sympy to a function of numbers and arrays.

    Parameters
    ----------
    args : symbol, or nested lists of symbols
        The arguments in the order of a call, as in ``sympy.lambdify``: symbols, ``MatrixSymbol``, ``IndexedBase``,
        matrices of symbols (given as arrays), nested lists of these.
    expr : sympy object, number, or list, tuple or dict of these
        See ``symc.from_sympy``. ``lambdify(expr, args)`` is accepted as well where only that order makes sense:
        ``args`` lists symbols and covers those of ``expr``, but not the other way round.
    modules : mapping, or list that contains mappings, optional
        Python functions of variables by class of sympy or by name, as ``functions`` of ``symc.from_sympy``. Names of
        modules, such as ``"numpy"``, have no effect.
    dtype : str, optional
        The dtype to which all arguments are converted. By default arrays keep theirs, and Python's numbers adapt to the
        arrays beside them, or are float64 and int64.
    device, mode : str, optional
        As in ``symc.function``.
    cse : bool
        Has no effect: equal subexpressions are always computed once. Accepted as in ``sympy.lambdify``.

    Returns
    -------
    Lambdified
        A function. Each combination of dtypes and numbers of axes is compiled at the first call with it. Arguments
        broadcast as in NumPy. Called with symbolic variables, it returns an expression, which can be differentiated.

    Examples
    --------
    >>> import numpy as np, sympy, symc, symc.tensor as T
    >>> a, b = sympy.symbols("a b")
    >>> f = symc.lambdify((a, b), sympy.exp(a) * b)
    >>> f(np.zeros(2), [1, 2])
    array([1., 2.])
    >>> x = T.dscalar("x")
    >>> symc.grad(f(x, 2.0), x).eval({x: 0.0})
    array(2.)
    """
    args, expr = _in_order(args, expr)
    return Lambdified(args, expr, _functions(modules), dtype, device, mode)


def _in_order(args: Any, expr: Any) -> tuple[Any, Any]:
    """Exchange the two if only the other order makes sense."""
    direct, turned = _covers(args, expr), _covers(expr, args)
    if not direct and turned:
        return expr, args
    if not direct and not _is_arguments(args):
        text = f"lambdify: the arguments must be symbols, or lists of symbols, got {args!r}"
        raise TypeError(located(text, [], "write lambdify((x, y), expression)"))
    return args, expr


def _covers(args: Any, expr: Any) -> bool:
    if not _is_arguments(args):
        return False
    given: set[Any] = set()
    for leaf in _leaves(args):
        given |= {leaf} | getattr(leaf, "free_symbols", set())
    return all(free_names(sympy.sympify(e)) <= given for e in _expressions(expr))


def _is_arguments(args: Any) -> bool:
    return all(isinstance(leaf, _ATOMS) for leaf in _leaves(args))


def _leaves(args: Any) -> Iterator[Any]:
    if isinstance(args, (list, tuple, sympy.Tuple)):
        for a in args:
            yield from _leaves(a)
    elif isinstance(args, (sympy.MatrixBase, sympy.NDimArray)):
        yield from sympy.flatten(args)
    elif isinstance(args, str):
        yield sympy.Symbol(args)
    else:
        yield args


def _expressions(expr: Any) -> Iterator[Any]:
    if isinstance(expr, (dict, sympy.Dict)):
        expr = list(expr.values())
    if isinstance(expr, (list, tuple, sympy.Tuple)):
        for e in expr:
            yield from _expressions(e)
    else:
        yield expr


def _functions(modules: Any) -> dict[Any, Callable[..., Any]]:
    found: dict[Any, Callable[..., Any]] = {}
    for entry in reversed(modules if isinstance(modules, (list, tuple)) else [modules]):
        if isinstance(entry, Mapping):
            found.update(entry)
        elif entry is not None and not isinstance(entry, str):
            raise TypeError(located(f"lambdify: modules must be names or mappings of functions, got {entry!r}"))
    return found


class Lambdified:
    """A compiled expression of sympy; see ``symc.lambdify``.

    Attributes
    ----------
    args
        The arguments, nested as they were given.
    expr
        The expression of sympy.
    """

    def __init__(
        self,
        args: Any,
        expr: Any,
        functions: Mapping[Any, Callable[..., Any]],
        dtype: str | None,
        device: str | None,
        mode: str | None,
    ) -> None:
        self.args = args if isinstance(args, (list, tuple, sympy.Tuple)) else (args,)
        self.expr = expr
        self.functions = functions
        self.dtype = None if dtype is None else as_dtype(dtype)
        self.device, self.mode = device, mode
        self._names = [getattr(a, "name", str(a)) for a in self.args]
        self._compiled: dict[Any, tuple[Function, Any]] = {}
        self._lock = threading.Lock()
        self.__name__ = "lambdified"
        self.__doc__ = f"{', '.join(map(str, self.args))} -> {expr}"

    def __repr__(self) -> str:
        return f"<symc.lambdify: {self.__doc__}>"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_compiled", "_lock")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _compiled={}, _lock=threading.Lock())

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Evaluate the expression: numbers and arrays give arrays, symbolic variables give an expression."""
        symbols, values = self._flat(*args, **named)
        if any(isinstance(v, Variable) for v in values):
            return self._expression(dict(zip(symbols, map(as_tensor, values))))
        arrays = self._arrays(symbols, values)
        compiled, like = self._function(symbols, arrays)
        return _nested(like, iter(compiled(*arrays)))

    def compiled(self, *args: Any, **named: Any) -> Function:
        """The compiled function that a call with these arguments uses."""
        symbols, values = self._flat(*args, **named)
        return self._function(symbols, self._arrays(symbols, values))[0]

    def _expression(self, table: Mapping[Any, Variable]) -> Any:
        return from_sympy(self.expr, table, self.functions, self.dtype)

    # --- arguments --------------------------------------------------------------------------------------------------

    def _flat(self, *args: Any, **named: Any) -> tuple[list[Any], list[Any]]:
        """The symbols, and the value of each."""
        count = len(self.args)
        given = dict(zip(self._names, args))
        twice = sorted(given.keys() & named.keys())
        unknown = sorted(named.keys() - set(self._names))
        given |= named
        missing = [n for n in self._names if n not in given]
        if len(args) > count or twice or unknown or missing:
            wrong = missing or unknown or twice
            text = f"{self!r}: takes {count} arguments ({', '.join(self._names)}), got {len(args)} and {sorted(named)}"
            raise TypeError(located(f"{text}{'; look at ' + ', '.join(wrong) if wrong else ''}"))
        pairs = [p for a, n in zip(self.args, self._names) for p in self._pairs(a, given[n])]
        return [s for s, _ in pairs], [v for _, v in pairs]

    def _pairs(self, spec: Any, value: Any) -> Iterator[tuple[Any, Any]]:
        if isinstance(spec, (sympy.MatrixBase, sympy.NDimArray)):
            yield from _entries(spec, value)
        elif isinstance(spec, (list, tuple, sympy.Tuple)):
            if len(value) != len(spec):
                raise TypeError(located(f"{self!r}: expected {len(spec)} values for {spec}, got {len(value)}"))
            for part, v in zip(spec, value):
                yield from self._pairs(part, v)
        else:
            yield (sympy.Symbol(spec) if isinstance(spec, str) else spec), value

    def _arrays(self, symbols: Sequence[Any], values: Sequence[Any]) -> list[np.ndarray]:
        """The values as arrays; those of symbols that stand for integers stay integers."""
        counts = [bool(getattr(s, "is_integer", False)) for s in symbols]
        if self.dtype is not None:
            return [np.asarray(v) if c else np.asarray(v, self.dtype) for v, c in zip(values, counts)]
        arrays = [np.asarray(v) for v in values]
        typed = [a for a, v in zip(arrays, values) if not isinstance(v, (bool, int, float))]
        if typed:
            met = np.result_type(*typed)
            for k, v in enumerate(values):
                if isinstance(v, (bool, int, float)) and not counts[k]:
                    arrays[k] = arrays[k].astype(_adapted(arrays[k].dtype, met))
        return arrays

    # --- compilation ------------------------------------------------------------------------------------------------

    def _function(self, symbols: Sequence[Any], arrays: Sequence[np.ndarray]) -> tuple[Function, Any]:
        key = tuple((a.dtype.name, tuple(n == 1 for n in a.shape)) for a in arrays)
        found = self._compiled.get(key)
        if found is None:
            with self._lock:
                found = self._compiled.get(key)
                if found is None:
                    found = self._compiled[key] = self._build(symbols, key)
        return found

    def _build(self, symbols: Sequence[Any], key: Sequence[tuple[str, tuple[bool, ...]]]) -> tuple[Function, Any]:
        inputs = [
            tensor(dtype, shape=[1 if one else None for one in ones], name=str(getattr(s, "name", s)))
            for s, (dtype, ones) in zip(symbols, key)
        ]
        floats = [dtype for dtype, _ in key if dtype.startswith("float")]
        wide = self.dtype or ("float64" if not floats or "float64" in floats else floats[0])
        made = from_sympy(self.expr, dict(zip(symbols, inputs)), self.functions, wide)
        outputs = list(_variables(made))
        compiled = function(inputs, outputs, device=self.device, mode=self.mode, on_unused_input="ignore")
        return compiled, made


def _entries(spec: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """The symbols of a matrix and the entries of the value given for it."""
    symbols = sympy.flatten(spec)
    shape = tuple(spec.shape)
    if isinstance(value, Variable):
        where = np.ndindex(*shape) if value.ndim >= len(shape) else ((k,) for k in range(len(symbols)))
        yield from ((s, subtensor(value, (Ellipsis, *at))) for s, at in zip(symbols, where))
        return
    array = np.asarray(value)
    if array.shape[max(0, array.ndim - len(shape)) :] == shape:
        yield from ((s, array[(Ellipsis, *at)]) for s, at in zip(symbols, np.ndindex(*shape)))
    elif array.shape[:1] == (len(symbols),) and 1 in shape:
        yield from zip(symbols, array)
    else:
        raise TypeError(located(f"lambdify: expected an array of shape {shape} for {spec}, got {array.shape}"))


def _adapted(number: np.dtype, met: np.dtype) -> np.dtype:
    """The dtype of one of Python's numbers beside arrays of the dtype ``met``, as in NumPy."""
    order = "biufc"
    kind = {"u": "i"}.get(met.kind, met.kind)
    return met if order.index(kind) >= order.index(number.kind) else number


def _variables(made: Any) -> Iterator[Variable]:
    if isinstance(made, dict):
        made = list(made.values())
    if isinstance(made, (list, tuple)):
        for m in made:
            yield from _variables(m)
    else:
        yield made


def _nested(like: Any, found: Iterator[Any]) -> Any:
    """The results, nested as the expressions ``like``."""
    if isinstance(like, dict):
        return {k: _nested(v, found) for k, v in like.items()}
    if isinstance(like, (list, tuple)):
        return type(like)(_nested(v, found) for v in like)
    return next(found)


explain_faults(globals())
