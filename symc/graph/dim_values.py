"""The values of dims for values of their symbols."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sympy

from symc.graph.dim_parts import Dim, quotient, show, symbols_of

__all__ = ["COMPILED", "compile", "evaluate"]


def evaluate(dim: Dim, values: Mapping[Any, int]) -> int:
    """Evaluate ``dim`` for these values of its symbols."""
    if type(dim) is int:
        return dim
    direct = values.get(dim)
    if direct is not None:
        return int(direct)
    symbols, function = _single(dim)
    missing = [s for s in symbols if s not in values]
    if missing:
        raise ValueError(f"the value of {show(missing[0])} is not known, which the dim {show(dim)} depends on")
    return function([values[s] for s in symbols])[0]


@lru_cache(maxsize=65536)
def _single(dim: Any) -> tuple[tuple[Any, ...], Callable[[Sequence[int]], tuple[int, ...]]]:
    symbols = tuple(symbols_of(dim))
    return symbols, compile((dim,), symbols)


COMPILED = "<dims>"
"""The name of the file, in tracebacks, of what ``compile`` makes."""


def compile(exprs: Sequence[Dim], symbols: Sequence[Any]) -> Callable[[Sequence[int]], tuple[int, ...]]:
    """Compile a function from the values of ``symbols``, in order, to the values of all of ``exprs``.

    It is plain Python on integers; common subexpressions are computed once.

    Raises
    ------
    ValueError
        If an expression depends on a symbol that is not among ``symbols``.

    Examples
    --------
    >>> n = new_symbol("n")
    >>> compile((add(n, 1), 7, floordiv(n, 2)), (n,))([5])
    (6, 7, 2)
    """
    distinct: dict[Any, int] = {}
    places = [distinct.setdefault(e, len(distinct)) for e in exprs]
    body, names = _statements(distinct, symbols)
    text = "\n ".join(["def function(v):", *body, f"return ({''.join(name + ', ' for name in names)})"])
    scope: dict[str, Any] = {}
    exec(builtins.compile(text, COMPILED, "exec"), scope)
    function = scope["function"]
    if len(distinct) == len(places):
        return function
    if len(places) == 1:
        return function
    gather = itemgetter(*places)
    return lambda values: gather(function(values))


def _statements(exprs: Iterable[Dim], symbols: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Generate flat assignments that compute every subexpression of ``exprs`` once, and the names of ``exprs``."""
    position = {s: k for k, s in enumerate(symbols)}
    names: dict[Any, str] = {}
    lines: list[str] = []
    stack = [e for e in exprs if type(e) is not int][::-1]
    while stack:
        e = stack[-1]
        if e in names:
            stack.pop()
        elif e.is_Integer:
            names[stack.pop()] = f"({int(e)})"
        elif e.is_Symbol:
            if e not in position:
                raise ValueError(f"the value of {show(e)} is not known, on which a dim depends")
            names[stack.pop()] = f"a{position[e]}"
            lines.append(f"a{position[e]} = int(v[{position[e]}])")
        else:
            form, parts = _operation(e)
            waiting = [p for p in parts if p not in names]
            if waiting:
                stack.extend(waiting)
                continue
            lines.append(f"t{len(names)} = {form([names[p] for p in parts])}")
            names[stack.pop()] = f"t{len(names)}"
    return lines, [f"({e})" if type(e) is int else names[e] for e in exprs]


def _operation(e: Any) -> tuple[Callable[[list[str]], str], Sequence[Any]]:
    """Return how to write ``e`` in Python, and its operands."""
    if e.is_Add:
        return " + ".join, e.args
    if e.is_Mul:
        top, bottom = quotient(e)
        return (" * ".join, e.args) if bottom == 1 else ("//".join, (top, bottom))
    if e.is_Pow and e.exp.is_Integer and e.exp > 0:
        return " ** ".join, e.args
    if isinstance(e, sympy.floor):
        return "//".join, quotient(e.args[0])
    if isinstance(e, sympy.ceiling):
        return (lambda names: f"-(-{names[0]}//{names[1]})"), quotient(e.args[0])
    if isinstance(e, sympy.Mod):
        return " % ".join, e.args
    if isinstance(e, (sympy.Max, sympy.Min)):
        name = "max" if isinstance(e, sympy.Max) else "min"
        return (lambda names: f"{name}({', '.join(names)})"), e.args
    if isinstance(e, sympy.Abs):
        return (lambda names: f"abs({names[0]})"), e.args
    raise TypeError(f"a dim of a form that has no code: {e!r}")
