"""``from_sympy``: expressions of sympy as symbolic expressions of symc."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import sympy
from sympy.core.function import AppliedUndef, UndefinedFunction
from sympy.tensor.indexed import Idx

from symc.config import config
from symc.errors import MissingInputError, located
from symc.graph import Variable
from symc.graph.argument_faults import explain_faults
from symc.graph.dtypes import as_dtype, is_complex, is_float, promote
from symc.interop import sympy_matrices as matrices
from symc.interop.sympy_rules import RULES
from symc.interop.sympy_scalars import COMPARISONS, FUNCTIONS
from symc.tensor import elementwise as ew
from symc.tensor.basic import as_tensor
from symc.tensor.indices import indexing
from symc.tensor.symbolic_dims import shape_i

__all__ = ["Conversion", "free_names", "from_sympy"]

Value = Any
"""A variable, or a Python number, which adapts to the dtypes beside it."""


def from_sympy(
    expr: Any,
    variables: Mapping[Any, Any] | Iterable[Variable] | None = None,
    functions: Mapping[Any, Callable[..., Any]] | None = None,
    dtype: str | None = None,
) -> Any:
    """Convert an expression of sympy to an expression of symc.

    Parameters
    ----------
    expr : sympy object, number, or list, tuple or dict of these
        Scalars, booleans, matrices, matrix expressions, arrays. Derivatives, integrals and limits are evaluated by
        sympy first.
    variables : mapping, or iterable of Variable
        What the symbols stand for: a mapping from symbols (or their names) to variables, arrays or numbers. The keys
        may also be a ``MatrixSymbol`` (for a matrix), an ``IndexedBase`` (for a tensor, whose elements are read), an
        application such as ``f(t)``, or an undefined function (for a Python function of variables). An iterable of
        variables is matched by name.
    functions : mapping, optional
        Python functions of variables for classes of sympy (or their names) that have no counterpart in symc, or in
        place of these.
    dtype : str, optional
        The float dtype of what has none, such as the quotient of integers: by default that of the variables, or floatX
        if none of them is a float.

    Returns
    -------
    Variable, or list, tuple or dict of Variable

    Raises
    ------
    TypeError
        If a node of the expression has no counterpart; the message names it.
    MissingInputError
        If ``variables`` lacks a symbol.

    Notes
    -----
    A scalar symbol may stand for a tensor: functions apply element by element and shapes broadcast. A matrix whose
    entries are tensors of shape ``S`` has the shape ``(*S, rows, columns)``. Functions of real variables are real: the
    result is NaN where sympy's value is complex. Complex numbers come from complex variables and from ``sympy.I``.

    Sums and products are computed by ``arange`` and a reduction. Their limits may be expressions; a sum whose upper
    limit is below the lower is empty, unless both are numbers: then sympy's convention holds.

    Examples
    --------
    >>> import sympy, symc, symc.tensor as T
    >>> a, b = sympy.symbols("a b")
    >>> x, y = T.dvectors("x", "y")
    >>> z = symc.from_sympy(sympy.diff(sympy.sin(a * b), a), {a: x, b: y})
    >>> symc.function([x, y], z)([0.0, 0.0], [1.0, 2.0])
    array([1., 2.])
    """
    table = _table(variables)
    if dtype is None:
        found = [v.dtype for v in table.values() if isinstance(v, Variable) and is_float(v.dtype)]
        dtype = promote(found) if found else config.floatX
    return _structure(expr, Conversion(table, dict(functions or {}), as_dtype(dtype)))


def _structure(expr: Any, convert: Conversion) -> Any:
    if isinstance(expr, (list, tuple)):
        return type(expr)(_structure(e, convert) for e in expr)
    if isinstance(expr, (dict, sympy.Dict)):
        return {k: _structure(e, convert) for k, e in expr.items()}
    if isinstance(expr, sympy.Tuple):
        return tuple(_structure(e, convert) for e in expr)
    convert.require(sympy.sympify(expr))
    return convert.typed([convert(sympy.sympify(expr))])[0]


def _table(variables: Any) -> dict[Any, Any]:
    """The values of symbols, by symbol or by name."""
    if variables is None:
        return {}
    if isinstance(variables, Variable):
        variables = [variables]
    if not isinstance(variables, Mapping):
        listed = list(variables)
        for v in listed:
            if not isinstance(v, Variable) or v.name is None:
                repair = "give a mapping from symbols to variables"
                raise TypeError(located(f"from_sympy: expected variables with names, got {v!r}", [], repair))
        variables = {v.name: v for v in listed}
    return {k: v if _is_function(k, v) else as_tensor(v) for k, v in variables.items()}


def _is_function(key: Any, value: Any) -> bool:
    return callable(value) and not isinstance(value, Variable) and (isinstance(key, (str, UndefinedFunction)))


def free_names(expr: Any) -> set[Any]:
    """The symbols, matrices and tensors that an expression reads."""
    inner: set[Any] = set()
    for node in expr.atoms(sympy.MatrixSymbol, sympy.IndexedBase):
        inner |= {node} | {s for s in node.free_symbols if isinstance(node, sympy.IndexedBase)}
    plain = {s for s in expr.free_symbols if not isinstance(s, (sympy.Indexed, sympy.MatrixSymbol))}
    labels = {s.label for s in inner if isinstance(s, sympy.IndexedBase)}
    bases = {s for s in inner if not isinstance(s, sympy.Symbol)}
    return {s for s in plain if s not in labels} | bases


class Conversion:
    """A conversion: the values of symbols, and of the nodes converted so far."""

    def __init__(self, table: Mapping[Any, Any], functions: Mapping[Any, Callable[..., Any]], dtype: str) -> None:
        self.table = dict(table)
        self.functions = functions
        self.dtype = dtype
        self.found: dict[Any, Value] = {}
        self._infer_lengths()

    def _infer_lengths(self) -> None:
        """Symbols in the shapes of matrices and tensors stand for the lengths of the variables given for them."""
        for key, value in list(self.table.items()):
            shape = getattr(key, "shape", None)
            if isinstance(key, (sympy.MatrixSymbol, sympy.IndexedBase)) and shape:
                value = self.table[key] = matrices.as_matrix(key, value)
                for back, n in enumerate(reversed(tuple(shape))):
                    if isinstance(n, sympy.Symbol) and n not in self.table and n.name not in self.table:
                        self.table[n] = shape_i(value, value.ndim - 1 - back)

    def within(self, extra: Mapping[Any, Value]) -> Conversion:
        """A conversion in which further symbols have values."""
        return Conversion({**self.table, **extra}, self.functions, self.dtype)

    # --- names ------------------------------------------------------------------------------------------------------

    def lookup(self, node: Any) -> Value | None:
        """The value given for a symbol, or for any other node; None if there is none."""
        if node in self.table:
            return self.table[node]
        if isinstance(node, (sympy.Symbol, sympy.MatrixSymbol, sympy.IndexedBase, sympy.DeferredVector)):
            name = str(getattr(node, "name", node))
            if name in self.table:
                value = self.table[name]
                return matrices.as_matrix(node, value) if isinstance(node, sympy.MatrixSymbol) else value
            entry = re.fullmatch(r"(.*)\[(\d+)\]", name)
            if entry:  # an element of a DeferredVector
                whole = self.table.get(entry[1], next((v for k, v in self.table.items() if str(k) == entry[1]), None))
                return None if whole is None else indexing.subtensor(whole, int(entry[2]))
        if isinstance(node, Idx):
            return self.lookup(node.label) if isinstance(node.label, sympy.Symbol) else int(node.label)
        return None

    def require(self, expr: Any) -> None:
        """Raise an error that names every symbol without a value."""
        covered = {
            s for k in self.table if isinstance(k, sympy.Basic) and not isinstance(k, sympy.Symbol) for s in k.atoms()
        }
        missing = [s for s in free_names(expr) if self.lookup(s) is None and s not in covered]
        if missing:
            raise self.missing(missing)

    def missing(self, symbols: Iterable[Any]) -> MissingInputError:
        """Build the error for symbols without a value."""
        names = ", ".join(sorted(map(str, symbols)))
        known = ", ".join(sorted(map(str, self.table))) or "nothing"
        text = f"from_sympy: no variable is given for {names} (given: {known})"
        return MissingInputError(located(text, [], "add it to the mapping from symbols to variables"))

    # --- the traversal ------------------------------------------------------------------------------------------------

    def __call__(self, expr: Any) -> Value:
        stack_of_nodes = [expr]
        while stack_of_nodes:
            node = stack_of_nodes[-1]
            if node in self.found:
                stack_of_nodes.pop()
                continue
            parts, build = self._rule(node)
            waiting = [p for p in parts if p not in self.found]
            if waiting:
                stack_of_nodes.extend(reversed(waiting))
                continue
            self.found[node] = build(*[self.found[p] for p in parts])
            stack_of_nodes.pop()
        return self.found[expr]

    def _rule(self, node: Any) -> tuple[Sequence[Any], Callable[..., Value]]:
        """The nodes that must be converted before ``node``, and the function of their values."""
        known = self.lookup(node)
        if known is not None:
            return (), lambda: known
        own = self._own_function(node)
        if own is not None:
            return node.args, own
        number = _value(node)
        if number is not None:
            return (), lambda: number
        for kind in type(node).__mro__:
            if kind in COMPARISONS:
                return node.args, COMPARISONS[kind]
            if kind in FUNCTIONS:
                return node.args, partial(self._call, FUNCTIONS[kind], node)
            if kind in RULES:
                return RULES[kind](self, node)
            if kind in matrices.RULES:
                return matrices.RULES[kind](self, node)
        return self._evaluated(node)

    def _own_function(self, node: Any) -> Callable[..., Value] | None:
        """The function that the user gave for a class or an undefined function, if any."""
        kind = type(node)
        for key in (kind, kind.__name__):
            if key in self.functions:
                return self.functions[key]
        if isinstance(node, AppliedUndef):
            for key in (node.func, node.func.__name__):
                if callable(self.table.get(key)) and not isinstance(self.table.get(key), Variable):
                    return self.table[key]
            implementation = getattr(node.func, "_imp_", None)
            if implementation is not None:
                return implementation
        return None

    def _call(self, function: Callable[..., Value], node: Any, *parts: Value) -> Value:
        return function(*self._floats(node, parts))

    def _floats(self, node: Any, parts: Sequence[Value]) -> Sequence[Value]:
        """Convert integers to the float dtype for functions that compute in floats, and numbers to that beside them."""
        if isinstance(node, _INTEGER_VALUED) or isinstance(node, sympy.logic.boolalg.Boolean):
            return parts
        real = [self.real(p) for p in parts]
        dtypes = [p.dtype for p in real if isinstance(p, Variable)]
        if not dtypes or isinstance(node, sympy.polygamma):
            return real
        return [p if isinstance(p, Variable) else ew.cast(as_tensor(p), promote(dtypes)) for p in real]

    def real(self, v: Value) -> Value:
        """Convert an integer or bool variable to the float dtype."""
        return (
            ew.cast(v, self.dtype) if isinstance(v, Variable) and not (is_float(v.dtype) or is_complex(v.dtype)) else v
        )

    def alike(self, values: Sequence[Value]) -> list[Value]:
        """Convert integer variables to the float dtype if they meet a float that is a number."""
        numbers = any(isinstance(v, float) for v in values)
        floats = any(isinstance(v, Variable) and is_float(v.dtype) for v in values)
        return [self.real(v) for v in values] if numbers and not floats else list(values)

    def typed(self, values: Sequence[Value]) -> list[Variable]:
        """Convert to variables; floats without a variable beside them have the float dtype."""
        made = [as_tensor(v) for v in self.alike(values)]
        if any(isinstance(v, Variable) for v in values):
            return made
        return [ew.cast(m, self.dtype) if is_float(m.dtype) else m for m in made]

    def _evaluated(self, node: Any) -> tuple[Sequence[Any], Callable[..., Value]]:
        """Convert what sympy can express by other functions."""
        forms: list[Callable[[], Any]] = [node.doit] if hasattr(node, "doit") else []
        if isinstance(node, sympy.Function) and not isinstance(node, AppliedUndef):
            forms += [lambda: node.rewrite(sympy.gamma), lambda: node.rewrite(sympy.Piecewise)]
        for form in forms:
            other = form()
            if other != node and not other.has(type(node)):
                return (other,), lambda value: value
        shown = str(node) if len(str(node)) < 80 else str(node)[:77] + "..."
        text = f"from_sympy: {type(node).__name__} has no counterpart in symc, in {shown}"
        repair = f"give a function of variables: functions={{{type(node).__name__!r}: ...}}"
        raise TypeError(located(text, [v for v in self.table.values() if isinstance(v, Variable)][:4], repair))


def _value(node: Any) -> int | float | complex | None:
    """The value of an expression without symbols, with all digits; None for others."""
    if not isinstance(node, sympy.Expr) or node.is_Atom or not getattr(node, "is_number", False) or node.free_symbols:
        return None
    found = node.evalf(20)
    if found.is_Number and found is not sympy.nan:
        return int(node) if node.is_Integer else float(found)
    real, imaginary = found.as_real_imag()
    return complex(found) if real.is_Float and imaginary.is_Float else None


_INTEGER_VALUED = (sympy.Abs, sympy.sign, sympy.Mod, sympy.Max, sympy.Min, sympy.KroneckerDelta, sympy.re, sympy.im,
                   sympy.conjugate, sympy.floor, sympy.ceiling)  # fmt: skip
"""Functions that keep integers."""


explain_faults(globals())
