"""``pp``: an expression as one writes mathematics, in infix form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from symc.graph import Apply, Constant, Variable, toposort
from symc.printing.tree import attributes, label

__all__ = ["pp", "pprint"]

_INFIX = {
    "or": ("|", 1), "xor": ("^", 2), "and": ("&", 3), "eq": ("==", 4), "neq": ("!=", 4), "lt": ("<", 4),
    "le": ("<=", 4), "gt": (">", 4), "ge": (">=", 4), "add": ("+", 6), "sub": ("-", 6), "mul": ("*", 7),
    "true_div": ("/", 7), "floor_div": ("//", 7), "mod": ("%", 7),
}  # fmt: skip
"""Sign and binding strength, in Python's order. Operands of equal strength need parentheses on the right."""
_PREFIX = {"neg": "-", "invert": "~"}
_NEGATED, _POWER, _ATOM = 8, 9, 10
LONG = 400
"""Characters after which a part is given a name of its own."""
SHORT = 16
"""Parts this short are written out again rather than named when they occur twice."""

Text = tuple[str, int]


def _transparent(node: Apply) -> bool:
    """Does the op only make its first input as large as another? Formulas leave that to the reader, as NumPy does."""
    if node.op.name == "dimshuffle":
        kept = [a for a in node.op["order"] if a != "x"]
        return kept == sorted(kept)
    return node.op.name in ("broadcast", "expand")


def pp(expression: Variable) -> str:
    """An expression as infix text.

    Parts that occur more than once, and very long ones, get names, explained on lines of their own below the formula,
    so the text stays as small as the graph is. Broadcasting is not written.

    Parameters
    ----------
    expression : Variable

    Returns
    -------
    str

    Examples
    --------
    >>> import symc.tensor as T
    >>> x, y = T.vectors("x", "y")
    >>> pp((x + y) * T.exp(-x) ** 2)
    '(x + y) * exp(-x) ** 2'
    """
    if not isinstance(expression, Variable):
        raise TypeError(f"pp: expected a symbolic variable, got {type(expression).__name__}: {expression!r}")
    nodes = toposort([expression])
    uses = Counter(v for node in nodes for v in _written_inputs(node))
    text: dict[Variable, Text] = {}
    named: list[tuple[str, str]] = []
    for node in nodes:
        for v in node.outputs:
            made = _written(node, v, [_text(u, text) for u in _written_inputs(node)])
            often = uses[v] > 1 and len(made[0]) > SHORT
            if v is not expression and not _transparent(node) and (often or len(made[0]) > LONG):
                name = v.name or f"t{len(named) + 1}"
                named.append((name, made[0]))
                made = (name, _ATOM)
            text[v] = made
    lines = [_text(expression, text)[0]]
    lines += [f"  where {name} = {value}" for name, value in reversed(named)]
    return "\n".join(lines)


pprint = pp


def _written_inputs(node: Apply) -> Sequence[Variable]:
    return node.inputs[:1] if _transparent(node) else node.inputs


def _text(v: Variable, known: dict[Variable, Text]) -> Text:
    found = known.get(v)
    if found is not None:
        return found
    if isinstance(v, Constant) and v.ndim == 0:
        written = f"{v.data:.6g}" if v.data.dtype.kind == "f" else str(v.data)
        return written, _NEGATED if written.startswith("-") else _ATOM
    return label(v), _ATOM


def _written(node: Apply, v: Variable, args: list[Text]) -> Text:
    name = node.op.name
    if _transparent(node):
        return args[0]
    if name in _INFIX and len(args) == 2:
        sign, strength = _INFIX[name]
        return f"{_held(args[0], strength)} {sign} {_held(args[1], strength + 1)}", strength
    if name == "pow":
        return f"{_held(args[0], _ATOM)} ** {_held(args[1], _POWER)}", _POWER
    if name in _PREFIX:
        return f"{_PREFIX[name]}{_held(args[0], _NEGATED)}", _NEGATED
    if name == "sqr":
        return f"{_held(args[0], _ATOM)} ** 2", _POWER
    if name == "reciprocal":
        return f"1 / {_held(args[0], _NEGATED)}", 7
    if name == "dimshuffle" and node.op["order"] == (1, 0):
        return f"{_held(args[0], _ATOM)}.T", _ATOM
    if name == "dot":
        turned = [node.op.attrs.get("trans_a"), node.op.attrs.get("trans_b")]
        args = [(f"{_held(a, _ATOM)}.T", _ATOM) if t else a for a, t in zip(args, turned)]
        return f"dot({args[0][0]}, {args[1][0]})", _ATOM
    output = "" if len(node.outputs) == 1 else f"[{v.index}]"
    return f"{name}({', '.join([*(a[0] for a in args), *_extras(node)])}){output}", _ATOM


def _held(arg: Text, strength: int) -> str:
    return arg[0] if arg[1] >= strength else f"({arg[0]})"


def _extras(node: Apply) -> list[str]:
    """Attributes as keyword arguments, axes under NumPy's name; a reduction over all axes does not list them."""
    shown = attributes(node.op)
    axes = node.op.attrs.get("axes")
    if axes is not None:
        del shown["axes"]
        if not node.inputs or len(axes) < node.inputs[0].ndim:
            shown = {"axis": str(axes[0]) if len(axes) == 1 else str(axes), **shown}
    return [f"{key}={value}" for key, value in shown.items()]
