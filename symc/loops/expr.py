"""Scalar expressions of the loop IR: the computation of one element.

An ``Expr`` is a small immutable tree over names and constants. Bodies of elementwise ops are functions from Expr to
Expr; indices are Exprs of dtype ``int64``. The constructors fold constants and unit elements, so that index arithmetic
stays small without a separate simplifier.

The functions themselves are listed in ``symc.loops.functions``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symc.graph.dtypes import is_float
from symc.loops.functions import FUNCTIONS

__all__ = [
    "Expr", "call", "cast", "const", "exceeds", "index", "logical_and", "maximum", "minimum", "polynomial", "select",
    "var",
]  # fmt: skip


class Expr:
    """A scalar expression.

    ``op`` is ``"const"`` (``value`` holds the number), ``"var"`` (``value`` holds the name), ``"cast"`` or a name in
    ``FUNCTIONS``.
    """

    __slots__ = ("_hash", "_names", "args", "dtype", "op", "value")

    def __init__(self, op: str, args: tuple[Expr, ...], dtype: str, value: Any = None) -> None:
        self.op = op
        self.args = args
        self.dtype = dtype
        self.value = value
        self._hash = hash((op, args, dtype, value))
        self._names: frozenset[str] | None = None  # see names_in

    def __hash__(self) -> int:
        return self._hash

    def same(self, other: Expr) -> bool:
        """Structural equality (``==`` builds a comparison instead)."""
        return self is other or (
            self._hash == other._hash
            and self.op == other.op
            and self.dtype == other.dtype
            and self.value == other.value
            and len(self.args) == len(other.args)
            and all(a.same(b) for a, b in zip(self.args, other.args))
        )

    def __repr__(self) -> str:
        if self.op in ("const", "var"):
            return str(self.value)
        if self.op in _INFIX:
            return f"({self.args[0]!r} {_INFIX[self.op]} {self.args[1]!r})"
        name = self.dtype if self.op == "cast" else self.op
        return f"{name}({', '.join(map(repr, self.args))})"

    def __add__(self, other: Any) -> Expr:
        return call("add", self, other)

    def __radd__(self, other: Any) -> Expr:
        return call("add", other, self)

    def __sub__(self, other: Any) -> Expr:
        return call("sub", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return call("sub", other, self)

    def __mul__(self, other: Any) -> Expr:
        return call("mul", self, other)

    def __rmul__(self, other: Any) -> Expr:
        return call("mul", other, self)

    def __truediv__(self, other: Any) -> Expr:
        return call("div", self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return call("div", other, self)

    def __floordiv__(self, other: Any) -> Expr:
        return call("floordiv", self, other)

    def __mod__(self, other: Any) -> Expr:
        return call("mod", self, other)

    def __neg__(self) -> Expr:
        return call("neg", self)

    def __lt__(self, other: Any) -> Expr:
        return call("lt", self, other)

    def __le__(self, other: Any) -> Expr:
        return call("le", self, other)

    def __gt__(self, other: Any) -> Expr:
        return call("gt", self, other)

    def __ge__(self, other: Any) -> Expr:
        return call("ge", self, other)

    def __and__(self, other: Any) -> Expr:
        return call("and", self, other)

    def __or__(self, other: Any) -> Expr:
        return call("or", self, other)

    def __xor__(self, other: Any) -> Expr:
        return call("xor", self, other)

    def __lshift__(self, other: Any) -> Expr:
        return call("shl", self, other)

    def __rshift__(self, other: Any) -> Expr:
        return call("shr", self, other)

    def __invert__(self) -> Expr:
        return call("not", self)

    def __abs__(self) -> Expr:
        return call("abs", self)


_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "lt": "<", "le": "<=", "gt": ">",
    "ge": ">=", "eq": "==", "ne": "!=", "and": "&", "or": "|", "xor": "^", "shl": "<<", "shr": ">>",
}  # fmt: skip


def const(value: Any, dtype: str) -> Expr:
    """A constant of ``dtype``."""
    kind = np.dtype(dtype).kind
    plain: Any = bool(value) if kind == "b" else int(value) if kind in "iu" else float(value)
    return Expr("const", (), dtype, _Float(plain) if kind == "f" else plain)


class _Float(float):
    """A float for constants in programs: -0.0 differs from 0.0, and NaN equals itself."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and self.hex() == other.hex()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.hex())


def var(name: str, dtype: str = "int64") -> Expr:
    """A name: a loop index, a dim or a value loaded before."""
    return Expr("var", (), dtype, name)


def index(value: int | Expr) -> Expr:
    """Convert ``value`` to an index: an integer becomes a constant of dtype int64."""
    return value if isinstance(value, Expr) else Expr("const", (), "int64", int(value))


ZERO = index(0)
ONE = index(1)


def _is(e: Expr, number: int) -> bool:
    return e.op == "const" and e.dtype == "int64" and e.value == number


def call(name: str, *args: Any) -> Expr:
    """Apply a scalar function; plain numbers take the dtype of the first Expr among the arguments.

    Index arithmetic (int64) is folded; float arithmetic is left as written, since it is folded in the graph.
    """
    function = FUNCTIONS[name]
    if len(args) != function.arity:
        raise TypeError(f"scalar function {name} takes {function.arity} arguments, got {len(args)}")
    at = 1 if name == "select" else 0
    lead = next((a for a in args[at:] if isinstance(a, Expr)), None)
    if lead is None:
        raise TypeError(f"scalar function {name} needs at least one Expr among its arguments, got {args!r}")
    exprs = tuple(a if isinstance(a, Expr) else const(a, lead.dtype) for a in args)
    if lead.dtype == "int64":
        folded = _fold_index(name, exprs)
        if folded is not None:
            return folded
    dtype = {"same": exprs[0].dtype, "second": exprs[1 % len(exprs)].dtype}.get(function.result, function.result)
    return Expr(name, exprs, dtype)


def _fold_index(name: str, args: tuple[Expr, ...]) -> Expr | None:
    if name == "select":
        if args[0].op == "const":
            return args[1] if args[0].value else args[2]
        return args[1] if args[1].same(args[2]) else None
    if len(args) != 2:
        return None
    a, b = args
    if a.op == "const" and b.op == "const":
        x, y = a.value, b.value
        if name in ("floordiv", "mod") and y == 0:
            return None
        whole = {"add": x + y, "sub": x - y, "mul": x * y, "min": min(x, y), "max": max(x, y)}
        if name in whole and -(2**63) <= whole[name] < 2**63:
            return index(whole[name])
        if name in ("floordiv", "mod"):
            return index(x // y if name == "floordiv" else x % y)
        truth = {"lt": x < y, "le": x <= y, "gt": x > y, "ge": x >= y, "eq": x == y, "ne": x != y}
        return const(truth[name], "bool") if name in truth else None
    if name == "add":
        return b if _is(a, 0) else a if _is(b, 0) else None
    if name == "sub":
        return a if _is(b, 0) else ZERO if a.same(b) else None
    if name == "mul":
        if _is(a, 0) or _is(b, 0):
            return ZERO
        return b if _is(a, 1) else a if _is(b, 1) else None
    if name == "floordiv" and _is(b, 1):
        return a
    if name == "mod" and _is(b, 1):
        return ZERO
    return None


def cast(e: Expr, dtype: str) -> Expr:
    """Convert ``e`` to ``dtype``; constants are converted immediately."""
    if e.dtype == dtype:
        return e
    if e.op == "const" and not (is_float(e.dtype) and not is_float(dtype)):
        return const(np.asarray(e.value, e.dtype).astype(dtype)[()], dtype)
    return Expr("cast", (e,), dtype)


def select(condition: Expr, a: Any, b: Any) -> Expr:
    """``a`` where ``condition`` holds, else ``b``; both are computed."""
    return call("select", condition, a, b)


def maximum(a: Any, b: Any) -> Expr:
    """The larger of the two; NaN if one is NaN."""
    return call("max", a, b)


def minimum(a: Any, b: Any) -> Expr:
    """The smaller of the two; NaN if one is NaN."""
    return call("min", a, b)


def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """The polynomial of ``x`` with these coefficients, the constant one first."""
    total = const(coefficients[-1], x.dtype)
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


def exceeds(op: str, element: Expr, best: Expr) -> Expr:
    """Whether an element is larger than the ``best`` so far, smaller if ``op`` is "min", or the first NaN."""
    if element.dtype == "bool":
        return call("and", element, call("not", best)) if op == "max" else call("and", call("not", element), best)
    if not is_float(element.dtype):
        return call("gt" if op == "max" else "lt", element, best)
    larger = call("not", call("le" if op == "max" else "ge", element, best))
    return call("and", larger, call("eq", best, best))


def logical_and(*conditions: Expr) -> Expr | None:
    """The conjunction of ``conditions``, without those that are constantly true; None if none is left."""
    left = [c for c in conditions if not (c.op == "const" and c.value is True)]
    result: Expr | None = None
    for c in left:
        result = c if result is None else call("and", result, c)
    return result


def parts(e: Expr) -> list[Expr]:
    """List every subexpression once, operands first; subexpressions may be shared and deeply nested."""
    found: list[Expr] = []
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(e, False)]
    while stack:
        x, done = stack.pop()
        if done:
            found.append(x)
        elif id(x) not in seen:
            seen.add(id(x))
            if x.args:
                stack.append((x, True))
                stack.extend([(a, False) for a in reversed(x.args)])
            else:
                found.append(x)
    return found


def names_in(e: Expr) -> frozenset[str]:
    """The variables that an expression reads."""
    if e._names is None:
        e._names = frozenset([x.value for x in parts(e) if x.op == "var"])
    return e._names


def substituted(e: Expr, definitions: Mapping[str, Expr]) -> Expr:
    """Replace names in ``e`` by their definitions, recursively; index arithmetic is folded."""
    if e.op == "var":
        made = definitions.get(e.value, e)
        return e if made is e or (made.op == "var" and made.value == e.value) else substituted(made, definitions)
    if not e.args:
        return e
    args = tuple(substituted(a, definitions) for a in e.args)
    if all(new is old for new, old in zip(args, e.args)):
        return e
    return Expr("cast", args, e.dtype) if e.op == "cast" else call(e.op, *args)


def coefficient(e: Expr, name: str) -> Expr | None:
    """The coefficient of the variable ``name`` in an index, an Expr; None if the index is not linear in it."""
    if e.op == "var":
        return ONE if e.value == name else ZERO
    if e.op == "const":
        return ZERO
    if e.op in ("add", "sub"):
        left, right = coefficient(e.args[0], name), coefficient(e.args[1], name)
        if left is None or right is None:
            return None
        return call(e.op, left, right)
    if e.op == "mul":
        left, right = coefficient(e.args[0], name), coefficient(e.args[1], name)
        if left is None or right is None:
            return None
        if _is(left, 0):
            return ZERO if _is(right, 0) else call("mul", e.args[0], right)
        return call("mul", left, e.args[1]) if _is(right, 0) else None
    if e.op == "neg":
        inner = coefficient(e.args[0], name)
        return None if inner is None else call("sub", ZERO, inner)
    return ZERO if name not in names_in(e) else None
